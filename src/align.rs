//! Rounding to powers of two.

#![forbid(unsafe_code)]

/// `value` rounded down to a multiple of `align`, which is a power of two.
#[inline(always)]
pub(crate) const fn down(value: usize, align: usize) -> usize {
    debug_assert!(align.is_power_of_two());
    value & !(align - 1)
}

/// `value` rounded up to a multiple of `align`, which is a power of two. The caller knows that it does not overflow.
#[inline(always)]
pub(crate) const fn up(value: usize, align: usize) -> usize {
    debug_assert!(align.is_power_of_two());
    (value + (align - 1)) & !(align - 1)
}

/// `value` rounded up to a multiple of `align`, a power of two; `None` where that is more than `usize` holds.
#[inline(always)]
pub(crate) const fn checked_up(value: usize, align: usize) -> Option<usize> {
    match value.checked_add(align - 1) {
        Some(sum) => Some(down(sum, align)),
        None => None,
    }
}

/// True where `value` is a multiple of `align`, a power of two.
#[inline(always)]
pub(crate) const fn is_aligned(value: usize, align: usize) -> bool {
    value & (align - 1) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_up_past_the_end_of_the_address_space_is_none() {
        assert_eq!(checked_up(usize::MAX, 2), None);
        assert_eq!(checked_up(usize::MAX - 7, 8), Some(usize::MAX - 7));
        assert_eq!(checked_up(usize::MAX, 1), Some(usize::MAX));
    }

    #[test]
    fn up_and_down_bracket_every_value() {
        for value in 0..500 {
            for align in [1, 2, 8, 64] {
                assert!(down(value, align) <= value && value <= up(value, align));
                assert!(up(value, align) - down(value, align) <= align);
                assert!(is_aligned(up(value, align), align) && is_aligned(down(value, align), align));
            }
        }
    }
}
