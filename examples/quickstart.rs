//! Two lines make Tenure the allocator of a program. A `StaticArena` holds what lives as long as the program does.

use std::collections::HashMap;

use tenure::{StaticArena, Tenure};

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

static NAMES: StaticArena<4096> = StaticArena::new();

fn main() {
    // Static memory: placed once, never freed, and `&'static`, so every thread may hold it.
    let unit: &'static str = NAMES.try_alloc_str("metres").expect("4096 bytes hold one word");

    // Dynamic memory: every Box, Vec, String and HashMap, with nothing to change.
    let mut depths = HashMap::new();
    for lake in ["Baikal", "Tanganyika", "Crater Lake"] {
        depths.insert(lake.to_string(), vec![1642, 1470, 594]);
    }
    println!("{} lakes, in {unit}; static memory used: {} of {}", depths.len(), NAMES.used(), NAMES.capacity());

    println!("{}", GLOBAL.stats());
}
