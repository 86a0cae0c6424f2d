//! What one thread does with blocks: the cheapest there is, and what leads to the slow paths.

use super::block::{Block, Bytes, Fixed};
use super::random::Random;
use super::{Contender, Routine, Row, Workload, timed};
use std::iter::successors;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const OS_PAGE: usize = 4 * KIB;

/// Every workload, by name.
pub fn rows() -> Vec<Row> {
    use Order::{Fifo, Lifo, Shuffled};
    vec![
        Row::new("pair 32 B", Pair::<32, 8>),
        Row::new("pair 1..512 B in turn", SteppedPair),
        Row::new("pair 1..512 B at random", RandomPair),
        Row::new("batch 64 B lifo", Batch(Lifo)),
        Row::new("batch 64 B fifo", Batch(Fifo)),
        Row::new("batch 64 B shuffled", Batch(Shuffled)),
        Row::new("batch 16..256 B lifo", MixedBatch(Lifo)),
        Row::new("batch 16..256 B fifo", MixedBatch(Fifo)),
        Row::new("batch 16..256 B shuffled", MixedBatch(Shuffled)),
        Row::new("churn 8..263 B, 50k live", Churn),
        Row::new("realloc to 64 MiB", Growth(Touch::First)),
        Row::new("realloc to 64 MiB touched", Growth(Touch::Pages)),
        Row::new("zeroed 1 MiB", Zeroed(Touch::Nothing)),
        Row::new("zeroed 1 MiB touched", Zeroed(Touch::Pages)),
        Row::new("pair 64 B aligned 64", Pair::<64, 64>),
        Row::new("pair 100 B aligned 256", Pair::<100, 256>),
        Row::new("pair 4 KiB aligned 4096", Pair::<{ 4 * KIB }, OS_PAGE>),
        Row::new("pair 4 KiB", Pair::<{ 4 * KIB }, 8>),
        Row::new("pair 64 KiB", Pair::<{ 64 * KIB }, 8>),
        Row::new("pair 1 MiB", Pair::<MIB, 8>),
    ]
}

/// Allocates a block whose layout is a constant, writes both ends, and frees it.
#[derive(Clone, Copy)]
struct Pair<const SIZE: usize, const ALIGN: usize>;

impl<const SIZE: usize, const ALIGN: usize> Workload for Pair<SIZE, ALIGN> {
    fn prepare<A: Contender>(self) -> Routine {
        Box::new(|rounds| timed(rounds, || Block::<A, _>::new(Fixed::<SIZE, ALIGN>).touch(SIZE - 1)))
    }
}

/// The same at run-time sizes 1, 2, 3, ... 512 bytes. A branch on the size is easy to predict.
#[derive(Clone, Copy)]
struct SteppedPair;

impl Workload for SteppedPair {
    fn prepare<A: Contender>(self) -> Routine {
        let mut size = 0;
        Box::new(move |rounds| {
            timed(rounds, || {
                size = size % 512 + 1;
                drop(Block::<A, _>::new(Bytes::new(size)));
            })
        })
    }
}

/// The same at random sizes, as short-lived strings have. A branch on the size is hard to predict.
#[derive(Clone, Copy)]
struct RandomPair;

impl Workload for RandomPair {
    fn prepare<A: Contender>(self) -> Routine {
        let mut random = Random::new();
        Box::new(move |rounds| timed(rounds, || drop(Block::<A, _>::new(random.bytes(1..=512)))))
    }
}

/// The order in which a batch is freed.
#[derive(Clone, Copy)]
enum Order {
    Lifo,
    Fifo,
    Shuffled,
}

const BATCH: usize = 10_000;

impl Order {
    /// The places of a batch in this order. All orders are read from a list, so that all cost the same.
    fn places(self) -> Vec<u16> {
        let mut places: Vec<u16> = (0..BATCH as u16).collect();
        match self {
            Self::Lifo => places.reverse(),
            Self::Fifo => {}
            Self::Shuffled => Random::new().shuffle(&mut places),
        }
        places
    }
}

/// Fills `slots` by `make`, and then empties them in the order of `places`.
#[inline]
fn fill_and_empty<T>(slots: &mut [Option<T>], places: &[u16], mut make: impl FnMut() -> T) {
    for slot in &mut *slots {
        *slot = Some(make());
    }
    for &place in places {
        slots[usize::from(place)] = None;
    }
}

fn empty_slots<T>(count: usize) -> Vec<Option<T>> {
    (0..count).map(|_| None).collect()
}

/// Allocates 10,000 blocks of 64 bytes, and then frees them all.
#[derive(Clone, Copy)]
struct Batch(Order);

impl Workload for Batch {
    const OPERATIONS: u64 = BATCH as u64;

    fn prepare<A: Contender>(self) -> Routine {
        let places = self.0.places();
        let mut slots = empty_slots(BATCH);
        Box::new(move |rounds| {
            timed(rounds, || fill_and_empty(&mut slots, &places, || Block::<A, _>::new(Fixed::<64, 8>)))
        })
    }
}

/// The same at random sizes of 16 to 256 bytes.
#[derive(Clone, Copy)]
struct MixedBatch(Order);

impl Workload for MixedBatch {
    const OPERATIONS: u64 = BATCH as u64;

    fn prepare<A: Contender>(self) -> Routine {
        let places = self.0.places();
        let mut slots = empty_slots(BATCH);
        let mut random = Random::new();
        Box::new(move |rounds| {
            timed(rounds, || fill_and_empty(&mut slots, &places, || Block::<A, _>::new(random.bytes(16..=256))))
        })
    }
}

/// Keeps 50,000 blocks of 8 to 263 bytes alive, and replaces one at random.
#[derive(Clone, Copy)]
struct Churn;

impl Workload for Churn {
    fn prepare<A: Contender>(self) -> Routine {
        const LIVE: u32 = 50_000;
        let mut random = Random::new();
        let mut slots: Vec<_> = (0..LIVE).map(|_| Some(Block::<A, _>::new(random.bytes(8..=263)))).collect();
        Box::new(move |rounds| {
            timed(rounds, || {
                let slot = &mut slots[random.below(LIVE) as usize];
                *slot = None;
                *slot = Some(Block::new(random.bytes(8..=263)));
            })
        })
    }
}

/// What of a block is written.
#[derive(Clone, Copy)]
enum Touch {
    Nothing,
    First,
    Pages,
}

impl Touch {
    /// Writes what is asked of `bytes`, a range of `block`.
    #[inline]
    fn apply<A: Contender>(self, block: &mut Block<A, Bytes>, bytes: std::ops::Range<usize>) {
        match self {
            Self::Nothing => {}
            Self::First => block.touch(bytes.start),
            Self::Pages => bytes.step_by(OS_PAGE).for_each(|offset| block.touch(offset)),
        }
    }
}

/// Doubles a block of 16 bytes until it has 64 MiB, and writes to the new half each time.
#[derive(Clone, Copy)]
struct Growth(Touch);

const FIRST: usize = 16;
const LAST: usize = 64 * MIB;

impl Workload for Growth {
    const OPERATIONS: u64 = (LAST / FIRST).ilog2() as u64;

    fn prepare<A: Contender>(self) -> Routine {
        Box::new(move |rounds| {
            timed(rounds, || {
                let mut block = Block::<A, _>::new(Bytes::new(FIRST as u32));
                for old in successors(Some(FIRST), |old| Some(2 * old)).take_while(|&old| old < LAST) {
                    block.resize(Bytes::new(2 * old as u32));
                    self.0.apply(&mut block, old..2 * old);
                }
            })
        })
    }
}

/// Allocates 1 MiB of zeros and frees it.
#[derive(Clone, Copy)]
struct Zeroed(Touch);

impl Workload for Zeroed {
    fn prepare<A: Contender>(self) -> Routine {
        Box::new(move |rounds| {
            timed(rounds, || self.0.apply(&mut Block::<A, _>::zeroed(Bytes::new(MIB as u32)), 0..MIB))
        })
    }
}
