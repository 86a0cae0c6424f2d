//! Page: all that was measured, in one document that fetches nothing.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart::{self, Item};
use super::{circumstances, title, warnings};
use crate::catalogue::TENURE;
use crate::failure::Failure;
use crate::results::{Contest, Results, Task};
use crate::summary::{Metric, best, is_peer, means};
use crate::table::{Align, Stress, Table};
use crate::tables;

/// Nothing may be fetched, and nothing may run.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

const STYLE: &str = include_str!("page.css");

pub fn page(results: &Results) -> Result<Markup, Failure> {
    let heading = "Tenure and its peers";
    let contests = results.contests.iter().map(|contest| section(contest, results)).collect::<Result<Vec<_>, _>>()?;
    let warnings = warnings(results);
    Ok(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (heading) }
                style { (PreEscaped(STYLE)) (PreEscaped(chart::style())) }
            }
            body {
                header {
                    h1 { (heading) }
                    p.note { (results.machine.words()) "." }
                    p.note { (circumstances(results)) }
                    @if !warnings.is_empty() {
                        ul.warnings { @for warning in &warnings { li { (warning) } } }
                    }
                }
                main { @for contest in contests { (contest) } }
                footer { p { "Made by tenure-peers " (env!("CARGO_PKG_VERSION")) ". results.json beside this page has every sample." } }
            }
        }
    })
}

fn section(contest: &Contest, results: &Results) -> Result<Markup, Failure> {
    let main = tables::main_tables(contest, &results.settings);
    let (first, others) = main.split_at(2);
    let panels = contest.tasks.iter().map(|task| panel(contest, task)).collect::<Result<Vec<_>, _>>()?;
    let scatter = scatter(contest)?;
    Ok(html! {
        section {
            h2 { (title(contest)) }
            @for part in first { (table(part)) }
            @if let Some(scatter) = scatter { (scatter) }
        }
        section {
            h2 { "Each by itself" }
            p.note { "Bars are medians, lines go from the least to the most of all runs. Shorter is better." }
            div.panels { @for panel in panels { (panel) } }
        }
        section {
            h2 { "Tables" }
            @for part in others { (table(part)) }
            @for part in tables::further_tables(contest) {
                details { summary { (part.title) } (body(&part)) }
            }
        }
    })
}

/// All contenders' means: memory against time.
fn scatter(contest: &Contest) -> Result<Option<Markup>, Failure> {
    let [times, peaks] = [Metric::Time, Metric::Peak].map(|metric| means(contest, metric, |task| task.counts));
    let (Some((fastest, time)), Some((leanest, peak))) = (best(&times, is_peer), best(&peaks, is_peer)) else {
        return Ok(None);
    };
    let items = contest.contenders.iter().filter_map(|contender| {
        let name = contender.name.as_str();
        let item = Item { label: &contender.label, is_own: name == TENURE };
        Some((item, times.get(name)? / time, peaks.get(name)? / peak))
    });
    let items: Vec<_> = items.collect();
    let label = items.iter().map(|(item, time, peak)| format!("{}: {time:.2} and {peak:.2}", item.label));
    let label = format!("Time and peak memory as ratios to the best peer's. {}.", label.collect::<Vec<_>>().join(", "));
    let picture = chart::scatter((contest.label(fastest), contest.label(leanest)), &items)?;
    Ok(Some(html! {
        h3 { "Memory against time" }
        p.note { "Geometric means, as ratios to the best single peer in each. Towards the lower left is better." }
        figure.plot.wide role="img" aria-label=(label) { (PreEscaped(picture)) }
    }))
}

/// A task's bars.
fn panel(contest: &Contest, task: &Task) -> Result<Markup, Failure> {
    let plots = [Metric::Time, Metric::Peak].map(|metric| {
        let items = contest.contenders.iter().map(|contender| {
            let item = Item { label: &contender.label, is_own: contender.name == TENURE };
            (item, task.series.get(&contender.name).and_then(|series| series.spread(metric)))
        });
        let items: Vec<_> = items.collect();
        let figures = items.iter().map(|(item, spread)| {
            let figure = spread.map_or_else(|| "failed".to_owned(), |spread| metric.show(spread.median));
            format!("{}: {figure}", item.label)
        });
        let label = format!("{}: {}. {}", task.title(), metric.name(), figures.collect::<Vec<_>>().join(", "));
        let picture = chart::bars(metric, &items)?;
        Ok(html! {
            figure.plot role="img" aria-label=(label) {
                figcaption { (metric.name()) }
                (PreEscaped(picture))
            }
        })
    });
    let [time, peak] = plots;
    let (time, peak): (Markup, Markup) = (time?, peak?);
    Ok(html! {
        article.panel {
            h3 { (task.title()) }
            p.note { (task.about) }
            div.pair { (time) (peak) }
        }
    })
}

fn table(part: &Table) -> Markup {
    html! { h3 { (part.title) } (body(part)) }
}

fn body(part: &Table) -> Markup {
    let class = |align: Align, stress: Stress| match (align, stress) {
        (Align::Left, Stress::None) => "",
        (Align::Left, Stress::Good) => "good",
        (Align::Left, Stress::Bad) => "bad",
        (Align::Right, Stress::None) => "number",
        (Align::Right, Stress::Good) => "number good",
        (Align::Right, Stress::Bad) => "number bad",
    };
    html! {
        p.note { (part.note) }
        div.scroll tabindex="0" role="region" aria-label=(part.title) {
            table {
                thead { tr { @for (name, align) in &part.head { th scope="col" class=(class(*align, Stress::None)) { (name) } } } }
                tbody {
                    @for row in &part.rows {
                        tr {
                            @for (index, (cell, (_, align))) in row.iter().zip(&part.head).enumerate() {
                                @if index == 0 { th scope="row" { (cell.text) } }
                                @else { td class=(class(*align, cell.stress)) { (cell.text) } }
                            }
                        }
                    }
                }
            }
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

    #[test]
    fn texts_and_pictures_have_the_contrast_that_the_guidelines_ask_for() {
        let (light, dark) = STYLE.split_once("@media (prefers-color-scheme: dark)").unwrap();
        for theme in [colours(light), colours(dark)] {
            for (name, least) in [("ink", 4.5), ("soft", 4.5), ("good", 4.5), ("bad", 4.5), ("own", 3.0), ("peer", 3.0)]
            {
                let (one, other) = (luminance(theme[name]) + 0.05, luminance(theme["paper"]) + 0.05);
                assert!((one / other).max(other / one) >= least, "{name}");
            }
        }
    }

    #[test]
    fn every_role_of_a_picture_has_a_colour_in_both_themes() {
        let rules = chart::style();
        for variable in rules.split("var(--").skip(1).map(|rest| rest.split_once(')').unwrap().0) {
            assert_eq!(STYLE.matches(&format!("--{variable}: #")).count(), 2, "{variable}");
        }
    }
}
