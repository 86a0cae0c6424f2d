//! Flame graph: a picture of the stacks, drawn by `inferno`.

use crate::folded::fold;
use crate::profile::Value;
use crate::resolved::Resolved;
use inferno::flamegraph::{self, Options, color::Palette};
use std::io::{self, Write};

pub(crate) fn write(profile: &Resolved<'_>, value: Value, mut writer: impl Write) -> io::Result<()> {
    let lines: Vec<String> =
        fold(profile, value).into_iter().map(|(stack, amount)| format!("{stack} {amount}")).collect();
    let mut options = Options::default();
    options.title = value.title().to_owned();
    options.count_name = value.unit().to_owned();
    options.colors = Palette::Basic(flamegraph::color::BasicPalette::Mem);
    options.hash = true;
    // A profile of nothing is a picture all the same.
    let nothing = [String::from("(nothing) 1")];
    let lines = if lines.is_empty() { &nothing[..] } else { &lines };
    flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), &mut writer)?;
    writer.flush()
}
