//! Durations as Cloudflare and Go write them: `30m`, `1h30m`, `45s`.

/// Longest duration: what is longer is a mistake, and sums of instants stay far from overflow.
const MAX_MILLIS: u64 = 366 * 24 * 3_600_000;

/// Reads hours, minutes and seconds, each at most once and in this order.
#[must_use]
pub fn parse_duration_millis(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut millis: u64 = 0;
    let mut last_unit = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let mut tail = tail.chars();
        let unit = match tail.next()? {
            'h' => 3_600_000,
            'm' => 60_000,
            's' => 1_000,
            _ => return None,
        };
        if unit >= last_unit {
            return None;
        }
        last_unit = unit;
        millis = millis.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        rest = tail.as_str();
    }
    (last_unit != u64::MAX && millis <= MAX_MILLIS).then_some(millis)
}

/// A duration for people: the two largest units that it has.
pub(super) fn for_people(millis: u64) -> String {
    let secs = millis / 1_000;
    let (d, h, m, s) = (secs / 86_400, secs / 3_600 % 24, secs / 60 % 60, secs % 60);
    let parts = match (d, h, m) {
        (1.., _, _) => [(d, "d"), (h, "h")],
        (0, 1.., _) => [(h, "h"), (m, "min")],
        _ => [(m, "min"), (s, "s")],
    };
    let shown: Vec<String> = parts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, unit)| format!("{n} {unit}"))
        .collect();
    if shown.is_empty() {
        "0 s".to_owned()
    } else {
        shown.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        let table = [
            ("30m", Some(1_800_000)),
            ("1h30m", Some(5_400_000)),
            (" 45s ", Some(45_000)),
            ("24h0m0s", Some(86_400_000)),
            ("0s", Some(0)),
            ("", None),
            ("30", None),
            ("m", None),
            ("1.5h", None),
            ("-1h", None),
            ("30m1h", None),
            ("1h1h", None),
            ("99999999999999999999h", None),
            ("9999999h", None),
            ("5d", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse_duration_millis(text), expected, "{text}");
        }
    }

    #[test]
    fn people_read_the_two_largest_units() {
        let table = [
            (0, "0 s"),
            (999, "0 s"),
            (45_000, "45 s"),
            (300_000, "5 min"),
            (301_000, "5 min 1 s"),
            (3_600_000, "1 h"),
            (5_430_000, "1 h 30 min"),
            (90_000_000, "1 d 1 h"),
        ];
        for (millis, expected) in table {
            assert_eq!(for_people(millis), expected);
        }
    }
}
