//! Page: all that is to be seen, in one document that fetches nothing.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::flame::FlameGraph;
use super::{balance, classes, figures, number, over_time, rounding, tags};
use crate::series::{Line, Process, lines_of};
use crate::text;

/// Nothing may be fetched. The pictures of profiles have scripts, which run inside of their frames.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

const STYLE: &str = include_str!("page.css");

/// As many processes are shown unfolded.
const UNFOLDED: usize = 3;

pub fn page(processes: &[Process], profiles: &[FlameGraph]) -> Markup {
    let title = match processes {
        [] => "Heap profile".to_owned(),
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
                style { (PreEscaped(STYLE)) }
            }
            body {
                header { h1 { (title) } @if let [only] = processes { p.when { (when(only)) } } }
                main {
                    @if processes.len() > 1 { (overview(processes)) }
                    @for (index, process) in processes.iter().enumerate() {
                        @if let [only] = processes { (sections(only, Level::Page)) }
                        @else {
                            details.process open[index < UNFOLDED] {
                                summary { h2 { (capital(&name(process))) } }
                                // Browsers unfold what has the target of a link in it.
                                p.when id={ "process-" (index) } { (when(process)) }
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
        @if !last.tags.is_empty() {
            section {
                (heading(level, "What is in use under tags"))
                (tags::table(process))
            }
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
        @if rounding::is_counted(last) {
            section {
                (heading(level, "Rounding"))
                (rounding::table(last))
            }
        }
        section {
            (heading(level, "Figures"))
            (figures::table(process))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// The colours that a part of the style names.
    fn colours(style: &str) -> BTreeMap<&str, &str> {
        let declarations = style.split(['{', ';']).filter_map(|text| text.trim().strip_prefix("--")?.split_once(": "));
        declarations.filter(|(_, value)| value.starts_with('#')).collect()
    }

    /// Relative luminance, as the Web Content Accessibility Guidelines define it.
    fn luminance(colour: &str) -> f64 {
        let part = |at: usize| {
            let part = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).expect("a colour of six digits")) / 255.0;
            if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
    }

    fn contrast(one: &str, other: &str) -> f64 {
        let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
        (one / other).max(other / one)
    }

    #[test]
    fn texts_and_pictures_have_the_contrast_that_the_guidelines_ask_for() {
        let (light, dark) = STYLE.split_once("@media (prefers-color-scheme: dark)").unwrap();
        let (dark, _) = dark.split_once("\n}").unwrap();
        for theme in [colours(light), colours(dark)] {
            for text in ["ink", "soft", "link"] {
                assert!(
                    contrast(theme[text], theme["paper"]) >= 4.5 && contrast(theme[text], theme["tile"]) >= 4.5,
                    "{text}"
                );
            }
            for line in lines_of([&BTreeMap::from([("unknown".to_owned(), 1)])].into_iter()) {
                assert!(STYLE.contains(&format!(".c-{0} {{ fill: var(--{0});", line.colour)), "{}", line.colour);
                assert!(contrast(theme[line.colour], theme["paper"]) >= 3.0, "{}", line.colour);
            }
        }
    }
}
