//! Rules: how the callers of return addresses are found, for those that were met before. Of two that have the same
//! place, the later one stays.
//!
//! To read a function's tables takes a microsecond, and many lines of cache that the program would rather have for
//! itself. A rule fits into half a word.

use super::mix::mix;
use super::profile::Trail;
use super::unwind::LONGEST_FRAME;
use crate::os::{self, Module, Rule, Step};
use crate::sync::{AtomicU64, Ordering};
use core::ptr;

/// Rules that are kept.
pub(super) const RULES: usize = 1 << 12;

/// Bytes of a word, of which lengths are multiples.
const WORD: usize = size_of::<usize>();

/// Least bytes of a page on any system.
const PAGE: usize = 4096;

// From the lowest bit of half a word on: what kind of rule it is, from where the frame is so long, where the frame
// pointer is, and how long the frame is.
const KIND_BITS: u32 = 2;
const BASE_BITS: u32 = 1;
const FRAME_BITS: u32 = 9;
const LEN_BITS: u32 = 32 - KIND_BITS - BASE_BITS - FRAME_BITS;

const STEP: u32 = 1;
const END: u32 = 2;
const UNKNOWN: u32 = 3;

/// A rule as half a word, which is not zero.
fn pack(rule: Rule) -> u32 {
    let Step { from_frame_pointer, len, frame_pointer_at } = match rule {
        Rule::Step(step) => step,
        Rule::End => return END,
        Rule::Unknown => return UNKNOWN,
    };
    let fits = |bytes: usize, bits: u32| bytes.is_multiple_of(WORD) && bytes / WORD < 1 << bits;
    if !fits(len, LEN_BITS) || !fits(frame_pointer_at, FRAME_BITS) {
        return UNKNOWN;
    }
    let [len, frame_pointer_at] = [len, frame_pointer_at].map(|bytes| (bytes / WORD) as u32);
    ((len << FRAME_BITS | frame_pointer_at) << BASE_BITS | u32::from(from_frame_pointer)) << KIND_BITS | STEP
}

/// `None` of zero.
fn unpack(half: u32) -> Option<Rule> {
    let rest = half >> KIND_BITS;
    let step = Step {
        from_frame_pointer: rest & 1 == 1,
        frame_pointer_at: (rest >> BASE_BITS & ((1 << FRAME_BITS) - 1)) as usize * WORD,
        len: (rest >> (BASE_BITS + FRAME_BITS)) as usize * WORD,
    };
    match half & ((1 << KIND_BITS) - 1) {
        STEP => Some(Rule::Step(step)),
        END => Some(Rule::End),
        UNKNOWN => Some(Rule::Unknown),
        _ => None,
    }
}

/// The table.
pub(super) struct Rules<'a> {
    /// A rule in the lower half, and in the upper one a part of a hash of the address and of where its module has its
    /// tables: another module that is loaded there is not taken for the earlier one. As many as a power of two.
    places: &'a [AtomicU64],
}

impl<'a> Rules<'a> {
    pub(super) fn new(places: &'a [AtomicU64]) -> Self {
        Self { places }
    }

    /// How the caller of the code at `address`, which is from `module`, is found. Two addresses are taken for the same
    /// with a likelihood of one in four thousand millions, where one follows the other in its place.
    fn of(&self, address: usize, module: &Module) -> Rule {
        let hash = mix(address as u64 ^ mix(module.tables as u64));
        let place = &self.places[hash as usize & (self.places.len() - 1)];
        let known = place.load(Ordering::Relaxed);
        if (known ^ hash) >> 32 == 0
            && let Some(rule) = unpack(known as u32)
        {
            return rule;
        }
        let half = pack(module.rule_at(address));
        place.store(hash >> 32 << 32 | u64::from(half), Ordering::Relaxed);
        unpack(half).unwrap_or(Rule::Unknown)
    }

    /// The calling functions. False where one of them is to be found otherwise: then some may be missing.
    #[inline(never)]
    pub(super) fn walk(&self, trail: &mut Trail) -> bool {
        let Some(here) = os::registers() else { return false };
        let (mut address, mut stack, mut frame) = (here.code, here.stack, here.frame);
        let mut module = Module::NONE;
        let mut readable_page = 0;
        let mut read = |place: usize| {
            if place / PAGE != readable_page && !os::is_readable(place) {
                return None;
            }
            readable_page = place / PAGE;
            // SAFETY: the word can be read, as the system has said of its page just now, and is one of this thread's
            // stack, or of whatever is there, of which nothing else is known: so it is read as what another thread may
            // change. Its place is a multiple of a word.
            Some(unsafe { ptr::with_exposed_provenance::<usize>(place).read_volatile() })
        };
        loop {
            if !module.contains(address) {
                let Some(found) = Module::at(address) else { return true };
                module = found;
            }
            let Step { from_frame_pointer, len, frame_pointer_at } = match self.of(address, &module) {
                Rule::Step(step) => step,
                Rule::End => return true,
                Rule::Unknown => return false,
            };
            let end = if from_frame_pointer { frame } else { stack }.wrapping_add(len);
            if end <= stack || end - stack > LONGEST_FRAME || !end.is_multiple_of(WORD) {
                return false;
            }
            let Some(caller) = read(end - WORD) else { return true };
            if frame_pointer_at > 0 {
                let Some(saved) = read(end - frame_pointer_at) else { return true };
                frame = saved;
            }
            if caller < PAGE || !trail.push(caller) {
                return true;
            }
            // A call may be the last instruction of its function.
            address = caller - 1;
            stack = end;
        }
    }
}

#[cfg(all(test, not(loom), not(miri)))]
mod tests {
    use super::*;
    use crate::sampling::unwind::walk_tables;
    use core::hint::black_box;
    use std::vec::Vec;

    fn places() -> Vec<AtomicU64> {
        (0..RULES).map(|_| AtomicU64::new(0)).collect()
    }

    /// The callers from here, by rules and by the system's unwinder, are the same but for this function's own.
    #[inline(never)]
    fn assert_same(rules: &Rules<'_>) {
        let [mut by_rules, mut whole] = [Trail::EMPTY; 2];
        assert!(rules.walk(&mut by_rules));
        walk_tables(&mut whole);
        let (by_rules, whole) = (by_rules.frames(), whole.frames());
        let common = by_rules.iter().rev().zip(whole.iter().rev()).take_while(|(a, b)| a == b).count();
        let is_cut = by_rules.len() == super::super::MAX_FRAMES;
        assert!(is_cut || common > 3 && common + 2 >= by_rules.len(), "{by_rules:x?} {whole:x?}");
    }

    #[inline(never)]
    fn deeper(rules: &Rules<'_>, depth: usize, way: usize) {
        let room = black_box([way; 8]);
        match (depth, way % 3) {
            (0, _) => assert_same(rules),
            (_, 0) => deeper(rules, depth - 1, way / 3),
            (_, 1) => other(rules, depth - 1, way / 3),
            _ => {
                assert_same(rules);
                deeper(rules, depth - 1, way / 3);
            }
        }
        black_box(room);
    }

    #[inline(never)]
    fn other(rules: &Rules<'_>, depth: usize, way: usize) {
        let room = black_box([way; 30]);
        deeper(rules, depth, way);
        black_box(room);
    }

    #[test]
    fn a_walk_by_rules_finds_what_the_systems_unwinder_finds() {
        if !os::find_unwinder() {
            return;
        }
        let places = places();
        // One that is too small for all, so that rules take each other's places, and one that is not.
        for rules in [Rules::new(&places[..8]), Rules::new(&places)] {
            for way in 0..200 {
                deeper(&rules, way % 60, way * 7919);
            }
            deeper(&rules, 200, 7);
        }
    }

    #[test]
    fn a_rule_is_unpacked_as_it_was_packed_and_what_does_not_fit_is_unknown() {
        let step =
            |from_frame_pointer, len, frame_pointer_at| Rule::Step(Step { from_frame_pointer, len, frame_pointer_at });
        for rule in
            [step(false, 8, 0), step(true, 16, 16), step(false, (1 << 23) - 8, 511 * 8), Rule::End, Rule::Unknown]
        {
            assert_eq!(unpack(pack(rule)), Some(rule));
        }
        for rule in [step(false, 1 << 23, 0), step(false, 12, 0), step(false, 4096 * 4, 512 * 8)] {
            assert_eq!(unpack(pack(rule)), Some(Rule::Unknown));
        }
        assert_eq!(unpack(0), None);
    }
}
