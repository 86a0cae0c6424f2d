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

/// A range, in words.
struct Range((Bound<usize>, Bound<usize>));

impl Display for Range {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let least = match self.0.0 {
            Bound::Included(start) => start,
            Bound::Excluded(start) => start + 1,
            Bound::Unbounded => 0,
        };
        let most = match self.0.1 {
            Bound::Included(end) => Some(end),
            // An empty range allows nothing, which the comparison has found already.
            Bound::Excluded(end) => Some(end.saturating_sub(1)),
            Bound::Unbounded => None,
        };
        match (least, most) {
            (0, None) => write!(f, "any number of"),
            (0, Some(0)) => write!(f, "no"),
            (0, Some(most)) => write!(f, "at most {most}"),
            (least, None) => write!(f, "at least {least}"),
            (least, Some(most)) if least == most => write!(f, "just {least}"),
            (least, Some(most)) => write!(f, "{least} to {most}"),
        }
    }
}

impl Display for Excess {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Made { allocations, bytes } = self.made;
        let [allowed, allowed_bytes] = self.limits.map(Range);
        write!(
            f,
            "{allowed} allocations and {allowed_bytes} bytes were allowed here; there were {allocations} allocations of {bytes} bytes"
        )?;
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
    match os::module_of(address - 1) {
        Some((file, offset)) => std::format!("{} {offset:#x}", file.to_string_lossy()),
        None => std::format!("{address:#x}"),
    }
}
