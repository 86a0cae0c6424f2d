//! Prometheus' text format: read by a parser, by the client library of Python, and held against the rules by which
//! `promtool check metrics` judges names.

use super::{GLOBAL, busy, python};
use prometheus_parse::{Scrape, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use tenure::Stats;

fn snapshot() -> Stats {
    let mut stats = GLOBAL.stats();
    stats.ask_system();
    stats
}

fn parsed(text: &str) -> Scrape {
    Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).unwrap()
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Counter(value) | Value::Gauge(value) => *value,
        _ => panic!("{value:?} is neither a counter nor a gauge"),
    }
}

/// All values of a metric, added up.
fn sum(scrape: &Scrape, name: &str) -> f64 {
    let samples = scrape.samples.iter().filter(|sample| sample.metric == name);
    samples.map(|sample| number(&sample.value)).sum()
}

#[test]
fn a_parser_finds_the_figures_of_the_snapshot() {
    let kept = busy();
    let stats = snapshot();
    let text = stats.prometheus().to_string();
    let scrape = parsed(&text);
    assert_eq!(
        scrape.samples.len(),
        text.lines().filter(|line| !line.starts_with('#')).count(),
        "every sample is read"
    );
    assert_eq!(sum(&scrape, "tenure_memory_bytes") as usize, stats.balance.total());
    assert_eq!(sum(&scrape, "tenure_committed_bytes") as usize, stats.committed);
    assert_eq!(sum(&scrape, "tenure_static_memory_bytes") as usize, stats.static_memory.capacity);
    assert_eq!(sum(&scrape, "tenure_process_resident_bytes") as usize, stats.system.unwrap().resident);
    let refilled: u64 = stats.classes.iter().map(|class| class.traffic.refilled).sum();
    assert_eq!(sum(&scrape, "tenure_class_refilled_blocks_total") as u64, refilled);
    let outside = |class: &tenure::ClassStats| class.live + class.in_magazines + class.in_outboxes + class.free;
    assert_eq!(sum(&scrape, "tenure_class_blocks") as usize, stats.classes.iter().map(outside).sum::<usize>());
    black_box(kept);
}

/// What `promtool check metrics` complains of, as far as it concerns counters and gauges.
#[test]
fn names_types_and_units_follow_the_rules() {
    let kept = busy();
    let text = snapshot().prometheus().to_string();
    assert!(text.ends_with('\n'));
    let (mut types, mut helps) = (BTreeMap::new(), BTreeMap::new());
    let (mut current, mut seen) = (String::new(), BTreeSet::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("help text is no empty");
            assert!(help.ends_with('.') && !help.contains('\\'), "{line}");
            assert!(helps.insert(name, help).is_none(), "{name} has two help lines");
            current = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, current, "the type follows the help");
            assert!(types.insert(name, kind).is_none(), "{name} has two types");
        } else {
            let end = line.find(['{', ' ']).unwrap();
            assert_eq!(&line[..end], current, "samples stand below their type");
            let series = line.rsplit_once(' ').unwrap().0;
            assert!(seen.insert(series), "{series} appears twice");
        }
    }
    assert_eq!(types.keys().collect::<Vec<_>>(), helps.keys().collect::<Vec<_>>());
    for (&name, &kind) in &types {
        assert!(name.starts_with("tenure_"), "{name}: a name begins with what it belongs to");
        assert!(name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'_')), "{name}: snake case");
        assert!(matches!(kind, "counter" | "gauge"), "{name}: {kind}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name}: counters, and they alone, end in _total");
        for word in name.split('_') {
            assert!(!["counter", "gauge", "histogram", "summary"].contains(&word), "{name}: no type in a name");
            assert!(!["count", "sum", "bucket"].contains(&word), "{name}: kept for histograms");
            let units = ["ms", "milliseconds", "s", "kb", "kib", "mb", "mib", "kilobytes", "percent", "b", "minutes"];
            assert!(!units.contains(&word), "{name}: base units, written out");
        }
        let stem = name.strip_suffix("_total").unwrap_or(name);
        for unit in ["bytes", "seconds", "ratio"] {
            assert!(!stem.contains(unit) || stem.ends_with(unit), "{name}: the unit stands at the end");
        }
    }
    black_box(kept);
}

#[test]
fn what_is_not_known_is_left_out() {
    let text = GLOBAL.stats().prometheus().to_string();
    assert!(!text.contains("tenure_process_"), "nobody has asked the system\n{text}");
    assert!(snapshot().prometheus().to_string().contains("\ntenure_process_uptime_seconds "));
}

#[test]
fn the_client_library_of_python_reads_every_family() {
    let kept = busy();
    let program = "
for family in read(text):
    print(family.name, family.type, len(family.samples), bool(family.documentation))
";
    let text = snapshot().prometheus().to_string();
    let Some(found) = python::with_prometheus_client("snapshot", &text, program) else { return };
    assert_eq!(found.lines().count(), text.matches("# TYPE ").count(), "{found}");
    for line in found.lines() {
        let words: Vec<_> = line.split(' ').collect();
        assert!(matches!(words[1], "gauge" | "counter") && words[2] != "0" && words[3] == "True", "{line}");
    }
    black_box(kept);
}
