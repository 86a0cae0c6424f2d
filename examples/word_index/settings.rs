//! The settings: known at the start, the same until the end, so they are placed in static memory.
//! A `&'static Settings` goes to every thread without a reference count.

use std::num::NonZero;

use crate::StaticMemory;

/// Punctuation that ends a word, as source code and prose use it. `_` is none: it joins identifiers.
/// The last one is the byte order mark that some files begin with.
const STOPS: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^`{|}~§°·«»‘’‚“”„†•…–—−×→←↔\u{feff}";

const DIRECTORIES_SET_ASIDE: [&str; 2] = [".git", "target"];

pub struct Settings {
    /// Readers; and as many tokenisers.
    pub threads: NonZero<u8>,
    /// In bytes. A file above it is skipped, which bounds the memory that waits between threads.
    pub largest_file: u64,
    /// How many of the commonest words the report shows.
    pub shown_words: usize,
    /// Names of directories which hold no text of the project's own.
    pub directories_set_aside: &'static [&'static str],
    /// Sorted, for `ends_word`.
    stops: &'static [char],
}

impl Settings {
    /// Places the settings in `memory`, which must have room for them: less than 1 KiB.
    pub fn place(memory: &'static StaticMemory, threads: NonZero<u8>) -> &'static Self {
        let mut stops: Vec<char> = STOPS.chars().collect();
        stops.sort_unstable();
        let stops = memory.try_alloc_slice_copy(&stops).expect("the arena holds the stop characters");
        let directories_set_aside =
            memory.try_alloc_slice_copy(&DIRECTORIES_SET_ASIDE).expect("the arena holds two names");
        memory.alloc(Self { threads, largest_file: 64 << 20, shown_words: 10, directories_set_aside, stops })
    }

    pub fn ends_word(&self, c: char) -> bool {
        c.is_whitespace() || c.is_control() || self.stops.binary_search(&c).is_ok()
    }
}
