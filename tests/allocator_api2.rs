//! Collections that take an allocator, in arenas and on Tenure.
#![cfg(not(loom))]

use allocator_api2::alloc::Allocator;
use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec;
use hashbrown::{DefaultHashBuilder, HashMap};
use std::alloc::Layout;
use std::fmt::Debug;
use std::ptr::NonNull;
use tenure::{Arena, StaticArena, Tenure};

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

/// A copy of the first `len` bytes of a block.
///
/// # Safety
/// - They are initialised, and the block is in use.
unsafe fn bytes(block: NonNull<[u8]>, len: usize) -> std::vec::Vec<u8> {
    assert!(len <= block.len());
    // SAFETY: the caller says so.
    unsafe { std::slice::from_raw_parts(block.cast::<u8>().as_ptr(), len) }.to_vec()
}

/// What any allocator has to do, through every method of the trait.
fn use_every_method<A: Allocator + Clone + Debug>(allocator: A) {
    // SAFETY: every block is in use when it is passed on, with the layout that it has by then.
    unsafe {
        for align in [1, 8, 64, 4096] {
            let (small, large) = (layout(10, align), layout(3000, align));
            let block = allocator.allocate_zeroed(small).unwrap();
            assert_eq!((bytes(block, 10), block.cast::<u8>().addr().get() % align), (vec![0; 10], 0));
            block.cast::<u8>().write_bytes(7, 10);
            let block = allocator.grow(block.cast(), small, large).unwrap();
            assert_eq!((bytes(block, 10), block.cast::<u8>().addr().get() % align), (vec![7; 10], 0));
            block.cast::<u8>().write_bytes(8, 3000);
            // From another copy of the allocator, which is the same one.
            let block = allocator.clone().shrink(block.cast(), large, small).unwrap();
            assert_eq!(bytes(block, 10), [8; 10]);
            let block = allocator.grow_zeroed(block.cast(), small, large).unwrap();
            assert_eq!(bytes(block, 3000), [vec![8; 10], vec![0; 2990]].concat());
            // To another alignment, and there are others behind it.
            let other = allocator.allocate(small).unwrap();
            let aligned = layout(3500, align * 2);
            let block = allocator.grow(block.cast(), large, aligned).unwrap();
            assert_eq!(bytes(block, 3000), [vec![8; 10], vec![0; 2990]].concat());
            assert_eq!(block.cast::<u8>().addr().get() % (align * 2), 0);
            let block = allocator.shrink(block.cast(), aligned, layout(5, align)).unwrap();
            assert_eq!(bytes(block, 5), [8; 5]);
            // To nothing and back.
            let empty = allocator.shrink(block.cast(), layout(5, align), layout(0, align)).unwrap();
            assert_eq!((empty.len(), empty.cast::<u8>().addr().get() % align), (0, 0));
            let block = allocator.grow_zeroed(empty.cast(), layout(0, align), small).unwrap();
            assert_eq!(bytes(block, 10), [0; 10]);
            allocator.deallocate(block.cast(), small);
            allocator.deallocate(other.cast(), small);
            let empty = allocator.allocate(layout(0, align)).unwrap();
            allocator.deallocate(empty.cast(), layout(0, align));
        }
        let block = allocator.allocate(layout(10, 8)).unwrap();
        block.cast::<u8>().write_bytes(9, 10);
        assert!(allocator.grow(block.cast(), layout(10, 8), layout(1 << 48, 8)).is_err());
        assert_eq!(bytes(block, 10), [9; 10], "a block that cannot grow stays as it was");
        allocator.deallocate(block.cast(), layout(10, 8));
    }
}

/// What a program does with collections.
fn use_collections<A: Allocator + Clone + Debug>(allocator: A) {
    let mut words: Vec<Box<str, A>, A> = Vec::new_in(allocator.clone());
    let mut lengths: HashMap<usize, Vec<u32, A>, DefaultHashBuilder, A> =
        HashMap::with_hasher_in(DefaultHashBuilder::default(), allocator.clone());
    for number in 0..2000_u32 {
        let text = "x".repeat(number as usize % 37);
        let bytes = Box::<[u8], A>::from(text.as_bytes().to_vec_in_allocator(allocator.clone()));
        // SAFETY: bytes of a `str`.
        words.push(unsafe { Box::from_raw_in(Box::into_raw(bytes) as *mut str, allocator.clone()) });
        lengths.entry(text.len()).or_insert_with(|| Vec::new_in(allocator.clone())).push(number);
    }
    assert_eq!((words.len(), lengths.len()), (2000, 37));
    for (length, numbers) in &lengths {
        assert!(numbers.iter().all(|number| words[*number as usize].len() == *length));
    }
    words.truncate(10);
    words.shrink_to_fit();
    lengths.retain(|length, _| length % 2 == 0);
    lengths.shrink_to_fit();
    assert_eq!((&*words[9], lengths.len()), ("xxxxxxxxx", 19));
    let nothing: Vec<(), A> = (0..100).fold(Vec::new_in(allocator), |mut all, _| {
        all.push(());
        all
    });
    assert_eq!(nothing.len(), 100);
}

trait ToVecIn {
    fn to_vec_in_allocator<A: Allocator>(&self, allocator: A) -> Vec<u8, A>;
}

impl ToVecIn for [u8] {
    fn to_vec_in_allocator<A: Allocator>(&self, allocator: A) -> Vec<u8, A> {
        let mut copy = Vec::with_capacity_in(self.len(), allocator);
        copy.extend_from_slice(self);
        copy
    }
}

#[test]
fn an_arena_serves_collections_until_it_is_reset() {
    let mut arena = Arena::new();
    for _ in 0..3 {
        use_every_method(&arena);
        use_collections(&arena);
        assert_eq!(arena.stats().blocks, 0);
        arena.reset();
    }
}

#[test]
fn a_scope_serves_collections_until_it_ends() {
    let mut arena = Arena::new();
    arena.scoped(|outer| {
        use_every_method(&*outer);
        outer.scoped(|inner| {
            use_every_method(&*inner);
            use_collections(&*inner);
            assert_eq!(inner.stats().blocks, 0);
        });
        use_collections(&*outer);
    });
    assert_eq!(arena.stats().used, 0);
}

#[test]
fn a_static_arena_serves_collections() {
    static ARENA: StaticArena<{ 1 << 20 }> = StaticArena::new();
    use_every_method(&ARENA);
    use_collections(&ARENA);
    assert_eq!(ARENA.blocks(), 0);
    let table = Box::leak(Box::new_in([5_u16; 100], &ARENA));
    let table: &'static [u16] = table;
    assert_eq!((table[99], ARENA.blocks()), (5, 1));
}

#[test]
fn tenure_serves_collections() {
    use_every_method(Tenure::new());
    use_collections(Tenure::new());
}

#[test]
fn the_last_vector_of_an_arena_grows_and_shrinks_where_it_stands() {
    let arena = Arena::with_capacity(10_000);
    let _first = arena.alloc(1_u64);
    let mut numbers = Vec::<u32, _>::with_capacity_in(1, &arena);
    let place = numbers.as_ptr();
    numbers.extend(0..2000);
    assert_eq!(numbers.as_ptr(), place);
    assert_eq!((arena.stats().dead, arena.stats().blocks), (0, 2));
    numbers.truncate(100);
    numbers.shrink_to_fit();
    assert_eq!((numbers.as_ptr(), arena.stats().used), (place, 8 + 400));
    let behind = arena.alloc(2_u64);
    numbers.push(5);
    assert_ne!(numbers.as_ptr(), place);
    assert_eq!((numbers[99], numbers[100], *behind, arena.stats().dead), (99, 5, 2, 400));
    drop(numbers);
    assert_eq!((arena.stats().used, arena.stats().blocks), (8 + 400 + 8, 2));
}

#[test]
fn a_full_arena_is_an_error_and_not_a_panic() {
    static ARENA: StaticArena<100> = StaticArena::new();
    let arena = Arena::with_limit(4096);
    assert!((&arena).allocate(layout(5000, 8)).is_err());
    assert!(Vec::<u64, _>::new_in(&arena).try_reserve(5000).is_err());
    assert_eq!(arena.stats().fallbacks, 2);
    assert!((&ARENA).allocate_zeroed(layout(101, 1)).is_err());
}

#[test]
fn a_collection_that_is_forgotten_leaves_its_bytes_to_the_reset() {
    let mut arena = Arena::new();
    let mut numbers = Vec::new_in(&arena);
    numbers.extend(0..100);
    let kept: &[i32] = Vec::leak(numbers);
    assert_eq!((kept[99], arena.stats().blocks), (99, 1));
    arena.reset();
    assert_eq!(arena.stats().used, 0);
}
