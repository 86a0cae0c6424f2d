//! A profile that is asked for of a program that does not read what asks for it. Each test runs this file's program
//! again, with settings and one of the parts below.

use std::env;
use std::process::{self, Command};

#[global_allocator]
static GLOBAL: tenure::Tenure = tenure::Tenure::new();

/// What the program does when it is run again.
#[test]
fn part() {
    let Ok(part) = env::var("UNREAD_PART") else { return };
    for call in part.split(' ') {
        match call {
            "plain" => tenure::from_env(),
            "profile" => tenure_profile::from_env(),
            "arm" => tenure_profile::arm(1 << 20).unwrap(),
            other => panic!("{other} is no part"),
        }
    }
}

/// What the program says.
fn run(part: &str, settings: &[(&str, &str)]) -> String {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "part", "--nocapture", "--test-threads=1"]);
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("TENURE_") {
            command.env_remove(name);
        }
    }
    let output = command.env("UNREAD_PART", part).envs(settings.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_profile_that_nobody_takes_is_said_once_at_the_end() {
    for (variable, value) in [("TENURE_PROFILE", "heap.svg"), ("TENURE_LEAKS", "1")] {
        for part in ["plain", "plain plain"] {
            let line = format!(
                "tenure: {variable}: the program's allocator has taken no profile; tenure_profile::from_env() reads this, and tenure::from_env() does not\n"
            );
            assert_eq!(run(part, &[(variable, value)]), line, "{part}");
        }
    }
}

#[test]
fn nothing_is_said_where_nothing_is_asked_for_or_somebody_takes_a_profile() {
    let file = env::temp_dir().join(format!("tenure-unread-{}.svg", process::id()));
    let profile = ("TENURE_PROFILE", file.to_str().unwrap());
    for (part, setting) in [
        ("plain", ("TENURE_LEAKS", "0")),
        ("plain", ("TENURE_COMMAND", "/bin/tenure")),
        ("plain profile", profile),
        ("profile plain", profile),
        ("plain arm", profile),
    ] {
        assert_eq!(run(part, &[setting]), "", "{part}: {setting:?}");
    }
    assert_eq!(run("plain", &[profile, ("TENURE_STATS_PID", "1")]), "", "another process is meant");
    // Who reads it says what is wrong with it.
    let wrong = run("plain profile", &[("TENURE_PROFILE", "heap.txt")]);
    assert!(wrong.lines().count() == 1 && wrong.contains("the file's name must end in"), "{wrong}");
    std::fs::remove_file(file).unwrap();
}
