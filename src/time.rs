//! Instants, in the forms in which Logpush writes them. Nothing here reads a clock.
//!
//! Logpush writes times as integers (unix seconds or nanoseconds; some fields milliseconds) or as RFC 3339 with 0 to 9
//! decimals (Logpush docs, log output options). All arithmetic is on integers: unix nanoseconds of today do not fit a
//! double.

use jiff::Timestamp;

/// Nanoseconds since 1970-01-01T00:00:00Z.
pub type UnixNanos = i128;

/// From the first second that RFC 3339 can write to the last that jiff can, a day before the year 10000.
const NANOS_RANGE: std::ops::RangeInclusive<UnixNanos> =
    -62_135_596_800_000_000_000..=253_402_207_200_999_999_999;

/// Go's zero time, which Logpush writes where there is no time, as it writes 0.
const GO_ZERO: UnixNanos = -62_135_596_800_000_000_000;

/// Whether an instant says when something was.
#[must_use]
pub fn is_set(nanos: &UnixNanos) -> bool {
    *nanos != 0 && *nanos != GO_ZERO
}

/// A decimal integer: below 10^11 it is seconds, below 10^14 milliseconds, below 10^17 microseconds, else nanoseconds.
fn from_integer(n: i128) -> Option<UnixNanos> {
    let nanos_per_unit: i128 = match n.unsigned_abs() {
        0..100_000_000_000 => 1_000_000_000,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    };
    n.checked_mul(nanos_per_unit)
        .filter(|nanos| NANOS_RANGE.contains(nanos))
}

/// Nanoseconds of the years 2001 to 2286, which nearly every time is, without 128-bit arithmetic; `None` for anything
/// else.
#[inline]
fn plain_nanos(text: &[u8]) -> Option<UnixNanos> {
    let digits: &[u8; 19] = text.try_into().ok()?;
    let mut nanos: u64 = 0;
    for digit in digits.map(|byte| byte.wrapping_sub(b'0')) {
        if digit > 9 {
            return None;
        }
        nanos = nanos * 10 + u64::from(digit);
    }
    (nanos >= 1_000_000_000_000_000_000).then_some(i128::from(nanos))
}

/// Reads the text of a JSON number, 0 as the epoch. A decimal fraction is taken exactly, and only of seconds; an exponent
/// is no time.
#[must_use]
pub fn instant_from_number(text: &[u8]) -> Option<UnixNanos> {
    if let Some(nanos) = plain_nanos(text) {
        return Some(nanos);
    }
    let text = std::str::from_utf8(text).ok()?;
    let Some((whole, fraction)) = text.split_once('.') else {
        // Nearly every time fits 64 bits, and those are quicker to read.
        let n = match text.parse::<i64>() {
            Ok(n) => i128::from(n),
            Err(_) => text.parse().ok()?,
        };
        return from_integer(n);
    };
    let seconds: i128 = whole.parse().ok()?;
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if seconds.unsigned_abs() >= 100_000_000_000 {
        return None;
    }
    // Anything below a nanosecond is cut.
    let mut nanos: i128 = 0;
    for at in 0..9 {
        let digit = fraction
            .as_bytes()
            .get(at)
            .map_or(0, |byte| i128::from(byte - b'0'));
        nanos = nanos * 10 + digit;
    }
    let sign = if whole.starts_with('-') { -1 } else { 1 };
    Some(seconds * 1_000_000_000 + sign * nanos).filter(|nanos| NANOS_RANGE.contains(nanos))
}

/// Reads RFC 3339 with any offset, or a decimal integer, 0 as the epoch.
#[must_use]
pub fn instant_from_str(text: &str) -> Option<UnixNanos> {
    if let Ok(n) = text.parse() {
        return from_integer(n);
    }
    // jiff reads more than RFC 3339: dates without a time, or with a time zone in brackets.
    if text.len() < "2006-01-02T15:04:05Z".len() || text.ends_with(']') {
        return None;
    }
    let nanos = text.parse::<Timestamp>().ok()?.as_nanosecond();
    Some(nanos).filter(|nanos| NANOS_RANGE.contains(nanos))
}

/// [`instant_from_number`], or `None` for what Logpush writes where there is no time.
#[must_use]
pub fn parse_number(text: &[u8]) -> Option<UnixNanos> {
    instant_from_number(text).filter(is_set)
}

/// [`instant_from_str`], or `None` for what Logpush writes where there is no time.
#[must_use]
pub fn parse_str(text: &str) -> Option<UnixNanos> {
    instant_from_str(text).filter(is_set)
}

/// Reads raw JSON text: a number, or a string without escapes.
#[must_use]
pub fn parse_json(raw: &[u8]) -> Option<UnixNanos> {
    match raw {
        [b'"', inner @ .., b'"'] => parse_str(std::str::from_utf8(inner).ok()?),
        _ => parse_number(raw),
    }
}

fn format(nanos: UnixNanos, form: &str) -> String {
    let nanos = nanos.clamp(*NANOS_RANGE.start(), *NANOS_RANGE.end());
    // In range, so there is an instant; the epoch stands in for what can not be.
    let instant = Timestamp::from_nanosecond(nanos).unwrap_or(Timestamp::UNIX_EPOCH);
    instant.strftime(form).to_string()
}

/// `20180523T100000Z`, as in Logpush's object names; fractions of a second are cut.
#[must_use]
pub fn compact_utc(nanos: UnixNanos) -> String {
    format(nanos, "%Y%m%dT%H%M%SZ")
}

/// `20180523`, Logpush's `{DATE}`.
#[must_use]
pub fn day_utc(nanos: UnixNanos) -> String {
    format(nanos, "%Y%m%d")
}

/// `2018-05-23T10:00:00Z`, with as many decimals as there are.
#[must_use]
pub fn rfc3339(nanos: UnixNanos) -> String {
    format(nanos, "%Y-%m-%dT%H:%M:%S%.fZ")
}

/// [`rfc3339`] of unix milliseconds.
#[must_use]
pub fn rfc3339_millis(millis: u64) -> String {
    rfc3339(i128::from(millis) * 1_000_000)
}

/// Logpush's `timestamp_format`: how a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampFormat {
    /// `1506702504433000200`
    UnixNano,
    /// `1506702504`
    Unix,
    /// `2017-09-29T16:28:24Z`
    Rfc3339,
    /// `2017-09-29T16:28:24.433Z`
    Rfc3339Ms,
    /// `2017-09-29T16:28:24.4330002Z`: as many decimals as there are, as Go writes them.
    Rfc3339Ns,
}

impl TimestampFormat {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::UnixNano,
        Self::Unix,
        Self::Rfc3339,
        Self::Rfc3339Ms,
        Self::Rfc3339Ns,
    ];

    /// Logpush's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnixNano => "unixnano",
            Self::Unix => "unix",
            Self::Rfc3339 => "rfc3339",
            Self::Rfc3339Ms => "rfc3339ms",
            Self::Rfc3339Ns => "rfc3339ns",
        }
    }

    /// The format of that name.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == word)
    }

    /// Writes an instant as JSON: a number, or a string with its quotes. What the format can not hold is cut, towards the
    /// past.
    pub fn write_json(self, nanos: UnixNanos, out: &mut Vec<u8>) {
        let nanos = nanos.clamp(*NANOS_RANGE.start(), *NANOS_RANGE.end());
        let (seconds, below) = seconds_and_nanos(nanos);
        match self {
            Self::UnixNano => match i64::try_from(nanos) {
                Ok(nanos) => out.extend_from_slice(nanos.to_string().as_bytes()),
                Err(_) => out.extend_from_slice(nanos.to_string().as_bytes()),
            },
            Self::Unix => out.extend_from_slice(seconds.to_string().as_bytes()),
            Self::Rfc3339 => write_utc(seconds, 0, 0, out),
            Self::Rfc3339Ms => write_utc(seconds, below / 1_000_000, 3, out),
            Self::Rfc3339Ns => {
                let (mut decimals, mut width) = (below, 9);
                while width > 0 && decimals % 10 == 0 {
                    decimals /= 10;
                    width -= 1;
                }
                write_utc(seconds, decimals, width, out);
            }
        }
    }
}

/// Seconds, and the nanoseconds beyond them; `nanos` in [`NANOS_RANGE`].
fn seconds_and_nanos(nanos: UnixNanos) -> (i64, i64) {
    // Times of the years 1678 to 2261 fit 64 bits, and 128-bit division is slow in wasm.
    match i64::try_from(nanos) {
        Ok(nanos) => (
            nanos.div_euclid(1_000_000_000),
            nanos.rem_euclid(1_000_000_000),
        ),
        Err(_) => (
            nanos.div_euclid(1_000_000_000) as i64,
            nanos.rem_euclid(1_000_000_000) as i64,
        ),
    }
}

/// Writes an instant as a JSON string in UTC, with six decimals, or with none when they all are zero: `@timestamp` of an
/// ECS event. Anything below a microsecond is cut, towards the past.
pub fn write_micros(nanos: UnixNanos, out: &mut Vec<u8>) {
    let nanos = nanos.clamp(*NANOS_RANGE.start(), *NANOS_RANGE.end());
    let (seconds, below) = seconds_and_nanos(nanos);
    let micros = below / 1_000;
    write_utc(seconds, micros, if micros == 0 { 0 } else { 6 }, out);
}

/// `"2017-09-29T16:28:24.433Z"`, quotes included; `decimals` has `width` digits.
fn write_utc(seconds: i64, decimals: i64, width: usize, out: &mut Vec<u8>) {
    let (days, second_of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Howard Hinnant's "days to civil", with years that begin in March so that the leap day is the last one.
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let mut text = *b"\"0000-00-00T00:00:00.000000000";
    for (at, number) in [
        (1, year / 100),
        (3, year % 100),
        (6, month),
        (9, day),
        (12, second_of_day / 3_600),
        (15, second_of_day / 60 % 60),
        (18, second_of_day % 60),
    ] {
        if let Some([tens, ones]) = text.get_mut(at..at + 2) {
            *tens += (number / 10) as u8;
            *ones += (number % 10) as u8;
        }
    }
    // Up to the seconds, and with the dot and the decimals if there are any.
    let end = if width == 0 { 20 } else { 21 + width };
    let mut left = decimals;
    for digit in text.get_mut(21..end).unwrap_or_default().iter_mut().rev() {
        *digit += (left % 10) as u8;
        left /= 10;
    }
    out.extend_from_slice(text.get(..end).unwrap_or_default());
    out.extend_from_slice(b"Z\"");
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::Offset;
    use proptest::prelude::*;

    const AT: UnixNanos = 1_657_233_726_004_000_000;

    #[test]
    fn every_form_that_logpush_writes_is_the_same_instant() {
        for raw in [
            "1657233726004000000",
            "1657233726004000",
            "1657233726004",
            "1657233726.004",
            "\"1657233726004000000\"",
            "\"2022-07-07T22:42:06.004Z\"",
            "\"2022-07-07T22:42:06.004000000Z\"",
            "\"2022-07-08T00:42:06.004+02:00\"",
        ] {
            assert_eq!(parse_json(raw.as_bytes()), Some(AT), "{raw}");
        }
        assert_eq!(parse_json(b"1657233726"), Some(1_657_233_726_000_000_000));
        assert_eq!(
            parse_json(b"\"2022-07-07T22:42:06Z\""),
            parse_json(b"1657233726")
        );
    }

    #[test]
    fn nanoseconds_beyond_a_double_stay_exact() {
        assert_eq!(
            parse_json(b"1506702504433000201"),
            Some(1_506_702_504_433_000_201)
        );
    }

    #[test]
    fn what_is_no_time_is_none() {
        for raw in [
            "0",
            "\"\"",
            "\"0\"",
            "\"0001-01-01T00:00:00Z\"",
            "null",
            "true",
            "[]",
            "{}",
            "1e9",
            "1.5e3",
            "1.",
            "\"yesterday\"",
            "\"2022-07-07\"",
            "\"2022-13-07T22:42:06Z\"",
            "99999999999999999999999",
            "999999999999999999999999999999999999999999",
            "-99999999999",
            "123456789012.5",
            "\"1.5\"",
            "\"2022-07-07T22:42:06+00:00[UTC]\"",
            "\"",
        ] {
            assert_eq!(parse_json(raw.as_bytes()), None, "{raw}");
        }
    }

    #[test]
    fn instants_are_written_in_logpushs_forms() {
        assert_eq!(compact_utc(AT), "20220707T224206Z");
        assert_eq!(day_utc(AT), "20220707");
        assert_eq!(rfc3339(AT), "2022-07-07T22:42:06.004Z");
        assert_eq!(rfc3339_millis(1_657_233_726_000), "2022-07-07T22:42:06Z");
        assert_eq!(day_utc(i128::MAX), "99991230");
    }

    #[test]
    fn no_time_is_an_instant_when_somebody_asks_for_it() {
        assert_eq!(instant_from_number(b"0"), Some(0));
        assert_eq!(instant_from_number(b"-0.0"), Some(0));
        assert_eq!(instant_from_str("0"), Some(0));
        assert_eq!(instant_from_str("0001-01-01T00:00:00Z"), Some(GO_ZERO));
        assert_eq!(instant_from_str("0000-12-31T23:59:59Z"), None);
        assert_eq!(instant_from_str(""), None);
    }

    /// Any instant that there is, and as often one of this century.
    fn instants() -> impl Strategy<Value = UnixNanos> {
        prop_oneof![
            NANOS_RANGE,
            946_684_800_000_000_000..4_102_444_800_000_000_000_i128
        ]
    }

    fn written(format: TimestampFormat, nanos: UnixNanos) -> String {
        let mut out = Vec::new();
        format.write_json(nanos, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_timestamp_format_has_logpushs_form() {
        use TimestampFormat::*;
        // The first two are Logpush's own examples.
        for (nanos, format, text) in [
            (1_506_702_504_433_000_200, UnixNano, "1506702504433000200"),
            (1_506_702_504_433_000_200, Unix, "1506702504"),
            (
                1_677_250_367_123_456_789,
                Rfc3339,
                "\"2023-02-24T14:52:47Z\"",
            ),
            (
                1_677_250_367_123_456_789,
                Rfc3339Ms,
                "\"2023-02-24T14:52:47.123Z\"",
            ),
            (
                1_677_250_367_123_456_789,
                Rfc3339Ns,
                "\"2023-02-24T14:52:47.123456789Z\"",
            ),
            (
                1_677_250_367_100_000_000,
                Rfc3339Ms,
                "\"2023-02-24T14:52:47.100Z\"",
            ),
            (
                1_677_250_367_100_000_000,
                Rfc3339Ns,
                "\"2023-02-24T14:52:47.1Z\"",
            ),
            (
                1_677_250_367_000_000_000,
                Rfc3339Ns,
                "\"2023-02-24T14:52:47Z\"",
            ),
            (
                1_709_164_800_000_000_000,
                Rfc3339,
                "\"2024-02-29T00:00:00Z\"",
            ),
            (-1, Rfc3339Ms, "\"1969-12-31T23:59:59.999Z\""),
            (-1, Unix, "-1"),
            (GO_ZERO, Rfc3339, "\"0001-01-01T00:00:00Z\""),
            (
                *NANOS_RANGE.end(),
                Rfc3339Ns,
                "\"9999-12-30T22:00:00.999999999Z\"",
            ),
            (i128::MIN, Rfc3339, "\"0001-01-01T00:00:00Z\""),
        ] {
            assert_eq!(written(format, nanos), text);
            assert_eq!(TimestampFormat::from_word(format.as_str()), Some(format));
        }
        assert_eq!(TimestampFormat::from_word("RFC3339"), None);
    }

    proptest! {
        #[test]
        fn a_timestamp_format_writes_what_jiff_writes_and_is_read_back(nanos in instants()) {
            let instant = Timestamp::from_nanosecond(nanos).unwrap();
            let plain = written(TimestampFormat::Rfc3339Ns, nanos);
            prop_assert_eq!(&plain, &format!("\"{instant}\""));
            prop_assert_eq!(parse_json(plain.as_bytes()), Some(nanos).filter(is_set));
            prop_assert_eq!(written(TimestampFormat::UnixNano, nanos), nanos.to_string());
            let milli = nanos.div_euclid(1_000_000) * 1_000_000;
            let text = written(TimestampFormat::Rfc3339Ms, nanos);
            prop_assert_eq!(parse_json(text.as_bytes()), Some(milli).filter(is_set));
            let second = nanos.div_euclid(1_000_000_000);
            let text = written(TimestampFormat::Rfc3339, nanos);
            prop_assert_eq!(parse_json(text.as_bytes()), Some(second * 1_000_000_000).filter(is_set));
            prop_assert_eq!(written(TimestampFormat::Unix, nanos), second.to_string());
        }

        #[test]
        fn rfc_3339_is_read_and_written_as_jiff_does(nanos in instants(), minutes in -1_439_i32..1_440) {
            let instant = Timestamp::from_nanosecond(nanos).unwrap();
            prop_assert_eq!(&rfc3339(nanos), &instant.to_string());
            prop_assert_eq!(instant_from_str(&rfc3339(nanos)), Some(nanos));
            prop_assert_eq!(instant_from_str(&format!("{instant:.9}")), Some(nanos));
            let offset = Offset::from_seconds(minutes * 60).unwrap();
            let elsewhere = instant.display_with_offset(offset).to_string();
            // A local year below 1 has another form.
            prop_assume!(elsewhere.starts_with(|c: char| c.is_ascii_digit()));
            prop_assert_eq!(instant_from_str(&elsewhere), Some(nanos));
        }

        #[test]
        fn names_hold_the_parts_of_the_date_in_utc(nanos in instants()) {
            let civil = Offset::UTC.to_datetime(Timestamp::from_nanosecond(nanos).unwrap());
            let day = format!("{:04}{:02}{:02}", civil.year(), civil.month(), civil.day());
            let time = format!("{:02}{:02}{:02}", civil.hour(), civil.minute(), civil.second());
            prop_assert_eq!(&compact_utc(nanos), &format!("{day}T{time}Z"));
            prop_assert_eq!(day_utc(nanos), day);
        }

        #[test]
        fn a_number_says_its_unit_by_its_size(nanos in 100_000_000_000_000_000..NANOS_RANGE.into_inner().1) {
            let reads = |n: i128| (instant_from_number(n.to_string().as_bytes()), instant_from_str(&n.to_string()));
            prop_assert_eq!(reads(nanos), (Some(nanos), Some(nanos)));
            for (unit, smallest) in [(1_000, 100_000_000_000_000), (1_000_000, 100_000_000_000), (1_000_000_000, 0)] {
                let n = nanos / unit;
                // Beyond its range the number says a smaller unit.
                if (smallest..(smallest * 1_000).max(100_000_000_000)).contains(&n) {
                    prop_assert_eq!(reads(n), (Some(n * unit), Some(n * unit)));
                }
            }
        }

        #[test]
        fn decimals_of_seconds_are_exact(seconds in 0_i64..62_135_596_800, nanos in 0_i128..1_000_000_000, digits in 1_usize..=9) {
            let decimals = &format!("{nanos:09}")[..digits];
            let exact: i128 = format!("{decimals:0<9}").parse().unwrap();
            let text = format!("{seconds}.{decimals}");
            let size = i128::from(seconds) * 1_000_000_000 + exact;
            prop_assert_eq!(instant_from_number(text.as_bytes()), Some(size));
            prop_assert_eq!(instant_from_number(format!("-{text}").as_bytes()), Some(-size));
            prop_assert_eq!(instant_from_number(format!("{text}{}999", "0".repeat(9 - digits)).as_bytes()), Some(size));
        }

        #[test]
        fn no_text_is_too_odd(text in "[\"0-9TZ:.eE+\\-\\[\\] é]{0,32}") {
            let known = parse_json(text.as_bytes());
            prop_assert!(known.is_none_or(|nanos| NANOS_RANGE.contains(&nanos) && is_set(&nanos)));
        }
    }
}
