//! Loom models of the owner map. Each ordering above `Relaxed` has one that goes red when it is weakened, or says why
//! none can.

use super::*;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use std::boxed::Box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Entries of a map that exist; a model touches no others.
const EXISTING: usize = 2;

fn new_entries() -> &'static [AtomicU16; EXISTING] {
    Box::leak(Box::new([(); EXISTING].map(|()| AtomicU16::new(0))))
}

/// Two heaps that want a segment.
const MINE: Owner = Owner(1);
const YOURS: Owner = Owner(2);

/// A segment whose head loom watches: using it after another thread, without having heard of it, fails the model.
struct Pool {
    owners: OwnerMap,
    head: UnsafeCell<u32>,
    /// A part of the head that is atomic, so that anybody may look at it.
    touched: AtomicUsize,
}

/// The first entry of the pool's map, and the address that it speaks of.
const FIRST: usize = ENTRIES_PER_PIECE;
const ADDRESS: usize = FIRST * GRANULE;

impl Pool {
    /// A map in which the segment belongs to a heap.
    fn new() -> Arc<Self> {
        let owners = OwnerMap::new();
        owners.base.store(new_entries().as_ptr().cast_mut().wrapping_sub(FIRST), Ordering::Relaxed);
        owners.first.store(FIRST, Ordering::Relaxed);
        owners.lowest.store(FIRST, Ordering::Relaxed);
        owners.highest.store(FIRST, Ordering::Relaxed);
        owners.set(ADDRESS, YOURS);
        Arc::new(Self { owners, head: UnsafeCell::new(0), touched: AtomicUsize::new(0) })
    }

    fn use_segment(&self) {
        // SAFETY: the caller owns the segment; loom fails the model if another thread is at it.
        self.head.with_mut(|head| unsafe { *head += 1 });
    }

    fn claim(&self, to: Owner) -> bool {
        let is_claimed = self.owners.claim(ADDRESS, Owner::POOLED, to);
        if is_claimed {
            self.use_segment();
        }
        is_claimed
    }
}

/// Red where `claim` succeeds with `Relaxed`, and where `give_up` stores with `Relaxed`.
#[test]
fn loom_a_segment_is_claimed_once_and_as_it_was_given_up() {
    loom::model(|| {
        let pool = Pool::new();
        let (giving, claiming) = (pool.clone(), pool.clone());
        let gives = thread::spawn(move || {
            giving.use_segment();
            giving.owners.give_up(ADDRESS, Owner::POOLED);
        });
        let claims = thread::spawn(move || claiming.claim(YOURS));
        let is_mine = pool.claim(MINE);
        gives.join().unwrap();
        let is_yours = claims.join().unwrap();
        let owner = match (is_mine, is_yours) {
            (true, true) => panic!("claimed twice"),
            (true, false) => MINE,
            (false, true) => YOURS,
            (false, false) => Owner::POOLED,
        };
        assert_eq!(pool.owners.look_up(ADDRESS), owner);
    });
}

/// As a purge does: claims, works, and gives up again. Red where `claim` succeeds with `Relaxed`, and where `give_up`
/// stores with `Relaxed`.
#[test]
fn loom_a_segment_that_is_claimed_for_a_while_has_one_owner_at_a_time() {
    loom::model(|| {
        let pool = Pool::new();
        pool.owners.give_up(ADDRESS, Owner::POOLED);
        let purging = pool.clone();
        let purges = thread::spawn(move || {
            if purging.claim(Owner::UNMATCHED) {
                purging.owners.give_up(ADDRESS, Owner::POOLED);
            }
        });
        let is_mine = pool.claim(MINE);
        purges.join().unwrap();
        assert_eq!(pool.owners.look_up(ADDRESS), if is_mine { MINE } else { Owner::POOLED });
    });
}

/// Red where `walk` loads with `Relaxed`, and where `give_up` stores with `Relaxed`.
#[test]
fn loom_a_walk_meets_pooled_segments_as_they_were_given_up() {
    loom::model(|| {
        let pool = Pool::new();
        let walking = pool.clone();
        let walks = thread::spawn(move || {
            for (address, _) in walking.owners.walk(|owner| owner == Owner::POOLED) {
                assert_eq!((address, walking.touched.load(Ordering::Relaxed)), (ADDRESS, 1));
            }
        });
        pool.touched.store(1, Ordering::Relaxed);
        pool.owners.give_up(ADDRESS, Owner::POOLED);
        walks.join().unwrap();
    });
}

/// The system as one thread sees it: refuses large reservations, or does not, and has memory for one map.
///
/// That is there from the start, since loom would take the making of an entry for a write to it. A system's zeros are
/// nobody's write.
struct System {
    can_reserve: bool,
    entries: &'static [AtomicU16; EXISTING],
    is_mapped: AtomicBool,
}

impl System {
    fn hand_out(&self) -> Option<NonNull<u8>> {
        assert!(!self.is_mapped.swap(true, Relaxed));
        Some(NonNull::from(self.entries).cast())
    }
}

impl Platform for System {
    fn page_size(&self) -> usize {
        4096
    }

    fn map(&self, _hint: usize, len: usize) -> Option<NonNull<u8>> {
        assert_eq!(len, SMALL_ENTRIES * size_of::<u16>());
        self.hand_out()
    }

    fn reserve(&self, len: usize) -> Option<NonNull<u8>> {
        assert_eq!(len, FULL_ENTRIES * size_of::<u16>());
        if self.can_reserve { self.hand_out() } else { None }
    }

    unsafe fn commit(&self, _start: NonNull<u8>, _len: usize) -> bool {
        true
    }

    unsafe fn unmap(&self, start: NonNull<u8>, _len: usize) -> bool {
        assert_eq!(start, NonNull::from(self.entries).cast());
        assert!(self.is_mapped.swap(false, Relaxed));
        true
    }

    fn map_exactly(&self, _address: usize, _len: usize) -> Option<NonNull<u8>> {
        unreachable!("no model asks for this")
    }

    unsafe fn purge(&self, _start: NonNull<u8>, _len: usize) -> bool {
        unreachable!("no model asks for this")
    }

    unsafe fn refuse_huge_pages(&self, _start: NonNull<u8>, _len: usize) {
        unreachable!("no segment")
    }

    unsafe fn join_pages(&self, _start: NonNull<u8>, _len: usize) -> bool {
        unreachable!("no segment")
    }

    unsafe fn resident_pages(&self, _start: NonNull<u8>, _len: usize) -> usize {
        unreachable!("no model asks for this")
    }

    unsafe fn prefer_huge_pages(&self, _start: NonNull<u8>, _len: usize) {
        unreachable!("no model asks for this")
    }

    unsafe fn protect(&self, _start: NonNull<u8>, _len: usize) -> bool {
        unreachable!("no model asks for this")
    }

    unsafe fn resize(&self, _start: NonNull<u8>, _old_len: usize, _new_len: usize) -> crate::os::Resized {
        unreachable!("no model asks for this")
    }

    unsafe fn relocate(&self, _start: NonNull<u8>, _old_len: usize, _target: NonNull<u8>, _new_len: usize) -> bool {
        unreachable!("no model asks for this")
    }

    fn now_ms(&self) -> u64 {
        0
    }

    fn now_ns(&self) -> u64 {
        0
    }

    fn page_faults(&self) -> u64 {
        0
    }
}

/// A map, and the systems of two threads that are the first to need it.
struct FirstUse {
    owners: OwnerMap,
    systems: [System; 2],
}

impl FirstUse {
    fn new(can_reserve: [bool; 2]) -> Arc<Self> {
        let systems = can_reserve.map(|can_reserve| System {
            can_reserve,
            entries: new_entries(),
            is_mapped: AtomicBool::new(false),
        });
        Arc::new(Self { owners: OwnerMap::new(), systems })
    }

    /// Thread `nth` makes sure that there is a map, and takes the `nth` granule that it covers; false where there is no
    /// map.
    fn start(&self, nth: usize) -> bool {
        let (os, mut metadata) = (&self.systems[nth], 0);
        if !self.owners.prepare(os, &mut metadata) {
            return false;
        }
        let first = self.owners.first.load(Ordering::Relaxed);
        assert_ne!(first, UNDECIDED);
        let address = (first + nth) * GRANULE;
        assert!(self.owners.admit(os, address, &mut metadata));
        self.owners.set(address, Owner(nth as u16 + 1));
        assert_eq!(self.owners.look_up(address), Owner(nth as u16 + 1));
        true
    }

    /// The owners of the granules that two threads have taken, of which there is one map.
    fn owners(&self) -> [Owner; 2] {
        assert_eq!(self.systems.iter().filter(|system| system.is_mapped.load(Relaxed)).count(), 1);
        let first = self.owners.first.load(Ordering::Relaxed);
        [0, 1].map(|nth| self.owners.look_up((first + nth) * GRANULE))
    }
}

/// Red where `publish` succeeds with `Relaxed`, and where `prepare` begins with `Relaxed`: a thread that finds a map
/// might not know how far it reaches.
#[test]
fn loom_two_first_users_end_with_one_map() {
    for can_reserve in [true, false] {
        loom::model(move || {
            let first_use = FirstUse::new([can_reserve; 2]);
            let other = first_use.clone();
            let thread = thread::spawn(move || assert!(other.start(1)));
            assert!(first_use.start(0));
            thread.join().unwrap();
            assert_eq!(first_use.owners(), [Owner(1), Owner(2)]);
        });
    }
}

/// The thread that is refused may come too early for the other's map, and then has none, for this time. Its second look
/// needs no ordering: the thread knows by then what was agreed on.
#[test]
fn loom_first_users_agree_where_one_is_refused_the_full_map() {
    for refused in 0..2 {
        loom::model(move || {
            let first_use = FirstUse::new([refused != 0, refused != 1]);
            let other = first_use.clone();
            let thread = thread::spawn(move || other.start(1));
            let mut has_map = [first_use.start(0), false];
            has_map[1] = thread.join().unwrap();
            assert!(has_map[1 - refused]);
            assert!(has_map[refused] || first_use.start(refused));
            assert_eq!(first_use.owners(), [Owner(1), Owner(2)]);
        });
    }
}
