//! Rust sources as a procedural macro or a code generator sees them: parsed to a full syntax tree, visited, and made
//! tokens again.

use crate::input::{Checksum, Words};
use crate::{Scale, Threads, Workload};
use fastrand::Rng;
use quote::ToTokens;
use std::collections::BTreeMap;
use std::fmt::Write;
use syn::visit::{self, Visit};

pub const WORKLOAD: Workload = Workload {
    name: "syn-rust",
    about: "parses Rust sources of 50 KiB to syntax trees, visits them and prints them as tokens (syn, quote)",
    threads: Threads::One,
    run,
};

const ROUNDS: usize = 150;

fn run(scale: &Scale) -> u64 {
    let words = Words::new(24, 1000);
    let sources: Vec<String> = (0..4).map(|seed| source(&words, &mut Rng::with_seed(seed))).collect();
    let mut checksum = Checksum::new();
    for round in 0..scale.of(ROUNDS) {
        let file = syn::parse_file(&sources[round % sources.len()]).expect("the source is Rust");
        let mut names = Names::default();
        names.visit_file(&file);
        checksum.add((file.items.len(), names.methods, names.calls, file.into_token_stream().to_string().len()));
    }
    checksum.value()
}

/// Methods that are defined, and how often each is called.
#[derive(Default)]
struct Names {
    methods: Vec<String>,
    calls: BTreeMap<String, usize>,
}

impl<'ast> Visit<'ast> for Names {
    fn visit_impl_item_fn(&mut self, method: &'ast syn::ImplItemFn) {
        self.methods.push(method.sig.ident.to_string());
        visit::visit_impl_item_fn(self, method);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        *self.calls.entry(call.method.to_string()).or_default() += 1;
        visit::visit_expr_method_call(self, call);
    }
}

fn source(words: &Words, random: &mut Rng) -> String {
    let mut source = "//! Generated.\n\nuse std::collections::{BTreeMap, HashMap};\nuse std::fmt;\n\n".to_owned();
    while source.len() < 50 << 10 {
        write_type(words, random, &mut source).expect("a string takes all");
    }
    source
}

/// A word that is no keyword.
fn ident(words: &Words, random: &mut Rng) -> String {
    format!("{}_{}", words.pick(random), words.pick(random))
}

fn write_type(words: &Words, random: &mut Rng, source: &mut String) -> std::fmt::Result {
    let name = format!("{}{}", ["Reader", "Table", "Plan", "Index"][random.usize(..4)], random.u16(..));
    writeln!(source, "/// {}\n#[derive(Clone, Debug, Default)]\npub struct {name}<T> {{", words.text(random, 12))?;
    for field in 0..random.usize(1..7) {
        let kind =
            ["Vec<T>", "Option<Box<T>>", "BTreeMap<String, Vec<u8>>", "&'static [u8]", "[u64; 4]"][random.usize(..5)];
        writeln!(
            source,
            "    /// {}\n    pub(crate) {}_{field}: {kind},",
            words.text(random, 6),
            ident(words, random)
        )?;
    }
    writeln!(source, "}}\n\nimpl<T: Clone + fmt::Debug> {name}<T> where T: PartialOrd {{")?;
    for _ in 0..random.usize(1..5) {
        writeln!(
            source,
            "    pub fn {}(&self, count: usize, text: &str) -> Result<u64, fmt::Error> {{",
            ident(words, random)
        )?;
        for _ in 0..random.usize(2..9) {
            write_statement(words, random, source)?;
        }
        writeln!(source, "        Ok(count as u64)\n    }}\n")?;
    }
    writeln!(source, "}}\n")
}

fn write_statement(words: &Words, random: &mut Rng, source: &mut String) -> std::fmt::Result {
    let (a, b, c) = (ident(words, random), ident(words, random), ident(words, random));
    let number = random.u16(..);
    match random.u8(..6) {
        0 => writeln!(
            source,
            "        let mut {a}: Vec<u64> = (0..count).map(|{b}| {b} as u64 * {number}).filter(|x| x % 3 == 0).collect();"
        ),
        1 => writeln!(
            source,
            "        if self.{a}.len() > {number} && !text.is_empty() {{ self.{b}(&{c}[1..], {number})?; }} else {{ return Err(fmt::Error); }}"
        ),
        2 => writeln!(
            source,
            "        match text.{a}() {{ Some({b}) if {b} > {number} => self.{c}({b}), Some(_) | None => {{}} }}"
        ),
        3 => writeln!(
            source,
            "        for ({a}, {b}) in self.{c}.iter().enumerate().skip({number}) {{ println!(\"{{}} {{:?}}\", {a}, {b}); }}"
        ),
        4 => writeln!(
            source,
            "        let {a} = Options {{ {b}: text.to_owned(), {c}: [0u8; 16], ..Default::default() }};"
        ),
        _ => writeln!(
            source,
            "        // {}\n        let {a} = ({b} + {number}) * ({c} >> 2) ^ 0x{number:x};",
            words.text(random, 8)
        ),
    }
}
