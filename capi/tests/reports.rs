//! Reports of statistics: when they come, where they go, and what becomes of a program to whose reports something
//! happens.

mod support;

use serde_json::Value;
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use support::{Run, compile, library};

/// Runs the program with these settings; it has to succeed.
fn run(what: &str, settings: &[(&str, &str)]) -> Output {
    let output = prepared(what, settings).output();
    assert!(output.status.success(), "{what}: {}: {}", output.status, text(&output.stderr));
    output
}

fn prepared(what: &str, settings: &[(&str, &str)]) -> Run {
    let run = Run::on_tenure(&compile("reports.c", &[])).arg(what);
    settings.iter().fold(run, |run, (name, value)| run.env(name, value))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A folder of the test's own, empty.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("reports-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Each line as JSON.
fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("{name} is no number: {value}"))
}

#[test]
fn reports_at_intervals_are_lines_of_json_and_the_last_comes_at_the_end() {
    let file = folder("every").join("series");
    let output = run("wait", &[("TENURE_STATS_EVERY", "50ms"), ("TENURE_STATS_FILE", file.to_str().unwrap())]);
    assert_eq!(text(&output.stderr), "");
    let series = lines(&fs::read_to_string(&file).unwrap());
    assert!((3..=12).contains(&series.len()), "{} reports in half a second", series.len());
    for pair in series.windows(2) {
        assert!(number(&pair[0], "time_ms") <= number(&pair[1], "time_ms"));
        assert!(number(&pair[0], "uptime_ms") <= number(&pair[1], "uptime_ms"));
        assert_eq!(number(&pair[0], "process_id"), number(&pair[1], "process_id"));
    }
    assert!(number(series.last().unwrap(), "uptime_ms") >= 500, "the last one comes when the program ends");
}

#[test]
fn each_signal_is_answered_by_a_report_and_there_is_none_at_the_end() {
    for signal in ["USR1", "SIGUSR1", "10"] {
        let output = run("signal", &[("TENURE_STATS_SIGNAL", signal)]);
        assert_eq!(lines(&text(&output.stderr)).len(), 3, "{signal}");
    }
    let output = run("signal", &[("TENURE_STATS_SIGNAL", "USR1"), ("TENURE_STATS", "text")]);
    assert_eq!(text(&output.stderr).matches("tenure 0.1.0, process ").count(), 4);
}

#[test]
fn signals_may_come_while_threads_allocate() {
    let output = run("storm", &[("TENURE_STATS_SIGNAL", "USR1"), ("TENURE_STATS", "json")]);
    let reports = lines(&text(&output.stderr));
    assert!(reports.len() > 10, "{} reports", reports.len());
}

#[test]
fn a_thread_is_there_only_where_it_was_asked_for() {
    let count = |settings: &[(&str, &str)]| text(&run("count", settings).stdout).trim().to_owned();
    let file = folder("count").join("series");
    let to_file = ("TENURE_STATS_FILE", file.to_str().unwrap());
    assert_eq!(count(&[]), "1");
    assert_eq!(count(&[("TENURE_STATS", "1"), to_file]), "1");
    assert_eq!(count(&[("TENURE_STATS_EVERY", "1h"), to_file]), "2");
    assert_eq!(count(&[("TENURE_STATS_SIGNAL", "USR2"), to_file]), "2");
    assert_eq!(
        count(&[("TENURE_STATS_EVERY", "1h"), ("TENURE_STATS_PID", "1"), to_file]),
        "1",
        "another process is meant"
    );
}

#[test]
fn a_forked_child_answers_signals_and_has_a_series_where_it_has_a_file() {
    let folder = folder("fork");
    let (own, shared) = (folder.join("%p"), folder.join("all"));
    let settings = |what: &str, file: &Path, more: (&'static str, &'static str)| {
        let file = file.to_str().unwrap().to_owned();
        run(what, &[("TENURE_STATS_FILE", &file), more]);
    };
    settings("fork", &own, ("TENURE_STATS_EVERY", "50ms"));
    let files = names(&folder);
    assert_eq!(files.len(), 2, "{files:?}");
    for name in &files {
        let series = lines(&fs::read_to_string(folder.join(name)).unwrap());
        assert!(series.len() >= 3, "{name}: {} reports", series.len());
        assert!(series.iter().all(|report| number(report, "process_id").to_string() == *name));
    }
    // The child's only report is its last.
    settings("fork", &shared, ("TENURE_STATS_EVERY", "50ms"));
    let series = lines(&fs::read_to_string(&shared).unwrap());
    let parent = number(series.last().unwrap(), "process_id");
    let by_child = series.iter().filter(|report| number(report, "process_id") != parent).count();
    assert_eq!(by_child, 1, "of {}", series.len());
    fs::remove_file(&shared).unwrap();
    settings("fork-signal", &shared, ("TENURE_STATS_SIGNAL", "USR1"));
    assert_eq!(lines(&fs::read_to_string(&shared).unwrap()).len(), 1, "the child got a signal, the parent none");
}

/// The reports of a program that ends with this status.
fn reports_of(what: &str, status: i32, settings: &[(&str, &str)]) -> Vec<Value> {
    let output = prepared(what, settings).output();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(status), String::new()), "{what}");
    lines(&text(&output.stderr))
}

#[test]
fn a_program_that_ends_at_once_reports_and_so_does_each_of_its_forked_children() {
    let json = [("TENURE_STATS", "json")];
    assert_eq!(reports_of("ends-at-once", 3, &json).len(), 1);
    assert_eq!(reports_of("ends-by-its-other-name", 4, &json).len(), 1);
    assert!(reports_of("ends-at-once", 3, &[]).is_empty());
    assert!(reports_of("ends-at-once", 3, &[("TENURE_STATS", "json"), ("TENURE_STATS_PID", "1")]).is_empty());
    let reports = reports_of("children-end-at-once", 0, &json);
    let mut processes: Vec<_> = reports.iter().map(|report| number(report, "process_id")).collect();
    processes.dedup();
    assert_eq!((reports.len(), processes.len()), (4, 4), "three children, and at last the parent; not what vfork made");
    assert!(number(&reports[3], "live_bytes") > number(&reports[0], "live_bytes"), "the first has freed its copy");
    for _ in 0..20 {
        // Whoever is first ends the process, though another may be writing.
        assert!(reports_of("threads-end-at-once", 7, &json).len() <= 1);
    }
}

#[test]
fn a_report_comes_though_memory_is_exhausted() {
    for format in ["text", "json", "prom"] {
        let output = run("exhaust", &[("TENURE_STATS", format)]);
        let report = text(&output.stderr);
        assert!(report.contains("committed"), "{format}: {report}");
    }
    let output = run("exhaust", &[("TENURE_STATS", "json")]);
    assert!(number(&lines(&text(&output.stderr))[0], "live_bytes") > 100 << 20);
}

#[test]
fn a_prometheus_file_is_replaced_as_a_whole() {
    let folder = folder("prom");
    let file = folder.join("tenure.prom");
    for _ in 0..2 {
        run("count", &[("TENURE_STATS", "prom"), ("TENURE_STATS_FILE", file.to_str().unwrap())]);
        let report = fs::read_to_string(&file).unwrap();
        assert_eq!(report.matches("# TYPE tenure_committed_bytes gauge").count(), 1);
        assert!(report.ends_with('\n') && report.contains("\ntenure_process_resident_bytes "));
        assert_eq!(names(&folder), ["tenure.prom"], "nothing is left beside it");
    }
    // Readers find a whole one at any time.
    let settings =
        [("TENURE_STATS", "prom"), ("TENURE_STATS_EVERY", "10ms"), ("TENURE_STATS_FILE", file.to_str().unwrap())];
    let mut child = prepared("wait", &settings).spawn(Stdio::null());
    let mut looks = 0;
    while child.try_wait().unwrap().is_none() {
        let report = fs::read_to_string(&file).unwrap();
        assert!(
            report.starts_with("# HELP tenure_memory_bytes ")
                && report.contains("# TYPE tenure_class_remote_frees_total")
        );
        assert!(report.ends_with('\n'));
        looks += 1;
    }
    assert!(looks > 10 && child.wait().unwrap().success());
}

#[test]
fn a_full_disk_is_reported_in_a_line_and_the_program_goes_on() {
    for format in ["text", "json", "prom"] {
        let output = run("count", &[("TENURE_STATS", format), ("TENURE_STATS_FILE", "/dev/full")]);
        assert_eq!(
            text(&output.stderr),
            "tenure: TENURE_STATS_FILE: there is no space left; the report is not written\n"
        );
        assert_eq!(text(&output.stdout), "1\n");
    }
    assert!(fs::metadata("/dev/full").unwrap().file_type().is_char_device(), "a device is not replaced");
    assert!(
        !Path::new("/dev").read_dir().unwrap().any(|entry| entry
            .unwrap()
            .file_name()
            .to_string_lossy()
            .contains(".tmp"))
    );
}

#[test]
fn a_file_that_may_not_grow_keeps_what_it_had_and_the_program_goes_on() {
    let folder = folder("limit");
    let file = folder.join("report");
    for (format, left) in [("json", "whole\n"), ("text", "whole\n"), ("prom", "whole\n")] {
        fs::write(&file, "whole\n").unwrap();
        // A signal of its own would end the program, and 512 bytes are less than a report has.
        let script = format!(
            "ulimit -f 1; ON_TENURE=1 LD_PRELOAD='{}' TENURE_STATS={format} TENURE_STATS_FILE='{}' exec '{}' count",
            library().display(),
            file.display(),
            compile("reports.c", &[]).display()
        );
        let output = Run::on_system(Path::new("/bin/sh")).arg("-c").arg(script).output();
        assert!(output.status.success(), "{format}: {}: {}", output.status, text(&output.stderr));
        assert_eq!(
            text(&output.stderr),
            "tenure: TENURE_STATS_FILE: the file may not grow further; the report is not written\n",
            "{format}"
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), left, "{format}");
        assert_eq!(names(&folder), ["report"], "nothing is left beside it");
    }
}

#[test]
fn a_file_that_may_not_grow_ends_no_program_where_standard_error_is_one() {
    let folder = folder("stderr-limit");
    let (file, profile) = (folder.join("report"), folder.join("heap.svg"));
    let (file, profile) = (file.to_str().unwrap(), profile.to_str().unwrap());
    for settings in [
        &["TENURE_FOO=1"][..],
        &["TENURE_STATS=1"],
        &["TENURE_STATS=1", &format!("TENURE_STATS_FILE='{file}'")],
        &["TENURE_STATS=prom", &format!("TENURE_STATS_FILE='{file}'")],
        &["TENURE_LEAKS=2"],
        &["TENURE_LEAKS=1", "TENURE_COMMAND=/no/such/command"],
        &[&format!("TENURE_PROFILE='{profile}'"), "TENURE_COMMAND=/no/such/command"],
    ] {
        let script = format!(
            "ulimit -f 0; ON_TENURE=1 LD_PRELOAD='{}' {} exec '{}' count 2> '{}'",
            library().display(),
            settings.join(" "),
            compile("reports.c", &[]).display(),
            folder.join("errors").display()
        );
        let output = Run::on_system(Path::new("/bin/sh")).arg("-c").arg(script).output();
        assert!(output.status.success(), "{settings:?}: {}", output.status);
    }
}

#[test]
fn a_wrong_setting_ends_no_program_whose_standard_error_nobody_reads() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert!(prepared("wait", &[("TENURE_FOO", "1")]).spawn(writer.into()).wait().unwrap().success());
}

#[test]
fn where_no_file_can_be_made_the_program_goes_on() {
    for (path, why) in [
        ("/proc/report", "there is no such folder"),
        ("/", "it is a folder"),
        ("/dev/null/x", "there is no such folder"),
    ] {
        for format in ["json", "prom"] {
            let output = run("count", &[("TENURE_STATS", format), ("TENURE_STATS_FILE", path)]);
            let report = text(&output.stderr);
            assert_eq!(report.lines().count(), 1, "{path}: {report}");
            assert!(report.starts_with("tenure: TENURE_STATS_FILE: "), "{path}: {report}");
            assert!(format == "prom" || report.contains(why), "{path}: {report}");
        }
    }
}

#[test]
fn a_standard_error_that_nobody_reads_does_not_end_the_program() {
    let settings = [("TENURE_STATS", "json"), ("TENURE_STATS_EVERY", "50ms")];
    let mut child = prepared("wait", &settings).spawn(Stdio::piped());
    drop(child.stderr.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_thread_for_reports_has_room_beside_the_programs_thread_local_storage() {
    let folder = folder("storage");
    for source in ["thread_local_storage_that_leaves_hardly_any_stack.c", "thread_local_storage_that_is_large.c"] {
        let file = folder.join(source);
        let run = Run::on_tenure(&compile(source, &[])).env("TENURE_STATS_SIGNAL", "USR1");
        let output = run.env("TENURE_STATS_FILE", &file).output_in_time();
        assert!(output.status.success(), "{source}: {}: {}", output.status, text(&output.stderr));
        assert_eq!(lines(&fs::read_to_string(&file).unwrap()).len(), 1, "{source}");
    }
}

#[test]
fn a_process_that_is_ended_where_there_is_little_stack_has_said_what_was_asked_for() {
    if !cfg!(target_arch = "x86_64") {
        return;
    }
    let folder = folder("little-stack");
    let program = compile("ends_with_little_stack.c", &["-Wl,-z,now".as_ref()]);
    for (what, status) in [("handler", 3), ("thread", 4)] {
        let (file, profile) = (folder.join(what), folder.join(format!("{what}.folded")));
        let run = Run::on_tenure(&program).arg(what).env("TENURE_STATS", "json").env("TENURE_STATS_FILE", &file);
        let run = run.env("TENURE_PROFILE", &profile).env("TENURE_COMMAND", env!("CARGO_BIN_EXE_tenure"));
        let output = run.output_in_time();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(status), String::new()), "{what}: {output:?}");
        assert_eq!(lines(&fs::read_to_string(&file).unwrap()).len(), 1, "{what}");
        assert!(profile.exists(), "{what}");
    }
}

#[test]
fn what_one_thread_says_at_the_end_is_not_cut_off_by_another_that_ends_the_process() {
    let folder = folder("twice");
    let (command, begun, done) = (folder.join("command"), folder.join("begun"), folder.join("done"));
    let script = format!("#!/bin/sh\n> '{}'\nsleep 0.5\n> '{}'\n", begun.display(), done.display());
    fs::write(&command, script).unwrap();
    fs::set_permissions(&command, fs::Permissions::from_mode(0o755)).unwrap();
    let run = Run::on_tenure(&compile("ends_twice.c", &[])).arg(&begun);
    let output = run.env("TENURE_PROFILE", folder.join("heap.svg")).env("TENURE_COMMAND", &command).output_in_time();
    assert_eq!((output.status.code(), done.exists()), (Some(3), true), "{}", text(&output.stderr));
}

#[test]
fn a_link_to_a_prometheus_file_stays_and_the_file_is_replaced() {
    let folder = folder("links");
    fs::create_dir(folder.join("there")).unwrap();
    let (file, link) = (folder.join("there/tenure.prom"), folder.join("link.prom"));
    symlink("there/second.prom", &link).unwrap();
    symlink("tenure.prom", folder.join("there/second.prom")).unwrap();
    for _ in 0..2 {
        run("count", &[("TENURE_STATS", "prom"), ("TENURE_STATS_FILE", link.to_str().unwrap())]);
        let report = fs::read_to_string(&file).unwrap();
        assert_eq!(report.matches("# TYPE tenure_committed_bytes gauge").count(), 1);
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("there/second.prom"));
        assert_eq!(names(&folder.join("there")), ["second.prom", "tenure.prom"], "nothing is left beside it");
    }
    let output = run("count", &[("TENURE_STATS", "prom"), ("TENURE_STATS_FILE", "/dev/stdout")]);
    assert!(text(&output.stdout).contains("# TYPE tenure_committed_bytes gauge"));
    let round = folder.join("round");
    symlink("round", &round).unwrap();
    let output = run("count", &[("TENURE_STATS", "prom"), ("TENURE_STATS_FILE", round.to_str().unwrap())]);
    let errors = text(&output.stderr);
    assert_eq!(
        errors, "tenure: TENURE_STATS_FILE: too many links lead on from it; the report is not written\n",
        "a link to itself"
    );
}

#[test]
fn what_is_written_beside_a_prometheus_file_goes_through_no_link_that_somebody_has_put_there() {
    let folder = folder("beside");
    let (file, precious) = (folder.join("tenure.prom"), folder.join("precious"));
    fs::write(&precious, "whole\n").unwrap();
    // The shell puts a link there for the process that it becomes.
    let script = format!(
        "ln -s precious '{file}'.$$.tmp; ON_TENURE=1 LD_PRELOAD='{}' TENURE_STATS=prom TENURE_STATS_FILE='{file}' exec '{}' count",
        library().display(),
        compile("reports.c", &[]).display(),
        file = file.display()
    );
    let output = Run::on_system(Path::new("/bin/sh")).arg("-c").arg(script).output();
    assert!(output.status.success(), "{}: {}", output.status, text(&output.stderr));
    assert_eq!(fs::read_to_string(&precious).unwrap(), "whole\n");
    assert!(fs::symlink_metadata(&file).unwrap().is_file());
    assert_eq!(names(&folder), ["precious", "tenure.prom"]);
}

#[test]
fn a_pipe_that_nobody_reads_is_not_waited_for() {
    let pipe = folder("pipe").join("reports");
    assert!(Run::on_system(Path::new("/usr/bin/mkfifo")).arg(&pipe).output().status.success());
    for format in ["json", "prom"] {
        let run = prepared("count", &[("TENURE_STATS", format), ("TENURE_STATS_FILE", pipe.to_str().unwrap())]);
        let output = run.output_in_time();
        assert_eq!(
            (output.status.code(), text(&output.stdout), text(&output.stderr)),
            (
                Some(0),
                "1\n".to_owned(),
                "tenure: TENURE_STATS_FILE: nobody reads it; the report is not written\n".to_owned()
            ),
            "{format}"
        );
    }
    // And one that somebody reads gets a report whole.
    let reader = Run::on_system(Path::new("/bin/cat")).arg(&pipe);
    let reader = std::thread::spawn(|| reader.output());
    let is_read = (0..6000).any(|_| {
        let run = prepared("count", &[("TENURE_STATS", "json"), ("TENURE_STATS_FILE", pipe.to_str().unwrap())]);
        run.output().stderr.is_empty()
    });
    assert!(is_read);
    assert_eq!(lines(&text(&reader.join().unwrap().stdout)).len(), 1);
}

#[test]
fn a_process_that_may_have_few_files_reports_all_the_same() {
    for limit in [100, 40, 12, 5] {
        let script = format!(
            "ulimit -n {limit}; ON_TENURE=1 LD_PRELOAD='{}' TENURE_STATS=json exec '{}' count",
            library().display(),
            compile("reports.c", &[]).display()
        );
        let output = Run::on_system(Path::new("/bin/sh")).arg("-c").arg(script).output();
        assert!(output.status.success(), "{limit}: {}: {}", output.status, text(&output.stderr));
        assert_eq!(lines(&text(&output.stderr)).len(), 1, "{limit}");
    }
}
