//! The snapshot as a table for people.

use super::{ClassStats, Stats};
use crate::arena::ArenaStats;
use core::fmt::{self, Display, Formatter};

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
        let lines = [
            ("live", self.live_bytes(), "blocks that the program has"),
            ("free in slabs", self.free_in_slabs, "room for more blocks of the same sizes"),
            ("in magazines", self.in_magazines, "free blocks at threads' hands"),
            ("retained", self.retained, "unused, kept for a while"),
            ("static", self.static_memory.used, "placed once, for good"),
            ("metadata", self.metadata, "what describes the rest"),
        ];
        writeln!(f, "memory                 bytes    share")?;
        for (name, bytes, meaning) in lines {
            writeln!(f, "  {name:<14} {}   {:>5.1} %  {meaning}", Bytes(bytes), share(bytes, self.committed))?;
        }
        writeln!(f, "  {:<14} {}            peak {}", "committed", Bytes(self.committed), Bytes(self.peak_committed))
    }

    fn write_beside(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Stats { segments, pooled_segments, heaps, parked_heaps, mappings, spans, .. } = self;
        writeln!(f, "  {:<14} {}            purged so far {}", "reserved", Bytes(self.reserved), Bytes(self.purged))?;
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
        writeln!(f, "spans {spans}, {}; mappings {mappings}, {}", Bytes(self.span_bytes), Bytes(self.mapping_bytes))
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
        for class in self.classes.iter().filter(|class| class.slabs > 0) {
            let ClassStats { block_size, live, slabs, in_magazines, remote_pending, .. } = *class;
            let bytes = live * block_size;
            let in_use = share(bytes, slabs * crate::size_class::SLOT_SIZE);
            writeln!(
                f,
                "{block_size:>10} {live:>15}  {}  {in_use:>5.1} % {slabs:>7} {in_magazines:>11} {remote_pending:>8}",
                Bytes(bytes)
            )?;
        }
        Ok(())
    }
}
