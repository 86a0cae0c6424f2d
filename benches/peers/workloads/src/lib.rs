//! Real things that people do, with real libraries, on whichever allocator the program has chosen.
//!
//! A program that declares a `#[global_allocator]` runs a [`Workload`] and compares its time and memory with those of
//! the same program on another allocator. Every workload makes its own input from a fixed seed and returns a checksum
//! of its results: that is equal over all allocators, all runs and all numbers of threads, so a difference means that
//! an allocator has handed out bad memory.
//!
//! ```
//! use tenure_workloads::{Scale, all};
//!
//! let json = all().iter().find(|workload| workload.name == "json-value").expect("the workload is known");
//! let scale = Scale { threads: 1, share: 0.001 };
//! assert_eq!((json.run)(&scale), (json.run)(&scale));
//! ```

mod input;

mod arrow_columns;
mod ast_fold;
mod btree_map;
mod channel_ring;
mod compress_files;
mod csv_report;
mod graph_paths;
mod hand_over;
mod hash_map;
mod http_loopback;
mod image_thumbnails;
mod json_typed;
mod json_value;
mod lru_cache;
mod markdown_html;
mod persistent_map;
mod rayon_group;
mod rayon_sort;
mod regex_logs;
mod request_cache;
mod rhai_script;
mod rope_edit;
mod search_index;
mod shared_cache;
mod syn_rust;
mod template_pages;
mod text_diff;
mod thread_per_request;
mod tokio_actors;
mod toml_config;
mod vec_growth;
mod xml_tree;

/// One of them.
pub struct Workload {
    /// Unique, lower-case words with dashes.
    pub name: &'static str,
    /// What it does, with which library, in one line.
    pub about: &'static str,
    /// How many threads it takes.
    pub threads: Threads,
    /// Does it, and returns a checksum of the results, which depends on `share` alone.
    pub run: fn(&Scale) -> u64,
}

/// How many threads a workload takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Threads {
    /// One, whatever the scale says.
    One,
    /// As many as [`Scale::threads`] says run at a time; others wait for them.
    Many,
}

/// How much is done, and on how many threads.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Threads that share the work. The work does not grow with them. At least 1.
    pub threads: usize,
    /// 1.0 is 0.5 to 3 seconds of one core; smaller for a quick run. More than 0.
    pub share: f64,
}

impl Scale {
    /// This scale's share of `whole`, and at least 1.
    fn of(&self, whole: usize) -> usize {
        ((whole as f64 * self.share) as usize).max(1)
    }
}

/// All workloads, in the order of their names.
///
/// Costs nothing: they are constants.
pub fn all() -> &'static [Workload] {
    const ALL: &[Workload] = &[
        arrow_columns::WORKLOAD,
        ast_fold::WORKLOAD,
        btree_map::WORKLOAD,
        channel_ring::WORKLOAD,
        compress_files::WORKLOAD,
        csv_report::WORKLOAD,
        graph_paths::WORKLOAD,
        hand_over::WORKLOAD,
        hash_map::WORKLOAD,
        http_loopback::WORKLOAD,
        image_thumbnails::WORKLOAD,
        json_typed::WORKLOAD,
        json_value::WORKLOAD,
        lru_cache::WORKLOAD,
        markdown_html::WORKLOAD,
        persistent_map::WORKLOAD,
        rayon_group::WORKLOAD,
        rayon_sort::WORKLOAD,
        regex_logs::WORKLOAD,
        request_cache::WORKLOAD,
        rhai_script::WORKLOAD,
        rope_edit::WORKLOAD,
        search_index::WORKLOAD,
        shared_cache::WORKLOAD,
        syn_rust::WORKLOAD,
        template_pages::WORKLOAD,
        text_diff::WORKLOAD,
        thread_per_request::WORKLOAD,
        tokio_actors::WORKLOAD,
        toml_config::WORKLOAD,
        vec_growth::WORKLOAD,
        xml_tree::WORKLOAD,
    ];
    ALL
}
