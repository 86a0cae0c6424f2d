//! The environment's settings, and the report at the end of a process.

mod support;

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use support::{Run, compile, library};

/// A program that ends in an orderly way.
fn program() -> PathBuf {
    compile("malloc_edges.c", &[])
}

fn run(settings: &[(&str, &str)]) -> Output {
    run_program(Path::new("/bin/true"), settings)
}

fn run_program(program: &Path, settings: &[(&str, &str)]) -> Output {
    let mut run = Run::on_tenure(program);
    for (name, value) in settings {
        run = run.env(name, value);
    }
    let output = run.output();
    assert!(output.status.success(), "{}", output.status);
    output
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder of the test's own, empty.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn is_json_object(line: &str) -> bool {
    line.starts_with("{\"version\":1,") && serde_json::from_str::<Value>(line).is_ok_and(|value| value.is_object())
}

#[test]
fn a_program_without_settings_says_nothing() {
    assert_eq!(stderr(&run(&[])), "");
    assert_eq!(stderr(&run(&[("TENURE_STATS", "0")])), "");
}

#[test]
fn statistics_are_printed_when_the_process_ends() {
    for value in ["1", "text"] {
        let text = stderr(&run_program(&program(), &[("TENURE_STATS", value)]));
        assert!(text.starts_with("tenure 0.1.0, process ") && text.contains("\nblock size "), "{text}");
    }
    let text = stderr(&run_program(&program(), &[("TENURE_STATS", "json")]));
    assert!(is_json_object(text.trim_end()) && text.lines().count() == 1, "{text}");
}

#[test]
fn statistics_are_printed_though_the_program_has_closed_its_standard_error() {
    // As all of coreutils do at their end.
    let text = stderr(&run_program(Path::new("/bin/ls"), &[("TENURE_STATS", "json")]));
    assert!(is_json_object(text.trim_end()), "{text}");
}

#[test]
fn statistics_are_printed_though_the_program_has_closed_all_files_but_the_first_three() {
    // As many that run others do at their start.
    let program = compile("reports.c", &[]);
    let output = Run::on_tenure(&program).arg("closes-all-but-the-three").env("TENURE_STATS", "json").output();
    let text = stderr(&output);
    assert!(output.status.success() && is_json_object(text.trim_end()), "{text}");
}

#[test]
fn statistics_are_appended_to_a_file() {
    let file = folder("appended").join("report");
    for _ in 0..2 {
        let settings = [("TENURE_STATS", "json"), ("TENURE_STATS_FILE", file.to_str().unwrap())];
        assert_eq!(stderr(&run(&settings)), "");
    }
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().filter(|line| is_json_object(line)).count(), 2, "{text}");
}

#[test]
fn each_process_has_a_file_of_its_own_where_the_name_holds_its_id() {
    let folder = folder("by_process");
    let pattern = folder.join("report-%p-%p");
    let settings = [("TENURE_STATS", "1"), ("TENURE_STATS_FILE", pattern.to_str().unwrap())];
    run(&settings);
    run(&settings);
    let names: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    for name in names {
        let mut parts = name.split('-').skip(1).map(|part| part.parse::<u32>().unwrap());
        assert_eq!(parts.next(), parts.next(), "{name}");
    }
}

#[test]
fn a_file_that_cannot_be_opened_is_reported() {
    let text = stderr(&run(&[("TENURE_STATS", "1"), ("TENURE_STATS_FILE", "/no/such/folder/report")]));
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("tenure: TENURE_STATS_FILE: "), "{text}");
}

#[test]
fn only_the_process_that_was_named_prints() {
    assert_eq!(stderr(&run(&[("TENURE_STATS", "1"), ("TENURE_STATS_PID", "1")])), "");
    // The shell names itself, and becomes the program.
    let script =
        format!("TENURE_STATS=1 TENURE_STATS_PID=$$ ON_TENURE=1 LD_PRELOAD='{}' exec /bin/true", library().display());
    let text = stderr(&Run::on_system(Path::new("/bin/sh")).arg("-c").arg(script).output());
    assert!(text.starts_with("tenure 0.1.0, process "), "{text}");
}

#[test]
fn the_purge_delay_can_be_set() {
    let program = compile("purge_delay_is.c", &[library().as_os_str()]);
    Run::on_tenure(&program).arg("1000").succeeds();
    for delay in ["0", "250", "3600000"] {
        Run::on_tenure(&program).env("TENURE_PURGE_DELAY", delay).arg(delay).succeeds();
    }
}

#[test]
fn committed_memory_can_be_limited() {
    let program = compile("allocates_mib.c", &[]);
    for (limit, may) in [("32M", false), ("33554432", false), ("16m:32M", false), ("1G", true), ("1M:4G", true)] {
        let output = Run::on_tenure(&program).env("TENURE_LIMIT", limit).arg("200").output();
        let text = stderr(&output);
        assert_eq!(output.status.success(), may, "TENURE_LIMIT={limit}: {text}");
        assert_eq!(text.matches("tenure: TENURE_LIMIT: the hard limit of ").count(), usize::from(!may), "{text}");
        Run::on_tenure(&program).env("TENURE_LIMIT", limit).arg("16").succeeds();
    }
}

#[test]
fn exact_bytes_are_counted_from_the_start_where_that_is_asked_for() {
    let program = compile("exact.c", &[]);
    let report = |exact: &str| {
        let output = Run::on_tenure(&program).env("TENURE_STATS", "json").env("TENURE_EXACT", exact).output();
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_str::<Value>(&stderr(&output)).unwrap()
    };
    let of = |report: &Value, size: u64| {
        let classes = report["classes"].as_array().unwrap().clone();
        classes.into_iter().find(|class| class["block_size"] == size).unwrap()["rounding"].clone()
    };
    let counted = report("1");
    // 100 of malloc, 100 of calloc, 100 of realloc and 100 of aligned_alloc, whose sizes are multiples of the
    // alignment.
    let expected =
        serde_json::json!({ "blocks": 400, "requested": 3 * 100 * 2900 + 100 * 2944, "granted": 400 * 3072 });
    assert_eq!(of(&counted, 3072), expected);
    assert_eq!(counted["span_rounding"]["requested"], 10 * 70_000);
    assert_eq!(counted["mapping_rounding"]["blocks"], 1);
    let silent = report("0");
    assert!(of(&silent, 3072).is_null() && silent["span_rounding"].is_null());
}

#[test]
fn threads_of_the_allocators_own_keep_no_process_from_ending() {
    let program = compile("last_thread_ends.c", &[]);
    let (purger, every, signal) =
        (("TENURE_PURGER", "1"), ("TENURE_STATS_EVERY", "1h"), ("TENURE_STATS_SIGNAL", "USR1"));
    for settings in [&[][..], &[purger], &[every], &[signal], &[purger, every]] {
        let run = Run::on_tenure(&program);
        let output = settings.iter().fold(run, |run, (name, value)| run.env(name, value)).output_in_time();
        assert_eq!(output.status.code(), Some(7), "with {settings:?}: {}", stderr(&output));
    }
}

#[test]
fn wrong_values_and_unknown_names_are_reported_in_a_line_each_and_ignored() {
    let program = compile("purge_delay_is.c", &[library().as_os_str()]);
    for (name, value) in [
        ("TENURE_STATS", "yes"),
        ("TENURE_STATS", ""),
        ("TENURE_STATS", "xml"),
        ("TENURE_STATS_EVERY", "5"),
        ("TENURE_STATS_EVERY", "0s"),
        ("TENURE_STATS_EVERY", "2d"),
        ("TENURE_STATS_SIGNAL", "KILL"),
        ("TENURE_STATS_SIGNAL", "11"),
        ("TENURE_STATS_FILE", ""),
        ("TENURE_STATS_PID", "x"),
        ("TENURE_STATS_PID", "99999999999"),
        ("TENURE_PURGE_DELAY", ""),
        ("TENURE_PURGE_DELAY", "-1"),
        ("TENURE_PURGE_DELAY", "+1"),
        ("TENURE_PURGE_DELAY", "1s"),
        ("TENURE_PURGE_DELAY", "3600001"),
        ("TENURE_PURGE_DELAY", "99999999999999999999999"),
        ("TENURE_PURGER", "yes"),
        ("TENURE_EXACT", "2"),
        ("TENURE_LIMIT", ""),
        ("TENURE_LIMIT", "0"),
        ("TENURE_LIMIT", "10X"),
        ("TENURE_LIMIT", "M"),
        ("TENURE_LIMIT", "2G:1G"),
        ("TENURE_LIMIT", "1G:"),
        ("TENURE_LIMIT", "99999999999T"),
        ("TENURE_COLOUR", "green\nand\x1b[31mred"),
    ] {
        let output = Run::on_tenure(&program).env(name, value).arg("1000").output();
        let text = stderr(&output);
        assert!(output.status.success(), "{name}={value}: {text}");
        assert_eq!(text.lines().count(), 1, "{name}={value}: {text}");
        assert!(text.starts_with(&format!("tenure: {name}: ")) && !text.contains('\x1b'), "{name}={value}: {text}");
    }
}

#[test]
fn a_very_long_value_is_cut_in_the_report() {
    let text = stderr(&run(&[("TENURE_STATS_FILE", &"x".repeat(5000))]));
    assert!(text.lines().count() == 1 && text.len() < 300, "{text}");
}
