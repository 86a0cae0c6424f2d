//! A profile: what was sampled, taken off this process, or read from what another has written.

use crate::maps::Maps;
use crate::resolved::Resolved;
use crate::{flamegraph, folded, pprof};
use std::fmt::{self, Display, Formatter};
use std::io::{self, Write};
use tenure::profile::{self, unsampled};

/// What is shown of a profile where one value is to be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Value {
    /// Bytes that are in use.
    #[default]
    LiveBytes,
    /// Blocks that are in use.
    LiveBlocks,
    /// Bytes that were allocated since a profile was armed for the first time.
    Bytes,
    /// Blocks that were allocated since then.
    Blocks,
}

impl Value {
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::LiveBytes | Self::Bytes => "bytes",
            Self::LiveBlocks | Self::Blocks => "blocks",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::LiveBytes => "Heap in use, in bytes",
            Self::LiveBlocks => "Heap in use, in blocks",
            Self::Bytes => "Allocated, in bytes",
            Self::Blocks => "Allocated, in blocks",
        }
    }
}

/// What has come from a call stack: estimates.
#[derive(Debug, Clone, Default)]
pub(crate) struct StackFigures {
    /// Return addresses, the innermost first.
    pub(crate) frames: Vec<u64>,
    pub(crate) blocks: u64,
    pub(crate) bytes: u64,
    pub(crate) live_blocks: u64,
    pub(crate) live_bytes: u64,
}

impl StackFigures {
    pub(crate) fn value(&self, value: Value) -> u64 {
        match value {
            Value::LiveBytes => self.live_bytes,
            Value::LiveBlocks => self.live_blocks,
            Value::Bytes => self.bytes,
            Value::Blocks => self.blocks,
        }
    }
}

/// A heap profile at one moment.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    pub(crate) stacks: Vec<StackFigures>,
    pub(crate) maps: Maps,
    pub(crate) rate: u64,
    pub(crate) samples: u64,
    pub(crate) dropped: u64,
}

/// A text is not a profile, or not a whole one, and in which line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAProfile {
    line: usize,
    /// True where the text ends with the line, and should not.
    is_cut: bool,
}

impl Display for NotAProfile {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.is_cut {
            false => write!(f, "not a heap profile: line {} cannot be understood", self.line),
            true => write!(f, "not a whole heap profile: it is cut short at line {}", self.line),
        }
    }
}

impl std::error::Error for NotAProfile {}

/// What comes between a profile's stacks and where its code lies.
const MAPS: &str = "MAPPED_LIBRARIES:";

impl Profile {
    /// The profile of this process, now. Other threads go on; a block that one of them allocates or frees meanwhile may
    /// be counted or not.
    pub fn take() -> Self {
        unsampled(|| {
            let mut stacks = Vec::new();
            profile::each_stack(|stack| {
                stacks.push(StackFigures {
                    frames: stack.frames.iter().map(|&frame| frame as u64).collect(),
                    blocks: stack.blocks,
                    bytes: stack.bytes,
                    live_blocks: stack.live_blocks,
                    live_bytes: stack.live_bytes,
                });
            });
            let totals = profile::totals();
            let rate = profile::last_rate().unwrap_or(0) as u64;
            Self { stacks, maps: Maps::of_this_process(), rate, samples: totals.samples, dropped: totals.dropped }
        })
    }

    /// The profile that a process has written as [text](crate::Text), with where its code lies.
    ///
    /// # Errors
    ///
    /// Where the text is none, or was cut short: behind the stacks there must be a line `MAPPED_LIBRARIES:`, and a line
    /// break at the end. Of what gperftools writes only profiles of the form `heapprofile` are understood, whose
    /// figures are of all blocks.
    pub fn parse(text: &str) -> Result<Self, NotAProfile> {
        let (stacks, maps) = match text.split_once(MAPS) {
            Some((stacks, maps)) => (stacks, Some(maps)),
            None => (text, None),
        };
        let mut profile = Self { maps: Maps::parse(maps.unwrap_or_default()), ..Self::default() };
        for (index, line) in stacks.lines().enumerate() {
            let line = line.trim();
            let understood = if index == 0 {
                is_header(line).then_some(())
            } else if let Some(comment) = line.strip_prefix('#') {
                profile.note(comment)
            } else if line.is_empty() {
                Some(())
            } else {
                parse_stack(line).map(|stack| profile.stacks.push(stack))
            };
            understood.ok_or(NotAProfile { line: index + 1, is_cut: false })?;
        }
        if stacks.is_empty() {
            return Err(NotAProfile { line: 1, is_cut: false });
        }
        if !maps.is_some_and(|maps| maps.ends_with('\n')) {
            return Err(NotAProfile { line: text.lines().count(), is_cut: true });
        }
        Ok(profile)
    }

    /// Takes what the allocator says in a comment: `tenure: 12 samples, 0 dropped, one in 524288 bytes`. `None` where
    /// that cannot be.
    fn note(&mut self, comment: &str) -> Option<()> {
        let Some(told) = comment.trim_start().strip_prefix("tenure:") else { return Some(()) };
        let mut numbers = told.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok());
        [self.samples, self.dropped, self.rate] = [numbers.next()?, numbers.next()?, numbers.next()?];
        // Where nothing was ever armed there is no rate, and no sample.
        (self.rate > 0 || self.samples == 0).then_some(())
    }

    /// Writes the profile in the format of pprof, gzipped.
    ///
    /// # Errors
    ///
    /// Those of `writer`.
    pub fn write_pprof(&self, writer: impl Write) -> io::Result<()> {
        unsampled(|| pprof::write(&Resolved::of(self), writer))
    }

    /// Writes a line for each call stack: the functions from the outermost on, separated by semicolons, and the value.
    /// Names have no semicolons and no line breaks.
    ///
    /// # Errors
    ///
    /// Those of `writer`.
    pub fn write_folded(&self, value: Value, writer: impl Write) -> io::Result<()> {
        unsampled(|| folded::write(&Resolved::of(self), value, writer))
    }

    /// Writes a flame graph in SVG, which browsers show, and search on a click.
    ///
    /// # Errors
    ///
    /// Those of `writer`.
    pub fn write_flamegraph(&self, value: Value, writer: impl Write) -> io::Result<()> {
        unsampled(|| flamegraph::write(&Resolved::of(self), value, writer))
    }
}

/// True for a first line such as `heap profile: 3: 120 [10: 400] @ heapprofile`.
fn is_header(line: &str) -> bool {
    let told = line.strip_prefix("heap profile:").and_then(|told| told.split_once('@'));
    told.is_some_and(|(figures, kind)| parse_figures(figures).is_some() && kind.trim() == "heapprofile")
}

/// A line such as `3: 120 [10: 400] @ 0x1234 0x5678`.
fn parse_stack(line: &str) -> Option<StackFigures> {
    let (figures, frames) = line.split_once('@')?;
    let [live_blocks, live_bytes, blocks, bytes] = parse_figures(figures)?;
    let frame = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    let frames = frames.split_whitespace().map(frame).collect::<Option<_>>()?;
    Some(StackFigures { frames, blocks, bytes, live_blocks, live_bytes })
}

/// Figures such as `3: 120 [10: 400]`: blocks and bytes that are in use, and of all that were.
fn parse_figures(text: &str) -> Option<[u64; 4]> {
    let (live, all) = text.trim().strip_suffix(']')?.split_once('[')?;
    let pair = |text: &str| {
        let (blocks, bytes) = text.split_once(':')?;
        Some((blocks.trim().parse().ok()?, bytes.trim().parse().ok()?))
    };
    let ((live_blocks, live_bytes), (blocks, bytes)) = (pair(live)?, pair(all)?);
    Some([live_blocks, live_bytes, blocks, bytes])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_read_back_as_the_allocator_writes_it() {
        let text = "heap profile: 3: 30 [7: 70] @ heapprofile\n\
                    # tenure: 7 samples, 1 dropped, one in 4096 bytes\n\
                    1: 10 [5: 50] @ 0x10 0x20\n\
                    2: 20 [2: 20] @\n\
                    \nMAPPED_LIBRARIES:\n\
                    0-1000 r-xp 00000000 08:02 12 /bin/x\n";
        let profile = Profile::parse(text).unwrap();
        assert_eq!((profile.samples, profile.dropped, profile.rate), (7, 1, 4096));
        let figures: Vec<_> = profile.stacks.iter().map(|s| [s.live_blocks, s.live_bytes, s.blocks, s.bytes]).collect();
        assert_eq!(figures, [[1, 10, 5, 50], [2, 20, 2, 20]]);
        assert_eq!((profile.stacks[0].frames.as_slice(), profile.stacks[1].frames.len()), (&[0x10, 0x20][..], 0));
        assert_eq!(profile.maps.find(0x20), Some(0));
    }

    #[test]
    fn a_profile_of_nothing_is_one() {
        let text = "heap profile: 0: 0 [0: 0] @ heapprofile\n\
                    # tenure: 0 samples, 0 dropped, one in 0 bytes\n\
                    \nMAPPED_LIBRARIES:\n";
        let profile = Profile::parse(text).unwrap();
        assert_eq!((profile.stacks.len(), profile.samples, profile.rate), (0, 0, 0));
    }

    #[test]
    fn what_is_no_profile_is_refused_with_the_line() {
        let maps = "\nMAPPED_LIBRARIES:\n";
        for (text, line) in [
            ("", 1),
            ("hello", 1),
            ("heap profile: x", 1),
            ("heap profile: 1\n1: 2 [3: x] @ 0x1", 1),
            ("heap profile: 1: 2 [3: 4]", 1),
            ("heap profile: 1: 2: 3: 4 @ heapprofile", 1),
            // The figures of this form are of samples alone, and others again are no profiles of a heap.
            ("heap profile: 1: 2 [3: 4] @ heap_v2/0", 1),
            ("heap profile: 1: 2 [3: 4] @ heap_v2/524288", 1),
            ("heap profile: 1: 2 [3: 4] @ growth", 1),
            ("heap profile: 1: 2 [3: 4] @ heapprofile\n# tenure: 7 samples", 2),
            ("heap profile: 1: 2 [3: 4] @ heapprofile\n# tenure: 7 samples, 1 dropped, one in 0 bytes", 2),
            ("heap profile: 1: 2 [3: 4] @ heapprofile\n1: 2 [3: x] @ 0x1", 2),
            ("heap profile: 1: 2 [3: 4] @ heapprofile\n1: 2 [3: 4] @ 0x1 x", 2),
        ] {
            let refused = Profile::parse(&format!("{text}{maps}")).unwrap_err();
            assert_eq!(refused, NotAProfile { line, is_cut: false }, "{text}");
        }
        assert_eq!(Profile::parse("").unwrap_err(), NotAProfile { line: 1, is_cut: false });
    }

    #[test]
    fn a_profile_that_was_cut_short_is_refused_wherever_that_was() {
        let text = "heap profile: 3: 30 [7: 70] @ heapprofile\n\
                    # tenure: 7 samples, 1 dropped, one in 4096 bytes\n\
                    3: 30 [7: 70] @ 0x10 0x20\n\
                    \nMAPPED_LIBRARIES:\n\
                    0-1000 r-xp 00000000 08:02 12 /bin/x\n";
        let maps = text.find("0-1000").unwrap();
        Profile::parse(text).unwrap();
        for end in (0..maps).chain(maps + 1..text.len()) {
            assert!(Profile::parse(&text[..end]).is_err(), "{}", &text[..end]);
        }
        let after_stacks = Profile::parse(&text[..text.find("\nMAPPED").unwrap()]).unwrap_err();
        assert_eq!(after_stacks, NotAProfile { line: 3, is_cut: true });
        assert_eq!(after_stacks.to_string(), "not a whole heap profile: it is cut short at line 3");
    }
}
