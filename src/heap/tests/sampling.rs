//! Samples and guarded blocks, where there are none to be had.

use super::*;

fn sampling(sample: &Sample, pace: Pace) -> &'static Sampling {
    // SAFETY: the test's own heap and tops.
    unsafe { sample.heap.start_sampling(sample.tops(), pace, 1) }.expect("there is memory")
}

/// Of 100,000 blocks of 64 bytes, one in 64.5 is a sample, with a standard deviation of 2.5 %, and one in ten is to be
/// guarded, with one of 0.95 %. Five of those are let pass.
#[test]
fn an_allocation_that_cannot_be_guarded_ends_its_gap_and_no_other() {
    const ALLOCATIONS: u32 = 100_000;
    let sample = Sample::new();
    let sampling = sampling(&sample, Pace { rate: 4096, one_in: 10 });
    let class = class_of(64);
    let (mut samples, mut refused) = (0, 0);
    for _ in 0..ALLOCATIONS {
        if let Next::Chosen(chosen) = sampling.next(class) {
            refused += u32::from(chosen.is_guarded);
            if chosen.is_sample {
                samples += 1;
                continue;
            }
            assert!(sampling.pass_over(class, &chosen) > 0);
        }
        assert!(!sampling.is_sample(Unit::Class(class)));
    }
    let expected = f64::from(ALLOCATIONS) * (1.0 - (-64.0_f64 / 4096.0).exp());
    assert!((f64::from(samples) / expected - 1.0).abs() < 0.125, "{samples} samples");
    assert!((f64::from(refused) * 10.0 / f64::from(ALLOCATIONS) - 1.0).abs() < 0.048, "{refused} to be guarded");
}

#[test]
fn where_a_sample_cannot_be_had_the_next_block_is_one_in_its_place() {
    let sample = Sample::new();
    let sampling = sampling(&sample, Pace { rate: 1, one_in: 0 });
    let class = class_of(64);
    for _ in 0..10 {
        let Next::Chosen(chosen) = sampling.next(class) else { panic!("each is a sample") };
        assert!(chosen.is_sample && sampling.pass_over(class, &chosen) == 1);
        assert!(!sampling.is_sample(Unit::Class(class)));
    }
}

#[test]
fn what_is_larger_than_a_page_is_never_to_be_guarded() {
    let sample = Sample::new();
    let sampling = sampling(&sample, Pace { rate: 0, one_in: 2 });
    let page = sample.backend.os.page_size();
    for class in SizeClass::slabs() {
        let comes_soon = match sampling.next(class) {
            Next::Chosen(_) => true,
            Next::Others(before) => before < 1000,
        };
        assert_eq!(comes_soon, class.size() <= page, "{class:?}");
    }
}
