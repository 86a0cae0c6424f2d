//! View: what is drawn of a watch, on a terminal of any size or as text.

use std::cmp::Reverse;

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Paragraph, Row, Sparkline, Table, Widget};

use super::rates::{self, Interval};
use super::watch::Watch;
use crate::series::{Family, Snapshot, lines_of, share};
use crate::text;

/// Columns of a bar beside figures.
const BESIDE: u16 = 50;

/// Columns and classes of what is printed as text.
const TEXT_WIDTH: u16 = 100;
const TEXT_CLASSES: u16 = 12;

/// The view as text.
pub fn text(watch: &Watch) -> String {
    let tags = watch.latest.as_ref().map_or(0, |latest| latest.tags.len() as u16);
    let height = 44 + TEXT_CLASSES + watch.notices().len() as u16 + 4 * tags;
    let area = Rect::new(0, 0, TEXT_WIDTH, height);
    let mut buffer = Buffer::empty(area);
    draw_parts(watch, area, &mut buffer, Some(TEXT_CLASSES));
    let rows = (0..height).map(|y| (0..TEXT_WIDTH).map(|x| buffer[(x, y)].symbol()).collect::<String>());
    let text = rows.map(|row| row.trim_end().to_owned()).collect::<Vec<_>>().join("\n");
    text.trim_end().to_owned() + "\n"
}

/// Draws the view on a terminal.
pub fn draw(watch: &Watch, area: Rect, buffer: &mut Buffer) {
    let [above, foot] = Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(area);
    draw_parts(watch, above, buffer, None);
    Line::from("q ends").dim().render(foot, buffer);
}

fn draw_parts(watch: &Watch, area: Rect, buffer: &mut Buffer, classes: Option<u16>) {
    let notices: Vec<_> = watch.notices().into_iter().map(|notice| Line::from(notice).yellow()).collect();
    let Some(latest) = &watch.latest else {
        let mut lines = vec![Line::from(format!("tenure top  {}", watch.source.file.display())).bold()];
        lines.push(Line::from("no snapshot yet"));
        lines.extend(notices);
        return Paragraph::new(lines).render(area, buffer);
    };
    let balance = balance(latest, area.width);
    let tags = tags(latest, area.width);
    // Three of them at least are seen beside the busiest classes, and all of them where there is room.
    let tag_rows = match tags.len() as u16 {
        0 => 0,
        count => count.min((area.height / 4).max(3)) + 2,
    };
    let has_course = classes.is_none() && area.height > 34;
    let class_rows = classes.map_or(Constraint::Min(3), |rows| Constraint::Length(rows + 1));
    let heights = [
        Constraint::Length(1),
        Constraint::Length(notices.len() as u16),
        Constraint::Length(1),
        Constraint::Length(3),
        Constraint::Length(1),
        Constraint::Length(if has_course { 3 } else { 0 }),
        Constraint::Length(if has_course { 1 } else { 0 }),
        Constraint::Length(balance.len() as u16 + 1),
        Constraint::Length(1),
        Constraint::Length(6),
        Constraint::Length(tag_rows),
        class_rows,
    ];
    let [title, noted, _, summary, _, course, _, lines, _, traffic, tagged, busiest] =
        Layout::vertical(heights).areas(area);
    title_line(watch, latest).render(title, buffer);
    Paragraph::new(notices).render(noted, buffer);
    Paragraph::new(summary_lines(latest)).render(summary, buffer);
    draw_course(watch, course, buffer);
    let widths = [Constraint::Length(16), Constraint::Fill(1), Constraint::Length(11), Constraint::Length(8)];
    Table::new(balance, widths).header(header(&["balance", "", "bytes", "share"])).render(lines, buffer);
    Paragraph::new(traffic_lines(watch, latest)).render(traffic, buffer);
    if tag_rows > 0 {
        let shown: Vec<_> = tags.into_iter().take(usize::from(tag_rows) - 2).collect();
        let widths = [
            Constraint::Length(16),
            Constraint::Fill(1),
            Constraint::Length(11),
            Constraint::Length(11),
            Constraint::Length(8),
        ];
        Table::new(shown, widths).header(header(&["tag", "", "blocks", "bytes", "of live"])).render(tagged, buffer);
    }
    draw_classes(watch, latest, busiest, buffer);
}

fn title_line(watch: &Watch, latest: &Snapshot) -> Line<'static> {
    let process = latest.process_id.map_or_else(String::new, |id| format!("  process {id}"));
    let age = latest.uptime_ms.map_or_else(String::new, |age| format!("  up {}", text::span(age)));
    let time = latest.time_ms.and_then(text::time).map_or_else(String::new, |time| format!("  at {time}"));
    let file = watch.source.file.display();
    Line::from(vec![format!("tenure top{process}").bold(), format!("{age}{time}  {file}").dim()])
}

fn summary_lines(latest: &Snapshot) -> Vec<Line<'static>> {
    let allocator = format!(
        "committed {}, peak {}, live {} in {} blocks, {} used",
        text::bytes(latest.committed),
        text::bytes(latest.peak_committed),
        text::bytes(latest.live_bytes),
        text::exact(latest.live_blocks),
        text::percent(latest.utilisation()),
    );
    let Some(system) = &latest.system else {
        return vec![Line::from(allocator)];
    };
    let process = format!(
        "resident  {}, not the allocator's {}, swapped {}",
        text::bytes(system.resident),
        text::bytes(system.not_ours),
        system.swapped.map_or_else(|| "unknown".to_owned(), text::bytes),
    );
    let peak = latest.peak_live_bytes.map_or_else(|| "unknown".to_owned(), text::bytes);
    let unused = format!(
        "untouched {}, lazily freed {}, most that was live {peak}",
        text::bytes(system.untouched),
        system.lazily_freed.map_or_else(|| "unknown".to_owned(), text::bytes),
    );
    vec![Line::from(allocator), Line::from(process), Line::from(unused)]
}

/// What was committed in the course of time, the latest at the right end.
fn draw_course(watch: &Watch, area: Rect, buffer: &mut Buffer) {
    let skipped = watch.course.len().saturating_sub(usize::from(area.width));
    let course: Vec<_> = watch.course.iter().skip(skipped).copied().collect();
    Sparkline::default().data(course).style(colour(Family::Live)).render(area, buffer);
}

/// A row for each line that has something, in the order of the stack.
fn balance(latest: &Snapshot, width: u16) -> Vec<Row<'static>> {
    let lines = lines_of([&latest.balance].into_iter());
    let rows = lines.into_iter().filter_map(|line| {
        let bytes = latest.balance.get(&line.name).copied().filter(|&bytes| bytes > 0)?;
        let part = share(bytes, latest.committed);
        Some(Row::new([
            Cell::from(line.label),
            Cell::from(bar(part, width.saturating_sub(BESIDE - 12))).style(colour(line.family)),
            right(text::bytes(bytes)),
            right(text::percent(part)),
        ]))
    });
    rows.collect()
}

/// A row for each tag under which something is in use, those with the most first.
fn tags(latest: &Snapshot, width: u16) -> Vec<Row<'static>> {
    let mut tags: Vec<_> = latest.tags.iter().filter(|tag| tag.blocks > 0).collect();
    tags.sort_by_key(|tag| Reverse(tag.bytes));
    let rows = tags.into_iter().map(|tag| {
        let part = share(tag.bytes, latest.live_bytes);
        Row::new([
            Cell::from(tag.name.clone()),
            Cell::from(bar(part, width.saturating_sub(BESIDE))).style(colour(Family::Live)),
            right(text::exact(tag.blocks)),
            right(text::bytes(tag.bytes)),
            right(text::percent(part)),
        ])
    });
    rows.collect()
}

fn traffic_lines(watch: &Watch, latest: &Snapshot) -> Vec<Line<'static>> {
    let interval = watch.before.as_ref().and_then(|before| Some((before, Interval::between(before, latest)?)));
    match interval {
        Some((before, interval)) => traffic_rates(before, latest, interval),
        None => traffic_so_far(latest),
    }
}

fn traffic_so_far(latest: &Snapshot) -> Vec<Line<'static>> {
    let traffic = latest.traffic();
    vec![
        Line::from("since the start; there are rates once there are two snapshots").bold(),
        Line::from(format!(
            "  allocations    {} blocks, {} freed",
            text::exact(latest.allocations),
            text::exact(latest.frees)
        )),
        Line::from(format!(
            "  to threads     {} blocks in {} refills",
            text::exact(traffic.refilled),
            text::exact(traffic.refills)
        )),
        Line::from(format!(
            "  back           {} blocks in {} flushes",
            text::exact(traffic.flushed),
            text::exact(traffic.flushes)
        )),
        Line::from(format!(
            "  remote frees   {}, own mappings {}",
            text::exact(traffic.remote_frees),
            text::exact(latest.mappings_allocated)
        )),
    ]
}

fn traffic_rates(before: &Snapshot, latest: &Snapshot, interval: Interval) -> Vec<Line<'static>> {
    let (old, new) = (before.traffic(), latest.traffic());
    let rate = |old: u64, new: u64| text::exact(interval.rate(old, new).round() as u64);
    vec![
        Line::from("per second; what goes to threads and back are blocks that magazines take from slabs and give back")
            .bold(),
        Line::from(format!(
            "  allocations    {} blocks, {} freed; {} allocated so far",
            rate(before.allocations, latest.allocations),
            rate(before.frees, latest.frees),
            text::exact(latest.allocations),
        )),
        Line::from(format!(
            "  to threads     {} blocks in {} refills",
            rate(old.refilled, new.refilled),
            rate(old.refills, new.refills)
        )),
        Line::from(format!(
            "  back           {} blocks in {} flushes",
            rate(old.flushed, new.flushed),
            rate(old.flushes, new.flushes)
        )),
        Line::from(format!(
            "  remote frees   {}, own mappings {}, back to the system {}",
            rate(old.remote_frees, new.remote_frees),
            rate(before.mappings_allocated, latest.mappings_allocated),
            text::bytes(interval.rate(before.purged, latest.purged) as u64),
        )),
    ]
}

fn draw_classes(watch: &Watch, latest: &Snapshot, area: Rect, buffer: &mut Buffer) {
    let bar_width = area.width.saturating_sub(76).min(24);
    let rows = rates::busiest(watch.before.as_ref(), latest).into_iter().map(|busy| {
        let class = &latest.classes[busy.index];
        let number = |figure: f64| right(text::exact(figure.round() as u64));
        Row::new([
            right(text::exact(class.block_size)),
            right(text::exact(class.live)),
            right(text::exact(class.slabs)),
            right(text::percent(class.utilisation())),
            Cell::from(bar(class.utilisation(), bar_width)).style(colour(Family::Live)),
            number(busy.to_threads),
            number(busy.back),
            number(busy.remote),
        ])
    });
    let rows: Vec<_> = rows.take(usize::from(area.height.saturating_sub(1))).collect();
    let [size, live, slabs, used, traffic] = [9, 11, 7, 8, 12].map(Constraint::Length);
    let widths = [size, live, slabs, used, Constraint::Length(bar_width), traffic, traffic, traffic];
    let head = ["busiest", "live", "slabs", "used", "", "to threads", "back", "remote"];
    Table::new(rows, widths).header(header(&head)).render(area, buffer);
}

/// The head of a table: figures stand at the right.
fn header(names: &[&str]) -> Row<'static> {
    let cells = names.iter().map(|&name| match name {
        "balance" | "tag" => Cell::from(name.to_owned()),
        name => right(name.to_owned()),
    });
    Row::new(cells.collect::<Vec<_>>()).style(Style::new().bold())
}

fn right(text: String) -> Cell<'static> {
    Cell::from(Line::from(text).right_aligned())
}

/// A bar of this many columns at most, in eighths of a column.
fn bar(part: f64, width: u16) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (part * f64::from(width) * 8.0).round() as usize;
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

fn colour(family: Family) -> Style {
    Style::new().fg(match family {
        Family::Live => Color::Blue,
        Family::Waiting => Color::Yellow,
        Family::Unused => Color::Green,
        Family::Descriptive => Color::Magenta,
        Family::Unknown => Color::Red,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::snapshot_of;
    use crate::top::source::Source;

    fn watch() -> Watch {
        let mut watch = Watch::new(Source { file: "/no/such/file".into(), process: None });
        let value = serde_json::from_str(&tenure::Tenure::new().stats().json().to_string()).unwrap();
        watch.take(snapshot_of(value).unwrap());
        watch
    }

    #[test]
    fn a_bar_is_as_long_as_the_part() {
        assert_eq!(bar(0.5, 8), "████");
        assert_eq!(bar(1.0, 2), "██");
        assert_eq!(bar(1.0 / 16.0, 2), "▏");
        assert_eq!(bar(0.0, 8), "");
    }

    #[test]
    fn a_terminal_of_any_size_is_drawn_on() {
        let empty = Watch::new(Source { file: "/no/such/file".into(), process: None });
        for (width, height) in [(1, 1), (3, 50), (200, 2), (80, 24), (300, 100), (0, 0)] {
            let area = Rect::new(0, 0, width, height);
            for watch in [&watch(), &empty] {
                draw(watch, area, &mut Buffer::empty(area));
            }
        }
    }

    #[test]
    fn as_text_there_are_no_empty_ends() {
        let text = text(&watch());
        assert!(text.contains("committed") && text.contains("busiest"), "{text}");
        assert!(text.lines().all(|line| line == line.trim_end()));
    }
}
