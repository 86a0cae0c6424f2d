//! What the environment asks for is written when a program ends: the example of this crate, run as a program.

use std::path::{Path, PathBuf};
use std::process::{self, Command, Output};
use std::{env, fs};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("tenure-{name}-{}", process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// The example, which cargo builds before the tests.
fn example() -> Command {
    let test = env::current_exe().unwrap();
    program(&test.parent().and_then(Path::parent).unwrap().join("examples/profile"))
}

/// The example as programs ship: with optimisation, and with debug information of lines alone.
fn shipped_example() -> Command {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the folder is inside of the target folder");
    let mut cargo = Command::new(env::var_os("CARGO").expect("the tests are run by cargo"));
    cargo.args(["build", "--release", "--quiet", "--package", "tenure-profile", "--example", "profile"]);
    cargo.args(["--config", "profile.release.debug='line-tables-only'", "--target-dir"]).arg(target);
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    assert!(cargo.status().expect("cargo starts").success(), "the example cannot be built");
    program(&target.join("release/examples/profile"))
}

fn program(file: &Path) -> Command {
    let mut command = Command::new(file);
    command.env_remove("TENURE_PROFILE").env_remove("TENURE_LEAKS").env_remove("TENURE_STATS_PID");
    command
}

fn run(command: &mut Command) -> (Output, String) {
    let output = command.output().expect("the example runs");
    assert!(output.status.success(), "{output:?}");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, errors)
}

#[test]
fn the_end_of_the_files_name_says_in_which_form() {
    let folder = Folder::new("forms");
    for (name, start) in [("heap.pb.gz", &b"\x1f\x8b"[..]), ("heap.svg", b"<?xml"), ("heap.folded", b"")] {
        let file = folder.0.join(name);
        // So often that no function of the example can be missed by chance.
        let (_, errors) = run(example().env("TENURE_PROFILE", format!("{}:16384", file.display())));
        assert_eq!(errors, "");
        let written = fs::read(&file).unwrap();
        assert!(written.starts_with(start) && written.len() > 100, "{name}: {} bytes", written.len());
    }
    let folded = fs::read_to_string(folder.0.join("heap.folded")).unwrap();
    assert!(folded.contains("profile::count_letters") && folded.contains("profile::build_index"), "{folded}");
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 3, "nothing else is left");
}

#[test]
fn the_id_of_the_process_may_be_part_of_the_name() {
    let folder = Folder::new("ids");
    run(example().env("TENURE_PROFILE", folder.0.join("%p.folded:65536")));
    let names: Vec<_> = fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let name = names[0].to_str().unwrap();
    assert!(names.len() == 1 && name.trim_end_matches(".folded").parse::<u32>().is_ok(), "{names:?}");
}

#[test]
fn a_leak_is_reported_with_its_function_and_its_size() {
    let (_, errors) = run(example().env("TENURE_LEAKS", "1"));
    assert!(errors.starts_with("tenure: still in use: "), "{errors}");
    let place = errors.find("\n1048576 bytes in 1 block:\n").expect("the megabyte that was forgotten");
    assert!(errors[place..].split("\n\n").next().unwrap().contains("forget_a_megabyte at "), "{errors}");
    assert!(!errors.contains("build_index"), "what was dropped is no leak: {errors}");
}

/// Functions that are inlined have no path in such a program's debug information.
#[test]
fn a_program_as_it_ships_has_its_own_function_named_first() {
    let folder = Folder::new("shipped");
    let file = folder.0.join("heap.folded");
    let settings = [("TENURE_PROFILE", format!("{}:1024", file.display())), ("TENURE_LEAKS", "1".to_owned())];
    let (_, errors) = run(shipped_example().envs(settings));
    let place = errors.find("\n1048576 bytes in 1 block:\n").expect("the megabyte that was forgotten");
    let first = errors[place..].lines().nth(2).unwrap();
    assert!(first.contains("forget_a_megabyte at ") && first.contains("examples/profile.rs:"), "{errors}");
    let folded = fs::read_to_string(file).unwrap();
    assert!(folded.contains(";profile::forget_a_megabyte"), "{folded}");
    for line in folded.lines() {
        for function in ["walk", "take_as<false>", "alloc_impl", "__rust_alloc"] {
            assert!(!line.contains(&format!(";{function}")), "{line}");
        }
    }
}

#[test]
fn another_process_than_the_one_that_is_meant_writes_nothing() {
    let folder = Folder::new("only");
    let file = folder.0.join("heap.folded");
    // So small a rate that the megabyte which is forgotten is a sample for sure.
    let setting = format!("{}:1024", file.display());
    let settings = [("TENURE_PROFILE", setting.as_str()), ("TENURE_LEAKS", "1"), ("TENURE_STATS_PID", "1")];
    let (_, errors) = run(example().envs(settings));
    assert_eq!(errors, "");
    assert!(!file.exists());
    let mut shell = Command::new("sh");
    shell.args(["-c", "TENURE_STATS_PID=$$ exec \"$0\""]).arg(example().get_program()).envs(settings);
    let (_, errors) = run(&mut shell);
    assert!(errors.starts_with("tenure: still in use: ") && file.exists(), "{errors}");
}

#[test]
fn what_cannot_be_done_is_said_in_a_line_and_the_program_goes_on() {
    let cases = [
        ("TENURE_PROFILE", "/no/such/folder/heap.svg", "/no/such/folder/heap.svg: "),
        ("TENURE_PROFILE", "/dev/full/heap.svg", "/dev/full/heap.svg: "),
        ("TENURE_PROFILE", "heap.txt", "the file's name must end in"),
        ("TENURE_PROFILE", "heap.svg:0", "the rate must be"),
        ("TENURE_LEAKS", "yes", "must be 0 or 1"),
    ];
    for (variable, value, message) in cases {
        let (output, errors) = run(example().env(variable, value));
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(errors.starts_with(&format!("tenure: {variable}: {message}")), "{errors}");
        assert!(String::from_utf8_lossy(&output.stdout).contains(" words, "));
    }
}
