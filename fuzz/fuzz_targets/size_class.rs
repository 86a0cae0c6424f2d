//! Every function of size classes, against a search through all of them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::alloc::Layout;
use tenure::fuzzing::size_class as class;
use tenure_fuzz::operations;

/// Bytes of the blocks of the only class of slabs that serves no size without a layout.
const NARROW: usize = 18 * 1024;

/// The smallest class among `indices` that is large enough and a multiple of `align`.
fn smallest(mut indices: impl Iterator<Item = usize>, size: usize, align: usize) -> Option<usize> {
    indices.find(|&index| class::size(index) >= size && class::size(index).is_multiple_of(align))
}

/// The largest power of two that divides the size, rounded up to 8, as far as there are slabs.
fn natural_align(size: usize) -> usize {
    1 << size.next_multiple_of(8).trailing_zeros().min(15)
}

fn check(layout: Layout) {
    let (size, align) = (layout.size(), layout.align());
    let (slabs, spans) = (0..class::SLABS, class::SLABS..class::COUNT);
    let rounded = size.next_multiple_of(align);

    let found = class::of(layout);
    let expected = smallest(slabs.clone(), rounded.max(1), natural_align(rounded.max(1)));
    assert_eq!(found, expected.filter(|_| (1..=class::MAX_SIZE).contains(&rounded)), "{layout:?}");
    assert_eq!(class::of_size(rounded), found);

    let untyped = class::of_untyped(size);
    let untyped_slabs = slabs.clone().filter(|&index| class::size(index) != NARROW);
    let expected = smallest(untyped_slabs, size.max(1), if size <= 8 { 8 } else { 16 });
    assert_eq!(untyped, expected.filter(|_| size <= class::MAX_SIZE), "{size} bytes without a layout");

    let span = class::of_span(layout);
    let fits = size <= class::MAX_SPAN && align <= class::SLOT_SIZE;
    assert_eq!(span, smallest(spans.clone(), size, 1).filter(|_| fits), "{layout:?} as a span");
    if size > class::MAX_SIZE {
        assert_eq!(class::of_untyped_span(size), smallest(spans.clone(), size, 1), "{size} bytes as a span");
        let slots = size.div_ceil(class::SLOT_SIZE);
        assert_eq!(class::of_slots(slots), smallest(spans.clone(), slots * class::SLOT_SIZE, 1), "{slots} slots");
    }

    for index in [found, untyped, span].into_iter().flatten() {
        assert_eq!(class::is_span(index), spans.contains(&index));
        assert_eq!(class::code(index), (index + 1) * class::STEP);
        // Blocks of a slab, from the first to the last, are found by their addresses, and nothing else is.
        if !class::is_span(index) {
            let block = class::size(index);
            for offset in [0, 1, align, size, rounded, class::SLOT_SIZE - block, class::SLOT_SIZE - 1] {
                let offset = offset % class::SLOT_SIZE;
                let starts = offset.is_multiple_of(block) && offset / block < class::capacity(index);
                assert_eq!(class::locate(index, offset), starts.then_some(offset / block), "{block} at {offset}");
            }
        }
    }
}

fuzz_target!(|input: &[u8]| {
    for operation in operations::of(input) {
        check(operation.layout());
        // Any alignment, and sizes up to the largest there are.
        let bits = u32::from(operation.choice) % usize::BITS;
        let size = operation.size() << (bits / 2);
        if let Ok(layout) = Layout::from_size_align(size, 1 << (bits % 24)) {
            check(layout);
        }
    }
    operations::count(input.len() / 4 * 2);
});
