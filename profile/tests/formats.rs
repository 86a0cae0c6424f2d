//! A profile of this very program in every form, read back by others than those who wrote it. One test, since a process
//! has one profile.

use flate2::read::GzDecoder;
use pprof::protos::{self, Message};
use std::hint::black_box;
use std::io::Read;
use tenure_profile::{Options, Profile, Unwinder, Value, arm_with, disarm, leaks};

#[global_allocator]
static GLOBAL: tenure::Tenure = tenure::Tenure::new();

const BLOCKS: usize = 17;
const SIZE: usize = 1009;

/// A leak of a known size.
#[inline(never)]
fn forgets_what_it_was_given() {
    for _ in 0..BLOCKS {
        std::mem::forget(black_box(vec![7_u8; SIZE]));
    }
}

#[inline(never)]
fn frees_what_it_was_given() {
    for _ in 0..BLOCKS {
        drop(black_box(vec![7_u8; SIZE]));
    }
}

/// Reads the gzipped message with another crate's definition of it and another crate's decoder.
fn read_pprof(bytes: &[u8]) -> protos::Profile {
    let mut message = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut message).expect("the file is gzipped");
    protos::Profile::parse_from_bytes(&message).expect("the file is a profile")
}

/// What the profile says of stacks in which `function` is: the four values.
fn values_of(profile: &protos::Profile, function: &str) -> [i64; 4] {
    let text = |index: i64| profile.string_table[index as usize].as_str();
    let is_in = |location: u64| {
        let location = profile.location.iter().find(|known| known.id == location).expect("a location that is there");
        location.line.iter().any(|line| {
            let known = profile.function.iter().find(|known| known.id == line.function_id).expect("a function");
            text(known.name).ends_with(function) && text(known.filename).ends_with("formats.rs") && line.line > 0
        })
    };
    let mut sums = [0; 4];
    for sample in profile.sample.iter().filter(|sample| sample.location_id.iter().any(|&id| is_in(id))) {
        sums.iter_mut().zip(&sample.value).for_each(|(sum, value)| *sum += value);
    }
    sums
}

#[test]
fn a_known_leak_is_named_with_its_size_in_every_form() {
    arm_with(Options { rate: 1, unwinder: Unwinder::Tables, seed: None }).unwrap();
    forgets_what_it_was_given();
    frees_what_it_was_given();
    disarm();
    let profile = Profile::take();
    let (blocks, bytes) = (BLOCKS as i64, (BLOCKS * SIZE) as i64);

    let mut pprof = Vec::new();
    profile.write_pprof(&mut pprof).unwrap();
    let read = read_pprof(&pprof);
    let kinds: Vec<_> = read.sample_type.iter().map(|kind| read.string_table[kind.ty as usize].as_str()).collect();
    assert_eq!(kinds, ["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"]);
    assert_eq!(values_of(&read, "forgets_what_it_was_given"), [blocks, bytes, blocks, bytes]);
    assert_eq!(values_of(&read, "frees_what_it_was_given"), [blocks, bytes, 0, 0]);
    let mappings = || read.mapping.iter();
    assert!(mappings().any(|mapping| read.string_table[mapping.filename as usize].contains("formats")));
    for location in &read.location {
        let mapping = mappings().find(|mapping| mapping.id == location.mapping_id);
        assert!(mapping.is_none_or(|known| (known.memory_start..=known.memory_limit).contains(&location.address)));
    }

    let folded = |value| {
        let mut folded = Vec::new();
        profile.write_folded(value, &mut folded).unwrap();
        String::from_utf8(folded).unwrap()
    };
    let amount = |folded: &str, function: &str| {
        let lines = folded.lines().filter(|line| line.contains(function));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<i64>().unwrap()).sum::<i64>()
    };
    assert_eq!(amount(&folded(Value::LiveBytes), "forgets_what_it_was_given"), bytes);
    assert_eq!(amount(&folded(Value::Blocks), "frees_what_it_was_given"), blocks);
    assert_eq!(amount(&folded(Value::LiveBlocks), "frees_what_it_was_given"), 0);
    // The allocator's own functions are left out, from the innermost on; the program's are there.
    let line = folded(Value::LiveBytes);
    let line = line.lines().find(|line| line.contains("forgets_what_it_was_given")).unwrap();
    assert!(!line.contains("tenure::") && !line.contains("__rust_alloc"), "{line}");

    let mut svg = Vec::new();
    profile.write_flamegraph(Value::LiveBytes, &mut svg).unwrap();
    let svg = String::from_utf8(svg).unwrap();
    assert!(svg.contains("<svg") && svg.contains("forgets_what_it_was_given"));

    let leaks = leaks();
    let report = leaks.to_string();
    assert!(leaks.bytes() >= BLOCKS as u64 * SIZE as u64);
    let place = report.find(&format!("{bytes} bytes in {blocks} blocks:")).expect("the leak has its size");
    let stack = report[place..].split("\n\n").next().unwrap();
    assert!(stack.contains("forgets_what_it_was_given at ") && stack.contains("formats.rs:"), "{stack}");
    assert!(!report.contains("frees_what_it_was_given"), "{report}");
}
