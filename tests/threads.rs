//! Threads that come and go, more threads than heaps, and destructors that outlive the allocator's own.
#![cfg(not(loom))]

mod support;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::{CStr, c_void};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Barrier};
use std::thread;
use support::account::{assert_same_live, quiet_stats};
use support::block::{Block, layout};
use support::memory::{KIB, MIB, resident};
use support::process::{alone, command};
use tenure::Tenure;

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

/// Sizes of every kind: of slabs, spans and mappings.
const SIZES: [usize; 9] = [1, 16, 100, 600, 4000, 5000, 30 * KIB, 100 * KIB, 2 * MIB];

/// Heaps of a process, at most: as many as the owner map can name.
const MAX_HEAPS: usize = 4096;

fn blocks_of(sizes: &[usize]) -> Vec<Block> {
    sizes.iter().map(|&size| Block::of(size)).collect()
}

fn free_all(blocks: impl IntoIterator<Item = Block>) {
    blocks.into_iter().for_each(Block::free);
}

/// Runs `body` on a thread to its end.
fn on_a_thread<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    thread::spawn(body).join().unwrap()
}

#[test]
fn ten_thousand_threads_one_after_another_that_leave_blocks_to_others_need_no_more_memory_than_a_few() {
    alone(300, || {
        on_a_thread(|| free_all(blocks_of(&SIZES)));
        let before = quiet_stats(&GLOBAL);
        let mut left: VecDeque<Vec<Block>> = VecDeque::with_capacity(64);
        for nth in 0..10_000 {
            left.push_back(on_a_thread(|| blocks_of(&SIZES)));
            if left.len() > 20 {
                let oldest = left.pop_front().unwrap();
                if nth % 2 == 0 { free_all(oldest) } else { on_a_thread(|| free_all(oldest)) }
            }
            if nth % 1000 == 999 {
                let stats = quiet_stats(&GLOBAL);
                assert!(stats.heaps <= before.heaps + 1, "{stats}");
                assert!(stats.segments + stats.pooled_segments <= 16, "{stats}");
                assert!(stats.committed <= 96 * MIB, "{stats}");
            }
        }
        left.drain(..).for_each(free_all);
        drop(left);
        assert_same_live(&before, &quiet_stats(&GLOBAL));
    });
}

#[test]
fn a_dead_threads_blocks_are_freed_by_many_threads_at_once() {
    alone(60, || {
        let sizes: Vec<_> = SIZES[..8].iter().copied().cycle().take(4000).collect();
        let run = || {
            let wanted = sizes.clone();
            let mut blocks = on_a_thread(move || blocks_of(&wanted));
            let mut free_some = || {
                let some = blocks.split_off(blocks.len() - 1000);
                thread::spawn(|| free_all(some))
            };
            let threads = [free_some(), free_some(), free_some(), free_some()];
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        };
        run();
        let before = quiet_stats(&GLOBAL);
        (0..5).for_each(|_| run());
        let after = quiet_stats(&GLOBAL);
        assert_same_live(&before, &after);
        // What came back is used again, though which slots of a segment were touched before differs from run to run;
        // what a run has is 80 MiB.
        assert!(after.committed <= before.committed + 8 * MIB, "{before}\n{after}");
    });
}

#[test]
fn a_new_thread_uses_the_heap_of_one_that_has_ended() {
    alone(60, || {
        on_a_thread(|| free_all(blocks_of(&SIZES)));
        let before = quiet_stats(&GLOBAL);
        assert!(before.parked_heaps >= 1);
        for _ in 0..100 {
            on_a_thread(|| free_all(blocks_of(&SIZES)));
        }
        let after = quiet_stats(&GLOBAL);
        assert_eq!((after.heaps, after.parked_heaps), (before.heaps, before.parked_heaps));
        assert_eq!(after.segments, before.segments);
    });
}

#[test]
fn more_threads_than_there_are_heaps_allocate_and_free_at_once() {
    alone(300, || {
        const THREADS: usize = MAX_HEAPS + 104;
        const FEW: [usize; 4] = [1, 100, 5000, 100 * KIB];
        let all_have_allocated = Arc::new(Barrier::new(THREADS + 1));
        let may_free = Arc::new(Barrier::new(THREADS + 1));
        let (give, take) = mpsc::channel();
        let take = Arc::new(std::sync::Mutex::new(take));
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let barriers = (Arc::clone(&all_have_allocated), Arc::clone(&may_free));
                let (give, take) = (give.clone(), Arc::clone(&take));
                let body = move || {
                    let mine = blocks_of(&FEW);
                    give.send(blocks_of(&FEW)).unwrap();
                    barriers.0.wait();
                    barriers.1.wait();
                    free_all(mine);
                    // Most likely another thread's.
                    let others: Vec<Block> = take.lock().unwrap().recv().unwrap();
                    free_all(others);
                    free_all(blocks_of(&FEW));
                };
                thread::Builder::new().stack_size(64 * KIB).spawn(body).unwrap()
            })
            .collect();
        all_have_allocated.wait();
        let during = GLOBAL.stats();
        assert_eq!(during.heaps, MAX_HEAPS, "{during}");
        may_free.wait();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let after = quiet_stats(&GLOBAL);
        assert!(after.live_bytes() < 2 * MIB, "{after}");
        // Heaps are to be had again: the next thread gets one.
        on_a_thread(|| free_all(blocks_of(&SIZES)));
        assert_eq!(quiet_stats(&GLOBAL).parked_heaps, after.parked_heaps);
        GLOBAL.purge();
        let purged = quiet_stats(&GLOBAL);
        println!(
            "{THREADS} threads at once; afterwards {} KiB of metadata, {} KiB committed, {} KiB resident, {} MiB reserved",
            purged.balance.metadata / KIB,
            purged.committed / KIB,
            resident() / KIB,
            purged.reserved / MIB
        );
        assert!(purged.committed - purged.balance.metadata < 16 * MIB, "{purged}");
    });
}

/// What a destructor of a thread's value does: frees what was allocated earlier, and allocates for the next one to
/// free.
struct Restless {
    blocks: Vec<Block>,
    rounds_left: usize,
}

impl Restless {
    fn new() -> Self {
        Self { blocks: blocks_of(&SIZES[..8]), rounds_left: 3 }
    }

    /// True where it wants to be destroyed once more.
    fn is_destroyed_again(&mut self) -> bool {
        DESTRUCTIONS.fetch_add(1, Ordering::Relaxed);
        free_all(self.blocks.drain(..));
        // More than a magazine holds, and blocks that are resized.
        let mut many = blocks_of(&[48; 100]);
        many.iter_mut().for_each(|block| assert!(block.resize(480)));
        free_all(many);
        if self.rounds_left == 0 {
            return false;
        }
        self.rounds_left -= 1;
        self.blocks = blocks_of(&SIZES[..8]);
        true
    }
}

static DESTRUCTIONS: AtomicUsize = AtomicUsize::new(0);

/// The value of a thread-local variable, which is dropped but once.
struct Local(Restless);

impl Drop for Local {
    fn drop(&mut self) {
        while self.0.is_destroyed_again() {}
    }
}

/// Keys of POSIX threads. The first is created before anything is allocated, and so before Tenure's own, the second
/// after.
static EARLY_KEY: AtomicUsize = AtomicUsize::new(usize::MAX);
static LATE_KEY: AtomicUsize = AtomicUsize::new(usize::MAX);

#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = create_early_key;

extern "C" fn create_early_key() {
    // SAFETY: nobody changes the environment so early.
    if unsafe { !libc::getenv(NO_KEYS.as_ptr()).is_null() } {
        live_without_keys();
    }
    create_key(&EARLY_KEY, destroy_early);
}

fn create_key(place: &AtomicUsize, destructor: unsafe extern "C" fn(*mut c_void)) {
    let mut key = 0;
    // SAFETY: a valid place for the key.
    assert_eq!(unsafe { libc::pthread_key_create(&mut key, Some(destructor)) }, 0);
    place.store(key as usize, Ordering::Relaxed);
}

/// Puts `value` under a key of the calling thread.
fn arm(key: &AtomicUsize, value: Box<Restless>) {
    let key = key.load(Ordering::Relaxed) as libc::pthread_key_t;
    // SAFETY: the key was created, and is never deleted.
    assert_eq!(unsafe { libc::pthread_setspecific(key, Box::into_raw(value).cast::<c_void>()) }, 0);
}

unsafe extern "C" fn destroy_early(value: *mut c_void) {
    // SAFETY: passed on.
    unsafe { destroy(&EARLY_KEY, value) }
}

unsafe extern "C" fn destroy_late(value: *mut c_void) {
    // SAFETY: passed on.
    unsafe { destroy(&LATE_KEY, value) }
}

/// Destroys the value once, and sets it anew for as long as it wants that: glibc looks four times.
///
/// # Safety
/// - `value` comes from `arm` with the same key.
unsafe fn destroy(key: &AtomicUsize, value: *mut c_void) {
    // SAFETY: `arm` has put a box there, and given it up.
    let mut value = unsafe { Box::from_raw(value.cast::<Restless>()) };
    if value.is_destroyed_again() {
        arm(key, value);
    }
}

#[test]
fn destructors_that_allocate_after_the_allocators_own_leave_nothing_behind() {
    thread_local! {
        static LOCAL: RefCell<Option<Local>> = const { RefCell::new(None) };
    }
    alone(120, || {
        create_key(&LATE_KEY, destroy_late);
        let run_threads = |count| {
            for _ in 0..count {
                on_a_thread(|| {
                    arm(&EARLY_KEY, Box::new(Restless::new()));
                    arm(&LATE_KEY, Box::new(Restless::new()));
                    LOCAL.set(Some(Local(Restless::new())));
                    free_all(blocks_of(&SIZES));
                });
            }
        };
        run_threads(50);
        let before = quiet_stats(&GLOBAL);
        DESTRUCTIONS.store(0, Ordering::Relaxed);
        run_threads(2000);
        let after = quiet_stats(&GLOBAL);
        assert_eq!(DESTRUCTIONS.load(Ordering::Relaxed), 2000 * 3 * 4, "some destructors did not run");
        assert_same_live(&before, &after);
        assert_eq!((before.heaps, before.segments), (after.heaps, after.segments));
        assert!(after.committed <= before.committed + MIB, "{before}\n{after}");
    });
}

#[test]
fn a_thread_that_only_frees_during_its_end_gives_back_what_it_frees() {
    alone(60, || {
        create_key(&LATE_KEY, destroy_late);
        let run = || {
            // Blocks and box are this thread's. The other one has no heap when they are freed.
            let value = Box::new(Restless { blocks: blocks_of(&SIZES), rounds_left: 0 });
            on_a_thread(move || arm(&LATE_KEY, value));
        };
        run();
        let before = quiet_stats(&GLOBAL);
        (0..200).for_each(|_| run());
        assert_same_live(&before, &quiet_stats(&GLOBAL));
    });
}

#[test]
fn what_waits_in_the_outbox_of_a_thread_that_ends_comes_home() {
    alone(60, || {
        on_a_thread(|| free_all(blocks_of(&SIZES)));
        // An outbox that is empty, nearly full, full, and full more than once.
        for count in [0, 1, 2, 62, 63, 64, 65, 127, 128, 129, 1000] {
            for is_owner_alive in [true, false] {
                let make =
                    move || (0..count).map(|nth| Block::new(layout(1 + nth % 700, 8)).unwrap()).collect::<Vec<_>>();
                let before = quiet_stats(&GLOBAL);
                let blocks = if is_owner_alive { make() } else { on_a_thread(make) };
                on_a_thread(move || {
                    free_all(blocks_of(&SIZES));
                    free_all(blocks);
                });
                let after = quiet_stats(&GLOBAL);
                assert_same_live(&before, &after);
                assert_eq!(after.live_blocks(), before.live_blocks(), "{count} blocks");
            }
        }
    });
}

#[test]
fn what_a_thread_has_sent_home_at_its_end_is_used_again_by_the_owner() {
    alone(60, || {
        let (freed, kept): (Vec<_>, Vec<_>) =
            (0..126).map(|_| Block::of(2000)).enumerate().partition(|(nth, _)| nth % 2 == 0);
        let freed: Vec<_> = freed.into_iter().map(|(_, block)| block).collect();
        let addresses: Vec<_> = freed.iter().map(Block::address).collect();
        on_a_thread(move || {
            free_all(blocks_of(&SIZES));
            free_all(freed);
        });
        let again = blocks_of(&[2000; 200]);
        let reused = again.iter().filter(|block| addresses.contains(&block.address())).count();
        // But for 64 KiB that the owner may hold back.
        assert!(reused >= addresses.len() - 64 * KIB / 2048, "{reused} of {}", addresses.len());
        free_all(again);
        free_all(kept.into_iter().map(|(_, block)| block));
    });
}

fn take_all_keys() {
    let mut key = 0;
    // SAFETY: a valid place for the key.
    while unsafe { libc::pthread_key_create(&mut key, None) } == 0 {}
}

#[test]
fn a_program_that_takes_every_thread_key_later_changes_nothing() {
    alone(60, || {
        take_all_keys();
        let run = || {
            let blocks = on_a_thread(|| blocks_of(&SIZES));
            free_all(blocks);
        };
        run();
        let before = quiet_stats(&GLOBAL);
        (0..100).for_each(|_| run());
        let after = quiet_stats(&GLOBAL);
        assert_same_live(&before, &after);
        assert_eq!(before.heaps, after.heaps);
    });
}

/// Set in the environment of a process that takes all keys before anything is allocated.
const NO_KEYS: &CStr = c"TENURE_TEST_WITHOUT_KEYS";

/// Takes every key and allocates on threads. Before `main`, and without threads of the standard library, which itself
/// ends a process that has no keys to spare.
fn live_without_keys() -> ! {
    extern "C" fn allocate(_: *mut c_void) -> *mut c_void {
        free_all(blocks_of(&SIZES));
        Box::into_raw(Box::new(blocks_of(&SIZES))).cast()
    }
    take_all_keys();
    let mut heaps = 0;
    for nth in 0..100 {
        free_all(blocks_of(&SIZES));
        let (mut thread, mut left) = (0, ptr::null_mut());
        // SAFETY: valid places, and a function that may run on any thread.
        assert_eq!(unsafe { libc::pthread_create(&mut thread, ptr::null(), allocate, ptr::null_mut()) }, 0);
        // SAFETY: the thread created above.
        assert_eq!(unsafe { libc::pthread_join(thread, &mut left) }, 0);
        // SAFETY: what `allocate` has returned.
        free_all(*unsafe { Box::from_raw(left.cast::<Vec<Block>>()) });
        let stats = quiet_stats(&GLOBAL);
        assert!(nth == 0 || stats.heaps == heaps, "{stats}");
        heaps = stats.heaps;
    }
    // SAFETY: the process ends here; nothing waits to be written.
    unsafe { libc::_exit(0) }
}

#[test]
fn a_program_that_has_taken_every_thread_key_first_does_without_heaps_of_its_threads() {
    let output = command("without keys").env(NO_KEYS.to_str().unwrap(), "1").output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
}
