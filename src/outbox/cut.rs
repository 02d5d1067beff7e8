//! Where the records of an entry end, so that an entry can be cut in two.

use super::PushLimits;
use crate::route::Assembly;
use memchr::{memchr_iter, memmem};

/// Where each record of `bytes` begins; the first one at 0. `None` when the places found are not as many as there are
/// records: what an operator's template writes between records may stand inside of them as well, and then the entry can
/// not be cut.
///
/// Each record has its delimiter before it, as [`Assembly`] says.
#[must_use]
pub fn record_starts(
    bytes: &[u8],
    records: u64,
    assembly: Option<&Assembly>,
) -> Option<Vec<usize>> {
    let delimiter = assembly.map_or("", |assembly| &assembly.delimiter);
    let by_delimiter = || memmem::find_iter(bytes, delimiter).collect::<Vec<_>>();
    let by_line = || {
        let ends = memchr_iter(b'\n', bytes).map(|end| end + 1);
        let mut starts: Vec<usize> = std::iter::once(0).chain(ends).collect();
        // The last record ends with a newline as well.
        starts.pop_if(|last| *last == bytes.len());
        starts
    };
    let by_value = || {
        let mut starts = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            starts.push(at);
            at += delimiter.len();
            let mut values = serde_json::Deserializer::from_slice(bytes.get(at..)?)
                .into_iter::<serde::de::IgnoredAny>();
            values.next()?.ok()?;
            at += values.byte_offset();
            // What follows the value up to the next delimiter belongs to this record.
            let rest = bytes.get(at..)?;
            at += rest
                .iter()
                .take_while(|byte| byte.is_ascii_whitespace())
                .count();
        }
        Some(starts)
    };
    // Records of several lines each, of which the first is always the same: action lines of a bulk API, for one.
    let by_first_line = || {
        let lines = by_line();
        let each = lines.len().checked_div(usize::try_from(records).ok()?)?;
        let starts: Vec<usize> = lines.iter().step_by(each.max(1)).copied().collect();
        let line = |start: usize| bytes.get(start..)?.split(|byte| *byte == b'\n').next();
        let first = line(0)?;
        let is_repeated = starts.iter().all(|start| line(*start) == Some(first));
        (lines.len() == each * starts.len() && is_repeated).then_some(starts)
    };
    let fits = |starts: &Vec<usize>| starts.len() as u64 == records && starts.first() == Some(&0);
    if !delimiter.is_empty()
        && let Some(starts) = Some(by_delimiter()).filter(fits)
    {
        return Some(starts);
    }
    Some(by_line())
        .filter(fits)
        .or_else(|| by_value().filter(fits))
        .or_else(|| by_first_line().filter(fits))
}

/// The records of an entry, each with the 1 that it counts for; in one piece, with their number, when they can not be told
/// apart.
#[must_use]
pub fn records<'b>(
    bytes: &'b [u8],
    records: u64,
    assembly: Option<&Assembly>,
) -> Vec<(&'b [u8], u64)> {
    let Some(starts) = record_starts(bytes, records, assembly) else {
        return vec![(bytes, records)];
    };
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    let record = |(start, end): (&usize, usize)| bytes.get(*start..end);
    let found = starts.iter().zip(ends).filter_map(record);
    found.map(|record| (record, 1)).collect()
}

/// Parts that an entry is cut into at most at once. What is beyond stays in the last one, and is cut when its turn comes:
/// limits that are narrow for the search of a culprit grow again before. Bounds the rows of one transaction.
const PARTS_MAX: usize = 16;

/// The number of the record that each part begins with, from the second part on, so that parts keep both limits as far as
/// single records do. Never empty for two records and more; `starts` is from [`record_starts`], `len` the bytes of the entry.
#[must_use]
pub fn parts(starts: &[usize], len: usize, limits: &PushLimits) -> Vec<usize> {
    let most = usize::try_from(limits.max_records)
        .unwrap_or(usize::MAX)
        .max(1);
    let mut found = Vec::new();
    let (mut first, mut begin) = (0, 0);
    let ends = starts.iter().skip(1).chain(std::iter::once(&len));
    for (record, end) in ends.enumerate() {
        let weight = limits.weight((record + 1 - first) as u64, (end - begin) as u64);
        let is_full = record - first >= most || weight > limits.max_bytes;
        if record > first && is_full {
            if found.len() + 1 == PARTS_MAX {
                return found;
            }
            found.push(record);
            first = record;
            begin = starts.get(record).copied().unwrap_or(len);
        }
    }
    if found.is_empty() && starts.len() > 1 {
        found.push(starts.len() / 2);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assembly(delimiter: &str) -> Assembly {
        Assembly {
            prefix: String::new(),
            suffix: String::new(),
            delimiter: delimiter.into(),
            content_type: "text/plain".into(),
        }
    }

    fn limits(max_records: u64, max_bytes: u64) -> PushLimits {
        PushLimits {
            max_bytes,
            max_records,
            interval_millis: 0,
            record_overhead_bytes: 0,
            is_binding: false,
            rate: crate::outbox::Rate::default(),
        }
    }

    #[test]
    fn records_are_told_apart_by_line_by_delimiter_or_as_json() {
        let starts = |text: &str, records, delimiter: Option<&str>| {
            record_starts(text.as_bytes(), records, delimiter.map(assembly).as_ref())
        };
        assert_eq!(starts("{}\n{\"a\":1}\n{}\n", 3, None), Some(vec![0, 3, 11]));
        assert_eq!(starts(",{\"a\":\",\"},{}", 2, Some(",")), Some(vec![0, 10]));
        assert_eq!(starts(",\na,b,\nc", 2, Some(",\n")), Some(vec![0, 5]));
        assert_eq!(starts("1,2\n3,4\n", 2, Some("")), Some(vec![0, 4]));
        assert_eq!(starts("{\"a\":1}{\"b\":2} ", 2, Some("")), Some(vec![0, 7]));
        assert_eq!(
            starts("{\"x\":{}}\n{\"a\":1}\n{\"x\":{}}\n{}\n", 2, None),
            Some(vec![0, 17])
        );
    }

    #[test]
    fn records_that_can_not_be_told_apart_are_not_cut() {
        for (text, records, delimiter) in [
            ("\"a\nb\",1\nc,2\n", 2, None),
            ("abcabc", 2, Some("")),
            (",a,b,c", 2, Some(",")),
            ("", 1, None),
            ("", 0, None),
            ("{\"x\":1}\n{\"a\":1}\n{\"x\":2}\n{}\n", 2, None),
            ("x\nx\na\n", 2, None),
        ] {
            let assembly = delimiter.map(assembly);
            let found = record_starts(text.as_bytes(), records, assembly.as_ref());
            assert_eq!(found, None, "{text}");
        }
    }

    #[test]
    fn parts_keep_the_limits_and_there_are_always_two() {
        let starts = [0, 10, 20, 30];
        for (max_records, max_bytes, expected) in [
            (2, 1_000, vec![2]),
            (100, 25, vec![2]),
            (100, 30, vec![3]),
            (1, 1_000, vec![1, 2, 3]),
            (1, 5, vec![1, 2, 3]),
            (0, 0, vec![1, 2, 3]),
            // They fit together, and somebody wants them cut all the same.
            (100, 1_000, vec![2]),
        ] {
            let found = parts(&starts, 40, &limits(max_records, max_bytes));
            assert_eq!(found, expected, "{max_records} {max_bytes}");
        }
        let wide = PushLimits {
            record_overhead_bytes: 20,
            ..limits(100, 60)
        };
        assert_eq!(
            parts(&starts, 40, &wide),
            vec![2],
            "what stands around records counts"
        );
        assert_eq!(parts(&[0], 10, &limits(1, 1)), Vec::<usize>::new());
        let many: Vec<usize> = (0..1_000).collect();
        let found = parts(&many, 1_000, &limits(3, 1_000));
        assert_eq!(found, (1..PARTS_MAX).map(|n| n * 3).collect::<Vec<_>>());
    }
}
