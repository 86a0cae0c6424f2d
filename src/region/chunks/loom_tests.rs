//! Loom models of the table of chunks. Each ordering above `Relaxed` has one that goes red when it is weakened.

use super::*;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// A table with few places would be enough; what a chunk holds is watched by loom.
struct World {
    chunks: Chunks,
    memory: [UnsafeCell<u8>; 2],
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self { chunks: Chunks::new(), memory: [UnsafeCell::new(0), UnsafeCell::new(0)] })
    }

    /// Prepares chunk `nth` and adds it at the first place.
    fn add(&self, nth: usize) -> Added {
        // SAFETY: only the caller knows of this memory until it is added; loom fails the model otherwise.
        self.memory[nth].with_mut(|byte| unsafe { *byte = 1 });
        self.chunks.add(0, Extent { start: (nth + 1) * GRANULE, len: GRANULE })
    }

    fn assert_is_prepared(&self, extent: Extent) {
        // SAFETY: the chunk is known, so whoever prepared it is done; loom fails the model otherwise.
        self.memory[extent.start / GRANULE - 1].with(|byte| assert_eq!(unsafe { *byte }, 1));
    }
}

/// Red where `add` publishes with `Relaxed`, and where `extent` loads with `Relaxed`.
#[test]
fn loom_two_threads_that_add_a_chunk_agree_on_one_and_find_it_prepared() {
    loom::model(|| {
        let world = World::new();
        let other = world.clone();
        let thread = thread::spawn(move || {
            let added = other.add(1);
            other.assert_is_prepared(other.chunks.place(0).extent().unwrap());
            added
        });
        let mine = world.add(0);
        world.assert_is_prepared(world.chunks.place(0).extent().unwrap());
        let theirs = thread.join().unwrap();
        assert!(matches!((mine, theirs), (Added::Yes, Added::Overtaken) | (Added::Overtaken, Added::Yes)));
    });
}

/// Red where `close` fails with `Relaxed`, and where `add` publishes with `Relaxed`.
#[test]
fn loom_a_chunk_is_added_before_the_table_closes_and_passed_on_or_not_at_all() {
    loom::model(|| {
        let world = World::new();
        let other = world.clone();
        let thread = thread::spawn(move || other.add(1));
        let mut seen = 0;
        world.chunks.close(|_, extent| {
            world.assert_is_prepared(extent);
            seen += 1;
        });
        let added = thread.join().unwrap();
        assert_eq!(added, if seen == 1 { Added::Yes } else { Added::Closed });
    });
}
