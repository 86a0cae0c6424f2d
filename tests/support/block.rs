//! A block of Tenure's, filled with a pattern that no other block has.
//!
//! Bytes that change without this type's doing are noticed when it is checked, resized or freed: so is any overlap of two blocks.

use std::alloc::{GlobalAlloc, Layout};
use std::iter;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use tenure::Tenure;

/// All values of the type are the process's one allocator.
const TENURE: Tenure = Tenure::new();

/// Bytes of a block that are filled without a gap.
const WHOLE: usize = 128 * 1024;
/// Beyond that, one word in so many bytes.
const STRIDE: usize = 16 * 1024;
/// And these last bytes.
const TAIL: usize = 64;

const WORD: usize = size_of::<u64>();

static BLOCKS: AtomicU64 = AtomicU64::new(1);

/// A block in use. Has to be freed by hand: a block that is dropped is leaked.
#[derive(Debug)]
#[must_use]
pub struct Block {
    start: NonNull<u8>,
    layout: Layout,
    identity: u64,
}

// SAFETY: the block is this value's alone.
unsafe impl Send for Block {}

/// A layout that is known to be valid.
pub fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

/// The parts of a block of `size` bytes that are filled. Each starts at a multiple of a word.
fn filled(size: usize) -> impl Iterator<Item = Range<usize>> {
    let whole = size.min(WHOLE);
    let samples = (whole..size).step_by(STRIDE).map(move |at| at..(at + WORD).min(size));
    let tail = (size.saturating_sub(TAIL) & !(WORD - 1)).max(whole);
    iter::once(0..whole).chain(samples).chain(iter::once(tail..size))
}

impl Block {
    /// A block of `layout`, or `None` where Tenure has none.
    pub fn new(layout: Layout) -> Option<Self> {
        // SAFETY: no test asks for a size of zero.
        Self::found(unsafe { TENURE.alloc(layout) }, layout)
    }

    /// As [`Block::new`], of a block that has to read as zero.
    pub fn zeroed(layout: Layout) -> Option<Self> {
        // SAFETY: no test asks for a size of zero.
        let start = NonNull::new(unsafe { TENURE.alloc_zeroed(layout) })?;
        for at in filled(layout.size()).flat_map(|range| range.step_by(WORD)) {
            // SAFETY: inside the block, which `alloc_zeroed` has initialised.
            let word = unsafe { read(start, at, layout.size()) };
            assert_eq!(word, 0, "{layout:?} at {start:p} is not zero at {at}");
        }
        Self::found(start.as_ptr(), layout)
    }

    /// A block of `size` bytes at the alignment of a word.
    pub fn of(size: usize) -> Self {
        Self::new(layout(size, WORD)).expect("there is memory")
    }

    fn found(start: *mut u8, layout: Layout) -> Option<Self> {
        let start = NonNull::new(start)?;
        assert!(start.is_aligned_to_bytes(layout.align()), "{layout:?} at {start:p} is not aligned");
        let mut block = Self { start, layout, identity: 0 };
        block.fill();
        Some(block)
    }

    pub fn address(&self) -> usize {
        self.start.addr().get()
    }

    pub fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    pub fn layout(&self) -> Layout {
        self.layout
    }

    pub fn size(&self) -> usize {
        self.layout.size()
    }

    pub fn range(&self) -> Range<usize> {
        self.address()..self.address() + self.size()
    }

    /// Gives the block a new identity, and writes it everywhere.
    fn fill(&mut self) {
        self.identity = BLOCKS.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        for range in filled(self.size()) {
            for at in range.step_by(WORD) {
                // SAFETY: inside the block, which is this value's.
                unsafe { write(self.start, at, self.size(), self.word(at)) };
            }
        }
    }

    fn word(&self, at: usize) -> u64 {
        self.identity.wrapping_add((at as u64).wrapping_mul(0xD6E8_FEB8_6659_FD93))
    }

    /// Panics unless the block holds what it was filled with.
    pub fn check(&self) {
        self.check_first(self.size());
    }

    fn check_first(&self, kept: usize) {
        for range in filled(self.size()) {
            for at in (range.start..range.end.min(kept)).step_by(WORD) {
                // SAFETY: inside the block, in a part that was filled.
                let word = unsafe { read(self.start, at, kept) };
                let expected = first_bytes(self.word(at), kept - at);
                assert_eq!(word, expected, "{:?} at {:p} was changed at {at}", self.layout, self.start);
            }
        }
    }

    /// Makes the block `size` bytes large; false where Tenure refuses. Panics unless the contents are kept.
    #[must_use]
    pub fn resize(&mut self, size: usize) -> bool {
        self.check();
        // SAFETY: this value's own block, and no test asks for a size of zero or for one that is no layout's.
        let start = unsafe { TENURE.realloc(self.as_ptr(), self.layout, size) };
        let Some(start) = NonNull::new(start) else {
            self.check();
            return false;
        };
        assert!(start.is_aligned_to_bytes(self.layout.align()), "{:?} moved to {start:p}", self.layout);
        self.start = start;
        // The pattern still is that of the old size.
        self.check_first(self.size().min(size));
        self.layout = layout(size, self.layout.align());
        self.fill();
        true
    }

    /// Gives the block back. Panics unless it holds what it was filled with.
    pub fn free(self) {
        self.check();
        // SAFETY: this value's own block, which ends here.
        unsafe { TENURE.dealloc(self.as_ptr(), self.layout) };
    }
}

trait AlignedTo {
    fn is_aligned_to_bytes(&self, align: usize) -> bool;
}

impl AlignedTo for NonNull<u8> {
    fn is_aligned_to_bytes(&self, align: usize) -> bool {
        self.addr().get().is_multiple_of(align)
    }
}

/// The low `len` bytes of a word, where there are so many.
fn first_bytes(word: u64, len: usize) -> u64 {
    if len >= WORD { word } else { word & ((1 << (8 * len)) - 1) }
}

/// The word at `at`, or what of it lies before `end`.
///
/// # Safety
/// - `start + at` to `start + end` lie in a block and are initialised as far as a word reaches; `at < end`.
unsafe fn read(start: NonNull<u8>, at: usize, end: usize) -> u64 {
    if end - at >= WORD {
        // SAFETY: the caller says so. A block of a small alignment may start anywhere.
        return unsafe { start.add(at).cast::<u64>().read_unaligned() };
    }
    let mut bytes = [0; WORD];
    for (nth, byte) in bytes[..end - at].iter_mut().enumerate() {
        // SAFETY: before `end`.
        *byte = unsafe { start.add(at + nth).read() };
    }
    u64::from_le_bytes(bytes)
}

/// Writes the word at `at`, or what of it lies before `end`.
///
/// # Safety
/// - `start + at` to `start + end` lie in a block of the caller's; `at < end`.
unsafe fn write(start: NonNull<u8>, at: usize, end: usize, word: u64) {
    if end - at >= WORD {
        // SAFETY: the caller says so. A block of a small alignment may start anywhere.
        return unsafe { start.add(at).cast::<u64>().write_unaligned(word) };
    }
    for (nth, byte) in word.to_le_bytes()[..end - at].iter().enumerate() {
        // SAFETY: before `end`.
        unsafe { start.add(at + nth).write(*byte) };
    }
}
