//! The arithmetic of arenas against the same in twice as many bits: blocks one behind the other in ranges anywhere in
//! the address space.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::ops::Range;
use tenure::fuzzing::{place, skip};

/// What `place` should give, where nothing can overflow.
fn expected(free: &Range<usize>, size: usize, align: usize) -> Option<Range<u128>> {
    let start = (free.start as u128).next_multiple_of(align as u128);
    let end = start + size as u128;
    (free.start <= free.end && end <= free.end as u128).then_some(start..end)
}

/// A number of bytes, more often small than large, and as often just below a power of two or the largest of all as just
/// above.
fn size(bits: u64, small: u8) -> usize {
    let shifted = (bits >> (small % 64)) as usize;
    if small >= 192 { usize::MAX - shifted } else { shifted }
}

type Request = (u64, u8, u8);

fuzz_target!(|input: (u64, u8, u64, u8, Vec<Request>)| {
    let (start, start_shift, len, len_shift, requests) = input;
    let start = size(start, start_shift);
    // Sometimes behind the end.
    let end = if len_shift == 255 { len as usize } else { start.saturating_add(size(len, len_shift)) };
    let mut free = start..end;
    for (bits, small, shift) in requests {
        let (size, align) = (size(bits, small), 1_usize << (u32::from(shift) % usize::BITS));
        let block = place(free.clone(), size, align);
        let wide = block.clone().map(|block| block.start as u128..block.end as u128);
        assert_eq!(wide, expected(&free, size, align), "{size} bytes aligned to {align} in {free:x?}");
        assert_eq!((free.start as u128 + skip(free.start, align) as u128) % align as u128, 0);
        assert!(skip(free.start, align) < align);
        if let Some(block) = block {
            free.start = block.end;
        }
    }
});
