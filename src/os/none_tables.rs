//! No tables: nothing is known of any code.

use crate::os::rule::{Registers, Rule};

/// A program or a library that is loaded.
#[derive(Clone, Copy)]
pub(crate) struct Module {
    pub(crate) tables: usize,
}

impl Module {
    /// None.
    pub(crate) const NONE: Self = Self { tables: 0 };

    pub(crate) fn contains(&self, _address: usize) -> bool {
        false
    }

    /// There is none.
    pub(crate) fn at(_address: usize) -> Option<Self> {
        None
    }

    /// There is none.
    pub(crate) fn rule_at(&self, _address: usize) -> Rule {
        Rule::Unknown
    }
}

/// Not known.
pub(crate) fn registers() -> Option<Registers> {
    None
}
