//! The tables of a contest.

use crate::results::{Contest, Kind, Settings, Task};
use crate::summary::{Metric, Spread, best, geometric_mean, is_peer, means};
use crate::table::{Align, Cell, Stress, Table};
use crate::verdict::{Outcome, verdicts};

/// The tables that matter most, in the order in which they are shown.
pub fn main_tables(contest: &Contest, settings: &Settings) -> Vec<Table> {
    let mut tables = vec![targets(contest, settings), overall(contest), ratios(contest, Metric::Time)];
    if contest.tasks.iter().any(|task| !task.counts) {
        tables.push(scaling(contest, settings));
    }
    tables
}

/// All others.
pub fn further_tables(contest: &Contest) -> Vec<Table> {
    let mut tables = vec![ratios(contest, Metric::Peak), ratios(contest, Metric::Faults)];
    tables.extend(Metric::ALL.map(|metric| spreads(contest, metric)));
    tables.push(tasks(contest));
    tables.push(contenders(contest));
    tables
}

fn head(names: &[&str], align: Align) -> Vec<(String, Align)> {
    names.iter().map(|name| ((*name).to_owned(), align)).collect()
}

fn things(contest: &Contest) -> (&'static str, &'static str) {
    match contest.kind {
        Kind::Linked => ("workload", "workloads"),
        Kind::Preloaded => ("command", "commands"),
    }
}

/// Each target with what was measured.
fn targets(contest: &Contest, settings: &Settings) -> Table {
    let rows = verdicts(contest, settings).into_iter().map(|verdict| {
        let outcome = verdict.outcome();
        let stress = match outcome {
            Outcome::Met => Stress::Good,
            Outcome::Missed => Stress::Bad,
            Outcome::Open => Stress::None,
        };
        let ratio = |ratio: Option<f64>| ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.3}"));
        vec![
            Cell::new(verdict.target),
            Cell::new(verdict.limit.map_or_else(|| "–".to_owned(), |limit| format!("{limit:.2}"))),
            Cell::new(ratio(verdict.ratio)),
            Cell::stressed(outcome.name(), stress),
            Cell::new(verdict.figures),
        ]
    });
    let mut head = head(&["Tenure's"], Align::Left);
    head.extend([("at most".into(), Align::Right), ("measured".into(), Align::Right)]);
    head.extend([("outcome".into(), Align::Left), ("figures".into(), Align::Left)]);
    let note = match contest.kind {
        Kind::Linked => {
            "Ratios of medians. Where Tenure takes above 1.05 of a peer's time, allocation is more than 5 % of the time: nothing else differs."
        }
        Kind::Preloaded => "Ratios of medians. The targets are of linked programs, so there are no limits here.",
    };
    Table { title: "Targets".into(), note: note.into(), head, rows: rows.collect() }
}

/// Geometric means of all metrics.
fn overall(contest: &Contest) -> Table {
    let all = Metric::ALL.map(|metric| means(contest, metric, |task| task.counts));
    let bests = all.each_ref().map(|means| best(means, is_peer));
    let least = all.each_ref().map(|means| best(means, |_| true).map(|(name, _)| name));
    let mut order: Vec<_> = contest.contenders.iter().collect();
    order.sort_by(|one, other| {
        let time = |name: &str| all[0].get(name).copied().unwrap_or(f64::INFINITY);
        time(&one.name).total_cmp(&time(&other.name))
    });
    let rows = order.into_iter().map(|contender| {
        let name = contender.name.as_str();
        let mut row = vec![Cell::new(&contender.label)];
        row.extend((0..all.len()).map(|index| match (all[index].get(name), bests[index]) {
            (Some(mean), Some((_, other))) => ratio_cell(mean / other, least[index] == Some(name)),
            (None, _) if has_failed(contest, name) => Cell::stressed("failed", Stress::Bad),
            _ => Cell::new("–"),
        }));
        row
    });
    let peers = bests.map(|found| found.map_or("–", |(name, _)| contest.label(name)));
    let (_, things) = things(contest);
    let note = format!(
        "Geometric means over all {things}, as ratios to the best single peer: {} in time, {} in peak memory, {} in page faults.",
        peers[0], peers[1], peers[2]
    );
    let mut head = head(&["allocator"], Align::Left);
    head.extend(Metric::ALL.map(|metric| (metric.name().to_owned(), Align::Right)));
    Table { title: "Overall".into(), note, head, rows: rows.collect() }
}

fn has_failed(contest: &Contest, name: &str) -> bool {
    contest.tasks.iter().any(|task| task.series.get(name).is_some_and(|series| series.failure.is_some()))
}

fn ratio_cell(ratio: f64, is_best: bool) -> Cell {
    Cell::stressed(format!("{ratio:.2}"), if is_best { Stress::Good } else { Stress::None })
}

/// A line for each task: the best median, and all medians as ratios to it.
fn ratios(contest: &Contest, metric: Metric) -> Table {
    let row = |task: &Task| {
        let best = task.best(metric, |_| true);
        let mut row = vec![Cell::new(task.title())];
        row.push(Cell::new(best.map_or_else(|| "–".to_owned(), |(_, value)| metric.show(value))));
        row.extend(contest.contenders.iter().map(|contender| match (task.median(&contender.name, metric), best) {
            (Some(value), Some((name, least))) => ratio_cell(ratio(value, least), name == contender.name),
            _ => Cell::stressed("failed", Stress::Bad),
        }));
        row
    };
    let mut rows: Vec<_> = contest.tasks.iter().filter(|task| task.counts).map(row).collect();
    rows.push(mean_of_ratios(contest, metric));
    let (thing, _) = things(contest);
    let mut columns = head(&[thing], Align::Left);
    columns.push(("best".into(), Align::Right));
    columns.extend(contest.contenders.iter().map(|contender| (contender.label.clone(), Align::Right)));
    Table {
        title: format!("Ratios: {}", metric.name()),
        note: "Medians, as ratios to the least in the line.".into(),
        head: columns,
        rows,
    }
}

fn ratio(value: f64, least: f64) -> f64 {
    if least > 0.0 { value / least } else { 1.0 }
}

/// The last line of ratios: their geometric means.
fn mean_of_ratios(contest: &Contest, metric: Metric) -> Vec<Cell> {
    let mean = |name: &str| {
        let ratios = contest
            .tasks
            .iter()
            .filter(|task| task.counts)
            .map(|task| Some(ratio(task.median(name, metric)?, task.best(metric, |_| true)?.1)));
        geometric_mean(&ratios.collect::<Option<Vec<_>>>()?)
    };
    let means: Vec<_> = contest.contenders.iter().map(|contender| mean(&contender.name)).collect();
    let least = means.iter().flatten().copied().fold(f64::INFINITY, f64::min);
    let mut row = vec![Cell::new("geometric mean"), Cell::new("")];
    row.extend(means.into_iter().map(|mean| match mean {
        Some(mean) => ratio_cell(mean, mean <= least),
        None => Cell::new("–"),
    }));
    row
}

/// Medians with the least and the most.
fn spreads(contest: &Contest, metric: Metric) -> Table {
    let row = |task: &Task| {
        let mut row = vec![Cell::new(task.title())];
        row.extend(contest.contenders.iter().map(|contender| {
            let series = task.series.get(&contender.name);
            match series.and_then(|series| series.spread(metric)) {
                Some(spread) => Cell::new(show(metric, spread)),
                None => Cell::stressed("failed", Stress::Bad),
            }
        }));
        row
    };
    let (thing, _) = things(contest);
    let mut columns = head(&[thing], Align::Left);
    columns.extend(contest.contenders.iter().map(|contender| (contender.label.clone(), Align::Right)));
    Table {
        title: format!("Figures: {}", metric.name()),
        note: "Medians, with the least and the most of all runs.".into(),
        head: columns,
        rows: contest.tasks.iter().map(row).collect(),
    }
}

fn show(metric: Metric, spread: Spread) -> String {
    if spread.min == spread.max {
        return metric.show(spread.median);
    }
    format!("{} ({}–{})", metric.show(spread.median), metric.show(spread.min), metric.show(spread.max))
}

/// What more threads do: times at each number, as ratios to those at the least.
fn scaling(contest: &Contest, settings: &Settings) -> Table {
    let mut threads = settings.threads.clone();
    threads.sort_unstable();
    let at = threads.iter().map(|number| means(contest, Metric::Time, |task| task.threads == Some(*number)));
    let at: Vec<_> = at.collect();
    let ratios = |name: &str, index: usize| Some(at[index].get(name)? / at.first()?.get(name)?);
    let rows = contest.contenders.iter().map(|contender| {
        let mut row = vec![Cell::new(&contender.label)];
        row.extend((0..at.len()).map(|index| {
            let all = contest.contenders.iter().filter_map(|other| ratios(&other.name, index));
            let least = all.fold(f64::INFINITY, f64::min);
            match ratios(&contender.name, index) {
                Some(ratio) => ratio_cell(ratio, index > 0 && ratio <= least),
                None => Cell::new("–"),
            }
        }));
        row
    });
    let rows = rows.collect();
    let mut head = head(&["allocator"], Align::Left);
    let count = |number: &u32| if *number == 1 { "1 thread".to_owned() } else { format!("{number} threads") };
    head.extend(threads.iter().map(|number| (count(number), Align::Right)));
    let note = "Geometric means of the time of workloads with several threads, as ratios to that at the fewest. The work is the same at all.";
    Table { title: "Scaling".into(), note: note.into(), head, rows }
}

/// What was run.
fn tasks(contest: &Contest) -> Table {
    let (thing, things) = things(contest);
    let rows = contest.tasks.iter().filter(|task| task.counts);
    let rows = rows.map(|task| vec![Cell::new(&task.name), Cell::new(&task.about)]).collect();
    let title = things[..1].to_uppercase() + &things[1..];
    Table { title, note: "What was run.".into(), head: head(&[thing, "what it does"], Align::Left), rows }
}

/// What it was run on.
fn contenders(contest: &Contest) -> Table {
    let rows = contest.contenders.iter().map(|one| vec![Cell::new(&one.label), Cell::new(&one.about)]);
    let absent = contest.left_out.iter();
    let absent =
        absent.map(|(name, why)| vec![Cell::new(name), Cell::stressed(format!("left out: {why}"), Stress::Bad)]);
    let rows = rows.chain(absent).collect();
    let note = "What took part.".to_owned();
    Table { title: "Allocators".into(), note, head: head(&["allocator", "what it is"], Align::Left), rows }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{contest, sample, task};

    fn example() -> Contest {
        let tenure = [sample(1.0, 1024, 10), sample(3.0, 1024, 10), sample(2.0, 1024, 10)];
        let jemalloc = [sample(4.0, 2048, 5)];
        let mut contest =
            contest(vec![task("a", &[("tenure", &tenure), ("jemalloc", &jemalloc), ("talc", &jemalloc)])]);
        contest.tasks[0].series.get_mut("talc").unwrap().failure = Some("signal: 11".into());
        contest
    }

    fn text(row: &[Cell]) -> Vec<&str> {
        row.iter().map(|cell| cell.text.as_str()).collect()
    }

    #[test]
    fn ratios_are_to_the_best_of_the_line_and_failures_are_named() {
        let table = ratios(&example(), Metric::Time);
        assert_eq!(text(&table.rows[0]), ["a", "2.00 s", "2.00", "failed", "1.00"]);
        assert_eq!(text(&table.rows[1]), ["geometric mean", "", "2.00", "–", "1.00"]);
        assert_eq!(table.rows[0][4].stress, Stress::Good);
        assert_eq!(table.rows[0][3].stress, Stress::Bad);
    }

    #[test]
    fn overall_means_are_ratios_to_the_best_single_peer_of_each_metric() {
        let table = overall(&example());
        assert_eq!(text(&table.rows[0]), ["the tenure", "0.50", "0.50", "2.00"]);
        assert_eq!(text(&table.rows[1]), ["the jemalloc", "1.00", "1.00", "1.00"]);
        assert_eq!(text(&table.rows[2]), ["the talc", "failed", "failed", "failed"]);
    }

    #[test]
    fn spreads_have_the_least_and_the_most() {
        let table = spreads(&example(), Metric::Time);
        assert_eq!(text(&table.rows[0]), ["a", "4.00 s", "failed", "2.00 s (1.00 s–3.00 s)"]);
    }

    #[test]
    fn every_row_of_every_table_is_as_wide_as_its_head() {
        let mut contest = example();
        let mut more = contest.tasks[0].clone();
        contest.tasks[0].threads = Some(1);
        (more.threads, more.counts) = (Some(2), false);
        contest.tasks.push(more);
        contest.left_out.insert("snmalloc".into(), "no cmake".into());
        let settings = Settings { profile: "lto".into(), runs: 3, threads: vec![1, 2], share: 1.0 };
        let tables: Vec<_> = main_tables(&contest, &settings).into_iter().chain(further_tables(&contest)).collect();
        assert!(tables.iter().any(|table| table.title == "Scaling"));
        for table in tables {
            assert!(table.rows.iter().all(|row| row.len() == table.head.len()), "{}", table.title);
        }
    }
}
