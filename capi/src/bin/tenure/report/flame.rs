//! Flame graph: of a heap profile, from a picture or from folded stacks. It is shown in a frame that can reach nothing outside of itself.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use inferno::flamegraph::{self, Options, color::BasicPalette, color::Palette};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use roxmltree::{Document, ParsingOptions};

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

/// A picture and its size.
pub struct FlameGraph {
    pub name: String,
    svg: String,
    width: f64,
    height: f64,
}

/// True of a file that is a profile rather than statistics, by its name.
pub fn is_profile(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "svg" || extension == "folded")
}

impl FlameGraph {
    pub fn of(path: &Path) -> Result<Self, FlameError> {
        let text = fs::read_to_string(path).map_err(|error| FlameError::Unreadable(path.to_owned(), error))?;
        let svg =
            if path.extension().is_some_and(|extension| extension == "folded") { draw(path, &text)? } else { text };
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
        let (width, height) = (size("width").unwrap_or(1200.0), size("height").unwrap_or(600.0));
        Ok(Self { name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(), svg, width, height })
    }

    /// The picture in its frame. What it brings along may run there and nowhere else, and no file is fetched.
    pub fn markup(&self) -> Markup {
        // The frame's contents are escaped as a whole, being an attribute's value.
        let contents = html! {
            (DOCTYPE)
            html lang="en" {
                head { meta charset="utf-8"; title { (self.name) } style { "body{margin:0}svg{display:block}" } }
                body { (PreEscaped(&self.svg)) }
            }
        };
        html! {
            div.scroll.flame {
                iframe sandbox="allow-scripts" title={ "Flame graph " (self.name) } srcdoc=(contents.into_string())
                    width=(self.width) height=(self.height) style={ "width:" (self.width) "px;height:" (self.height) "px" } {}
            }
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
    let mut svg = Vec::new();
    flamegraph::from_lines(&mut options, text.lines(), &mut svg)
        .map_err(|error| FlameError::Malformed(path.to_owned(), 1, format!("cannot be drawn: {error}")))?;
    String::from_utf8(svg)
        .map_err(|error| FlameError::Malformed(path.to_owned(), 1, format!("cannot be drawn: {error}")))
}
