//! Which arenas a process has: a list that only grows.
//!
//! Nothing ever leaves it, so it needs neither locks nor reclamation, and a walk may be as slow as it likes.

use super::arena_stats::ArenaStats;
use super::cursor::Cursor;
use super::set_aside;
use crate::sync::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, constructor};
use core::ptr;

/// The part of an arena that the list knows: its cursor, and the link to the next arena.
///
/// Zero at first in every bit, so that an arena lives in `.bss`: hence the capacity is written only on joining.
#[repr(align(64))]
pub(super) struct Node {
    pub(super) cursor: Cursor,
    /// In bytes. Written before the node is in a list, and never again.
    capacity: AtomicUsize,
    /// Null for the first to join. Written before the node is in a list, and never again.
    next: AtomicPtr<Node>,
    /// Requests that did not fit.
    fallbacks: AtomicUsize,
    /// True from the moment that a thread has undertaken to put this node in a list.
    has_joined: AtomicBool,
}

impl Node {
    constructor! {
        pub(super) fn new() -> Self {
            Self {
                cursor: Cursor::new(),
                capacity: AtomicUsize::new(0),
                next: AtomicPtr::new(ptr::null_mut()),
                fallbacks: AtomicUsize::new(0),
                has_joined: AtomicBool::new(false),
            }
        }
    }

    /// One relaxed load.
    #[inline(always)]
    pub(super) fn has_joined(&self) -> bool {
        self.has_joined.load(Ordering::Relaxed)
    }

    /// A request did not fit.
    #[cold]
    pub(super) fn count_fallback(&self) {
        self.fallbacks.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes in which something can be placed, where the arena is of `capacity` bytes. Out of line, so that a path that
    /// names it in an error keeps no room for all figures.
    #[cold]
    #[inline(never)]
    pub(super) fn remaining(&self, capacity: usize) -> usize {
        self.stats(capacity).remaining()
    }

    /// This arena's figures, where it is of `capacity` bytes.
    #[cold]
    #[inline(never)]
    pub(super) fn stats(&self, capacity: usize) -> ArenaStats {
        let own = set_aside::unpublished(self);
        let state = self.cursor.state();
        let used = state.used.saturating_sub(own.left);
        // Where the cursor stands beyond what is used, it has not been used so far.
        let high_water = if own.left == 0 { self.cursor.high_water() } else { self.cursor.peak() };
        ArenaStats {
            arenas: 1,
            chunks: 1,
            capacity,
            used,
            dead: self.cursor.dead() + own.dead,
            slack: if self.cursor.is_closed() { capacity.saturating_sub(state.used) } else { 0 },
            blocks: usize::try_from(state.signed_blocks() + own.blocks).unwrap_or_default(),
            high_water: high_water.max(used),
            fallbacks: self.fallbacks.load(Ordering::Relaxed),
        }
    }
}

/// A list of arenas, linked through the arenas themselves; last joined, first met.
pub(super) struct ArenaList {
    head: AtomicPtr<Node>,
}

impl ArenaList {
    constructor! {
        pub(super) fn new() -> Self {
            Self { head: AtomicPtr::new(ptr::null_mut()) }
        }
    }

    /// Puts `node`, of an arena of `capacity` bytes, in this list, unless it is in one already.
    #[cold]
    #[inline(never)]
    pub(super) fn join(&self, node: &'static Node, capacity: usize) {
        // Relaxed: it only picks one thread of several, and that thread publishes nothing by it.
        if node.has_joined.swap(true, Ordering::Relaxed) {
            return;
        }
        node.capacity.store(capacity, Ordering::Relaxed);
        let new = ptr::from_ref(node).cast_mut();
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            node.next.store(head, Ordering::Relaxed);
            // Release: pairs with the Acquire in `totals`, which reads the capacity and the link.
            match self.head.compare_exchange_weak(head, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// The sum of the figures of all arenas in the list.
    pub(super) fn totals(&self) -> ArenaStats {
        let mut totals = ArenaStats::default();
        // Acquire: pairs with the Release in `join`; with that of each node, for every later join continues its release
        // sequence.
        let mut next = self.head.load(Ordering::Acquire).cast_const();
        // SAFETY: only `join` links nodes, and it is given `&'static` ones.
        while let Some(node) = unsafe { next.as_ref() } {
            totals = totals.plus(node.stats(node.capacity.load(Ordering::Relaxed)));
            next = node.next.load(Ordering::Relaxed);
        }
        totals
    }
}

#[cfg(all(loom, test))]
mod loom_tests {
    use super::*;
    use loom::sync::Arc;
    use loom::thread;
    use std::boxed::Box;

    fn new_node() -> &'static Node {
        Box::leak(Box::new(Node::new()))
    }

    /// Red where `join` links with `Relaxed`, and where `totals` reads the head with `Relaxed`.
    ///
    /// The walk has a thread of its own, to which loom turns after the main one: of a load that comes before another
    /// thread's load and exchange, loom does not see that it might have come after them.
    #[test]
    fn loom_a_walk_meets_every_arena_up_to_the_one_it_starts_at() {
        loom::model(|| {
            let list = Arc::new(ArenaList::new());
            let nodes = [new_node(), new_node()];
            let (other, walked) = (list.clone(), list.clone());
            let joins = thread::spawn(move || other.join(nodes[0], 200));
            let walks = thread::spawn(move || {
                let seen = walked.totals();
                assert!(matches!((seen.arenas, seen.capacity), (0, 0) | (1, 100 | 200) | (2, 300)), "{seen:?}");
            });
            list.join(nodes[1], 100);
            joins.join().unwrap();
            walks.join().unwrap();
            assert_eq!(list.totals().capacity, 300);
        });
    }

    /// Needs no ordering: it is the swap that picks one thread. Red where it is a load and a store.
    #[test]
    fn loom_an_arena_that_two_threads_use_first_joins_once() {
        loom::model(|| {
            let list = Arc::new(ArenaList::new());
            let node = new_node();
            let other = list.clone();
            let thread = thread::spawn(move || other.join(node, 100));
            list.join(node, 100);
            thread.join().unwrap();
            assert_eq!((list.totals().arenas, list.totals().capacity), (1, 100));
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_arena_that_joins_again_is_counted_once() {
        static LIST: ArenaList = ArenaList::new();
        static NODES: [Node; 2] = [const { Node::new() }; 2];
        for node in NODES.iter().chain(&NODES) {
            LIST.join(node, 50);
        }
        assert_eq!((LIST.totals().arenas, LIST.totals().capacity), (2, 100));
    }

    #[test]
    fn a_node_is_one_cache_line() {
        assert_eq!(size_of::<Node>(), 64);
    }
}
