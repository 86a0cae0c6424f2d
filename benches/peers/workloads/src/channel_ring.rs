//! Producers and consumers: every block is allocated on one thread and freed on another.

use crate::input::{Words, checksum_of};
use crate::{Scale, Threads, Workload};
use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError, bounded};
use fastrand::Rng;
use std::thread;

pub const WORKLOAD: Workload = Workload {
    name: "channel-ring",
    about: "each thread makes orders for its neighbour in a ring and consumes those that it is sent (crossbeam-channel)",
    threads: Threads::Many,
    run,
};

const ORDERS: usize = 3_000_000;

/// Orders that wait for a thread, at most.
const WAITING: usize = 512;

struct Order {
    customer: String,
    lines: Vec<(u32, String)>,
    note: Option<Box<str>>,
}

impl Order {
    /// The order of a number, always the same.
    fn new(words: &Words, number: usize) -> Self {
        let mut random = Rng::with_seed(number as u64);
        Self {
            customer: format!("{} {}", words.pick(&mut random), words.pick(&mut random)),
            lines: (0..random.usize(1..6)).map(|_| (random.u32(1..50), words.pick(&mut random).repeat(3))).collect(),
            note: (random.u8(..4) == 0).then(|| words.text(&mut random, 8).into()),
        }
    }

    fn consume(self) -> u64 {
        checksum_of((self.customer, self.lines, self.note))
    }
}

fn run(scale: &Scale) -> u64 {
    let words = &Words::new(17, 4000);
    let (threads, orders) = (scale.threads, scale.of(ORDERS));
    let (mut senders, receivers): (Vec<_>, Vec<_>) = (0..threads).map(|_| bounded(WAITING)).unzip();
    senders.rotate_left(1);
    thread::scope(|scope| {
        let ring: Vec<_> = (senders.into_iter().zip(receivers).enumerate())
            .map(|(first, (sender, receiver))| {
                scope.spawn(move || take_part(words, (first..orders).step_by(threads), sender, receiver))
            })
            .collect();
        ring.into_iter().map(|member| member.join().expect("a member does not panic")).fold(0, u64::wrapping_add)
    })
}

/// Sends the orders with these numbers and consumes those that come in. Never waits for room while there is something
/// to consume.
fn take_part(
    words: &Words,
    numbers: impl Iterator<Item = usize>,
    sender: Sender<Order>,
    receiver: Receiver<Order>,
) -> u64 {
    let mut sum = 0u64;
    for number in numbers {
        let mut order = Order::new(words, number);
        while let Err(TrySendError::Full(back)) = sender.try_send(order) {
            order = back;
            match receiver.try_recv() {
                Ok(other) => sum = sum.wrapping_add(other.consume()),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => thread::yield_now(),
            }
        }
    }
    drop(sender);
    receiver.into_iter().fold(sum, |sum, order| sum.wrapping_add(order.consume()))
}
