//! Static scopes: what goes where, and what may happen to a value afterwards. Each test has a process of its own, in
//! which nothing else allocates.

#[path = "../support/mod.rs"]
mod support;

mod model;

use std::alloc::{GlobalAlloc, Layout};
use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::thread;
use support::block::{Block, layout};
use support::process::{self, alone};
use tenure::{Arena, ArenaStats, DynamicScope, RoutedFuture, StaticScope, Tenure, dynamic_scope, static_scope};

#[global_allocator]
static GLOBAL: Tenure = Tenure::new();

fn meter() -> ArenaStats {
    GLOBAL.stats().scopes
}

/// Runs `work`, and returns what it has changed: blocks of static memory, and blocks of the heap.
fn changes<R>(work: impl FnOnce() -> R) -> (R, isize, isize) {
    let before = GLOBAL.stats();
    let result = work();
    let after = GLOBAL.stats();
    assert!(after.is_balanced(), "{after}");
    let blocks = |stats: &tenure::Stats| (stats.scopes.blocks as isize, stats.live_blocks() as isize);
    let (before, after) = (blocks(&before), blocks(&after));
    (result, after.0 - before.0, after.1 - before.1)
}

/// What a start-up phase may build.
fn table(entries: usize) -> HashMap<String, Vec<u64>> {
    (0..entries).map(|n| (format!("entry {n}"), vec![n as u64; 1 + n % 5])).collect()
}

fn assert_is_table(table: &HashMap<String, Vec<u64>>, entries: usize) {
    assert_eq!(table.len(), entries);
    for n in 0..entries {
        assert_eq!(table[&format!("entry {n}")], vec![n as u64; 1 + n % 5]);
    }
}

#[test]
fn everything_allocated_in_a_static_scope_is_static_and_nothing_else_is() {
    alone(60, || {
        let (table, in_static, on_heap) = changes(|| static_scope(|| table(10_000)));
        // For each entry a name and a vector, and the map's own table.
        assert_eq!((in_static, on_heap), (20_001, 0));
        assert_is_table(&table, 10_000);
        let ((), in_static, on_heap) = changes(|| drop(vec![Box::new(1); 100]));
        assert_eq!((in_static, on_heap), (0, 0));
        let (boxes, in_static, on_heap) = changes(|| (0..100).map(Box::new).collect::<Vec<_>>());
        assert_eq!((in_static, on_heap, boxes.len()), (0, 101, 100));
    });
}

#[test]
fn scopes_nest_and_the_inner_one_counts() {
    alone(60, || {
        let count = |work: &dyn Fn() -> Box<u64>| {
            let (block, in_static, on_heap) = changes(work);
            drop(block);
            (in_static, on_heap)
        };
        assert_eq!(count(&|| static_scope(|| dynamic_scope(|| Box::new(1)))), (0, 1));
        assert_eq!(count(&|| static_scope(|| dynamic_scope(|| static_scope(|| Box::new(1))))), (1, 0));
        assert_eq!(count(&|| dynamic_scope(|| Box::new(1))), (0, 1));
        let after_inner = || {
            static_scope(|| {
                dynamic_scope(|| static_scope(|| ()));
                Box::new(1)
            })
        };
        assert_eq!(count(&after_inner), (1, 0));
        assert_eq!(count(&|| Box::new(1)), (0, 1));
    });
}

#[test]
fn a_scope_ends_on_panic() {
    alone(60, || {
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            static_scope(|| dynamic_scope(|| static_scope(|| panic!("on purpose"))));
        }));
        assert!(panicked.is_err());
        let (_block, in_static, on_heap) = changes(|| Box::new(1));
        assert_eq!((in_static, on_heap), (0, 1));
    });
}

#[test]
fn guards_that_are_dropped_out_of_order_end_what_was_entered_after_them() {
    alone(60, || {
        let is_static = || {
            let (block, in_static, _) = changes(|| Box::new(1_u64));
            drop(block);
            in_static == 1
        };
        let outer = StaticScope::enter();
        let inner = DynamicScope::enter();
        assert!(!is_static());
        drop(outer);
        assert!(!is_static());
        drop(inner);
        assert!(!is_static(), "the inner guard does not bring the outer scope back");
        let outer = DynamicScope::enter();
        let inner = StaticScope::enter();
        assert!(is_static());
        drop(outer);
        assert!(!is_static());
        drop(inner);
        assert!(!is_static());
    });
}

#[test]
fn a_guard_that_outlives_its_scope_leaves_nothing_behind_in_those_that_come_later() {
    let is_static = || changes(|| Box::new(1_u8)).1 != 0;
    alone(60, || {
        let outer = StaticScope::enter();
        let inner = DynamicScope::enter();
        drop(outer);
        let later = StaticScope::enter();
        assert!(is_static());
        drop(inner);
        drop(later);
        assert!(!is_static(), "all scopes have ended");
        // And the next ones are as ever.
        static_scope(|| {
            dynamic_scope(|| assert!(!is_static()));
            assert!(is_static());
        });
        assert!(!is_static());
    });
}

#[test]
fn a_value_may_leave_its_scope_grow_on_the_heap_and_be_dropped_on_another_thread() {
    alone(60, || {
        let (mut values, in_static, on_heap) = changes(|| {
            static_scope(|| {
                let values: Vec<Vec<u32>> = (0..100).map(|n| vec![n; 100]).collect();
                values
            })
        });
        assert_eq!((in_static, on_heap), (101, 0));
        let dead = meter().dead;
        let ((), in_static, on_heap) = changes(|| values[7].push(1));
        assert_eq!((in_static, on_heap), (-1, 1), "the vector moves to the heap");
        assert_eq!(meter().dead - dead, 400, "and leaves its old bytes behind");
        assert_eq!((values[7].len(), values[7][99], values[7][100]), (101, 7, 1));
        values[8].truncate(50);
        values[8].shrink_to_fit();
        assert_eq!(meter().dead - dead, 600, "what is cut off is dead");
        thread::spawn(move || {
            assert!(values.iter().enumerate().all(|(n, value)| value[..50] == [n as u32; 50]));
            drop(values);
        })
        .join()
        .unwrap();
        let meter = meter();
        assert_eq!((meter.blocks, meter.live()), (0, 0));
    });
}

#[test]
fn what_is_static_grows_in_its_scope_as_static_memory_and_what_is_dynamic_stays_dynamic() {
    alone(60, || {
        let mut on_heap = vec![0_u8; 1000];
        let (names, in_static, heap_blocks) = changes(|| {
            static_scope(|| {
                let mut names: Vec<String> = Vec::new();
                for n in 0..1000 {
                    // Between two growths of the vector other blocks come, so it has to move each time.
                    names.push(format!("name {n}"));
                }
                // Too large to stay where it is, and it was not made here.
                on_heap.extend(0..=255);
                on_heap.extend(vec![1; 100_000]);
                names
            })
        });
        assert_eq!((in_static, heap_blocks), (1001, 0));
        assert!(names.iter().enumerate().all(|(n, name)| *name == format!("name {n}")));
        assert_eq!((on_heap.len(), on_heap[1255]), (101_256, 255));
        let ((), in_static, heap_blocks) = changes(|| drop(on_heap));
        assert_eq!((in_static, heap_blocks), (0, -1));
    });
}

#[test]
fn a_vector_alone_in_its_scope_grows_without_moving() {
    alone(60, || {
        let numbers = static_scope(|| {
            let mut numbers = Vec::with_capacity(1);
            for n in 0..1_000_000_u32 {
                numbers.push(n);
            }
            numbers
        });
        let meter = meter();
        assert_eq!((meter.blocks, meter.used, meter.dead), (1, numbers.capacity() * 4, 0));
        assert!(numbers.iter().enumerate().all(|(n, &number)| number == n as u32));
    });
}

#[test]
fn a_size_class_does_not_let_a_static_block_grow_into_its_neighbour() {
    alone(60, || {
        let old = layout(100, 1);
        // SAFETY: layouts of sizes that are not zero.
        let (first, second) = static_scope(|| unsafe { (GLOBAL.alloc(old), GLOBAL.alloc(old)) });
        assert_eq!(second.addr() - first.addr(), 100);
        // SAFETY: the test's own block.
        let grown = unsafe { GLOBAL.realloc(first, old, 104) };
        assert_ne!(grown, first, "104 bytes are of the same class as 100");
        // SAFETY: the test's own blocks.
        unsafe {
            GLOBAL.dealloc(grown, layout(104, 1));
            GLOBAL.dealloc(second, old);
        }
        assert_eq!(meter().blocks, 0);
    });
}

#[test]
fn blocks_freed_in_a_scope_go_back_to_where_they_came_from() {
    alone(60, || {
        let blocks: Vec<Box<[u8]>> = (0..20_000).map(|n| vec![1; 1 + n % 3000].into()).collect();
        let large: Vec<Vec<u8>> = (0..20).map(|n| vec![2; 50_000 << (n % 6)]).collect();
        let (theirs, from_other) = mpsc::channel();
        let other = thread::spawn(move || theirs.send((0..1000).map(Box::new).collect::<Vec<_>>()).unwrap());
        other.join().unwrap();
        let others = from_other.recv().unwrap();
        let live = GLOBAL.stats().live_blocks();
        let ((), in_static, on_heap) = changes(|| {
            static_scope(|| {
                drop(blocks);
                drop(large);
                drop(others);
            })
        });
        assert_eq!(in_static, 0);
        assert_eq!(on_heap, -(20_001 + 21 + 1001), "of {live}");
        // And they are used again, in the scope and after it.
        let (again, _, on_heap) = changes(|| static_scope(|| dynamic_scope(|| vec![Box::new(1_u64); 100])));
        assert_eq!((again.len(), on_heap), (100, 101));
    });
}

#[test]
fn a_thread_that_ends_in_a_scope_leaves_nothing_behind_but_what_it_placed() {
    alone(60, || {
        thread_local! {
            static KEPT: RefCell<Option<(StaticScope, Vec<String>)>> = const { RefCell::new(None) };
        }
        for _ in 0..50 {
            thread::spawn(|| {
                let before: Vec<_> = (0..500).map(|n| Box::new([n; 10])).collect();
                let scope = StaticScope::enter();
                let names = vec!["in a thread-local".to_string()];
                drop(before);
                // Dropped by a destructor, some time at the thread's end.
                KEPT.set(Some((scope, names)));
            })
            .join()
            .unwrap();
        }
        let stats = GLOBAL.stats();
        assert_eq!((stats.scopes.blocks, stats.scopes.live()), (0, 0), "{stats}");
        assert!(stats.heaps <= 3, "heaps are parked and lent again: {}", stats.heaps);
        for _ in 0..50 {
            thread::spawn(|| std::mem::forget(StaticScope::enter())).join().unwrap();
        }
        let heap = thread::spawn(|| changes(|| Box::new(1)).2).join().unwrap();
        assert_eq!(heap, 1, "a heap that was borrowed in a scope serves the next thread as ever");
    });
}

#[test]
fn destructors_of_thread_locals_may_free_static_blocks_and_allocate() {
    alone(60, || {
        struct Late(Vec<String>);
        impl Drop for Late {
            fn drop(&mut self) {
                let more = static_scope(|| vec![self.0.join(" ")]);
                assert_eq!(more[0].len(), 1999);
                self.0.clear();
            }
        }
        thread_local! {
            static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
        }
        for _ in 0..20 {
            thread::spawn(|| LATE.set(Some(Late(static_scope(|| vec!["x".to_string(); 1000]))))).join().unwrap();
        }
        assert_eq!(meter().blocks, 0);
    });
}

/// Is ready when it is polled for the third time, and keeps what it has built.
struct Steps(Vec<Vec<u8>>);

impl Future for Steps {
    type Output = Vec<Vec<u8>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.push(vec![1; 100]);
        if self.0.len() == 3 {
            return Poll::Ready(std::mem::take(&mut self.0));
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

#[test]
fn a_routed_future_is_in_its_scope_when_it_is_polled_on_whatever_thread_and_not_between() {
    alone(60, || {
        let future = RoutedFuture::in_static(async {
            let built = Steps(Vec::with_capacity(3)).await;
            let passing = RoutedFuture::in_dynamic(async { vec![2; 10] }).await;
            (built, passing)
        });
        let mut future = Box::pin(future);
        let (mut first, mut second) = (0, 0);
        for step in 0..2 {
            let poll = |future: &mut Pin<Box<_>>| {
                let (poll, in_static, on_heap) =
                    changes(|| Future::poll(Pin::as_mut(future), &mut Context::from_waker(Waker::noop())));
                assert!(poll.is_pending());
                assert_eq!(on_heap, 0);
                in_static
            };
            if step == 0 {
                first = poll(&mut future);
            } else {
                (future, second) = thread::spawn(move || {
                    let mut future = future;
                    let placed = poll(&mut future);
                    (future, placed)
                })
                .join()
                .unwrap();
            }
            let (_between, in_static, _) = changes(|| Box::new(1));
            assert_eq!(in_static, 0, "between two polls the thread is in no scope");
        }
        assert_eq!((first, second), (2, 1), "the vector itself and one block, then one more");
        let ((built, passing), in_static, on_heap) =
            changes(|| match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(done) => done,
                Poll::Pending => unreachable!("polled for the third time"),
            });
        // The future itself, a box, is dropped.
        assert_eq!((in_static, on_heap), (1, 0));
        assert_eq!((built.len(), passing), (3, vec![2; 10]));
    });
}

#[test]
fn an_arena_that_is_filled_in_a_scope_is_dynamic_memory() {
    alone(60, || {
        let (arena, in_static, on_heap) = changes(|| {
            static_scope(|| {
                let arena = Arena::new();
                for n in 0..10_000_u64 {
                    arena.alloc(n);
                }
                arena
            })
        });
        assert!(in_static == 0 && on_heap > 0);
        let ((), in_static, after) = changes(|| static_scope(|| drop(arena)));
        assert_eq!((in_static, after), (0, -on_heap));
    });
}

#[test]
fn alignments_up_to_4_mib_are_exact_and_values_without_a_size_take_nothing() {
    alone(60, || {
        static_scope(|| {
            for shift in 0..=22 {
                for size in [1, 3, 1 << shift, (1 << shift) + 1] {
                    let layout = layout(size, 1 << shift);
                    // SAFETY: sizes that are not zero.
                    let (block, zeroed) = unsafe { (GLOBAL.alloc(layout), GLOBAL.alloc_zeroed(layout)) };
                    for block in [block, zeroed] {
                        assert!(block.addr().is_multiple_of(1 << shift), "{layout:?} at {block:p}");
                        // SAFETY: the test's own block.
                        unsafe { block.write_bytes(0xAA, size) };
                    }
                }
            }
        });
        let blocks = meter().blocks;
        assert_eq!(blocks, 2 * 4 * 23);
        let nothing = static_scope(|| (vec![(); 1000], Box::new(()), Vec::<u64>::new(), [0_u64; 0]));
        drop(nothing);
        assert_eq!(meter().blocks, blocks);
    });
}

#[test]
fn zeroed_blocks_are_zero_also_where_others_were_before() {
    alone(60, || {
        static_scope(|| {
            for round in 0..200 {
                let size = 1 + round * 37 % 9000;
                let block = Block::zeroed(layout(size, 8)).unwrap();
                // The last block, so the next one finds its bytes.
                block.free();
            }
        });
        assert_eq!(meter().used, 0);
    });
}

#[test]
fn a_free_of_static_memory_that_was_never_handed_out_stops_the_process() {
    if process::part().is_some() {
        let block = static_scope(|| Box::into_raw(Box::new([0_u8; 100])));
        // SAFETY: none: this is the misuse in question.
        unsafe { GLOBAL.dealloc(block.cast::<u8>().wrapping_add(1 << 20), Layout::new::<u64>()) };
        return;
    }
    let output = process::command("child").output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(error.contains("tenure: invalid free") && error.contains("static memory"), "{error}");
}
