//! Size classes: which block size serves which layout.
//!
//! Eight classes to each doubling, and steps of 8 bytes up to 128. One formula gives both, since below 64 the steps of
//! the first doubling simply go on downwards, as denormal numbers do. One is left out: blocks of 120 bytes would have
//! neighbours on both of their cache lines, which may be two threads', and 128 bytes take hardly more. Three more stand
//! just above 1, 2 and 4 KiB, for programs that put something in front of a power of two: each is as large as can be
//! with as many blocks in a slab.
//!
//! A class for a layout is found by rounding the size up to the alignment. A size gets a class that is a multiple of
//! every power of two that the size is a multiple of, and slabs start at multiples of 64 KiB. Blocks are therefore
//! aligned without any search.

#![forbid(unsafe_code)]

use crate::align;
use core::alloc::Layout;

/// Number of size classes whose blocks lie in slabs.
pub(crate) const SLABS: usize = REGULAR + HEADED.len();

/// Number of classes that the formula gives, without the one that is left out.
const REGULAR: usize = 79;

/// The formula's number of the class that is left out, of 120 bytes.
const LEFT_OUT: usize = 120 / GRAIN - 1;

/// The additional classes: 62, 31 and 15 blocks to a slab.
const HEADED: [usize; 3] = [1024 + 32, 2048 + 64, 4096 + 272];

/// Number of size classes: those of slabs, and those of spans of one slot, two slots, and so on.
pub(crate) const COUNT: usize = SLABS + MAX_SPAN / SLOT_SIZE;

/// Largest block of a slab. Larger requests are spans or mappings.
pub(crate) const MAX_SIZE: usize = 32 * 1024;

/// Bytes of a segment's slot: of a slab, and of the shortest span.
pub(crate) const SLOT_SIZE: usize = 64 * 1024;

/// Longest span: half a segment. Larger requests are mappings.
pub(crate) const MAX_SPAN: usize = 1024 * 1024;

/// Bytes between neighbouring entries of the look-up table, and the smallest class.
const GRAIN: usize = 8;

/// Bytes between what a thread has at hand of one class and of the next. Codes are multiples of it, so that a code says
/// how far from the first that is.
pub(crate) const STEP: usize = 16;

/// A size class, as its [code](SizeClass::code).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SizeClass(u16);

/// Code of the class that serves a block, by the grain in which its last byte lies. 8 KiB, of which a program touches
/// the lines of the sizes it uses.
///
/// No `static`: a crate into which a look-up is inlined has a copy of its own, of which it knows the address, where it
/// would load that of another's from a table.
const CODES: &[u16; MAX_SIZE / GRAIN] = &{
    let mut table = [0; MAX_SIZE / GRAIN];
    let mut last = 0;
    while last < table.len() {
        let size = (last + 1) * GRAIN;
        table[last] = SizeClass::from_index(index_for(size, 1 << size.trailing_zeros())).0;
        last += 1;
    }
    table
};

/// Bytes to which a block of more than [`GRAIN`] bytes is aligned where only its size is known, as C asks of `malloc`.
pub(crate) const UNTYPED_ALIGN: usize = 16;

/// A class that no size alone gets. A slab has three blocks of it, as it has of the next, and programs in C that put
/// something in front of 16 KiB often ask for the usable size, and use all of it.
const NARROW: usize = 18 * 1024;

/// Entries of the table for blocks of which only the size is known.
const SIZES_TO_LOOK_UP: usize = MAX_SIZE / GRAIN + 1;

/// As `CODES`, but by the size in units of `GRAIN`, rounded up, and where only the size is known: the smallest class
/// that is large enough and a multiple of [`UNTYPED_ALIGN`], and not `NARROW`. What fits the smallest class can hold
/// nothing that needs more than its alignment.
///
/// As wide as an address, so that one instruction loads a code and adds it to one. 32 KiB.
static UNTYPED_CODE_OF_GRAINS: UntypedCodes = {
    let mut table = [SizeClass::from_index(0).code(); SIZES_TO_LOOK_UP];
    let mut grains = 2;
    while grains < table.len() {
        let index = index_for(grains * GRAIN, UNTYPED_ALIGN);
        table[grains] = SizeClass::from_index(if size_of(index) == NARROW { index + 1 } else { index }).code();
        grains += 1;
    }
    table
};

/// The code of the class of each size, in grains.
pub(crate) type UntypedCodes = [usize; SIZES_TO_LOOK_UP];

/// Block size of each class, in bytes.
static SIZES: [u32; COUNT] = ALL_SIZES;

const ALL_SIZES: [u32; COUNT] = {
    let mut sizes = [0; COUNT];
    let (mut regular, mut headed) = (0, 0);
    while regular + headed < SLABS {
        let index = regular + headed;
        if headed < HEADED.len() && HEADED[headed] < regular_size(regular) {
            sizes[index] = HEADED[headed] as u32;
            headed += 1;
        } else {
            sizes[index] = regular_size(regular) as u32;
            regular += 1;
        }
    }
    let mut slots = 1;
    while slots <= MAX_SPAN / SLOT_SIZE {
        sizes[SLABS + slots - 1] = (slots * SLOT_SIZE) as u32;
        slots += 1;
    }
    sizes
};

/// Block size of the class of this number among those of the formula that there are.
const fn regular_size(number: usize) -> usize {
    let number = if number < LEFT_OUT { number } else { number + 1 };
    if number < 16 { (number + 1) * 8 } else { (number % 8 + 9) << (number / 8 + 2) }
}

/// Index of the smallest class that serves `size`, from 1 to [`MAX_SIZE`], at a multiple of `align`.
const fn index_for(size: usize, align: usize) -> usize {
    // The regular class before the one that holds the size, or earlier: a start from where there are a few classes to
    // look at.
    let last = size - 1;
    let top_bit = (last | 64).ilog2() as usize;
    let mut index = ((last >> (top_bit - 3)) + 8 * (top_bit - 6)).saturating_sub(2);
    while size_of(index) < size || !size_of(index).is_multiple_of(align) {
        index += 1;
    }
    index
}

/// Block size of the class with this index.
pub(crate) const fn size_of(index: usize) -> usize {
    ALL_SIZES[index] as usize
}

impl SizeClass {
    /// The class that serves `layout`, or `None` where the layout is larger than any slab's block, or of no bytes at
    /// all.
    ///
    /// Two subtractions, one disjunction, one comparison, one shift and one load; a constant where `layout` is one.
    #[inline(always)]
    pub(crate) fn of(layout: Layout) -> Option<Self> {
        // The last byte of the size, rounded up to the alignment: less work than to round the size.
        let last = layout.size().wrapping_sub(1) | (layout.align() - 1);
        Self::of_last(last)
    }

    /// The class that serves blocks whose last byte has this offset, at an alignment that divides their size.
    #[inline(always)]
    pub(crate) fn of_last(last: usize) -> Option<Self> {
        (last < MAX_SIZE).then(|| Self(CODES[last / GRAIN]))
    }

    /// The class of the span that serves `layout`, which is too large for a slab; `None` where it is to be a mapping,
    /// or to stand at a multiple of more than a slot.
    #[inline]
    pub(crate) fn of_span(layout: Layout) -> Option<Self> {
        if layout.size() > MAX_SPAN || layout.align() > SLOT_SIZE {
            return None;
        }
        Self::of_slots(layout.size().div_ceil(SLOT_SIZE).max(1))
    }

    /// The class of the span that serves a block of which only the size is known; `None` where a slab's block is large
    /// enough, or it is to be a mapping.
    #[inline(always)]
    pub(crate) fn of_untyped_span(size: usize) -> Option<Self> {
        // One comparison for both ends: a size that a slab serves wraps to one that is larger than any.
        let is_spans = size.wrapping_sub(MAX_SIZE + 1) < MAX_SPAN - MAX_SIZE;
        is_spans.then(|| Self::from_index(SLABS + (size - 1) / SLOT_SIZE))
    }

    /// The class of the spans of so many slots, at least one; `None` where that is more than the longest has.
    #[inline]
    pub(crate) fn of_slots(slots: usize) -> Option<Self> {
        (slots <= MAX_SPAN / SLOT_SIZE).then(|| Self::from_index(SLABS - 1 + slots))
    }

    /// True for a class of spans.
    #[inline(always)]
    pub(crate) const fn is_span(self) -> bool {
        self.0 >= Self::from_index(SLABS).0
    }

    /// The class that serves `size` bytes, at least one, at an alignment that divides `size`.
    #[cfg(any(test, fuzzing, feature = "hardened"))]
    #[inline(always)]
    pub(crate) fn of_size(size: usize) -> Option<Self> {
        Self::of_last(size.wrapping_sub(1))
    }

    /// The class that serves a block of which only the size is known, which may be 0; `None` where it is larger than
    /// any slab's block.
    #[inline(always)]
    pub(crate) fn of_untyped(size: usize) -> Option<Self> {
        let (codes, grains) = Self::look_up_untyped(size)?;
        Some(Self(codes[grains] as u16))
    }

    /// Where the code of that class stands: in which table, and at which index, which is in it. For those who have a
    /// use for it that is faster than to load it.
    #[inline(always)]
    pub(crate) fn look_up_untyped(size: usize) -> Option<(&'static UntypedCodes, usize)> {
        (size <= MAX_SIZE).then(|| (&UNTYPED_CODE_OF_GRAINS, align::up(size, GRAIN) / GRAIN))
    }

    /// The class with this index, which is below [`COUNT`].
    #[inline(always)]
    pub(crate) const fn from_index(index: usize) -> Self {
        debug_assert!(index < COUNT);
        Self(((index + 1) * STEP) as u16)
    }

    /// This class's index, below [`COUNT`].
    #[inline(always)]
    pub(crate) const fn index(self) -> usize {
        self.0 as usize / STEP - 1
    }

    /// The class with this code; `None` of 0.
    #[inline(always)]
    pub(crate) const fn from_code(code: usize) -> Option<Self> {
        debug_assert!(code.is_multiple_of(STEP) && code <= COUNT * STEP);
        if code == 0 { None } else { Some(Self(code as u16)) }
    }

    /// This class's code: [`STEP`] for the first, and as much more for each that follows. 0 is left for *no class*.
    #[inline(always)]
    pub(crate) const fn code(self) -> usize {
        self.0 as usize
    }

    /// Size of this class's blocks, in bytes.
    #[inline(always)]
    pub(crate) fn size(self) -> usize {
        SIZES[self.index()] as usize
    }

    /// Every class, smallest first.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..COUNT).map(Self::from_index)
    }

    /// Every class of slabs, smallest first.
    pub(crate) fn slabs() -> impl Iterator<Item = Self> {
        (0..SLABS).map(Self::from_index)
    }
}

const _: () = assert!(index_for(MAX_SIZE, MAX_SIZE) == SLABS - 1);
const _: () = assert!(size_of(SLABS - 1) == MAX_SIZE);
const _: () = assert!(size_of(COUNT - 1) == MAX_SPAN);
const _: () = assert!(COUNT < u8::MAX as usize && COUNT * STEP <= u16::MAX as usize);
const _: () = assert!(MAX_SPAN.is_multiple_of(SLOT_SIZE));

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn every_size_gets_the_smallest_class_that_serves_it_and_its_alignment() {
        for size in 1..=MAX_SIZE {
            let rounded = align::up(size, GRAIN);
            let align = 1 << rounded.trailing_zeros();
            let class = SizeClass::of_size(size).unwrap();
            let fits = |class: &SizeClass| class.size() >= size && align::is_aligned(class.size(), align);
            assert_eq!(Some(class), SizeClass::slabs().find(fits), "{size}");
        }
        assert_eq!(SizeClass::of_size(MAX_SIZE + 1), None);
    }

    #[test]
    fn no_class_serves_no_bytes_or_more_than_the_largest_has() {
        for align in [1, 8, 64, MAX_SIZE, 2 * MAX_SIZE] {
            let class = |size| SizeClass::of(Layout::from_size_align(size, align).unwrap());
            assert_eq!((class(0), class(MAX_SIZE + 1)), (None, None), "{align}");
            assert_eq!(class(1).is_some(), align <= MAX_SIZE);
        }
    }

    #[test]
    fn a_class_survives_its_index_and_its_code_and_no_class_has_the_code_0() {
        assert_eq!(SizeClass::from_code(0), None);
        for (index, class) in SizeClass::all().enumerate() {
            assert_eq!((class.index(), class.code()), (index, (index + 1) * STEP));
            assert_eq!((SizeClass::from_index(index), SizeClass::from_code(class.code())), (class, Some(class)));
        }
    }

    #[test]
    fn classes_grow_and_those_above_powers_of_two_are_as_large_as_can_be() {
        let sizes: Vec<_> = SizeClass::all().map(SizeClass::size).collect();
        assert!(sizes.is_sorted_by(|one, next| one < next));
        for size in HEADED {
            assert!(sizes.contains(&size) && align::is_aligned(size, UNTYPED_ALIGN));
            assert!(SLOT_SIZE / (size + UNTYPED_ALIGN) < SLOT_SIZE / size, "{size} could be larger");
        }
    }

    #[test]
    fn a_size_alone_gets_a_class_that_holds_it_at_an_alignment_of_16_or_of_8_where_8_bytes_suffice() {
        for size in 0..=MAX_SIZE {
            let class = SizeClass::of_untyped(size).unwrap();
            let align = if size <= 8 { 8 } else { UNTYPED_ALIGN };
            assert!(class.size() >= size && align::is_aligned(class.size(), align), "{size} gets {}", class.size());
            let fits = |class: &SizeClass| class.size() >= size && align::is_aligned(class.size(), align);
            assert_eq!(Some(class), SizeClass::slabs().find(|class| fits(class) && class.size() != NARROW), "{size}");
        }
        assert_eq!(SizeClass::of_untyped(MAX_SIZE + 1), None);
        assert_eq!(SizeClass::of_untyped(usize::MAX), None);
    }

    #[test]
    fn a_slab_has_as_many_blocks_of_the_class_that_serves_instead_of_the_narrow_one() {
        let instead = SizeClass::of_untyped(NARROW).unwrap().size();
        assert!(instead > NARROW && SLOT_SIZE / instead == SLOT_SIZE / NARROW);
    }

    #[test]
    fn a_size_that_is_too_large_for_a_slab_gets_the_same_span_with_a_layout_and_without() {
        for size in (MAX_SIZE + 1..=MAX_SPAN + SLOT_SIZE).step_by(7) {
            let layout = Layout::from_size_align(size, UNTYPED_ALIGN).unwrap();
            let class = SizeClass::of_untyped_span(size);
            assert_eq!(class, SizeClass::of_span(layout));
            assert_eq!(class.is_some(), size <= MAX_SPAN);
            assert!(
                class.is_none_or(|class| class.is_span() && class.size() >= size && class.size() - size < SLOT_SIZE)
            );
        }
        for size in [0, 1, MAX_SIZE, usize::MAX] {
            assert_eq!(SizeClass::of_untyped_span(size), None);
        }
    }

    #[test]
    fn rounding_wastes_less_than_a_step_and_above_128_at_most_an_eighth() {
        for size in 1..=MAX_SIZE {
            let waste = SizeClass::of_size(size).unwrap().size() - size;
            let most = match size {
                1..=112 | 121..=128 => 7,
                113..=120 => 15,
                _ => size / 8,
            };
            assert!(waste <= most, "{size} wastes {waste}");
        }
    }

    #[test]
    fn every_class_is_a_multiple_of_every_alignment_it_is_asked_to_serve() {
        for size in 1..=MAX_SIZE {
            let mut align = 1;
            while align <= MAX_SIZE {
                let layout = Layout::from_size_align(size, align).unwrap();
                if let Some(class) = SizeClass::of(layout) {
                    assert!(class.size() >= size && align::is_aligned(class.size(), align), "{layout:?}");
                }
                align *= 2;
            }
        }
    }
}
