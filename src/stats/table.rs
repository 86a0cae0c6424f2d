//! The snapshot as a table for people.

use super::{BalanceLine, ClassStats, Rounding, Stats, TagStats, Traffic};
use crate::arena::ArenaStats;
use core::fmt::{self, Display, Formatter, Write};

/// A number of bytes, in the unit that suits it.
struct Bytes(usize);

/// The same, with its point where that of others in the column is.
struct Column(usize);

/// How many of which unit.
fn scaled(bytes: usize) -> (f64, &'static str) {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    (value, UNITS[unit])
}

impl Display for Bytes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match scaled(self.0) {
            (value, "B") => write!(f, "{value} B"),
            (value, unit) => write!(f, "{value:.1} {unit}"),
        }
    }
}

impl Display for Column {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match scaled(self.0) {
            (value, "B") => write!(f, "{value:>7} B  "),
            (value, unit) => write!(f, "{value:>7.1} {unit}"),
        }
    }
}

/// A figure's name, with spaces.
struct Words(&'static str);

impl Display for Words {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0
            .split('_')
            .enumerate()
            .try_for_each(|(nth, word)| write!(f, "{}{word}", if nth == 0 { "" } else { " " }))?;
        let width = f.width().unwrap_or(0);
        (self.0.len()..width).try_for_each(|_| f.write_char(' '))
    }
}

/// A name that somebody has chosen, without what would not stay on its line.
struct OneLine(&'static str);

impl Display for OneLine {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| f.write_char(if character.is_control() { '?' } else { character }))
    }
}

/// `part` of `whole`, in per cent.
fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

impl Display for Stats {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.static_memory.is_wasteful() {
            write!(f, "static memory: ")?;
            self.static_memory.write_waste(f)?;
        }
        self.write_balance(f)?;
        self.write_system(f)?;
        self.write_beside(f)?;
        self.write_static(f)?;
        self.write_tags(f)?;
        self.write_classes(f)?;
        self.write_rounding(f)
    }
}

impl Stats {
    fn write_balance(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "memory                  bytes    share")?;
        for BalanceLine { name, bytes, meaning } in self.balance.lines() {
            if bytes > 0 {
                let share = share(bytes, self.committed);
                writeln!(f, "  {:<15} {}   {share:>5.1} %  {meaning}", Words(name), Column(bytes))?;
            }
        }
        let (committed, [peak, recent]) =
            (Column(self.committed), [self.peak_committed, self.peak_since_reset].map(Bytes));
        write!(f, "  {:<15} {committed}            peak {peak}", "committed")?;
        if self.peak_since_reset < self.peak_committed {
            write!(f, ", since its reset {recent}")?;
        }
        writeln!(
            f,
            "\n  {:<15} {}            purged so far {}",
            "reserved",
            Column(self.reserved),
            Bytes(self.purged)
        )?;
        let [peak, recent] = [self.peak_live_bytes, self.peak_live_since_reset].map(Bytes);
        write!(
            f,
            "  {:<15} {}            peak {peak}, with what waits at threads' hands",
            "live",
            Column(self.live_bytes())
        )?;
        if self.peak_live_since_reset < self.peak_live_bytes {
            write!(f, ", since its reset {recent}")?;
        }
        writeln!(f)
    }

    /// What the system says, where it was asked.
    fn write_system(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(system) = self.system else { return Ok(()) };
        write!(f, "  {:<15} {}            ", "resident", Column(system.resident))?;
        let parts = [("of no file", system.anonymous), ("lazily freed", system.lazily_freed)];
        for (what, bytes) in parts.iter().filter_map(|&(what, bytes)| Some((what, bytes?))) {
            write!(f, "{} {what}, ", Bytes(bytes))?;
        }
        writeln!(f, "{} not ours at least", Bytes(system.not_ours))?;
        write!(
            f,
            "  {:<15} {}            committed and never touched, at least",
            "untouched",
            Column(system.untouched)
        )?;
        match system.swapped {
            Some(swapped) if swapped > 0 => writeln!(f, "; {} in swap space", Bytes(swapped)),
            _ => writeln!(f),
        }
    }

    fn write_beside(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Stats { segments, pooled_segments, heaps, parked_heaps, mappings, spans, .. } = self;
        writeln!(
            f,
            "{} live blocks, {spans} of them spans and {mappings} mappings; {} freed by other threads, not collected",
            self.live_blocks(),
            self.remote_pending()
        )?;
        writeln!(f, "{} blocks allocated and {} freed so far", self.allocations, self.frees())?;
        writeln!(
            f,
            "segments {segments} in use, {pooled_segments} unused; heaps {heaps}, {parked_heaps} of them parked"
        )
    }

    /// The meter of static memory, where there is any.
    fn write_static(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let ArenaStats { arenas, chunks, capacity, used, dead, slack, blocks, high_water, fallbacks } =
            self.static_memory;
        if arenas == 0 && fallbacks == 0 {
            return Ok(());
        }
        let [capacity, used, high_water, dead, slack] = [capacity, used, high_water, dead, slack].map(Bytes);
        writeln!(
            f,
            "static memory: {blocks} blocks in {chunks} chunks; {used} of {capacity} used, at most {high_water}"
        )?;
        writeln!(f, "  {dead} dead, {slack} slack; {fallbacks} requests served elsewhere or not at all")
    }

    /// What is in use under each tag, and under none, where there are tags.
    fn write_tags(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.tags().next().is_none() {
            return Ok(());
        }
        writeln!(f, "  live blocks   live bytes    share  tag")?;
        let mut line = |blocks: usize, bytes: usize, name: &dyn Display| {
            let share = share(bytes, self.live_bytes());
            writeln!(f, "{blocks:>13}  {}  {share:>5.1} %  {name}", Column(bytes))
        };
        let mut rest = (self.live_blocks(), self.live_bytes());
        for TagStats { tag, blocks, bytes } in self.tags() {
            rest = (rest.0.saturating_sub(blocks), rest.1.saturating_sub(bytes));
            line(blocks, bytes, &OneLine(tag.name()))?;
        }
        line(rest.0, rest.1, &"(none)")
    }

    /// What rounding has cost, where that was counted.
    fn write_rounding(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let classes = self.used_classes().map(|class| (Some(class.block_size), class.rounding));
        let others = [(None, self.span_rounding), (None, self.mapping_rounding)];
        let mut all = classes.chain(others).zip(0..).filter(|((_, rounding), _)| rounding.blocks > 0).peekable();
        if all.peek().is_none() {
            return Ok(());
        }
        let last = self.used_classes().count();
        writeln!(f, "block size   allocations    asked for        given   rounding, while exact bytes were counted")?;
        let mut line = |name: &dyn Display, Rounding { blocks, requested, granted }: Rounding| {
            let waste = granted.saturating_sub(requested) as usize;
            let [requested, granted] = [requested, granted].map(|bytes| bytes as usize);
            let share = share(waste, granted);
            writeln!(
                f,
                "{name:>10} {blocks:>13}  {}  {}  {}  {share:>5.1} %",
                Column(requested),
                Column(granted),
                Column(waste)
            )
        };
        let mut sum = Rounding::NONE;
        for ((size, rounding), nth) in all {
            sum.add([rounding.blocks, rounding.requested, rounding.granted]);
            match size {
                Some(size) => line(&size, rounding)?,
                None => line(&if nth == last { "spans" } else { "mappings" }, rounding)?,
            }
        }
        line(&"all", sum)
    }

    fn write_classes(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "block size  live blocks   live bytes   in use   slabs  waiting    refills    flushes  remote frees"
        )?;
        for class in self.used_classes() {
            let ClassStats { block_size, live, slabs, in_magazines, in_outboxes, traffic, .. } = *class;
            let in_use = class.utilisation() * 100.0;
            let waiting = in_magazines + in_outboxes;
            let Traffic { refills, flushes, remote_frees, .. } = traffic;
            writeln!(
                f,
                "{block_size:>10} {live:>12}  {}  {in_use:>5.1} % {slabs:>7} {waiting:>8} {refills:>10} {flushes:>10} {remote_frees:>13}",
                Column(live * block_size)
            )?;
        }
        Ok(())
    }
}
