//! The region on a mock system: random placing against a model, with several pieces; chunks that are refused; sealing.

use super::*;
use crate::os::mock::random::Random;
use crate::os::mock::{Call, Mock};
use crate::segment::Owner;
use core::slice;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::vec::Vec;

const MIB: usize = 1024 * 1024;

/// A process in small that has static memory alone.
struct World {
    mock: &'static Mock,
    backend: &'static Backend,
    region: Region,
    pieces: Vec<Piece<1>>,
    capacity: usize,
}

/// A block in use: its layout, and the byte it is filled with.
type Blocks = BTreeMap<usize, (Layout, u8)>;

impl World {
    fn new(capacity: usize, pieces: usize) -> Self {
        let mock = Mock::new();
        let backend = Box::leak(Box::new(Backend::new(mock)));
        Self { mock, backend, region: Region::new(), pieces: (0..pieces).map(|_| Piece::empty()).collect(), capacity }
    }

    fn place(&self, piece: usize, size: usize, align: usize) -> Option<NonNull<u8>> {
        let layout = Layout::from_size_align(size, align).unwrap();
        let placed = self.region.place(self.backend, self.pieces.get(piece), self.capacity, layout)?;
        let block = placed.block;
        assert!(align::is_aligned(block.addr().get(), align), "{layout:?} at {block:p}");
        assert_eq!(self.backend.owners.look_up(block.addr().get()), Owner::STATIC);
        assert_eq!(self.backend.owners.look_up(block.addr().get() + size - 1), Owner::STATIC);
        // SAFETY: a block of `size` bytes, beyond whose first `stale` bytes the memory is as the system gave it.
        let fresh = unsafe { slice::from_raw_parts(block.as_ptr(), size) };
        assert!(fresh[placed.stale..].iter().all(|&byte| byte == 0), "said to be fresh");
        Some(block)
    }

    fn stats(&self) -> ArenaStats {
        self.region.stats(self.pieces.iter())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // SAFETY: blocks are not used after their world.
        unsafe { self.mock.give_all_back() };
    }
}

fn fill(block: NonNull<u8>, layout: Layout, byte: u8) {
    // SAFETY: the test's own block.
    unsafe { block.write_bytes(byte, layout.size()) };
}

#[track_caller]
fn assert_filled(address: usize, len: usize, byte: u8) {
    // SAFETY: the test's own block, of which so many bytes were filled.
    let bytes = unsafe { slice::from_raw_parts(ptr::with_exposed_provenance::<u8>(address), len) };
    assert!(bytes.iter().all(|&found| found == byte), "a block at {address:#x} was changed");
}

/// Panics where a block overlaps its neighbours.
fn insert(blocks: &mut Blocks, block: NonNull<u8>, layout: Layout, byte: u8) {
    let address = block.addr().get();
    if let Some((&below, (layout, _))) = blocks.range(..=address).next_back() {
        assert!(below + layout.size() <= address, "{block:p} overlaps the block at {below:#x}");
    }
    if let Some((&above, _)) = blocks.range(address..).next() {
        assert!(address + layout.size() <= above, "{block:p} overlaps the block at {above:#x}");
    }
    blocks.insert(address, (layout, byte));
}

/// `steps` random steps on `world`; returns the blocks that are in use afterwards.
fn work(world: &World, random: &mut Random, steps: usize) -> Blocks {
    let mut blocks = Blocks::new();
    for step in 0..steps {
        let piece = random.within(0..world.pieces.len() + 1);
        let picked = blocks.keys().nth(random.within(0..blocks.len().max(1))).copied();
        match (random.within(0..8), picked) {
            (0, Some(address)) => {
                let (layout, byte) = blocks.remove(&address).unwrap();
                assert_filled(address, layout.size(), byte);
                let block = pointer(address).unwrap();
                assert!(world.region.put_back(world.pieces.get(piece), block, layout.size()));
            }
            (1 | 2, Some(address)) => {
                let (layout, byte) = blocks[&address];
                let new = 1 + random.within(0..3 * layout.size());
                let block = pointer(address).unwrap();
                let is_done = world.region.resize(world.pieces.get(piece), block, layout.size(), new);
                assert!(is_done == Some(true) || is_done == Some(false) && new > layout.size());
                assert_filled(address, layout.size().min(new), byte);
                if is_done == Some(true) {
                    blocks.remove(&address);
                    let layout = Layout::from_size_align(new, layout.align()).unwrap();
                    insert(&mut blocks, block, layout, byte);
                    fill(block, layout, byte);
                }
            }
            _ => {
                let most = if random.once_in(40) { 100_000 } else { 300 };
                let size = random.within(1..most);
                let most = if random.once_in(40) { 15 } else { 7 };
                let align = 1 << random.within(0..most);
                if let Some(block) = world.place(piece, size, align) {
                    let layout = Layout::from_size_align(size, align).unwrap();
                    insert(&mut blocks, block, layout, step as u8 | 1);
                    fill(block, layout, step as u8 | 1);
                }
            }
        }
    }
    for (&address, &(layout, byte)) in &blocks {
        assert_filled(address, layout.size(), byte);
    }
    blocks
}

#[track_caller]
fn assert_adds_up(world: &World, blocks: &Blocks) {
    let stats = world.stats();
    let bytes: usize = blocks.values().map(|(layout, _)| layout.size()).sum();
    assert_eq!((stats.blocks, stats.live()), (blocks.len(), bytes), "{stats:?}");
    assert!(
        stats.used <= stats.capacity && stats.used <= stats.high_water && stats.used + stats.slack <= stats.capacity
    );
}

#[test]
fn random_steps_on_several_pieces_keep_every_block_and_every_figure() {
    for seed in 0..40 {
        let pieces = seed as usize % 4;
        let world = World::new(GROWS, pieces);
        let blocks = work(&world, &mut Random::new(seed), 3000);
        assert_adds_up(&world, &blocks);
        assert_eq!(world.stats().fallbacks, 0);
    }
}

#[test]
fn a_fixed_capacity_is_never_exceeded_and_what_does_not_fit_is_refused() {
    for seed in 0..20 {
        let world = World::new(300_000, 2);
        let blocks = work(&world, &mut Random::new(seed), 3000);
        assert_adds_up(&world, &blocks);
        let stats = world.stats();
        assert_eq!((stats.capacity, stats.chunks), (300_000, 1));
        assert!(stats.used > 280_000, "{stats:?}");
    }
}

#[test]
fn one_thread_alone_leaves_no_gaps() {
    let world = World::new(GROWS, 1);
    let blocks: Vec<_> = (0..10_000).map(|_| world.place(0, 24, 8).unwrap().addr().get()).collect();
    assert!(blocks.windows(2).all(|pair| pair[1] - pair[0] == 24));
    let stats = world.stats();
    assert_eq!((stats.used, stats.dead, stats.blocks, stats.slack), (240_000, 0, 10_000, 0));
}

#[test]
fn chunks_double_and_what_is_left_of_one_still_serves_small_requests() {
    let world = World::new(GROWS, 0);
    let lens: Vec<_> = (0..5)
        .map(|_| {
            let before = world.stats().capacity;
            while world.stats().capacity == before {
                world.place(0, 700_000, 1).unwrap();
            }
            world.stats().capacity - before
        })
        .collect();
    assert_eq!(lens, [2 * MIB, 2 * MIB, 4 * MIB, 8 * MIB, 16 * MIB]);
    assert!(world.stats().slack > 0);
    // A block larger than any chunk gets one of its own, and an alignment beyond a granule's is exact.
    world.place(0, 100 * MIB, 1).unwrap();
    world.place(0, 1, 4 * MIB).unwrap();
    world.place(0, 3 * MIB, 64 * MIB).unwrap();
}

#[test]
fn where_the_system_refuses_a_long_chunk_a_short_one_will_do() {
    let world = World::new(GROWS, 1);
    world.place(0, 40 * MIB, 8).unwrap();
    let reserved = world.backend.counters.reserved();
    // By hint, and by a place to be trimmed.
    world.mock.fail(Some(Call::Map), 1, 2);
    assert!(world.place(0, 2 * MIB, 8).is_some());
    assert_eq!(world.backend.counters.reserved() - reserved, 2 * MIB);
    world.mock.fail_from(Some(Call::Map), 1);
    assert_eq!(world.place(0, 3 * MIB, 8), None);
    world.mock.succeed();
    assert!(world.place(0, 3 * MIB, 8).is_some());
}

#[test]
fn any_one_call_may_fail_and_every_block_is_kept() {
    for nth in 1..60 {
        let world = World::new(GROWS, 2);
        world.mock.fail_nth(None, nth);
        let blocks = work(&world, &mut Random::new(7), 4000);
        assert_adds_up(&world, &blocks);
        world.region.seal(world.backend, &world.pieces);
        assert_eq!(world.place(0, 1, 1), None);
        for (&address, &(layout, byte)) in &blocks {
            assert_filled(address, layout.size(), byte);
        }
    }
}

#[test]
fn a_sealed_region_places_nothing_gives_its_rest_back_and_keeps_what_it_has() {
    let world = World::new(GROWS, 2);
    let blocks = work(&world, &mut Random::new(3), 4000);
    let before = world.stats();
    let mapped = world.mock.mapped();
    let sealed = world.region.seal(world.backend, &world.pieces);
    assert!(sealed.returned > 0 && sealed.read_only == 0);
    assert_eq!(world.mock.mapped(), mapped - sealed.returned);
    let stats = world.stats();
    assert_eq!((stats.blocks, stats.live()), (before.blocks, before.live()));
    assert!(stats.remaining() == 0 && stats.slack < 4096 * stats.chunks + PIECE, "{stats:?}");
    for piece in 0..3 {
        assert_eq!(world.place(piece, 1, 1), None);
    }
    let again = world.region.seal(world.backend, &world.pieces);
    assert_eq!((again.returned, again.used), (0, sealed.used));
    for (&address, &(layout, byte)) in &blocks {
        assert_filled(address, layout.size(), byte);
        let block = pointer(address).unwrap();
        assert_ne!(world.region.resize(None, block, layout.size(), layout.size() + 1), Some(true), "it would grow");
        assert!(world.region.put_back(world.pieces.first(), block, layout.size()));
    }
    let stats = world.stats();
    assert_eq!((stats.blocks, stats.live(), stats.used), (0, 0, stats.dead));
}

#[test]
fn a_fixed_region_that_is_sealed_counts_the_rest_of_its_last_page_as_slack() {
    let world = World::new(100_000, 1);
    world.place(0, 5000, 1).unwrap();
    let sealed = world.region.seal(world.backend, &world.pieces);
    assert_eq!((sealed.used, sealed.returned), (5000, 2 * MIB - 8192));
    let stats = world.stats();
    assert_eq!((stats.capacity, stats.used, stats.slack), (8192, 5000, 3192));
}

#[test]
fn a_region_that_is_sealed_before_its_first_use_places_nothing() {
    let world = World::new(GROWS, 1);
    assert_eq!(world.region.seal(world.backend, &[]), Sealed::default());
    assert_eq!(world.place(0, 1, 1), None);
    assert_eq!((world.stats(), world.mock.mapped()), (ArenaStats::default(), 0));
}

#[test]
fn read_only_pages_are_those_of_every_chunk_that_has_blocks() {
    let world = World::new(GROWS, 1);
    let block = world.place(0, 5000, 1).unwrap();
    world.place(0, 3 * MIB + 1, 1).unwrap();
    // SAFETY: nobody writes to the blocks.
    let sealed = unsafe { world.region.seal_read_only(world.backend, &world.pieces) };
    assert_eq!(sealed.read_only, 8192 + 3 * MIB + 4096);
    assert_filled(block.addr().get(), 5000, 0);
    // SAFETY: as above.
    let again = unsafe { world.region.seal_read_only(world.backend, &[]) };
    assert_eq!((again.read_only, again.returned), (sealed.read_only, 0));
}

#[test]
fn a_free_or_a_resize_of_what_was_never_handed_out_is_refused() {
    let world = World::new(GROWS, 1);
    let block = world.place(0, 100, 8).unwrap();
    let end = world.pieces[0].end();
    let beyond = NonNull::new(end).unwrap();
    assert!(!world.region.put_back(None, beyond, 1));
    assert_eq!(world.region.resize(None, beyond, 1, 2), None);
    assert!(!world.region.put_back(None, block, 3 * MIB));
    assert!(!world.region.put_back(None, NonNull::<u64>::dangling().cast(), 8));
    assert!(world.region.put_back(world.pieces.first(), block, 100));
    assert_eq!(world.stats().used, 0);
}

#[test]
fn a_vector_that_grows_as_the_last_block_stays_where_it_is() {
    let world = World::new(GROWS, 1);
    let block = world.place(0, 100, 8).unwrap();
    let piece = world.pieces.first();
    for doublings in 0..12 {
        let old = 100 << doublings;
        assert_eq!(world.region.resize(piece, block, old, 2 * old), Some(true), "{old} bytes");
    }
    assert_eq!((world.stats().used, world.stats().dead), (100 << 12, 0));
    world.place(0, 1, 1).unwrap();
    assert_eq!(world.region.resize(piece, block, 100 << 12, 101 << 12), Some(false));
}

#[test]
fn the_largest_capacity_is_served() {
    for capacity in [MAX_FIXED, MAX_FIXED - GRANULE] {
        let world = World::new(capacity, 1);
        if world.place(0, 100, 8).is_none() {
            // The system does not promise so much; but it was asked.
            assert!(world.mock.calls(Some(Call::Map)) > 0);
            continue;
        }
        assert_eq!(world.place(0, capacity, 1), None);
        let stats = world.stats();
        assert_eq!((stats.capacity, stats.blocks, stats.chunks), (capacity, 1, 1));
    }
}
