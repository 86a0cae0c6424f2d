//! Lines: the parts of the balance, in the order in which pictures stack them: what the program has, what is on its
//! way, what is unused.

use std::collections::BTreeMap;

/// What lines have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// The program has it.
    Live,
    /// Free blocks that are on their way to whoever asks next.
    Waiting,
    /// In no use.
    Unused,
    /// What describes the rest.
    Descriptive,
    /// Nothing is known of it here.
    Unknown,
}

/// A line of a balance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// As the format has it.
    pub name: String,
    /// In words.
    pub label: String,
    pub meaning: &'static str,
    pub family: Family,
    /// What tells it from others in a picture: the name of a colour.
    pub colour: &'static str,
}

const KNOWN: [(&str, &str, Family); 14] = [
    ("live_in_slabs", "live, small", Family::Live),
    ("live_spans", "live spans", Family::Live),
    ("live_mappings", "live mappings", Family::Live),
    ("static_live", "static", Family::Live),
    ("in_magazines", "magazines", Family::Waiting),
    ("in_outboxes", "outboxes", Family::Waiting),
    ("returned", "returned", Family::Waiting),
    ("free_in_slabs", "free in slabs", Family::Unused),
    ("slab_ends", "slab ends", Family::Unused),
    ("free_slots", "free slots", Family::Unused),
    ("free_segments", "free segments", Family::Unused),
    ("cached_mappings", "cached mappings", Family::Unused),
    ("static_dead", "static, dead", Family::Unused),
    ("metadata", "metadata", Family::Descriptive),
];

/// All lines that occur in one of the balances, in order; those that are not known here come last.
pub fn lines_of<'a>(balances: impl Iterator<Item = &'a BTreeMap<String, u64>>) -> Vec<Line> {
    let mut unknown = Vec::new();
    for name in balances.flat_map(BTreeMap::keys) {
        let is_known = KNOWN.iter().any(|(known, ..)| known == name);
        if !is_known && !unknown.contains(name) {
            unknown.push(name.clone());
        }
    }
    let library = tenure::Balance::default().lines();
    let known = KNOWN.map(|(name, label, family)| Line {
        name: name.to_owned(),
        label: label.to_owned(),
        meaning: library.iter().find(|line| line.name == name).map_or("", |line| line.meaning),
        family,
        colour: name,
    });
    let unknown = unknown.into_iter().map(|name| Line {
        label: name.replace('_', " "),
        name,
        meaning: "not known to this command",
        family: Family::Unknown,
        colour: "unknown",
    });
    known.into_iter().chain(unknown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_librarys_is_known_and_has_a_meaning() {
        let mut names: Vec<_> = tenure::Balance::default().lines().map(|line| line.name).to_vec();
        let mut known: Vec<_> = KNOWN.iter().map(|(name, ..)| *name).collect();
        names.sort_unstable();
        known.sort_unstable();
        assert_eq!(names, known);
        assert!(lines_of([].into_iter()).iter().all(|line| !line.meaning.is_empty()));
    }

    #[test]
    fn a_line_of_a_later_library_comes_last_under_its_own_name() {
        let balance = BTreeMap::from([("at_sea".to_owned(), 1), ("metadata".to_owned(), 1)]);
        let lines = lines_of([&balance, &balance].into_iter());
        assert_eq!(lines.len(), KNOWN.len() + 1);
        assert_eq!(lines.last().unwrap().label, "at sea");
    }
}
