//! An arena's figures as a table for people. What they should do something about comes first.

use super::arena_stats::ArenaStats;
use core::fmt::{self, Display, Formatter};

impl ArenaStats {
    /// True where more than a tenth of the used bytes are dead: something that comes and goes is placed where nothing
    /// is used again.
    #[must_use]
    pub const fn is_wasteful(&self) -> bool {
        self.dead > self.used / 10
    }

    /// The line that comes before all others where [`ArenaStats::is_wasteful`].
    pub(crate) fn write_waste(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.is_wasteful() {
            return Ok(());
        }
        let share = Share::of(self.dead, self.used).0;
        writeln!(f, "{} dead bytes: {}.{} % of what is used holds nothing", self.dead, share / 10, share % 10)
    }
}

/// A part of the bytes in use, in per cent with one digit behind the point.
struct Share(usize);

impl Display for Share {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:>3}.{} %", self.0 / 10, self.0 % 10)
    }
}

impl Share {
    fn of(part: usize, whole: usize) -> Self {
        // As wide as the largest product.
        Self((part as u128 * 1000).checked_div(whole as u128).unwrap_or_default() as usize)
    }
}

/// ```
/// static ARENA: tenure::StaticArena<1000> = tenure::StaticArena::new();
/// ARENA.alloc(1_u8);
/// ARENA.alloc(1_u64);
/// let table = ARENA.stats().to_string();
/// assert!(table.starts_with("7 dead bytes: 43.7 % of what is used holds nothing\n"), "{table}");
/// ```
impl Display for ArenaStats {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { arenas, chunks, capacity, used, dead, slack, blocks, high_water, fallbacks } = *self;
        self.write_waste(f)?;
        writeln!(f, "static memory        bytes")?;
        for (name, bytes, meaning) in [
            ("capacity", capacity, ""),
            ("used", used, "live and dead"),
            ("live", self.live(), "values, and blocks that are handed out"),
            ("dead", dead, "used, and hold nothing"),
            ("remaining", self.remaining(), "can be handed out"),
            ("slack", slack, "not used, and never will be"),
            ("high water", high_water, "the most that was ever used"),
        ] {
            let line = Line { name, bytes, share: Share::of(bytes, capacity), meaning };
            writeln!(f, "{line}")?;
        }
        write!(f, "arenas {arenas}; chunks {chunks}; blocks {blocks}; requests not served {fallbacks}")
    }
}

/// One line of the table.
struct Line {
    name: &'static str,
    bytes: usize,
    share: Share,
    meaning: &'static str,
}

impl Display for Line {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { name, bytes, share, meaning } = self;
        if meaning.is_empty() {
            return write!(f, "  {name:<10} {bytes:>13}");
        }
        write!(f, "  {name:<10} {bytes:>13}  {share}  {meaning}")
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::string::ToString;

    fn figures() -> ArenaStats {
        ArenaStats {
            arenas: 1,
            chunks: 1,
            capacity: 1000,
            used: 500,
            dead: 50,
            slack: 100,
            blocks: 12,
            high_water: 600,
            fallbacks: 3,
        }
    }

    #[test]
    fn the_table_has_every_figure_and_its_share_of_the_capacity() {
        let table = figures().to_string();
        let lines: std::vec::Vec<_> = table.lines().collect();
        assert_eq!(lines[0], "static memory        bytes");
        assert_eq!(lines[1], "  capacity            1000");
        assert_eq!(lines[2], "  used                 500   50.0 %  live and dead");
        assert_eq!(lines[4], "  dead                  50    5.0 %  used, and hold nothing");
        assert_eq!(lines[5], "  remaining            400   40.0 %  can be handed out");
        assert_eq!(lines[8], "arenas 1; chunks 1; blocks 12; requests not served 3");
    }

    #[test]
    fn dead_bytes_come_first_where_they_are_more_than_a_tenth_of_those_used() {
        assert!(!figures().to_string().contains("dead bytes"));
        let table = ArenaStats { dead: 51, ..figures() }.to_string();
        assert_eq!(table.lines().next(), Some("51 dead bytes: 10.2 % of what is used holds nothing"));
    }

    #[test]
    fn the_table_of_no_arena_is_all_zero() {
        let table = ArenaStats::default().to_string();
        assert!(table.contains("  used                   0    0.0 %"), "{table}");
    }
}
