//! The allocators that workloads can be linked with. Each is a feature of the contender.

/// An allocator that a program is linked with, through `#[global_allocator]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allocator {
    /// Its name on the command line and in results, and the contender's feature unless that is none.
    pub name: &'static str,
    /// Its name in tables.
    pub label: &'static str,
    pub about: &'static str,
    /// The crates whose versions say which allocator it is.
    pub crates: &'static [&'static str],
}

/// Tenure's own name, in all contests.
pub const TENURE: &str = "tenure";

/// The system's allocator, for which the contender has no feature.
pub const SYSTEM: &str = "system";

/// Those whose memory the target of peak memory is about: by the beginnings of their names, since some come in several
/// versions and as libraries, too.
pub const LEAN: [&str; 3] = ["mimalloc", "jemalloc", "snmalloc"];

pub const ALLOCATORS: [Allocator; 10] = [
    Allocator { name: TENURE, label: "Tenure", about: "pure Rust, with its default features", crates: &["tenure"] },
    Allocator { name: SYSTEM, label: "system", about: "the C library's", crates: &[] },
    Allocator {
        name: "mimalloc3",
        label: "mimalloc 3",
        about: "C, version 3",
        crates: &["mimalloc", "libmimalloc-sys"],
    },
    Allocator {
        name: "mimalloc2",
        label: "mimalloc 2",
        about: "C, version 2",
        crates: &["mimalloc", "libmimalloc-sys"],
    },
    Allocator { name: "jemalloc", label: "jemalloc", about: "C", crates: &["tikv-jemallocator", "tikv-jemalloc-sys"] },
    Allocator { name: "snmalloc", label: "snmalloc", about: "C++", crates: &["snmalloc-rs", "snmalloc-sys"] },
    Allocator { name: "rpmalloc", label: "rpmalloc", about: "C", crates: &["rpmalloc", "rpmalloc-sys"] },
    Allocator {
        name: "rusty_alloc",
        label: "rusty_alloc",
        about: "pure Rust",
        crates: &["rusty_alloc-api", "rusty_alloc"],
    },
    Allocator { name: "smalloc", label: "smalloc", about: "pure Rust", crates: &["smmalloc"] },
    Allocator {
        name: "talc",
        label: "talc",
        about: "pure Rust, behind a spin lock, over the system's",
        crates: &["talc"],
    },
];

impl Allocator {
    pub fn named(name: &str) -> Option<&'static Self> {
        ALLOCATORS.iter().find(|allocator| allocator.name == name)
    }

    /// The feature that the contender is built with.
    pub fn feature(&self) -> Option<&'static str> {
        (self.name != SYSTEM).then_some(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contender_has_a_feature_for_each_allocator_and_none_beyond() {
        let manifest = include_str!("../contender/Cargo.toml");
        let features = manifest.split_once("[features]").unwrap().1.split_once("\n\n").unwrap().0;
        let mut features: Vec<_> = features.lines().filter_map(|line| Some(line.split_once(" = ")?.0)).collect();
        let mut wanted: Vec<_> = ALLOCATORS.iter().filter_map(Allocator::feature).collect();
        features.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(features, wanted);
    }
}
