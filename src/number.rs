//! Numbers in text, as people write settings and the system writes figures. No unsafe code, and no memory.

#![forbid(unsafe_code)]

/// A decimal number, digits and nothing else.
pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    core::str::from_utf8(text).ok()?.parse().ok()
}

/// A number of bytes that is not 0, with a suffix of `K`, `M`, `G` or `T`, in either case, or none.
#[cfg(not(loom))]
pub(crate) fn bytes(text: &[u8]) -> Option<usize> {
    let (digits, shift) = match text.split_last()? {
        (b'K' | b'k', rest) => (rest, 10),
        (b'M' | b'm', rest) => (rest, 20),
        (b'G' | b'g', rest) => (rest, 30),
        (b'T' | b't', rest) => (rest, 40),
        _ => (text, 0),
    };
    usize::try_from(decimal(digits)?).ok()?.checked_mul(1 << shift).filter(|&bytes| bytes > 0 && bytes < usize::MAX)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_digits_alone() {
        assert_eq!(
            [decimal(b"0"), decimal(b"0042"), decimal(b"18446744073709551615")],
            [Some(0), Some(42), Some(u64::MAX)]
        );
        for wrong in [&b""[..], b"-1", b"+1", b"1 ", b"0x1", b"1.5", b"18446744073709551616"] {
            assert_eq!(decimal(wrong), None, "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn bytes_have_a_suffix_or_none_and_fit() {
        assert_eq!(
            [bytes(b"1"), bytes(b"64k"), bytes(b"64K"), bytes(b"3M")],
            [Some(1), Some(65_536), Some(65_536), Some(3 << 20)]
        );
        assert_eq!([bytes(b"2g"), bytes(b"1T")], [Some(2 << 30), Some(1 << 40)]);
        for wrong in
            [&b""[..], b"0", b"0K", b"K", b"KK", b"1KB", b"1.5M", b"18446744073709551615", b"18446744073709551615K"]
        {
            assert_eq!(bytes(wrong), None, "{}", wrong.escape_ascii());
        }
    }
}
