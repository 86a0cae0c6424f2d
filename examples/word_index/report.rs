//! What the program prints about an index. All but the line `time` is the same on every run.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use crate::index::{Index, Usage};
use crate::settings::Settings;
use crate::skipped::{self, Skipped};

pub struct Report<'a> {
    pub dir: &'a Path,
    pub settings: &'a Settings,
    pub index: &'a Index,
    pub skipped: &'a [Skipped],
    pub elapsed: Duration,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let index = self.index;
        writeln!(f, "words below {:?}\n", self.dir)?;
        writeln!(f, "files       {:>12}", index.files())?;
        writeln!(f, "bytes       {:>12}", index.bytes())?;
        writeln!(f, "words       {:>12}", index.words())?;
        writeln!(f, "distinct    {:>12}", index.distinct_words())?;
        self.fmt_skipped(f)?;
        self.fmt_vocabulary(f)?;
        let threads = self.settings.threads;
        writeln!(f, "time        {:>12.1?}  {threads} readers, {threads} tokenisers, 1 merger", self.elapsed)?;
        self.fmt_commonest(f)
    }
}

impl Report<'_> {
    fn fmt_skipped(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "skipped     {:>12}", self.skipped.len())?;
        for (reason, count) in skipped::count_by_reason(self.skipped) {
            writeln!(f, "            {count:>12}  {reason}")?;
        }
        Ok(())
    }

    fn fmt_vocabulary(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (memory, on_heap) = (self.index.memory(), self.index.words_on_heap());
        writeln!(f, "vocabulary  {:>12}  of {} bytes of static memory", memory.used(), memory.capacity())?;
        if on_heap > 0 {
            writeln!(
                f,
                "            {on_heap:>12}  words are on the heap instead, as static memory is full; none is lost"
            )?;
        }
        Ok(())
    }

    fn fmt_commonest(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n   count    files  {:16}  most in", "word")?;
        for Usage { word, count, files, most_in } in self.index.commonest(self.settings.shown_words) {
            let most_in = most_in.strip_prefix(self.dir).unwrap_or(most_in);
            writeln!(f, "{count:>8} {files:>8}  {word:16}  {most_in:?}")?;
        }
        Ok(())
    }
}
