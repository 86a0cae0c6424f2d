//! The owner map, the full one and the small one.

use super::super::owner::{ADDRESSES, GRANULE, OWNER_MAP, Owner, OwnerMap};
use crate::os::Platform;
use crate::os::mock::{Call, Mock};
use std::vec::Vec;

/// A map of a test's own, with the system it lies in.
struct Sample {
    mock: &'static Mock,
    map: OwnerMap,
    metadata: usize,
}

impl Sample {
    fn full(page_size: usize) -> Self {
        let mut sample = Self { mock: Mock::with_page_size(page_size), map: OwnerMap::new(), metadata: 0 };
        assert!(sample.map.prepare(sample.mock, &mut sample.metadata));
        sample
    }

    /// A map as where the address space is too small for the full one.
    fn small() -> Self {
        let mut sample = Self { mock: Mock::new(), map: OwnerMap::new(), metadata: 0 };
        sample.mock.fail_nth(Some(Call::Reserve), 1);
        assert!(sample.map.prepare(sample.mock, &mut sample.metadata));
        sample
    }

    fn admit(&mut self, address: usize) -> bool {
        self.map.admit(self.mock, address, &mut self.metadata)
    }

    /// An address that a small map covers as well: near whatever was mapped last.
    fn nearby(&self) -> usize {
        let place = self.mock.map(0, self.mock.page_size()).unwrap();
        place.addr().get() / GRANULE * GRANULE
    }

    fn found(&self) -> Vec<(usize, Owner)> {
        self.map.walk(|owner| owner != Owner::NONE).collect()
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        // SAFETY: the map ends here.
        unsafe { self.mock.give_all_back() };
    }
}

/// Addresses that no allocator hands out, and the ends of what a map covers.
const STRANGE: [usize; 12] = [
    0,
    1,
    GRANULE - 1,
    GRANULE,
    ADDRESSES - 1,
    ADDRESSES,
    ADDRESSES + GRANULE,
    2 * ADDRESSES - 1,
    usize::MAX / 2,
    usize::MAX / 2 + 1,
    usize::MAX - GRANULE,
    usize::MAX,
];

#[test]
fn before_there_is_a_map_every_address_is_nobodys() {
    let mock = Mock::new();
    let map = OwnerMap::new();
    for address in STRANGE {
        assert_eq!(map.look_up(address), Owner::NONE);
        assert!(!map.admit(mock, address, &mut 0));
        map.set(address, Owner(1));
        assert!(!map.claim(address, Owner::NONE, Owner(1)));
    }
    assert_eq!(map.walk(|_| true).count(), 0);
    assert_eq!(mock.calls(None), 0);
}

#[test]
fn any_address_at_all_can_be_looked_up_in_either_map() {
    for sample in [Sample::full(4096), Sample::full(64 * 1024), Sample::small()] {
        for address in STRANGE {
            assert_eq!(sample.map.look_up(address), Owner::NONE, "{address:#x}");
        }
        for bit in 0..usize::BITS {
            assert_eq!(sample.map.look_up(1 << bit), Owner::NONE);
            assert_eq!(sample.map.look_up((1usize << bit).wrapping_neg()), Owner::NONE);
        }
    }
}

#[test]
fn the_full_map_admits_every_address_that_a_program_can_have_and_no_other() {
    let mut sample = Sample::full(4096);
    for address in [0, GRANULE, ADDRESSES - 1] {
        assert!(sample.admit(address), "{address:#x}");
        sample.map.set(address, Owner(7));
        assert_eq!(sample.map.look_up(address), Owner(7));
    }
    for address in [ADDRESSES, 2 * ADDRESSES, usize::MAX] {
        assert!(!sample.admit(address), "{address:#x}");
        sample.map.set(address, Owner(7));
        assert_eq!(sample.map.look_up(address), Owner::NONE);
    }
    let last = ADDRESSES - GRANULE;
    assert_eq!(sample.map.look_up(last), Owner(7));
    assert_eq!(sample.map.look_up(last - 1), Owner::NONE);
}

#[test]
fn the_full_map_becomes_writable_and_is_counted_piece_by_piece() {
    let mut sample = Sample::full(64 * 1024);
    let address = sample.nearby();
    assert_eq!(sample.metadata, 0);
    assert!(sample.admit(address));
    let piece = sample.metadata;
    assert_eq!(sample.mock.calls(Some(Call::Commit)), 1);
    // Another granule of the same piece, or of the next one.
    let covered = piece / 2 * GRANULE;
    assert!(sample.admit(address / covered * covered) && sample.admit(address / covered * covered + covered - 1));
    assert_eq!((sample.metadata, sample.mock.calls(Some(Call::Commit))), (piece, 1));
    assert!(sample.admit(address - covered));
    assert_eq!((sample.metadata, sample.mock.calls(Some(Call::Commit))), (2 * piece, 2));
}

#[test]
fn a_piece_that_the_system_refuses_is_not_admitted_and_may_be_later() {
    let mut sample = Sample::full(4096);
    let address = sample.nearby();
    sample.mock.fail_nth(Some(Call::Commit), 1);
    assert!(!sample.admit(address));
    assert_eq!((sample.map.look_up(address), sample.metadata), (Owner::NONE, 0));
    assert!(sample.admit(address));
}

#[test]
fn the_small_map_covers_256_gib_around_itself_and_refuses_the_rest() {
    let mut sample = Sample::small();
    assert_eq!(sample.metadata, 256 * 1024);
    let address = sample.nearby();
    assert!(sample.admit(address));
    sample.map.set(address, Owner(3));
    assert_eq!(sample.map.look_up(address + GRANULE - 1), Owner(3));
    let (near, far) = (60 << 30, 300 << 30);
    for other in [address - near, address + near] {
        assert!(sample.admit(other), "{other:#x}");
    }
    for other in [address - far, address + far, 0, usize::MAX] {
        assert!(!sample.admit(other), "{other:#x}");
        assert_eq!(sample.map.look_up(other), Owner::NONE);
    }
    assert_eq!(sample.mock.calls(Some(Call::Commit)), 0, "it is writable from the start");
}

#[test]
fn without_memory_there_is_no_map_and_the_next_attempt_makes_one() {
    let mock = Mock::new();
    let map = OwnerMap::new();
    mock.fail_from(None, 1);
    for _ in 0..3 {
        assert!(!map.prepare(mock, &mut 0));
    }
    assert_eq!(mock.mapped(), 0);
    mock.succeed();
    assert!(map.prepare(mock, &mut 0));
    assert!(map.admit(mock, 1 << 46, &mut 0), "it is a full one");
    assert_eq!(mock.mapped(), OWNER_MAP);
    assert!(map.prepare(mock, &mut 0) && mock.calls(Some(Call::Reserve)) == 4, "once is enough");
    // SAFETY: the map is not used any more.
    unsafe { mock.give_all_back() };
}

#[test]
fn a_walk_visits_segments_lowest_first() {
    for mut sample in [Sample::full(4096), Sample::small()] {
        let base = sample.nearby() - 100 * GRANULE;
        assert_eq!(sample.found(), []);
        for (nth, owner) in [(9, Owner(2)), (3, Owner::POOLED), (40, Owner::MAPPING), (4, Owner(2)), (5, Owner(1))] {
            assert!(sample.admit(base + nth * GRANULE));
            sample.map.set(base + nth * GRANULE + 12345, owner);
            sample.map.note_segment(base + nth * GRANULE);
        }
        let found: Vec<(usize, u16)> =
            sample.found().into_iter().map(|(at, owner)| ((at - base) / GRANULE, owner.0)).collect();
        assert_eq!(found, [(3, Owner::POOLED.0), (4, 2), (5, 1), (9, 2), (40, Owner::MAPPING.0)]);
        // A mapping's entry outside the range of segments is not come past.
        assert!(sample.admit(base - GRANULE));
        sample.map.set(base - GRANULE, Owner::MAPPING);
        assert_eq!(sample.found().len(), 5);
        let heaps: Vec<usize> =
            sample.map.walk(Owner::is_heap).map(|(address, _)| (address - base) / GRANULE).collect();
        assert_eq!(heaps, [4, 5, 9]);
    }
}

#[test]
fn a_claim_succeeds_once() {
    for mut sample in [Sample::full(4096), Sample::small()] {
        let address = sample.nearby();
        assert!(sample.admit(address));
        sample.map.give_up(address, Owner::POOLED);
        assert!(!sample.map.claim(address, Owner::RELEASED, Owner(1)));
        assert!(sample.map.claim(address, Owner::POOLED, Owner(1)));
        assert!(!sample.map.claim(address, Owner::POOLED, Owner(2)));
        assert_eq!(sample.map.look_up(address), Owner(1));
        // SAFETY: the map covers the address.
        assert_eq!(unsafe { sample.map.owner_of(core::ptr::without_provenance_mut(address + 5)) }, Owner(1));
    }
}

#[test]
fn what_is_not_a_heap_is_told_apart_from_those_that_are() {
    let others = [Owner::NONE, Owner::MAPPING, Owner::POOLED, Owner::RELEASED, Owner::UNMATCHED];
    assert!(others.iter().all(|owner| !owner.is_heap()));
    assert!((1..=4097).all(|id| Owner(id).is_heap()));
}

/// The owner of `address` as a thread sees it that has the map at hand.
fn seen(map: &OwnerMap, address: usize) -> Owner {
    let view = map.view();
    view.owner_of(view.granule_of(address))
}

#[test]
fn a_view_of_the_full_map_shows_every_entry_and_of_other_addresses_the_entry_of_their_low_bits() {
    let mut sample = Sample::full(4096);
    let address = sample.nearby();
    assert!(sample.admit(address));
    sample.map.set(address, Owner(7));
    assert_eq!(seen(&sample.map, address), Owner(7));
    assert_eq!(seen(&sample.map, address + GRANULE - 1), Owner(7));
    assert_eq!(seen(&sample.map, address - 1), Owner::NONE);
    for bit in ADDRESSES.ilog2()..usize::BITS {
        assert_eq!(seen(&sample.map, address | 1 << bit), Owner(7));
    }
    for address in STRANGE {
        assert_eq!(seen(&sample.map, address), Owner::NONE, "{address:#x}");
    }
}

#[test]
fn without_a_full_map_a_view_shows_every_address_as_nobodys() {
    let none = OwnerMap::new();
    let mut small = Sample::small();
    let address = small.nearby();
    assert!(small.admit(address));
    small.map.set(address, Owner(7));
    for address in STRANGE.into_iter().chain([address]) {
        assert_eq!(seen(&none, address), Owner::NONE, "{address:#x}");
        assert_eq!(seen(&small.map, address), Owner::NONE, "{address:#x}");
    }
}
