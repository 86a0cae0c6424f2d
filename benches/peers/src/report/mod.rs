//! What is written: a table in Markdown, all samples, and a page.

mod chart;
mod page;

use std::fs;
use std::path::Path;

use crate::failure::Failure;
use crate::results::{Results, Settings};
use crate::tables;

/// Writes all files, and gives back their paths' folder as it was asked for.
pub fn write(results: &Results, folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(|error| Failure::Unwritable(folder.to_owned(), error))?;
    let json = serde_json::to_string_pretty(results).map_err(|error| Failure::Tool(error.to_string()))?;
    let page = page::page(results)?.into_string();
    for (name, text) in [("table.md", markdown(results)), ("results.json", json + "\n"), ("report.html", page)] {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| Failure::Unwritable(path, error))?;
    }
    Ok(())
}

/// How it was measured, in a sentence.
fn circumstances(results: &Results) -> String {
    let Settings { profile, runs, threads, share } = &results.settings;
    let threads: Vec<_> = threads.iter().map(u32::to_string).collect();
    let commit = results.commit.as_ref().map(|commit| format!(", commit {commit}")).unwrap_or_default();
    format!(
        "Begun {}{commit}. Profile {profile}; {runs} {}, in turns; threads: {}; share of the work: {share}.",
        results.begun,
        if *runs == 1 { "run" } else { "runs" },
        threads.join(", ")
    )
}

/// Why figures are not to be taken for what they are not.
fn warnings(results: &Results) -> Vec<String> {
    let mut warnings = Vec::new();
    if results.settings.share < 1.0 || results.settings.runs < 5 {
        warnings
            .push("A short run, to see that it works: the targets are of 5 runs or more at the full share.".to_owned());
    }
    if results.machine.load > 0.5 {
        warnings
            .push(format!("The machine was not idle: its load was {:.2} before the first run.", results.machine.load));
    }
    for contest in &results.contests {
        warnings.extend(contest.disagreements());
        warnings.extend(contest.failures().into_iter().map(|line| format!("Failed: {line}")));
    }
    warnings
}

/// The heading of a contest.
fn title(contest: &crate::results::Contest) -> &'static str {
    match contest.kind {
        crate::results::Kind::Linked => "Workloads, linked with each allocator",
        crate::results::Kind::Preloaded => "Commands, with each library preloaded",
    }
}

fn markdown(results: &Results) -> String {
    let mut text = format!("# Tenure and its peers\n\n{}.\n\n{}\n", results.machine.words(), circumstances(results));
    for warning in warnings(results) {
        text += &format!("\n- {warning}");
    }
    text += "\n";
    for contest in &results.contests {
        text += &format!("\n## {}\n", title(contest));
        let tables = tables::main_tables(contest, &results.settings);
        for table in tables.into_iter().chain(tables::further_tables(contest)) {
            text += &format!("\n### {}\n\n{}\n\n{}", table.title, table.note, table.markdown());
        }
    }
    text
}

/// The tables that matter most, for a terminal.
pub fn terminal(results: &Results) -> String {
    let mut text = String::new();
    for contest in &results.contests {
        for table in tables::main_tables(contest, &results.settings) {
            text += &format!("{}\n", table.terminal());
        }
    }
    for warning in warnings(results) {
        text += &format!("{warning}\n");
    }
    text
}
