//! One file on its way through the threads: first its text, then the words in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::settings::Settings;
use crate::skipped::{Reason, Skipped};

/// Allocated by a reader, freed by a tokeniser.
pub struct FileText {
    path: PathBuf,
    text: Box<str>,
}

/// Allocated by a tokeniser, taken apart and freed by the merger.
pub struct FileWords {
    pub path: PathBuf,
    pub bytes: usize,
    /// Ordered, so that every run meets new words in the same order.
    pub counts: BTreeMap<Box<str>, usize>,
}

impl FileText {
    pub fn read(path: &Path, settings: &Settings) -> Result<Self, Skipped> {
        match read_text(path, settings.largest_file) {
            Ok(text) => Ok(Self { path: path.to_path_buf(), text }),
            Err(reason) => Err(Skipped { path: path.to_path_buf(), reason }),
        }
    }

    pub fn into_words(self, settings: &Settings) -> FileWords {
        FileWords { bytes: self.text.len(), counts: count_words(&self.text, settings), path: self.path }
    }
}

fn read_text(path: &Path, largest: u64) -> Result<Box<str>, Reason> {
    if fs::metadata(path)?.len() > largest {
        return Err(Reason::TooLarge);
    }
    let contents = fs::read(path)?;
    if contents.contains(&0) {
        return Err(Reason::Binary);
    }
    String::from_utf8(contents).map(String::into_boxed_str).map_err(|_| Reason::NotUtf8)
}

/// A word is what stands between stops and has a letter or a digit in it. Case makes no difference.
fn count_words(text: &str, settings: &Settings) -> BTreeMap<Box<str>, usize> {
    let mut counts: BTreeMap<Box<str>, usize> = BTreeMap::new();
    let mut lower = String::new();
    for word in text.split(|c| settings.ends_word(c)).filter(|piece| piece.contains(char::is_alphanumeric)) {
        lower.clear();
        lower.extend(word.chars().flat_map(char::to_lowercase));
        match counts.get_mut(lower.as_str()) {
            Some(count) => *count += 1,
            None => _ = counts.insert(Box::from(lower.as_str()), 1),
        }
    }
    counts
}
