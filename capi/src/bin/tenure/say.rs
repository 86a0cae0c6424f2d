//! What the command says on standard error. That it cannot be said, as on a full disk, is no reason to stop.

use std::fmt::Display;
use std::io::{self, Write};

/// Says a line.
pub fn say(what: impl Display) {
    let _ = writeln!(io::stderr(), "tenure: {what}");
}
