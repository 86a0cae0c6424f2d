//! Atomics, cells and the macro that declares their constructors: from `core`, or from loom when a model is checked.
//!
//! No other file names either source, so the protocols that loom explores are the ones that ship.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};

pub(crate) use core::cell::{Cell, UnsafeCell};

/// Atomics for statics of which no model makes use, under loom as elsewhere.
pub(crate) mod plain {
    #[allow(unused_imports, reason = "only platform files use them, and not every one")]
    pub(crate) use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
}

/// Declares a constructor that is `const`, except under loom, whose atomics cannot be made in a constant.
macro_rules! constructor {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) -> $result:ty $body:block) => {
        #[cfg(not(loom))]
        $(#[$meta])*
        $vis const fn $name($($arg: $type),*) -> $result $body
        #[cfg(loom)]
        $(#[$meta])*
        $vis fn $name($($arg: $type),*) -> $result $body
    };
}
pub(crate) use constructor;

/// An array of items that are made one by one: in a constant, except under loom.
macro_rules! array_of {
    ($item:expr; $len:expr) => {{
        #[cfg(not(loom))]
        let items = [const { $item }; $len];
        #[cfg(loom)]
        let items = ::core::array::from_fn::<_, { $len }, _>(|_| $item);
        items
    }};
}
pub(crate) use array_of;
