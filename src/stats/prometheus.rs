//! The snapshot in Prometheus' text format: what a program answers when it is scraped, or what a collector of text
//! files reads.
//!
//! Names say the unit, counters end in `_total`, and the values of a label add up to something: the lines of the
//! balance, or the blocks of a class.

use super::record::four_places;
use super::{ClassStats, Rounding, Stats, Traffic};
use core::fmt::{self, Display, Formatter, Write};

/// A snapshot in Prometheus' text format, version 0.0.4: what [`Stats::prometheus`] returns.
#[derive(Debug, Clone, Copy)]
pub struct Prometheus<'a>(pub(super) &'a Stats);

/// What a label says, where there may be anything in it.
struct LabelValue<'a>(&'a str);

impl Display for LabelValue<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '"' | '\\' => write!(f, "\\{character}"),
            '\n' => f.write_str("\\n"),
            _ => f.write_char(character),
        })
    }
}

/// Writes metrics, family by family.
struct Exposition<'a, 'f>(&'a mut Formatter<'f>);

/// A figure without labels, where it is known: name, what it means, value.
type Figure = (&'static str, &'static str, Option<u64>);

/// A part of a class's blocks: where they are, and how many they are.
type Part = (&'static str, fn(&ClassStats) -> u64);

/// A counter of traffic: the end of its name, what it counts, and how to get it.
type TrafficFigure = (&'static str, &'static str, fn(&Traffic) -> u64);

/// What rounding costs: the end of a counter's name, what it counts, and how to get it.
type RoundingFigure = (&'static str, &'static str, fn(&Rounding) -> u64);

const TRAFFIC: [TrafficFigure; 5] = [
    ("refills", "Visits to slabs that brought blocks to a thread.", |traffic| traffic.refills),
    ("refilled_blocks", "Blocks that left slabs in refills; not a number of allocations.", |traffic| traffic.refilled),
    ("flushes", "Visits to slabs that took blocks of a thread back.", |traffic| traffic.flushes),
    ("flushed_blocks", "Blocks that went back to slabs in flushes; not a number of frees.", |traffic| traffic.flushed),
    ("remote_frees", "Blocks freed by threads that did not own them, and collected.", |traffic| traffic.remote_frees),
];

impl Exposition<'_, '_> {
    fn family(&mut self, name: impl Display, kind: &str, help: impl Display) -> fmt::Result {
        writeln!(self.0, "# HELP tenure_{name} {help}\n# TYPE tenure_{name} {kind}")
    }

    fn sample(&mut self, name: &str, value: impl Display) -> fmt::Result {
        writeln!(self.0, "tenure_{name} {value}")
    }

    fn labelled(&mut self, name: &str, label: &str, label_value: impl Display, value: impl Display) -> fmt::Result {
        writeln!(self.0, "tenure_{name}{{{label}=\"{label_value}\"}} {value}")
    }

    /// Figures without labels; of those that are not known, nothing.
    fn figures(&mut self, kind: &str, figures: &[Figure]) -> fmt::Result {
        for &(name, help, value) in figures {
            if let Some(value) = value {
                self.family(name, kind, help)?;
                self.sample(name, value)?;
            }
        }
        Ok(())
    }

    /// A figure that is divided by a label.
    fn divided<const N: usize>(
        &mut self,
        (name, help, label): (&str, &str, &str),
        parts: [(&'static str, usize); N],
    ) -> fmt::Result {
        self.family(name, "gauge", help)?;
        parts.iter().try_for_each(|&(part, value)| self.labelled(name, label, part, value))
    }

    fn balance(&mut self, stats: &Stats) -> fmt::Result {
        let parts = stats.balance.lines().map(|line| (line.name, line.bytes));
        let help = "Committed memory, by what it is used for; the lines add up to tenure_committed_bytes.";
        self.divided(("memory_bytes", help, "line"), parts)
    }

    fn gauges(&mut self, stats: &Stats) -> fmt::Result {
        let known = |figure: usize| Some(figure as u64);
        self.figures(
            "gauge",
            &[
                ("committed_bytes", "Memory that may be resident.", known(stats.committed)),
                ("committed_peak_bytes", "The most memory that was ever committed.", known(stats.peak_committed)),
                (
                    "committed_recent_peak_bytes",
                    "The most memory that was committed since the program reset it.",
                    known(stats.peak_since_reset),
                ),
                (
                    "live_peak_bytes",
                    "The most that live blocks and what waits at threads' hands ever were.",
                    known(stats.peak_live_bytes),
                ),
                ("live_recent_peak_bytes", "The same since the program reset it.", known(stats.peak_live_since_reset)),
                ("reserved_bytes", "Address space of segments, mappings and static memory.", known(stats.reserved)),
                ("live_blocks", "Blocks that the program has.", known(stats.live_blocks())),
                ("spans", "Live blocks of 32 KiB to 1 MiB inside segments.", known(stats.spans)),
                ("mappings", "Live blocks with a mapping of their own.", known(stats.mappings)),
            ],
        )?;
        self.of_system(stats)?;
        self.uptime(stats)
    }

    /// What the system says of the process's memory, if it was asked.
    fn of_system(&mut self, stats: &Stats) -> fmt::Result {
        let system = stats.system.as_ref();
        let wide = |figure: Option<usize>| figure.map(|figure| figure as u64);
        self.figures(
            "gauge",
            &[
                (
                    "process_resident_bytes",
                    "Main memory that the process has, as the system says.",
                    wide(system.map(|system| system.resident)),
                ),
                (
                    "process_anonymous_bytes",
                    "The part of it that is of no file.",
                    wide(system.and_then(|system| system.anonymous)),
                ),
                (
                    "process_lazily_freed_bytes",
                    "The part of it that was given back and not taken yet.",
                    wide(system.and_then(|system| system.lazily_freed)),
                ),
                (
                    "process_swapped_bytes",
                    "Swap space that the process has.",
                    wide(system.and_then(|system| system.swapped)),
                ),
                (
                    "process_not_ours_bytes",
                    "Resident or swapped memory beyond what is committed.",
                    wide(system.map(|system| system.not_ours)),
                ),
                (
                    "committed_untouched_bytes",
                    "Committed memory that is neither resident nor swapped.",
                    wide(system.map(|system| system.untouched)),
                ),
            ],
        )
    }

    fn uptime(&mut self, stats: &Stats) -> fmt::Result {
        let Some(uptime) = stats.uptime_ms else { return Ok(()) };
        self.family("process_uptime_seconds", "gauge", "Age of the process.")?;
        self.sample("process_uptime_seconds", format_args!("{}.{:03}", uptime / 1000, uptime % 1000))
    }

    fn states(&mut self, stats: &Stats) -> fmt::Result {
        let Stats { segments, pooled_segments, heaps, parked_heaps, .. } = *stats;
        self.divided(
            ("segments", "Segments of 2 MiB, by whether a heap has them.", "state"),
            [("used", segments), ("unused", pooled_segments)],
        )?;
        self.divided(
            ("heaps", "Heaps, by whether a thread has them.", "state"),
            [("lent", heaps.saturating_sub(parked_heaps)), ("parked", parked_heaps)],
        )?;
        let memory = &stats.static_memory;
        let help = "Bytes of static memory, by what is there.";
        let parts =
            [("live", memory.live()), ("dead", memory.dead), ("slack", memory.slack), ("free", memory.remaining())];
        self.divided(("static_memory_bytes", help, "state"), parts)?;
        self.figures("gauge", &[("static_memory_blocks", "Blocks in static memory.", Some(memory.blocks as u64))])
    }

    /// What is in use under tags, where there are any.
    fn tags(&mut self, stats: &Stats) -> fmt::Result {
        if stats.tags().next().is_none() {
            return Ok(());
        }
        self.family("tag_bytes", "gauge", "Bytes of live blocks under each tag; what is live under none is the rest.")?;
        for figures in stats.tags() {
            self.labelled("tag_bytes", "tag", LabelValue(figures.tag.name()), figures.bytes)?;
        }
        self.family("tag_blocks", "gauge", "Live blocks under each tag; what is live under none is the rest.")?;
        for figures in stats.tags() {
            self.labelled("tag_blocks", "tag", LabelValue(figures.tag.name()), figures.blocks)?;
        }
        Ok(())
    }

    fn counters(&mut self, stats: &Stats) -> fmt::Result {
        let fallbacks = stats.static_memory.fallbacks as u64;
        self.figures(
            "counter",
            &[
                ("purged_bytes_total", "Memory given back to the system.", Some(stats.purged as u64)),
                ("allocations_total", "Blocks allocated, of all sizes.", Some(stats.allocations)),
                ("frees_total", "Blocks freed, of all sizes.", Some(stats.frees())),
                (
                    "mappings_allocated_total",
                    "Blocks allocated with a mapping of their own.",
                    Some(stats.mappings_allocated),
                ),
                (
                    "static_memory_fallbacks_total",
                    "Requests to static memory that were served elsewhere or not at all.",
                    Some(fallbacks),
                ),
            ],
        )?;
        for (name, help, figure) in TRAFFIC {
            self.family(format_args!("span_{name}_total"), "counter", help)?;
            writeln!(self.0, "tenure_span_{name}_total {}", figure(&stats.span_traffic))?;
        }
        Ok(())
    }

    /// What rounding has cost, where that was counted.
    fn rounding(&mut self, stats: &Stats) -> fmt::Result {
        const FIGURES: [RoundingFigure; 3] = [
            ("exact_allocations", "Blocks allocated while exact bytes were counted", |rounding| rounding.blocks),
            ("requested_bytes", "Bytes asked for while exact bytes were counted", |rounding| rounding.requested),
            ("granted_bytes", "Bytes given while exact bytes were counted", |rounding| rounding.granted),
        ];
        let is_known = |rounding: &Rounding| rounding.blocks > 0;
        for (name, help, figure) in FIGURES {
            if stats.used_classes().any(|class| is_known(&class.rounding)) {
                self.family(format_args!("class_{name}_total"), "counter", format_args!("{help}, by size class."))?;
                for class in stats.used_classes().filter(|class| is_known(&class.rounding)) {
                    let (size, count) = (class.block_size, figure(&class.rounding));
                    writeln!(self.0, "tenure_class_{name}_total{{block_size=\"{size}\"}} {count}")?;
                }
            }
            for (kind, rounding) in [("span", &stats.span_rounding), ("mapping", &stats.mapping_rounding)] {
                if is_known(rounding) {
                    self.family(format_args!("{kind}_{name}_total"), "counter", format_args!("{help}, of {kind}s."))?;
                    writeln!(self.0, "tenure_{kind}_{name}_total {}", figure(rounding))?;
                }
            }
        }
        Ok(())
    }

    fn classes(&mut self, stats: &Stats) -> fmt::Result {
        const PARTS: [Part; 5] = [
            ("live", |class| class.live as u64),
            ("in_magazines", |class| class.in_magazines as u64),
            ("in_outboxes", |class| class.in_outboxes as u64),
            ("returned", |class| class.remote_pending as u64),
            ("free", |class| class.free.saturating_sub(class.remote_pending) as u64),
        ];
        self.family("class_blocks", "gauge", "Blocks of slabs, by their size in bytes and by where they are.")?;
        for class in stats.used_classes() {
            for (state, figure) in PARTS {
                let (size, blocks) = (class.block_size, figure(class));
                writeln!(self.0, "tenure_class_blocks{{block_size=\"{size}\",state=\"{state}\"}} {blocks}")?;
            }
        }
        self.family("class_slabs", "gauge", "Slabs of 64 KiB, by the size of their blocks in bytes.")?;
        for class in stats.used_classes() {
            self.labelled("class_slabs", "block_size", class.block_size, class.slabs)?;
        }
        self.family("class_utilisation_ratio", "gauge", "Part of the slabs' bytes that live blocks take.")?;
        for class in stats.used_classes() {
            let utilisation = four_places(class.utilisation());
            self.labelled("class_utilisation_ratio", "block_size", class.block_size, format_args!("{utilisation:.4}"))?;
        }
        for (name, help, figure) in TRAFFIC {
            self.family(format_args!("class_{name}_total"), "counter", help)?;
            for class in stats.used_classes() {
                let (size, count) = (class.block_size, figure(&class.traffic));
                writeln!(self.0, "tenure_class_{name}_total{{block_size=\"{size}\"}} {count}")?;
            }
        }
        Ok(())
    }
}

impl Display for Prometheus<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (stats, mut exposition) = (self.0, Exposition(f));
        exposition.balance(stats)?;
        exposition.gauges(stats)?;
        exposition.states(stats)?;
        exposition.counters(stats)?;
        exposition.tags(stats)?;
        exposition.classes(stats)?;
        exposition.rounding(stats)
    }
}
