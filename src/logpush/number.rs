//! Numbers as JSON writes them, compared exactly: an integer never goes through a double.

use std::cmp::Ordering;

/// A number of a record or of a filter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// Written without fraction and exponent.
    Integer(i128),
    /// Anything else; always finite.
    Float(f64),
}

impl Number {
    /// Reads the text of a JSON number.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        if let Some(integer) = parse_integer(text) {
            return Some(Self::Integer(integer));
        }
        let text = std::str::from_utf8(text).ok()?;
        // What `f64` reads beyond JSON: inf, nan, a plus sign, a dot without a digit before or after it.
        let is_digit = |c: char| c.is_ascii_digit();
        if !text.strip_prefix('-').unwrap_or(text).starts_with(is_digit)
            || !text.ends_with(is_digit)
            || text.contains(".e")
            || text.contains(".E")
        {
            return None;
        }
        text.parse()
            .ok()
            .filter(|float: &f64| float.is_finite())
            .map(Self::Float)
    }

    /// Orders two numbers by their exact values.
    #[must_use]
    pub fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(&b),
            // Both finite, so there is an order.
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
            (Self::Integer(a), Self::Float(b)) => integer_with_float(a, b),
            (Self::Float(a), Self::Integer(b)) => integer_with_float(b, a).reverse(),
        }
    }
}

/// Reads a decimal integer of up to 38 digits.
#[must_use]
pub fn parse_integer(text: &[u8]) -> Option<i128> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 38 {
        return None;
    }
    // Nearly every number of a log fits 18 digits, and 64-bit arithmetic is what wasm is quick at.
    let value = if digits.len() <= 18 {
        i128::from(digits.iter().try_fold(0_i64, |value, byte| {
            byte.is_ascii_digit()
                .then(|| value * 10 + i64::from(byte - b'0'))
        })?)
    } else {
        digits.iter().try_fold(0_i128, |value, byte| {
            byte.is_ascii_digit()
                .then(|| value * 10 + i128::from(byte - b'0'))
        })?
    };
    Some(if is_negative { -value } else { value })
}

fn integer_with_float(integer: i128, float: f64) -> Ordering {
    // 2^127 as a double; every double inside converts exactly when its fraction is cut.
    const LIMIT: f64 = 170_141_183_460_469_231_731_687_303_715_884_105_728.0;
    if float >= LIMIT {
        return Ordering::Less;
    }
    if float < -LIMIT {
        return Ordering::Greater;
    }
    let whole = float.trunc();
    integer.cmp(&(whole as i128)).then_with(|| {
        0.0_f64
            .partial_cmp(&(float - whole))
            .unwrap_or(Ordering::Equal)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_compare_by_their_exact_values() {
        let number = |text: &str| Number::parse(text.as_bytes()).unwrap();
        for (a, b, order) in [
            ("9007199254740993", "9007199254740992", Ordering::Greater),
            ("9007199254740993", "9007199254740992.0", Ordering::Greater),
            ("1", "1.0", Ordering::Equal),
            ("1", "1e0", Ordering::Equal),
            ("1", "1.5", Ordering::Less),
            ("-1", "-1.5", Ordering::Greater),
            ("0", "-0.0", Ordering::Equal),
            ("1", "1e300", Ordering::Less),
            ("-1", "-1e300", Ordering::Greater),
            ("0.25", "0.5", Ordering::Less),
            (
                "18446744073709551616",
                "18446744073709551615",
                Ordering::Greater,
            ),
        ] {
            assert_eq!(number(a).compare(number(b)), order, "{a} {b}");
            assert_eq!(number(b).compare(number(a)), order.reverse(), "{b} {a}");
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in [
            "", "-", "inf", "nan", "+1", ".5", "1.", "1e400", "12a", "0x1", " 1", "-.5", "1.e5",
            "1.E5", "1_000", "--1", "-inf",
        ] {
            assert_eq!(Number::parse(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_integer_is_read_as_the_standard_library_does(n in any::<i128>(), zeros in 0_usize..3, cut in 0_u32..128) {
            let n = n >> cut;
            let sign = if n < 0 { "-" } else { "" };
            let text = format!("{sign}{}{}", "0".repeat(zeros), n.unsigned_abs());
            let digits = text.trim_start_matches('-').len();
            prop_assert_eq!(parse_integer(text.as_bytes()), Some(n).filter(|_| digits <= 38));
        }

        #[test]
        fn an_integer_and_a_double_compare_exactly(n in any::<i64>(), near in -3_i64..=3, cut in 0_u32..64, halvings in 0_u32..12) {
            // The double is `doubled` / 2^halvings, so both sides times 2^halvings are integers.
            let n = n >> cut;
            let doubled = ((n as f64) * f64::from(1_u32 << halvings) + near as f64).trunc();
            let double = doubled / f64::from(1_u32 << halvings);
            let order = (i128::from(n) << halvings).cmp(&(doubled as i128));
            let (a, b) = (Number::parse(n.to_string().as_bytes()), Number::parse(format!("{double:?}").as_bytes()));
            let (a, b) = (a.unwrap(), b.unwrap());
            prop_assert_eq!(b, Number::Float(double));
            prop_assert_eq!(a.compare(b), order);
            prop_assert_eq!(b.compare(a), order.reverse());
        }
    }
}
