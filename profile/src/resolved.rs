//! A profile whose addresses have names. The allocator's own functions, which are the innermost of each stack, are left
//! out.

use crate::machinery::{Folder, is_allocators, is_glue, is_standard};
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

    /// The functions from the innermost on that is not the standard library's, or all where all are.
    pub(crate) fn programs(&self) -> impl Iterator<Item = &Frame> {
        let standard = self.frames().position(|frame| !is_standard(frame)).unwrap_or(0);
        self.frames().skip(standard)
    }
}

fn resolve(addresses: &[u64], maps: &Maps, symbols: &mut Symbols<'_>) -> Vec<Call> {
    let calls = addresses.iter().map(|&address| Call { address, frames: symbols.resolve(address), skipped: 0 });
    without_allocators(calls.collect(), maps)
}

/// The calls without the innermost functions, as far as they are the allocator's.
fn without_allocators(mut calls: Vec<Call>, maps: &Maps) -> Vec<Call> {
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
    // The innermost functions of each stack are the allocator's.
    let folder = calls.iter().flat_map(|call| &*call.frames).find_map(Folder::told_by);
    let frames = calls.iter().flat_map(|call| {
        let is_library = is_in_library(maps, call.address);
        call.frames.iter().map(move |frame| (is_library, frame))
    });
    let mut count = 0;
    for (nth, (is_library, frame)) in frames.enumerate() {
        if is_library || is_allocators(frame, folder) {
            count = nth + 1;
        } else if !is_glue(frame) {
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

    /// A program of which there is debug information of lines alone, as it is built with optimisation.
    #[test]
    fn the_innermost_function_is_the_programs_where_names_have_no_path() {
        const STANDARD: &str = "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library";
        let frame = |(function, file): &(&str, &str)| Frame { file: (*file).to_owned(), ..Frame::named(function) };
        let call =
            |address, frames: &[(&str, &str)]| Call { address, frames: frames.iter().map(frame).collect(), skipped: 0 };
        let calls = vec![
            call(
                0x1100,
                &[
                    ("walk", "/x/tenure/src/sampling/unwind.rs"),
                    ("add", "/x/tenure/src/global/samples.rs"),
                    ("{closure#0}<false>", "/x/tenure/src/global/slow.rs"),
                    ("map_or_else<u8>", &format!("{STANDARD}/core/src/option.rs")),
                    ("if_short_reclaim<u8>", "/x/tenure/src/global/upkeep.rs"),
                ],
            ),
            call(
                0x1200,
                &[
                    ("alloc", "/x/tenure/src/global/typed.rs"),
                    ("__rust_alloc", "/x/program/src/main.rs"),
                    ("alloc", &format!("{STANDARD}/alloc/src/alloc.rs")),
                    ("try_allocate_in<A>", &format!("{STANDARD}/alloc/src/raw_vec/mod.rs")),
                    ("with_capacity<u8>", &format!("{STANDARD}/alloc/src/vec/mod.rs")),
                    ("keeps_a_list", "/x/program/src/main.rs"),
                ],
            ),
        ];
        let calls = without_allocators(calls, &Maps::default());
        let stack = ResolvedStack { figures: &StackFigures::default(), calls };
        let functions = |frames: Vec<&Frame>| frames.iter().map(|frame| frame.function.clone()).collect::<Vec<_>>();
        assert_eq!(functions(stack.frames().collect()), ["with_capacity<u8>", "keeps_a_list"]);
        assert_eq!(functions(stack.programs().collect()), ["keeps_a_list"]);
    }

    #[test]
    fn a_stack_of_the_standard_library_alone_is_shown_as_it_is() {
        let frames = [Frame::named("std::rt::init"), Frame::named("std::rt::lang_start")];
        let call = Call { address: 0x1100, frames: frames.into(), skipped: 0 };
        let calls = without_allocators(vec![call], &Maps::default());
        let stack = ResolvedStack { figures: &StackFigures::default(), calls };
        assert_eq!(stack.programs().count(), 2);
    }
}
