//! Numbers, times and durations. Nothing here is a float.

use super::{Made, json, scalar};
use crate::time;

/// An integer of 64 bits.
pub fn long(raw: &[u8], out: &mut Vec<u8>) -> Made {
    let is_text = super::is_text(raw);
    match integer(raw) {
        Some(_) if !is_text => Made::AsItIs,
        Some(number) => {
            out.extend_from_slice(number.to_string().as_bytes());
            Made::Written
        }
        None => Made::Unfit,
    }
}

/// Reads a number or decimal text.
pub fn integer(raw: &[u8]) -> Option<i64> {
    let text = scalar(raw)?;
    // Rust reads `+1`, which is no number elsewhere.
    std::str::from_utf8(&text)
        .ok()
        .filter(|text| !text.starts_with('+'))?
        .parse()
        .ok()
}

/// A time in the form of `@timestamp`.
pub fn time(raw: &[u8], out: &mut Vec<u8>) -> Made {
    let instant = match raw {
        [b'"', ..] => {
            let text = json::text(raw).unwrap_or_default();
            std::str::from_utf8(&text)
                .ok()
                .and_then(time::instant_from_str)
        }
        _ => time::instant_from_number(raw),
    };
    match instant {
        Some(nanos) if time::is_set(&nanos) => {
            time::write_micros(nanos, out);
            Made::Written
        }
        Some(_) => Made::Stays,
        None => Made::Unfit,
    }
}

/// The instant of a time that is set.
pub fn instant(raw: &[u8]) -> Option<time::UnixNanos> {
    match raw {
        [b'"', ..] => time::parse_str(std::str::from_utf8(&json::text(raw)?).ok()?),
        _ => time::parse_number(raw),
    }
}

/// A number of units of 10^`digits` nanoseconds as nanoseconds. Anything below a nanosecond is cut.
pub fn duration(raw: &[u8], digits: usize, out: &mut Vec<u8>) -> Made {
    let Some(text) = scalar(raw) else {
        return Made::Unfit;
    };
    let text = std::str::from_utf8(&text).unwrap_or_default();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return Made::Unfit;
    }
    let shifted: String = whole
        .chars()
        .chain(fraction.chars().chain(std::iter::repeat('0')).take(digits))
        .collect();
    match shifted.parse::<i64>() {
        Ok(nanos) => {
            out.extend_from_slice(nanos.to_string().as_bytes());
            Made::Written
        }
        Err(_) => Made::Unfit,
    }
}
