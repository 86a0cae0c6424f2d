//! The snapshot for whatever takes [`serde`]'s data: the same names, nesting and values as in JSON.

use super::record::{Record, Sink};
use super::{Balance, ClassStats, Rounding, Stats, SystemStats, TagStats, Traffic};
use crate::arena::ArenaStats;
use core::convert::Infallible;
use serde::ser::{Serialize, SerializeSeq, SerializeStruct, Serializer};

/// Counts members, of which some formats have to be told before the first.
struct Count(usize);

impl Sink for Count {
    type Error = Infallible;

    fn number(&mut self, _name: &'static str, _value: u64) -> Result<(), Infallible> {
        self.0 += 1;
        Ok(())
    }

    fn text(&mut self, _name: &'static str, _value: &'static str) -> Result<(), Infallible> {
        self.0 += 1;
        Ok(())
    }

    fn optional(&mut self, _name: &'static str, _value: Option<u64>) -> Result<(), Infallible> {
        self.0 += 1;
        Ok(())
    }

    fn ratio(&mut self, _name: &'static str, _value: f64) -> Result<(), Infallible> {
        self.0 += 1;
        Ok(())
    }

    fn record(&mut self, _name: &'static str, _record: Option<&impl Record>) -> Result<(), Infallible> {
        self.0 += 1;
        Ok(())
    }

    fn records<R: Record>(
        &mut self,
        _name: &'static str,
        _records: impl Iterator<Item = R> + Clone,
    ) -> Result<(), Infallible> {
        self.0 += 1;
        Ok(())
    }
}

/// Passes members on to a serializer.
struct Members<S>(S);

impl<S: SerializeStruct> Sink for Members<S> {
    type Error = S::Error;

    fn number(&mut self, name: &'static str, value: u64) -> Result<(), S::Error> {
        self.0.serialize_field(name, &value)
    }

    fn text(&mut self, name: &'static str, value: &'static str) -> Result<(), S::Error> {
        self.0.serialize_field(name, value)
    }

    fn optional(&mut self, name: &'static str, value: Option<u64>) -> Result<(), S::Error> {
        self.0.serialize_field(name, &value)
    }

    fn ratio(&mut self, name: &'static str, value: f64) -> Result<(), S::Error> {
        self.0.serialize_field(name, &value)
    }

    fn record(&mut self, name: &'static str, record: Option<&impl Record>) -> Result<(), S::Error> {
        self.0.serialize_field(name, &record.map(One))
    }

    fn records<R: Record>(
        &mut self,
        name: &'static str,
        records: impl Iterator<Item = R> + Clone,
    ) -> Result<(), S::Error> {
        self.0.serialize_field(name, &Many(records))
    }
}

struct One<'a, R>(&'a R);

impl<R: Record> Serialize for One<'_, R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut count = Count(0);
        let Ok(()) = self.0.visit(&mut count);
        let mut members = Members(serializer.serialize_struct(R::NAME, count.0)?);
        self.0.visit(&mut members)?;
        members.0.end()
    }
}

struct Many<I>(I);

impl<R: Record, I: Iterator<Item = R> + Clone> Serialize for Many<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut items = serializer.serialize_seq(Some(self.0.clone().count()))?;
        for record in self.0.clone() {
            items.serialize_element(&One(&record))?;
        }
        items.end()
    }
}

macro_rules! serialize {
    ($($record:ty),+) => {$(
        /// With the feature `serde`: the same names, nesting and values as [`Stats::json`].
        impl Serialize for $record {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                One(self).serialize(serializer)
            }
        }
    )+};
}

serialize!(Stats, Balance, SystemStats, ArenaStats, TagStats, ClassStats, Traffic, Rounding);
