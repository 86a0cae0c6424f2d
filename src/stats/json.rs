//! The snapshot as JSON: one object on one line. `docs/stats.schema.json` describes it.

use super::Stats;
use super::record::{Record, Sink};
use core::fmt::{self, Display, Formatter, Write};

/// A snapshot as one line of JSON, without a line's end: what [`Stats::json`] returns.
#[derive(Debug, Clone, Copy)]
pub struct Json<'a>(pub(super) &'a Stats);

impl Display for Json<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_record(f, self.0)
    }
}

/// Writes the members of an object.
struct Members<'a, W> {
    out: &'a mut W,
    is_first: bool,
}

fn write_record<W: Write>(out: &mut W, record: &impl Record) -> fmt::Result {
    out.write_char('{')?;
    record.visit(&mut Members { out: &mut *out, is_first: true })?;
    out.write_char('}')
}

impl<W: Write> Members<'_, W> {
    /// Names are plain words, in which nothing is to be escaped.
    fn name(&mut self, name: &str) -> fmt::Result {
        let comma = if self.is_first { "" } else { "," };
        self.is_first = false;
        write!(self.out, "{comma}\"{name}\":")
    }
}

impl<W: Write> Sink for Members<'_, W> {
    type Error = fmt::Error;

    fn number(&mut self, name: &'static str, value: u64) -> fmt::Result {
        self.name(name)?;
        write!(self.out, "{value}")
    }

    fn text(&mut self, name: &'static str, value: &'static str) -> fmt::Result {
        self.name(name)?;
        self.out.write_char('"')?;
        for character in value.chars() {
            match character {
                '"' | '\\' => write!(self.out, "\\{character}")?,
                '\0'..='\u{1f}' => write!(self.out, "\\u{:04x}", u32::from(character))?,
                _ => self.out.write_char(character)?,
            }
        }
        self.out.write_char('"')
    }

    fn optional(&mut self, name: &'static str, value: Option<u64>) -> fmt::Result {
        match value {
            Some(value) => self.number(name, value),
            None => {
                self.name(name)?;
                self.out.write_str("null")
            }
        }
    }

    fn ratio(&mut self, name: &'static str, value: f64) -> fmt::Result {
        self.name(name)?;
        write!(self.out, "{value:.4}")
    }

    fn record(&mut self, name: &'static str, record: Option<&impl Record>) -> fmt::Result {
        self.name(name)?;
        match record {
            Some(record) => write_record(self.out, record),
            None => self.out.write_str("null"),
        }
    }

    fn records<R: Record>(&mut self, name: &'static str, records: impl Iterator<Item = R> + Clone) -> fmt::Result {
        self.name(name)?;
        self.out.write_char('[')?;
        for (nth, record) in records.enumerate() {
            if nth > 0 {
                self.out.write_char(',')?;
            }
            write_record(self.out, &record)?;
        }
        self.out.write_char(']')
    }
}
