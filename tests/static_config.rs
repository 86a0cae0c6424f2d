//! The example `static_config`, run as its users run it: as a process. `cargo test` builds the examples first;
//! `cargo test --test static_config` does not.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{self, Command, Output};

#[global_allocator]
static GLOBAL: tenure::Tenure = tenure::Tenure::new();

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    // Test binaries lie in `deps`, examples beside it.
    let test = env::current_exe().expect("a test has a path");
    let profile = test.parent().and_then(|deps| deps.parent()).expect("tests lie in deps");
    let Output { status, stdout, stderr } =
        Command::new(profile.join("examples/static_config")).args(arguments).output().expect("the example starts");
    let text = |bytes| String::from_utf8(bytes).expect("the example prints text");
    (status.code(), text(stdout), text(stderr))
}

/// A file of this test's own, removed when dropped.
struct File(PathBuf);

impl File {
    fn new(name: &str, contents: &str) -> Self {
        let path = env::temp_dir().join(format!("tenure-{}-{name}", process::id()));
        fs::write(&path, contents).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("the directory for temporary files has a plain name")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

const CONFIGURATION: &str = r#"
title = "three words"
[service]
threads = 3
lookups = 600
[words]
shortest = 2
longest = 10
[spellings]
color = "colour"
missing = "nowhere"
"#;

#[test]
fn without_arguments_it_serves_the_projects_own_files() {
    let (status, stdout, stderr) = run(&[]);
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    assert!(stdout.contains("1000000 look-ups on 4 threads"), "{stdout}");
}

#[test]
fn look_ups_find_words_and_other_spellings_and_all_data_is_static() {
    let configuration = File::new("glossary.toml", CONFIGURATION);
    let text = File::new("text", "a colour, a red colour; red is one, green another");
    let (status, stdout, stderr) = run(&[configuration.path(), text.path()]);
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    assert!(stdout.starts_with("three words: 6 words"), "{stdout}");
    // Each thread goes through six words, two spellings of which one is found, and two that are not there: seven of
    // ten.
    assert!(stdout.contains("1800 look-ups on 3 threads") && stdout.contains("1260 found"), "{stdout}");
    // The glossary, its title, table and words, two names and two values of spellings, and the tree of these.
    assert!(stdout.contains("14 blocks"), "{stdout}");
}

#[test]
fn what_cannot_be_read_or_understood_is_one_line_and_a_failure() {
    let (status, _, stderr) = run(&["/nowhere.toml"]);
    assert_eq!((status, stderr.lines().count()), (Some(1), 1), "{stderr}");
    let broken = File::new("broken.toml", "title = 7");
    let (status, _, stderr) = run(&[broken.path()]);
    assert!(status == Some(1) && stderr.contains("is no configuration"), "{stderr}");
    let idle = File::new("idle.toml", &CONFIGURATION.replace("threads = 3", "threads = 0"));
    let (status, _, stderr) = run(&[idle.path()]);
    assert!(status == Some(1) && stderr.contains("at least one thread"), "{stderr}");
    assert_eq!(run(&["a", "b", "c"]).0, Some(2));
}
