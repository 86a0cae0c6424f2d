//! What the figures are called, said once for every format that writes names: JSON, and serializers.

use super::{Balance, ClassStats, Rounding, Stats, SystemStats, TagStats, Traffic};
use crate::arena::ArenaStats;

/// A group of figures.
pub(super) trait Record {
    /// What the group is called where it has to have a name.
    #[cfg_attr(not(feature = "serde"), allow(dead_code, reason = "JSON names no group"))]
    const NAME: &'static str;

    /// Passes every figure on, by its name, in an order that stays.
    fn visit<S: Sink>(&self, sink: &mut S) -> Result<(), S::Error>;
}

/// Where figures go.
pub(super) trait Sink {
    type Error;

    fn number(&mut self, name: &'static str, value: u64) -> Result<(), Self::Error>;

    /// A name, in which there may be anything.
    fn text(&mut self, name: &'static str, value: &'static str) -> Result<(), Self::Error>;

    /// A figure that is not known everywhere.
    fn optional(&mut self, name: &'static str, value: Option<u64>) -> Result<(), Self::Error>;

    /// A part of a whole, from 0 to 1, with four places.
    fn ratio(&mut self, name: &'static str, value: f64) -> Result<(), Self::Error>;

    fn record(&mut self, name: &'static str, record: Option<&impl Record>) -> Result<(), Self::Error>;

    fn records<R: Record>(
        &mut self,
        name: &'static str,
        records: impl Iterator<Item = R> + Clone,
    ) -> Result<(), Self::Error>;
}

/// A ratio as it is in every format that writes names: the nearest one with four places, so that they agree.
pub(super) fn four_places(ratio: f64) -> f64 {
    ((ratio * 10_000.0 + 0.5) as u64) as f64 / 10_000.0
}

impl<R: Record> Record for &R {
    const NAME: &'static str = R::NAME;

    fn visit<S: Sink>(&self, sink: &mut S) -> Result<(), S::Error> {
        (*self).visit(sink)
    }
}

impl Record for Stats {
    const NAME: &'static str = "Stats";

    fn visit<S: Sink>(&self, sink: &mut S) -> Result<(), S::Error> {
        sink.number("version", self.version.into())?;
        sink.optional("time_ms", self.time_ms)?;
        sink.optional("uptime_ms", self.uptime_ms)?;
        sink.optional("process_id", self.process_id.map(u64::from))?;
        sink.number("committed", self.committed as u64)?;
        sink.number("peak_committed", self.peak_committed as u64)?;
        sink.number("peak_since_reset", self.peak_since_reset as u64)?;
        sink.number("peak_live_bytes", self.peak_live_bytes as u64)?;
        sink.number("peak_live_since_reset", self.peak_live_since_reset as u64)?;
        sink.number("reserved", self.reserved as u64)?;
        sink.number("purged", self.purged as u64)?;
        sink.number("live_bytes", self.live_bytes() as u64)?;
        sink.number("live_blocks", self.live_blocks() as u64)?;
        sink.number("allocations", self.allocations)?;
        sink.number("frees", self.frees())?;
        sink.number("spans", self.spans as u64)?;
        sink.record("span_traffic", Some(&self.span_traffic))?;
        sink.record("span_rounding", self.span_rounding.known())?;
        sink.number("mappings", self.mappings as u64)?;
        sink.record("mapping_rounding", self.mapping_rounding.known())?;
        sink.number("mappings_allocated", self.mappings_allocated)?;
        sink.number("segments", self.segments as u64)?;
        sink.number("pooled_segments", self.pooled_segments as u64)?;
        sink.number("heaps", self.heaps as u64)?;
        sink.number("parked_heaps", self.parked_heaps as u64)?;
        sink.record("balance", Some(&self.balance))?;
        sink.record("system", self.system.as_ref())?;
        sink.record("static_memory", Some(&self.static_memory))?;
        sink.record("scopes", Some(&self.scopes))?;
        sink.records("tags", self.tags())?;
        sink.records("classes", self.used_classes())
    }
}

impl Record for Balance {
    const NAME: &'static str = "Balance";

    fn visit<S: Sink>(&self, sink: &mut S) -> Result<(), S::Error> {
        self.lines().iter().try_for_each(|line| sink.number(line.name, line.bytes as u64))
    }
}

impl Record for SystemStats {
    const NAME: &'static str = "SystemStats";

    fn visit<S: Sink>(&self, sink: &mut S) -> Result<(), S::Error> {
        let wide = |figure: Option<usize>| figure.map(|figure| figure as u64);
        sink.number("resident", self.resident as u64)?;
        sink.optional("anonymous", wide(self.anonymous))?;
        sink.optional("lazily_freed", wide(self.lazily_freed))?;
        sink.optional("swapped", wide(self.swapped))?;
        sink.number("not_ours", self.not_ours as u64)?;
        sink.number("untouched", self.untouched as u64)
    }
}

impl Record for Traffic {
    const NAME: &'static str = "Traffic";

    fn visit<S: Sink>(&self, sink: &mut S) -> Result<(), S::Error> {
        sink.number("refills", self.refills)?;
        sink.number("refilled", self.refilled)?;
        sink.number("flushes", self.flushes)?;
        sink.number("flushed", self.flushed)?;
        sink.number("remote_frees", self.remote_frees)
    }
}

impl Record for Rounding {
    const NAME: &'static str = "Rounding";

    fn visit<S: Sink>(&self, sink: &mut S) -> Result<(), S::Error> {
        sink.number("blocks", self.blocks)?;
        sink.number("requested", self.requested)?;
        sink.number("granted", self.granted)
    }
}

impl Record for ArenaStats {
    const NAME: &'static str = "ArenaStats";

    fn visit<S: Sink>(&self, sink: &mut S) -> Result<(), S::Error> {
        sink.number("arenas", self.arenas as u64)?;
        sink.number("chunks", self.chunks as u64)?;
        sink.number("capacity", self.capacity as u64)?;
        sink.number("used", self.used as u64)?;
        sink.number("dead", self.dead as u64)?;
        sink.number("slack", self.slack as u64)?;
        sink.number("blocks", self.blocks as u64)?;
        sink.number("high_water", self.high_water as u64)?;
        sink.number("fallbacks", self.fallbacks as u64)
    }
}

impl Record for TagStats {
    const NAME: &'static str = "TagStats";

    fn visit<S: Sink>(&self, sink: &mut S) -> Result<(), S::Error> {
        sink.text("name", self.tag.name())?;
        sink.number("blocks", self.blocks as u64)?;
        sink.number("bytes", self.bytes as u64)
    }
}

impl Record for ClassStats {
    const NAME: &'static str = "ClassStats";

    fn visit<S: Sink>(&self, sink: &mut S) -> Result<(), S::Error> {
        sink.number("block_size", self.block_size as u64)?;
        sink.number("slabs", self.slabs as u64)?;
        sink.number("live", self.live as u64)?;
        sink.number("in_magazines", self.in_magazines as u64)?;
        sink.number("in_outboxes", self.in_outboxes as u64)?;
        sink.number("free", self.free as u64)?;
        sink.number("remote_pending", self.remote_pending as u64)?;
        sink.ratio("utilisation", four_places(self.utilisation()))?;
        sink.record("traffic", Some(&self.traffic))?;
        sink.record("rounding", self.rounding.known())
    }
}

#[cfg(test)]
mod tests {
    use super::four_places;

    #[test]
    fn a_ratio_is_rounded_to_four_places_and_then_written_with_them_as_it_is() {
        assert_eq!([0.0, 0.001_098_632_812_5, 0.031_25, 1.0].map(four_places), [0.0, 0.0011, 0.0313, 1.0]);
        for nth in 0..=65_536_u32 {
            let rounded = four_places(f64::from(nth) / 65_536.0);
            assert_eq!(std::format!("{rounded:.4}").parse(), Ok(rounded));
        }
    }
}
