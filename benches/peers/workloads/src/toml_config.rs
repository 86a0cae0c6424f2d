//! A large configuration: parsed as a table and as structures, merged, and written out again.

use crate::input::{Checksum, Words};
use crate::{Scale, Threads, Workload};
use fastrand::Rng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;
use toml::{Table, Value};

pub const WORKLOAD: Workload = Workload {
    name: "toml-config",
    about: "parses a configuration of 100 KiB as tables and as structures, merges and re-emits it (toml)",
    threads: Threads::One,
    run,
};

const ROUNDS: usize = 240;

#[derive(Serialize, Deserialize)]
struct Config {
    title: String,
    services: BTreeMap<String, Service>,
}

#[derive(Serialize, Deserialize)]
struct Service {
    command: Vec<String>,
    replicas: u32,
    timeout: f64,
    about: Option<String>,
    environment: BTreeMap<String, String>,
    routes: Vec<Route>,
}

#[derive(Serialize, Deserialize)]
struct Route {
    path: String,
    methods: Vec<String>,
    port: u16,
}

fn run(scale: &Scale) -> u64 {
    let words = Words::new(10, 3000);
    let base = source(&words, &mut Rng::with_seed(11), 150);
    let overlay = source(&words, &mut Rng::with_seed(12), 30);
    let mut checksum = Checksum::new();
    for round in 0..scale.of(ROUNDS) {
        let mut table: Table = base.parse().expect("the configuration is TOML");
        merge(&mut table, overlay.parse().expect("the overlay is TOML"));
        table.insert("title".to_owned(), format!("round {round}").into());
        let text = toml::to_string(&table).expect("a table can be written");
        let mut config: Config = toml::from_str(&text).expect("the configuration has the schema");
        config.services.retain(|_, service| service.replicas > 1);
        checksum.add(toml::to_string_pretty(&config).expect("the configuration can be written"));
    }
    checksum.value()
}

/// What `over` says goes into `table`, in tables of the same name as well.
fn merge(table: &mut Table, over: Table) {
    for (key, value) in over {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => merge(below, above),
            (_, value) => drop(table.insert(key, value)),
        }
    }
}

fn source(words: &Words, random: &mut Rng, services: usize) -> String {
    let mut source = "# Generated.\ntitle = \"base\"\n".to_owned();
    for number in 0..services {
        write_service(words, random, number, &mut source).expect("a string takes all");
    }
    source
}

fn write_service(words: &Words, random: &mut Rng, number: usize, source: &mut String) -> std::fmt::Result {
    let name = format!("{}-{number}", words.pick(random));
    let seconds = f64::from(random.u16(..600)) / 10.0;
    writeln!(
        source,
        "\n[services.{name}]\ncommand = [\"/usr/bin/{name}\", \"--{}\", '{}']",
        words.pick(random),
        words.pick(random)
    )?;
    writeln!(source, "replicas = {} # {}\ntimeout = {seconds:?}", random.u8(1..5), words.text(random, 4))?;
    if random.bool() {
        writeln!(source, "about = \"\"\"\n{}\n{}\"\"\"", words.text(random, 10), words.text(random, 8))?;
    }
    writeln!(source, "[services.{name}.environment]")?;
    for variable in 0..random.usize(..8) {
        writeln!(source, "{}_{variable} = \"{}\"", words.pick(random).to_uppercase(), words.text(random, 2))?;
    }
    for _ in 0..random.usize(1..4) {
        writeln!(source, "[[services.{name}.routes]]\npath = \"/{}/{}\"", words.pick(random), words.pick(random))?;
        writeln!(source, "methods = [\"GET\", \"POST\"]\nport = {}", random.u16(1024..))?;
    }
    Ok(())
}
