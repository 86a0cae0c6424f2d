//! pprof: the messages of `profile.proto`, as far as a heap profile has something to say in them.
//!
//! The numbers of the fields are those of the format, which
//! <https://github.com/google/pprof/blob/main/proto/profile.proto> defines.

use crate::resolved::Resolved;
use crate::symbols::Frame;
use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;
use std::collections::HashMap;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Clone, PartialEq, Message)]
struct Proto {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    mapping: Vec<Mapping>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    time_nanos: i64,
    #[prost(message, optional, tag = "11")]
    period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    period: i64,
    #[prost(int64, repeated, tag = "13")]
    comment: Vec<i64>,
    #[prost(int64, tag = "14")]
    default_sample_type: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    kind: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct Mapping {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "2")]
    memory_start: u64,
    #[prost(uint64, tag = "3")]
    memory_limit: u64,
    #[prost(uint64, tag = "4")]
    file_offset: u64,
    #[prost(int64, tag = "5")]
    filename: i64,
    #[prost(bool, tag = "7")]
    has_functions: bool,
    #[prost(bool, tag = "8")]
    has_filenames: bool,
    #[prost(bool, tag = "9")]
    has_line_numbers: bool,
    #[prost(bool, tag = "10")]
    has_inline_frames: bool,
}

impl Mapping {
    /// Says what is known of it, now that these functions are. Of what is not known here readers may know more.
    fn note(&mut self, frames: &[Frame]) {
        self.has_functions |= frames.iter().any(|frame| frame.is_named);
        self.has_filenames |= frames.iter().any(|frame| !frame.file.is_empty());
        self.has_line_numbers |= frames.iter().any(|frame| frame.line > 0);
        // The same information tells of both.
        self.has_inline_frames = self.has_line_numbers;
    }
}

#[derive(Clone, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "2")]
    mapping_id: u64,
    #[prost(uint64, tag = "3")]
    address: u64,
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
    #[prost(int64, tag = "2")]
    line: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    #[prost(int64, tag = "3")]
    system_name: i64,
    #[prost(int64, tag = "4")]
    filename: i64,
}

/// The format's tables, in which each text, function and location stands once.
#[derive(Default)]
struct Tables {
    texts: HashMap<String, i64>,
    functions: HashMap<(String, String), u64>,
    locations: HashMap<(u64, usize), u64>,
    proto: Proto,
}

impl Tables {
    fn new() -> Self {
        let mut tables = Self::default();
        // The first text of every profile is empty.
        tables.text("");
        tables
    }

    fn text(&mut self, text: &str) -> i64 {
        if let Some(&index) = self.texts.get(text) {
            return index;
        }
        let index = self.proto.string_table.len() as i64;
        self.proto.string_table.push(text.to_owned());
        self.texts.insert(text.to_owned(), index);
        index
    }

    fn value_type(&mut self, kind: &str, unit: &str) -> ValueType {
        ValueType { kind: self.text(kind), unit: self.text(unit) }
    }

    fn function(&mut self, name: &str, system_name: &str, file: &str) -> u64 {
        let key = (system_name.to_owned(), file.to_owned());
        if let Some(&id) = self.functions.get(&key) {
            return id;
        }
        let id = self.proto.function.len() as u64 + 1;
        let function =
            Function { id, name: self.text(name), system_name: self.text(system_name), filename: self.text(file) };
        self.proto.function.push(function);
        self.functions.insert(key, id);
        id
    }

    fn location(&mut self, profile: &Resolved<'_>, call: &crate::resolved::Call) -> u64 {
        let key = (call.address, call.skipped());
        if let Some(&id) = self.locations.get(&key) {
            return id;
        }
        let line = call.frames().iter().map(|frame| Line {
            function_id: self.function(&frame.function, &frame.system_name, &frame.file),
            line: frame.line.into(),
        });
        let line = line.collect();
        let id = self.proto.location.len() as u64 + 1;
        let mapping = profile.profile.maps.find(call.address.saturating_sub(1));
        if let Some(index) = mapping {
            self.proto.mapping[index].note(call.frames());
        }
        let mapping_id = mapping.map_or(0, |index| index as u64 + 1);
        self.proto.location.push(Location { id, mapping_id, address: call.address, line });
        self.locations.insert(key, id);
        id
    }
}

fn encode(profile: &Resolved<'_>) -> Proto {
    let mut tables = Tables::new();
    let kinds =
        [("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"), ("inuse_space", "bytes")];
    tables.proto.sample_type = kinds.map(|(kind, unit)| tables.value_type(kind, unit)).to_vec();
    tables.proto.default_sample_type = tables.text("inuse_space");
    tables.proto.period_type = Some(tables.value_type("space", "bytes"));
    tables.proto.period = profile.profile.rate as i64;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    tables.proto.time_nanos = now.as_nanos() as i64;
    let comment = format!("tenure: {} samples, {} dropped", profile.profile.samples, profile.profile.dropped);
    tables.proto.comment = vec![tables.text(&comment)];
    for (index, mapping) in profile.profile.maps.iter().enumerate() {
        let filename = tables.text(&mapping.name);
        tables.proto.mapping.push(Mapping {
            id: index as u64 + 1,
            memory_start: mapping.addresses.start,
            memory_limit: mapping.addresses.end,
            file_offset: mapping.offset,
            filename,
            ..Mapping::default()
        });
    }
    for stack in &profile.stacks {
        let location_id = stack.calls.iter().map(|call| tables.location(profile, call)).collect();
        let figures = stack.figures;
        let value = [figures.blocks, figures.bytes, figures.live_blocks, figures.live_bytes];
        tables.proto.sample.push(Sample { location_id, value: value.map(|figure| figure as i64).to_vec() });
    }
    tables.proto
}

pub(crate) fn write(profile: &Resolved<'_>, writer: impl Write) -> io::Result<()> {
    let mut encoder = GzEncoder::new(writer, Compression::default());
    encoder.write_all(&encode(profile).encode_to_vec())?;
    encoder.finish()?.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maps::Maps;
    use crate::profile::{Profile, StackFigures};

    #[test]
    fn a_file_of_which_nothing_is_known_has_no_functions() {
        let here = a_file_of_which_nothing_is_known_has_no_functions as fn() as usize as u64 + 2;
        let own = Maps::of_this_process();
        let own = own.get(own.find(here).unwrap());
        let (start, end) = (own.addresses.start, own.addresses.end);
        let maps = Maps::parse(&format!(
            "1000-2000 r-xp 00000000 08:02 12 /no/such/file\n{start:x}-{end:x} r-xp {:08x} 08:02 13 {}\n",
            own.offset, own.name
        ));
        let stack = StackFigures { frames: vec![0x1800, here], ..StackFigures::default() };
        let profile = Profile { stacks: vec![stack], maps, ..Profile::default() };
        let proto = encode(&Resolved::of(&profile));
        let known = |mapping: &Mapping| [mapping.has_functions, mapping.has_filenames, mapping.has_line_numbers];
        assert_eq!(proto.mapping.iter().map(known).collect::<Vec<_>>(), [[false; 3], [true; 3]]);
    }
}
