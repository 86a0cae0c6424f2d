//! A gallery's thumbnails: large pictures decoded, cut, made smaller and encoded.

use crate::input::Checksum;
use crate::{Scale, Threads, Workload};
use fastrand::Rng;
use image::imageops::FilterType;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use std::io::Cursor;

pub const WORKLOAD: Workload = Workload {
    name: "image-thumbnails",
    about: "decodes JPEG and PNG pictures of a megapixel, crops, resizes and encodes them (image)",
    threads: Threads::One,
    run,
};

const PICTURES: usize = 40;
const SIZE: (u32, u32) = (1200, 900);

fn run(scale: &Scale) -> u64 {
    let picture = picture(&mut Rng::with_seed(42));
    let files: Vec<Vec<u8>> =
        [ImageFormat::Jpeg, ImageFormat::Png].iter().map(|format| encode(&picture, *format)).collect();
    drop(picture);
    let mut checksum = Checksum::new();
    for round in 0..scale.of(PICTURES) {
        let picture = image::load_from_memory(&files[round % files.len()]).expect("the file is a picture");
        let cut = picture.crop_imm(round as u32 * 10 % 300, 50, 800, 800);
        for size in [64, 128, 320] {
            let thumbnail = cut.resize(size, size, FilterType::Triangle);
            checksum.add(encode(&thumbnail, if size < 100 { ImageFormat::Png } else { ImageFormat::Jpeg }));
        }
    }
    checksum.value()
}

fn encode(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, format).expect("the picture can be encoded");
    file.into_inner()
}

/// Soft shapes with some noise, as a photograph has.
fn picture(random: &mut Rng) -> DynamicImage {
    RgbImage::from_fn(SIZE.0, SIZE.1, |x, y| {
        let noise = random.u8(..16);
        let (wide, high) = ((x * 255 / SIZE.0) as u8, (y * 255 / SIZE.1) as u8);
        let ring = ((x.abs_diff(600).pow(2) + y.abs_diff(450).pow(2)) / 1000 % 200) as u8;
        Rgb([wide.saturating_add(noise), high.saturating_sub(noise), ring + noise])
    })
    .into()
}
