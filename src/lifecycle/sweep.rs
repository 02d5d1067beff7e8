//! Holding what is listed against what is known.

use super::facts::Found;
use std::cmp::Ordering;

/// Rows that are looked at for one page of a listing, which has up to 1,000 objects: more only when objects are missing.
pub const ROWS_MAX: usize = 2_000;

/// An object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its size.
    pub bytes: u64,
    /// When it was written, unix milliseconds.
    pub uploaded_at: u64,
}

/// A row that names an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The object's key.
    pub key: String,
    /// When what it belongs to came, unix milliseconds.
    pub at: u64,
}

/// What may be said of what differs.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Objects that were written since may belong to somebody who has not come to write a row yet.
    pub orphans_before: u64,
    /// Rows from before may name objects that were deleted by age.
    pub missing_since: u64,
}

/// The end of what can be compared: `None` when all that is listed and all rows are there. Both sides begin behind the
/// same key; `is_last` says that the listing ends here, and `rows` are [`ROWS_MAX`] at most.
#[must_use]
pub fn end_of<'a>(listed: &'a [Listed], is_last: bool, rows: &'a [Known]) -> Option<&'a str> {
    let end_of_listing = listed.last().map(|it| it.key.as_str()).filter(|_| !is_last);
    let end_of_rows = rows
        .last()
        .map(|it| it.key.as_str())
        .filter(|_| rows.len() >= ROWS_MAX);
    match (end_of_listing, end_of_rows) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// What differs, up to and including the key `end`; both sides are in the order of keys. Returns how many objects were
/// listed up to there and their bytes.
pub fn compare(
    listed: &[Listed],
    rows: &[Known],
    end: Option<&str>,
    bounds: Bounds,
    orphans: &mut Found,
    missing: &mut Found,
) -> (u64, u64) {
    let is_in = |key: &str| end.is_none_or(|end| key <= end);
    let mut listed = listed.iter().filter(|it| is_in(&it.key)).peekable();
    let mut rows = rows.iter().filter(|it| is_in(&it.key)).peekable();
    let (mut objects, mut bytes) = (0, 0);
    loop {
        let order = match (listed.peek(), rows.peek()) {
            (None, None) => return (objects, bytes),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(object), Some(row)) => object.key.cmp(&row.key),
        };
        if order.is_le()
            && let Some(object) = listed.next()
        {
            objects += 1;
            bytes += object.bytes;
            if order.is_lt() && object.uploaded_at < bounds.orphans_before {
                orphans.note(&object.key, object.bytes);
            }
        }
        if order.is_ge()
            && let Some(row) = rows.next()
            && order.is_gt()
            && row.at >= bounds.missing_since
        {
            missing.note(&row.key, 0);
        }
    }
}

/// The job that a spooled object was written for: `spool/{attempt}/{job}/{number}`. `None` for anything else.
#[must_use]
pub fn job_of_spooled(key: &str) -> Option<u64> {
    let mut parts = key.strip_prefix("spool/")?.split('/');
    let (attempt, job, number) = (parts.next()?, parts.next()?, parts.next()?);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if attempt.is_empty() || !is_number(job) || !is_number(number) || parts.next().is_some() {
        return None;
    }
    job.parse().ok()
}

/// `{scope}`, dataset and day of the prefix of a ledger's objects: `zones/{id}/{dataset}/{YYYYMMDD}/`. `None` for anything
/// else, which the Worker did not write.
#[must_use]
pub fn ledger_of_prefix(prefix: &str) -> Option<(String, String, String)> {
    let mut parts = prefix.strip_suffix('/')?.split('/');
    let (kind, id) = (parts.next()?, parts.next()?);
    let (dataset, day) = (parts.next()?, parts.next()?);
    let is_day = day.len() == 8 && day.bytes().all(|b| b.is_ascii_digit());
    let is_ours = matches!(kind, "zones" | "accounts") && !id.is_empty() && !dataset.is_empty();
    (is_ours && is_day && parts.next().is_none())
        .then(|| (format!("{kind}/{id}"), dataset.to_owned(), day.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(keys: &[&str]) -> Vec<Listed> {
        let object = |key: &&str| Listed {
            key: (*key).to_owned(),
            bytes: 10,
            uploaded_at: if key.ends_with("young") { 100 } else { 1 },
        };
        keys.iter().map(object).collect()
    }

    fn rows(keys: &[&str]) -> Vec<Known> {
        let row = |key: &&str| Known {
            key: (*key).to_owned(),
            at: if key.ends_with("old") { 1 } else { 100 },
        };
        keys.iter().map(row).collect()
    }

    const BOUNDS: Bounds = Bounds {
        orphans_before: 50,
        missing_since: 50,
    };

    #[test]
    fn what_is_on_one_side_only_is_found_unless_it_may_be_so() {
        // What is listed, what is known, which are orphans, and what is missing.
        let table = [
            ("a b c", "a b c", "", ""),
            ("a b c", "b", "a c", ""),
            ("b", "a b c", "", "a c"),
            ("", "a b", "", "a b"),
            ("a b", "", "a b", ""),
            ("a-young b", "b c-old", "", ""),
            ("a c", "b d", "a c", "b d"),
        ];
        for columns in table {
            let keys = |text: &'static str| text.split_whitespace().collect::<Vec<&str>>();
            let (there, known) = (keys(columns.0), keys(columns.1));
            let (orphaned, lost) = (keys(columns.2), keys(columns.3));
            let (mut orphans, mut missing) = (Found::default(), Found::default());
            let there = listed(&there);
            let counted = compare(
                &there,
                &rows(&known),
                None,
                BOUNDS,
                &mut orphans,
                &mut missing,
            );
            assert_eq!(counted, (there.len() as u64, 10 * there.len() as u64));
            assert_eq!(orphans.named, orphaned, "{there:?} {known:?}");
            assert_eq!(missing.named, lost, "{there:?} {known:?}");
            assert_eq!(orphans.bytes, 10 * orphaned.len() as u64);
        }
    }

    #[test]
    fn pages_of_any_size_find_what_one_comparison_finds() {
        let keys: Vec<String> = (0..60).map(|n| format!("k{n:03}")).collect();
        for seed in 0..50_u64 {
            let bit = |n: usize, salt: u64| {
                let mixed = (n as u64 + 1)
                    .wrapping_mul(seed * 2 + 1)
                    .wrapping_mul(0x9E37_79B9_7F4A_7C15 + salt);
                mixed >> 61 > 2
            };
            let side = |salt| -> Vec<&str> {
                let some = keys.iter().enumerate().filter(|(n, _)| bit(*n, salt));
                some.map(|(_, key)| key.as_str()).collect()
            };
            let (there, known) = (listed(&side(0)), rows(&side(77)));
            let (mut orphans, mut missing) = (Found::default(), Found::default());
            let whole = compare(&there, &known, None, BOUNDS, &mut orphans, &mut missing);
            for page in [1, 3, 7, 1_000] {
                let (mut paged_orphans, mut paged_missing) = (Found::default(), Found::default());
                let (mut after, mut sum) = (String::new(), (0, 0));
                loop {
                    let rest: Vec<Listed> =
                        there.iter().filter(|it| it.key > after).cloned().collect();
                    let (some, is_last) = (&rest[..page.min(rest.len())], rest.len() <= page);
                    let known: Vec<Known> =
                        known.iter().filter(|it| it.key > after).cloned().collect();
                    let end = end_of(some, is_last, &known).map(str::to_owned);
                    let counted = compare(
                        some,
                        &known,
                        end.as_deref(),
                        BOUNDS,
                        &mut paged_orphans,
                        &mut paged_missing,
                    );
                    sum = (sum.0 + counted.0, sum.1 + counted.1);
                    match end {
                        Some(end) => after = end,
                        None => break,
                    }
                }
                assert_eq!(
                    (sum, &paged_orphans, &paged_missing),
                    (whole, &orphans, &missing),
                    "{seed} {page}"
                );
            }
        }
    }

    #[test]
    fn what_is_listed_beyond_the_rows_that_were_read_waits_for_the_next_page() {
        let known: Vec<Known> = (0..ROWS_MAX)
            .map(|n| Known {
                key: format!("k{n:05}"),
                at: 100,
            })
            .collect();
        let there = listed(&["k00000", "k09999"]);
        assert_eq!(end_of(&there, true, &known), Some("k01999"));
        assert_eq!(end_of(&there, false, &known), Some("k01999"));
        assert_eq!(end_of(&there, false, &known[..5]), Some("k09999"));
        assert_eq!(end_of(&there, true, &known[..5]), None);
    }

    #[test]
    fn keys_say_whose_they_are() {
        assert_eq!(job_of_spooled("spool/0b5e-uuid/17/0"), Some(17));
        for other in [
            "spool/u/17",
            "spool/u/x/0",
            "spool//17/0",
            "spool/u/17/0/1",
            "zones/u/17/0",
            "spool/u/17/",
        ] {
            assert_eq!(job_of_spooled(other), None, "{other}");
        }
        let found = ledger_of_prefix("zones/z/dns_logs/20260101/");
        assert_eq!(
            found,
            Some(("zones/z".into(), "dns_logs".into(), "20260101".into()))
        );
        for other in [
            "zones/z/dns_logs/2026/",
            "zones/z/dns_logs/",
            "logpush/z/d/20260101/",
            "zones/z/d/20260101",
            "zones/z/d/20260101/x/",
        ] {
            assert_eq!(ledger_of_prefix(other), None, "{other}");
        }
    }
}
