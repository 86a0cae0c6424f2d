//! A child of `fork` while other threads are in the middle of allocating, freeing, purging and counting.
#![cfg(not(loom))]

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use support::block::Block;
use support::memory::{KIB, MIB};
use support::process::{alone, end_after};
use support::random::{Random, seed};
use tenure::Tenure;

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

const ROUNDS: usize = 200;

/// Seconds that a child may take: it is done in milliseconds.
const PATIENCE: u32 = 20;

/// A size of every kind: slabs, spans, mappings.
fn sizes() -> impl Iterator<Item = usize> {
    let classes = (3..16).flat_map(|bits| (8..16).map(move |eighths| eighths << bits >> 3));
    classes.chain([40 * KIB, 64 * KIB, 100 * KIB, MIB, 3 * MIB])
}

fn some_blocks() -> Vec<Block> {
    sizes().map(Block::of).collect()
}

fn free_all(blocks: impl IntoIterator<Item = Block>) {
    blocks.into_iter().for_each(Block::free);
}

/// Threads that are at work when the process forks, until told to stop.
struct Workers {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    fn start(seed: u64) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        let (give, take) = mpsc::sync_channel::<Block>(256);
        let mut start = |mut step: Box<dyn FnMut() + Send>| {
            let is_over = Arc::clone(&is_over);
            threads.push(thread::spawn(move || {
                let work = || {
                    while !is_over.load(Ordering::Relaxed) {
                        step();
                    }
                };
                // What a worker has left half done could hang the others: better to end at once.
                catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| process::abort());
            }));
        };
        for nth in 0..2 {
            let mut random = Random::new(seed + nth);
            let mut blocks = Vec::new();
            let give = give.clone();
            start(Box::new(move || churn(&mut random, &mut blocks, &give)));
        }
        start(Box::new(move || free_all(take.try_recv())));
        start(Box::new(|| _ = GLOBAL.purge()));
        start(Box::new(|| assert!(GLOBAL.stats().live_blocks() > 0)));
        Self { is_over, threads }
    }

    fn stop(self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

/// Allocates, resizes, frees and hands on, once.
fn churn(random: &mut Random, blocks: &mut Vec<Block>, give: &mpsc::SyncSender<Block>) {
    let size = if random.one_in(32) { random.log_uniform(KIB, 4 * MIB) } else { random.log_uniform(8, KIB) };
    blocks.push(Block::of(size));
    let at = random.below(blocks.len());
    match random.below(4) {
        0 => assert!(blocks[at].resize(random.log_uniform(8, 128 * KIB))),
        1 => {
            if let Err(mpsc::TrySendError::Full(block)) = give.try_send(blocks.swap_remove(at)) {
                block.free();
            }
        }
        _ => {}
    }
    while blocks.len() > 200 {
        blocks.swap_remove(random.below(blocks.len())).free();
    }
}

/// Forks, and runs `body` in the child. Panics unless that succeeds in time.
fn in_a_child(body: impl FnOnce()) {
    // SAFETY: the child uses the C library no more than a forked child of several threads may on Linux: Tenure, and
    // threads.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        end_after(PATIENCE);
        let is_well = catch_unwind(AssertUnwindSafe(body)).is_ok();
        // SAFETY: ends the child at once, without the parent's exit handlers.
        unsafe { libc::_exit(if is_well { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: the child from above, and a valid place for its status.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert!(!libc::WIFSIGNALED(status), "a child was ended by signal {}; 14 is its time limit", libc::WTERMSIG(status));
    assert_eq!(libc::WEXITSTATUS(status), 0, "a child has failed");
}

/// What every child does.
fn live(inherited: impl IntoIterator<Item = Block>) {
    let mine = some_blocks();
    mine.iter().for_each(Block::check);
    free_all(inherited);
    free_all(mine);
    let left = thread::spawn(|| {
        free_all(some_blocks());
        some_blocks()
    });
    free_all(left.join().unwrap());
    GLOBAL.purge();
    assert!(GLOBAL.stats().live_blocks() > 0);
    // More than what the heap had at hand.
    free_all((0..2000).map(|nth| Block::of(1 + nth % 500)).collect::<Vec<_>>());
}

/// Blocks of this thread, of threads that are alive, and of a thread that has ended: the child frees a copy of each.
struct Inheritance {
    own: Vec<Block>,
    dead: Vec<Block>,
}

impl Inheritance {
    fn new() -> Self {
        Self { own: some_blocks(), dead: thread::spawn(some_blocks).join().unwrap() }
    }

    /// The blocks, of which the parent and the child each have their own copy.
    fn take(&mut self) -> Vec<Block> {
        self.own.drain(..).chain(self.dead.drain(..)).collect()
    }
}

#[test]
fn a_child_forked_while_other_threads_are_at_work_allocates_and_frees_and_starts_threads() {
    alone(300, || {
        let seed = seed();
        let workers = Workers::start(seed);
        let (give, take) = mpsc::channel();
        // A live thread's blocks: it hands them over, and goes on living.
        let (ask, asked) = mpsc::channel::<()>();
        let donor = thread::spawn(move || asked.iter().for_each(|()| give.send(some_blocks()).unwrap()));
        for _ in 0..ROUNDS {
            ask.send(()).unwrap();
            let mut inheritance = Inheritance::new();
            inheritance.own.extend(take.recv().unwrap());
            let mut blocks = Some(inheritance.take());
            in_a_child(|| live(blocks.take().unwrap()));
            free_all(blocks.take().unwrap());
        }
        drop(ask);
        donor.join().unwrap();
        workers.stop();
        let stats = GLOBAL.stats();
        assert!(stats.is_balanced(), "the parent's account is as it was\n{stats}");
    });
}

#[test]
fn a_grandchild_allocates_as_its_parents_do() {
    alone(120, || {
        let workers = Workers::start(seed());
        for _ in 0..20 {
            let inherited = some_blocks();
            in_a_child(|| {
                let more = some_blocks();
                in_a_child(|| in_a_child(|| live(some_blocks())));
                more.iter().chain(&inherited).for_each(Block::check);
                live(more);
            });
            free_all(inherited);
        }
        workers.stop();
    });
}

#[test]
fn the_child_of_a_thread_that_has_no_heap_yet_allocates() {
    alone(60, || {
        let workers = Workers::start(seed());
        for _ in 0..50 {
            extern "C" fn fork_first(_: *mut libc::c_void) -> *mut libc::c_void {
                in_a_child(|| live(None));
                std::ptr::null_mut()
            }
            let mut thread = 0;
            // SAFETY: a valid place for the thread, and a function that may run on any. Unlike a thread of the standard
            // library, it has allocated nothing when it forks.
            let created =
                unsafe { libc::pthread_create(&mut thread, std::ptr::null(), fork_first, std::ptr::null_mut()) };
            assert_eq!(created, 0);
            // SAFETY: the thread from above.
            assert_eq!(unsafe { libc::pthread_join(thread, std::ptr::null_mut()) }, 0);
        }
        workers.stop();
    });
}

#[test]
fn a_child_of_a_bare_clone_which_calls_no_hook_goes_on_with_the_heap_of_the_thread_that_made_it() {
    alone(120, || {
        let mut blocks = some_blocks();
        for _ in 0..20 {
            // SAFETY: a process like one of `fork`, of which the C library and the allocator are not told. It ends by
            // `_exit`.
            let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
            assert!(child >= 0);
            if child == 0 {
                end_after(100);
                let outcome = catch_unwind(AssertUnwindSafe(|| {
                    free_all(blocks.drain(..));
                    (0..100).for_each(|_| free_all(some_blocks()));
                    GLOBAL.purge();
                    assert!(GLOBAL.stats().is_balanced());
                }));
                // SAFETY: no preconditions.
                unsafe { libc::_exit(i32::from(outcome.is_err())) };
            }
            let mut status = 0;
            // SAFETY: a child of this process.
            assert_eq!(i64::from(unsafe { libc::waitpid(child as i32, &mut status, 0) }), child);
            assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "status {status}");
            free_all(blocks.drain(..));
            blocks = some_blocks();
        }
        free_all(blocks);
    });
}
