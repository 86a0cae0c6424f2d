//! The README is the crate's documentation; what it shows is what there is.
#![cfg(not(loom))]

#[global_allocator]
static GLOBAL: tenure::Tenure = tenure::Tenure::new();

const README: &str = include_str!("../README.md");

#[test]
fn the_readme_shows_the_quickstart_as_it_is() {
    let quickstart = include_str!("../examples/quickstart.rs");
    assert!(README.contains(quickstart), "README.md and examples/quickstart.rs differ");
}

#[test]
fn every_file_that_the_readme_names_is_there() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut named = 0;
    for word in README.split(['`', '(', ')', ' ', '\n']) {
        if ["docs/", "ci/", "examples/", "tests/", "benches/"].iter().any(|folder| word.starts_with(folder)) {
            assert!(root.join(word).exists(), "{word} is named and does not exist");
            named += 1;
        }
    }
    assert!(named >= 5, "only {named} names were found");
}
