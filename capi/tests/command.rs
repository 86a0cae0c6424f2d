//! The command `tenure`, run as its users run it. The programs that it starts are a shell and what every system has.

mod support;

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Output, Stdio};

use serde_json::Value;
use support::library;

/// The command, in an environment that says nothing of Tenure.
fn tenure() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
    for name in [
        "LD_PRELOAD",
        "TENURE_STATS",
        "TENURE_STATS_FILE",
        "TENURE_STATS_PID",
        "TENURE_PURGE_DELAY",
        "TENURE_PURGER",
        "TENURE_LIMIT",
    ] {
        command.env_remove(name);
    }
    command
}

/// `tenure run` with the library that the tests have built.
fn run(options: &[&str], program: &[&str]) -> Command {
    let mut command = tenure();
    command.arg("run").arg("--lib").arg(library()).args(options).arg("--").args(program);
    command
}

fn output(mut command: Command) -> Output {
    command.stdin(Stdio::null()).output().expect("the command can be run")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("the output is text")
}

/// A folder of one test, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("tenure-command-{}-{name}", process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, contents: impl AsRef<[u8]>, mode: u32) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, contents).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Asserts that the command fails with `status` and one line, which has all of `parts`.
fn assert_refused(command: Command, status: i32, parts: &[&str]) {
    support::assert_refused(&output(command), status, parts);
}

#[test]
fn the_exit_status_and_the_output_are_the_programs() {
    let output = output(run(&[], &["sh", "-c", "echo out; echo err >&2; exit 7"]));
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(text(&output.stdout), "out\n");
    assert_eq!(text(&output.stderr), "err\n");
}

#[test]
fn the_program_has_the_process_id_of_the_command() {
    let mut child = run(&[], &["sh", "-c", "echo $$"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(said.trim(), child.id().to_string());
}

#[test]
fn signals_reach_the_program() {
    let script = "trap 'exit 3' USR1; echo ready; while :; do sleep 0.02; done";
    let mut child = run(&[], &["sh", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "ready\n");
    let sent = Command::new("sh").args(["-c", &format!("kill -USR1 {}", child.id())]).status().unwrap();
    assert!(sent.success());
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

#[test]
fn a_program_that_dies_of_a_signal_is_seen_to_die_of_it() {
    let status = run(&[], &["sh", "-c", "kill -TERM $$"]).status().unwrap();
    assert_eq!(status.signal(), Some(15));
}

#[test]
fn standard_input_is_the_programs() {
    let mut child = run(&[], &["cat"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"from the outside").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(text(&output.stdout), "from the outside");
}

#[test]
fn arguments_with_dashes_reach_the_program() {
    let output = output(run(&[], &["printf", "%s|", "--stats", "--", "-x", ""]));
    assert_eq!(text(&output.stdout), "--stats|--|-x||");
}

#[test]
fn the_help_has_every_option_and_the_environment() {
    let mut command = tenure();
    command.args(["run", "--help"]);
    let output = output(command);
    assert!(output.status.success());
    for part in ["--stats", "--format", "--children", "--python", "--lib", "Examples:", "TENURE_PURGE_DELAY", "127"] {
        assert!(text(&output.stdout).contains(part), "`{part}` is missing");
    }
}

#[test]
fn a_wrong_command_line_is_refused_with_status_2() {
    assert_refused(run(&["--bogus"], &["true"]), 2, &["--bogus"]);
    assert_refused(run(&["--stats", "--format", "xml"], &["true"]), 2, &["xml", "text, json"]);
    assert_refused(run(&["--children"], &["true"]), 2, &["--stats"]);
    assert_refused(run(&[], &[]), 2, &["CMD"]);
    assert_refused(run(&["--profile", "heap.txt"], &["true"]), 2, &["--profile", "must end in .pb.gz"]);
    assert_refused(run(&["--profile", "/no/such/heap.svg"], &["true"]), 2, &["--profile", "/no/such: "]);
}

#[test]
fn a_standard_error_that_takes_nothing_keeps_no_program_from_running() {
    let full = || Stdio::from(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let status = |mut command: Command| command.stdin(Stdio::null()).stderr(full()).status().unwrap().code();
    assert_eq!(status(run(&["--python"], &["true"])), Some(0));
    assert_eq!(status(run(&[], &["no-such-program-anywhere"])), Some(127));
    assert_eq!(status(run(&["--bogus"], &["true"])), Some(2));
}

#[test]
fn a_missing_program_is_refused_with_status_127() {
    assert_refused(run(&[], &["no-such-program-anywhere"]), 127, &["no-such-program-anywhere"]);
    assert_refused(run(&[], &["./no/such/program"]), 127, &["./no/such/program"]);
    assert_refused(run(&["--python"], &["no-such-program-anywhere"]), 127, &["no-such-program-anywhere"]);
}

#[test]
fn a_program_that_cannot_be_run_is_refused_with_status_126() {
    let folder = Folder::new("cannot-run");
    let plain = folder.file("plain", "no program", 0o644);
    assert_refused(run(&[], &[plain.to_str().unwrap()]), 126, &["plain"]);
    assert_refused(run(&[], &[folder.0.to_str().unwrap()]), 126, &[]);
    let orphan = folder.file("orphan", "#!/no/such/interpreter\n", 0o755);
    assert_refused(run(&[], &[orphan.to_str().unwrap()]), 126, &["orphan"]);
}

#[test]
fn a_library_that_cannot_be_preloaded_is_refused_with_status_126() {
    let folder = Folder::new("library");
    let with_library = |path: &Path| {
        let mut command = tenure();
        command.arg("run").arg("--lib").arg(path).args(["--", "true"]);
        command
    };
    assert_refused(with_library(&folder.0.join("missing.so")), 126, &["missing.so"]);
    assert_refused(with_library(&folder.file("text.so", "text", 0o644)), 126, &["text.so", "not a shared library"]);
    assert_refused(with_library(&folder.0), 126, &[]);
    assert_refused(with_library(Path::new("/bin/true")), 126, &["/bin/true", "not a shared library"]);
    let foreign = folder.file("foreign.so", fs::read(library()).unwrap(), 0o644);
    fs::OpenOptions::new().write(true).open(&foreign).unwrap().write_all_at(&[243, 0], 18).unwrap();
    assert_refused(with_library(&foreign), 126, &["foreign.so", "for this machine"]);
    let spaced = folder.0.join("a b.so");
    symlink(library(), &spaced).unwrap();
    assert_refused(with_library(&spaced), 126, &["space"]);
}

#[test]
fn the_library_is_found_beside_the_command_and_in_lib() {
    let folder = Folder::new("places");
    let beside = folder.0.join("bin/libtenure_malloc.so");
    let in_lib = folder.0.join("lib/libtenure_malloc.so");
    let command = folder.0.join("bin/tenure");
    fs::create_dir_all(command.parent().unwrap()).unwrap();
    fs::create_dir_all(in_lib.parent().unwrap()).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_tenure"), &command).unwrap();
    // A link elsewhere, as in a folder of PATH, is the same command.
    let link = folder.0.join("tenure");
    symlink(&command, &link).unwrap();
    let preloaded = |command: &Path| {
        let mut command = Command::new(command);
        command.env_remove("LD_PRELOAD").args(["run", "--", "sh", "-c", "echo $LD_PRELOAD"]);
        command
    };

    assert_refused(preloaded(&command), 126, &["bin/libtenure_malloc.so", "lib/libtenure_malloc.so", "--lib"]);
    symlink(library(), &in_lib).unwrap();
    assert_eq!(text(&output(preloaded(&command)).stdout).trim(), in_lib.to_str().unwrap());
    symlink(library(), &beside).unwrap();
    assert_eq!(text(&output(preloaded(&command)).stdout).trim(), beside.to_str().unwrap());
    assert_eq!(text(&output(preloaded(&link)).stdout).trim(), beside.to_str().unwrap());
}

#[test]
fn what_was_preloaded_before_stays_behind_the_library() {
    let folder = Folder::new("preload");
    let other = folder.0.join("other.so");
    symlink(library(), &other).unwrap();
    let mut command = run(&[], &["sh", "-c", "echo $LD_PRELOAD"]);
    command.env("LD_PRELOAD", &other);
    let expected = format!("{}:{}", library().display(), other.display());
    assert_eq!(text(&output(command).stdout).trim(), expected);
}

#[test]
fn a_relative_library_serves_children_in_other_folders() {
    let folder = Folder::new("relative");
    symlink(library(), folder.0.join("relative.so")).unwrap();
    let mut command = tenure();
    command.args(["run", "--lib", "relative.so", "--", "sh", "-c", "cd / && ls -d /"]).current_dir(&folder.0);
    let output = output(command);
    assert_eq!(text(&output.stdout), "/\n");
    assert_eq!(text(&output.stderr), "", "the loader has complained");
}

#[test]
fn without_being_asked_nothing_is_printed() {
    let output = output(run(&[], &["ls", "-d", "/"]));
    assert_eq!(text(&output.stdout), "/\n");
    assert_eq!(text(&output.stderr), "");
}

/// A program with a child, both of which end by `exit`. Many a shell ends by `_exit`, where nobody can print.
const PARENT: [&str; 9] = ["find", "/", "-maxdepth", "0", "-exec", "ls", "-d", "{}", ";"];

/// How many reports a text holds: each has one line of what is committed.
fn reports(text: &str) -> usize {
    text.lines().filter(|line| line.trim_start().starts_with("committed")).count()
}

#[test]
fn statistics_of_the_program_alone_are_printed_when_it_ends() {
    let output = output(run(&["--stats"], &PARENT));
    assert!(output.status.success());
    assert_eq!(text(&output.stdout), "/\n");
    assert_eq!(reports(text(&output.stderr)), 1, "{}", text(&output.stderr));
}

#[test]
fn statistics_of_children_are_printed_when_asked_for() {
    let output = output(run(&["--stats", "--children"], &PARENT));
    assert!(output.status.success());
    assert_eq!(text(&output.stdout), "/\n");
    assert_eq!(reports(text(&output.stderr)), 2, "{}", text(&output.stderr));
}

#[test]
fn statistics_do_not_change_the_exit_status() {
    let output = output(run(&["--stats"], &["ls", "-d", "/", "/no/such/file"]));
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(reports(text(&output.stderr)), 1, "{}", text(&output.stderr));
}

/// Asserts that `report` is one process's statistics.
fn assert_is_statistics(report: &str) {
    assert!(report.trim_start().starts_with("{\"version\""), "{report}");
    let value: Value = serde_json::from_str(report).expect("the report is JSON");
    assert!(value["committed"].as_u64().unwrap() > 0, "{report}");
    let live = value["classes"].as_array().unwrap().iter().map(|class| class["live"].as_u64().unwrap());
    assert!(live.sum::<u64>() > 0, "the program had no block: {report}");
}

#[test]
fn statistics_as_json_are_one_line_for_each_process() {
    let output = output(run(&["--stats", "--format", "json", "--children"], &PARENT));
    assert_eq!(text(&output.stderr).lines().count(), 2, "{}", text(&output.stderr));
    text(&output.stderr).lines().for_each(assert_is_statistics);
}

#[test]
fn statistics_go_to_the_named_file_wherever_the_program_goes() {
    let folder = Folder::new("file");
    for _ in 0..2 {
        let mut command = run(&["--stats=report.json", "--format", "json"], &["env", "-C", "/", "ls", "-d", "/"]);
        command.current_dir(&folder.0);
        assert_eq!(text(&output(command).stderr), "");
    }
    let report = fs::read_to_string(folder.0.join("report.json")).unwrap();
    assert_eq!(report.lines().count(), 2, "a second run appends");
    report.lines().for_each(assert_is_statistics);
}

#[test]
fn a_file_for_each_process_is_named_by_its_id() {
    let folder = Folder::new("each");
    let file = format!("--stats={}/%p.json", folder.0.display());
    let child = "echo $PPID; echo $$; exec ls -d / > /dev/null";
    let program = ["find", "/", "-maxdepth", "0", "-exec", "sh", "-c", child, ";"];
    let output = output(run(&[&file, "--format", "json", "--children"], &program));
    let mut processes = 0;
    for id in text(&output.stdout).lines() {
        assert_is_statistics(&fs::read_to_string(folder.0.join(format!("{id}.json"))).unwrap());
        processes += 1;
    }
    assert_eq!(processes, 2);
}

#[test]
fn options_replace_what_the_environment_says_of_statistics() {
    let folder = Folder::new("replace");
    let mut command = run(&["--stats"], &["ls", "-d", "/"]);
    command.env("TENURE_STATS", "json").env("TENURE_STATS_FILE", folder.0.join("unused")).env("TENURE_STATS_PID", "1");
    assert_eq!(reports(text(&output(command).stderr)), 1);
    assert!(!folder.0.join("unused").exists());
}

#[test]
fn what_the_environment_asks_for_concerns_the_program_alone_unless_children_are_named() {
    let reports_with = |options: &[&str], settings: &[(&str, &str)]| {
        let mut command = run(options, &PARENT);
        settings.iter().for_each(|(name, value)| _ = command.env(name, value));
        reports(text(&output(command).stderr))
    };
    let text = ("TENURE_STATS", "text");
    assert_eq!(reports_with(&[], &[text]), 1);
    assert_eq!(reports_with(&["--children"], &[text]), 2);
    assert_eq!(reports_with(&["--children"], &[text, ("TENURE_STATS_PID", "1")]), 2);
    assert_eq!(reports_with(&[], &[text, ("TENURE_STATS_PID", "1")]), 0, "the user's word");
    assert_eq!(reports_with(&[], &[("TENURE_STATS", "prom"), text, ("TENURE_STATS_EVERY", "1h")]), 1);
    let id = |variable: &str| {
        let mut command = run(&[], &["sh", "-c", "test ${TENURE_STATS_PID:-none} = $$ && echo own"]);
        command.env(variable, "0");
        String::from_utf8(output(command).stdout).unwrap()
    };
    for variable in ["TENURE_STATS", "TENURE_STATS_EVERY", "TENURE_STATS_SIGNAL", "TENURE_PROFILE", "TENURE_LEAKS"] {
        assert_eq!(id(variable), "own\n", "{variable}");
    }
    assert_eq!(id("TENURE_EXACT"), "");
}

#[test]
fn python_is_told_to_use_malloc_and_so_is_the_user() {
    let print = ["sh", "-c", "echo ${PYTHONMALLOC:-unset}"];
    let with = output(run(&["--python"], &print));
    assert_eq!(text(&with.stdout), "malloc\n");
    assert_eq!(text(&with.stderr).lines().count(), 1);
    assert!(text(&with.stderr).contains("PYTHONMALLOC=malloc"));

    let mut without = run(&[], &print);
    without.env_remove("PYTHONMALLOC");
    let without = output(without);
    assert_eq!(text(&without.stdout), "unset\n");
    assert_eq!(text(&without.stderr), "");
}

/// A static program that does nothing but end with status 5.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn static_program() -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    // mov edi, 5; mov eax, 60 (exit); syscall
    let code = [0xbf, 5, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05];
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    let mut put = |value: u64, bytes: usize| file.extend_from_slice(&value.to_le_bytes()[..bytes]);
    // The head: program, x86-64, version, entry, program headers at 64, no sections, flags, sizes and numbers.
    for (value, bytes) in [
        (2, 2),
        (62, 2),
        (1, 4),
        (BASE + 120, 8),
        (64, 8),
        (0, 8),
        (0, 4),
        (64, 2),
        (56, 2),
        (1, 2),
        (64, 2),
        (0, 2),
        (0, 2),
    ] {
        put(value, bytes);
    }
    // One segment: loaded, readable and executable, the whole file.
    let size = 120 + code.len() as u64;
    for (value, bytes) in [(1, 4), (5, 4), (0, 8), (BASE, 8), (BASE, 8), (size, 8), (size, 8), (4096, 8)] {
        put(value, bytes);
    }
    file.extend_from_slice(&code);
    file
}

#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn a_static_program_runs_and_the_user_learns_why_there_are_no_statistics() {
    let folder = Folder::new("static");
    let program = folder.file("program", static_program(), 0o755);
    let program = program.to_str().unwrap();

    for option in ["--stats", "--leaks", "--profile=heap.svg"] {
        let asked = output(run(&[option], &[program]));
        assert_eq!(asked.status.code(), Some(5));
        assert_eq!(text(&asked.stderr).lines().count(), 1);
        assert!(text(&asked.stderr).contains("statically linked"), "{option}");
    }

    let unasked = output(run(&[], &[program]));
    assert_eq!(unasked.status.code(), Some(5));
    assert_eq!(text(&unasked.stderr), "");
}

#[test]
fn a_program_that_gains_rights_runs_and_the_user_learns_why_there_are_no_statistics() {
    let folder = Folder::new("rights");
    let program = folder.file("program", fs::read("/bin/ls").unwrap(), 0o755);
    // To give a file to somebody else takes rights that not every user of the tests has.
    if std::os::unix::fs::chown(&program, Some(12345), None).is_err() {
        println!("not the superuser: programs that gain rights are not tested");
        return;
    }
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
    let output = output(run(&["--stats"], &[program.to_str().unwrap(), "-d", "/"]));
    assert_eq!(text(&output.stdout), "/\n");
    assert!(text(&output.stderr).contains("another user's rights"), "{}", text(&output.stderr));
}
