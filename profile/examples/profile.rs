//! A program that takes a heap profile of itself while it works, and writes it in every form.
//!
//! ```text
//! cargo run --release -p tenure-profile --example profile -- /tmp
//! ```
//!
//! It also does as `TENURE_PROFILE` and `TENURE_LEAKS` say.

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::path::PathBuf;
use tenure_profile::{Options, Profile, Unwinder, Value};

#[global_allocator]
static GLOBAL: tenure::Tenure = tenure::Tenure::new();

/// An index of words: what is live when the profile is taken.
#[inline(never)]
fn build_index(text: &str) -> HashMap<String, Vec<usize>> {
    let mut index = HashMap::<String, Vec<usize>>::new();
    for (place, word) in text.split_whitespace().enumerate() {
        index.entry(word.to_lowercase()).or_default().push(place);
    }
    index
}

/// Work that allocates much and keeps nothing.
#[inline(never)]
fn count_letters(text: &str) -> usize {
    (0..50).map(|start| text.chars().skip(start).step_by(97).collect::<String>().len()).sum()
}

/// Memory that nobody frees: the report names this function.
#[inline(never)]
fn forget_a_megabyte() {
    std::mem::forget(vec![1_u8; 1 << 20]);
}

fn main() -> Result<(), Box<dyn Error>> {
    tenure_profile::from_env();
    if !tenure_profile::is_armed() {
        tenure_profile::arm_with(Options { rate: 64 * 1024, unwinder: Unwinder::Tables, ..Options::default() })?;
    }

    let text: String = (0..200_000_u64).map(|n| format!("word{} ", n * n % 7919)).collect();
    let index = build_index(&text);
    let letters = count_letters(&text);
    forget_a_megabyte();
    println!("{} words, {letters} letters", index.len());

    if let Some(folder) = env::args_os().nth(1).map(PathBuf::from) {
        let profile = Profile::take();
        for name in ["heap.pb.gz", "heap.folded", "heap.svg"] {
            let file = folder.join(name);
            profile.save(&file, Value::LiveBytes)?;
            println!("{}", file.display());
        }
        print!("{}", profile.leaks());
    }
    Ok(())
}
