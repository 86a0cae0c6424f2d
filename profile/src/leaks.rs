//! The leak report: what is still in use, by call stack, for people to read.

use crate::profile::Profile;
use crate::resolved::Resolved;
use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};
use tenure::profile::unsampled;

/// Call stacks that are shown.
const SHOWN: usize = 30;

/// Functions that are shown of each.
const DEPTH: usize = 16;

/// What is in use, by call stack, the largest first. `Display` prints it. Each stack begins with the innermost function
/// that is neither the allocator's nor the standard library's.
#[derive(Debug, Clone)]
pub struct Leaks {
    stacks: Vec<Leak>,
    samples: u64,
    dropped: u64,
}

/// What is in use from one call stack.
#[derive(Debug, Clone)]
struct Leak {
    blocks: u64,
    bytes: u64,
    /// The innermost first, which is the program's own.
    functions: Vec<String>,
}

/// What is in use now of what was allocated since a profile was armed: at the end of a program, what was leaked, or is
/// to live as long as the process. Blocks in static memory are there on purpose, and not among them.
///
/// ```
/// #[global_allocator]
/// static GLOBAL: tenure::Tenure = tenure::Tenure::new();
///
/// # let options = tenure_profile::Options { rate: 1, unwinder: tenure_profile::Unwinder::Tables, seed: None };
/// # tenure_profile::arm_with(options)?;
/// let kept = vec![0_u8; 1234].leak();
/// let leaks = tenure_profile::leaks();
/// assert!(leaks.bytes() >= 1234 && leaks.to_string().contains("1234 bytes in 1 block"));
/// # assert!(!kept.is_empty());
/// # Ok::<(), tenure_profile::CannotArm>(())
/// ```
pub fn leaks() -> Leaks {
    Profile::take().leaks()
}

impl Profile {
    /// What was in use when the profile was taken: see [`leaks`].
    pub fn leaks(&self) -> Leaks {
        unsampled(|| {
            let mut stacks = HashMap::<Vec<String>, Leak>::new();
            for stack in Resolved::of(self).stacks.iter().filter(|stack| stack.figures.live_blocks > 0) {
                let functions: Vec<_> = stack.programs().map(describe).collect();
                let none = Leak { blocks: 0, bytes: 0, functions: functions.clone() };
                let leak = stacks.entry(functions).or_insert(none);
                leak.blocks += stack.figures.live_blocks;
                leak.bytes += stack.figures.live_bytes;
            }
            let mut stacks: Vec<_> = stacks.into_values().collect();
            stacks.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.functions.cmp(&b.functions)));
            Leaks { stacks, samples: self.samples, dropped: self.dropped }
        })
    }
}

fn describe(frame: &crate::symbols::Frame) -> String {
    match (frame.file.as_str(), frame.line) {
        ("", _) => frame.function.clone(),
        (file, line) => format!("{} at {file}:{line}", frame.function),
    }
}

impl Leaks {
    /// Bytes in use.
    pub fn bytes(&self) -> u64 {
        self.stacks.iter().map(|leak| leak.bytes).sum()
    }

    /// Blocks in use.
    pub fn blocks(&self) -> u64 {
        self.stacks.iter().map(|leak| leak.blocks).sum()
    }

    /// True where nothing is in use.
    pub fn is_empty(&self) -> bool {
        self.stacks.is_empty()
    }
}

/// A number of bytes in a number of blocks.
struct Amount(u64, u64);

impl Display for Amount {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(bytes, blocks) = *self;
        let s = |number| if number == 1 { "" } else { "s" };
        write!(f, "{bytes} byte{} in {blocks} block{}", s(bytes), s(blocks))
    }
}

impl Display for Leaks {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "nothing that was sampled is still in use ({} samples)", self.samples);
        }
        let total = Amount(self.bytes(), self.blocks());
        write!(f, "still in use: {total}, by {} samples", self.samples)?;
        match self.dropped {
            0 => writeln!(f)?,
            dropped => writeln!(f, "; {dropped} of them had no room, and are not counted")?,
        }
        for leak in self.stacks.iter().take(SHOWN) {
            writeln!(f, "\n{}:", Amount(leak.bytes, leak.blocks))?;
            for function in leak.functions.iter().take(DEPTH) {
                writeln!(f, "    {function}")?;
            }
            if leak.functions.len() > DEPTH {
                writeln!(f, "    and {} more that called", leak.functions.len() - DEPTH)?;
            }
        }
        if self.stacks.len() > SHOWN {
            let (bytes, blocks) = self.stacks[SHOWN..]
                .iter()
                .fold((0, 0), |(bytes, blocks), leak| (bytes + leak.bytes, blocks + leak.blocks));
            writeln!(f, "\n{} from {} other places", Amount(bytes, blocks), self.stacks.len() - SHOWN)?;
        }
        Ok(())
    }
}
