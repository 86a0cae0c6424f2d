//! A world of a test's own: a mock, a backend and a registry; threads that borrow heaps in it; and a list of the blocks
//! that are live, whose contents are checked.

use crate::heap::{self, Borrower, Heap};
use crate::magazine::Place;
use crate::os::Platform;
use crate::os::mock::Mock;
use crate::region::Region;
use crate::registry::Registry;
use crate::segment::{Backend, Owner};
use crate::size_class::SizeClass;
use crate::stats::Stats;
use core::alloc::Layout;
use core::ptr::NonNull;
use std::boxed::Box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::vec::Vec;

/// A process in small. What it maps is given back when it is dropped.
pub(super) struct World {
    pub(super) mock: &'static Mock,
    pub(super) backend: &'static Backend,
    pub(super) registry: &'static Registry,
    pub(super) region: &'static Region,
    /// Number of blocks that threads were given.
    given: &'static AtomicU64,
}

impl World {
    pub(super) fn on(mock: &'static Mock) -> Self {
        let backend = Box::leak(Box::new(Backend::new(mock)));
        let registry = Box::leak(Box::new(Registry::new()));
        Self { mock, backend, registry, region: Box::leak(Box::new(Region::new())), given: Box::leak(Box::default()) }
    }

    pub(super) fn new() -> Self {
        Self::on(Mock::new())
    }

    /// A thread that has borrowed a heap, if it got one.
    pub(super) fn thread(&self) -> Option<Thread> {
        let heap = self.registry.borrow(self.backend)?;
        let borrower: &'static Borrower = Box::leak(Box::new(Borrower::fresh()));
        borrower.take(heap);
        Some(Thread { heap, borrower, backend: self.backend, registry: self.registry, given: self.given })
    }

    /// Counts a block that was given to no thread.
    pub(super) fn count(&self) {
        self.given.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> Stats {
        let mut stats = Stats::new();
        stats.fill(self.backend, self.registry, self.region);
        stats
    }

    /// Panics unless every byte is accounted for and the program has these blocks and no others.
    #[track_caller]
    pub(super) fn assert_has(&self, live: &Live) {
        let stats = self.assert_balanced();
        assert_eq!(stats.live_blocks(), live.blocks.len(), "{stats}");
        assert!(stats.live_bytes() >= live.bytes(), "{stats}");
    }

    /// Panics unless every byte is accounted for, and every block that has left its slab.
    #[track_caller]
    pub(super) fn assert_balanced(&self) -> Stats {
        let stats = self.stats();
        assert!(stats.is_balanced(), "{} of {} bytes\n{stats}\n{stats:?}", stats.balance.total(), stats.committed);
        for class in &stats.classes {
            let outside = class.live + class.in_magazines + class.in_outboxes + class.remote_pending;
            assert_eq!(class.traffic.outside(), outside as u64, "{class:?}");
        }
        assert!(stats.span_traffic.outside() >= stats.spans as u64, "{stats:?}");
        assert!(stats.mappings_allocated >= stats.mappings as u64);
        assert_eq!(stats.allocations, self.given.load(Ordering::Relaxed));
        assert_eq!(stats.frees(), stats.allocations - stats.live_blocks() as u64);
        assert!(stats.peak_committed >= stats.peak_since_reset && stats.peak_since_reset >= stats.committed);
        let (told, is) = (self.backend.counters.live(), super::peaks::told_of(self, &stats));
        assert!(told.abs_diff(is) <= super::peaks::bound(&stats), "{told} bytes are said to be live: {is}");
        assert!(stats.peak_live_bytes >= stats.peak_live_since_reset && stats.peak_live_since_reset >= is);
        stats
    }

    /// Panics unless what the mock has mapped is what the counters say. `lost` more bytes may be mapped, whose
    /// unmapping failed.
    #[track_caller]
    pub(super) fn assert_no_leak(&self, map: usize, lost: usize) {
        let guards = if cfg!(feature = "hardened") { 2 * self.mock.page_size() } else { 0 };
        let heap = size_of::<Heap>().next_multiple_of(self.mock.page_size()) + guards;
        let heaps: usize = self.registry.heaps().map(|each| heap + each.depot_bytes()).sum();
        let known = self.backend.counters.reserved() + map + heaps;
        let mapped = self.mock.mapped();
        assert!((known..=known + lost).contains(&mapped), "{mapped} bytes are mapped, {known} known, {lost} lost");
    }

    /// Purges as a thread would whose clock is at `now`.
    pub(super) fn purge(&self, before: u64, now: u64) {
        for heap in self.registry.heaps() {
            heap.purge(before, now, true);
        }
        self.backend.purge_unused(before, now);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // SAFETY: tests keep threads and blocks for as long as their world at most.
        unsafe { self.mock.give_all_back() };
    }
}

/// A thread of a world, which does what `global` does for a real one.
pub(super) struct Thread {
    pub(super) heap: &'static Heap,
    pub(super) borrower: &'static Borrower,
    backend: &'static Backend,
    registry: &'static Registry,
    given: &'static AtomicU64,
}

impl Thread {
    pub(super) fn alloc(&self, layout: Layout) -> Option<NonNull<u8>> {
        self.take(layout).inspect(|_| self.count())
    }

    fn count(&self) {
        self.given.fetch_add(1, Ordering::Relaxed);
    }

    /// What `global` has stolen from other heaps where this one would have to grow.
    fn others(&self) -> impl Fn(SizeClass, &mut [Place]) -> usize {
        |class, places| self.registry.steal(self.heap, class, places)
    }

    fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
        let tops = &self.borrower.tops;
        if let Some(class) = SizeClass::of(layout).or_else(|| SizeClass::of_span(layout)) {
            // SAFETY: these are this thread's tops.
            return unsafe { tops.pop(class) }.or_else(|| unsafe { self.heap.refill(tops, class, &self.others()) });
        }
        if heap::is_span(layout) {
            return self.heap.take_span(layout).map(|(block, _)| block);
        }
        self.backend.map_block_of_kept(layout).or_else(|| self.backend.map_block(layout).map(|(block, _)| block))
    }

    pub(super) fn alloc_zeroed(&self, layout: Layout) -> Option<NonNull<u8>> {
        let class = SizeClass::of(layout).or_else(|| SizeClass::of_span(layout));
        let (block, is_zero) = match class {
            // SAFETY: these are this thread's tops.
            Some(class) => match unsafe { self.borrower.tops.pop(class) } {
                Some(block) => (block, false),
                // SAFETY: as above.
                None => unsafe { self.heap.refill_zeroed(&self.borrower.tops, class, &self.others()) }?,
            },
            None if heap::is_span(layout) => self.heap.take_span(layout)?,
            None => self.backend.map_zeroed_block_of_kept(layout).or_else(|| self.backend.map_block(layout))?,
        };
        if is_zero {
            // SAFETY: a block of this size, of memory that was mapped and so is initialised.
            let bytes = unsafe { core::slice::from_raw_parts(block.as_ptr(), layout.size()) };
            assert!(bytes.iter().all(|&byte| byte == 0), "{layout:?} was said to read as zero");
        }
        self.count();
        Some(block)
    }

    pub(super) fn free(&self, block: NonNull<u8>, layout: Layout) {
        let tops = &self.borrower.tops;
        let owner = self.backend.owners.look_up(block.addr().get());
        let is_mine = owner == self.heap.owner();
        if owner != Owner::NONE && !owner.is_heap() {
            assert!(self.backend.unmap_block(block));
            return;
        }
        assert!(owner.is_heap(), "{block:p} is {owner:?}");
        match (SizeClass::of(layout), SizeClass::of_span(layout)) {
            // SAFETY: these are this thread's tops, and the block is its heap's.
            (Some(class), _) | (None, Some(class)) if is_mine => unsafe {
                if !tops.push(class, block.as_ptr()) {
                    self.heap.flush(tops, class, block);
                }
            },
            (Some(class), _) => {
                // SAFETY: these are this thread's tops, and a block of that heap.
                let is_kept = unsafe { self.heap.keep_stolen(owner, tops, class, block) };
                if !is_kept {
                    // SAFETY: this thread's heap, and a block of another one.
                    unsafe { self.heap.put_in_outbox(class, block) };
                }
            }
            // SAFETY: a span of this heap.
            _ if is_mine => assert!(unsafe { self.heap.put_span(block, layout) }),
            // SAFETY: a span of some heap.
            _ => assert!(unsafe { heap::return_span_remotely(block, &self.backend.counters) }),
        }
    }

    /// Resizes without copying, where that is possible.
    pub(super) fn resize(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Option<NonNull<u8>> {
        let owner = self.backend.owners.look_up(block.addr().get());
        if SizeClass::of(old).is_some() || SizeClass::of(new).is_some() {
            None
        } else if owner != Owner::NONE && !owner.is_heap() {
            // SAFETY: the caller's block.
            if heap::is_span(new) { None } else { unsafe { self.backend.remap_block(block, new) } }
        } else if owner == self.heap.owner() && heap::is_span(new) {
            // SAFETY: a span of this heap, and the caller's.
            unsafe { self.heap.resize_span(block, new) }.then_some(block)
        } else {
            None
        }
    }

    /// The thread ends.
    pub(super) fn end(self) {
        // SAFETY: these are this thread's tops.
        unsafe { self.heap.empty_magazines(&self.borrower.tops) };
        self.heap.remember_taken(&self.borrower.tops);
        self.heap.seat().leave(|| ());
        self.borrower.leave();
        self.registry.park(self.heap);
    }
}

/// A live block: where, what for, and the mark that was written to its ends.
struct Block {
    start: NonNull<u8>,
    layout: Layout,
    mark: u8,
}

impl Block {
    fn write(&self) {
        // SAFETY: the first and the last byte of the test's own block.
        unsafe {
            self.start.write(self.mark);
            self.start.add(self.layout.size() - 1).write(!self.mark);
        }
    }

    #[track_caller]
    fn check(&self) {
        let (start, layout) = (self.start, self.layout);
        assert!(start.addr().get().is_multiple_of(layout.align()));
        // SAFETY: the first and the last byte of the test's own block.
        let ends = unsafe { (start.read(), start.add(layout.size() - 1).read()) };
        let expected = if layout.size() == 1 { (!self.mark, !self.mark) } else { (self.mark, !self.mark) };
        assert_eq!(ends, expected, "{layout:?} at {start:p} was overwritten");
    }
}

// SAFETY: a block may be used and freed on any thread.
unsafe impl Send for Block {}

/// The blocks that the program has.
#[derive(Default)]
pub(super) struct Live {
    blocks: Vec<Block>,
    marks: u8,
    /// Requests that were met with nothing.
    pub(super) refused: usize,
}

impl Live {
    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }

    fn bytes(&self) -> usize {
        self.blocks.iter().map(|block| block.layout.size()).sum()
    }

    fn add(&mut self, start: NonNull<u8>, layout: Layout) {
        self.marks = self.marks.wrapping_add(1);
        let block = Block { start, layout, mark: self.marks };
        block.write();
        block.check();
        self.blocks.push(block);
    }

    /// Allocates a block; true where there was one.
    pub(super) fn alloc(&mut self, thread: &Thread, size: usize, align: usize, zeroed: bool) -> bool {
        let layout = Layout::from_size_align(size, align).unwrap();
        let found = if zeroed { thread.alloc_zeroed(layout) } else { thread.alloc(layout) };
        match found {
            Some(start) => self.add(start, layout),
            None => self.refused += 1,
        }
        found.is_some()
    }

    /// Frees the `nth` block.
    #[track_caller]
    pub(super) fn free(&mut self, thread: &Thread, nth: usize) {
        let block = self.blocks.swap_remove(nth);
        block.check();
        thread.free(block.start, block.layout);
    }

    /// Gives the blocks to `other`.
    pub(super) fn give(&mut self, other: &mut Live) {
        other.blocks.append(&mut self.blocks);
    }

    /// Takes half of the blocks of `other`.
    pub(super) fn take_half(&mut self, other: &mut Live) {
        let half = other.blocks.len() / 2;
        self.blocks.extend(other.blocks.drain(half..));
    }

    /// Takes the last block of `other`, if it has any.
    pub(super) fn take_last(&mut self, other: &mut Live) {
        self.blocks.extend(other.blocks.pop());
    }

    /// Frees every block.
    #[track_caller]
    pub(super) fn free_all(&mut self, thread: &Thread) {
        while !self.blocks.is_empty() {
            self.free(thread, self.blocks.len() - 1);
        }
    }

    /// Resizes the `nth` block, without a copy or with one; where neither can be, the block stays.
    #[track_caller]
    pub(super) fn resize(&mut self, thread: &Thread, nth: usize, size: usize) {
        let Block { start, layout, mark } = self.blocks[nth];
        self.blocks[nth].check();
        let new = Layout::from_size_align(size, layout.align()).unwrap();
        match thread.resize(start, layout, new) {
            Some(moved) => {
                let expected = if layout.size() == 1 { !mark } else { mark };
                // SAFETY: the first byte of the test's own block.
                assert_eq!(unsafe { moved.read() }, expected, "the contents have come along");
                self.blocks[nth] = Block { start: moved, layout: new, mark };
                self.blocks[nth].write();
            }
            None => match thread.alloc(new) {
                Some(moved) => {
                    self.add(moved, new);
                    self.free(thread, nth);
                }
                None => self.refused += 1,
            },
        }
    }

    /// Panics unless every block holds what was written to it.
    #[track_caller]
    pub(super) fn check(&self) {
        self.blocks.iter().for_each(Block::check);
    }
}
