//! The chunks of an arena, in the order of their use: those that are full, the current one, and the retained ones.
//!
//! The list needs no note of what is retained: that is whatever follows the current chunk.

use super::GRAIN;
use super::chunk::{Chunk, HEAD, size_for};
use crate::align;
use crate::sync::Cell;
use core::alloc::Layout;

/// The first chunk, which is a block of a slab: an arena for a handful of values should not cost more than it saves.
const SMALLEST: usize = 4 * 1024;

/// Chunks double up to this size. It is the longest span, beyond which each chunk would be a mapping of its own with a
/// system call to make and another to give it back; and at a MiB, the way to another chunk is already nothing beside
/// the first touch of 256 pages.
const LARGEST: usize = crate::size_class::MAX_SPAN;

/// Sizes of large requests' chunks are multiples of this, which is what a mapping takes in any case.
const PAGE: usize = 4096;

/// A list of chunks, which are this value's alone.
pub(super) struct Chunks {
    first: Cell<Option<Chunk>>,
    /// The one in which blocks are placed. `None` is the place before the first one.
    current: Cell<Option<Chunk>>,
    count: Cell<usize>,
    /// Bytes of all chunks, heads included. Never above `limit`.
    size: Cell<usize>,
    limit: usize,
}

impl Chunks {
    /// No chunks, and never more than `limit` bytes of them.
    pub(super) const fn new(limit: usize) -> Self {
        Self { first: Cell::new(None), current: Cell::new(None), count: Cell::new(0), size: Cell::new(0), limit }
    }

    /// The first chunk.
    pub(super) fn first(&self) -> Option<Chunk> {
        self.first.get()
    }

    /// The chunk in which blocks are placed.
    pub(super) fn current(&self) -> Option<Chunk> {
        self.current.get()
    }

    /// Goes back to `chunk`, which comes before the current one or is it. What follows it is retained.
    pub(super) fn go_back_to(&self, chunk: Option<Chunk>) {
        self.current.set(chunk);
    }

    /// Goes on to a chunk with room for `layout`: the first retained one, else a new one. `None`, and no change of the
    /// current one, where there is no memory for it.
    pub(super) fn advance(&self, layout: Layout) -> Option<Chunk> {
        let needed = size_for(layout).filter(|needed| *needed <= self.limit)?;
        let chunk = self.take_out_retained(needed).or_else(|| self.new_chunk(needed))?;
        chunk.set_after(self.after(self.current()));
        self.set_after(self.current(), Some(chunk));
        self.current.set(Some(chunk));
        Some(chunk)
    }

    /// Takes the first retained chunk of `needed` bytes or more out of the list.
    fn take_out_retained(&self, needed: usize) -> Option<Chunk> {
        let mut before = self.current();
        loop {
            let chunk = self.after(before)?;
            if chunk.size() >= needed {
                self.set_after(before, chunk.after());
                return Some(chunk);
            }
            before = Some(chunk);
        }
    }

    /// A chunk of `needed` bytes or more that is not in the list, but counted. Where memory is short, retained chunks
    /// make way for it.
    fn new_chunk(&self, needed: usize) -> Option<Chunk> {
        let attempt = || self.take(self.good_size(needed)?.max(needed)).or_else(|| self.take(needed));
        attempt().or_else(|| {
            if self.retained() == 0 {
                return None;
            }
            self.release_retained();
            attempt()
        })
    }

    /// The size of the next chunk, if it has to have `needed` bytes: as many as all others together have, in powers of
    /// two.
    fn good_size(&self, needed: usize) -> Option<usize> {
        let doubled = (self.size.get() + 1).next_power_of_two().clamp(SMALLEST, LARGEST);
        let wanted =
            if needed > LARGEST { align::checked_up(needed, PAGE)? } else { needed.next_power_of_two().max(doubled) };
        Some(wanted.min(align::down(self.limit - self.size.get(), GRAIN)))
    }

    fn take(&self, size: usize) -> Option<Chunk> {
        if size > self.limit - self.size.get() {
            return None;
        }
        let chunk = Chunk::take(size)?;
        self.size.set(self.size.get() + size);
        self.count.set(self.count.get() + 1);
        Some(chunk)
    }

    /// Gives every chunk back that follows the current one.
    pub(super) fn release_retained(&self) {
        let mut next = self.after(self.current());
        self.set_after(self.current(), None);
        while let Some(chunk) = next {
            next = chunk.after();
            self.size.set(self.size.get() - chunk.size());
            self.count.set(self.count.get() - 1);
            // SAFETY: blocks lie in the current chunk and in those before it, and the list has the chunk no more.
            unsafe { chunk.give_back() };
        }
    }

    /// Bytes for blocks in chunks that follow the current one. A look at the head of each.
    pub(super) fn retained(&self) -> usize {
        let mut bytes = 0;
        let mut next = self.after(self.current());
        while let Some(chunk) = next {
            bytes += chunk.capacity();
            next = chunk.after();
        }
        bytes
    }

    /// Number of all chunks.
    pub(super) fn count(&self) -> usize {
        self.count.get()
    }

    /// Bytes for blocks in all chunks.
    pub(super) fn capacity(&self) -> usize {
        self.size.get() - self.count.get() * HEAD
    }

    /// The chunk behind `chunk`, or the first one.
    fn after(&self, chunk: Option<Chunk>) -> Option<Chunk> {
        chunk.map_or_else(|| self.first.get(), Chunk::after)
    }

    fn set_after(&self, chunk: Option<Chunk>, after: Option<Chunk>) {
        match chunk {
            Some(chunk) => chunk.set_after(after),
            None => self.first.set(after),
        }
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        self.go_back_to(None);
        self.release_retained();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn room(size: usize) -> Layout {
        Layout::from_size_align(size, 8).unwrap()
    }

    fn sizes(chunks: &Chunks) -> Vec<usize> {
        let list = core::iter::successors(chunks.first.get(), |chunk| chunk.after());
        let sizes: Vec<_> = list.map(Chunk::size).collect();
        assert_eq!((sizes.len(), sizes.iter().sum()), (chunks.count(), chunks.size.get()));
        sizes
    }

    #[test]
    fn chunks_double_and_a_large_request_gets_one_that_holds_it() {
        let chunks = Chunks::new(usize::MAX);
        for _ in 0..10 {
            chunks.advance(room(8)).unwrap();
        }
        let kib: Vec<_> = sizes(&chunks).iter().map(|size| size / 1024).collect();
        assert_eq!(kib, [4, 8, 16, 32, 64, 128, 256, 512, 1024, 1024]);
        assert_eq!(chunks.advance(room(5 << 20)).unwrap().size(), (5 << 20) + PAGE);
        assert_eq!(chunks.advance(room(8)).unwrap().size(), LARGEST);
        assert_eq!(chunks.advance(room(isize::MAX as usize - 7)), None);
        assert_eq!(chunks.count(), 12);
    }

    #[test]
    fn retained_chunks_are_used_again_in_their_order_and_the_first_that_is_large_enough_comes_first() {
        let chunks = Chunks::new(usize::MAX);
        let [first, second, third] = [4000, 8000, 16_000].map(|size| chunks.advance(room(size)).unwrap());
        chunks.go_back_to(Some(first));
        assert_eq!(chunks.retained(), second.capacity() + third.capacity());
        assert_eq!(chunks.advance(room(16_000)), Some(third));
        assert_eq!(sizes(&chunks), [4096, 16_384, 8192]);
        assert_eq!(chunks.advance(room(10)), Some(second));
        chunks.go_back_to(None);
        assert_eq!([10, 10, 10].map(|size| chunks.advance(room(size)).unwrap()), [first, third, second]);
        assert_eq!((chunks.retained(), chunks.count()), (0, 3));
    }

    #[test]
    fn retained_chunks_are_given_back_and_the_others_stay() {
        let chunks = Chunks::new(usize::MAX);
        let [first, ..] = [10, 10, 10].map(|size| chunks.advance(room(size * 400)).unwrap());
        chunks.go_back_to(Some(first));
        chunks.release_retained();
        assert_eq!((sizes(&chunks), chunks.retained(), chunks.current()), ([4096].into(), 0, Some(first)));
        chunks.go_back_to(None);
        chunks.release_retained();
        assert_eq!((chunks.capacity(), chunks.count(), chunks.current()), (0, 0, None));
        assert!(chunks.advance(room(1)).is_some());
    }

    #[test]
    fn the_limit_is_used_to_the_full_and_retained_chunks_make_way() {
        let chunks = Chunks::new(10_007);
        chunks.advance(room(8)).unwrap();
        assert_eq!(chunks.advance(room(8)).unwrap().size(), 10_000 - 4096);
        assert_eq!((chunks.advance(room(8)), chunks.count()), (None, 2));
        chunks.go_back_to(None);
        assert_eq!((chunks.advance(room(10_008 - HEAD)), chunks.count()), (None, 2));
        assert_eq!(chunks.advance(room(10_000 - HEAD)).unwrap().size(), 10_000);
        assert_eq!(sizes(&chunks), [10_000]);
    }
}
