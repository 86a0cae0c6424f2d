//! One thread's operations on the process's allocator, held against a model: the contents of every block, and the set
//! of addresses in use.

use crate::held::{Held, Interface};
use crate::intervals::Intervals;
use crate::operations::{Operation, count};
use crate::sampled;
use std::alloc::Layout;
use std::sync::Mutex;
use tenure::{Limit, Region, Tag, Tenure, dynamic_scope, static_scope, tagged};

const TENURE: Tenure = Tenure::new();

/// Bytes that a player has at most.
const MOST: usize = 64 << 20;

/// Bytes of static memory that a process may use up: they do not come back.
const STATIC_MOST: usize = 512 << 20;

/// Scopes within scopes.
const DEEPEST: u8 = 4;

/// Places through which players hand blocks to each other.
pub type Places = [Mutex<Option<Held>>];

/// One thread's blocks, and what it knows of where they come from.
pub struct Player<'a> {
    intervals: &'a Intervals,
    places: &'a Places,
    pub blocks: Vec<Held>,
    bytes: usize,
    depth: u8,
    is_static: bool,
    /// How many times the allocator was called.
    calls: usize,
    /// Called after each operation.
    after: fn(&Self),
    /// False where no block is to have a page of its own: a hardened build has no such blocks.
    pub may_guard: bool,
}

impl<'a> Player<'a> {
    pub fn new(intervals: &'a Intervals, places: &'a Places, after: fn(&Self)) -> Self {
        let (blocks, may_guard) = (Vec::new(), !cfg!(feature = "hardened"));
        Self { intervals, places, blocks, bytes: 0, depth: 0, is_static: false, calls: 0, after, may_guard }
    }

    /// Does all of `operations`.
    pub fn play(&mut self, operations: &mut dyn Iterator<Item = Operation>) {
        while let Some(operation) = operations.next() {
            self.step(operation, operations);
            (self.after)(self);
        }
    }

    fn step(&mut self, operation: Operation, rest: &mut dyn Iterator<Item = Operation>) {
        let choice = operation.choice;
        match operation.kind() {
            0..7 => self.add(Interface::Layout, operation.layout(), false),
            7..9 => self.add(Interface::Layout, operation.layout(), true),
            9..11 => self.add(Interface::Untyped, operation.layout(), false),
            11 => self.add(Interface::Untyped, operation.layout(), true),
            12..16 => self.resize(operation),
            // Half of the time the youngest block.
            16..20 => self.free(self.blocks.len().wrapping_sub(1)),
            20..24 => self.free(usize::from(choice)),
            24 | 25 => self.trade(operation),
            26 => self.add_many(operation),
            27 => (0..choice).for_each(|nth| self.free(usize::from(nth))),
            28 if choice < 32 => drop(TENURE.purge()),
            28 if choice >= 224 => sampled::change(operation.size(), choice),
            29 if choice >= 224 && self.may_guard => sampled::change_guarded(operation.size(), choice),
            29 if choice < 16 => self.limit(usize::from(choice)),
            30 | 31 if self.depth < DEEPEST => self.within_scope(operation, rest),
            _ => self.free(usize::from(choice)),
        }
    }

    /// Fills more than a magazine, or a slab.
    fn add_many(&mut self, operation: Operation) {
        let size = operation.size().min(2048);
        let layout = Layout::from_size_align(size, operation.align().min(64)).expect("both are small");
        (0..operation.choice).for_each(|_| self.add(Interface::Layout, layout, false));
    }

    fn limit(&mut self, choice: usize) {
        let limit = if choice % 2 == 0 { Limit::NONE } else { Limit::hard(TENURE.stats().committed + (choice << 16)) };
        TENURE.set_limit(limit);
    }

    fn within_scope(&mut self, operation: Operation, rest: &mut dyn Iterator<Item = Operation>) {
        let (outside, choice) = (self.is_static, operation.choice);
        let count = 1 + operation.size() % 32;
        self.depth += 1;
        match choice % 4 {
            0 if TENURE.stats().scopes.capacity < STATIC_MOST => {
                self.is_static = true;
                static_scope(|| self.play(&mut rest.take(count)));
            }
            0 | 1 => {
                self.is_static = false;
                dynamic_scope(|| self.play(&mut rest.take(count)));
            }
            2 => {
                let name = ["one", "two", "three"][usize::from(choice / 4) % 3];
                let tag = Tag::named(name).expect("there are few names");
                tagged(tag, || self.play(&mut rest.take(count)));
            }
            _ => {
                let region = Region::thread();
                self.play(&mut rest.take(count));
                std::hint::black_box(region.delta());
            }
        }
        self.is_static = outside;
        self.depth -= 1;
    }

    fn add(&mut self, interface: Interface, layout: Layout, is_zeroed: bool) {
        let is_static = self.is_static && interface == Interface::Layout;
        // What is placed once and for all is small.
        if self.bytes + layout.size() > MOST || is_static && (layout.size() > 4096 || layout.align() > 4096) {
            return;
        }
        self.calls += 1;
        match Held::new(interface, layout, is_zeroed) {
            Some(mut block) => {
                block.is_static = is_static;
                self.keep(block);
            }
            None => self.give_way(),
        }
    }

    /// There is no memory, as a limit has it: which passes.
    fn give_way(&self) {
        assert_ne!(TENURE.limit(), Limit::NONE, "there is no memory");
        TENURE.set_limit(Limit::NONE);
    }

    fn resize(&mut self, operation: Operation) {
        let Some(mut block) = self.take(usize::from(operation.choice)) else { return };
        // Where it would move to another kind of memory, the model would not know whether it did.
        if block.is_static == self.is_static {
            let old = block.range().len();
            let most = if self.is_static { 4096 } else { 4 << 20 };
            // Often near the old size.
            let size = match operation.choice % 4 {
                0 => 2 * old,
                1 => old.div_ceil(2),
                2 => old + operation.size() % 64,
                _ => operation.size(),
            };
            self.calls += 1;
            if !block.resize(size.clamp(1, most)) {
                self.give_way();
            }
        }
        self.keep(block);
    }

    fn free(&mut self, nth: usize) {
        if let Some(block) = self.take(nth) {
            self.calls += 1;
            block.free();
        }
    }

    /// Exchanges a block, or none, with whatever is in a place.
    fn trade(&mut self, operation: Operation) {
        if self.places.is_empty() {
            return;
        }
        let mine = self.pick(usize::from(operation.choice));
        let place = &self.places[operation.size() % self.places.len()];
        let theirs = std::mem::replace(&mut *place.lock().unwrap(), mine);
        if let Some(block) = theirs {
            self.bytes += block.range().len();
            self.blocks.push(block);
        }
    }

    fn keep(&mut self, block: Held) {
        self.intervals.claim(block.range());
        self.bytes += block.range().len();
        self.blocks.push(block);
    }

    /// Takes out a block, to be freed or resized.
    fn take(&mut self, nth: usize) -> Option<Held> {
        let block = self.pick(nth)?;
        self.intervals.release(block.range());
        Some(block)
    }

    fn pick(&mut self, nth: usize) -> Option<Held> {
        if self.blocks.is_empty() {
            return None;
        }
        let block = self.blocks.swap_remove(nth % self.blocks.len());
        self.bytes -= block.range().len();
        Some(block)
    }

    /// Frees everything.
    pub fn finish(&mut self) {
        while !self.blocks.is_empty() {
            self.free(0);
        }
        count(std::mem::take(&mut self.calls));
    }
}
