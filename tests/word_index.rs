//! The example `word_index`, run as its users run it: as a process. `cargo test` builds the examples first;
//! `cargo test --test word_index` does not.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Output};

#[global_allocator]
static GLOBAL: tenure::Tenure = tenure::Tenure::new();

/// A directory of made-up files, removed when dropped.
struct Tree(PathBuf);

impl Tree {
    /// `name` keeps apart the trees of tests that run at the same time.
    fn new(name: &str) -> Self {
        let root = env::temp_dir().join(format!("tenure-{}-{name}", process::id()));
        fs::create_dir_all(&root).unwrap();
        Self(root)
    }

    fn with(self, path: &str, contents: impl AsRef<[u8]>) -> Self {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
        self
    }

    #[cfg(unix)]
    fn with_link(self, path: &str, target: &str) -> Self {
        std::os::unix::fs::symlink(target, self.0.join(path)).unwrap();
        self
    }

    fn index(&self) -> Run {
        Run::of(word_index().arg(&self.0))
    }

    fn index_with_threads(&self, threads: &str) -> Run {
        Run::of(word_index().args(["--threads", threads]).arg(&self.0))
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a finished run has printed.
struct Run {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Run {
    fn of(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().expect("the example starts");
        let text = |bytes| String::from_utf8(bytes).expect("the example prints UTF-8");
        Self { status: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    fn succeeded(self) -> Self {
        assert_eq!(self.status, Some(0), "{}", self.stderr);
        self
    }

    /// The number in the line `name  number`; or, for reasons of skipping, `number  name`.
    fn number(&self, name: &str) -> usize {
        let number = |line: &str| {
            let line = line.trim();
            line.strip_prefix(name).or(line.strip_suffix(name))?.split_whitespace().next()?.parse().ok()
        };
        self.stdout.lines().find_map(number).unwrap_or_else(|| panic!("no number {name:?} in:\n{}", self.stdout))
    }

    /// The lines of the commonest words: count, files, word, file with the most.
    fn commonest(&self) -> Vec<Vec<&str>> {
        let lines = self.stdout.lines().skip_while(|line| !line.ends_with("most in")).skip(1);
        lines.take_while(|line| !line.is_empty()).map(|line| line.split_whitespace().collect()).collect()
    }

    fn table(&self) -> &str {
        self.stdout.split_once("\nmemory of the whole run\n").expect("the table has a heading").1
    }

    /// All that must be the same on every run: not the time, the number of threads and the statistics.
    fn results(&self) -> Vec<&str> {
        let report = self.stdout.split_once("\nmemory of the whole run\n").unwrap().0;
        report.lines().filter(|line| !line.starts_with("time ")).collect()
    }

    fn assert_fails(&self, status: i32, why: &str) {
        assert_eq!(self.status, Some(status));
        assert_eq!(self.stdout, "");
        assert_eq!(self.stderr.lines().count(), 1, "{}", self.stderr);
        assert!(self.stderr.starts_with("word_index: ") && self.stderr.contains(why), "{}", self.stderr);
    }
}

/// The example lies beside the directory of the running test: `<profile>/deps` and `<profile>/examples`.
fn word_index() -> Command {
    let test = env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).expect("a test runs from <profile>/deps");
    let example = profile.join("examples").join("word_index").with_extension(env::consts::EXE_EXTENSION);
    assert!(example.exists(), "{example:?} is not built: run `cargo build --example word_index`");
    Command::new(example)
}

#[test]
fn words_are_counted_over_all_files_without_regard_to_case() {
    let ascii = "The cat, the dog; THE END.\n";
    let accented = "the_cat (the “cat”) -- 42 ÉTÉ été";
    let run =
        Tree::new("counts").with("a.txt", ascii).with("deep/er/b.txt", accented).with("empty", "").index().succeeded();
    assert_eq!(run.number("files"), 3);
    assert_eq!(run.number("words"), 12);
    assert_eq!(run.number("distinct"), 7);
    assert_eq!(run.number("skipped"), 0);
    assert_eq!(run.number("bytes"), ascii.len() + accented.len());
    assert_eq!(run.commonest()[0], ["4", "2", "the", "\"a.txt\""]);
    assert_eq!(run.commonest()[1], ["2", "2", "cat", "\"a.txt\""]);
    assert_eq!(run.commonest()[2], ["2", "1", "été", "\"deep/er/b.txt\""]);
    assert_eq!(run.stderr, "");
}

#[test]
fn ten_words_are_shown_and_equal_counts_stand_in_alphabetical_order() {
    let tree = Tree::new("ties").with("a", "m l k j i h g f e d c b a").with("b", "m");
    let run = tree.index().succeeded();
    let words: String = run.commonest().iter().map(|line| line[2]).collect();
    assert_eq!(words, "mabcdefghi");
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_word() {
    let run = Tree::new("mark").with("a", "\u{feff}word").with("b", "word").index().succeeded();
    assert_eq!(run.number("distinct"), 1);
}

#[test]
fn an_empty_directory_has_no_words() {
    let run = Tree::new("empty").index().succeeded();
    assert_eq!(run.number("files"), 0);
    assert!(run.commonest().is_empty());
}

#[test]
fn files_that_are_no_text_are_skipped_counted_and_named_and_nothing_else_is_lost() {
    let run = Tree::new("no-text")
        .with("before.txt", "one")
        .with("latin1.txt", b"caf\xe9 one")
        .with("program", b"one\0two")
        .with("with.txt", "one")
        .index()
        .succeeded();
    assert_eq!(run.number("files"), 2);
    assert_eq!(run.number("words"), 2);
    assert_eq!(run.number("skipped"), 2);
    assert_eq!(run.number("not UTF-8"), 1);
    assert_eq!(run.number("binary (holds a zero byte)"), 1);
    assert!(run.stderr.contains("latin1.txt\": not UTF-8") && run.stderr.contains("program\": binary"));
}

#[test]
fn only_the_first_few_skipped_files_are_named() {
    let tree = (0..8).fold(Tree::new("many-skipped"), |tree, i| tree.with(&format!("{i}"), [0xff]));
    let run = tree.index().succeeded();
    assert_eq!(run.number("not UTF-8"), 8);
    assert_eq!(run.stderr.lines().count(), 6);
    assert!(run.stderr.ends_with("skipped 3 more\n"), "{}", run.stderr);
}

#[test]
fn git_and_target_directories_are_set_aside_but_not_files_of_that_name() {
    let run = Tree::new("set-aside")
        .with(".git/config", "word")
        .with("crate/target/debug/notes", "word")
        .with("docs/target", "word")
        .index()
        .succeeded();
    assert_eq!(run.number("files"), 1);
    assert_eq!(run.number("directory set aside"), 2);
    assert_eq!(run.stderr, "");
}

#[cfg(unix)]
#[test]
fn links_to_directories_are_not_followed_and_dangling_links_are_unreadable() {
    let run = Tree::new("links")
        .with("deep/a", "word")
        .with_link("deep/up", "..")
        .with_link("to-a", "deep/a")
        .with_link("nowhere", "gone")
        .with_link("itself", "itself")
        .index()
        .succeeded();
    assert_eq!(run.number("words"), 2, "the file and the link to it");
    assert_eq!(run.number("link to a directory, not followed"), 1);
    assert_eq!(run.number("unreadable"), 2);
    assert!(run.stderr.contains("nowhere\": unreadable: "), "{}", run.stderr);
}

#[cfg(unix)]
#[test]
fn what_is_neither_file_nor_directory_is_not_opened() {
    let tree = Tree::new("socket").with("a", "word");
    let _socket = std::os::unix::net::UnixListener::bind(tree.0.join("socket")).unwrap();
    let run = tree.index().succeeded();
    assert_eq!(run.number("neither file nor directory"), 1);
    assert_eq!(run.number("words"), 1);
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let mut tree = Tree::new("threads").with("bad", [0xff]).with("binary", [0]);
    for i in 0..100 {
        let text: String = (0..i * 7).map(|j| format!("w{} ", i * j % 97)).collect();
        tree = tree.with(&format!("{}/{i}", i % 9), text);
    }
    let one = tree.index_with_threads("1").succeeded();
    let four = tree.index_with_threads("4").succeeded();
    let many = tree.index_with_threads("120").succeeded();
    assert_eq!(one.number("files"), 100);
    assert_eq!(one.number("words"), (0..100).map(|i| i * 7).sum());
    assert_eq!(one.results(), four.results());
    assert_eq!(one.results(), many.results());
    assert_eq!(one.stderr, four.stderr);
}

#[test]
fn words_that_static_memory_has_no_room_for_are_kept_on_the_heap_and_counted() {
    const WORDS: usize = 45_000;
    let word = |i| format!("{i:0>100} ");
    let tree = Tree::new("full").with("a", (0..WORDS).map(word).collect::<String>()).with("b", word(WORDS - 1));
    let run = tree.index_with_threads("1").succeeded();
    let on_heap = run.number("words are on the heap instead, as static memory is full; none is lost");
    assert!((3_000..4_000).contains(&on_heap), "{on_heap} of 4.5 MB of words, with 4 MiB of room");
    assert_eq!(run.number("distinct"), WORDS);
    assert_eq!(run.number("words"), WORDS + 1);
    assert_eq!(run.commonest()[0], ["2", "2", word(WORDS - 1).trim(), "\"a\""]);
    assert_eq!(run.results(), tree.index_with_threads("4").succeeded().results());
}

#[test]
fn the_table_of_statistics_follows_the_results() {
    let run = Tree::new("table").with("a", "word").index().succeeded();
    assert!(run.table().lines().count() > 1, "{}", run.stdout);
    assert!(run.table().contains(|c: char| c.is_ascii_digit()), "{}", run.stdout);
}

#[test]
fn without_a_directory_the_project_is_indexed_or_else_the_current_directory() {
    let (project, current) = (Tree::new("project").with("a", "one"), Tree::new("current").with("a", "two"));
    let under_cargo = Run::of(word_index().env("CARGO_MANIFEST_DIR", &project.0).current_dir(&current.0));
    let alone = Run::of(word_index().env_remove("CARGO_MANIFEST_DIR").current_dir(&current.0));
    assert_eq!(under_cargo.succeeded().commonest()[0][2], "one");
    assert_eq!(alone.succeeded().commonest()[0][2], "two");
}

#[test]
fn a_missing_directory_is_a_failure_of_one_line() {
    let tree = Tree::new("missing");
    Run::of(word_index().arg(tree.0.join("gone"))).assert_fails(1, "gone\": ");
}

#[test]
fn a_file_in_place_of_the_directory_is_a_failure_of_one_line() {
    let tree = Tree::new("file").with("a", "word");
    Run::of(word_index().arg(tree.0.join("a"))).assert_fails(1, "not a directory");
}

#[test]
fn wrong_usage_is_told_in_one_line_with_status_2() {
    let run = |arguments: &[&str]| Run::of(word_index().args(arguments));
    run(&["--frobnicate"]).assert_fails(2, "unknown option \"--frobnicate\"");
    run(&["one", "two"]).assert_fails(2, "\"two\"");
    run(&["--threads"]).assert_fails(2, "--threads needs a number");
    run(&["--threads", "0", "."]).assert_fails(2, "not \"0\"");
    run(&["--threads", "many", "."]).assert_fails(2, "not \"many\"");
}

#[test]
fn help_prints_the_usage() {
    let run = Run::of(word_index().arg("--help")).succeeded();
    assert!(run.stdout.contains("Usage: word_index [--threads N] [DIR]"));
    assert_eq!(run.stderr, "");
}
