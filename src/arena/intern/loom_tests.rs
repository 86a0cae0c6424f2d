//! Loom models of the trie. Its blocks come from a cursor, and a watched cell stands for the bytes of each.

use super::*;
use crate::arena::cursor::{Cursor, State};
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use std::boxed::Box;
use std::vec;
use std::vec::Vec;

/// Words of one byte, so that all entries have the same size.
const SIZE: usize = size_of::<Entry>() + 1;
/// The distance between two entries.
const STEP: usize = SIZE.next_multiple_of(align_of::<Entry>());
const MOST: usize = 3;

/// A trie with room for a few words.
struct Words {
    trie: Trie,
    cursor: Cursor,
    memory: Memory,
    /// Reading what another thread has written, without having heard of it, fails the model.
    watched: Vec<UnsafeCell<()>>,
}

// SAFETY: the memory is shared by the trie's own rules.
unsafe impl Send for Words {}
// SAFETY: as above.
unsafe impl Sync for Words {}

impl Words {
    fn new() -> Arc<Self> {
        let memory = Box::leak(vec![0_u128; (MOST * STEP).div_ceil(16)].into_boxed_slice());
        let len = size_of_val(memory);
        Arc::new(Self {
            trie: Trie::new(),
            cursor: Cursor::new(),
            // SAFETY: leaked, so it is there for good.
            memory: unsafe { Memory::new(NonNull::from(memory).cast(), len) },
            watched: (0..MOST).map(|_| UnsafeCell::new(())).collect(),
        })
    }

    /// Interns `word` and reads what stands for its bytes.
    fn intern(&self, word: &str, hash: u64) -> &'static str {
        // SAFETY: the memory is leaked; every model has one hash for each word.
        let text = unsafe { self.trie.intern(word, hash, self) }.unwrap();
        assert_eq!(text, word);
        self.watched[self.memory.offset(text.as_ptr()) / STEP].with(|_| ());
        text
    }

    /// So many words are there, and what else was taken is dead.
    fn assert_holds(&self, words: usize) {
        let State { used, blocks } = self.cursor.state();
        assert_eq!((used, blocks), (words * SIZE + self.cursor.dead(), words));
    }
}

impl Room for Words {
    fn memory(&self) -> Memory {
        self.memory
    }

    fn take(&self, layout: Layout) -> Result<NonNull<u8>, ArenaFull> {
        let block = self.cursor.take(self.memory.addresses(), layout)?;
        // Stands for the bytes that the caller is about to write.
        self.watched[block.start / STEP].with_mut(|_| ());
        Ok(self.memory.at(block.start))
    }

    fn left(&self) -> usize {
        self.memory.len() - self.cursor.state().used
    }

    fn put_back(&self, block: NonNull<u8>, size: usize) {
        self.cursor.put_back(self.memory.offsets(block.as_ptr(), size));
    }
}

/// Red where the compare-exchange succeeds with `Relaxed`, where it fails with `Relaxed`, and where the load before it
/// is `Relaxed`; and where the place is filled by a store.
#[test]
fn loom_two_threads_that_intern_one_word_get_one_copy() {
    loom::model(|| {
        let words = Words::new();
        let other = words.clone();
        let thread = thread::spawn(move || other.intern("a", 5).as_ptr().addr());
        let mine = words.intern("a", 5).as_ptr().addr();
        assert_eq!(thread.join().unwrap(), mine);
        assert_eq!(words.intern("a", 5).as_ptr().addr(), mine);
        words.assert_holds(1);
    });
}

/// The thread that loses the first place takes the next with the entry that it has. Red where it places a second one.
#[test]
fn loom_words_that_collide_are_both_placed_once() {
    loom::model(|| {
        let words = Words::new();
        let other = words.clone();
        let thread = thread::spawn(move || other.intern("a", 5).as_ptr().addr());
        let mine = words.intern("b", 5).as_ptr().addr();
        let others = thread.join().unwrap();
        assert_ne!(mine, others);
        assert_eq!((words.intern("a", 5).as_ptr().addr(), words.intern("b", 5).as_ptr().addr()), (others, mine));
        words.assert_holds(2);
    });
}
