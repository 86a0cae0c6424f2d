//! Several threads: what a block costs that is freed where it was not allocated, or outlives its thread.
//!
//! ```text
//! cargo bench --bench threads               # criterion, then the table; half a minute
//! cargo bench --bench threads -- larson     # the rows whose name contains `larson`
//! cargo bench --bench threads -- --test     # every row once
//! ```
//!
//! Each row runs on Tenure and on `std::alloc::System`. The table gives nanoseconds of wall clock per
//! operation: a block allocated, written and freed, by all threads together; for `thread churn`, the
//! whole life of a thread. Criterion gives the time of a round of many operations.
//!
//! Starting threads and passing batches on is timed too and costs both allocators the same, so the
//! ratios understate the difference, most of all for `thread churn`.

#![warn(clippy::undocumented_unsafe_blocks)]

mod support;

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};
use support::block::{Block, Bytes};
use support::random::Random;
use support::{Contender, Routine, Row, Workload, timed};

fn main() {
    support::run("threads", &rows());
}

fn rows() -> Vec<Row> {
    vec![
        Row::new("producer and consumer", ProducerConsumer),
        Row::new("hand-over ring, 2 threads", HandOver::<2>),
        Row::new("larson, 2 threads", Larson::<2>),
        Row::new("larson, 8 threads", Larson::<8>),
        Row::new("thread churn, 2 at a time", ThreadChurn),
    ]
}

/// Blocks of 16 to 512 bytes that travel together.
type Batch<A> = Vec<Block<A, Bytes>>;

fn fill<A: Contender>(batch: &mut Batch<A>, random: &mut Random) {
    let room = batch.capacity() - batch.len();
    batch.extend((0..room).map(|_| Block::new(random.bytes(16..=512))));
}

fn full<A: Contender>(count: usize) -> Batch<A> {
    let mut batch = Vec::with_capacity(count);
    fill(&mut batch, &mut Random::new());
    batch
}

/// Replaces blocks at random, so many `times`.
fn replace<A: Contender>(batch: &mut Batch<A>, times: u64, random: &mut Random) {
    for _ in 0..times {
        let place = random.below(batch.len() as u32) as usize;
        batch[place] = Block::new(random.bytes(16..=512));
    }
}

/// Batches that go round a ring of threads, of which the caller is one. The queues between the threads
/// are bounded by the number of batches.
///
/// Invariant: between two calls all batches are `resting`.
struct Ring<T> {
    resting: Vec<T>,
    to_next: SyncSender<T>,
    from_last: Receiver<T>,
}

impl<T: Send + 'static> Ring<T> {
    /// Starts one thread for each of `others`, which says what it does with a batch that comes by.
    fn new<F: FnMut(&mut T) + Send + 'static>(batches: Vec<T>, others: impl IntoIterator<Item = F>) -> Self {
        let (to_next, mut from_last) = sync_channel(batches.len());
        for work in others {
            from_last = station(from_last, batches.len(), work);
        }
        Self { resting: batches, to_next, from_last }
    }

    /// Sends so many batches round, after doing the caller's `work` on each, and waits for the last.
    fn go_round(&mut self, times: u64, mut work: impl FnMut(&mut T)) -> Duration {
        let count = self.resting.len();
        let start = Instant::now();
        for _ in 0..times {
            let mut batch = self.resting.pop().unwrap_or_else(|| receive(&self.from_last));
            work(&mut batch);
            self.to_next.send(batch).expect("the next thread runs as long as the ring");
        }
        while self.resting.len() < count {
            self.resting.push(receive(&self.from_last));
        }
        start.elapsed()
    }
}

fn receive<T>(receiver: &Receiver<T>) -> T {
    receiver.recv().expect("the thread before runs as long as the ring")
}

/// Starts a thread that works on what comes in and sends it on. It ends when the thread before it ends.
fn station<T: Send + 'static>(
    incoming: Receiver<T>,
    capacity: usize,
    mut work: impl FnMut(&mut T) + Send + 'static,
) -> Receiver<T> {
    let (outgoing, next) = sync_channel(capacity);
    thread::spawn(move || {
        for mut batch in incoming {
            work(&mut batch);
            if outgoing.send(batch).is_err() {
                break;
            }
        }
    });
    next
}

/// One thread allocates, the other frees; batches of 1,000 blocks, at most 4 on their way.
#[derive(Clone, Copy)]
struct ProducerConsumer;

impl Workload for ProducerConsumer {
    const OPERATIONS: u64 = 1_000;

    fn prepare<A: Contender>(self) -> Routine {
        let batches = (0..4).map(|_| Batch::<A>::with_capacity(Self::OPERATIONS as usize)).collect();
        let mut ring = Ring::new(batches, [Batch::clear]);
        let mut random = Random::new();
        Box::new(move |rounds| ring.go_round(rounds, |batch| fill(batch, &mut random)))
    }
}

/// Threads in a ring pass batches of 1,000 blocks on. Each replaces some, whoever allocated them.
#[derive(Clone, Copy)]
struct HandOver<const THREADS: usize>;

impl<const THREADS: usize> HandOver<THREADS> {
    const REPLACED: u64 = 500;
}

impl<const THREADS: usize> Workload for HandOver<THREADS> {
    const OPERATIONS: u64 = Self::REPLACED * THREADS as u64;

    fn prepare<A: Contender>(self) -> Routine {
        let work = || {
            let mut random = Random::new();
            move |batch: &mut Batch<A>| replace(batch, Self::REPLACED, &mut random)
        };
        let batches = (0..2 * THREADS).map(|_| full(1_000)).collect();
        let mut ring = Ring::new(batches, (1..THREADS).map(|_| work()));
        let mut own_work = work();
        Box::new(move |rounds| ring.go_round(rounds, &mut own_work))
    }
}

/// A server after Larson and Krishnan: each thread replaces random blocks of 1,000, hands them to a
/// thread it starts, and dies. The blocks live on.
#[derive(Clone, Copy)]
struct Larson<const THREADS: usize>;

/// How many blocks a thread replaces in its life.
const LIFETIME: u64 = 10_000;

impl<const THREADS: usize> Workload for Larson<THREADS> {
    const OPERATIONS: u64 = LIFETIME * THREADS as u64;

    fn prepare<A: Contender>(self) -> Routine {
        let mut lines: Vec<_> =
            (0..THREADS).map(|_| Line::<A> { blocks: full(1_000), random: Random::new() }).collect();
        let (done, ended) = sync_channel(THREADS);
        Box::new(move |rounds| {
            let start = Instant::now();
            for line in lines.drain(..) {
                line.live(rounds, done.clone());
            }
            lines.extend(ended.iter().take(THREADS));
            start.elapsed()
        })
    }
}

/// What a thread leaves to its successor.
struct Line<A: Contender> {
    blocks: Batch<A>,
    random: Random,
}

impl<A: Contender> Line<A> {
    /// Starts a thread, which starts the next as it ends; the last of so many `generations` sends the
    /// line to `done`.
    fn live(mut self, generations: u64, done: SyncSender<Self>) {
        thread::spawn(move || {
            replace(&mut self.blocks, LIFETIME, &mut self.random);
            if generations > 1 {
                self.live(generations - 1, done);
            } else {
                done.send(self).expect("the benchmark waits for every line");
            }
        });
    }
}

/// Starts two threads. Each allocates 300 blocks, frees every other one and ends; the rest is freed here.
#[derive(Clone, Copy)]
struct ThreadChurn;

const AT_A_TIME: usize = 2;

impl Workload for ThreadChurn {
    const OPERATIONS: u64 = AT_A_TIME as u64;

    fn prepare<A: Contender>(self) -> Routine {
        let mut batches: [Batch<A>; AT_A_TIME] = std::array::from_fn(|_| Vec::with_capacity(300));
        Box::new(move |rounds| {
            timed(rounds, || {
                let threads = std::mem::take(&mut batches).map(|batch| thread::spawn(|| short_life(batch)));
                batches = threads.map(|thread| thread.join().expect("the thread does not panic"));
                batches.iter_mut().for_each(Vec::clear);
            })
        })
    }
}

fn short_life<A: Contender>(mut batch: Batch<A>) -> Batch<A> {
    fill(&mut batch, &mut Random::new());
    let mut is_kept = false;
    batch.retain(|_| {
        is_kept = !is_kept;
        is_kept
    });
    batch
}
