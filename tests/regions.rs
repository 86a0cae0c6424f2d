//! Regions: what a thread and a process do with memory, from one point in time to another.
#![cfg(not(loom))]

mod support;

use std::alloc::GlobalAlloc;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use support::block::{Block, layout};
use support::extent::extent;
use support::process::alone;
use support::random::{Random, seed};
use tenure::{Region, Tenure, static_scope};

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

#[test]
fn a_threads_region_counts_blocks_of_every_kind_exactly() {
    // Sizes that are asked for, and bytes that they take: of slabs, spans and mappings.
    let sizes = if cfg!(feature = "hardened") {
        let guard = 4 * KIB;
        [(1, 16), (100, 112), (1000, 1024), (40 * KIB, 64 * KIB), (100 * KIB, 128 * KIB), (3 * MIB, 3 * MIB + guard)]
    } else {
        [(1, 8), (100, 104), (1000, 1024), (40 * KIB, 64 * KIB), (100 * KIB, 128 * KIB), (3 * MIB, 3 * MIB)]
    };
    for (size, bytes) in sizes {
        assert_eq!(extent(size), bytes);
        let extent = bytes;
        for is_zeroed in [false, true] {
            let layout = layout(size, 1);
            let region = Region::thread();
            // SAFETY: a layout of a size that is not zero.
            let block = unsafe { if is_zeroed { GLOBAL.alloc_zeroed(layout) } else { GLOBAL.alloc(layout) } };
            let delta = region.delta();
            assert_eq!((delta.blocks, delta.bytes, delta.peak_bytes), (1, extent as isize, extent), "{delta:?}");
            assert_eq!((delta.allocations, delta.frees, delta.requested_bytes), (1, 0, size as u64), "{delta:?}");
            // SAFETY: allocated just now.
            unsafe { GLOBAL.dealloc(block, layout) };
            let delta = region.delta();
            assert_eq!((delta.blocks, delta.bytes, delta.peak_bytes), (0, 0, extent), "{delta:?}");
            assert_eq!((delta.frees, delta.freed_bytes), (1, extent as u64), "{delta:?}");
        }
    }
}

#[test]
fn a_threads_region_counts_blocks_without_a_layout_and_aligned_ones() {
    let sizes = if cfg!(feature = "hardened") {
        [(1, 16), (100, 112), (100 * KIB, 128 * KIB as isize), (3 * MIB, (3 * MIB + 4 * KIB) as isize)]
    } else {
        [(1, 8), (100, 112), (100 * KIB, 128 * KIB as isize), (3 * MIB, 3 * MIB as isize)]
    };
    for (size, extent) in sizes {
        let region = Region::thread();
        let block = GLOBAL.alloc_untyped(size);
        assert_eq!((region.delta().bytes, region.delta().requested_bytes), (extent, size as u64));
        let zeros = GLOBAL.alloc_zeroed_untyped(size);
        assert_eq!(region.delta().bytes, 2 * extent);
        // SAFETY: the caller's blocks.
        unsafe {
            GLOBAL.free_untyped(block);
            GLOBAL.free_untyped(zeros);
        }
        assert_eq!(
            (region.delta().bytes, region.delta().frees, region.delta().peak_bytes),
            (0, 2, 2 * extent as usize)
        );
    }
    for align in [64 * KIB, 256 * KIB, 4 * MIB] {
        let region = Region::thread();
        let block = Block::new(layout(100, align)).unwrap();
        assert_eq!(region.delta().blocks, 1);
        assert!(region.delta().bytes >= 100);
        block.free();
        assert_eq!((region.delta().blocks, region.delta().bytes), (0, 0));
    }
}

#[test]
fn a_region_sees_reallocations_that_take_or_give_memory() {
    let region = Region::thread();
    let mut text = Vec::<u8>::with_capacity(100);
    text.extend([7; 100]);
    // 104 bytes have room for that, and 112 for a check word besides: the block stays what it is.
    text.reserve_exact(3);
    assert_eq!((region.delta().allocations, region.delta().reallocations), (1, 0));
    // To another class it moves.
    text.reserve_exact(900);
    assert_eq!((region.delta().allocations, region.delta().frees), (2, 1));
    // Mappings grow without a copy, whether they move or not.
    text.reserve_exact(4 * MIB);
    let before = region.delta();
    text.reserve_exact(8 * MIB);
    text.shrink_to(5 * MIB);
    let delta = region.delta();
    assert_eq!((delta.allocations, delta.frees, delta.blocks), (before.allocations, before.frees, 1));
    assert_eq!(delta.reallocations, before.reallocations + 2);
    assert!((5 * MIB..9 * MIB).contains(&(delta.bytes as usize)), "{delta:?}");
    assert!(delta.peak_bytes >= 8 * MIB, "{delta:?}");
    drop(text);
    assert_eq!((region.delta().blocks, region.delta().bytes), (0, 0));
}

#[test]
fn regions_nest_and_each_has_its_own_peak() {
    let outer = Region::thread();
    let first = vec![0_u8; 1024];
    drop(black_box(vec![0_u8; 4096]));
    let inner = Region::thread();
    drop(black_box(vec![0_u8; 2048]));
    assert_eq!((inner.delta().peak_bytes, outer.delta().peak_bytes), (extent(2048), extent(1024) + extent(4096)));
    drop(black_box(vec![0_u8; 8192]));
    let both = extent(1024) + extent(8192);
    assert_eq!((inner.delta().peak_bytes, outer.delta().peak_bytes), (extent(8192), both));
    drop(inner);
    assert_eq!(outer.delta().peak_bytes, both);
    drop(first);
    assert_eq!((outer.delta().bytes, outer.delta().peak_bytes, outer.delta().allocations), (0, both, 4));
}

#[test]
fn regions_may_end_in_any_order_and_keep_their_figures() {
    let outer = Region::thread();
    drop(black_box(vec![0_u8; 8192]));
    let middle = Region::thread();
    drop(black_box(vec![0_u8; 4096]));
    let inner = Region::thread();
    drop(black_box(vec![0_u8; 1024]));
    drop(middle);
    assert_eq!((outer.delta().peak_bytes, inner.delta().peak_bytes), (extent(8192), extent(1024)));
    drop(outer);
    assert_eq!((inner.delta().peak_bytes, inner.delta().allocations), (extent(1024), 1));
    let later = Region::thread();
    drop(black_box(vec![0_u8; 2048]));
    drop(inner);
    assert_eq!((later.delta().peak_bytes, later.delta().allocations), (extent(2048), 1));
}

#[test]
fn regions_in_any_order_agree_with_a_model() {
    /// What is expected of a region.
    #[derive(Default)]
    struct Expected {
        bytes: isize,
        peak: isize,
        allocations: u64,
        frees: u64,
    }
    /// A freed mapping serves smaller blocks, too, and of a hardened build's blocks nobody can tell by how much it is
    /// larger.
    const LARGEST: usize = if cfg!(feature = "hardened") { 400 * KIB } else { 4 * MIB };
    /// Bytes that a block takes.
    fn bytes_of(block: &Block) -> isize {
        if cfg!(feature = "hardened") {
            return extent(block.layout().size()) as isize;
        }
        // SAFETY: in use.
        unsafe { GLOBAL.usable_size(block.as_ptr()) as isize }
    }
    let mut random = Random::new(seed());
    let mut regions = Vec::with_capacity(32);
    let mut blocks = Vec::with_capacity(256);
    for _ in 0..20_000 {
        match random.below(100) {
            0..5 if regions.len() < 10 => regions.push((Region::thread(), Expected::default())),
            5..10 if !regions.is_empty() => {
                let nth = random.below(regions.len());
                drop(regions.remove(nth));
            }
            10..60 if blocks.len() < 256 => {
                let size =
                    if random.one_in(50) { random.log_uniform(32 * KIB, LARGEST) } else { random.below(2000) + 1 };
                let block = Block::of(size);
                let extent = bytes_of(&block);
                blocks.push(block);
                for (_, expected) in &mut regions {
                    expected.bytes += extent;
                    expected.allocations += 1;
                    expected.peak = expected.peak.max(expected.bytes);
                }
            }
            _ if !blocks.is_empty() => {
                let block = blocks.swap_remove(random.below(blocks.len()));
                let extent = bytes_of(&block);
                block.free();
                for (_, expected) in &mut regions {
                    expected.bytes -= extent;
                    expected.frees += 1;
                }
            }
            _ => {}
        }
        for (region, expected) in &regions {
            let delta = region.delta();
            assert_eq!((delta.bytes, delta.peak_bytes as isize), (expected.bytes, expected.peak));
            assert_eq!((delta.allocations, delta.frees), (expected.allocations, expected.frees));
        }
    }
    blocks.into_iter().for_each(Block::free);
}

#[test]
fn a_region_counts_its_own_thread_alone_and_frees_of_others_blocks() {
    let (elsewhere, region) = (vec![1_u8; 1000], Region::thread());
    let theirs = thread::scope(|scope| {
        scope
            .spawn(|| {
                let region = Region::thread();
                let kept = vec![0_u8; 5000];
                drop(elsewhere);
                let delta = region.delta();
                assert_eq!((delta.allocations, delta.frees, delta.blocks), (1, 1, 0));
                assert_eq!((delta.allocated_bytes, delta.freed_bytes), (extent(5000) as u64, extent(1000) as u64));
                kept
            })
            .join()
            .unwrap()
    });
    let before = region.delta();
    drop(theirs);
    let after = region.delta();
    assert_eq!((after.frees, after.freed_bytes), (before.frees + 1, before.freed_bytes + extent(5000) as u64));
    assert_eq!(after.allocations, before.allocations);
}

#[test]
fn a_region_sees_what_is_allocated_in_static_scopes() {
    alone(60, || {
        let region = Region::thread();
        let table = static_scope(|| vec![1_u8; 1001]);
        assert_eq!((region.delta().blocks, region.delta().bytes), (1, 1001));
        let within = static_scope(Region::thread);
        let dynamic = vec![0_u8; 100];
        drop(region);
        assert_eq!((within.delta().blocks, within.delta().bytes), (1, extent(100) as isize));
        drop((table, dynamic));
        assert_eq!(within.delta().frees, 2);
        drop(within);
        assert!(GLOBAL.stats().is_balanced());
    });
}

#[test]
fn a_region_on_a_thread_that_has_never_allocated_counts_from_its_first_block() {
    extern "C" fn run(_: *mut libc::c_void) -> *mut libc::c_void {
        let region = Region::thread();
        let block = Block::of(100);
        assert_eq!((region.delta().allocations, region.is_counting()), (1, true));
        block.free();
        assert_eq!(region.delta().blocks, 0);
        std::ptr::null_mut()
    }
    let mut thread = 0;
    // SAFETY: a valid place for the thread, and a function that may run on any.
    assert_eq!(unsafe { libc::pthread_create(&mut thread, std::ptr::null(), run, std::ptr::null_mut()) }, 0);
    // SAFETY: started above, and joined once.
    assert_eq!(unsafe { libc::pthread_join(thread, std::ptr::null_mut()) }, 0);
}

#[test]
fn a_region_that_a_thread_leaks_ends_with_the_thread() {
    alone(60, || {
        for _ in 0..100 {
            thread::spawn(|| {
                std::mem::forget(Region::thread());
                drop(black_box(vec![1_u8; 100]));
            })
            .join()
            .unwrap();
        }
        // The heaps serve other threads, of which nobody counts anything.
        thread::spawn(|| {
            let regions: Vec<_> = (0..32).map(|_| Region::thread()).collect();
            assert!(regions.iter().all(tenure::ThreadRegion::is_counting));
        })
        .join()
        .unwrap();
        assert!(GLOBAL.stats().is_balanced());
    });
}

#[test]
fn one_region_too_many_panics_and_leaves_the_others() {
    let regions: Vec<_> = (0..32).map(|_| Region::thread()).collect();
    assert!(catch_unwind(AssertUnwindSafe(Region::thread)).is_err());
    let before = regions[31].delta().allocations;
    drop(black_box(vec![1_u8; 100]));
    assert_eq!(regions[31].delta().allocations, before + 1);
}

// What a hardened build has freed is kept from being used again.
#[cfg(not(feature = "hardened"))]
#[test]
fn magazines_are_back_at_hand_when_the_last_region_ends() {
    alone(60, || {
        // A size that is little used has no magazine.
        (0..2000).for_each(|_| Block::of(64).free());
        let block = Block::of(64);
        let (before, address) = (GLOBAL.stats(), block.address());
        let region = Region::thread();
        block.free();
        drop(region);
        let block = Block::of(64);
        assert_eq!(block.address(), address, "the block that was freed last is at hand");
        let after = GLOBAL.stats();
        assert_eq!(
            (after.live_bytes(), after.balance.in_magazines),
            (before.live_bytes(), before.balance.in_magazines)
        );
        assert!(after.is_balanced());
        block.free();
    });
}

#[test]
fn a_region_of_the_process_counts_all_threads() {
    alone(60, || {
        let region = Region::process();
        let kept = thread::spawn(|| vec![1_u8; 3 * MIB]).join().unwrap();
        let delta = region.delta();
        assert!((3 * MIB as isize..4 * MIB as isize).contains(&delta.bytes), "{delta:?}");
        assert!(delta.committed >= delta.bytes, "{delta:?}");
        assert!(delta.peak_committed >= 3 * MIB, "{delta:?}");
        drop(kept);
        GLOBAL.purge();
        let delta = region.delta();
        assert!(delta.bytes < MIB as isize && delta.peak_committed >= 3 * MIB, "{delta:?}");
        // A lower peak than before leaves no trace.
        let later = Region::process();
        drop(black_box(vec![1_u8; 2 * MIB]));
        GLOBAL.purge();
        assert!(later.delta().peak_committed < MIB, "{:?}", later.delta());
    });
}

#[test]
fn a_region_of_the_process_is_below_zero_where_more_is_freed() {
    alone(60, || {
        let kept: Vec<_> = (0..100).map(|_| vec![1_u8; 1000]).collect();
        let region = Region::process();
        drop(kept);
        let delta = region.delta();
        // The blocks, and the vector's own.
        assert_eq!((delta.blocks, delta.bytes), (-101, -((100 * extent(1000) + extent(2400)) as isize)));
    });
}
