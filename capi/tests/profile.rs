//! Heap profiles of programs that are not rebuilt: the library samples, and the command writes.

mod support;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use support::{compile, hardened_library, library};

/// A folder of the test's own, empty.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// `tenure run` with the library that the tests have built.
fn run(options: &[&str], program: &[&OsStr]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
    command.arg("run").arg("--lib").arg(library()).args(options).arg("--").args(program);
    command.stdin(Stdio::null()).output().expect("the command can be run")
}

/// The program on the library, without the command: whatever the environment says of it.
fn preloaded(program: &Path, settings: &[(&str, &OsStr)]) -> Output {
    let mut command = Command::new(program);
    command.env("LD_PRELOAD", library()).envs(settings.iter().copied());
    command.stdin(Stdio::null()).output().expect("the program can be run")
}

fn stderr(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The program leaks 1,000 blocks of 123 bytes in `leaks_a_little`, and 5 of a megabyte in `leaks_much`;
/// `leaks_nothing` frees what it allocates.
fn program() -> PathBuf {
    compile("leaks.c", &[])
}

#[test]
fn a_leak_of_a_c_program_is_named_with_its_function_and_its_size() {
    let errors = stderr(&run(&["--leaks"], &[program().as_os_str()]));
    assert!(errors.starts_with("tenure: still in use: "), "{errors}");
    let stack = |amount: &str| {
        let place = errors.find(&format!("\n{amount}:\n")).unwrap_or_else(|| panic!("{amount} is missing: {errors}"));
        errors[place..].split("\n\n").next().unwrap().to_owned()
    };
    let little = stack("123000 bytes in 1000 blocks");
    assert!(little.lines().nth(2).unwrap().contains("leaks_a_little at "), "the innermost function: {little}");
    assert!(little.contains("leaks.c:") && little.contains("main at "), "{little}");
    assert!(stack("5242880 bytes in 5 blocks").contains("leaks_much at "));
    assert!(!errors.contains("leaks_nothing"), "{errors}");
}

#[test]
fn a_program_that_ends_at_once_has_its_leaks_told_and_a_forked_child_a_profile_of_its_own() {
    let program = program();
    let errors = stderr(&run(&["--leaks"], &[program.as_os_str(), OsStr::new("exit")]));
    assert!(errors.contains("leaks_much at "), "{errors}");
    let folder = folder("profile-ends");
    let files = || fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let profile = |name: &str| {
        let setting = folder.join(name).into_os_string().into_string().unwrap() + ":1";
        let arguments = ["--profile", &setting, "--leaks", "--children"];
        stderr(&run(&arguments, &[program.as_os_str(), OsStr::new("fork")]))
    };
    // What it has of its parent is no leak of the child's.
    let errors = profile("shared.folded");
    assert_eq!(errors.matches("tenure: still in use").count(), 1, "{errors}");
    assert_eq!(files().len(), 1);
    fs::remove_file(folder.join("shared.folded")).unwrap();
    let errors = profile("%p.folded");
    assert_eq!(errors.matches("tenure: still in use").count(), 1, "{errors}");
    let little = |file: &PathBuf| {
        let text = fs::read_to_string(file).unwrap();
        let lines = text.lines().filter(|line| line.contains("leaks_a_little"));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum::<u64>()
    };
    let mut sums: Vec<_> = files().iter().map(little).collect();
    sums.sort_unstable();
    assert_eq!(sums, [123_000, 246_000], "of the parent and of the child");
}

#[test]
fn leaks_are_told_though_the_program_has_closed_its_standard_error_and_what_is_in_its_place_stays_whole() {
    // As all of coreutils do at their end.
    let command = Path::new(env!("CARGO_BIN_EXE_tenure"));
    let settings = [("TENURE_LEAKS", OsStr::new("1")), ("TENURE_COMMAND", command.as_os_str())];
    let errors = stderr(&preloaded(Path::new("/bin/ls"), &settings));
    assert!(errors.starts_with("tenure: "), "{errors}");
    let file = folder("profile-in-place").join("file");
    let program = program();
    let run = |command: &str| {
        let mut run = Command::new(&program);
        run.arg("closes").arg(&file).env("LD_PRELOAD", library());
        let output = run.env("TENURE_LEAKS", "1").env("TENURE_COMMAND", command).stdin(Stdio::null()).output();
        let errors = stderr(&output.expect("the program can be run"));
        assert_eq!(fs::read_to_string(&file).unwrap(), "a line\n");
        errors
    };
    assert!(run(command.to_str().unwrap()).contains("leaks_much at "));
    let errors = run("/no/such/command");
    assert!(errors.lines().count() == 1 && errors.starts_with("tenure: TENURE_LEAKS: "), "{errors}");
}

#[test]
fn the_first_blocks_of_each_size_are_among_the_leaks() {
    for library in [&library(), hardened_library()] {
        let mut command = Command::new(program());
        command.arg("each").env("LD_PRELOAD", library).env("TENURE_LEAKS", "1");
        let output = command.env("TENURE_COMMAND", env!("CARGO_BIN_EXE_tenure")).stdin(Stdio::null()).output();
        let errors = stderr(&output.expect("the program can be run"));
        assert!(errors.starts_with("tenure: still in use: 63000 bytes in 125 blocks, by 125 samples\n"), "{errors}");
    }
}

#[test]
fn where_there_was_no_standard_error_leaks_are_told_nowhere() {
    let file = folder("profile-no-errors").join("file");
    let command = env!("CARGO_BIN_EXE_tenure");
    let settings = format!("TENURE_LEAKS=1 TENURE_COMMAND='{command}' LD_PRELOAD='{}'", library().display());
    let script = format!("{settings} exec '{}' closes '{}' 2>&-", program().display(), file.display());
    assert!(Command::new("/bin/sh").arg("-c").arg(script).status().unwrap().success());
    assert_eq!(fs::read_to_string(&file).unwrap(), "a line\n");
}

#[test]
fn a_profile_is_written_in_the_form_that_the_name_stands_for() {
    let folder = folder("profile-forms");
    for (name, start) in [("heap.pb.gz", &b"\x1f\x8b"[..]), ("heap.svg", b"<?xml"), ("heap.folded", b"")] {
        let setting = folder.join(name).into_os_string().into_string().unwrap() + ":1000";
        let errors = stderr(&run(&["--profile", &setting], &[program().as_os_str()]));
        assert_eq!(errors, "");
        assert!(fs::read(folder.join(name)).unwrap().starts_with(start), "{name}");
    }
    let folded = fs::read_to_string(folder.join("heap.folded")).unwrap();
    let bytes = |function: &str| -> u64 {
        let lines = folded.lines().filter(|line| line.contains(function));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
    };
    // Estimates: 123,000 bytes are 123 samples, which are off by 9 % at one standard deviation.
    assert!((60_000..190_000).contains(&bytes("leaks_a_little")), "{folded}");
    assert_eq!(bytes("leaks_much"), 5 << 20, "{folded}");
    assert!(bytes("leaks_nothing") > 0);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 3, "nothing else is left");
}

/// An interpreter that was built without frame pointers, as most programs are.
#[test]
fn a_profile_of_python_has_the_interpreters_own_functions() {
    if Command::new("python3").arg("--version").output().is_err() {
        println!("python3 is missing: no profile is taken of it");
        return;
    }
    let script =
        "import json\nfor n in range(50): json.loads(json.dumps([{'a': str(i), 'b': [i] * 9} for i in range(2000)]))";
    let file = folder("profile-python").join("%p.folded");
    let arguments = ["python3", "-c", script].map(OsStr::new);
    let output = run(&["--python", "--children", "--profile", file.to_str().unwrap()], &arguments);
    assert!(output.status.success(), "{output:?}");
    let files = fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let folded: String = files.map(|file| fs::read_to_string(file).unwrap()).collect();
    // These are exported, so they are known of an interpreter without symbols, too.
    for function in ["_PyEval_EvalFrameDefault", "PyObject_", "Py_BytesMain"] {
        assert!(folded.contains(function), "{function} is missing:\n{folded}");
    }
    let outermost = folded.lines().filter(|line| line.contains("Py_BytesMain")).count();
    assert!(outermost * 2 > folded.lines().count(), "most stacks are whole:\n{folded}");
}

#[test]
fn without_the_command_the_text_is_kept_for_it() {
    let folder = folder("profile-text");
    let file = folder.join("heap.svg");
    let settings = [("TENURE_PROFILE", file.as_os_str()), ("TENURE_COMMAND", OsStr::new("/no/such/command"))];
    let errors = stderr(&preloaded(&program(), &settings));
    let text = folder.join("heap.svg.heap");
    assert!(errors.lines().count() == 1 && errors.contains(text.to_str().unwrap()), "{errors}");
    assert!(!file.exists());
    let kept = fs::read_to_string(&text).unwrap();
    assert!(
        kept.lines().any(|line| line.starts_with("# tenure: ") && line.ends_with(" one in 524288 bytes")),
        "{kept}"
    );

    let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
    let output = command.arg("profile").arg(&text).arg("-o").arg(&file).output().unwrap();
    assert_eq!(stderr(&output), "");
    assert!(fs::read_to_string(&file).unwrap().contains("leaks_much"));
}

#[test]
fn a_profile_that_cannot_be_written_takes_neither_the_leaks_nor_the_text_along() {
    let folder = folder("profile-in-the-way");
    let file = folder.join("heap.svg");
    fs::create_dir(&file).unwrap();
    let errors = stderr(&run(&["--leaks", "--profile", file.to_str().unwrap()], &[program().as_os_str()]));
    assert!(errors.starts_with("tenure: still in use: ") && errors.contains("leaks_much at "), "{errors}");
    assert!(errors.contains(&format!("tenure: {}: cannot be written: ", file.display())), "{errors}");
    let text = format!("{}.heap", file.display());
    assert!(errors.ends_with(&format!("tenure: TENURE_PROFILE: `tenure profile {text}` reads what was found\n")));
    assert!(fs::read_to_string(&text).unwrap().starts_with("heap profile: "));
}

#[test]
fn what_cannot_be_done_is_said_in_a_line_and_the_program_goes_on() {
    let command = OsStr::new(env!("CARGO_BIN_EXE_tenure"));
    let cases = [
        ("TENURE_PROFILE", "/no/such/folder/heap.svg", "tenure: /no/such/folder/heap.svg: cannot be written: "),
        ("TENURE_PROFILE", "heap.txt", "tenure: TENURE_PROFILE: the file's name must end in "),
        ("TENURE_PROFILE", "heap.svg:0", "tenure: TENURE_PROFILE: the rate must be "),
        ("TENURE_LEAKS", "yes", "tenure: TENURE_LEAKS: must be 0 or 1"),
    ];
    for (name, value, message) in cases {
        let errors = stderr(&preloaded(&program(), &[(name, OsStr::new(value)), ("TENURE_COMMAND", command)]));
        assert!(errors.lines().count() == 1 && errors.starts_with(message), "{errors}");
    }
}

#[test]
fn a_text_that_is_no_profile_is_refused() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
    let output = command.args(["profile", "/dev/null", "--leaks"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(errors, "tenure: /dev/null: not a heap profile: line 1 cannot be understood\n");
}
