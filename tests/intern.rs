//! `StaticArena::intern` from outside: one copy of each word, whoever asks.
#![cfg(not(loom))]

use std::collections::HashSet;
use std::sync::Barrier;
use std::{ptr, thread};
use tenure::{StaticArena, Tenure};

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

#[test]
fn equal_words_are_one_and_others_are_not() {
    static ARENA: StaticArena<10_000> = StaticArena::new();
    let words =
        ["", "a", "b", "ab", "ba", "aa", "grüße", "a\0", "\0", "\0\0", "a word that is longer than sixteen bytes"];
    let placed: Vec<&'static str> = words.iter().map(|word| ARENA.intern(word)).collect();
    for (word, placed) in words.iter().zip(&placed) {
        assert_eq!(word, placed);
        assert!(ptr::eq(ARENA.intern(&String::from(*word)), *placed));
    }
    assert_eq!(placed.iter().map(|word| word.as_ptr()).collect::<HashSet<_>>().len(), words.len());
    assert_eq!(ARENA.blocks(), words.len());
}

#[test]
fn words_with_a_long_common_start_are_told_apart() {
    static ARENA: StaticArena<{ 1 << 20 }> = StaticArena::new();
    let start = "x".repeat(500);
    let words: Vec<_> = (0..500).map(|nth| ARENA.intern(&format!("{start}{nth}"))).collect();
    let shorter: Vec<_> = (0..500).map(|len| ARENA.intern(&start[..len])).collect();
    for (nth, word) in words.iter().enumerate() {
        assert!(word[500..] == nth.to_string() && ptr::eq(ARENA.intern(word), *word));
    }
    assert!(shorter.iter().enumerate().all(|(len, word)| word.len() == len));
    assert_eq!(ARENA.blocks(), 1000);
}

#[test]
fn a_full_arena_refuses_new_words_and_keeps_those_it_has() {
    static ARENA: StaticArena<1000> = StaticArena::new();
    let placed: Vec<_> = (0..).map_while(|nth: u32| ARENA.try_intern(&nth.to_string()).ok()).collect();
    let before = ARENA.stats();
    let full = ARENA.try_intern("one more").unwrap_err();
    assert_eq!((full.size(), full.left()), (32, ARENA.remaining()));
    for (nth, word) in placed.iter().enumerate() {
        assert!(ptr::eq(ARENA.try_intern(&nth.to_string()).unwrap(), *word));
    }
    let after = ARENA.stats();
    assert_eq!((after.used, after.blocks, after.dead), (before.used, before.blocks, before.dead));
    assert_eq!(after.blocks, placed.len());
}

#[test]
fn the_infallible_form_panics_where_a_new_word_has_no_room() {
    static ARENA: StaticArena<30> = StaticArena::new();
    ARENA.intern("short");
    let message = std::panic::catch_unwind(|| ARENA.intern("long")).unwrap_err();
    assert_eq!(
        message.downcast_ref::<String>().unwrap(),
        "arena is full: 28 bytes aligned to 4 requested, 1 bytes left"
    );
}

#[test]
fn a_hundred_thousand_words_are_found_by_all_threads_at_one_address_each() {
    static ARENA: StaticArena<{ 8 << 20 }> = StaticArena::new();
    const WORDS: usize = 100_000;
    const THREADS: usize = 4;
    let start = Barrier::new(THREADS);
    let intern_all = |seed: usize| {
        start.wait();
        // Each thread goes round from another word on, and every second one backwards.
        let order = (0..WORDS).map(|nth| if seed.is_multiple_of(2) { nth } else { WORDS - 1 - nth });
        let mut found = vec![""; WORDS];
        for nth in order.map(|nth| (nth + seed * WORDS / THREADS) % WORDS) {
            found[nth] = ARENA.intern(&format!("word {nth}"));
        }
        found
    };
    let all: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|seed| scope.spawn(move || intern_all(seed))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for nth in 0..WORDS {
        assert_eq!(all[0][nth], format!("word {nth}"));
        assert!(all.iter().all(|found| ptr::eq(found[nth], all[0][nth])));
    }
    assert_eq!(ARENA.blocks(), WORDS);
    assert_eq!(ARENA.stats().live(), all[0].iter().map(|word| 24 + word.len()).sum::<usize>());
}
