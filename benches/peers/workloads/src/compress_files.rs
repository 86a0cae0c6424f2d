//! Files compressed by several threads at once, each file with a compressor of its own, as an archiver or a web server
//! does.

use crate::input::{Words, checksum_of, sum_of_jobs};
use crate::{Scale, Threads, Workload};
use fastrand::Rng;
use flate2::Compression;
use flate2::bufread::{GzDecoder, GzEncoder};
use std::io::Read;

pub const WORKLOAD: Workload = Workload {
    name: "compress-files",
    about: "packs and unpacks files of 1 KiB to 1 MiB, each as gzip and LZ4 (flate2 on miniz_oxide, lz4_flex)",
    threads: Threads::Many,
    run,
};

const FILES: usize = 400;

fn run(scale: &Scale) -> u64 {
    let words = Words::new(43, 4000);
    sum_of_jobs(scale.threads, scale.of(FILES), |number| {
        let file = file(&words, number);
        let mut gzip = Vec::new();
        GzEncoder::new(file.as_slice(), Compression::new(4))
            .read_to_end(&mut gzip)
            .expect("a file in memory can be read");
        let mut back = Vec::new();
        GzDecoder::new(gzip.as_slice()).read_to_end(&mut back).expect("what was packed can be unpacked");
        assert!(back == file, "file {number} has changed");
        let lz4 = lz4_flex::compress_prepend_size(&file);
        let back = lz4_flex::decompress_size_prepended(&lz4).expect("what was packed can be unpacked");
        assert!(back == file, "file {number} has changed");
        checksum_of((number, gzip, lz4))
    })
}

/// Most are small, some are large.
fn file(words: &Words, number: usize) -> Vec<u8> {
    let mut random = Rng::with_seed(number as u64);
    let size = random.usize(512..1024) << random.u32(1..=10);
    let mut text = String::with_capacity(size);
    while text.len() < size {
        words.write(&mut random, 20, &mut text);
        text.push('\n');
    }
    text.into_bytes()
}
