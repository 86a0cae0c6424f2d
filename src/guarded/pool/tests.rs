//! A pool on a system of the test's own.

use super::*;
use crate::os::mock::{Call, Mock};
use std::boxed::Box;
use std::vec::Vec;

struct World {
    mock: &'static Mock,
    backend: &'static Backend,
    pool: &'static Pool,
}

impl World {
    fn with_page_size(page_size: usize) -> Self {
        let mock = Mock::with_page_size(page_size);
        let backend: &'static Backend = Box::leak(Box::new(Backend::new(mock)));
        let pool = Pool::create(backend, 1).expect("the system has memory");
        Self { mock, backend, pool }
    }

    fn take(&self, size: usize, align: usize) -> Option<(NonNull<u8>, bool)> {
        self.pool.take(self.backend, Wanted { size, align, tag: 0, unwinder: Unwinder::FramePointers })
    }

    fn free(&self, block: NonNull<u8>, size: usize) -> Result<(), Wrong> {
        self.pool.give_back(self.backend, block.addr().get(), Some(size), Unwinder::FramePointers)
    }

    /// Committed bytes besides metadata.
    fn committed(&self) -> usize {
        self.backend.counters.committed() - self.backend.counters.metadata()
    }
}

#[test]
fn every_slot_serves_and_each_page_is_counted_once() {
    for page_size in [4096, 16384, 65536] {
        let world = World::with_page_size(page_size);
        for round in 1..=3 {
            let blocks: Vec<_> = (0..SLOTS).map(|nth| world.take(1 + nth * 16, 16).unwrap()).collect();
            assert!(world.take(16, 16).is_none());
            assert_eq!(world.committed(), SLOTS * page_size);
            for (nth, &(block, is_zero)) in blocks.iter().enumerate() {
                let size = 1 + nth * 16;
                assert_eq!(world.pool.size_of(block.addr().get()), Some(size));
                assert!(is_zero && block.addr().get() % 16 == 0);
                // SAFETY: a block of this size.
                assert!((0..size).all(|at| unsafe { block.add(at).read() } == 0));
                // SAFETY: as above.
                unsafe { block.write_bytes(0xff, size) };
            }
            for (nth, &(block, _)) in blocks.iter().enumerate() {
                assert_eq!(world.free(block, 1 + nth * 16), Ok(()));
                assert_eq!(world.free(block, 1 + nth * 16), Err(Wrong::Freed));
            }
            assert_eq!(world.committed(), 0);
            assert_eq!(world.pool.counts(), ((round * SLOTS) as u64, round as u64));
        }
        assert!(world.take(page_size + 1, 1).is_none() && world.take(1, 2 * page_size).is_none());
    }
}

#[test]
fn what_is_wrong_with_a_free_is_told_and_the_block_stays() {
    let world = World::with_page_size(4096);
    let (block, _) = world.take(20, 8).unwrap();
    assert_eq!(world.free(block, 24), Err(Wrong::Size));
    for inside in [1, 19] {
        // SAFETY: within the block's page.
        assert_eq!(world.free(unsafe { block.add(inside) }, 20), Err(Wrong::NoBlock));
    }
    let page = block.addr().get() & !4095;
    for beside in [page - 1, page + 4096] {
        assert_eq!(world.free(NonNull::new(ptr::without_provenance_mut(beside)).unwrap(), 20), Err(Wrong::NoBlock));
    }
    // Of the four bytes that the alignment leaves, or of those behind them.
    // SAFETY: within the block's page.
    let behind = unsafe { block.add(20) };
    // SAFETY: as above.
    unsafe { behind.write(!behind.read()) };
    assert_eq!(world.free(block, 20), Err(Wrong::Written(behind.addr().get())));
    // SAFETY: as above.
    unsafe { behind.write(!behind.read()) };
    assert_eq!(world.free(block, 20), Ok(()));
}

#[test]
fn the_nearest_block_is_told_of() {
    let world = World::with_page_size(4096);
    let blocks: Vec<_> = (0..SLOTS).map(|_| world.take(48, 16).unwrap().0.addr().get()).collect();
    let mut sides = [0, 0];
    for &block in &blocks {
        let at = |address: usize| world.pool.nearest(address).unwrap().start;
        assert_eq!((at(block), at(block + 47)), (block, block));
        // What lies on the side of the block where the guard is.
        if block % 4096 == 0 {
            assert_eq!(at(block - 1), block);
            sides[0] += 1;
        } else {
            assert_eq!((at(block + 48), block % 4096), (block, 4096 - 48));
            sides[1] += 1;
        }
    }
    assert!(sides[0] > SLOTS / 8 && sides[1] > SLOTS / 2, "{sides:?}");
    assert!(world.pool.nearest(0).is_none() && !world.pool.holds(usize::MAX));
}

#[test]
fn any_call_may_fail_and_nothing_is_lost() {
    for call in [Call::Forbid, Call::Permit, Call::Purge] {
        let world = World::with_page_size(4096);
        world.mock.fail_from(Some(call), 1);
        let mut blocks = Vec::new();
        for _ in 0..SLOTS {
            blocks.extend(world.take(100, 8));
        }
        assert_eq!(blocks.len(), if call == Call::Permit { 0 } else { SLOTS });
        for &(block, _) in &blocks {
            // SAFETY: a block of this size.
            unsafe { block.write_bytes(0xff, 100) };
            assert_eq!(world.free(block, 100), Ok(()));
        }
        assert_eq!(world.committed(), 0, "{call:?}");
        world.mock.succeed();
        for _ in 0..2 {
            for _ in 0..SLOTS {
                let (block, is_zero) = world.take(100, 8).unwrap();
                // SAFETY: a block of this size.
                assert!(!is_zero || (0..100).all(|at| unsafe { block.add(at).read() } == 0), "{call:?}");
                blocks.push((block, is_zero));
            }
            assert_eq!(world.committed(), SLOTS * 4096, "{call:?}");
            for &(block, _) in &blocks[blocks.len() - SLOTS..] {
                assert_eq!(world.free(block, 100), Ok(()));
            }
            assert_eq!(world.committed(), 0, "{call:?}");
        }
    }
}

#[test]
fn a_pool_that_cannot_be_made_leaves_nothing_behind() {
    for call in [Call::Map, Call::Reserve, Call::Commit, Call::Forbid] {
        for nth in 1..=3 {
            let mock = Mock::with_page_size(4096);
            let backend: &'static Backend = Box::leak(Box::new(Backend::new(mock)));
            mock.fail_nth(Some(call), nth);
            let before_refusal = Pool::create(backend, 1).is_none();
            mock.succeed();
            let committed = backend.counters.committed();
            assert_eq!(committed, backend.counters.metadata(), "{call:?} {nth}");
            if before_refusal {
                assert_eq!(backend.counters.reserved(), 0, "{call:?} {nth}");
            }
            assert!(Pool::create(backend, 1).is_some(), "{call:?} {nth}");
        }
    }
}
