//! A Cloudflare Queue that is bound to the Worker, for a consumer Worker of the operator's own.
//!
//! A message is text: a line of JSON that says what it belongs to ([`Message::head`]), then records as they would be in a
//! request's body. Text keeps records as they are, to the byte; as JSON values they would lose the digits of large integers.
//!
//! Limits: Cloudflare's "Queues limits" page (2026). Errors: its "Error codes" page of Queues.

use serde_json::json;

use super::{Answer, Delivery, Kind, Limits, Meaning, Outcome, Push, https};
use crate::logpush::destination_conf::ResolvedDestination;

/// Bytes of one message: 128 KB (of 1,000 bytes), of which the platform's own metadata takes some 100.
const MESSAGE_MAX_BYTES: usize = 128_000 - MESSAGE_OVERHEAD_BYTES;

/// What the platform adds to a message: "up to ~100 bytes"; the rest is a margin.
const MESSAGE_OVERHEAD_BYTES: usize = 500;

/// Messages of one `sendBatch`.
const BATCH_MAX_MESSAGES: usize = 100;

/// Bytes of one `sendBatch`: 256 KB.
const BATCH_MAX_BYTES: usize = 256_000;

/// Raw bytes of a push. All of its messages are made before the first one is sent, so that a record which fits into none is
/// found while nothing is in the queue yet.
pub const MAX_PUSH_BYTES: u64 = 4_000_000;

/// Longest text in front of the records of a message; a job's dataset has up to 256 characters.
const HEAD_MAX_BYTES: usize = 1_000;

pub(super) const KIND: Kind = Kind {
    limits: Limits {
        max_bytes: Some(MAX_PUSH_BYTES),
        ..Limits::NONE
    },
    delivery,
    meaning,
    ..https::KIND
};

fn delivery(destination: &ResolvedDestination, push: &Push<'_>) -> Result<Delivery, String> {
    Ok(Delivery::Queue {
        binding: destination
            .url
            .split_once("://")
            .map(|(_, binding)| binding.to_owned())
            .unwrap_or_default(),
        push_id: push.id.to_owned(),
        replay: push.replay.map(str::to_owned),
    })
}

/// The error codes of Queues in place of statuses.
fn meaning(answer: &Answer<'_>) -> Option<Meaning> {
    match answer.status {
        // There is no such queue; not allowed; malformed id.
        10104..=10107 => Some(Meaning::ConfigurationRefused),
        // Message, batch, number of messages out of bounds.
        413 | 10204..=10206 => Some(Meaning::TooLarge),
        // Overloaded, full, paused, free tier used up; internal. What is unknown may pass as well.
        _ => Some(https::LATER),
    }
}

impl Outcome {
    /// What it means that `sendBatch` threw `text`. Its code stands at the end of it.
    #[must_use]
    pub fn from_queue_error(destination: &ResolvedDestination, text: &str) -> Self {
        let Some(status) = code_of(text) else {
            return Self::from_network_error(destination, text);
        };
        let answer = Answer {
            status,
            retry_after: None,
            body: text.as_bytes(),
        };
        Self::from_answer(destination, &answer, 0)
    }
}

/// The code in an error of Queues: 10104 to 10299, or 15000; 413 and 429 for texts that are known to come without one.
fn code_of(text: &str) -> Option<u16> {
    let digits = text
        .trim_end_matches([')', ']', '.', ' '])
        .rsplit(|c: char| !c.is_ascii_digit());
    let code = digits
        .take(1)
        .filter_map(|digits| digits.parse().ok())
        .find(|code| matches!(code, 10_104..=10_299 | 15_000));
    let lower = text.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    code.or_else(|| has(&["payload too large", "exceeds limit"]).then_some(413))
        .or_else(|| has(&["too many requests", "storage limit"]).then_some(429))
}

/// What a message says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// Stable id of the push.
    pub push_id: &'a str,
    /// The job and its dataset; `None` for a test message.
    pub job: Option<(u64, &'a str)>,
    /// The replay that it is of.
    pub replay: Option<&'a str>,
}

/// Records that belong into one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// How many.
    pub records: u64,
    /// They, and what stands around them.
    pub content: Vec<u8>,
}

impl Message {
    /// The first line: `push`, `sequence` (from 0), `messages` (of the push), `records` (of this message), `job` and
    /// `dataset`, and `replay` if it is of one; a test message has `test` in place of these. The same push has the same
    /// messages at every attempt.
    #[must_use]
    pub fn head(&self, head: &Head<'_>, sequence: usize, messages: usize) -> String {
        let mut line = json!({
            "push": head.push_id,
            "sequence": sequence,
            "messages": messages,
            "records": self.records,
        });
        if let Some(members) = line.as_object_mut() {
            match head.job {
                Some((job, dataset)) => {
                    members.insert("job".to_owned(), job.into());
                    members.insert("dataset".to_owned(), dataset.into());
                    if let Some(replay) = head.replay {
                        members.insert("replay".to_owned(), replay.into());
                    }
                }
                None => {
                    members.insert("test".to_owned(), true.into());
                }
            }
        }
        line.to_string()
    }
}

/// Sorts the records of a push into messages.
#[derive(Debug)]
pub struct Packer<'a> {
    prefix: &'a str,
    delimiter: &'a str,
    suffix: &'a str,
    messages: Vec<Message>,
}

impl<'a> Packer<'a> {
    /// For records which each have `delimiter` before them; `prefix` and `suffix` stand around those of each message.
    #[must_use]
    pub fn new(prefix: &'a str, delimiter: &'a str, suffix: &'a str) -> Self {
        Self {
            prefix,
            delimiter,
            suffix,
            messages: Vec::new(),
        }
    }

    /// Adds a record, or several that can not be told apart.
    ///
    /// # Errors
    ///
    /// The bytes of what fits into no message.
    pub fn add(&mut self, bytes: &[u8], records: u64) -> Result<(), usize> {
        let room = MESSAGE_MAX_BYTES - HEAD_MAX_BYTES;
        let after = self.suffix.len();
        if let Some(last) = self.messages.last_mut()
            && last.content.len() + bytes.len() + after <= room
        {
            last.content.extend_from_slice(bytes);
            last.records += records;
            return Ok(());
        }
        let first = bytes
            .strip_prefix(self.delimiter.as_bytes())
            .unwrap_or(bytes);
        if self.prefix.len() + first.len() + after > room {
            return Err(first.len());
        }
        self.messages.push(Message {
            records,
            content: [self.prefix.as_bytes(), first].concat(),
        });
        Ok(())
    }

    /// The messages, in order.
    #[must_use]
    pub fn finish(mut self) -> Vec<Message> {
        for message in &mut self.messages {
            message.content.extend_from_slice(self.suffix.as_bytes());
        }
        self.messages
    }
}

/// How many of the next messages go into one `sendBatch`: at least one.
#[must_use]
pub fn batch_len(next: &[Message]) -> usize {
    let mut bytes = 0;
    let fit = next
        .iter()
        .take(BATCH_MAX_MESSAGES)
        .take_while(|message| {
            bytes += message.content.len() + HEAD_MAX_BYTES + MESSAGE_OVERHEAD_BYTES;
            bytes <= BATCH_MAX_BYTES
        })
        .count();
    fit.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::Failure;
    use crate::logpush::destination_conf::{DestinationConf, DestinationPolicy};

    fn destination() -> ResolvedDestination {
        DestinationConf::parse("queue://LOGS_2", DestinationPolicy::default())
            .unwrap()
            .resolve(|_| None)
            .unwrap()
    }

    #[test]
    fn a_push_goes_to_the_binding() {
        assert_eq!(
            super::super::delivery(&destination(), &Push::ndjson("push-1")),
            Ok(Delivery::Queue {
                binding: "LOGS_2".into(),
                push_id: "push-1".into(),
                replay: None,
            })
        );
    }

    #[test]
    fn each_error_of_a_queue_has_one_meaning() {
        use Meaning::{ConfigurationRefused, TooLarge};
        let table = [
            (
                "Queue send failed: no such queue (10104)",
                10104,
                ConfigurationRefused,
            ),
            ("not allowed (10106)", 10106, ConfigurationRefused),
            ("message of 128001 bytes (10204)", 10204, TooLarge),
            ("batch (10205)", 10205, TooLarge),
            ("Queue sendBatch failed: Payload Too Large", 413, TooLarge),
            ("Queue is overloaded (10250)", 10250, https::LATER),
            ("full (10251)", 10251, https::LATER),
            ("paused (10252)", 10252, https::LATER),
            ("unknown (15000)", 15000, https::LATER),
            (
                "Queue sendBatch failed: Too Many Requests",
                429,
                https::LATER,
            ),
            ("Storage Limit Exceeded", 429, https::LATER),
            ("internal error; reference = 10104x", 1101, https::LATER),
            ("Network connection lost.", 1104, https::LATER),
            ("whatever", 1101, https::LATER),
        ];
        for (text, status, meaning) in table {
            let Outcome::Failed(Failure {
                meaning: found,
                status: code,
                reason,
            }) = Outcome::from_queue_error(&destination(), text)
            else {
                panic!("{text}")
            };
            assert_eq!((found, code), (meaning, status), "{text}");
            assert!(
                reason.starts_with(&format!(
                    "error {status}: error pushing: error uploading to queue: "
                )) && reason.ends_with(text),
                "{reason}"
            );
        }
    }

    fn packed(records: &[&[u8]], around: [&str; 3]) -> Vec<(u64, String)> {
        let [prefix, delimiter, suffix] = around;
        let mut packer = Packer::new(prefix, delimiter, suffix);
        for record in records {
            packer.add(record, 1).unwrap();
        }
        let text =
            |message: Message| (message.records, String::from_utf8(message.content).unwrap());
        packer.finish().into_iter().map(text).collect()
    }

    #[test]
    fn small_records_share_a_message_and_what_stands_around_them_is_in_each() {
        assert_eq!(
            packed(&[b"{}\n", b"{\"a\":1}\n"], ["", "", ""]),
            [(2, "{}\n{\"a\":1}\n".to_owned())]
        );
        let large = format!(",{}", "x".repeat(70_000));
        assert_eq!(
            packed(
                &[large.as_bytes(), b",b", large.as_bytes()],
                ["[", ",", "]"]
            ),
            [
                (2, format!("[{},b]", &large[1..])),
                (1, format!("[{}]", &large[1..]))
            ]
        );
    }

    #[test]
    fn every_record_is_in_one_message_in_order_and_no_message_is_too_large() {
        let lines: Vec<String> = (0..3_000_usize)
            .map(|n| format!("{{\"n\":{n},\"x\":\"{}\"}}\n", "x".repeat(n * 37 % 1_900)))
            .collect();
        let mut packer = Packer::new("", "", "");
        for line in &lines {
            packer.add(line.as_bytes(), 1).unwrap();
        }
        let messages = packer.finish();
        let joined: Vec<u8> = messages
            .iter()
            .flat_map(|one| one.content.clone())
            .collect();
        assert_eq!(joined, lines.concat().into_bytes());
        assert_eq!(messages.iter().map(|one| one.records).sum::<u64>(), 3_000);
        let head = Head {
            push_id: &"f".repeat(40),
            job: Some((u64::MAX, &"d".repeat(256))),
            replay: Some(&"r".repeat(64)),
        };
        let sizes: Vec<usize> = messages
            .iter()
            .enumerate()
            .map(|(n, one)| one.head(&head, n, messages.len()).len() + 1 + one.content.len())
            .collect();
        assert!(sizes.iter().all(|size| *size <= MESSAGE_MAX_BYTES));
        // All but the last one are filled.
        let (_, full) = sizes.split_last().unwrap();
        assert!(full.iter().all(|size| *size > 120_000), "{sizes:?}");
        let (mut at, mut batches) = (0, 0);
        while at < messages.len() {
            let len = batch_len(&messages[at..]);
            let bytes: usize = sizes[at..at + len].iter().sum();
            assert!(bytes + len * 100 <= 256_000 && len <= 100);
            at += len;
            batches += 1;
        }
        assert_eq!(batches, messages.len().div_ceil(2));
    }

    #[test]
    fn a_batch_has_a_hundred_messages_at_most_and_one_at_least() {
        let message = |bytes| Message {
            records: 1,
            content: vec![b'x'; bytes],
        };
        assert_eq!(batch_len(&vec![message(10); 300]), 100);
        assert_eq!(batch_len(&[message(126_000), message(126_000)]), 2);
        assert_eq!(batch_len(&[message(400_000), message(1)]), 1);
    }

    #[test]
    fn a_record_that_fits_into_no_message_is_named_by_its_size() {
        let room = MESSAGE_MAX_BYTES - HEAD_MAX_BYTES;
        let mut packer = Packer::new("[", ",", "]");
        let most = format!(",{}", "x".repeat(room - 2));
        assert_eq!(packer.add(most.as_bytes(), 1), Ok(()));
        let more = format!(",{}", "x".repeat(room - 1));
        assert_eq!(packer.add(more.as_bytes(), 1), Err(room - 1));
    }

    #[test]
    fn the_first_line_says_what_a_message_belongs_to() {
        let message = Message {
            records: 412,
            content: Vec::new(),
        };
        let head = |job| Head {
            push_id: "p",
            job,
            replay: None,
        };
        assert_eq!(
            message.head(&head(Some((7, "http_requests"))), 1, 3),
            r#"{"dataset":"http_requests","job":7,"messages":3,"push":"p","records":412,"sequence":1}"#
        );
        assert_eq!(
            message.head(&head(None), 0, 1),
            r#"{"messages":1,"push":"p","records":412,"sequence":0,"test":true}"#
        );
        let of_replay = Head {
            replay: Some("r1"),
            ..head(Some((7, "dns_logs")))
        };
        assert_eq!(
            message.head(&of_replay, 0, 1),
            r#"{"dataset":"dns_logs","job":7,"messages":1,"push":"p","records":412,"replay":"r1","sequence":0}"#
        );
    }
}
