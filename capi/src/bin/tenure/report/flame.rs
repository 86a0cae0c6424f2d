//! Flame graph: of a heap profile, from a picture or from folded stacks. It is shown in a frame that can reach nothing
//! outside of itself.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use inferno::flamegraph::{self, Direction, Options, TextTruncateDirection, color::BasicPalette, color::Palette};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use roxmltree::{Document, ParsingOptions};

use crate::series;

/// What is wrong with a profile.
#[derive(Debug)]
pub enum FlameError {
    Unreadable(PathBuf, io::Error),
    /// In this line; lines are counted from 1.
    Malformed(PathBuf, usize, String),
    Empty(PathBuf),
}

impl fmt::Display for FlameError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, error) => write!(out, "{}: cannot be read: {error}", path.display()),
            Self::Malformed(path, line, why) => write!(out, "{}:{line}: {why}", path.display()),
            Self::Empty(path) => write!(out, "{}: there are no stacks in it", path.display()),
        }
    }
}

/// Pixels that a picture has at most; one that is higher is scrolled.
const HIGHEST: f64 = 720.0;

/// A picture and its size.
pub struct FlameGraph {
    pub name: String,
    svg: String,
    /// In pixels.
    height: f64,
    /// True where the outermost functions are on top.
    is_inverted: bool,
}

/// True of a file that is a profile rather than statistics, by its name.
pub fn is_profile(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "svg" || extension == "folded")
}

impl FlameGraph {
    pub fn of(path: &Path) -> Result<Self, FlameError> {
        let text = fs::read_to_string(path).map_err(|error| FlameError::Unreadable(path.to_owned(), error))?;
        let text = text.strip_prefix(series::MARK).unwrap_or(&text);
        let is_folded = path.extension().is_some_and(|extension| extension == "folded");
        let svg = if is_folded { draw(path, text)? } else { text.to_owned() };
        let malformed = |line: usize, why: String| FlameError::Malformed(path.to_owned(), line, why);
        let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
        let document = Document::parse_with_options(&svg, options)
            .map_err(|error| malformed(error.pos().row as usize, format!("no picture: {error}")))?;
        let root = document.root_element();
        if root.tag_name().name() != "svg" {
            return Err(malformed(
                1,
                format!("no picture: the outermost element is `{}`, not `svg`", root.tag_name().name()),
            ));
        }
        let size = |name: &str| {
            root.attribute(name)?.trim_end_matches("px").parse::<f64>().ok().filter(|size| (1.0..=1e5).contains(size))
        };
        let height = size("height").unwrap_or(HIGHEST);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, svg, height, is_inverted: is_folded })
    }

    /// The picture in its frame. What it brings along may run there and nowhere else, and no file is fetched.
    pub fn markup(&self) -> Markup {
        // What is at the end of a column that is laid out from its end is what a high picture shows first.
        let direction = if self.is_inverted { "column" } else { "column-reverse" };
        let style = format!(
            "html,body{{height:100%}}body{{margin:0;display:flex;flex-direction:{direction};overflow:auto}}svg{{flex:none;display:block;min-width:760px}}"
        );
        // The frame's contents are escaped as a whole, being an attribute's value.
        let contents = html! {
            (DOCTYPE)
            html lang="en" {
                head { meta charset="utf-8"; title { (self.name) } style { (PreEscaped(style)) } }
                body { (PreEscaped(&self.svg)) }
            }
        };
        let height = self.height.min(HIGHEST);
        html! {
            iframe.flame sandbox="allow-scripts" title={ "Flame graph " (self.name) } style={ "height:" (height) "px" } srcdoc=(contents.into_string()) {}
        }
    }
}

/// A picture of folded stacks: names separated by semicolons, a space, an amount.
fn draw(path: &Path, text: &str) -> Result<String, FlameError> {
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        let amount = line.rsplit_once(' ').and_then(|(_, amount)| amount.parse::<u64>().ok());
        if amount.is_none() {
            let why = "no folded stack: it does not end in a space and an amount".to_owned();
            return Err(FlameError::Malformed(path.to_owned(), index + 1, why));
        }
    }
    if text.trim().is_empty() {
        return Err(FlameError::Empty(path.to_owned()));
    }
    let mut options = Options::default();
    options.title = "Heap profile".to_owned();
    options.count_name = "bytes".to_owned();
    options.colors = Palette::Basic(BasicPalette::Mem);
    options.hash = true;
    // The outermost functions are on top, where the page is being read.
    options.direction = Direction::Inverted;
    options.text_truncate_direction = TextTruncateDirection::Right;
    let mut svg = Vec::new();
    flamegraph::from_lines(&mut options, text.lines(), &mut svg)
        .map_err(|error| FlameError::Malformed(path.to_owned(), 1, format!("cannot be drawn: {error}")))?;
    String::from_utf8(svg)
        .map_err(|error| FlameError::Malformed(path.to_owned(), 1, format!("cannot be drawn: {error}")))
}
