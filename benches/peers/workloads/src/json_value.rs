//! JSON documents without a schema: parsed to a tree, changed, and written out again.

use crate::input::{Checksum, Words};
use crate::{Scale, Threads, Workload};
use fastrand::Rng;
use serde_json::{Map, Value, json};

pub const WORKLOAD: Workload = Workload {
    name: "json-value",
    about: "parses JSON documents of 30 KiB to trees, changes and re-emits them (serde_json::Value)",
    threads: Threads::One,
    run,
};

const ROUNDS: usize = 4000;

fn run(scale: &Scale) -> u64 {
    let words = Words::new(1, 4000);
    let mut random = Rng::with_seed(2);
    let documents: Vec<String> = (0..20).map(|_| document(&words, &mut random).to_string()).collect();
    let mut checksum = Checksum::new();
    for round in 0..scale.of(ROUNDS) {
        let mut value: Value = serde_json::from_str(&documents[round % documents.len()]).expect("the document is JSON");
        change(&mut value);
        checksum.add(serde_json::to_string(&value).expect("a value can be written"));
    }
    checksum.value()
}

/// A page of an API's answer: records with strings, numbers, lists and an object of labels.
fn document(words: &Words, random: &mut Rng) -> Value {
    let records: Vec<Value> = (0..80).map(|_| record(words, random)).collect();
    json!({ "page": random.u32(..1000), "next": words.pick(random), "records": records })
}

fn record(words: &Words, random: &mut Rng) -> Value {
    let tags: Vec<&str> = (0..random.usize(..6)).map(|_| words.pick(random)).collect();
    let labels: Map<String, Value> =
        (0..random.usize(1..5)).map(|_| (words.pick(random).to_owned(), words.pick(random).into())).collect();
    json!({
        "id": random.u64(..1 << 50),
        "name": format!("{} {}", words.pick(random), words.pick(random)),
        "text": words.text(random, 12),
        "price": f64::from(random.u32(..100_000)) / 100.0,
        "active": random.bool(),
        "parent": null,
        "tags": tags,
        "labels": labels,
        "place": { "x": random.i32(-1000..1000), "y": random.i32(-1000..1000) },
    })
}

/// Removes a member of every record, renames one and adds one.
fn change(document: &mut Value) {
    for record in document["records"].as_array_mut().expect("records are a list") {
        let record = record.as_object_mut().expect("a record is an object");
        record.remove("parent");
        let text = record.remove("text").expect("a record has a text");
        record.insert("words".to_owned(), text.as_str().map_or(0, |text| text.split(' ').count()).into());
        record.insert("body".to_owned(), text);
    }
}
