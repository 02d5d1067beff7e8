//! The upload by which Logpush checks a destination. Five forms are known (docs, the HTTP destination page, and receivers
//! that met them): gzip or plain, an empty body, the word alone, or a small JSON object.

use flate2::read::MultiGzDecoder;
use std::io::Read;

/// Bodies above this size are batches: the longest known form has 40 bytes.
pub const TEST_MESSAGE_MAX_BYTES: usize = 1024;

/// Whether the whole body, as received, is a test message.
#[must_use]
pub fn is_test_message(body: &[u8]) -> bool {
    if body.len() > TEST_MESSAGE_MAX_BYTES {
        return false;
    }
    let mut inflated = Vec::new();
    let text = if body.starts_with(&super::gzip::GZIP_MAGIC) {
        let limit = TEST_MESSAGE_MAX_BYTES as u64 + 1;
        if MultiGzDecoder::new(body)
            .take(limit)
            .read_to_end(&mut inflated)
            .is_err()
        {
            return false;
        }
        if inflated.len() > TEST_MESSAGE_MAX_BYTES {
            return false;
        }
        inflated.trim_ascii()
    } else {
        body.trim_ascii()
    };
    matches!(text, b"" | b"test" | b"tests") || is_test_object(text)
}

fn is_test_object(text: &[u8]) -> bool {
    let Ok(serde_json::Value::Object(object)) = serde_json::from_slice(text) else {
        return false;
    };
    let content = object.get("content").and_then(serde_json::Value::as_str);
    matches!(content, Some("test" | "tests"))
        && object
            .keys()
            .all(|key| key == "content" || key == "filename")
}

#[cfg(test)]
mod tests {
    use super::is_test_message;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_known_form_is_a_test_message_plain_and_gzip() {
        for text in [
            "",
            "test",
            "tests",
            "test\n",
            r#"{"content":"test"}"#,
            r#"{"content":"tests"}"#,
            r#"{"content":"test","filename":"test.txt"}"#,
            "{\"content\":\"tests\"}\n",
        ] {
            assert!(is_test_message(text.as_bytes()), "{text}");
            assert!(is_test_message(&gzip(text)), "gzip of {text}");
        }
    }

    #[test]
    fn a_record_or_anything_else_is_not() {
        for text in [
            "tested",
            r#"{"content":"testing"}"#,
            r#"{"content":"test","ClientIP":"192.0.2.1"}"#,
            r#"{"filename":"test.txt"}"#,
            r#"["content"]"#,
            "{\"content\":\"test\"}\n{\"content\":\"test\"}",
        ] {
            assert!(!is_test_message(text.as_bytes()), "{text}");
            assert!(!is_test_message(&gzip(text)), "gzip of {text}");
        }
        assert!(!is_test_message(&gzip("test")[..10]));
        assert!(!is_test_message(&gzip(&" ".repeat(100_000))));
    }
}
