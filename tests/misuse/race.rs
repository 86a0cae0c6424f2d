//! Two threads that free the same block at the same moment.

use super::SIZES;
use super::case::{Case, STOPPED};
use super::program::{allocate, announce, elsewhere, free, go_on, layout};
use std::ptr;
use std::sync::Barrier;
use std::thread;

/// Both are at the free when the barrier opens.
fn free_together(block: usize, size: usize, barrier: &Barrier) {
    let block = ptr::with_exposed_provenance_mut(block);
    barrier.wait();
    free(block, layout(size));
}

/// The owner and another thread.
fn with_owner(size: usize) -> Case {
    let run = Box::new(move || {
        let block = allocate(layout(size));
        announce(block);
        let (block, barrier) = (block.expose_provenance(), Barrier::new(2));
        thread::scope(|scope| {
            scope.spawn(|| elsewhere(|| free_together(block, size, &barrier)));
            free_together(block, size, &barrier);
        });
        go_on(&[size], &[]);
    });
    Case { kind: "race: owner and another thread free a block", size, says: "free", expected: STOPPED, run }
}

/// Two threads, neither of which is the owner.
fn without_owner(size: usize) -> Case {
    let run = Box::new(move || {
        let block = allocate(layout(size));
        announce(block);
        let (block, barrier) = (block.expose_provenance(), Barrier::new(2));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| elsewhere(|| free_together(block, size, &barrier)));
            }
        });
        go_on(&[size], &[]);
    });
    Case { kind: "race: two other threads free a block", size, says: "free", expected: STOPPED, run }
}

pub fn cases() -> Vec<Case> {
    SIZES.map(with_owner).into_iter().chain(SIZES.map(without_owner)).collect()
}
