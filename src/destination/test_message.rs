//! The upload by which a destination is checked before a job relies on it, as Logpush makes it.

/// How long a destination may take to answer a test message: somebody is waiting for the API.
pub const TEST_DEADLINE_MILLIS: u64 = 10_000;

/// What Logpush sends to check a destination.
pub const TEST_MESSAGE: &str = r#"{"content":"tests"}"#;

/// The same as a record, with its line end.
pub const TEST_RECORD: &[u8] = b"{\"content\":\"tests\"}\n";

/// [`TEST_MESSAGE`], gzip (RFC 1952), in one stored block (RFC 1951, 3.2.4).
pub const TEST_MESSAGE_GZIP: [u8; 42] = [
    // Header: deflate, no flags, no time, unknown system.
    0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, //
    // The last block, stored: its length 19 and the complement.
    1, 19, 0, 0xec, 0xff, //
    b'{', b'"', b'c', b'o', b'n', b't', b'e', b'n', b't', b'"', b':', b'"', b't', b'e', b's', b't',
    b's', b'"', b'}', //
    // CRC-32 and length.
    0x34, 0xf6, 0xd9, 0x89, 19, 0, 0, 0,
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn the_test_message_is_a_gzip_of_logpushs_own() {
        let mut text = String::new();
        let mut reader = flate2::read::GzDecoder::new(TEST_MESSAGE_GZIP.as_slice());
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, TEST_MESSAGE);
        assert_eq!(TEST_RECORD, format!("{text}\n").as_bytes());
        assert!(crate::batch::test_message::is_test_message(
            &TEST_MESSAGE_GZIP
        ));
    }
}
