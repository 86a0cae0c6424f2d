//! What a budget that was not kept says: how much was allowed and made, and where the first allocation too many was.

use super::Made;
use crate::heap::FRAMES;
use crate::os;
use core::fmt::{self, Display, Formatter};
use core::ops::Bound;

/// A budget that was not kept.
pub(super) struct Excess {
    pub(super) made: Made,
    /// What was allowed: of allocations, and of bytes.
    pub(super) limits: [(Bound<usize>, Bound<usize>); 2],
    /// Return addresses of the first allocation too many, if there were too many.
    pub(super) stack: Option<[usize; FRAMES]>,
}

/// So many of something, in words.
struct Number {
    count: usize,
    /// What one of them is called; more of them have an `s`.
    unit: &'static str,
}

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { count, unit } = self;
        write!(f, "{count} {unit}{}", if *count == 1 { "" } else { "s" })
    }
}

/// How many of something are allowed, in words.
struct Range {
    bounds: (Bound<usize>, Bound<usize>),
    unit: &'static str,
}

impl Range {
    /// The least and the most that it holds; `None` where it holds nothing.
    fn ends(&self) -> Option<(usize, usize)> {
        let least = match self.bounds.0 {
            Bound::Included(start) => start,
            Bound::Excluded(start) => start.checked_add(1)?,
            Bound::Unbounded => 0,
        };
        let most = match self.bounds.1 {
            Bound::Included(end) => end,
            Bound::Excluded(end) => end.checked_sub(1)?,
            Bound::Unbounded => usize::MAX,
        };
        (least <= most).then_some((least, most))
    }
}

impl Display for Range {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let unit = self.unit;
        let number = |count| Number { count, unit };
        let Some(ends) = self.ends() else {
            return write!(f, "no number of {unit}s (the range {} is empty)", Notation(self.bounds));
        };
        match ends {
            (0, usize::MAX) => write!(f, "any number of {unit}s"),
            (0, 0) => write!(f, "no {unit}s"),
            (0, most) => write!(f, "at most {}", number(most)),
            (least, most) if least == most => write!(f, "just {}", number(least)),
            (least, usize::MAX) => write!(f, "at least {}", number(least)),
            (least, most) => write!(f, "{least} to {}", number(most)),
        }
    }
}

/// A range as code has it; as a pair of bounds where there is no other way to write it.
struct Notation((Bound<usize>, Bound<usize>));

impl Display for Notation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            (Bound::Included(start), Bound::Included(end)) => write!(f, "{start}..={end}"),
            (Bound::Included(start), Bound::Excluded(end)) => write!(f, "{start}..{end}"),
            (Bound::Unbounded, Bound::Excluded(end)) => write!(f, "..{end}"),
            bounds => write!(f, "{bounds:?}"),
        }
    }
}

impl Display for Excess {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let [allocations, bytes] = [(self.made.allocations, "allocation"), (self.made.bytes, "byte")]
            .map(|(count, unit)| Number { count, unit });
        let [allowed, allowed_bytes] = self.limits;
        let allowed = Range { bounds: allowed, unit: allocations.unit };
        let allowed_bytes = Range { bounds: allowed_bytes, unit: bytes.unit };
        let were = if allocations.count == 1 { "was" } else { "were" };
        write!(f, "{allowed} and {allowed_bytes} were allowed here; there {were} {allocations} of {bytes}")?;
        let Some(stack) = &self.stack else { return Ok(()) };
        let stack = &stack[..stack.iter().position(|&address| address == 0).unwrap_or(FRAMES)];
        write!(f, "\nthe first allocation beyond that was made at")?;
        write_stack(f, stack)
    }
}

/// The call stack as functions and lines, without those of Tenure and of the standard library.
#[cfg(feature = "backtrace")]
fn write_stack(f: &mut Formatter<'_>, stack: &[usize]) -> fmt::Result {
    use std::format;
    use std::string::{String, ToString};

    for &address in stack {
        let mut lines = String::new();
        let (mut is_known, mut is_last) = (false, false);
        backtrace::resolve(core::ptr::without_provenance_mut(address), |symbol| {
            is_known = true;
            let name = symbol.name().map_or_else(|| format!("{address:#x}"), |name| format!("{name:#}"));
            let file = symbol.filename().map(|file| file.display().to_string()).unwrap_or_default();
            // What called the assertion is told already.
            is_last |= name.split('<').next().is_some_and(|path| path.ends_with("assert_allocs"));
            if is_last || is_machinery(&name, &file) {
                return;
            }
            lines += &format!("\n    {name}");
            if !file.is_empty() {
                lines += &format!("\n        at {file}:{}", symbol.lineno().unwrap_or(0));
            }
        });
        if !is_known {
            lines = format!("\n    {}", unnamed(address));
        }
        write!(f, "{lines}")?;
        if is_last {
            break;
        }
    }
    Ok(())
}

/// True for functions on the way from the code in question to the allocator.
#[cfg(feature = "backtrace")]
fn is_machinery(name: &str, file: &str) -> bool {
    let name = name.trim_start_matches(['<', '_']);
    let is_named_so =
        ["tenure::", "alloc::", "core::", "std::", "rust_", "rustc"].iter().any(|prefix| name.starts_with(prefix));
    is_named_so || file.starts_with(concat!(env!("CARGO_MANIFEST_DIR"), "/src/")) || file.starts_with("/rustc/")
}

/// The call stack as addresses. The first belong to the allocator itself.
#[cfg(not(feature = "backtrace"))]
fn write_stack(f: &mut Formatter<'_>, stack: &[usize]) -> fmt::Result {
    for &address in stack {
        write!(f, "\n    {}", unnamed(address))?;
    }
    write!(
        f,
        "\n(with tenure's feature `backtrace` there are functions and lines here; `addr2line -Cfe FILE ADDRESS` names an address, too)"
    )
}

/// An address, by the file that it comes from.
fn unnamed(address: usize) -> std::string::String {
    // A return address is behind its call, which may be the last of its function.
    match os::module_of(address.saturating_sub(1)) {
        Some((file, offset)) => std::format!("{} {offset:#x}", file.to_string_lossy()),
        None => std::format!("{address:#x}"),
    }
}
