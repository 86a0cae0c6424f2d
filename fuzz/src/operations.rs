//! The input's bytes as operations, four bytes each; and how often the allocator was called, which is printed at the
//! end.

use std::alloc::Layout;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

static COUNT: AtomicU64 = AtomicU64::new(0);

/// Adds to the number of calls that is printed when the process ends.
pub fn count(calls: usize) {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        // SAFETY: a function that may be called at the end of the process.
        unsafe { libc::atexit(print) };
    });
    COUNT.fetch_add(calls as u64, Ordering::Relaxed);
}

extern "C" fn print() {
    eprintln!("operations: {}", COUNT.load(Ordering::Relaxed));
}

/// One operation.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    what: u8,
    size: u16,
    /// Which block, how many, and whatever else there is to choose.
    pub choice: u8,
}

/// The operations in an input; what is left at its end is none.
pub fn of(input: &[u8]) -> impl Iterator<Item = Operation> + Clone {
    input.chunks_exact(4).map(|bytes| Operation {
        what: bytes[0],
        size: u16::from_le_bytes([bytes[1], bytes[2]]),
        choice: bytes[3],
    })
}

/// Where another kind of memory begins.
const BORDERS: [usize; 8] = [1024, 4096, 4368, 32 << 10, 64 << 10, 128 << 10, 1 << 20, 2 << 20];

impl Operation {
    /// What to do: a number below 32.
    pub fn kind(self) -> u8 {
        self.what % 32
    }

    /// A size from 1 byte to 4 MiB, small ones being more likely.
    pub fn size(self) -> usize {
        let size = usize::from(self.size);
        match (self.what / 32, self.choice % 8) {
            (0..5, _) => 1 + size % 512,
            (5 | 6, 1..) => 1 + size % 8192,
            // Just below a border, at it, or just above.
            (7, 1..4) => BORDERS[usize::from(self.choice / 8) % BORDERS.len()] - 9 + size % 18,
            (7, 4..) => 1 + size % 2048,
            (7, _) => 1 + size * 64,
            _ => 1 + size,
        }
    }

    /// A power of two, seldom more than 16.
    pub fn align(self) -> usize {
        let bits = if self.choice >= 240 { self.size % 23 } else { u16::from(self.choice) % 5 };
        1 << bits
    }

    pub fn layout(self) -> Layout {
        Layout::from_size_align(self.size(), self.align()).expect("both are small")
    }
}
