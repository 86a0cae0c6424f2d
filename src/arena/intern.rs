//! Words that an arena holds once each: a lock-free trie over the bits of their hashes, placed in the arena itself.
//!
//! Nothing is ever taken out, so a word that was found stays, and a reader needs neither a lock nor a second look.
//!
//! - **Complete before linked**: an entry is written in full before a compare-exchange puts it in an empty place.
//! - **Linked for good**: a place that holds an entry never changes again.
//! - **One place for each word**: the path to a word depends on its hash alone, and it is put in the first empty place
//!   of that path. Two threads with the same word therefore meet in the same place, and one of them wins it.

use super::arena_full::{ArenaFull, or_panic};
use super::hash::hash;
use super::memory::Memory;
use super::set_aside;
use super::static_arena::StaticArena;
use crate::sync::{AtomicU32, Ordering, array_of, constructor};
use core::alloc::Layout;
use core::ptr::NonNull;
use core::slice;

/// Bits of the hash that one level of the trie goes by.
const BITS: u32 = 2;
const FANOUT: usize = 1 << BITS;

/// Where the entries of a trie are placed.
pub(super) trait Room {
    fn memory(&self) -> Memory;

    /// A block for `layout`, whose size is not zero, of the [`memory`](Self::memory): the caller's for good.
    fn take(&self, layout: Layout) -> Result<NonNull<u8>, ArenaFull>;

    /// Bytes that are left.
    fn left(&self) -> usize;

    /// Takes the block of `size` bytes back, which the caller took last.
    fn put_back(&self, block: NonNull<u8>, size: usize);
}

/// A place for an entry: 0 while it is empty, else one more than the entry's offset from the arena's start.
struct Place(AtomicU32);

impl Place {
    constructor! {
        fn empty() -> Self {
            Self(AtomicU32::new(0))
        }
    }
}

/// A word: this, and its bytes behind it.
#[repr(C)]
struct Entry {
    /// Entries whose hashes begin as this one's path does, by the next bits.
    children: [Place; FANOUT],
    /// The lower half of the word's hash; paths go by the upper bits first.
    hash: AtomicU32,
    /// Bytes of the word.
    len: AtomicU32,
}

impl Entry {
    constructor! {
        fn new() -> Self {
            Self { children: array_of![Place::empty(); FANOUT], hash: AtomicU32::new(0), len: AtomicU32::new(0) }
        }
    }
}

/// The words of one arena. Zero at first in every bit, so that an arena lives in `.bss`.
pub(super) struct Trie {
    root: Place,
}

impl Trie {
    constructor! {
        pub(super) fn new() -> Self {
            Self { root: Place::empty() }
        }
    }

    /// The one copy of `word`, whose hash is `hash`; placed in `room` where there is none yet.
    ///
    /// # Safety
    /// - The memory of `room` is there for good, and the same in every call.
    /// - `hash` depends on `word` alone.
    pub(super) unsafe fn intern(&self, word: &str, hash: u64, room: &impl Room) -> Result<&'static str, ArenaFull> {
        let memory = room.memory();
        let mut own: Option<Draft> = None;
        let mut place = &self.root;
        let mut path = hash;
        loop {
            // Acquire: pairs with the Release below. The entry was written in full before it was linked.
            let mut found = place.0.load(Ordering::Acquire);
            if found == 0 {
                let draft = match own {
                    Some(draft) => draft,
                    None => *own.insert(Draft::write(word, hash, room)?),
                };
                // Release: pairs with the Acquire above and here, on failure. Ours is written in full.
                match place.0.compare_exchange(0, draft.link, Ordering::Release, Ordering::Acquire) {
                    // SAFETY: complete before linked, and the memory is there for good.
                    Ok(_) => return Ok(unsafe { text_at(memory, draft.link) }),
                    Err(now) => found = now,
                }
            }
            // SAFETY: complete before linked, linked for good.
            let entry = unsafe { entry_at(memory, found) };
            if entry.hash.load(Ordering::Relaxed) == hash as u32 {
                // SAFETY: as above.
                let text = unsafe { text_at(memory, found) };
                if text == word {
                    if let Some(draft) = own {
                        room.put_back(draft.block, draft.size);
                    }
                    return Ok(text);
                }
            }
            place = &entry.children[(path >> (u64::BITS - BITS)) as usize];
            path <<= BITS;
        }
    }
}

/// An entry that is written and not linked.
#[derive(Clone, Copy)]
struct Draft {
    block: NonNull<u8>,
    size: usize,
    link: u32,
}

impl Draft {
    fn write(word: &str, hash: u64, room: &impl Room) -> Result<Self, ArenaFull> {
        let size = size_of::<Entry>().saturating_add(word.len());
        let Ok(layout) = Layout::from_size_align(size, align_of::<Entry>()) else {
            return Err(ArenaFull::too_large::<u8>(size, room.left()));
        };
        let block = room.take(layout)?;
        let entry = block.cast::<Entry>();
        // SAFETY: the block is at least as large as an entry, aligned for one, and ours alone.
        unsafe { entry.write(Entry::new()) };
        // SAFETY: written above.
        let head = unsafe { entry.as_ref() };
        // No bits are lost of the length: the block is in an arena of less than 4 GiB.
        head.len.store(word.len() as u32, Ordering::Relaxed);
        head.hash.store(hash as u32, Ordering::Relaxed);
        // SAFETY: the block has `word.len()` bytes behind the entry.
        let bytes = unsafe { block.add(size_of::<Entry>()) };
        // SAFETY: as above; and the block is new, so it does not overlap the word.
        unsafe { bytes.copy_from_nonoverlapping(NonNull::from(word).cast(), word.len()) };
        // No bits are lost: an offset is below `MAX_CAPACITY`, which is below `u32::MAX`.
        Ok(Self { block, size, link: room.memory().offset(block.as_ptr()) as u32 + 1 })
    }
}

/// The entry that a place names by `link`.
///
/// # Safety
/// - `link` is not zero, and was read from a place, or is that of a complete entry.
/// - `memory` is the trie's, and is there for good.
unsafe fn entry_at(memory: Memory, link: u32) -> &'static Entry {
    // SAFETY: a complete entry starts there, and is shared and changed by atomics alone.
    unsafe { memory.at(link as usize - 1).cast().as_ref() }
}

/// The word of the entry that a place names by `link`.
///
/// # Safety
/// - As of [`entry_at`].
unsafe fn text_at(memory: Memory, link: u32) -> &'static str {
    // SAFETY: the caller's duties are the same.
    let len = unsafe { entry_at(memory, link) }.len.load(Ordering::Relaxed) as usize;
    let bytes = memory.at(link as usize - 1 + size_of::<Entry>());
    // SAFETY: a complete entry has as many bytes behind it, which nobody writes any more.
    let bytes = unsafe { slice::from_raw_parts(bytes.as_ptr(), len) };
    // SAFETY: a copy of the bytes of a `str`.
    unsafe { str::from_utf8_unchecked(bytes) }
}

impl<const N: usize> Room for &'static StaticArena<N> {
    fn memory(&self) -> Memory {
        StaticArena::memory(self)
    }

    fn take(&self, layout: Layout) -> Result<NonNull<u8>, ArenaFull> {
        self.try_alloc_layout(layout)
    }

    fn left(&self) -> usize {
        self.remaining()
    }

    fn put_back(&self, block: NonNull<u8>, size: usize) {
        set_aside::put_back(&self.node, StaticArena::memory(self), block, size);
    }
}

impl<const N: usize> StaticArena<N> {
    /// The arena's one copy of `word`: for equal words always the same `&'static str`, so that two of them are equal
    /// where their addresses are.
    ///
    /// Any thread may ask, and none waits. Each word takes its bytes and 24 more, once. To find a word among *n* takes
    /// about log₄ *n* steps. That is for words that were not chosen to collide: the hash is not keyed, and a word costs
    /// a step more for each other with the same hash.
    ///
    /// # Panics
    ///
    /// Where the word is new and too few bytes are left.
    ///
    /// ```
    /// static WORDS: tenure::StaticArena<4096> = tenure::StaticArena::new();
    /// let red: &'static str = WORDS.intern("red");
    /// let again = WORDS.intern(&String::from("red"));
    /// assert!(std::ptr::eq(red, again));
    /// assert!(!std::ptr::eq(red, WORDS.intern("green")));
    /// assert_eq!(WORDS.blocks(), 2);
    /// ```
    #[inline]
    #[track_caller]
    pub fn intern(&'static self, word: &str) -> &'static str {
        or_panic(self.try_intern(word))
    }

    /// The arena's one copy of `word`. See [`intern`](Self::intern).
    ///
    /// # Errors
    ///
    /// [`ArenaFull`] where the word is new and too few bytes are left. Words that are there are still found.
    pub fn try_intern(&'static self, word: &str) -> Result<&'static str, ArenaFull> {
        // SAFETY: the arena is there for good, and its trie has no other memory; the hash is a function of the word.
        unsafe { self.words().intern(word, hash(word.as_bytes()), &self) }
    }
}

#[cfg(all(loom, test))]
mod loom_tests;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::format;
    use std::ptr;
    use std::vec::Vec;

    /// The copy of `word` in `arena`, by a hash of the test's choice.
    fn intern<const N: usize>(
        arena: &'static StaticArena<N>,
        word: &str,
        hash: u64,
    ) -> Result<&'static str, ArenaFull> {
        // SAFETY: the arena is there for good, and in each test the hash is a function of the word.
        unsafe { arena.words().intern(word, hash, &arena) }
    }

    #[test]
    fn an_entry_is_24_bytes_and_its_word() {
        static ARENA: StaticArena<1000> = StaticArena::new();
        ARENA.intern("four");
        assert_eq!((ARENA.used(), ARENA.blocks()), (28, 1));
    }

    #[test]
    fn words_with_the_same_hash_are_told_apart() {
        static ARENA: StaticArena<100_000> = StaticArena::new();
        for same in [0, u64::MAX, 0x1234_5678_9abc_def0] {
            let words: Vec<_> = (0..200).map(|nth| intern(&ARENA, &format!("{same} {nth}"), same).unwrap()).collect();
            for (nth, word) in words.iter().enumerate() {
                assert_eq!(*word, format!("{same} {nth}"));
                assert!(ptr::eq(intern(&ARENA, word, same).unwrap(), *word));
            }
        }
        assert_eq!(ARENA.blocks(), 600);
    }

    #[test]
    fn hashes_that_differ_in_their_last_bits_alone_are_followed_to_the_end() {
        static ARENA: StaticArena<10_000> = StaticArena::new();
        let words: Vec<_> = (0..16).map(|nth| intern(&ARENA, &format!("{nth:x}"), nth << 60 >> 60).unwrap()).collect();
        for (nth, word) in (0..16).zip(words) {
            assert!(ptr::eq(intern(&ARENA, &format!("{nth:x}"), nth << 60 >> 60).unwrap(), word));
        }
        assert_eq!(ARENA.blocks(), 16);
    }
}
