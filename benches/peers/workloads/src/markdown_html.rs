//! Markdown documents, rendered to HTML.

use crate::input::{Checksum, Words};
use crate::{Scale, Threads, Workload};
use fastrand::Rng;
use pulldown_cmark::{Options, Parser, html};
use std::fmt::Write;

pub const WORKLOAD: Workload = Workload {
    name: "markdown-html",
    about: "renders Markdown documents of 5 KiB with tables, links and footnotes to HTML (pulldown-cmark)",
    threads: Threads::One,
    run,
};

const DOCUMENTS: usize = 15_000;

fn run(scale: &Scale) -> u64 {
    let words = Words::new(35, 3000);
    let mut random = Rng::with_seed(36);
    let documents: Vec<String> = (0..50).map(|_| document(&words, &mut random)).collect();
    let mut checksum = Checksum::new();
    for round in 0..scale.of(DOCUMENTS) {
        let mut page = String::new();
        html::push_html(&mut page, Parser::new_ext(&documents[round % documents.len()], Options::all()));
        checksum.add(page);
    }
    checksum.value()
}

fn document(words: &Words, random: &mut Rng) -> String {
    let mut text = format!("# {}\n\n", words.text(random, 4));
    while text.len() < 5 << 10 {
        write_block(words, random, &mut text).expect("a string takes all");
    }
    text
}

fn write_block(words: &Words, random: &mut Rng, text: &mut String) -> std::fmt::Result {
    match random.u8(..6) {
        0 => writeln!(text, "## {} `{}`\n", words.text(random, 3), words.pick(random)),
        1 => {
            for item in 0..random.usize(1..6) {
                writeln!(text, "{}- **{}** {}", "  ".repeat(item % 3), words.pick(random), words.text(random, 6))?;
            }
            writeln!(text)
        }
        2 => {
            writeln!(text, "| {} | {} |\n|:--|--:|", words.pick(random), words.pick(random))?;
            for _ in 0..random.usize(1..5) {
                writeln!(text, "| {} | {} |", words.text(random, 2), random.u16(..))?;
            }
            writeln!(text)
        }
        3 => writeln!(text, "```rust\nlet {} = {};\n```\n", words.pick(random), random.u32(..)),
        4 => {
            let note = random.u32(..);
            writeln!(
                text,
                "> {}[^{note}]\n> {}\n\n[^{note}]: {}\n",
                words.text(random, 9),
                words.text(random, 9),
                words.text(random, 5)
            )
        }
        _ => {
            let (link, image) = (words.pick(random), words.pick(random));
            writeln!(
                text,
                "{} *{}* [{link}](https://example.org/{link}) \"{}\" ![{image}]({image}.png) & ~~{}~~\n",
                words.text(random, 15),
                words.pick(random),
                words.pick(random),
                words.pick(random)
            )
        }
    }
}
