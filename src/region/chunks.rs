//! Which chunks static memory consists of: a table that only grows, until it is closed for good.
//!
//! One word says all of a chunk: where it starts, which is a multiple of a granule, and in the bits that are therefore
//! zero, how many granules long it is. So a chunk becomes known in one step, and whoever comes second finds the chunk
//! of whoever came first.

use crate::arena::Cursor;
use crate::segment::GRANULE;
use crate::sync::{AtomicUsize, Ordering, array_of, constructor};

/// Most chunks. Each new one is as long as all before it together, up to [`MAX_CHUNK`](super::MAX_CHUNK), so these are
/// enough for 50 GiB at least.
pub(super) const MAX_CHUNKS: usize = if cfg!(loom) { 2 } else { 64 };

/// The word of a place where there is no chunk yet.
const EMPTY: usize = 0;
/// The word of the place behind the last chunk of a closed table.
const CLOSED: usize = 1;

/// Where a chunk lies. Bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Extent {
    /// A multiple of a granule, not zero.
    pub(super) start: usize,
    /// A multiple of a granule, not zero, and below `GRANULE * GRANULE`.
    pub(super) len: usize,
}

impl Extent {
    fn pack(self) -> usize {
        debug_assert!(self.start > 0 && self.start.is_multiple_of(GRANULE) && self.len.is_multiple_of(GRANULE));
        self.start | (self.len / GRANULE)
    }

    fn unpack(word: usize) -> Self {
        Self { start: word & !(GRANULE - 1), len: (word & (GRANULE - 1)) * GRANULE }
    }
}

/// A chunk's place in the table.
pub(super) struct Chunk {
    word: AtomicUsize,
    pub(super) cursor: Cursor,
}

/// What adding a chunk has come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Added {
    /// It is the chunk of that index.
    Yes,
    /// Another thread has added one there; this one is the caller's to undo.
    Overtaken,
    /// No chunk is added any more; this one is the caller's to undo.
    Closed,
}

/// The table.
pub(super) struct Chunks {
    chunks: [Chunk; MAX_CHUNKS],
}

impl Chunk {
    constructor! {
        fn new() -> Self {
            Self { word: AtomicUsize::new(EMPTY), cursor: Cursor::new() }
        }
    }

    /// Where the chunk lies, if there is one here.
    #[inline]
    pub(super) fn extent(&self) -> Option<Extent> {
        // Acquire: pairs with the Release in `add`: what the chunk's owner map entries say, and that its memory is
        // there.
        let word = self.word.load(Ordering::Acquire);
        (word > CLOSED).then(|| Extent::unpack(word))
    }
}

impl Chunks {
    constructor! {
        pub(super) fn new() -> Self {
            Self { chunks: array_of!(Chunk::new(); MAX_CHUNKS) }
        }
    }

    /// The place of index `index`, below [`MAX_CHUNKS`].
    #[inline]
    pub(super) fn place(&self, index: usize) -> &Chunk {
        &self.chunks[index]
    }

    /// The chunks there are, first to last.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (&Chunk, Extent)> {
        let count = self.chunks.iter().take_while(|chunk| chunk.extent().is_some()).count();
        self.chunks[..count].iter().filter_map(|chunk| Some((chunk, chunk.extent()?)))
    }

    /// Makes `extent` the chunk of index `index`, before which there is a chunk at each place.
    pub(super) fn add(&self, index: usize, extent: Extent) -> Added {
        // Release: publishes the chunk's memory and entries. Pairs with the Acquire in `extent`.
        match self.chunks[index].word.compare_exchange(EMPTY, extent.pack(), Ordering::Release, Ordering::Relaxed) {
            Ok(_) => Added::Yes,
            Err(CLOSED) => Added::Closed,
            Err(_) => Added::Overtaken,
        }
    }

    /// Closes the table: no chunk is added any more. Passes each chunk on, as often as this is called, each before the
    /// next is looked for.
    pub(super) fn close(&self, mut each: impl FnMut(&Chunk, Extent)) {
        for chunk in &self.chunks {
            // Acquire: pairs with the Release in `add`, as in `extent`.
            match chunk.word.compare_exchange(EMPTY, CLOSED, Ordering::Relaxed, Ordering::Acquire) {
                Ok(_) | Err(CLOSED) => return,
                Err(word) => each(chunk, Extent::unpack(word)),
            }
        }
    }
}

#[cfg(all(loom, test))]
mod loom_tests;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn extent(granule: usize, granules: usize) -> Extent {
        Extent { start: granule * GRANULE, len: granules * GRANULE }
    }

    #[test]
    fn an_extent_is_what_was_packed() {
        for packed in [extent(1, 1), extent(1 << 25, (1 << 21) - 1), extent((1 << 26) - 1, 512)] {
            assert_eq!(Extent::unpack(packed.pack()), packed);
        }
    }

    #[test]
    fn the_first_to_add_a_chunk_wins_and_a_closed_table_takes_none() {
        let chunks = Chunks::new();
        assert_eq!(chunks.add(0, extent(5, 1)), Added::Yes);
        assert_eq!(chunks.add(0, extent(9, 1)), Added::Overtaken);
        assert_eq!(chunks.add(1, extent(7, 2)), Added::Yes);
        let mut seen = std::vec![];
        for _ in 0..2 {
            chunks.close(|_, extent| seen.push(extent));
        }
        assert_eq!(seen, [extent(5, 1), extent(7, 2), extent(5, 1), extent(7, 2)]);
        assert_eq!(chunks.add(2, extent(9, 1)), Added::Closed);
        assert_eq!((chunks.place(2).extent(), chunks.iter().count()), (None, 2));
    }

    #[test]
    fn a_full_table_can_be_closed() {
        let chunks = Chunks::new();
        for index in 0..MAX_CHUNKS {
            assert_eq!(chunks.add(index, extent(index + 1, 1)), Added::Yes);
        }
        let mut count = 0;
        chunks.close(|_, _| count += 1);
        assert_eq!((count, chunks.iter().count()), (MAX_CHUNKS, MAX_CHUNKS));
    }
}
