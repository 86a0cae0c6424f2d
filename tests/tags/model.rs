//! Random threads under random tags, against a model.

use crate::support::block::{Block, layout};
use crate::support::process::alone;
use crate::support::random::{Random, seed};
use crate::{GLOBAL, KIB, MIB, tag, under};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;
use tenure::{Region, Tag, tagged};

/// What a random run knows of the blocks that are in use.
#[derive(Default)]
struct Model {
    blocks: HashMap<Option<Tag>, (usize, usize)>,
}

impl Model {
    fn count(&mut self, tag: Option<Tag>, extent: usize) {
        let entry = self.blocks.entry(tag).or_default();
        *entry = (entry.0 + 1, entry.1 + extent);
    }
}

/// Ends the process where its owner panics.
struct EndOnPanic;

impl Drop for EndOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            std::process::exit(101);
        }
    }
}

/// Bytes of a block that may be used: all that it takes, but for what a hardened build has behind it.
fn usable(block: &Block) -> usize {
    // SAFETY: in use.
    unsafe { GLOBAL.usable_size(block.as_ptr()) }
}

#[test]
fn random_threads_agree_with_a_model_about_what_is_in_use_under_each_tag() {
    const THREADS: usize = 4;
    const ROUNDS: usize = 20;
    alone(300, || {
        let seed = seed();
        let tags: Vec<Option<Tag>> =
            [None].into_iter().chain(["a", "b", "c", "d", "e"].map(|name| Some(tag(name)))).collect();
        let shared: Mutex<Vec<(Option<Tag>, Block)>> = Mutex::new(Vec::with_capacity(100_000));
        let barrier = Barrier::new(THREADS + 1);
        let steps = AtomicUsize::new(0);
        thread::scope(|scope| {
            let mut threads = Vec::with_capacity(THREADS);
            for nth in 0..THREADS {
                let (tags, shared, barrier, steps) = (&tags, &shared, &barrier, &steps);
                threads.push(scope.spawn(move || {
                    let mut random = Random::new(seed + nth as u64);
                    let mut mine: Vec<(Option<Tag>, Block)> = Vec::with_capacity(20_000);
                    for _ in 0..ROUNDS {
                        for _ in 0..300 {
                            let tag = random.pick(tags);
                            let work = |random: &mut Random, mine: &mut Vec<(Option<Tag>, Block)>| {
                                for _ in 0..random.below(40) {
                                    step(random, tag, mine, shared);
                                    steps.fetch_add(1, Ordering::Relaxed);
                                }
                            };
                            let _region = random.one_in(5).then(Region::thread);
                            match tag {
                                Some(tag) => tagged(tag, || work(&mut random, &mut mine)),
                                None => work(&mut random, &mut mine),
                            }
                        }
                        shared.lock().unwrap().append(&mut mine);
                        barrier.wait();
                        barrier.wait();
                    }
                }));
            }
            for _ in 0..ROUNDS {
                barrier.wait();
                // Those who wait would wait for ever.
                let _end = EndOnPanic;
                let mut model = Model::default();
                for (tag, block) in shared.lock().unwrap().iter() {
                    model.count(*tag, usable(block));
                }
                for &tag in tags.iter().flatten() {
                    let (blocks, bytes) = model.blocks.get(&Some(tag)).copied().unwrap_or_default();
                    let counted = under(tag);
                    if cfg!(feature = "hardened") {
                        assert!(
                            counted.0 == blocks && counted.1 >= bytes,
                            "{tag:?}: {counted:?}, {blocks} and {bytes}"
                        );
                    } else {
                        assert_eq!(counted, (blocks, bytes), "{tag:?}");
                    }
                }
                barrier.wait();
            }
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
        for (_, block) in shared.into_inner().unwrap() {
            block.free();
        }
        for &tag in tags.iter().flatten() {
            assert_eq!(under(tag), (0, 0), "{tag:?}");
        }
        assert!(steps.into_inner() > 100_000);
    });
}

/// One thing that a thread under `tag` does to its blocks, and to those of others.
fn step(
    random: &mut Random,
    tag: Option<Tag>,
    mine: &mut Vec<(Option<Tag>, Block)>,
    shared: &Mutex<Vec<(Option<Tag>, Block)>>,
) {
    match random.below(100) {
        0..55 => {
            let size = match random.below(100) {
                0..90 => 1 + random.below(3000),
                90..98 => random.log_uniform(4 * KIB, MIB),
                _ => random.log_uniform(MIB, 4 * MIB),
            };
            let align = if random.one_in(30) { 1 << random.below(22) } else { 8 };
            let layout = layout(size, align);
            let block = if random.one_in(4) { Block::zeroed(layout) } else { Block::new(layout) };
            mine.push((tag, block.unwrap()));
        }
        55..60 if !mine.is_empty() => {
            let nth = random.below(mine.len());
            let (owner, block) = &mut mine[nth];
            let (size, before) = (1 + random.below(5000), (block.address(), block.size()));
            // Those of a hardened build may move with a copy or without one.
            if cfg!(feature = "hardened") && before.1 > 30 * KIB {
                return;
            }
            let stays = before.1 > MIB || size.div_ceil(8) == before.1.div_ceil(8);
            if !stays || random.one_in(3) {
                let size = if before.1 > MIB { before.1 + random.below(MIB) } else { size };
                let region = (before.1 > MIB).then(Region::thread);
                assert!(block.resize(size));
                // What has moved by a copy is the thread's now. Mappings move without one, but for those that are
                // several for the system.
                let is_copied = match region {
                    Some(region) => region.delta().allocations > 0,
                    None => block.address() != before.0,
                };
                if is_copied {
                    *owner = tag;
                }
            }
        }
        60..65 if !mine.is_empty() => {
            let nth = random.below(mine.len());
            shared.lock().unwrap().push(mine.swap_remove(nth));
        }
        65..80 => {
            let taken = {
                let mut shared = shared.lock().unwrap();
                if shared.is_empty() {
                    None
                } else {
                    let nth = random.below(shared.len());
                    Some(shared.swap_remove(nth))
                }
            };
            if let Some((_, block)) = taken {
                block.free();
            }
        }
        _ if !mine.is_empty() => {
            let nth = random.below(mine.len());
            mine.swap_remove(nth).1.free();
        }
        _ => {}
    }
}
