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

/// A text is not a profile, and in which line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAProfile {
    line: usize,
}

impl Display for NotAProfile {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "not a heap profile: line {} cannot be understood", self.line)
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
    /// Where the text is none.
    pub fn parse(text: &str) -> Result<Self, NotAProfile> {
        let (stacks, maps) = text.split_once(MAPS).unwrap_or((text, ""));
        let mut profile = Self { maps: Maps::parse(maps), ..Self::default() };
        for (index, line) in stacks.lines().enumerate() {
            let line = line.trim();
            let understood = if index == 0 {
                line.starts_with("heap profile:").then_some(())
            } else if let Some(comment) = line.strip_prefix('#') {
                profile.note(comment);
                Some(())
            } else if line.is_empty() {
                Some(())
            } else {
                parse_stack(line).map(|stack| profile.stacks.push(stack))
            };
            understood.ok_or(NotAProfile { line: index + 1 })?;
        }
        if stacks.trim().is_empty() { Err(NotAProfile { line: 1 }) } else { Ok(profile) }
    }

    /// Takes what the allocator says in a comment: `tenure: 12 samples, 0 dropped, one in 524288 bytes`.
    fn note(&mut self, comment: &str) {
        let mut numbers = comment.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok());
        if comment.trim_start().starts_with("tenure:") {
            [self.samples, self.dropped, self.rate] = [(); 3].map(|()| numbers.next().unwrap_or(0));
        }
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

/// A line such as `3: 120 [10: 400] @ 0x1234 0x5678`.
fn parse_stack(line: &str) -> Option<StackFigures> {
    let (figures, frames) = line.split_once('@')?;
    let mut numbers = figures.split([':', '[', ']']).map(str::trim).filter(|text| !text.is_empty());
    let mut number = || numbers.next()?.parse().ok();
    let [live_blocks, live_bytes, blocks, bytes] = [number()?, number()?, number()?, number()?];
    let frame = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    let frames = frames.split_whitespace().map(frame).collect::<Option<_>>()?;
    Some(StackFigures { frames, blocks, bytes, live_blocks, live_bytes })
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
    fn what_is_no_profile_is_refused_with_the_line() {
        for (text, line) in [("", 1), ("hello", 1), ("heap profile: 1\n1: 2 [3: x] @ 0x1", 2)] {
            assert_eq!(Profile::parse(text).unwrap_err(), NotAProfile { line });
        }
    }
}
