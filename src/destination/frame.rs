//! How the records of a push are written out for a destination that does not take them as they are stored.

use std::fmt;

use memchr::memchr;

use crate::batch::projection::Projection;
use crate::batch::scan::scan;
use crate::limits::LINE_MAX_BYTES;
use crate::time::{UnixNanos, parse_json};

/// How the records of a push are written out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// As they are stored, with what the job's output options put around and between them.
    Stored,
    /// The same; but a record above this many bytes is not sent, because the destination would cut it.
    Capped {
        /// Bytes of a record at most.
        max_record_bytes: u64,
    },
    /// Lines of JSON as the elements of one JSON array.
    Array {
        /// Bytes of a record at most.
        max_record_bytes: u64,
    },
    /// Each record in an envelope of Splunk's event protocol; what output options put around and between records is left
    /// out.
    Events(Envelope),
}

/// What stands around a record in Splunk's event protocol ("Format events for HTTP Event Collector").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// `"host":"…","source":"…",` and so on; may be empty.
    members: String,
    /// Fields that may hold the time of a record; the first one that does becomes `time`.
    timestamp_fields: Vec<String>,
}

/// Bytes of the widest `{"time":…,"event":}` and its newline, with a fraction of nine digits.
const ENVELOPE_BYTES: usize = r#"{"time":-9999999999.999999999,"event":}"#.len() + 1;

impl Envelope {
    /// An envelope with these members, in this order; what is `None` is left out.
    #[must_use]
    pub fn new(members: &[(&str, Option<String>)], timestamp_fields: &[&str]) -> Self {
        let mut text = String::new();
        for (name, value) in members {
            if let Some(value) = value {
                let value = serde_json::Value::from(value.as_str());
                text.push_str(&format!("\"{name}\":{value},"));
            }
        }
        Self {
            members: text,
            timestamp_fields: timestamp_fields
                .iter()
                .map(|name| (*name).to_owned())
                .collect(),
        }
    }

    /// Bytes that it adds to a record at most; what becomes a JSON string grows by its escapes besides.
    #[must_use]
    pub fn overhead_bytes(&self) -> u64 {
        (self.members.len() + ENVELOPE_BYTES) as u64
    }
}

/// A record that its destination would not take, or would cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordTooLarge {
    /// Bytes of the record.
    pub bytes: u64,
    /// Bytes that the destination takes.
    pub max_bytes: u64,
}

impl fmt::Display for RecordTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, max_bytes } = self;
        write!(
            f,
            "a record of {bytes} bytes is larger than the {max_bytes} bytes that the destination takes of one"
        )
    }
}

/// Writes records out, one after the other. Holds no more than one line.
#[derive(Debug)]
pub struct Framer<'f> {
    frame: &'f Frame,
    /// The fields that may hold the time.
    times: Projection,
    /// The beginning of a line whose end has not come.
    partial: Vec<u8>,
    records: u64,
}

impl<'f> Framer<'f> {
    /// A framer of one push.
    #[must_use]
    pub fn new(frame: &'f Frame) -> Self {
        let mut times = Projection::new();
        if let Frame::Events(envelope) = frame {
            for name in &envelope.timestamp_fields {
                times.slot(name);
            }
        }
        Self {
            frame,
            times,
            partial: Vec::new(),
            records: 0,
        }
    }

    /// Takes lines, in pieces that may end anywhere.
    ///
    /// # Errors
    ///
    /// A record that is too large; nothing must be sent then.
    pub fn lines(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), RecordTooLarge> {
        while let Some(end) = memchr(b'\n', bytes) {
            let (line, rest) = bytes.split_at(end);
            bytes = rest.get(1..).unwrap_or_default();
            if self.partial.is_empty() {
                self.record(line, out)?;
            } else {
                let mut whole = std::mem::take(&mut self.partial);
                whole.extend_from_slice(line);
                self.record(&whole, out)?;
                // Its room serves the next line.
                whole.clear();
                self.partial = whole;
            }
        }
        self.partial.extend_from_slice(bytes);
        check(self.partial.len(), LINE_MAX_BYTES as u64)
    }

    /// Takes one record; of lines, without its newline. What holds nothing is no record.
    ///
    /// # Errors
    ///
    /// When it is too large; nothing must be sent then.
    pub fn record(&mut self, record: &[u8], out: &mut Vec<u8>) -> Result<(), RecordTooLarge> {
        let text = record.trim_ascii();
        if text.is_empty() {
            return Ok(());
        }
        match self.frame {
            Frame::Stored => out.extend_from_slice(record),
            Frame::Capped { max_record_bytes } => {
                check(text.len(), *max_record_bytes)?;
                out.extend_from_slice(record);
            }
            Frame::Array { max_record_bytes } => {
                check(text.len(), *max_record_bytes)?;
                out.push(if self.records == 0 { b'[' } else { b',' });
                out.extend_from_slice(text);
            }
            Frame::Events(envelope) => self.event(envelope, text, out),
        }
        self.records += 1;
        Ok(())
    }

    /// Ends the push.
    ///
    /// # Errors
    ///
    /// When the last line is too large.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), RecordTooLarge> {
        let last = std::mem::take(&mut self.partial);
        self.record(&last, out)?;
        if let Frame::Array { .. } = self.frame {
            out.extend_from_slice(if self.records == 0 { b"[]" } else { b"]" });
        }
        Ok(())
    }

    fn event(&self, envelope: &Envelope, record: &[u8], out: &mut Vec<u8>) {
        let mut fields = vec![None; self.times.names().len()];
        let text = std::str::from_utf8(record).ok();
        let is_object = text.is_some() && scan(record, &self.times, &mut fields).is_ok();
        out.push(b'{');
        if is_object && let Some(time) = fields.into_iter().flatten().find_map(parse_json) {
            out.extend_from_slice(format!("\"time\":{},", epoch_secs(time)).as_bytes());
        }
        out.extend_from_slice(envelope.members.as_bytes());
        out.extend_from_slice(b"\"event\":");
        if is_object {
            out.extend_from_slice(record);
        } else {
            let text = String::from_utf8_lossy(record);
            out.extend_from_slice(
                serde_json::Value::from(text.as_ref())
                    .to_string()
                    .as_bytes(),
            );
        }
        out.extend_from_slice(b"}\n");
    }
}

fn check(bytes: usize, max_bytes: u64) -> Result<(), RecordTooLarge> {
    let bytes = bytes as u64;
    if bytes <= max_bytes {
        return Ok(());
    }
    Err(RecordTooLarge { bytes, max_bytes })
}

/// Seconds with as many decimals as there are.
fn epoch_secs(nanos: UnixNanos) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let (secs, below) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    let decimals = format!("{below:09}");
    match decimals.trim_end_matches('0') {
        "" => format!("{sign}{secs}"),
        decimals => format!("{sign}{secs}.{decimals}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn framed(frame: &Frame, pieces: &[&[u8]]) -> Result<String, RecordTooLarge> {
        let (mut framer, mut out) = (Framer::new(frame), Vec::new());
        for piece in pieces {
            framer.lines(piece, &mut out)?;
        }
        framer.finish(&mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn events() -> Frame {
        let members = [
            ("host", Some("a \"b\"".to_owned())),
            ("source", None),
            ("sourcetype", Some("cloudflare:json".to_owned())),
        ];
        Frame::Events(Envelope::new(
            &members,
            &["EdgeStartTimestamp", "@timestamp"],
        ))
    }

    #[test]
    fn lines_become_the_elements_of_an_array() {
        let frame = Frame::Array {
            max_record_bytes: 10,
        };
        for (lines, expected) in [
            ("{\"a\":1}\n{\"b\":[2]}\n", "[{\"a\":1},{\"b\":[2]}]"),
            ("{\"a\":1}", "[{\"a\":1}]"),
            ("\n{\"a\":1}\r\n\n", "[{\"a\":1}]"),
            ("", "[]"),
        ] {
            assert_eq!(
                framed(&frame, &[lines.as_bytes()]).unwrap(),
                expected,
                "{lines:?}"
            );
        }
    }

    #[test]
    fn a_record_that_the_destination_would_cut_is_not_written() {
        for frame in [
            Frame::Array {
                max_record_bytes: 7,
            },
            Frame::Capped {
                max_record_bytes: 7,
            },
        ] {
            assert!(framed(&frame, &[b"{\"a\":1}\n"]).is_ok());
            let error = framed(&frame, &[b"{\"a\":1}\n{\"a\":10}\n"]).unwrap_err();
            assert_eq!((error.bytes, error.max_bytes), (8, 7));
            assert_eq!(
                error.to_string(),
                "a record of 8 bytes is larger than the 7 bytes that the destination takes of one"
            );
        }
    }

    #[test]
    fn a_line_without_end_is_given_up() {
        let mut framer = Framer::new(&Frame::Stored);
        let piece = vec![b'x'; LINE_MAX_BYTES];
        assert!(framer.lines(&piece, &mut Vec::new()).is_ok());
        assert!(framer.lines(b"x", &mut Vec::new()).is_err());
    }

    #[test]
    fn an_event_has_its_record_verbatim_and_the_records_own_time() {
        for (time, expected) in [
            ("1506702504433000200", "\"time\":1506702504.4330002,"),
            ("1506702504", "\"time\":1506702504,"),
            ("\"2017-09-29T16:28:24Z\"", "\"time\":1506702504,"),
            ("\"2017-09-29T16:28:24.433Z\"", "\"time\":1506702504.433,"),
            (
                "\"2017-09-29T16:28:24.4330002Z\"",
                "\"time\":1506702504.4330002,",
            ),
            ("0", ""),
            ("\"soon\"", ""),
        ] {
            let record = format!("{{ \"x\":1.0,\"EdgeStartTimestamp\":{time}}}");
            let expected = format!(
                "{{{expected}\"host\":\"a \\\"b\\\"\",\"sourcetype\":\"cloudflare:json\",\"event\":{record}}}\n"
            );
            assert_eq!(framed(&events(), &[record.as_bytes()]).unwrap(), expected);
        }
        let normalised = "{\"@timestamp\":\"2017-09-29T16:28:24Z\"}";
        assert!(
            framed(&events(), &[normalised.as_bytes()])
                .unwrap()
                .starts_with("{\"time\":1506702504,")
        );
        assert_eq!(epoch_secs(-1_500_000_000), "-1.5");
    }

    #[test]
    fn what_is_no_object_is_sent_as_a_string() {
        for (record, event) in [
            ("1,\"a\"", "\"1,\\\"a\\\"\""),
            ("[1]", "\"[1]\""),
            ("{\"a\":", "\"{\\\"a\\\":\""),
        ] {
            let expected = format!("\"event\":{event}}}\n");
            let written = framed(&events(), &[record.as_bytes()]).unwrap();
            assert!(written.ends_with(&expected), "{written}");
            serde_json::from_str::<serde_json::Value>(&written).unwrap();
        }
    }

    #[test]
    fn the_size_of_an_envelope_is_known_before() {
        let Frame::Events(envelope) = events() else {
            unreachable!()
        };
        let record = "{\"EdgeStartTimestamp\":1506702504433000201}";
        let written = framed(&events(), &[record.as_bytes()]).unwrap();
        assert_eq!(
            written.len() as u64,
            record.len() as u64 + envelope.overhead_bytes() - 1
        );
    }

    proptest! {
        #[test]
        fn any_pieces_of_the_same_lines_give_the_same_bytes(
            lines in prop::collection::vec("[a-z{}\"]{0,12}", 0..8),
            cuts in prop::collection::vec(0_usize..100, 0..6),
        ) {
            let text = lines.join("\n");
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|two| &text.as_bytes()[two[0]..two[1]]).collect();
            for frame in [Frame::Array { max_record_bytes: 100 }, events()] {
                prop_assert_eq!(framed(&frame, &pieces), framed(&frame, &[text.as_bytes()]));
            }
        }
    }
}
