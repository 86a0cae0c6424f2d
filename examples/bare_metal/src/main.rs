//! Static memory without an operating system, a standard library or an allocator: a region of the board's memory
//! becomes an arena.
//!
//! On a board a start-up routine calls `main`. On a host the C library does, and the status is that of the process: 0,
//! or the number of the first check that failed. `ci/bare-metal` builds and runs it.

#![no_std]
#![no_main]

use core::hint;
use core::mem::MaybeUninit;
use core::panic::PanicInfo;
use core::ptr;
use tenure::StaticArena;

/// Stands for memory that a linker script sets aside.
static mut REGION: [MaybeUninit<u8>; 4096] = [MaybeUninit::uninit(); 4096];

// SAFETY: nothing else names `REGION`.
static ARENA: StaticArena = StaticArena::from_slice(unsafe { &mut *ptr::addr_of_mut!(REGION) });

/// Names of channels, each of them once.
static NAMES: StaticArena<512> = StaticArena::new();

struct Channel {
    name: &'static str,
    samples: &'static mut [u16],
}

/// A channel with room for `len` samples, or nothing where memory is short.
fn channel(name: &str, len: usize) -> Option<Channel> {
    let name = NAMES.try_intern(name).ok()?;
    let samples = ARENA.try_alloc_slice_fill_with(len, |_| 0).ok()?;
    Some(Channel { name, samples })
}

/// The number of the first check that failed, or 0.
fn run() -> i32 {
    let (Some(first), Some(second)) = (channel("pressure", 500), channel("pressure", 1000)) else { return 1 };
    first.samples[499] = 7;
    second.samples[0] = 9;
    if (first.samples[499], second.samples[0]) != (7, 9) {
        return 2;
    }
    if !ptr::eq(first.name, second.name) || NAMES.blocks() != 1 {
        return 3;
    }
    if channel("temperature", 1000).is_some() || ARENA.fallbacks() != 1 {
        return 4;
    }
    ARENA.seal();
    let stats = ARENA.stats();
    if ARENA.try_alloc(1_u8).is_ok() || (stats.live(), stats.blocks, stats.used + stats.slack) != (3000, 2, 4096) {
        return 5;
    }
    0
}

/// Called by the start-up routine.
#[unsafe(no_mangle)]
pub extern "C" fn main() -> i32 {
    run()
}

#[panic_handler]
fn stop(_info: &PanicInfo<'_>) -> ! {
    loop {
        hint::spin_loop();
    }
}
