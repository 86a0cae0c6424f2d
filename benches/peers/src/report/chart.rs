//! Pictures: bars with their spread, and memory against time. Colours are placeholders, which the page's style replaces
//! by those of the reader's theme.

use std::fmt::Display;

use plotters::coord::ranged1d::SegmentValue;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::failure::Failure;
use crate::summary::{Metric, Spread};

/// What a colour stands for: its placeholder, and the variable of the style that holds the colour itself.
pub struct Role {
    placeholder: RGBColor,
    pub variable: &'static str,
}

static INK: Role = Role { placeholder: RGBColor(1, 0, 0), variable: "ink" };
static SOFT: Role = Role { placeholder: RGBColor(2, 0, 0), variable: "soft" };
static RULE: Role = Role { placeholder: RGBColor(3, 0, 0), variable: "rule" };
static OWN: Role = Role { placeholder: RGBColor(4, 0, 0), variable: "own" };
static PEER: Role = Role { placeholder: RGBColor(5, 0, 0), variable: "peer" };

/// The rules that give each role its colour.
pub fn style() -> String {
    let rules = [&INK, &SOFT, &RULE, &OWN, &PEER].map(|role| {
        let RGBColor(red, green, blue) = role.placeholder;
        let (code, variable) = (format!("#{red:02X}{green:02X}{blue:02X}"), role.variable);
        format!(
            ".plot [fill=\"{code}\"] {{ fill: var(--{variable}); }}\n.plot [stroke=\"{code}\"] {{ stroke: var(--{variable}); }}\n"
        )
    });
    rules.concat()
}

/// One bar, or one point.
pub struct Item<'a> {
    pub label: &'a str,
    pub is_own: bool,
}

impl Item<'_> {
    fn colour(&self) -> RGBColor {
        if self.is_own { OWN.placeholder } else { PEER.placeholder }
    }
}

fn failed(error: impl Display) -> Failure {
    Failure::Tool(format!("a picture: {error}"))
}

fn text(size: u32, role: &'static Role, horizontal: HPos) -> TextStyle<'static> {
    TextStyle::from(("sans-serif", size).into_font()).color(&role.placeholder).pos(Pos::new(horizontal, VPos::Center))
}

const BARS_WIDTH: u32 = 500;
const BAR_HEIGHT: u32 = 22;

/// A bar for each item that has figures, from nothing to its median, with a line from its least to its most.
pub fn bars(metric: Metric, items: &[(Item<'_>, Option<Spread>)]) -> Result<String, Failure> {
    let count = items.len();
    let most = items.iter().filter_map(|(_, spread)| Some(spread.as_ref()?.max)).fold(0.0, f64::max);
    let end = if most > 0.0 { most * 1.22 } else { 1.0 };
    let mut picture = String::new();
    {
        let height = BAR_HEIGHT * u32::try_from(count).unwrap_or(u32::MAX / BAR_HEIGHT) + 8;
        let root = SVGBackend::with_string(&mut picture, (BARS_WIDTH, height)).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin_top(4)
            .margin_bottom(4)
            .y_label_area_size(96)
            .build_cartesian_2d(0.0..end, (0..count).into_segmented())
            .map_err(failed)?;
        // The axis goes upwards, lists go downwards.
        let label = |place: &SegmentValue<usize>| match place {
            SegmentValue::CenterOf(place) => {
                count.checked_sub(place + 1).and_then(|index| items.get(index)).map(|(item, _)| item.label.to_owned())
            }
            _ => None,
        };
        chart
            .configure_mesh()
            .disable_mesh()
            .disable_x_axis()
            .y_labels(count + 1)
            .y_label_formatter(&|place| label(place).unwrap_or_default())
            .y_label_style(TextStyle::from(("sans-serif", 13).into_font()).color(&INK.placeholder))
            .axis_style(RULE.placeholder)
            .draw()
            .map_err(failed)?;
        for (index, (item, spread)) in items.iter().enumerate() {
            let place = count - 1 - index;
            let middle = SegmentValue::CenterOf(place);
            let Some(Spread { median, min, max }) = *spread else {
                let label = EmptyElement::at((0.0, middle)) + Text::new("failed", (6, 0), text(12, &SOFT, HPos::Left));
                chart.draw_series(std::iter::once(label)).map_err(failed)?;
                continue;
            };
            let corners = [(0.0, SegmentValue::Exact(place)), (median, SegmentValue::Exact(place + 1))];
            let mut bar = Rectangle::new(corners, item.colour().filled());
            bar.set_margin(3, 3, 0, 0);
            chart.draw_series(std::iter::once(bar)).map_err(failed)?;
            if min < max {
                let whisker = ErrorBar::new_horizontal(middle, min, median, max, INK.placeholder.stroke_width(1), 7);
                chart.draw_series(std::iter::once(whisker)).map_err(failed)?;
            }
            let value = Text::new(metric.show(median), (7, 0), text(12, &SOFT, HPos::Left));
            let label = EmptyElement::at((max, SegmentValue::CenterOf(place))) + value;
            chart.draw_series(std::iter::once(label)).map_err(failed)?;
        }
        root.present().map_err(failed)?;
    }
    Ok(picture)
}

const SCATTER: (u32, u32) = (1000, 520);
const LETTER: (i32, i32) = (8, 18);

/// Time against memory, both as ratios to a peer's: towards the lower left is better.
pub fn scatter(names: (&str, &str), items: &[(Item<'_>, f64, f64)]) -> Result<String, Failure> {
    let mut picture = String::new();
    {
        let root = SVGBackend::with_string(&mut picture, SCATTER).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin(12)
            .margin_right(40)
            .x_label_area_size(52)
            .y_label_area_size(68)
            .build_cartesian_2d(range(items.iter().map(|item| item.1)), range(items.iter().map(|item| item.2)))
            .map_err(failed)?;
        chart
            .configure_mesh()
            .x_desc(format!("time, to that of {}", names.0))
            .y_desc(format!("peak memory, to that of {}", names.1))
            .x_label_formatter(&|ratio| format!("{ratio:.2}"))
            .y_label_formatter(&|ratio| format!("{ratio:.2}"))
            .label_style(TextStyle::from(("sans-serif", 14).into_font()).color(&SOFT.placeholder))
            .axis_desc_style(TextStyle::from(("sans-serif", 15).into_font()).color(&INK.placeholder))
            .axis_style(SOFT.placeholder)
            .bold_line_style(RULE.placeholder)
            .light_line_style(TRANSPARENT)
            .draw()
            .map_err(failed)?;
        let places: Vec<_> = items.iter().map(|(_, x, y)| chart.plotting_area().map_coordinate(&(*x, *y))).collect();
        let labels: Vec<_> = items.iter().map(|(item, ..)| item.label).collect();
        let offsets = place_labels(&places, &labels);
        for ((item, x, y), (dx, dy)) in items.iter().zip(offsets) {
            let style = if item.is_own { &OWN } else { &INK };
            let point = EmptyElement::at((*x, *y))
                + Circle::new((0, 0), 6, item.colour().filled())
                + Text::new(item.label.to_owned(), (dx, dy), text(15, style, HPos::Left));
            chart.draw_series(std::iter::once(point)).map_err(failed)?;
        }
        root.present().map_err(failed)?;
    }
    Ok(picture)
}

/// A range with some room around the values, and around 1, which they are ratios to.
fn range(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (low, high) = values.fold((1.0_f64, 1.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    let room = ((high - low) * 0.08).max(0.02);
    (low - room).max(0.0)..high + room
}

/// Where the text of each point stands beside it: on the first side on which it covers nothing that is there already.
fn place_labels(points: &[(i32, i32)], labels: &[&str]) -> Vec<(i32, i32)> {
    type Area = (i32, i32, i32, i32);
    let overlap = |one: &Area, other: &Area| one.0 < other.2 && other.0 < one.2 && one.1 < other.3 && other.1 < one.3;
    let mut taken: Vec<Area> = points.iter().map(|(x, y)| (x - 7, y - 7, x + 7, y + 7)).collect();
    let place = |(index, label): (usize, &&str)| {
        let (x, y) = points[index];
        let width = i32::try_from(label.chars().count()).unwrap_or(0) * LETTER.0;
        let sides =
            [(12, 0), (-12 - width, 0), (-width / 2, -17), (-width / 2, 17), (10, -17), (10, 17), (12, 30), (12, -30)];
        let area = |(dx, dy): (i32, i32)| (x + dx, y + dy - LETTER.1 / 2, x + dx + width, y + dy + LETTER.1 / 2);
        let others = || taken.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, area)| area);
        let free = sides.into_iter().find(|side| others().all(|other| !overlap(&area(*side), other)));
        let side = free.unwrap_or(sides[0]);
        taken.push(area(side));
        side
    };
    labels.iter().enumerate().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_well_formed_and_have_their_labels_and_values() {
        let spread = Some(Spread { median: 1.5, min: 1.0, max: 2.0 });
        let item = |label, is_own| Item { label, is_own };
        let picture = bars(Metric::Time, &[(item("Tenure", true), spread), (item("a<b", false), None)]).unwrap();
        roxmltree::Document::parse(&picture).unwrap();
        for text in ["Tenure", "a&lt;b", "1.50 s", "failed", "viewBox"] {
            assert!(picture.contains(text), "{text}: {picture}");
        }
        // The placeholders of which the style knows.
        assert!(picture.contains("fill=\"#040000\"") && style().contains("fill=\"#040000\""));
    }

    #[test]
    fn a_scatter_of_one_point_is_well_formed() {
        let picture = scatter(("x", "y"), &[(Item { label: "Tenure", is_own: true }, 1.0, 1.0)]).unwrap();
        roxmltree::Document::parse(&picture).unwrap();
        assert!(picture.contains("time, to that of x"));
    }

    #[test]
    fn labels_do_not_cover_each_other() {
        let offsets = place_labels(&[(100, 100), (112, 100), (100, 104)], &["mimalloc 3", "mimalloc 2", "jemalloc"]);
        assert_eq!(offsets.len(), 3);
        let distinct: std::collections::BTreeSet<_> = offsets.iter().collect();
        assert!(distinct.len() > 1, "{offsets:?}");
    }

    #[test]
    fn a_range_has_room_and_holds_one() {
        let range = range([0.5, 0.8].into_iter());
        assert!(range.start < 0.5 && range.end > 1.0);
    }
}
