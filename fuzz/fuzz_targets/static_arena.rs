//! A static arena as an allocator, against a model that knows where each block must lie and what every figure must be.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::{ptr, slice};
use tenure::StaticArena;

const LEN: usize = 4096;

/// Memory that each run makes an arena of.
#[repr(align(4096))]
struct Region(UnsafeCell<[MaybeUninit<u8>; LEN + 64]>);

// SAFETY: the fuzzer runs on one thread.
unsafe impl Sync for Region {}

static REGION: Region = Region(UnsafeCell::new([MaybeUninit::uninit(); LEN + 64]));

struct Block {
    offset: usize,
    layout: Layout,
    /// What each of its bytes is.
    filling: u8,
}

#[derive(Default)]
struct Model {
    blocks: Vec<Block>,
    used: usize,
    dead: usize,
    high_water: usize,
    fallbacks: usize,
}

struct World<'a> {
    arena: &'a StaticArena,
    base: usize,
    capacity: usize,
    model: Model,
}

impl World<'_> {
    /// Where a block for `layout` must lie.
    fn expected(&self, layout: Layout) -> Option<usize> {
        let offset = (self.base + self.model.used).next_multiple_of(layout.align()) - self.base;
        offset.checked_add(layout.size()).is_some_and(|end| end <= self.capacity).then_some(offset)
    }

    fn place(&mut self, layout: Layout, filling: u8, zeroed: bool) {
        // SAFETY: the size is not zero.
        let block = unsafe { if zeroed { self.arena.alloc_zeroed(layout) } else { self.arena.alloc_raw(layout) } };
        let Some(offset) = self.expected(layout) else {
            assert!(block.is_null(), "{layout:?} was placed");
            self.model.fallbacks += 1;
            return;
        };
        assert_eq!(block.addr(), self.base + offset, "{layout:?}");
        if zeroed {
            // SAFETY: a block of this size, and zeroed.
            let bytes = unsafe { slice::from_raw_parts(block, layout.size()) };
            assert!(bytes.iter().all(|&byte| byte == 0), "{layout:?} is not zero");
        }
        // SAFETY: a block of this size, which is ours.
        unsafe { block.write_bytes(filling, layout.size()) };
        self.take_up(offset, layout.size());
        self.model.blocks.push(Block { offset, layout, filling });
    }

    fn take_up(&mut self, offset: usize, size: usize) {
        self.model.dead += offset - self.model.used;
        self.model.used = offset + size;
        self.model.high_water = self.model.high_water.max(self.model.used);
    }

    fn pointer(&self, offset: usize) -> *mut u8 {
        REGION.0.get().cast::<u8>().with_addr(self.base + offset)
    }

    fn check(&self, block: &Block, size: usize) {
        // SAFETY: a live block, of which `size` bytes were filled.
        let bytes = unsafe { slice::from_raw_parts(self.pointer(block.offset), size) };
        assert!(bytes.iter().all(|&byte| byte == block.filling), "the block at {} was changed", block.offset);
    }

    fn give_back(&mut self, index: usize) {
        let block = self.model.blocks.swap_remove(index);
        self.check(&block, block.layout.size());
        // SAFETY: the block is given up, with its layout.
        unsafe { self.arena.dealloc(self.pointer(block.offset), block.layout) };
        self.forget(block.offset, block.layout.size());
    }

    /// The bytes of a block are taken up again if it is the last, and dead if it is not.
    fn forget(&mut self, offset: usize, size: usize) {
        if offset + size == self.model.used {
            self.model.used = offset;
        } else {
            self.model.dead += size;
        }
    }

    fn resize(&mut self, index: usize, new_size: usize, filling: u8) {
        let mut block = self.model.blocks.swap_remove(index);
        let (offset, old) = (block.offset, block.layout);
        let new = Layout::from_size_align(new_size, old.align()).unwrap();
        let is_last = offset + old.size() == self.model.used;
        // SAFETY: the block's own layout; the new size is not zero.
        let moved = unsafe { self.arena.realloc(self.pointer(offset), old, new_size) };
        if new_size <= old.size() {
            assert_eq!(moved, self.pointer(offset));
            self.forget(offset + new_size, old.size() - new_size);
        } else if is_last && offset + new_size <= self.capacity {
            assert_eq!(moved, self.pointer(offset));
            self.take_up(self.model.used, new_size - old.size());
        } else if let Some(place) = self.expected(new) {
            assert_eq!(moved, self.pointer(place));
            self.take_up(place, new_size);
            self.model.dead += old.size();
            block.offset = place;
        } else {
            assert!(moved.is_null());
            self.model.fallbacks += 1;
            self.check(&block, old.size());
            self.model.blocks.push(block);
            return;
        }
        self.check(&block, old.size().min(new_size));
        // SAFETY: a block of this size, which is ours.
        unsafe { moved.write_bytes(filling, new_size) };
        self.model.blocks.push(Block { offset: block.offset, layout: new, filling });
    }

    fn check_figures(&self) {
        let stats = self.arena.stats();
        let found = (stats.used, stats.dead, stats.blocks, stats.high_water, stats.fallbacks);
        let Model { blocks, used, dead, high_water, fallbacks } = &self.model;
        assert_eq!(found, (*used, *dead, blocks.len(), *high_water, *fallbacks));
        assert_eq!(stats.live(), blocks.iter().map(|block| block.layout.size()).sum());
    }
}

/// The method of the trait, which `StaticArena::alloc` hides.
trait AllocRaw {
    /// # Safety
    /// - As of `GlobalAlloc::alloc`.
    unsafe fn alloc_raw(&self, layout: Layout) -> *mut u8;
}

impl AllocRaw for StaticArena {
    unsafe fn alloc_raw(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's duty is the same.
        unsafe { GlobalAlloc::alloc(self, layout) }
    }
}

fuzz_target!(|input: (u8, u16, Vec<(u8, u16, u8)>)| {
    let (skew, len, operations) = input;
    let (skew, capacity) = (usize::from(skew % 64), usize::from(len) % (LEN + 1));
    // SAFETY: the region has this many bytes behind `skew`.
    let start = unsafe { REGION.0.get().cast::<MaybeUninit<u8>>().add(skew) };
    // SAFETY: no other arena is alive; the last run's ended with it.
    let memory: &'static mut [MaybeUninit<u8>] = unsafe { &mut *ptr::slice_from_raw_parts_mut(start, capacity) };
    let arena = StaticArena::from_slice(memory);
    let mut world = World { arena: &arena, base: start.addr(), capacity, model: Model::default() };
    for (nth, (kind, size, choice)) in operations.into_iter().enumerate() {
        let filling = nth as u8 | 1;
        let size = if kind & 16 == 0 { usize::from(size % 64) } else { usize::from(size) } + 1;
        let count = world.model.blocks.len();
        match kind % 8 {
            0..3 => world.place(Layout::from_size_align(size, 1 << (choice % 13)).unwrap(), filling, false),
            3 => world.place(Layout::from_size_align(size, 1 << (choice % 13)).unwrap(), filling, true),
            _ if count == 0 => {}
            // Half of the time the newest block, which may be the last.
            4 => world.give_back(count - 1),
            5 => world.give_back(usize::from(choice) % count),
            6 => world.resize(count - 1, size, filling),
            _ => world.resize(usize::from(choice) % count, size, filling),
        }
        world.check_figures();
    }
    for block in &world.model.blocks {
        world.check(block, block.layout.size());
    }
});
