//! The snapshot as a table for people.

use super::{BalanceLine, ClassStats, Stats};
use crate::arena::ArenaStats;
use core::fmt::{self, Display, Formatter, Write};

/// A number of bytes, in the unit that suits it.
struct Bytes(usize);

impl Display for Bytes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
        if self.0 < 1024 {
            return write!(f, "{:>7} B  ", self.0);
        }
        let mut value = self.0 as f64 / 1024.0;
        let mut unit = 0;
        while value >= 1024.0 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        write!(f, "{value:>7.1} {}", UNITS[unit])
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
        self.write_beside(f)?;
        self.write_classes(f)
    }
}

impl Stats {
    fn write_balance(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "memory                  bytes    share")?;
        for BalanceLine { name, bytes, meaning } in self.balance.lines() {
            if bytes > 0 {
                let share = share(bytes, self.committed);
                writeln!(f, "  {:<15} {}   {share:>5.1} %  {meaning}", Words(name), Bytes(bytes))?;
            }
        }
        writeln!(f, "  {:<15} {}            peak {}", "committed", Bytes(self.committed), Bytes(self.peak_committed))
    }

    fn write_beside(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Stats { segments, pooled_segments, heaps, parked_heaps, mappings, spans, .. } = self;
        writeln!(f, "  {:<15} {}            purged so far {}", "reserved", Bytes(self.reserved), Bytes(self.purged))?;
        writeln!(
            f,
            "{} live blocks; {} freed by other threads, not collected",
            self.live_blocks(),
            self.remote_pending()
        )?;
        writeln!(
            f,
            "segments {segments} in use, {pooled_segments} unused; heaps {heaps}, {parked_heaps} of them parked"
        )?;
        self.write_static(f)?;
        writeln!(f, "spans {spans}; mappings {mappings}")
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

    fn write_classes(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "block size     live blocks   live bytes   in use   slabs   magazines   remote")?;
        for class in self.used_classes() {
            let ClassStats { block_size, live, slabs, in_magazines, remote_pending, .. } = *class;
            let bytes = live * block_size;
            let in_use = class.utilisation() * 100.0;
            writeln!(
                f,
                "{block_size:>10} {live:>15}  {}  {in_use:>5.1} % {slabs:>7} {in_magazines:>11} {remote_pending:>8}",
                Bytes(bytes)
            )?;
        }
        Ok(())
    }
}
