//! Folded stacks: a line for each, which many programs make a picture of.

use crate::profile::Value;
use crate::resolved::Resolved;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// The stacks as text, each once, and what is to be said of it.
pub(crate) fn fold(profile: &Resolved<'_>, value: Value) -> BTreeMap<String, u64> {
    let mut folded = BTreeMap::new();
    for stack in &profile.stacks {
        let amount = stack.figures.value(value);
        if amount == 0 {
            continue;
        }
        let mut line = String::new();
        for frame in stack.frames().rev() {
            if !line.is_empty() {
                line.push(';');
            }
            // What separates names and lines cannot be in a name.
            line.extend(frame.function.chars().map(|c| match c {
                ';' => ':',
                c if c.is_control() => ' ',
                c => c,
            }));
        }
        if line.is_empty() {
            line.push_str("(unknown)");
        }
        *folded.entry(line).or_default() += amount;
    }
    folded
}

pub(crate) fn write(profile: &Resolved<'_>, value: Value, mut writer: impl Write) -> io::Result<()> {
    for (stack, amount) in fold(profile, value) {
        writeln!(writer, "{stack} {amount}")?;
    }
    writer.flush()
}
