//! Scopes: which of the program's allocations are static and which dynamic, said by the program in one place for all
//! the code it calls.
//!
//! Only allocation looks at the scope. What is freed or grows is found by its address, so a value may leave its scope.

use super::routing::Scope;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

/// Runs `build` with every allocation that this thread makes meanwhile, in whatever library, placed in static memory;
/// for what is built once and stays.
///
/// What is placed there is never used again, so nothing is to be freed; but it may be, at any time and on any thread:
/// the bytes are counted as dead, or taken up again if they were the last. What grows after the scope has ended moves
/// to the heap, and leaves dead bytes behind. A block of the heap stays on the heap when it grows in here. Other
/// threads are not concerned, nor threads that `build` starts.
///
/// Scopes nest, and end on panic. To enter and leave takes some tens of nanoseconds; an allocation inside costs a call
/// and a few instructions more than one on the heap.
///
/// The calls concern the program's allocator only if that is [`Tenure`](crate::Tenure).
///
/// ```
/// use std::collections::HashMap;
/// use tenure::static_scope;
///
/// #[global_allocator]
/// static GLOBAL: tenure::Tenure = tenure::Tenure::new();
///
/// let ports: HashMap<String, u16> = static_scope(|| {
///     let lines = "ssh 22\nhttp 80".lines();
///     lines.filter_map(|line| line.split_once(' ')).map(|(name, port)| (name.into(), port.parse().unwrap())).collect()
/// });
/// assert_eq!(ports["ssh"], 22);
/// assert!(GLOBAL.stats().scopes.blocks > 0);
/// ```
pub fn static_scope<R>(build: impl FnOnce() -> R) -> R {
    let _scope = StaticScope::enter();
    build()
}

/// Runs `work` with this thread's allocations on the heap, although it is in a static scope: for what a start-up phase
/// needs only for a while.
///
/// ```
/// use tenure::{dynamic_scope, static_scope};
///
/// #[global_allocator]
/// static GLOBAL: tenure::Tenure = tenure::Tenure::new();
///
/// let line = static_scope(|| {
///     let text = dynamic_scope(|| std::iter::repeat_n("all work ", 1000).collect::<String>());
///     text[..8].to_string()
/// });
/// assert_eq!((line.as_str(), GLOBAL.stats().scopes.used), ("all work", 8));
/// ```
pub fn dynamic_scope<R>(work: impl FnOnce() -> R) -> R {
    let _scope = DynamicScope::enter();
    work()
}

/// A static scope that lasts until this value is dropped: see [`static_scope`].
///
/// Scopes are to be left in the reverse order of entering. Where an outer one is dropped first, those inside it end
/// with it; and once none is left, the thread is outside of all, whatever the order was. Not [`Send`], as it speaks of
/// its thread; and so a future that holds one across an `.await` is not either. For futures there is [`RoutedFuture`].
///
/// ```
/// let scope = tenure::StaticScope::enter();
/// let table: &'static mut [u32] = vec![0; 1000].leak();
/// drop(scope);
/// # table[0] = 1;
/// ```
///
/// ```compile_fail
/// fn is_send(_: impl Send) {}
/// is_send(tenure::StaticScope::enter());
/// ```
#[must_use = "the scope ends when this is dropped"]
pub struct StaticScope(#[expect(dead_code, reason = "held until it is dropped")] Scope);

impl StaticScope {
    /// Enters a static scope.
    pub fn enter() -> Self {
        Self(Scope::enter(true))
    }
}

/// A dynamic scope inside a static one that lasts until this value is dropped: see [`dynamic_scope`] and, for the
/// order, [`StaticScope`].
#[must_use = "the scope ends when this is dropped"]
pub struct DynamicScope(#[expect(dead_code, reason = "held until it is dropped")] Scope);

impl DynamicScope {
    /// Enters a dynamic scope.
    pub fn enter() -> Self {
        Self(Scope::enter(false))
    }
}

/// A future that is in a scope of its own whenever it is polled, on whichever thread that is, and in none between.
///
/// It is dropped outside of its scope, where only freeing matters.
///
/// ```
/// use tenure::RoutedFuture;
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
/// let table = block_on(RoutedFuture::in_static(async { vec![1_u8; 100] }));
/// assert_eq!((table.len(), GLOBAL.stats().scopes.used), (100, 100));
/// ```
#[must_use = "futures do nothing until they are polled"]
#[derive(Debug)]
pub struct RoutedFuture<F> {
    is_static: bool,
    future: F,
}

impl<F> RoutedFuture<F> {
    /// Polls `future` in static scopes.
    pub const fn in_static(future: F) -> Self {
        Self { is_static: true, future }
    }

    /// Polls `future` in dynamic scopes, also where it is part of one that is polled in static ones.
    pub const fn in_dynamic(future: F) -> Self {
        Self { is_static: false, future }
    }
}

impl<F: Future> Future for RoutedFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let _scope = Scope::enter(self.is_static);
        // SAFETY: the inner future is pinned as this one is: it is reached only here, there is no `Drop` that could
        // move it, and it is `Unpin` where this is.
        let future = unsafe { self.map_unchecked_mut(|routed| &mut routed.future) };
        future.poll(context)
    }
}
