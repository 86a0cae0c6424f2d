#![doc = include_str!("../README.md")]
#![no_std]
#![warn(missing_docs, unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

#[cfg(any(feature = "std", test, loom))]
extern crate std;

mod sync;

mod align;
mod size_class;

mod arena;
