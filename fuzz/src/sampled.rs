//! The heap profile and the guarded blocks, which an input has come and go.

use tenure::{guard, profile};

/// Arms the profile or disarms it, so that a sample is an everyday thing or a rare one.
pub fn change(rate: usize, choice: u8) {
    if choice % 4 == 0 {
        profile::disarm();
    } else {
        profile::arm(rate).expect("there is memory for a profile, and the rate is one");
    }
}

/// The same of guarded blocks.
pub fn change_guarded(one_in: usize, choice: u8) {
    if choice % 4 == 0 {
        guard::disarm();
    } else {
        guard::arm(1 + one_in as u64 % 64).expect("there is memory for guarded blocks, and a handler");
    }
}

/// Asserts that no block is taken for one in use, now that none is, and has the next input begin without samples.
pub fn finish() {
    profile::disarm();
    guard::disarm();
    profile::each_stack(|stack| {
        let left = (stack.live_blocks, stack.live_bytes);
        assert_eq!(left, (0, 0), "blocks and bytes are left of those from {:x?}", stack.frames);
    });
}
