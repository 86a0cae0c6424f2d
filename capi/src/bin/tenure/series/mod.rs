//! Series: what processes have said of their memory in the course of time, from the files that the library writes.

mod lines;
mod process;
mod read;
mod snapshot;

pub use lines::{Family, Line, lines_of};
pub use process::{Process, by_process};
pub use read::{InputError, MARK, read, snapshot_of, without_mark};
pub use snapshot::{Class, Rounding, Snapshot, Tag, Traffic, share};
