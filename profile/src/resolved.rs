//! A profile whose addresses have names. The allocator's own functions, which are the innermost of each stack, are left
//! out.

use crate::maps::Maps;
use crate::profile::{Profile, StackFigures};
use crate::symbols::{Frame, Symbols};
use std::rc::Rc;

/// A profile with names.
pub(crate) struct Resolved<'a> {
    pub(crate) profile: &'a Profile,
    pub(crate) stacks: Vec<ResolvedStack<'a>>,
}

/// A call stack, the innermost call first.
pub(crate) struct ResolvedStack<'a> {
    pub(crate) figures: &'a StackFigures,
    pub(crate) calls: Vec<Call>,
}

/// A return address, and what is there.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) address: u64,
    frames: Rc<[Frame]>,
    /// How many of the frames are the allocator's.
    skipped: usize,
}

impl Call {
    /// The functions, the innermost first: the last has called, and those before were inlined into it.
    pub(crate) fn frames(&self) -> &[Frame] {
        &self.frames[self.skipped..]
    }

    pub(crate) fn skipped(&self) -> usize {
        self.skipped
    }
}

impl<'a> Resolved<'a> {
    pub(crate) fn of(profile: &'a Profile) -> Self {
        let mut symbols = Symbols::new(&profile.maps);
        let stacks = profile
            .stacks
            .iter()
            .map(|figures| ResolvedStack { figures, calls: resolve(&figures.frames, &profile.maps, &mut symbols) });
        Self { profile, stacks: stacks.collect() }
    }
}

impl ResolvedStack<'_> {
    /// The functions, the innermost first.
    pub(crate) fn frames(&self) -> impl DoubleEndedIterator<Item = &Frame> {
        self.calls.iter().flat_map(Call::frames)
    }
}

fn resolve(addresses: &[u64], maps: &Maps, symbols: &mut Symbols<'_>) -> Vec<Call> {
    let calls = addresses.iter().map(|&address| Call { address, frames: symbols.resolve(address), skipped: 0 });
    let mut calls: Vec<_> = calls.collect();
    let mut skipped = count_allocators(&calls, maps);
    for call in &mut calls {
        call.skipped = skipped.min(call.frames.len());
        skipped -= call.skipped;
    }
    calls.retain(|call| !call.frames().is_empty());
    calls
}

/// How many of the innermost frames are the allocator's, with what of the standard library is inlined among them.
fn count_allocators(calls: &[Call], maps: &Maps) -> usize {
    let frames = calls.iter().flat_map(|call| {
        let is_library = is_in_library(maps, call.address);
        call.frames.iter().map(move |frame| (is_library, frame.function.as_str()))
    });
    let mut count = 0;
    for (nth, (is_library, function)) in frames.enumerate() {
        if is_library || is_allocators(function) {
            count = nth + 1;
        } else if !is_glue(function) {
            break;
        }
    }
    count
}

/// True for an address in the library that takes the place of `malloc`.
fn is_in_library(maps: &Maps, address: u64) -> bool {
    maps.find(address.saturating_sub(1)).is_some_and(|index| {
        let name = &maps.get(index).name;
        name.rsplit('/').next().unwrap_or(name).starts_with("libtenure_malloc")
    })
}

/// True for functions that stand between a program and its allocator, and for the allocator's own.
fn is_allocators(function: &str) -> bool {
    let name = function.trim_start_matches('<');
    ["tenure::", "tenure_malloc::", "alloc::alloc::", "alloc::raw_vec::", "__rust_", "__rustc", "__rg_", "__rdl_"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// True for functions of the standard library that may stand between two of the allocator's.
fn is_glue(function: &str) -> bool {
    function.trim_start_matches('<').starts_with("core::")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_told_by_its_files_name_and_not_by_its_folders() {
        let maps = Maps::parse(
            "1000-2000 r-xp 00000000 08:02 12 /home/libtenure_malloc/app\n\
             2000-3000 r-xp 00000000 08:02 13 /opt/lib/libtenure_malloc_hardened.so\n",
        );
        assert!(!is_in_library(&maps, 0x1800));
        assert!(is_in_library(&maps, 0x2800));
    }

    #[test]
    fn the_allocators_functions_are_told_from_the_programs() {
        for name in [
            "tenure::global::slow::alloc",
            "<tenure::global::Tenure as core::alloc::global::GlobalAlloc>::alloc",
            "<alloc::alloc::Global as core::alloc::Allocator>::allocate",
            "alloc::raw_vec::RawVecInner<A>::try_allocate_in",
            "__rust_alloc",
            "__rustc::__rust_alloc",
        ] {
            assert!(is_allocators(name), "{name}");
        }
        for name in ["main", "tenured", "<alloc::vec::Vec<T> as core::clone::Clone>::clone", "allocate"] {
            assert!(!is_allocators(name), "{name}");
        }
    }
}
