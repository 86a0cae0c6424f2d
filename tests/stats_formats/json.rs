//! JSON: held against the schema in `docs/`, and against the figures it was made of.

use super::{GLOBAL, busy};
use serde_json::{Map, Value};
use std::fmt::{self, Write};
use std::hint::black_box;
use std::{fs, path::Path, thread};
use tenure::Stats;

fn schema() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/stats.schema.json");
    serde_json::from_str(&fs::read_to_string(path).expect("the schema can be read")).expect("the schema is JSON")
}

fn parsed(stats: &Stats) -> Value {
    let line = stats.json().to_string();
    assert!(!line.contains('\n'));
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[track_caller]
fn assert_valid(value: &Value) {
    let validator = jsonschema::draft202012::new(&schema()).expect("the schema is valid itself");
    let errors: Vec<_> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{value:#}");
}

/// Panics where the schema of an object does not name a member that there is.
fn assert_described(object: &Map<String, Value>, schema: &Value, whole: &Value) {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => &whole["$defs"][reference.rsplit('/').next().unwrap()],
        None => schema,
    };
    for (name, value) in object {
        let member = &schema["properties"][name];
        assert!(member.is_object(), "the schema does not describe `{name}`");
        match value {
            Value::Object(inner) => assert_described(inner, member, whole),
            Value::Array(items) => {
                items.iter().for_each(|item| assert_described(item.as_object().unwrap(), &member["items"], whole));
            }
            _ => {}
        }
    }
}

#[test]
fn json_satisfies_its_schema_and_the_schema_describes_all_of_it() {
    let before = parsed(&GLOBAL.stats());
    assert_valid(&before);
    assert!(before["system"].is_null() && before["uptime_ms"].is_null(), "nobody has asked the system");
    let kept = busy();
    let mut stats = GLOBAL.stats();
    stats.ask_system();
    let value = parsed(&stats);
    assert_valid(&value);
    assert_described(value.as_object().unwrap(), &schema(), &schema());
    assert!(value["classes"].as_array().unwrap().len() > 5);
    black_box(kept);
}

#[test]
fn the_schema_refuses_what_is_no_statistics() {
    let validator = jsonschema::draft202012::new(&schema()).unwrap();
    let good = parsed(&GLOBAL.stats());
    for (name, wrong) in [("version", Value::from(2)), ("committed", Value::from(-1)), ("classes", Value::Null)] {
        let mut bad = good.clone();
        bad[name] = wrong;
        assert!(!validator.is_valid(&bad), "{name}");
    }
    let mut short = good.clone();
    short["balance"].as_object_mut().unwrap().remove("metadata");
    assert!(validator.is_valid(&good) && !validator.is_valid(&short));
}

#[test]
fn json_says_what_the_snapshot_does() {
    let kept = busy();
    let mut stats = GLOBAL.stats();
    stats.ask_system();
    let value = parsed(&stats);
    let number = |value: &Value| value.as_u64().unwrap() as usize;
    assert_eq!(number(&value["committed"]), stats.committed);
    let balance = value["balance"].as_object().unwrap();
    assert_eq!(balance.values().map(number).sum::<usize>(), stats.balance.total());
    assert_eq!(number(&value["process_id"]), std::process::id() as usize);
    assert_eq!(number(&value["system"]["resident"]), stats.system.unwrap().resident);
    assert_eq!(number(&value["scopes"]["used"]), stats.scopes.used);
    let classes = value["classes"].as_array().unwrap();
    assert_eq!(classes.len(), stats.used_classes().count());
    for (class, said) in stats.used_classes().zip(classes) {
        assert_eq!((number(&said["block_size"]), number(&said["live"])), (class.block_size, class.live));
    }
    black_box(kept);
}

#[test]
fn the_snapshot_says_when_it_was_taken_and_how_old_the_process_is() {
    let now = || std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    let before = now();
    let mut stats = GLOBAL.stats();
    assert!((before..=now()).contains(&stats.time_ms.unwrap()));
    stats.ask_system();
    let uptime = stats.uptime_ms.unwrap();
    assert!(uptime < 3_600_000, "{uptime} ms");
    thread::sleep(std::time::Duration::from_millis(50));
    stats.ask_system();
    assert!(stats.uptime_ms.unwrap() > uptime);
}

#[test]
fn a_place_that_is_full_ends_the_writing() {
    struct Full(usize);
    impl Write for Full {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 = self.0.checked_sub(text.len()).ok_or(fmt::Error)?;
            Ok(())
        }
    }
    let stats = GLOBAL.stats();
    let whole = stats.json().to_string().len();
    assert!(write!(Full(whole), "{}", stats.json()).is_ok());
    assert!((0..whole).step_by(7).all(|room| write!(Full(room), "{}", stats.json()).is_err()));
}

#[cfg(feature = "serde")]
#[test]
fn what_is_serialized_has_the_names_and_the_figures_of_json() {
    let kept = busy();
    let mut stats = GLOBAL.stats();
    stats.ask_system();
    let serialized = serde_json::to_value(stats).unwrap();
    let written = parsed(&stats);
    assert_eq!(serialized, written);
    assert_valid(&serde_json::to_value(stats).unwrap());
    assert_eq!(serde_json::to_value(stats.balance).unwrap(), written["balance"]);
    let rounding = serde_json::to_value(stats.span_rounding).unwrap();
    assert!(["blocks", "requested", "granted"].iter().all(|name| rounding[name].is_u64()), "{rounding}");
    black_box(kept);
}
