//! Exact bytes: what is asked for and what is given, counted while somebody wants to know.

use std::hint::black_box;
use std::sync::mpsc::channel;
use std::sync::{Mutex, MutexGuard};
use std::thread;
use tenure::{Region, Rounding, Stats, Tag, Tenure, dynamic_scope, static_scope, tagged};

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

/// Counting is of the process, so one test at a time does it.
static COUNTING: Mutex<()> = Mutex::new(());

/// Exact bytes are counted until this is dropped.
struct Counting<'a>(MutexGuard<'a, ()>);

impl Counting<'_> {
    fn begin() -> Self {
        let guard = COUNTING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        GLOBAL.count_exact_bytes(true);
        // The calling thread follows with its next slow path.
        drop(black_box(vec![0_u8; 5 << 20]));
        Self(guard)
    }
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        GLOBAL.count_exact_bytes(false);
        let _ = &self.0;
    }
}

fn blocks(count: usize, size: usize) -> Vec<Vec<u8>> {
    (0..count).map(|_| black_box(Vec::with_capacity(size))).collect()
}

/// What was counted of the class whose blocks have so many bytes.
fn of(stats: &Stats, block_size: usize) -> Rounding {
    stats.classes.iter().find(|class| class.block_size == block_size).unwrap().rounding
}

#[track_caller]
fn assert_more(before: Rounding, after: Rounding, [blocks, requested, granted]: [u64; 3]) {
    let more = (after.blocks - before.blocks, after.requested - before.requested, after.granted - before.granted);
    assert_eq!(more, (blocks, requested, granted));
}

#[test]
fn what_is_asked_for_and_what_is_given_are_counted_by_class() {
    let counting = Counting::begin();
    assert!(GLOBAL.counts_exact_bytes());
    let before = GLOBAL.stats();
    let kept = (blocks(80, 2500), blocks(3, 100_000), blocks(2, (3 << 20) + 1));
    let after = GLOBAL.stats();
    // Of a class's blocks, each is counted, whether a magazine had it or not; and what was freed meanwhile is counted
    // all the same.
    assert_more(of(&before, 2560), of(&after, 2560), [80, 200_000, 204_800]);
    assert_eq!(of(&after, 2560).waste() - of(&before, 2560).waste(), 4800);
    assert_more(before.span_rounding, after.span_rounding, [3, 300_000, 3 * 2 * 65_536]);
    let mappings = after.mapping_rounding;
    assert_eq!(mappings.blocks - before.mapping_rounding.blocks, 2);
    assert_eq!(mappings.requested - before.mapping_rounding.requested, 2 * ((3 << 20) + 1));
    assert!(mappings.waste() - before.mapping_rounding.waste() < 2 * 65_536, "{mappings:?}");
    drop(kept);
    assert_eq!(of(&GLOBAL.stats(), 2560), of(&after, 2560), "frees change nothing");
    GLOBAL.count_exact_bytes(false);
    drop(black_box(blocks(100, 2500)));
    drop(black_box(blocks(100, 2500)));
    assert_eq!(of(&GLOBAL.stats(), 2560), of(&after, 2560), "nothing is counted any more");
    // Kept so far that no other test counts meanwhile.
    drop(counting);
}

#[test]
fn threads_at_work_follow_with_an_empty_magazine_and_new_ones_at_once() {
    let (go, wait) = channel::<()>();
    let (ready, is_ready) = channel();
    let worker = thread::spawn(move || {
        // At work before anything is counted.
        drop(black_box(blocks(1000, 7000)));
        ready.send(()).unwrap();
        wait.recv().unwrap();
        // A magazine of this class holds 12 blocks at most. Nobody else uses it: the test harness's channel, too, has
        // blocks of about 5000 bytes.
        drop(black_box(blocks(64, 7000)));
        let before = of(&GLOBAL.stats(), 7168);
        drop(black_box(blocks(64, 7000)));
        (before, of(&GLOBAL.stats(), 7168))
    });
    is_ready.recv().unwrap();
    let _counting = Counting::begin();
    go.send(()).unwrap();
    let (before, after) = worker.join().unwrap();
    assert_more(before, after, [64, 64 * 7000, 64 * 7168]);
    let before = of(&GLOBAL.stats(), 7168);
    thread::spawn(|| drop(black_box(blocks(10, 7000)))).join().unwrap();
    assert_more(before, of(&GLOBAL.stats(), 7168), [10, 70_000, 71_680]);
}

#[test]
fn whoever_else_watches_the_thread_or_routes_it_takes_nothing_from_it() {
    let _counting = Counting::begin();
    let before = of(&GLOBAL.stats(), 1152);
    let region = Region::thread();
    let kept = blocks(10, 1100);
    assert_eq!(region.delta().blocks, 11, "with the list of them");
    drop(region);
    static_scope(|| {
        drop(black_box(blocks(10, 1100)));
        dynamic_scope(|| drop(black_box(blocks(10, 1100))));
    });
    let tag = Tag::named("exact").unwrap();
    let under_tag = tagged(tag, || blocks(10, 1100));
    thread::spawn(move || drop(under_tag)).join().unwrap();
    drop(black_box(blocks(10, 1100)));
    // Those of static memory are none of them: they are as large as was asked for.
    assert_more(before, of(&GLOBAL.stats(), 1152), [40, 44_000, 46_080]);
    drop(kept);
}

#[test]
fn a_block_is_as_it_was_allocated_until_it_is_allocated_anew() {
    let _counting = Counting::begin();
    let (before, before_larger) = (of(&GLOBAL.stats(), 1792), of(&GLOBAL.stats(), 3584));
    let mut text = black_box(Vec::<u8>::with_capacity(1700));
    text.extend([1; 1700]);
    text.reserve_exact(50);
    assert_more(before, of(&GLOBAL.stats(), 1792), [1, 1700, 1792]);
    text.reserve_exact(1800);
    assert_more(before_larger, of(&GLOBAL.stats(), 3584), [1, 3500, 3584]);
    let zeroed = black_box(vec![0_u8; 1701]);
    assert_more(before, of(&GLOBAL.stats(), 1792), [2, 3401, 2 * 1792]);
    drop((text, zeroed));
}

#[test]
fn every_form_of_the_statistics_tells_of_it() {
    let counting = Counting::begin();
    drop(black_box((blocks(5, 5000), blocks(1, 70_000))));
    drop(counting);
    let stats = GLOBAL.stats();
    let Rounding { blocks, requested, granted, .. } = of(&stats, 5120);
    let json = stats.json().to_string();
    let said = format!("\"rounding\":{{\"blocks\":{blocks},\"requested\":{requested},\"granted\":{granted}}}");
    assert!(json.contains(&said) && json.contains("\"rounding\":null"), "{json}");
    assert!(json.contains("\"span_rounding\":{\"blocks\":"), "{json}");
    let text = stats.prometheus().to_string();
    for (name, value) in [("exact_allocations", blocks), ("requested_bytes", requested), ("granted_bytes", granted)] {
        assert!(text.contains(&format!("tenure_class_{name}_total{{block_size=\"5120\"}} {value}\n")), "{text}");
        assert!(text.contains(&format!("\ntenure_span_{name}_total ")), "{text}");
    }
    let table = stats.to_string();
    let (_, lines) = table.split_once("while exact bytes were counted\n").unwrap();
    let line = lines.lines().find(|line| line.trim_start().starts_with("5120 ")).unwrap();
    assert!(line.split_whitespace().nth(1).unwrap() == blocks.to_string() && line.ends_with('%'), "{table}");
    assert!(lines.contains("spans") && lines.trim_end().lines().last().unwrap().trim_start().starts_with("all"));
}
