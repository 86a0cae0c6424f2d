//! Tags in every format, whatever their names are.

#![cfg(not(any(loom, miri)))]

#[path = "support/python.rs"]
mod python;

use serde_json::Value;
use std::hint::black_box;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{fs, path::Path, thread};
use tenure::{Stats, Tag, Tenure, tagged};

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

/// What a name has to be quoted for, in JSON and in a label.
const AWKWARD: &str = "a \"quoted\" \\ back\\slash,\nline\tand ünïcode {le=\"1\"}";

/// A block of 5,000 bytes, which is one of 5,120, under a plain name, and two under an awkward one.
fn in_use() -> ((Vec<Vec<u8>>, MutexGuard<'static, ()>), Stats) {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let of = |name, blocks: usize| {
        let tag = Tag::named(name).expect("few tags are used");
        tagged(tag, || (0..blocks).map(|_| vec![1_u8; 5000]).collect::<Vec<_>>())
    };
    let mut kept = Vec::with_capacity(3);
    kept.extend(of("plain", 1));
    kept.extend(of(AWKWARD, 2));
    // The thread of the test before may be on its way out, and its blocks on their way home: they may be counted for a
    // moment.
    let are_as_expected = |stats: &Stats| {
        EXPECTED
            .iter()
            .all(|&(name, blocks, _)| stats.tags().any(|tag| tag.tag.name() == name && tag.blocks as u64 == blocks))
    };
    let stats = (0..1000).map(|_| GLOBAL.stats()).find(|stats| {
        are_as_expected(stats) || {
            thread::yield_now();
            false
        }
    });
    ((kept, alone), stats.unwrap_or_else(|| GLOBAL.stats()))
}

/// Name, blocks and bytes of each tag of this file's.
const EXPECTED: [(&str, u64, u64); 2] = [("plain", 1, 5120), (AWKWARD, 2, 10240)];

fn assert_in(found: impl Fn(&str) -> Option<(u64, u64)>) {
    for (name, blocks, bytes) in EXPECTED {
        assert_eq!(found(name), Some((blocks, bytes)), "{name}");
    }
}

fn in_json(value: &Value, name: &str) -> Option<(u64, u64)> {
    let tag = value["tags"].as_array()?.iter().find(|tag| tag["name"] == name)?;
    Some((tag["blocks"].as_u64()?, tag["bytes"].as_u64()?))
}

#[test]
fn json_has_them_by_their_names() {
    let (kept, stats) = in_use();
    let value: Value = serde_json::from_str(&stats.json().to_string()).unwrap();
    assert_in(|name| in_json(&value, name));
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/stats.schema.json");
    let schema = serde_json::from_str(&fs::read_to_string(schema).unwrap()).unwrap();
    assert!(jsonschema::draft202012::new(&schema).unwrap().is_valid(&value), "{value:#}");
    let described = &schema["$defs"]["tag"]["properties"];
    assert!(value["tags"][0].as_object().unwrap().keys().all(|name| described[name].is_object()), "{value:#}");
    drop(black_box(kept));
}

#[cfg(feature = "serde")]
#[test]
fn serializers_have_them_by_their_names() {
    let (kept, stats) = in_use();
    let value = serde_json::to_value(stats).unwrap();
    assert_in(|name| in_json(&value, name));
    assert_eq!(serde_json::to_value(stats.tags().next().unwrap()).unwrap(), value["tags"][0]);
    drop(black_box(kept));
}

#[test]
fn prometheus_has_them_by_a_label() {
    let (kept, stats) = in_use();
    let text = stats.prometheus().to_string();
    for (metric, value) in [("blocks", 2), ("bytes", 10_240)] {
        let label = r#"a \"quoted\" \\ back\\slash,\nline	and ünïcode {le=\"1\"}"#;
        let line = format!("\ntenure_tag_{metric}{{tag=\"{label}\"}} {value}\n");
        assert!(text.contains(&line), "{line} is missing:\n{text}");
    }
    let program = "
import json
tags = {}
for family in read(text):
    if family.name.startswith('tenure_tag_'):
        for sample in family.samples:
            tags.setdefault(sample.labels['tag'], {})[family.name] = int(sample.value)
print(json.dumps([{'name': tag, 'blocks': of['tenure_tag_blocks'], 'bytes': of['tenure_tag_bytes']} for tag, of in tags.items()]))
";
    if let Some(found) = python::with_prometheus_client("tags", &text, program) {
        let found: Value = serde_json::from_str(&format!("{{\"tags\":{found}}}")).unwrap();
        assert_in(|name| in_json(&found, name));
    }
    drop(black_box(kept));
}

#[test]
fn the_table_has_a_line_for_each_and_one_for_the_rest() {
    let (kept, stats) = in_use();
    let text = stats.to_string();
    let lines: Vec<_> = text.lines().skip_while(|line| !line.ends_with("  tag")).collect();
    let line = |name: &str| *lines.iter().find(|line| line.ends_with(name)).unwrap_or_else(|| panic!("{name}: {text}"));
    assert!(line("  plain").contains(" 1      5.0 KiB "), "{text}");
    assert!(line("ünïcode {le=\"1\"}").contains(" 2     10.0 KiB "), "{text}");
    assert!(line("  (none)").contains(" % "), "{text}");
    drop(black_box(kept));
}
