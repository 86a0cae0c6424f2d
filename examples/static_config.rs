//! A service whose data is read once, at the start, and stays: in static memory, sealed before the first request.
//!
//! ```text
//! cargo run --release --example static_config -- [CONFIGURATION.toml [TEXT]]
//! ```
//!
//! Nothing in `static_config/settings.rs` and `static_config/glossary.rs` knows of static memory, and neither do the
//! TOML parser and `HashMap`: it is the scope, here, that says where their data goes.

#[path = "static_config/glossary.rs"]
mod glossary;
#[path = "static_config/settings.rs"]
mod settings;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use std::{env, fs, thread};

use tenure::{Tenure, dynamic_scope, seal, static_scope};

use glossary::Glossary;
use settings::Settings;

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

fn main() -> ExitCode {
    let mut paths = env::args_os().skip(1).map(PathBuf::from);
    let project = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    let configuration = paths.next().unwrap_or_else(|| project.join("examples/static_config/glossary.toml"));
    let text = paths.next().unwrap_or_else(|| project.join("docs/architecture.md"));
    if paths.next().is_some() {
        eprintln!("static_config: at most two files are expected: a configuration and a text");
        return ExitCode::from(2);
    }
    match run(&configuration, &text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("static_config: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(configuration: &Path, text: &Path) -> Result<(), String> {
    let start = Instant::now();
    let glossary = load(configuration, text)?;
    let sealed = seal();
    let Settings { title, service, .. } = glossary.settings();
    println!("{title}: {} words, ready after {:.1?}", glossary.len(), start.elapsed());
    println!("static memory: {} bytes used, {} given back\n", sealed.used, sealed.returned);

    let start = Instant::now();
    let threads: Vec<_> = (0..service.threads).map(|_| thread::spawn(|| serve(glossary))).collect();
    let found: u64 = threads.into_iter().map(|thread| thread.join().expect("a thread serves to its end")).sum();
    let served = u64::from(service.lookups) * u64::from(service.threads);
    println!("{served} look-ups on {} threads in {:.1?}, {found} found\n", service.threads, start.elapsed());

    println!("{}", GLOBAL.stats());
    Ok(())
}

/// Everything that stays. What is needed only to get there, the texts and the parser's own data, goes to the heap and
/// is freed.
fn load(configuration: &Path, text: &Path) -> Result<&'static Glossary, String> {
    let settings = Settings::read(configuration)?;
    let text = fs::read_to_string(text).map_err(|error| format!("cannot read {text:?}: {error}"))?;
    Ok(static_scope(|| {
        // A table that grows leaves its smaller selves behind, so it grows on the heap, and only its final form is
        // copied.
        let draft = dynamic_scope(|| Glossary::build(settings, &text));
        let glossary: &'static Glossary = Box::leak(Box::new(draft.clone()));
        dynamic_scope(|| drop(draft));
        glossary
    }))
}

/// Answers questions for words that are there, for other spellings, and for words that are not there; returns how many
/// were found.
fn serve(glossary: &'static Glossary) -> u64 {
    let settings = glossary.settings();
    let known = glossary.words();
    let questions: Vec<&str> = known.chain(settings.spellings.keys().map(String::as_str)).chain(["zyx", ""]).collect();
    let asked = questions.iter().cycle().take(settings.service.lookups as usize);
    asked.filter(|word| glossary.count(word) > 0).count() as u64
}
