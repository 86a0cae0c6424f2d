//! JSON documents with a schema: parsed to structures that own their strings, changed, and written out again.

use crate::input::{Checksum, Words};
use crate::{Scale, Threads, Workload};
use fastrand::Rng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub const WORKLOAD: Workload = Workload {
    name: "json-typed",
    about: "parses JSON documents of 60 KiB to structures, changes and re-emits them (serde_json with derived structures)",
    threads: Threads::One,
    run,
};

const ROUNDS: usize = 4000;

#[derive(Serialize, Deserialize)]
struct Account {
    name: String,
    email: Option<String>,
    orders: Vec<Order>,
}

#[derive(Serialize, Deserialize)]
struct Order {
    number: u64,
    state: State,
    lines: Vec<Line>,
    labels: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum State {
    Open,
    Sent { carrier: String, trail: Vec<String> },
    Lost { reason: Box<str> },
}

#[derive(Serialize, Deserialize)]
struct Line {
    article: String,
    pieces: u32,
    price: f64,
    note: Option<String>,
}

fn run(scale: &Scale) -> u64 {
    let words = Words::new(8, 4000);
    let mut random = Rng::with_seed(9);
    let documents: Vec<String> = (0..10)
        .map(|_| {
            let accounts: Vec<Account> = (0..40).map(|_| account(&words, &mut random)).collect();
            serde_json::to_string_pretty(&accounts).expect("accounts can be written")
        })
        .collect();
    let mut checksum = Checksum::new();
    for round in 0..scale.of(ROUNDS) {
        let text = &documents[round % documents.len()];
        let mut accounts: Vec<Account> = serde_json::from_str(text).expect("the document has the schema");
        for account in &mut accounts {
            account.orders.retain(|order| !matches!(order.state, State::Lost { .. }));
            account.email.get_or_insert_with(|| format!("{}@example.org", account.name.replace(' ', ".")));
        }
        checksum.add(serde_json::to_vec(&accounts).expect("accounts can be written"));
    }
    checksum.value()
}

fn account(words: &Words, random: &mut Rng) -> Account {
    let name = words.text(random, 2);
    let email = random.bool().then(|| format!("{}@example.com", words.pick(random)));
    Account { name, email, orders: (0..random.usize(..6)).map(|_| order(words, random)).collect() }
}

fn order(words: &Words, random: &mut Rng) -> Order {
    let state = match random.u8(..4) {
        0 | 1 => State::Open,
        2 => State::Sent {
            carrier: words.pick(random).to_owned(),
            trail: (0..random.usize(..5)).map(|_| words.text(random, 4)).collect(),
        },
        _ => State::Lost { reason: words.text(random, 5).into() },
    };
    let labels =
        (0..random.usize(..4)).map(|_| (words.pick(random).to_owned(), words.pick(random).to_owned())).collect();
    Order {
        number: random.u64(..1 << 40),
        state,
        lines: (0..random.usize(1..5)).map(|_| line(words, random)).collect(),
        labels,
    }
}

fn line(words: &Words, random: &mut Rng) -> Line {
    Line {
        article: words.text(random, 3),
        pieces: random.u32(1..100),
        price: f64::from(random.u32(..10_000)) / 100.0,
        note: (random.u8(..5) == 0).then(|| words.text(random, 8)),
    }
}
