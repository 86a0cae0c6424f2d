//! Requests that cannot be met: those that no memory is large enough for, and those under a limit that the process has
//! reached.
#![cfg(not(loom))]

mod support;

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::c_void;
use std::fs;
use std::ptr;
use std::sync::mpsc;
use std::thread;
use support::block::{Block, layout};
use support::errno::keeping_errno;
use support::hoard::Hoard;
use support::memory::{KIB, MIB};
use support::process::{Limit, alone, alone_under, set_limit};
use tenure::Tenure;

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

/// Sizes of every kind: two of slabs, a span, a mapping.
const KINDS: [usize; 4] = [64, 5000, 100 * KIB, 3 * MIB];

/// A thread that does what it is told. It exists before memory runs out.
struct Helper {
    orders: mpsc::SyncSender<fn(Hoard) -> Hoard>,
    hoards: mpsc::SyncSender<Hoard>,
    results: mpsc::Receiver<Hoard>,
}

impl Helper {
    fn new() -> Self {
        let (orders, ordered) = mpsc::sync_channel::<fn(Hoard) -> Hoard>(1);
        let (hoards, given) = mpsc::sync_channel::<Hoard>(1);
        let (done, results) = mpsc::sync_channel(1);
        thread::spawn(move || {
            free_one_of_each("at the start");
            for order in ordered {
                done.send(order(given.recv().unwrap())).unwrap();
            }
        });
        let helper = Self { orders, hoards, results };
        // What channels allocate at first comes before memory runs out.
        helper.run(|hoard| hoard, Hoard::none());
        helper
    }

    fn run(&self, order: fn(Hoard) -> Hoard, hoard: Hoard) -> Hoard {
        self.orders.send(order).unwrap();
        self.hoards.send(hoard).unwrap();
        self.results.recv().unwrap()
    }
}

/// Allocates and frees a block of every kind, which has to succeed.
fn free_one_of_each(when: &str) {
    for size in KINDS {
        let block = Block::new(layout(size, 8));
        block.unwrap_or_else(|| panic!("no block of {size} bytes {when}")).free();
    }
}

const HALF_A_GIB: Limit = (libc::RLIMIT_AS, 512 * MIB as u64);

#[test]
fn a_request_that_is_larger_than_any_memory_is_null_and_keeps_errno() {
    alone(60, || {
        for align in [1, 8, 4096, 64 * KIB, 2 * MIB, 1 << 30] {
            for size in [isize::MAX as usize - (align - 1), isize::MAX as usize / 2, 1 << 48] {
                let Ok(layout) = Layout::from_size_align(size, align) else { continue };
                // SAFETY: the size is not zero.
                let blocks = keeping_errno(|| unsafe { [GLOBAL.alloc(layout), GLOBAL.alloc_zeroed(layout)] });
                assert!(blocks.iter().all(|block| block.is_null()), "{layout:?}");
            }
        }
        free_one_of_each("after that");
    });
}

#[test]
fn an_alignment_that_no_address_has_is_null_and_keeps_errno() {
    alone(60, || {
        for bits in 47..63 {
            for size in [1, 64, 100 * KIB, 3 * MIB] {
                // SAFETY: the size is not zero.
                let block = keeping_errno(|| unsafe { GLOBAL.alloc(layout(size, 1 << bits)) });
                assert!(block.is_null(), "{size} bytes at a multiple of 2^{bits}");
            }
        }
        free_one_of_each("after that");
    });
}

#[test]
fn a_block_that_cannot_be_resized_stays_as_it_was() {
    alone(60, || {
        for size in KINDS {
            let mut block = Block::of(size);
            for impossible in [isize::MAX as usize - 7, isize::MAX as usize / 2, 1 << 48] {
                assert!(keeping_errno(|| !block.resize(impossible)));
            }
            block.free();
        }
    });
}

#[test]
fn after_exhaustion_freed_blocks_serve_every_other_kind() {
    alone_under(Some(HALF_A_GIB), 300, || {
        for hoarded in KINDS {
            for wanted in KINDS {
                let mut hoard = Hoard::of_all_memory(hoarded);
                assert!(hoard.blocks * hoarded > 128 * MIB);
                // A tenth of the memory, many times what is asked for.
                let freed = hoard.blocks / 10;
                hoard.free(freed);
                let block = Block::new(layout(wanted, 8));
                // First, since a message takes memory, too.
                hoard.free_all();
                let block = block.unwrap_or_else(|| {
                    panic!("{freed} blocks of {hoarded} bytes were freed, but {wanted} bytes could not be had")
                });
                block.free();
                free_one_of_each("after all was freed");
            }
        }
    });
}

#[test]
fn memory_that_was_exhausted_many_times_holds_as_much_as_at_first() {
    alone_under(Some(HALF_A_GIB), 300, || {
        let fill_and_free = || {
            let hoard = Hoard::of_all_memory(64);
            let blocks = hoard.blocks;
            hoard.free_all();
            free_one_of_each("after all was freed");
            blocks
        };
        let (first, metadata) = (fill_and_free(), GLOBAL.stats().balance.metadata);
        let least = (0..10).map(|_| fill_and_free()).min().unwrap();
        let grown = GLOBAL.stats().balance.metadata.saturating_sub(metadata);
        println!("at first {first} blocks, later {least}; metadata has grown by {} KiB", grown / KIB);
        assert!(least >= first - first / 50 && grown <= 256 * KIB);
    });
}

#[test]
fn after_exhaustion_one_freed_block_serves_the_next_request_of_its_size() {
    alone_under(Some(HALF_A_GIB), 120, || {
        for size in KINDS {
            let mut hoard = Hoard::of_all_memory(size);
            for _ in 0..100 {
                hoard.free(1);
                assert!(hoard.add(), "the block of {size} bytes is gone");
            }
            hoard.free_all();
        }
    });
}

#[test]
fn after_exhaustion_what_one_thread_has_freed_serves_another() {
    alone_under(Some(HALF_A_GIB), 120, || {
        let helper = Helper::new();
        for size in KINDS {
            let mut hoard = Hoard::of_all_memory(size);
            hoard.free(hoard.blocks);
            let hoard = helper.run(
                |hoard| {
                    free_one_of_each("on another thread");
                    hoard
                },
                hoard,
            );
            hoard.free_all();
        }
    });
}

#[test]
fn after_exhaustion_blocks_freed_by_another_thread_serve_that_thread() {
    alone_under(Some(HALF_A_GIB), 120, || {
        let helper = Helper::new();
        for size in KINDS {
            let hoard = Hoard::of_all_memory(size);
            let hoard = helper.run(
                |mut hoard| {
                    hoard.free(hoard.blocks);
                    free_one_of_each("on the thread that has freed all");
                    hoard
                },
                hoard,
            );
            hoard.free_all();
        }
    });
}

#[test]
fn after_exhaustion_a_dead_threads_blocks_serve_the_thread_that_frees_them() {
    alone_under(Some(HALF_A_GIB), 120, || {
        for size in KINDS {
            let hoard = thread::spawn(move || Hoard::of_all_memory(size)).join().unwrap();
            hoard.free_all();
            free_one_of_each("on the thread that has freed all");
        }
    });
}

#[test]
fn after_exhaustion_a_purge_leaves_addresses_for_what_does_not_allocate() {
    alone_under(Some(HALF_A_GIB), 120, || {
        for size in KINDS {
            Hoard::of_all_memory(size).free_all();
            GLOBAL.purge();
            let (len, protection) = (300 * MIB, libc::PROT_READ | libc::PROT_WRITE);
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            // SAFETY: an anonymous mapping wherever there is room.
            let start = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, -1, 0) };
            assert_ne!(start, libc::MAP_FAILED, "after blocks of {size} bytes");
            // SAFETY: mapped just above.
            assert_eq!(unsafe { libc::munmap(start, len) }, 0);
            thread::spawn(|| free_one_of_each("on a thread")).join().unwrap();
        }
        let stats = GLOBAL.stats();
        assert!(stats.is_balanced(), "{stats}");
    });
}

/// What any small program does.
fn live_a_little() {
    for _ in 0..20 {
        free_one_of_each("in a small address space");
        let threads: Vec<_> = (0..2).map(|_| thread::spawn(|| free_one_of_each("on a thread"))).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let mut words: Vec<String> = (0..10_000).map(|number| number.to_string()).collect();
        words.sort();
        GLOBAL.purge();
    }
    let stats = GLOBAL.stats();
    assert!(stats.is_balanced(), "{stats}");
}

#[test]
fn an_address_space_of_512_mib_is_enough() {
    alone_under(Some(HALF_A_GIB), 60, live_a_little);
}

#[test]
fn an_address_space_of_64_mib_is_enough() {
    alone_under(Some((libc::RLIMIT_AS, 64 * MIB as u64)), 60, live_a_little);
}

#[test]
fn of_an_address_space_of_256_mib_two_thirds_can_be_had() {
    alone_under(Some((libc::RLIMIT_AS, 256 * MIB as u64)), 60, || {
        for size in [64, 3 * MIB] {
            let hoard = Hoard::of_all_memory(size);
            let bytes = hoard.blocks * size;
            assert!(bytes >= 170 * MIB, "{bytes} bytes in blocks of {size}");
            hoard.free_all();
        }
    });
}

#[test]
fn data_of_64_mib_is_enough() {
    alone_under(Some((libc::RLIMIT_DATA, 64 * MIB as u64)), 60, live_a_little);
}

#[test]
fn exhaustion_of_64_mib_is_null_and_passes() {
    alone_under(Some((libc::RLIMIT_AS, 64 * MIB as u64)), 60, || {
        for size in KINDS {
            Hoard::of_all_memory(size).free_all();
            free_one_of_each("after all was freed");
        }
    });
}

/// Splits a mapping of the test's own until the system allows no more mappings; its start and length.
fn use_up_all_mappings() -> (*mut c_void, usize) {
    let page = 4096;
    let most: usize = fs::read_to_string("/proc/sys/vm/max_map_count").unwrap().trim().parse().unwrap();
    let len = (most + 16) * page;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: an anonymous mapping wherever there is room.
    let start = unsafe { libc::mmap(ptr::null_mut(), len, libc::PROT_NONE, flags, -1, 0) };
    assert_ne!(start, libc::MAP_FAILED);
    for nth in (0..most).step_by(2) {
        // SAFETY: a page of the mapping above.
        if unsafe { libc::mprotect(start.wrapping_byte_add(nth * page), page, libc::PROT_READ) } != 0 {
            return (start, len);
        }
    }
    panic!("the system has no limit on mappings");
}

#[test]
fn where_the_system_allows_no_more_mappings_frees_keep_errno_and_blocks_their_contents() {
    alone(120, || {
        let mut blocks: Vec<Block> = Vec::with_capacity(10_000);
        let sizes = || KINDS.iter().copied().cycle();
        blocks.extend(sizes().take(64).map(Block::of));
        // Blocks with mappings of their own, side by side: to unmap one in the middle splits what the system took for
        // one.
        let large: Vec<_> = (0..40).map(|_| Block::of(5 * MIB)).collect();
        let (fillers, len) = use_up_all_mappings();
        for (nth, block) in large.into_iter().enumerate() {
            if nth % 2 == 0 { keeping_errno(|| block.free()) } else { blocks.push(block) }
        }
        blocks.extend(sizes().take(4000).filter_map(|size| keeping_errno(|| Block::new(layout(size, 8)))));
        for block in &mut blocks {
            let larger = block.size() * 2;
            // As the case may be.
            let _ = keeping_errno(|| block.resize(larger));
        }
        let refused = keeping_errno(|| Block::new(layout(300 * MIB, 8)));
        assert!(refused.is_none(), "there was no limit, and so no test");
        keeping_errno(|| GLOBAL.purge());
        blocks.drain(..).for_each(|block| keeping_errno(|| block.free()));
        keeping_errno(|| GLOBAL.purge());
        // SAFETY: the mapping of the test's own.
        assert_eq!(unsafe { libc::munmap(fillers, len) }, 0);
        free_one_of_each("when there are mappings again");
        let stats = GLOBAL.stats();
        assert!(stats.is_balanced(), "{} committed, {} accounted\n{stats}", stats.committed, stats.balance.total());
    });
}

#[test]
fn a_limit_set_later_is_an_exhaustion_like_any_other() {
    alone(60, || {
        free_one_of_each("at the start");
        let reserved = GLOBAL.stats().reserved as u64;
        set_limit(libc::RLIMIT_AS, reserved + 400 * MIB as u64).unwrap();
        for size in KINDS {
            Hoard::of_all_memory(size).free_all();
            free_one_of_each("after all was freed");
        }
    });
}
