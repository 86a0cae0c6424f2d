//! Prints a snapshot of where the memory is: `cargo run --example inspect -- text`, or `json`, or `prom`; as text, also
//! what building an index did with memory, what a look-up may do, and whose the memory is.
//!
//! With `TENURE_STATS=1` and the like it also reports as the environment says.

use std::collections::BTreeMap;
use std::env;
use std::thread;
use tenure::{Region, Tag, Tenure, assert_no_alloc, static_scope, tagged};

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

/// Something to look at: words and where they are, built by several threads, of which some is freed elsewhere; and a
/// table for good.
fn work() -> BTreeMap<String, Vec<usize>> {
    let units: &'static [&str] = static_scope(|| vec!["B", "KiB", "MiB"].leak());
    let parts: Vec<_> = (0..4)
        .map(|part| {
            thread::spawn(move || {
                let lines = (0..20_000).map(|nth| format!("{} {} {}", nth % 700, part, units[nth % units.len()]));
                lines.map(String::into_boxed_str).collect::<Vec<_>>()
            })
        })
        .collect();
    let mut index = BTreeMap::<String, Vec<usize>>::new();
    for part in parts {
        for (nth, line) in part.join().expect("a part is built").into_iter().enumerate() {
            index.entry(line.into()).or_default().push(nth);
        }
    }
    index
}

fn main() {
    tenure::from_env();
    let tag = Tag::named("index").expect("one tag is used");
    let region = Region::thread();
    let index = tagged(tag, work);
    let delta = region.delta();
    // A budget: panics where the look-up allocates.
    let found = assert_no_alloc(|| index.get("7 1 KiB").map(Vec::len));

    let mut stats = GLOBAL.stats();
    stats.ask_system();
    match env::args().nth(1).as_deref() {
        None | Some("text") => {
            print!("{stats}");
            println!(
                "this thread allocated {} blocks for the index and keeps {} bytes",
                delta.allocations, delta.bytes
            );
            println!("a look-up allocates nothing, and finds {found:?} places");
            for figures in stats.tags() {
                println!("tag {}: {} blocks, {} bytes", figures.tag.name(), figures.blocks, figures.bytes);
            }
        }
        Some("json") => println!("{}", stats.json()),
        Some("prom") => print!("{}", stats.prometheus()),
        Some(other) => eprintln!("inspect: {other}? Must be text, json or prom."),
    }

    // What stands beside the balance can be asked for by itself.
    assert!(stats.is_balanced(), "nobody else is at work");
    assert!(stats.live_blocks() > index.len());
}
