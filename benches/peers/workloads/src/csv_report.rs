//! A table from a spreadsheet: records to structures, grouped, sorted and written as a table again.

use crate::input::{Checksum, Words};
use crate::{Scale, Threads, Workload};
use fastrand::Rng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub const WORKLOAD: Workload = Workload {
    name: "csv-report",
    about: "reads a table of 20 000 records to structures, groups and sorts them, writes a report, again and again (csv)",
    threads: Threads::One,
    run,
};

const ROUNDS: usize = 50;
const RECORDS: usize = 20_000;

#[derive(Serialize, Deserialize, Clone)]
struct Record {
    region: String,
    customer: String,
    article: String,
    pieces: u32,
    price: f64,
    note: Option<String>,
}

fn run(scale: &Scale) -> u64 {
    let words = Words::new(29, 3000);
    let mut random = Rng::with_seed(30);
    let records: Vec<Record> = (0..RECORDS).map(|_| record(&words, &mut random)).collect();
    let table = write(&records);
    drop(records);
    let mut checksum = Checksum::new();
    for round in 0..scale.of(ROUNDS) {
        let mut reader = csv::Reader::from_reader(table.as_slice());
        let mut regions: BTreeMap<String, BTreeMap<String, Vec<Record>>> = BTreeMap::new();
        for record in reader.deserialize() {
            let record: Record = record.expect("the table has the schema");
            regions.entry(record.region.clone()).or_default().entry(record.customer.clone()).or_default().push(record);
        }
        let mut report = Vec::new();
        for customers in regions.into_values() {
            for mut records in customers.into_values() {
                records.sort_by(|a, b| {
                    a.article.cmp(&b.article).then(a.pieces.cmp(&b.pieces)).then(a.price.total_cmp(&b.price))
                });
                report.extend(records.into_iter().filter(|record| record.pieces as usize % 3 == round % 3));
            }
        }
        checksum.add(write(&report));
    }
    checksum.value()
}

fn write(records: &[Record]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for record in records {
        writer.serialize(record).expect("a record can be written");
    }
    writer.into_inner().expect("a vector takes all")
}

fn record(words: &Words, random: &mut Rng) -> Record {
    Record {
        region: format!("region {}", random.u8(..12)),
        customer: format!("{}, \"{}\"", words.pick(random), words.pick(random)),
        article: words.text(random, 3),
        pieces: random.u32(1..200),
        price: f64::from(random.u32(..100_000)) / 100.0,
        note: (random.u8(..4) == 0).then(|| words.text(random, 6)),
    }
}
