//! Prometheus' own client library, which reads the text format.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// A Python that has the client library: the system's, or one in a folder of the test's own, into which it is
/// installed.
fn python() -> Option<String> {
    let works = |python: &str| {
        let mut command = Command::new(python);
        command.args(["-c", "import prometheus_client"]).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if works("python3") {
        return Some("python3".into());
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("prometheus_client");
    let python = folder.join("bin/python").to_str()?.to_owned();
    if !works(&python) {
        let quiet = |program: &str, arguments: &[&str]| {
            Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status()
        };
        let _ = quiet("python3", &["-m", "venv", folder.to_str()?]);
        let _ =
            quiet(&python, &["-m", "pip", "install", "--timeout", "10", "--retries", "0", "prometheus_client==0.23.1"]);
    }
    works(&python).then_some(python)
}

/// What a program in Python prints that finds the text format in `text`, and the client library's parser as `read`.
/// Says so and is `None` where there is no such Python.
pub fn with_prometheus_client(name: &str, text: &str, program: &str) -> Option<String> {
    let Some(python) = python() else {
        println!("skipped: there is no Python with prometheus_client, and it cannot be installed");
        return None;
    };
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.prom"));
    fs::write(&file, text).unwrap();
    let head = "import sys\nfrom prometheus_client.parser import text_string_to_metric_families as read\ntext = open(sys.argv[1]).read()\n";
    let output = Command::new(python).arg("-c").arg(format!("{head}{program}")).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}
