//! Statistics and heap profiles that a signal asks for, and what becomes of the program where they cannot be written.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::{Run, compile, library};

/// A folder of the test's own, empty.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("dumps-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The program on the library, with the signal that asks for a dump.
fn program(what: &str) -> Run {
    let run = Run::on_tenure(&compile("dumps.c", &[])).arg(what).env("TENURE_STATS_SIGNAL", "USR1");
    run.env("TENURE_COMMAND", env!("CARGO_BIN_EXE_tenure"))
}

/// What the program has said on standard error. It has to have gone on to its end as if nothing had been asked of it.
#[track_caller]
fn errors(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), &*output.stdout), (Some(7), &b"went on\n"[..]), "{}: {errors}", output.status);
    errors
}

fn bytes(folded: &str, function: &str) -> u64 {
    let lines = folded.lines().filter(|line| line.contains(function));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
}

#[test]
fn each_signal_has_a_profile_of_what_is_in_use_written_to_a_file_with_a_number_and_the_program_notices_nothing() {
    let folder = folder("numbers");
    let file = |name: &str| folder.join(name);
    let run = program("twice").arg(file("heap.0001.folded")).arg(file("heap.0002.folded"));
    let run = run.env("TENURE_PROFILE", file("heap.folded:1")).env("TENURE_STATS_FILE", file("stats"));
    assert_eq!(errors(&run.output()), "");
    assert_eq!(names(&folder), ["heap.0001.folded", "heap.0002.folded", "heap.folded", "stats"]);
    let read = |name: &str| fs::read_to_string(file(name)).unwrap();
    let (first, second, last) = (read("heap.0001.folded"), read("heap.0002.folded"), read("heap.folded"));
    let of = |folded: &str| ["kept_before_the_first", "kept_before_the_second", "given_back"].map(|f| bytes(folded, f));
    assert_eq!(of(&first), [8 << 20, 0, 0], "{first}");
    assert_eq!(of(&second), [8 << 20, 8 << 20, 0], "{second}");
    assert_eq!(of(&last), [8 << 20; 3], "at the end it is what was allocated: {last}");
    assert_eq!(read("stats").lines().count(), 2, "statistics come with each of them");
}

#[test]
fn a_program_that_ignores_the_ends_of_its_children_gets_its_profile_as_well() {
    let folder = folder("ignoring");
    let run = program("ignoring").arg(folder.join("heap.0001.pb.gz"));
    let run = run.env("TENURE_PROFILE", folder.join("heap.pb.gz")).env("TENURE_STATS_FILE", folder.join("stats"));
    assert_eq!(errors(&run.output()), "");
    assert!(fs::read(folder.join("heap.0001.pb.gz")).unwrap().starts_with(b"\x1f\x8b"));
}

#[test]
fn where_memory_is_exhausted_both_come_nevertheless() {
    let folder = folder("exhausted");
    let (profile, stats) = (folder.join("heap.0001.folded"), folder.join("stats"));
    let run = program("exhausted").arg(&profile).arg(&stats);
    let run = run.env("TENURE_PROFILE", folder.join("heap.folded:65536")).env("TENURE_STATS_FILE", &stats);
    assert_eq!(errors(&run.output()), "");
    let found = bytes(&fs::read_to_string(&profile).unwrap(), "exhaust");
    // Half of the limit is the owner map's, and some is the program's.
    assert!(found > 64 << 20, "{found}");
    let report: serde_json::Value = serde_json::from_str(&fs::read_to_string(&stats).unwrap()).unwrap();
    assert!(report["live_bytes"].as_u64().unwrap() > 64 << 20, "{report}");
}

#[test]
fn a_command_that_is_ended_or_cannot_be_loaded_leaves_the_text() {
    let folder = folder("ended");
    let cases = [
        ("kill -9 $$", "the command `tenure` was ended by signal 9"),
        ("exit 127", "the command `tenure` cannot be loaded"),
    ];
    for (end, why) in cases {
        let command = folder.join("command");
        fs::write(&command, format!("#!/bin/sh\n{end}\n")).unwrap();
        fs::set_permissions(&command, PermissionsExt::from_mode(0o755)).unwrap();
        let run = Run::on_tenure(&compile("dumps.c", &[])).arg("ignoring").arg(folder.join("heap.0001.folded.heap"));
        let run = run.env("TENURE_STATS_SIGNAL", "USR1").env("TENURE_COMMAND", &command);
        let run = run.env("TENURE_PROFILE", folder.join("heap.folded")).env("TENURE_STATS_FILE", "/dev/null");
        let line = |name: &str| {
            let text = folder.join(name);
            format!("tenure: TENURE_PROFILE: {why}; `tenure profile {}` reads what was found\n", text.display())
        };
        assert_eq!(errors(&run.output()), line("heap.0001.folded.heap") + &line("heap.folded.heap"));
        let text = fs::read_to_string(folder.join("heap.0001.folded.heap")).unwrap();
        assert!(text.starts_with("heap profile: ") && text.contains("MAPPED_LIBRARIES:\n") && text.contains("libc.so"));
        fs::remove_file(folder.join("heap.0001.folded.heap")).unwrap();
    }
}

/// Runs `failing` with a small file system of its own at `folder`, mounted with these options; `None` where that is not
/// permitted.
fn on_a_mount(folder: &Path, options: &str, then: &str) -> Option<Output> {
    let script = format!(
        "mount -t tmpfs -o {options} tmpfs '{folder}' && {{ {then} }} && ON_TENURE=1 LD_PRELOAD='{}' TENURE_COMMAND='{}' TENURE_PROFILE='{folder}/heap.svg' TENURE_STATS_SIGNAL=USR1 \
         TENURE_STATS_FILE='{folder}/stats' exec '{}' failing",
        library().display(),
        env!("CARGO_BIN_EXE_tenure"),
        compile("dumps.c", &[]).display(),
        folder = folder.display(),
    );
    let may = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "tmpfs"]).arg(folder).output();
    if !may.is_ok_and(|output| output.status.success()) {
        println!("nothing can be mounted here: a disk that is full or read-only is not tested");
        return None;
    }
    Some(Run::on_system(Path::new("unshare")).arg("-rm").arg("sh").arg("-c").arg(script).output())
}

#[test]
fn a_disk_that_is_full_or_read_only_is_reported_in_a_line_for_each_file_and_the_program_goes_on() {
    let folder = folder("mount");
    let full = "head -c 16384 /dev/zero > full;".replace("full", &format!("'{}/full'", folder.display()));
    let cases = [
        ("size=16k", full.as_str(), "there is no space left", "No space left on device"),
        ("ro", "true;", "the file system is read-only", "Read-only file system"),
    ];
    for (options, then, of_stats, of_profile) in cases {
        let Some(output) = on_a_mount(&folder, options, then) else { return };
        let errors = errors(&output);
        let lines: Vec<_> = errors.lines().collect();
        let place = folder.display();
        // One at the signal, and one at the end.
        let profile = |name: &str| format!("tenure: {place}/{name}: cannot be written: {of_profile} ");
        assert_eq!(lines.len(), 3, "{errors}");
        for line in [
            &format!("tenure: TENURE_STATS_FILE: {of_stats}; the report is not written"),
            &profile("heap.0001.svg"),
            &profile("heap.svg"),
        ] {
            assert!(lines.iter().any(|said| said.starts_with(line)), "{line} is missing: {errors}");
        }
    }
}

#[test]
fn without_the_command_and_without_a_place_for_the_text_a_line_says_so() {
    let run = program("failing").env("TENURE_PROFILE", "/proc/heap.svg").env("TENURE_COMMAND", "/no/such/command");
    let errors = errors(&run.env("TENURE_STATS_FILE", "/dev/full").output());
    let lines: Vec<_> = errors.lines().collect();
    let line = |name: &str| {
        format!(
            "tenure: TENURE_PROFILE: the command `tenure` cannot be started, and /proc/{name}.heap cannot be written: there is no such folder"
        )
    };
    assert_eq!(
        lines,
        [
            "tenure: TENURE_STATS_FILE: there is no space left; the report is not written",
            &line("heap.0001.svg"),
            &line("heap.svg")
        ]
    );
}
