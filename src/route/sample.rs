//! Keeping a part of a job's records.

use crate::logpush::output_options::OutputOptions;
use xxhash_rust::xxh64::xxh64;

/// Keeps a record when the hash of its line is below a threshold: an attempt that is made again, another isolate and a
/// selection that is made later from the archive keep the same ones. The hash does not know the job, so that of two jobs
/// the one with the lower rate gets a part of what the other gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    below: u64,
}

impl Sample {
    /// `None` when every record is kept.
    #[must_use]
    pub fn of(options: &OutputOptions) -> Option<Self> {
        // 2^64 as a double. A rate has at most 53 bits, so the product is exact, or cut below a part in 2^64.
        let below = (options.sample_rate * 18_446_744_073_709_551_616.0) as u64;
        (options.sample_rate < 1.0).then_some(Self { below })
    }

    /// Keeps one record of `n`; `None` when that is every record.
    #[must_use]
    pub fn one_of(n: u64) -> Option<Self> {
        (n > 1).then(|| Self {
            below: u64::MAX / n,
        })
    }

    /// Whether a record is kept.
    #[inline]
    #[must_use]
    pub fn keeps(self, line: &[u8]) -> bool {
        // Changing the hash or its seed would make a retry that spans the deployment select other records.
        xxh64(line, 0) < self.below
    }
}

#[cfg(test)]
mod tests {
    use super::Sample;
    use crate::logpush::output_options::OutputOptions;

    fn sample(sample_rate: f64) -> Option<Sample> {
        Sample::of(&OutputOptions {
            sample_rate,
            ..OutputOptions::default()
        })
    }

    #[test]
    fn every_rate_keeps_its_share_and_a_lower_one_a_part_of_it() {
        assert_eq!(sample(1.0), None);
        let mut kept_before: Vec<u32> = Vec::new();
        for rate in [0.001, 0.01, 0.1, 0.25, 0.5, 0.9] {
            let sample = sample(rate).unwrap();
            let kept: Vec<u32> = (0..100_000)
                .filter(|n| sample.keeps(format!(r#"{{"RayID":"{n:016x}"}}"#).as_bytes()))
                .collect();
            // Five standard deviations of a fair coin that falls with this rate.
            let expected = 100_000.0 * rate;
            let bound = 5.0 * (expected * (1.0 - rate)).sqrt();
            assert!(
                (kept.len() as f64 - expected).abs() < bound,
                "{rate}: {}",
                kept.len()
            );
            assert!(kept_before.iter().all(|n| kept.binary_search(n).is_ok()));
            kept_before = kept;
        }
    }

    #[test]
    fn one_of_n_is_the_rate_of_its_inverse() {
        assert_eq!(Sample::one_of(1), None);
        for n in [2, 10, 100] {
            let (one_of, rate) = (Sample::one_of(n).unwrap(), sample(1.0 / n as f64).unwrap());
            assert!(one_of.below.abs_diff(rate.below) < 1 << 12, "{n}");
        }
    }

    #[test]
    fn the_choice_has_not_changed() {
        let sample = sample(0.5).unwrap();
        let kept: Vec<u32> = (0..20)
            .filter(|n| sample.keeps(format!("{{\"A\":{n}}}").as_bytes()))
            .collect();
        assert_eq!(kept, [0, 1, 2, 3, 4, 8, 9, 16, 17]);
    }
}
