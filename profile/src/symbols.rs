//! Symbols: which function an address is in, by the file that lies there in memory.

use crate::maps::{Mapping, Maps};
use addr2line::Loader;
use object::read::{Object as _, ObjectSegment as _, ReadCache};
use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::rc::Rc;

/// A function that was called, perhaps inlined into the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) function: String,
    /// As the linker knows it, where that is something else.
    pub(crate) system_name: String,
    /// Empty where it is not known.
    pub(crate) file: String,
    /// 0 where it is not known.
    pub(crate) line: u32,
    /// False where the name only says which place this is.
    pub(crate) is_named: bool,
}

impl Frame {
    /// A function of which no more is known than its name.
    pub(crate) fn named(symbol: &str) -> Self {
        Self {
            function: addr2line::demangle_auto(symbol.into(), None).into_owned(),
            system_name: symbol.to_owned(),
            file: String::new(),
            line: 0,
            is_named: true,
        }
    }

    /// Takes the name that the linker has for the function, if that tells more. Debug information of lines alone has
    /// names without their path.
    fn take_path(&mut self, symbol: &str) {
        let named = Self::named(symbol);
        let is_without = self.function == self.system_name && named.function != named.system_name;
        // A symbol may be another function's, where the function's own was left out.
        let name = self.function.split(['<', '#']).next().unwrap_or_default();
        if is_without && named.function.contains(name) {
            (self.function, self.system_name) = (named.function, named.system_name);
        }
    }
}

/// What the addresses of a process mean.
pub(crate) struct Symbols<'a> {
    maps: &'a Maps,
    images: HashMap<&'a str, Option<Image>>,
    known: HashMap<u64, Rc<[Frame]>>,
}

/// A file with code, and what it knows of it.
struct Image {
    loader: Loader,
    /// For each part that is loaded: where it starts in the file, how long it is, and for which address it was linked.
    parts: Vec<(u64, u64, u64)>,
}

impl Image {
    fn open(path: &Path) -> Option<Self> {
        let cache = ReadCache::new(File::open(path).ok()?);
        let file = object::File::parse(&cache).ok()?;
        let parts = file.segments().map(|segment| {
            let (offset, len) = segment.file_range();
            (offset, len, segment.address())
        });
        Some(Self { parts: parts.collect(), loader: Loader::new(path).ok()? })
    }

    /// For which address the byte at `offset` of the file was linked.
    fn linked(&self, offset: u64) -> Option<u64> {
        let part = self.parts.iter().find(|&&(start, len, _)| (start..start + len).contains(&offset))?;
        Some(offset - part.0 + part.2)
    }

    /// The functions at an address, the innermost first; none where nothing is known.
    fn frames(&self, address: u64) -> Vec<Frame> {
        let symbol = self.loader.find_symbol(address);
        let mut found = Vec::new();
        if let Ok(mut frames) = self.loader.find_frames(address) {
            while let Ok(Some(frame)) = frames.next() {
                let Some(name) = frame.function else { continue };
                let Ok(raw) = name.raw_name() else { continue };
                let location = frame.location.as_ref();
                found.push(Frame {
                    function: name.demangle().unwrap_or_else(|_| raw.clone()).into_owned(),
                    system_name: raw.into_owned(),
                    file: location.and_then(|place| place.file).unwrap_or_default().to_owned(),
                    line: location.and_then(|place| place.line).unwrap_or(0),
                    is_named: true,
                });
            }
        }
        // The outermost was not inlined, so the linker knows it.
        match (found.last_mut(), symbol) {
            (Some(outermost), Some(symbol)) => outermost.take_path(symbol),
            (None, Some(symbol)) => found.push(Frame::named(symbol)),
            (_, None) => {}
        }
        found
    }
}

impl<'a> Symbols<'a> {
    pub(crate) fn new(maps: &'a Maps) -> Self {
        Self { maps, images: HashMap::new(), known: HashMap::new() }
    }

    /// The functions that had called when `address` was their return address: the innermost first, those that were
    /// inlined with it. At least one.
    pub(crate) fn resolve(&mut self, address: u64) -> Rc<[Frame]> {
        if let Some(known) = self.known.get(&address) {
            return Rc::clone(known);
        }
        // The call is before the address to which it returns, which may be another function's.
        let call = address.saturating_sub(1);
        let mapping = self.maps.find(call).map(|index| self.maps.get(index));
        let mut frames = mapping.map(|mapping| self.frames(mapping, call)).unwrap_or_default();
        if frames.is_empty() {
            frames.push(nameless(mapping, call));
        }
        let frames: Rc<[Frame]> = frames.into();
        self.known.insert(address, Rc::clone(&frames));
        frames
    }

    fn frames(&mut self, mapping: &'a Mapping, address: u64) -> Vec<Frame> {
        let open = || Image::open(Path::new(&mapping.name));
        let Some(image) = self.images.entry(&mapping.name).or_insert_with(open) else { return Vec::new() };
        let offset = address - mapping.addresses.start + mapping.offset;
        image.linked(offset).map(|linked| image.frames(linked)).unwrap_or_default()
    }
}

/// What stands for a function whose name nobody knows: the file, and where in it.
fn nameless(mapping: Option<&Mapping>, address: u64) -> Frame {
    let function = match mapping {
        Some(mapping) => {
            let file = mapping.name.rsplit('/').next().unwrap_or_default();
            format!("{file}+{:#x}", address - mapping.addresses.start + mapping.offset)
        }
        None => format!("{address:#x}"),
    };
    Frame { is_named: false, ..Frame::named(&function) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(never)]
    fn a_function_of_this_test() -> u64 {
        std::hint::black_box(a_function_of_this_test as fn() -> u64 as usize as u64)
    }

    #[test]
    fn a_function_of_this_program_is_found_with_its_file_and_line() {
        let maps = Maps::of_this_process();
        let mut symbols = Symbols::new(&maps);
        let frames = symbols.resolve(a_function_of_this_test() + 2);
        let outermost = frames.last().unwrap();
        assert!(outermost.function.ends_with("a_function_of_this_test"), "{outermost:?}");
        assert!(outermost.file.ends_with("symbols.rs") && outermost.line > 100, "{outermost:?}");
    }

    #[test]
    fn a_name_without_its_path_is_completed_with_the_linkers() {
        let name = |function: &str, symbol: &str| {
            let mut frame = Frame::named(function);
            frame.take_path(symbol);
            frame.function
        };
        let symbol = "_ZN6tenure6global4slow5alloc17h0123456789abcdefE";
        assert_eq!(name("alloc", symbol), "tenure::global::slow::alloc");
        assert_eq!(name("alloc<u8>", symbol), "tenure::global::slow::alloc");
        // Another's symbol, one that tells no more, and a name that is whole.
        assert_eq!(name("parse", symbol), "parse");
        assert_eq!(name("alloc", "alloc_part"), "alloc");
        assert_eq!(name("_ZN6tenure5alloc17h0123456789abcdefE", symbol), "tenure::alloc");
        let closure = "_ZN7program4main28_$u7b$$u7b$closure$u7d$$u7d$17h0123456789abcdefE";
        assert_eq!(name("{closure#0}", closure), "program::main::{{closure}}");
    }

    #[test]
    fn what_nobody_knows_is_named_by_its_place() {
        let maps = Maps::parse("1000-2000 r-xp 00000100 08:02 12 /no/such/file\n");
        let mut symbols = Symbols::new(&maps);
        assert_eq!(symbols.resolve(0x1011)[0].function, "file+0x110");
        assert_eq!(symbols.resolve(0x5001)[0].function, "0x5000");
    }
}
