//! The words of a text, and how often each occurs. Built once, then only read.

use std::collections::HashMap;

use crate::settings::Settings;

#[derive(Clone)]
pub struct Glossary {
    settings: Settings,
    counts: HashMap<Box<str>, u32>,
}

impl Glossary {
    /// Counts the words of `text`.
    pub fn build(settings: Settings, text: &str) -> Self {
        let mut counts: HashMap<Box<str>, u32> = HashMap::new();
        let lengths = settings.words.shortest..=settings.words.longest;
        for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| lengths.contains(&word.len())) {
            // Only a word that is new is copied.
            match counts.get_mut(word) {
                Some(count) => *count += 1,
                None => _ = counts.insert(word.into(), 1),
            }
        }
        counts.shrink_to_fit();
        Self { settings, counts }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.counts.keys().map(|word| &**word)
    }

    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// How often `word`, or what it is another spelling of, occurs in the text.
    pub fn count(&self, word: &str) -> u32 {
        let word = self.settings.spellings.get(word).map_or(word, |spelling| spelling);
        self.counts.get(word).copied().unwrap_or(0)
    }
}
