//! Held back: blocks that were freed on probation, and that nobody is to have for a while. They leave in the order in
//! which they came, when there is no more room.
//!
//! Poison stands at both ends of such a block, and is looked for when it leaves. A byte of it that has changed was
//! written by somebody who had the address still, or who wrote past the end of a neighbour. No more is overwritten than
//! glibc's own lists take of a free block: what a program finds that reads a block it has freed is no worse than there.

use super::core::{Core, Host, Misuse, locate, refuse};
use super::counts::Counts;
use super::misuse::written_while_free;
use crate::magazine::Place;
use crate::os::report::fatal;
use crate::segment::{self, Segment};
use crate::size_class::SizeClass;
use crate::slab::{Blocks, Slab, SlotKind};
use core::ptr;

/// Of a word: no address that a program can have, and no text.
const POISON: u64 = 0xDFDF_DFDF_DFDF_DFDF;

const WORD: usize = size_of::<u64>();

/// Words at the start of a block; one more stands at its end.
const FRONT: usize = 2;

/// Blocks that are held back at a time.
const PLACES: usize = 128;

/// Bytes of them, at most.
const MOST_BYTES: usize = 64 * 1024;

/// The blocks that a heap holds back, all of them of slabs. Each is out of its slab, as if it were in use.
pub(super) struct HeldBack {
    /// A ring; null where there is no block.
    blocks: [Place; PLACES],
    /// Where the oldest stands.
    oldest: usize,
    count: usize,
    bytes: usize,
    /// Magazines that are to be filled until blocks leave, unless another joins them.
    patience: u8,
}

/// Magazines that are filled meanwhile by a heap that has left its probation behind.
const PATIENCE: u8 = 32;

/// The words of a block of `size` bytes, which is a multiple of a word, that are poisoned.
fn words(block: Place, size: usize) -> impl Iterator<Item = *mut u64> {
    let last = size / WORD - 1;
    (0..FRONT.min(last)).chain([last]).map(move |nth| block.cast::<u64>().wrapping_add(nth))
}

impl HeldBack {
    pub(super) const fn new() -> Self {
        Self { blocks: [ptr::null_mut(); PLACES], oldest: 0, count: 0, bytes: 0, patience: 0 }
    }

    /// True where there is room for a block of `size` bytes. There always is where nothing is held back.
    pub(super) fn has_room(&self, size: usize) -> bool {
        self.count < PLACES && (self.count == 0 || self.bytes + size <= MOST_BYTES)
    }

    /// Holds a block back, and poisons it.
    ///
    /// # Safety
    /// - There is room for it.
    /// - `block` is the start of a block of `class`, of slabs, that was freed and is in no slab; nobody else has it
    ///   until it leaves.
    pub(super) unsafe fn add(&mut self, block: Place, class: SizeClass) {
        debug_assert!(self.has_room(class.size()));
        self.blocks[(self.oldest + self.count) % PLACES] = block;
        self.count += 1;
        self.bytes += class.size();
        self.patience = PATIENCE;
        for word in words(block, class.size()) {
            // SAFETY: inside the block, which is the heap's; blocks stand at multiples of a word.
            unsafe { word.write(POISON) };
        }
    }

    /// A magazine is filled: true where many were since the last block came.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.patience = self.patience.saturating_sub(1);
        self.patience == 0
    }

    /// How many blocks of `class` are held back.
    pub(super) fn blocks_of(&self, class: SizeClass) -> usize {
        self.iter().filter(|&block| class_of(block) == class).count()
    }

    /// The oldest, and its class; ends the process if it was written to. `None` where nothing is held back.
    pub(super) fn take(&mut self) -> Option<(Place, SizeClass)> {
        let block = core::mem::replace(&mut self.blocks[self.oldest], ptr::null_mut());
        if block.is_null() {
            return None;
        }
        let class = class_of(block);
        self.oldest = (self.oldest + 1) % PLACES;
        self.count -= 1;
        self.bytes -= class.size();
        // SAFETY: it was added, and has not been handed out since.
        unsafe { look(block, class.size()) };
        Some((block, class))
    }

    /// True where `block` is held back.
    pub(super) fn holds(&self, block: Place) -> bool {
        self.blocks.contains(&block)
    }

    /// The blocks that are held back.
    pub(super) fn iter(&self) -> impl Iterator<Item = Place> {
        let count = if self.count == 0 { 0 } else { PLACES };
        self.blocks[..count].iter().copied().filter(|block| !block.is_null())
    }
}

impl Core {
    /// Keeps a block that was freed on probation out of use for a while.
    ///
    /// # Safety
    /// - It is a block of `class`, of a slab of this heap's, and nobody has it any more.
    pub(super) unsafe fn hold_back(&mut self, host: Host<'_>, block: Place, class: SizeClass) {
        while !self.held_back.has_room(class.size()) {
            self.let_oldest_go(host);
        }
        // SAFETY: passed on.
        unsafe { self.held_back.add(block, class) };
        Counts::of(host.counts, class).wait(1);
    }

    /// A magazine is filled: of what is held back, and was joined by nothing for long, one block goes to its slab.
    pub(super) fn let_go_in_time(&mut self, host: Host<'_>) {
        if self.held_back.is_quiet() {
            self.let_oldest_go(host);
        }
    }

    /// What is held back goes to its slabs, and places of spans are free.
    pub(super) fn let_go(&mut self, host: Host<'_>) {
        self.let_blocks_go(host);
        while self.let_oldest_span_go(host) {}
    }

    /// What is held back goes to its slabs.
    pub(super) fn let_blocks_go(&mut self, host: Host<'_>) {
        while self.let_oldest_go(host) {}
    }

    /// The block that was held back for longest goes to its slab; false where there is none.
    pub(super) fn let_oldest_go(&mut self, host: Host<'_>) -> bool {
        let Some((block, class)) = self.held_back.take() else { return false };
        check_not_returned(block, class);
        let counts = Counts::of(host.counts, class);
        counts.leave(1);
        self.put_back(host.backend, class, &[block]);
        counts.collect(1);
        true
    }

    /// Ends the process where a block of `slab`, of `class`, is held back and was freed by another thread, too.
    pub(super) fn check_held_back(&self, class: SizeClass, slab: &Slab) {
        for block in self.held_back.iter() {
            // SAFETY: what was added lies in a slab.
            if unsafe { segment::slab_of(block.addr()) }.is(slab) {
                check_not_returned(block, class);
            }
        }
    }
}

/// The class of a block that is held back.
fn class_of(block: Place) -> SizeClass {
    // SAFETY: what was added lies in a slab, which is one as long as a block is out of it.
    match unsafe { segment::slab_of(block.addr()) }.kind() {
        SlotKind::Slab(class) => class,
        _ => fatal(format_args!("corrupted metadata: {block:p}, which is held back, is in no slab")),
    }
}

/// Ends the process where a block of a slab, which is held back, was freed by another thread, too.
fn check_not_returned(block: Place, class: SizeClass) {
    // SAFETY: what is held back lies in a segment of the heap whose lock the caller holds.
    let (slab, index) = unsafe { locate(Blocks::of(class), block, Misuse::NotABlock) };
    if Segment::of(slab).is_returned(slab, index / 64, 1 << (index % 64)) {
        refuse(Misuse::DoubleFree, block, class.size());
    }
}

/// Ends the process if a block was written to since it was poisoned.
///
/// # Safety
/// - It is a poisoned block of `size` bytes, and nobody has it.
unsafe fn look(block: Place, size: usize) {
    for word in words(block, size) {
        // SAFETY: inside the block, as when it was written. A program that writes there at this moment is what is
        // looked for.
        let found = unsafe { word.read_volatile() };
        if found != POISON {
            let first = (found ^ POISON).to_le_bytes().iter().position(|&byte| byte != 0).unwrap_or(0);
            written_while_free(block, size, word.addr() - block.addr() + first);
        }
    }
}
