//! What a piece of code does with memory: a region, a budget, and tags.
//!
//! `cargo run --example budgets --features backtrace -- fail` also shows what a budget says that is not kept.

use std::collections::HashMap;
use std::panic::catch_unwind;
use tenure::{Region, Tag, Tenure, assert_allocs, assert_no_alloc, tagged};

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

fn parse(line: &str) -> Vec<String> {
    line.split(',').map(str::to_owned).collect()
}

/// Words, and where they stand.
fn index(text: &str) -> HashMap<String, Vec<usize>> {
    let mut places: HashMap<_, Vec<_>> = HashMap::new();
    for (place, word) in text.split_whitespace().enumerate() {
        places.entry(word.to_lowercase()).or_default().push(place);
    }
    places
}

fn main() {
    let text = include_str!("budgets.rs");

    let region = Region::thread();
    let places = index(text);
    let delta = region.delta();
    drop(region);
    println!("the index of {} words was built with {} allocations", places.len(), delta.allocations);
    println!("it keeps {} bytes in {} blocks; at most {} at once", delta.bytes, delta.blocks, delta.peak_bytes);

    let found = assert_no_alloc(|| places.get("tenure").map(Vec::len));
    println!("a lookup allocates nothing and finds {found:?}");
    let fields = assert_allocs(..=4, ..=200, || parse("a,b,c"));
    println!("{} fields took at most 4 allocations of 200 bytes in all", fields.len());

    if std::env::args().len() > 1 {
        // Says where the third allocation was made, and goes on.
        let _ = catch_unwind(|| assert_allocs(..=2, .., || parse("a,b,c")));
    }

    let [lines, words] = ["lines", "words"].map(|name| Tag::named(name).expect("two tags are used"));
    let kept = tagged(lines, || text.lines().map(str::to_owned).collect::<Vec<_>>());
    let more = tagged(words, || index(text));
    for figures in GLOBAL.stats().tags() {
        println!("{:>6}: {:5} blocks, {:6} bytes", figures.tag.name(), figures.blocks, figures.bytes);
    }
    drop((kept, more));
}
