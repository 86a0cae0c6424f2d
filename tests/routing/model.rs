//! Random scopes on several threads, which free each other's blocks, against a model.

use super::GLOBAL;
use super::support::block::{Block, layout};
use super::support::intervals::Intervals;
use super::support::process::alone;
use super::support::random::{Random, seed};
use std::sync::mpsc;
use std::thread;
use tenure::{DynamicScope, StaticScope};

/// Random steps in and out of scopes; blocks are handed to the next thread of the ring, which resizes and frees them in
/// a scope of its own choice.
fn work(
    random: &mut Random,
    addresses: &Intervals,
    steps: usize,
    give: &mpsc::Sender<Block>,
    take: &mpsc::Receiver<Block>,
) {
    let mut blocks: Vec<Block> = Vec::with_capacity(1024);
    for _ in 0..steps {
        let _scope = random.one_in(2).then(StaticScope::enter);
        let _inner = random.one_in(4).then(DynamicScope::enter);
        for _ in 0..random.below(20) {
            let picked = (!blocks.is_empty()).then(|| random.below(blocks.len()));
            match (random.below(10), picked) {
                (0..=2, Some(index)) => {
                    let block = blocks.swap_remove(index);
                    addresses.release(block.range());
                    block.free();
                }
                (3, Some(index)) => give.send(blocks.swap_remove(index)).unwrap(),
                (4 | 5, Some(index)) => {
                    let size = random.log_uniform(1, 4096);
                    addresses.release(blocks[index].range());
                    assert!(blocks[index].resize(size));
                    addresses.claim(blocks[index].range());
                }
                (6, _) => blocks.extend(take.try_recv()),
                _ if blocks.len() < 1000 => {
                    let (shifts, most) =
                        (if random.one_in(20) { 14 } else { 6 }, if random.one_in(50) { 1 << 18 } else { 2048 });
                    let align = 1 << random.below(shifts);
                    let size = random.log_uniform(1, most);
                    let layout = layout(size, align);
                    let block = if random.one_in(3) { Block::zeroed(layout) } else { Block::new(layout) };
                    let block = block.expect("there is memory");
                    addresses.claim(block.range());
                    blocks.push(block);
                }
                _ => {}
            }
        }
    }
    for block in blocks {
        addresses.release(block.range());
        block.free();
    }
}

#[test]
fn random_scopes_on_several_threads_keep_every_block() {
    alone(300, || {
        const THREADS: usize = 4;
        let seed = seed();
        let addresses = Intervals::new();
        let (mut gives, mut takes): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| mpsc::channel()).unzip();
        gives.rotate_left(1);
        thread::scope(|scope| {
            let mut threads = Vec::new();
            for (nth, (give, take)) in gives.drain(..).zip(takes.drain(..)).enumerate() {
                let addresses = &addresses;
                threads.push(scope.spawn(move || {
                    let mut random = Random::new(seed.wrapping_add(nth as u64));
                    work(&mut random, addresses, 8_000, &give, &take);
                    drop(give);
                    for block in take {
                        addresses.release(block.range());
                        block.free();
                    }
                }));
            }
            // A scope waits for threads' closures alone, not for the end of their thread-local storage.
            for thread in threads {
                thread.join().unwrap();
            }
        });
        assert!(addresses.is_empty());
        // The model itself was built in scopes, too.
        drop(addresses);
        let stats = GLOBAL.stats();
        assert!(stats.is_balanced(), "{stats}");
        assert_eq!((stats.scopes.blocks, stats.scopes.live(), stats.scopes.fallbacks), (0, 0, 0), "{stats}");
        println!("{stats}");
    });
}
