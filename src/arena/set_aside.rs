//! Pieces that threads have set aside for themselves, so that placing a value is no business of other threads.
//!
//! A thread that has placed much in an arena takes a piece of it from the shared cursor, as one block, and divides it
//! by itself. A piece that is used up is extended where it stands if nobody has placed anything behind it: then a
//! thread alone packs exactly as the cursor does.
//!
//! - **Own**: the thread-local slot and the piece in it are the calling thread's.
//! - **At most an eighth**: a piece is no larger than an eighth of what its thread has placed in the arena, nor of what
//!   is left there.
//! - **Unpublished**: the cursor counts a piece as one block in use; what it holds is counted there when the piece is
//!   given back.

use super::arena_list::Node;
use super::bump;
use super::likely::likely;
use super::memory::Memory;
use super::piece::{Piece, PieceFigures};
use super::unpublished::Unpublished;
use crate::sync::Cell;
use core::alloc::Layout;
use core::ops::Range;
use core::ptr::{self, NonNull};

/// One part in so many is set aside at most, and left over at most.
const SHARE: usize = 8;
/// The smallest piece that is set aside at first, in bytes: less would not be worth the trouble.
const SMALLEST: usize = 512;
/// The largest piece, in bytes: a hundred values even of half a KiB to each visit at the cursor.
const LARGEST: usize = 64 * 1024;
/// Blocks that a thread takes from an arena's cursor before it turns to that arena. Also what a change of arenas costs
/// must be spread over.
const PATIENCE: usize = 64;

/// What a thread knows of the arenas it places in. What the fast path needs is on one cache line.
#[repr(C, align(64))]
struct Slot {
    /// Without memory until it is needed. First, so that it is where the slot is, and one register addresses both.
    piece: Piece<1>,
    /// The arena that the thread has turned to, and which the piece is of. Null: none.
    arena: Cell<*const Node>,
    /// The arena's.
    memory: Cell<Option<Memory>>,
    /// Bytes that the thread has placed in the arena, up to `counted_to` in the piece.
    placed: Cell<usize>,
    counted_to: Cell<*mut u8>,
    /// The arena that it may turn to next, and what it has placed there.
    next: Cell<*const Node>,
    next_placed: Cell<usize>,
    next_blocks: Cell<usize>,
    /// The piece's blocks when it first placed something there.
    blocks_then: Cell<usize>,
    /// True while the thread must not turn to an arena: it is about to end, or is arranging for that.
    is_shut: Cell<bool>,
}

std::thread_local! {
    static SLOT: Slot = const { Slot::new() };
    static AT_END: AtEnd = const { AtEnd };
}

// Without a destructor the slot can be used for as long as the thread runs any code at all.
const _: () = assert!(!core::mem::needs_drop::<Slot>());

/// Gives the thread's piece back when the thread ends.
struct AtEnd;

impl Drop for AtEnd {
    fn drop(&mut self) {
        SLOT.with(|slot| {
            slot.is_shut.set(true);
            slot.turn_away();
        });
    }
}

/// The calling thread's slot. Not to be kept, nor passed to another thread.
#[inline(always)]
fn own_slot() -> &'static Slot {
    // A closure of two instructions, which compilers do not leave out of line.
    // SAFETY: valid until the thread has ended, and callers use it at once; it has no destructor to run before.
    SLOT.with(|slot| unsafe { &*ptr::from_ref(slot) })
}

/// A block of the calling thread's piece, if it has one of this arena and the layout, whose size is not zero, fits.
#[inline(always)]
pub(super) fn take(arena: &Node, layout: Layout) -> Option<NonNull<u8>> {
    let slot = own_slot();
    if likely(ptr::eq(slot.arena.get(), arena)) { slot.piece.take(layout) } else { None }
}

/// A block from the arena's cursor, or from a piece that is extended or set aside now; `None` where there is no room.
pub(super) fn take_slowly(arena: &'static Node, memory: Memory, layout: Layout) -> Option<NonNull<u8>> {
    SLOT.with(|slot| {
        if ptr::eq(slot.arena.get(), arena) {
            slot.refill(arena, memory, layout)
        } else {
            let block = arena.cursor.take(memory.addresses(), layout).ok()?;
            slot.consider(arena, memory, layout.size());
            Some(memory.at(block.start))
        }
    })
}

/// Takes back the block of `size` bytes that the calling thread took last of this arena.
pub(super) fn put_back(arena: &Node, memory: Memory, block: NonNull<u8>, size: usize) {
    SLOT.with(|slot| {
        if ptr::eq(slot.arena.get(), arena) && slot.piece.is_last(block, size) {
            slot.piece.put_back(block, size);
        } else {
            arena.cursor.put_back(memory.offsets(block.as_ptr(), size));
        }
    });
}

/// Gives the calling thread's piece of this arena back, if it has one.
pub(super) fn give_back(arena: &Node) {
    SLOT.with(|slot| {
        if ptr::eq(slot.arena.get(), arena) {
            slot.turn_away();
        }
    });
}

/// What the cursor does not know of the calling thread's piece.
pub(super) fn unpublished(arena: &Node) -> Unpublished {
    SLOT.with(|slot| if ptr::eq(slot.arena.get(), arena) { slot.unpublished() } else { Unpublished::default() })
}

impl Slot {
    const fn new() -> Self {
        Self {
            arena: Cell::new(ptr::null()),
            piece: Piece::empty(),
            memory: Cell::new(None),
            placed: Cell::new(0),
            counted_to: Cell::new(ptr::null_mut()),
            next: Cell::new(ptr::null()),
            next_placed: Cell::new(0),
            next_blocks: Cell::new(0),
            blocks_then: Cell::new(0),
            is_shut: Cell::new(false),
        }
    }

    fn has_piece(&self) -> bool {
        !self.piece.end().is_null()
    }

    /// The part of the piece in which nothing is, as offsets.
    fn rest(&self, memory: Memory) -> Range<usize> {
        memory.offset(self.piece.next())..memory.offset(self.piece.end())
    }

    fn unpublished(&self) -> Unpublished {
        if !self.has_piece() {
            return Unpublished::default();
        }
        let PieceFigures { blocks, dead, left } = self.piece.figures();
        // The number wraps round below zero, where blocks of the cursor were given back to the piece.
        Unpublished { blocks: (blocks as isize).wrapping_sub(1), dead, left }
    }

    /// The thread has placed a block in an arena that it has not turned to: should it?
    fn consider(&self, arena: &'static Node, memory: Memory, size: usize) {
        let blocks = self.piece.figures().blocks;
        if !ptr::eq(self.next.get(), arena) {
            self.next.set(arena);
            self.next_placed.set(0);
            self.next_blocks.set(0);
            self.blocks_then.set(blocks);
        }
        self.next_placed.set(self.next_placed.get().saturating_add(size));
        self.next_blocks.set(self.next_blocks.get() + 1);
        if self.next_blocks.get() < PATIENCE || self.next_placed.get() < SHARE * SMALLEST || self.is_shut.get() {
            return;
        }
        self.next.set(ptr::null());
        // A program's own memory may be where no piece can be.
        if !Piece::<1>::reaches(memory.addresses().end) {
            return;
        }
        // Not where more went into the piece meanwhile.
        if blocks.wrapping_sub(self.blocks_then.get()) < self.next_blocks.get() || self.arena.get().is_null() {
            self.turn_to(arena, memory);
        }
    }

    /// From now on the thread has pieces of this arena.
    #[cold]
    fn turn_to(&self, arena: &'static Node, memory: Memory) {
        let placed = self.next_placed.get();
        self.turn_away();
        // What the system or the library allocates for it meanwhile may be placed in an arena, too.
        self.is_shut.set(true);
        let will_end = AT_END.try_with(|_| ()).is_ok();
        self.is_shut.set(!will_end);
        if will_end {
            self.memory.set(Some(memory));
            self.placed.set(placed);
            self.counted_to.set(ptr::null_mut());
            self.arena.set(arena);
        }
    }

    /// The thread has no arena any more. Its piece is published.
    fn turn_away(&self) {
        let arena = self.arena.replace(ptr::null());
        // SAFETY: null, or the node of an arena that is there for good, as `turn_to` got it.
        if let (Some(arena), Some(memory)) = (unsafe { arena.as_ref() }, self.memory.get()) {
            self.publish(arena, memory);
        }
    }

    /// Gives the piece back: what it counted is the cursor's, and its rest is handed out again if nothing lies behind
    /// it.
    fn publish(&self, arena: &Node, memory: Memory) {
        if !self.has_piece() {
            return;
        }
        let own = self.unpublished();
        let rest = self.rest(memory);
        let left = rest.len();
        let is_given_back = arena.cursor.give_up(rest, self.piece.stale_rest());
        arena.cursor.adopt(own.blocks, own.dead + if is_given_back { 0 } else { left });
        self.piece.clear();
    }

    /// A block for `layout`, which does not fit the piece.
    fn refill(&self, arena: &'static Node, memory: Memory, layout: Layout) -> Option<NonNull<u8>> {
        if arena.cursor.is_closed() {
            self.turn_away();
            return None;
        }
        if self.extend(arena, memory, layout) {
            return self.piece.take(layout);
        }
        let left = memory.len().saturating_sub(arena.cursor.state().used);
        let len = self.wanted().min(left / SHARE);
        // So that of every piece at most an eighth is left when it is given up.
        let worst = layout.size().saturating_add(layout.align() - 1);
        if worst <= len / SHARE && self.begin(arena, memory, len) {
            return self.piece.take(layout);
        }
        let block = arena.cursor.take(memory.addresses(), layout).ok()?;
        self.placed.set(self.placed.get().saturating_add(layout.size()));
        Some(memory.at(block.start))
    }

    /// Extends the piece where it stands, by so much at least that a block for `layout` fits; false, and no change,
    /// where something lies behind it or the arena ends.
    fn extend(&self, arena: &Node, memory: Memory, layout: Layout) -> bool {
        if !self.has_piece() {
            return false;
        }
        let free = self.piece.next().addr()..memory.addresses().end;
        let Some(block) = bump::place(free.clone(), layout.size(), layout.align()) else { return false };
        let len = self.wanted().min(free.len() / SHARE).max(block.end - free.start);
        let rest = self.rest(memory);
        let is_last = arena.cursor.grow(rest.clone(), len, memory.len());
        if is_last {
            self.piece.extend(len - rest.len(), 0);
        }
        is_last
    }

    /// Gives the piece back and sets another one aside, of `len` bytes; false, and no change, where the arena has not
    /// as many.
    fn begin(&self, arena: &Node, memory: Memory, len: usize) -> bool {
        let Ok(layout) = Layout::from_size_align(len, 1) else { return false };
        let Ok(piece) = arena.cursor.take(memory.addresses(), layout) else { return false };
        self.publish(arena, memory);
        let start = memory.at(piece.start);
        self.piece.begin(start, len, 0);
        self.counted_to.set(start.as_ptr());
        true
    }

    /// The bytes that a piece should have now.
    fn wanted(&self) -> usize {
        let next = self.piece.next();
        let placed = self.placed.get().saturating_add(next.addr() - self.counted_to.get().addr());
        self.placed.set(placed);
        self.counted_to.set(next);
        (placed / SHARE).clamp(SMALLEST, LARGEST)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::boxed::Box;

    #[test]
    fn a_thread_turns_to_an_arena_that_it_uses_much_unless_its_addresses_have_too_many_bits() {
        for (end, turns) in [(1_usize << 47, true), (1 << 48, false), (1 << 56, false)] {
            let arena: &'static Node = Box::leak(Box::new(Node::new()));
            let start = NonNull::new(ptr::without_provenance_mut(end - (1 << 20))).unwrap();
            // SAFETY: nobody reads or writes there.
            let memory = unsafe { Memory::new(start, 1 << 20) };
            let slot = Slot::new();
            (0..PATIENCE).for_each(|_| slot.consider(arena, memory, 100));
            assert_eq!(ptr::eq(slot.arena.get(), arena), turns, "up to {end:#x}");
        }
    }
}
