//! Runs of neighbouring slots, in a word that has a bit for each slot.

#![forbid(unsafe_code)]

/// The bits of `count` slots from `first` on.
pub(super) const fn run_mask(first: usize, count: usize) -> u32 {
    (((1u64 << count) - 1) << first) as u32
}

/// The lowest run of `count` set bits in `mask` whose first is a multiple of `align`, a power of two.
pub(super) fn run_of(mask: u32, count: usize, align: usize) -> Option<usize> {
    let mut starts = mask;
    let mut length = 1;
    // Bit n of `starts`: a run of `length` bits starts at n. Lengths add up as the runs overlap.
    while length < count && starts != 0 {
        let step = length.min(count - length);
        starts &= starts >> step;
        length += step;
    }
    starts &= match align {
        1 => u32::MAX,
        2 => 0x5555_5555,
        4 => 0x1111_1111,
        8 => 0x0101_0101,
        _ => 0x0001_0001,
    };
    (starts != 0).then(|| starts.trailing_zeros() as usize)
}

/// Length of the longest run of bits in `mask`, which are never all: the first slot is not free.
pub(super) fn longest_run(mask: u32) -> usize {
    // Bit n of `runs[i]`: a run of 2^i bits starts at n.
    let mut runs = [mask; 5];
    for i in 1..runs.len() {
        runs[i] = runs[i - 1] & (runs[i - 1] >> (1 << (i - 1)));
    }
    // Bit n of `starts`: a run of `length` bits starts at n.
    let (mut starts, mut length) = (u32::MAX, 0);
    for (i, run) in runs.into_iter().enumerate().rev() {
        let longer = starts & (run >> length);
        if longer != 0 {
            (starts, length) = (longer, length + (1 << i));
        }
    }
    length
}
