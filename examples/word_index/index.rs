//! The index: for every word, in which files it occurs and how often. Words are static memory, postings dynamic.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::StaticMemory;
use crate::file::FileWords;

/// words == the sum of all postings' counts
pub struct Index {
    memory: &'static StaticMemory,
    /// A word is borrowed from `memory`, or owned once that is full.
    postings: HashMap<Cow<'static, str>, Vec<Posting>>,
    files: Vec<PathBuf>,
    bytes: usize,
    words: usize,
    words_on_heap: usize,
}

struct Posting {
    /// Position in `Index::files`.
    file: usize,
    count: usize,
}

/// A word's line in the report.
pub struct Usage<'a> {
    pub word: &'a str,
    pub count: usize,
    pub files: usize,
    /// The file that has the most; the first of them where several do.
    pub most_in: &'a Path,
}

impl Index {
    pub fn new(memory: &'static StaticMemory) -> Self {
        Self { memory, postings: HashMap::new(), files: Vec::new(), bytes: 0, words: 0, words_on_heap: 0 }
    }

    pub fn merge(&mut self, file: FileWords) {
        let number = self.files.len();
        for (word, count) in file.counts {
            let posting = Posting { file: number, count };
            match self.postings.get_mut(&*word) {
                Some(postings) => postings.push(posting),
                None => {
                    let word = self.keep(word);
                    self.postings.insert(word, vec![posting]);
                }
            }
            self.words += count;
        }
        self.bytes += file.bytes;
        self.files.push(file.path);
    }

    /// Copies a new word to static memory. Where that is full, the word stays the heap block it came as.
    fn keep(&mut self, word: Box<str>) -> Cow<'static, str> {
        match self.memory.try_alloc_str(&word) {
            Ok(placed) => Cow::Borrowed(placed),
            Err(_) => {
                self.words_on_heap += 1;
                Cow::Owned(word.into_string())
            }
        }
    }

    /// The `limit` commonest words; in alphabetical order where counts are equal.
    pub fn commonest(&self, limit: usize) -> Vec<Usage<'_>> {
        let mut usages: Vec<_> = self.postings.iter().map(|(word, postings)| self.usage(word, postings)).collect();
        usages.sort_unstable_by_key(|usage| (Reverse(usage.count), usage.word));
        usages.truncate(limit);
        usages
    }

    fn usage<'a>(&'a self, word: &'a str, postings: &[Posting]) -> Usage<'a> {
        let most = postings.iter().min_by_key(|posting| Reverse(posting.count)).expect("a known word has a posting");
        Usage {
            word,
            count: postings.iter().map(|posting| posting.count).sum(),
            files: postings.len(),
            most_in: &self.files[most.file],
        }
    }

    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// The bytes of text in all files.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn words(&self) -> usize {
        self.words
    }

    pub fn distinct_words(&self) -> usize {
        self.postings.len()
    }

    /// How many of the distinct words static memory had no room for.
    pub fn words_on_heap(&self) -> usize {
        self.words_on_heap
    }

    pub fn memory(&self) -> &'static StaticMemory {
        self.memory
    }
}
