//! `StaticArena::from_slice`: arenas over memory that the program brings.
#![cfg(not(loom))]

use std::alloc::{GlobalAlloc, Layout};
use std::mem::MaybeUninit;
use std::{ptr, slice, thread};
use tenure::{StaticArena, Tenure};

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

type Region<const LEN: usize> = [MaybeUninit<u8>; LEN];

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

/// An arena over `len` leaked bytes, each of which is `filling`.
fn leaked(len: usize, filling: u8) -> (&'static StaticArena, std::ops::Range<usize>) {
    let memory = Vec::leak(vec![MaybeUninit::new(filling); len]);
    let addresses = memory.as_ptr().addr()..memory.as_ptr().addr() + len;
    (Box::leak(Box::new(StaticArena::from_slice(memory))), addresses)
}

#[test]
fn a_static_over_a_region_hands_out_all_of_it_and_nothing_else() {
    static mut REGION: Region<100> = [MaybeUninit::uninit(); 100];
    // SAFETY: nothing else makes a reference to the region.
    static ARENA: StaticArena = StaticArena::from_slice(unsafe { &mut *ptr::addr_of_mut!(REGION) });
    assert_eq!((ARENA.capacity(), ARENA.remaining()), (100, 100));
    let placed = ARENA.alloc([7_u8; 60]);
    assert_eq!(ptr::from_ref(placed).addr(), (&raw const REGION).addr());
    assert_eq!(ARENA.try_alloc([0_u8; 41]).unwrap_err().left(), 40);
    assert_eq!(ARENA.alloc([9_u8; 40]), &[9; 40]);
    assert_eq!((*placed, ARENA.remaining(), ARENA.blocks()), ([7; 60], 0, 2));
}

#[test]
fn leaked_memory_serves_several_threads() {
    let (arena, addresses) = leaked(40_000, 0xaa);
    let threads: Vec<_> = (0..4_u64)
        .map(|seed| thread::spawn(move || (0..1000).map(|nth| arena.alloc(nth * 4 + seed)).collect::<Vec<_>>()))
        .collect();
    for (seed, thread) in (0..).zip(threads) {
        for (nth, value) in (0..).zip(thread.join().unwrap()) {
            assert_eq!(*value, nth * 4 + seed);
            assert!(addresses.contains(&ptr::from_ref(value).addr()));
        }
    }
    assert_eq!(arena.blocks(), 4000);
}

#[test]
fn arenas_over_parts_of_one_region_keep_apart() {
    let (lower, upper) = Vec::leak(vec![MaybeUninit::<u8>::uninit(); 1000]).split_at_mut(333);
    let boundary = upper.as_ptr().addr();
    let lower: &StaticArena = Box::leak(Box::new(StaticArena::from_slice(lower)));
    let upper: &StaticArena = Box::leak(Box::new(StaticArena::from_slice(upper)));
    let low: Vec<_> = std::iter::from_fn(|| lower.try_alloc([1_u8; 10]).ok()).collect();
    let high: Vec<_> = std::iter::from_fn(|| upper.try_alloc([2_u8; 10]).ok()).collect();
    assert_eq!((low.len(), high.len()), (33, 66));
    assert!(low.iter().all(|block| **block == [1; 10] && ptr::from_ref(&**block).addr() + 10 <= boundary));
    assert!(high.iter().all(|block| **block == [2; 10] && ptr::from_ref(&**block).addr() >= boundary));
}

#[test]
fn alignments_beyond_that_of_the_region_are_exact() {
    let (arena, addresses) = leaked((8 << 20) + 100, 0);
    for shift in 0..=22 {
        // One byte first, so that the cursor stands at an odd place.
        arena.alloc(0_u8);
        let block = arena.alloc_layout(layout(5, 1 << shift));
        assert_eq!(block.addr().get() % (1 << shift), 0);
        assert!(addresses.contains(&(block.addr().get() + 4)));
    }
}

#[test]
fn a_region_without_bytes_serves_zero_sized_values_alone() {
    static ARENA: StaticArena = StaticArena::from_slice(&mut []);
    assert_eq!(ARENA.capacity(), 0);
    assert_eq!(ARENA.alloc_str(""), "");
    assert_eq!(ARENA.try_alloc(1_u8).unwrap_err().left(), 0);
}

#[test]
fn zeroed_memory_is_zero_whatever_the_region_held() {
    let (arena, _) = leaked(1000, 0xaa);
    // SAFETY: the block is used within its size, and given back once with its own layout.
    unsafe {
        let block = arena.alloc_zeroed(layout(500, 1));
        assert_eq!(slice::from_raw_parts(block, 500), [0; 500]);
        arena.dealloc(block, layout(500, 1));
        let again = arena.alloc_zeroed(layout(900, 1));
        assert_eq!((again, slice::from_raw_parts(again, 900)), (block, &[0; 900][..]));
        let next = GlobalAlloc::alloc(arena, layout(100, 1));
        assert_eq!(slice::from_raw_parts(next, 100), [0xaa; 100]);
    }
}

#[test]
#[cfg(target_pointer_width = "64")]
fn of_more_bytes_than_an_arena_can_count_only_that_many_are_used() {
    const LEN: usize = (4 << 30) + 4096;
    // SAFETY: a new mapping, whose pages cost nothing until they are touched.
    let memory = unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        libc::mmap(ptr::null_mut(), LEN, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
    };
    assert_ne!(memory, libc::MAP_FAILED);
    // SAFETY: the mapping is this long, and nobody else's.
    let memory = unsafe { slice::from_raw_parts_mut(memory.cast::<MaybeUninit<u8>>(), LEN) };
    let arena: &'static StaticArena = Box::leak(Box::new(StaticArena::from_slice(memory)));
    assert_eq!(arena.capacity(), (4 << 30) - 2);
    arena.alloc_layout(layout((4 << 30) - 3, 1));
    assert_eq!(*arena.alloc(7_u8), 7);
    assert_eq!(arena.try_alloc(7_u8).unwrap_err().left(), 0);
}
