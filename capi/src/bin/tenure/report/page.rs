//! Page: all that is to be seen, in one document that fetches nothing.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::flame::FlameGraph;
use super::{balance, classes, figures, number, over_time};
use crate::series::{Line, Process, lines_of};
use crate::text;

/// Nothing may be fetched. The pictures of profiles have scripts, which run inside of their frames.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// As many processes are shown unfolded.
const UNFOLDED: usize = 3;

pub fn page(processes: &[Process], profiles: &[FlameGraph]) -> Markup {
    let title = match processes {
        [only] => format!("Memory of {}", name(only)),
        several => format!("Memory of {} processes", several.len()),
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(include_str!("page.css"))) }
            }
            body {
                header { h1 { (title) } @if let [only] = processes { p.when { (when(only)) } } }
                main {
                    @if processes.len() > 1 { (overview(processes)) }
                    @for (index, process) in processes.iter().enumerate() {
                        @if let [only] = processes { (sections(only, Level::Page)) }
                        @else {
                            details.process id={ "process-" (index) } open[index < UNFOLDED] {
                                summary { h2 { (capital(&name(process))) } }
                                p.when { (when(process)) }
                                (sections(process, Level::Process))
                            }
                        }
                    }
                    @for profile in profiles {
                        section {
                            h2 { "Heap profile" }
                            p.note { "From " (profile.name) ": the wider a function, the more it accounts for. Point at one for its figures." }
                            (profile.markup())
                        }
                    }
                }
                footer { p { "Made by tenure " (env!("CARGO_PKG_VERSION")) "." } }
            }
        }
    }
}

fn name(process: &Process) -> String {
    process.id.map_or_else(|| "a process".to_owned(), |id| format!("process {id}"))
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// When a process was looked at, and how often.
fn when(process: &Process) -> String {
    let (first, last) = (process.first(), process.last());
    let time = |time: Option<u64>| time.and_then(text::time);
    let age = last.uptime_ms.map(|age| format!(", {} after it began", text::span(age))).unwrap_or_default();
    let times = match (time(first.time_ms), time(last.time_ms)) {
        (Some(from), Some(to)) if from != to => format!(", from {from} to {to}"),
        (_, Some(at)) => format!(", at {at}"),
        _ => String::new(),
    };
    format!("{}{times}{age}", number(process.snapshots.len(), "snapshot", "snapshots"))
}

/// A line for each process.
fn overview(processes: &[Process]) -> Markup {
    html! {
        section {
            div.scroll tabindex="0" role="region" aria-label="Processes" {
                table {
                    thead { tr { @for head in ["Process", "Snapshots", "Age", "Committed", "Peak", "Live", "Resident"] { th.number scope="col" { (head) } } } }
                    tbody {
                        @for (index, process) in processes.iter().enumerate() {
                            @let last = process.last();
                            tr {
                                th.number scope="row" { a href={ "#process-" (index) } { (process.id.map_or_else(|| "?".to_owned(), |id| id.to_string())) } }
                                td.number { (process.snapshots.len()) }
                                td.number { (last.uptime_ms.map(text::span).unwrap_or_default()) }
                                td.number { (text::bytes(last.committed)) }
                                td.number { (text::bytes(last.peak_committed)) }
                                td.number { (text::bytes(last.live_bytes)) }
                                td.number { (last.system.as_ref().map(|system| text::bytes(system.resident)).unwrap_or_default()) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What headings stand below of.
#[derive(Clone, Copy)]
enum Level {
    Page,
    Process,
}

fn heading(level: Level, text: &str) -> Markup {
    match level {
        Level::Page => html! { h2 { (text) } },
        Level::Process => html! { h3 { (text) } },
    }
}

/// What there is to see of one process.
fn sections(process: &Process, level: Level) -> Markup {
    let last = process.last();
    let balances = || process.snapshots.iter().map(|snapshot| &snapshot.balance);
    let is_there = |line: &Line| balances().any(|balance| balance.get(&line.name).is_some_and(|&bytes| bytes > 0));
    let most = process.most();
    let (lines, absent): (Vec<_>, Vec<_>) = lines_of(balances()).into_iter().partition(is_there);
    html! {
        (figures::tiles(process))
        section {
            (heading(level, "Memory over time"))
            @if process.snapshots.len() > 1 {
                p.note { "The areas add up to what is committed. " span { span.key.stroke {} "What is resident of the whole process." } " Point at a time for its figures; the colours are those of the table below." }
                (over_time::over_time(process, &lines))
            } @else {
                p.note { "There is one snapshot. TENURE_STATS_EVERY=1s makes a series." }
            }
        }
        section {
            (heading(level, "Where the committed memory is"))
            @if let Some(most) = most {
                p.caption { "At most, " (text::bytes(most.committed)) " after " (text::span(process.clock_ms(most))) }
                (balance::bar(most, &lines))
                p.caption { "At last, " (text::bytes(last.committed)) " after " (text::span(process.clock_ms(last))) }
            }
            (balance::bar(last, &lines))
            (balance::table(last, most, &lines, &absent))
        }
        section {
            (heading(level, "Utilisation of size classes"))
            @if let Some(most) = most {
                p.caption { "At last, after " (text::span(process.clock_ms(last))) }
                (classes::bars(last))
                details {
                    summary { "At most, after " (text::span(process.clock_ms(most))) }
                    (classes::bars(most))
                }
            } @else {
                (classes::bars(last))
            }
            (classes::table(last))
        }
        section {
            (heading(level, "Figures"))
            (figures::table(process))
        }
    }
}
