//! Under a tag: the calling thread allocates from a heap of the tag, so that to whom a block belongs is where it lies.

use super::routing::{self, Routing};
use super::thread::{heaps_from, home, is_at_work, switch};
use super::{BACKEND, REGISTRY, tls};
use crate::heap::Heap;
use crate::tag::Tag;
use core::future::Future;
use core::marker::PhantomData;
use core::pin::Pin;
use core::ptr;
use core::task::{Context, Poll};

/// Runs `work` with every block that this thread allocates meanwhile, in whatever library, counted under `tag`, until
/// it is freed, wherever that is: [`Stats::tags`](crate::Stats::tags) tells how much is in use under each.
///
/// A block's tag is a matter of where it lies. It has no header; allocations and frees inside are as fast as outside,
/// and other threads may free the block: it is counted off its own tag. What is freed inside is counted off the tag
/// under which it was allocated, or off none. A block that is reallocated keeps its tag where it stays in its place,
/// and otherwise has that of the thread at that moment. Tags nest: the inner one counts. Threads that `work` starts are
/// not concerned, nor is what goes to static memory.
///
/// # Cost
///
/// - To enter and leave: four times a hundred addresses are copied, and a heap is borrowed and given back.
/// - A block that was allocated under a tag and is freed outside, or the other way round, takes the way of a block that
///   is freed on another thread: slower, by some nanoseconds, than one at home.
/// - Memory: each tag has heaps of its own, as many as threads were inside at once, 32 at most; further threads share
///   them, and then take a lock for each allocation. A heap takes 2 MiB of addresses at least, and touches what it
///   uses: some 30 KiB with a few blocks, and what remains free in its slabs serves its tag alone.
/// - Where memory does not suffice for a heap, blocks are counted under no tag.
///
/// ```
/// use tenure::{Tag, tagged};
///
/// #[global_allocator]
/// static GLOBAL: tenure::Tenure = tenure::Tenure::new();
///
/// let parser = Tag::named("parser").unwrap();
/// let bytes = || GLOBAL.stats().tags().find(|figures| figures.tag == parser).unwrap().bytes;
///
/// let words = tagged(parser, || vec!["a".repeat(100), "b".repeat(100)]);
/// assert!(bytes() >= 48 + 2 * 100);
/// std::thread::spawn(move || drop(words)).join().unwrap();
/// assert_eq!(bytes(), 0);
/// ```
pub fn tagged<R>(tag: Tag, work: impl FnOnce() -> R) -> R {
    let _entered = Entered::enter(tag);
    work()
}

/// A future that is [under a tag](tagged) whenever it is polled, on whichever thread that is, and not in between.
///
/// It is dropped outside, where only freeing matters.
///
/// ```
/// use tenure::{Tag, TaggedFuture};
/// # use std::{pin::pin, task::{Context, Poll, Waker}};
/// # fn block_on<F: Future>(future: F) -> F::Output {
/// #     let mut future = pin!(future);
/// #     loop {
/// #         if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) { return done }
/// #     }
/// # }
/// #[global_allocator]
/// static GLOBAL: tenure::Tenure = tenure::Tenure::new();
///
/// let request = Tag::named("request").unwrap();
/// let body = block_on(TaggedFuture::new(request, async { vec![1_u8; 1024] }));
/// let stats = GLOBAL.stats();
/// assert!(stats.tags().find(|figures| figures.tag == request).unwrap().bytes >= body.len());
/// ```
#[must_use = "futures do nothing until they are polled"]
#[derive(Debug)]
pub struct TaggedFuture<F> {
    tag: Tag,
    future: F,
}

impl<F> TaggedFuture<F> {
    /// Polls `future` under `tag`.
    pub const fn new(tag: Tag, future: F) -> Self {
        Self { tag, future }
    }
}

impl<F: Future> Future for TaggedFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let _entered = Entered::enter(self.tag);
        // SAFETY: the inner future is pinned as this one is: it is reached only here, there is no `Drop` that could
        // move it, and it is `Unpin` where this is.
        let future = unsafe { self.map_unchecked_mut(|tagged| &mut tagged.future) };
        future.poll(context)
    }
}

/// The calling thread is under a tag until this is dropped. Values of this type are dropped in the reverse order of
/// their making.
struct Entered {
    outer: Routing,
    /// The heap of the tag that the thread has borrowed.
    borrowed: Option<&'static Heap>,
    _own_thread: PhantomData<*const ()>,
}

impl Entered {
    fn enter(tag: Tag) -> Self {
        let outer = tls::routing();
        // In a signal handler that has interrupted a slow path the magazines are in use.
        let borrowed = if outer.tag() == tag.number() || is_at_work() { None } else { enter(tag, outer) };
        Self { outer, borrowed, _own_thread: PhantomData }
    }
}

fn enter(tag: Tag, outer: Routing) -> Option<&'static Heap> {
    let before = home().and_then(|_| tls::current().heap.get());
    let heap = before.and_then(|_| REGISTRY.borrow_under(&BACKEND, tag.number()));
    // Before the magazines are exchanged, they are where a thread has them that shares nothing.
    routing::change(outer.under_tag(tag.number(), heap.is_none()));
    let (heap, before) = (heap?, before?);
    heap.set_outer(before);
    switch(heap);
    Some(heap)
}

impl Drop for Entered {
    fn drop(&mut self) {
        let now = tls::routing();
        if let Some(heap) = self.borrowed
            // Unless a fork has taken the heap away meanwhile.
            && tls::current().heap.get().is_some_and(|mine| ptr::eq(mine, heap))
            // Or that one, which another thread was purging.
            && let Some(before) = heap.outer().and_then(|outer| heaps_from(outer).find(|heap| !heap.is_lost()))
        {
            switch(before);
            REGISTRY.park(heap);
        }
        routing::change(now.under_tag(self.outer.tag(), self.outer.shares()));
    }
}
