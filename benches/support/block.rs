//! A block of memory from one contender. Dropping it gives it back, so the workloads need no `unsafe`.

use super::Contender;
use std::alloc::{Layout, handle_alloc_error};
use std::hint::black_box;
use std::marker::PhantomData;
use std::num::NonZero;
use std::ptr::NonNull;

mod sealed {
    pub trait Sealed {}
}

/// What a block is asked for with. Implemented in this file alone.
///
/// Invariant `shape`: the layout is not empty, is the same at every call, and all values of one type
/// have one alignment.
pub trait Shape: sealed::Sealed + Copy + Send + 'static {
    fn layout(self) -> Layout;
}

/// A layout known when the benchmark is compiled, as `Box<T>` has. Takes no room in the block.
#[derive(Clone, Copy)]
pub struct Fixed<const SIZE: usize, const ALIGN: usize>;

impl<const SIZE: usize, const ALIGN: usize> Fixed<SIZE, ALIGN> {
    const LAYOUT: Layout = match Layout::from_size_align(SIZE, ALIGN) {
        Ok(layout) if SIZE > 0 => layout,
        _ => panic!("a shape is a valid layout and not empty"),
    };
}

impl<const SIZE: usize, const ALIGN: usize> sealed::Sealed for Fixed<SIZE, ALIGN> {}

impl<const SIZE: usize, const ALIGN: usize> Shape for Fixed<SIZE, ALIGN> {
    #[inline]
    fn layout(self) -> Layout {
        Self::LAYOUT
    }
}

/// A number of bytes known at run time, aligned to 1, as `Vec<u8>` and `String` ask for it.
#[derive(Clone, Copy)]
pub struct Bytes(NonZero<u32>);

impl Bytes {
    #[inline]
    pub fn new(size: u32) -> Self {
        Self(NonZero::new(size).expect("a shape is not empty"))
    }
}

impl sealed::Sealed for Bytes {}

impl Shape for Bytes {
    #[inline]
    fn layout(self) -> Layout {
        Layout::array::<u8>(self.0.get() as usize).expect("32 bits fit an address space")
    }
}

/// A block that `A` handed out and has not got back.
///
/// Invariant `live`: `start` came from `A::shared()` with `shape.layout()`, and nobody else has it.
pub struct Block<A: Contender, S: Shape> {
    start: NonNull<u8>,
    shape: S,
    allocator: PhantomData<fn() -> A>,
}

// SAFETY: `live`; the only owner moves with the value, and a `GlobalAlloc` takes a block back on any thread.
unsafe impl<A: Contender, S: Shape> Send for Block<A, S> {}

impl<A: Contender, S: Shape> Block<A, S> {
    /// Allocates a block and writes its first byte.
    #[inline]
    pub fn new(shape: S) -> Self {
        // SAFETY: `shape`; the layout is not empty.
        let start = unsafe { A::shared().alloc(shape.layout()) };
        let mut block = Self::from_start(start, shape);
        block.touch(0);
        block
    }

    /// Allocates a block of zeros and leaves it untouched.
    #[inline]
    pub fn zeroed(shape: S) -> Self {
        // SAFETY: `shape`; the layout is not empty.
        let start = unsafe { A::shared().alloc_zeroed(shape.layout()) };
        Self::from_start(black_box(start), shape)
    }

    #[inline]
    fn from_start(start: *mut u8, shape: S) -> Self {
        let Some(start) = NonNull::new(start) else { handle_alloc_error(shape.layout()) };
        Self { start, shape, allocator: PhantomData }
    }

    /// Gives the block another size, perhaps at another address.
    #[inline]
    pub fn resize(&mut self, shape: S) {
        let (old, new) = (self.shape.layout(), shape.layout());
        // SAFETY: `live` gives the old layout; `shape` says that the new size is not zero, and that the
        // new layout, which is valid, has the old alignment.
        let start = unsafe { A::shared().realloc(self.start.as_ptr(), old, new.size()) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(new) };
        (self.start, self.shape) = (start, shape);
    }

    /// Writes the byte at `offset`. Volatile, so that no compiler can do without the block.
    #[inline]
    pub fn touch(&mut self, offset: usize) {
        assert!(offset < self.shape.layout().size());
        // SAFETY: within the block, by the line above.
        let byte = unsafe { self.start.add(offset) };
        // SAFETY: `live`; nobody else can reach the byte.
        unsafe { byte.write_volatile(1) };
    }
}

impl<A: Contender, S: Shape> Drop for Block<A, S> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `live`; and a value is dropped once.
        unsafe { A::shared().dealloc(self.start.as_ptr(), self.shape.layout()) };
    }
}
