//! Columns for analysis: rows go into builders, whose batches are filtered, reordered and joined.

use crate::input::{Checksum, Words};
use crate::{Scale, Threads, Workload};
use arrow_array::builder::{Float64Builder, Int64Builder, ListBuilder, StringBuilder, StringDictionaryBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow_select::concat::concat_batches;
use arrow_select::filter::filter_record_batch;
use arrow_select::take::take_record_batch;
use fastrand::Rng;
use std::sync::Arc;

pub const WORKLOAD: Workload = Workload {
    name: "arrow-columns",
    about: "builds batches of 8000 rows in five columns, filters, reorders and concatenates them (arrow-array, arrow-select)",
    threads: Threads::One,
    run,
};

const BATCHES: usize = 800;
const ROWS: usize = 8000;

fn run(scale: &Scale) -> u64 {
    let words = Words::new(44, 4000);
    let mut random = Rng::with_seed(45);
    let mut checksum = Checksum::new();
    let mut kept: Vec<RecordBatch> = Vec::new();
    for _ in 0..scale.of(BATCHES) {
        let batch = build(&words, &mut random);
        let numbers = batch.column(0).as_primitive::<Int64Type>();
        let mask: BooleanArray =
            numbers.iter().map(|number| Some(number.is_some_and(|number| number % 4 != 0))).collect();
        let filtered = filter_record_batch(&batch, &mask).expect("the mask has the batch's length");
        let mut order: Vec<u32> = (0..filtered.num_rows() as u32).collect();
        let prices = filtered.column(1).as_primitive::<Float64Type>();
        order.sort_by(|a, b| prices.value(*a as usize).total_cmp(&prices.value(*b as usize)));
        order.truncate(2000);
        kept.push(take_record_batch(&filtered, &UInt32Array::from(order)).expect("the rows are there"));
        if kept.len() == 16 {
            checksum.add(summary(&concat_batches(&kept[0].schema(), &kept).expect("the batches have one schema")));
            kept.drain(..8);
        }
    }
    checksum.add(summary(&concat_batches(&kept[0].schema(), &kept).expect("the batches have one schema")));
    checksum.value()
}

fn build(words: &Words, random: &mut Rng) -> RecordBatch {
    let (mut numbers, mut prices, mut texts) = (Int64Builder::new(), Float64Builder::new(), StringBuilder::new());
    let mut kinds = StringDictionaryBuilder::<Int32Type>::new();
    let mut tags = ListBuilder::new(StringBuilder::new());
    for _ in 0..ROWS {
        numbers.append_option((random.u8(..16) > 0).then(|| random.i64(..1 << 40)));
        prices.append_value(f64::from(random.u32(..1_000_000)) / 100.0);
        texts.append_value(words.pick(random));
        kinds.append_value(words.pick(random));
        for _ in 0..random.usize(..3) {
            tags.values().append_value(words.pick(random));
        }
        tags.append(true);
    }
    let columns: [(&str, ArrayRef); 5] = [
        ("number", Arc::new(numbers.finish())),
        ("price", Arc::new(prices.finish())),
        ("text", Arc::new(texts.finish())),
        ("kind", Arc::new(kinds.finish())),
        ("tags", Arc::new(tags.finish())),
    ];
    RecordBatch::try_from_iter(columns).expect("columns are of one length")
}

/// Rows, nulls, a sum of integers, and lengths of texts and lists.
fn summary(batch: &RecordBatch) -> (usize, usize, i64, usize, usize) {
    let numbers = batch.column(0).as_primitive::<Int64Type>();
    let sum = numbers.iter().flatten().fold(0, i64::wrapping_add);
    let texts = batch.column(2).as_string::<i32>().value_data().len();
    let tags = batch.column(4).as_list::<i32>().values().len();
    (batch.num_rows(), numbers.null_count(), sum, texts, tags)
}
