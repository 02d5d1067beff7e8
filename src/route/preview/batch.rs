//! What a job would make of a whole batch: counts of all records, and the first ones of each kind to look at.

use std::collections::HashMap;

use super::Preview;
use crate::batch::json;
use crate::batch::projection::Projection;
use crate::batch::reader::Sink;
use crate::batch::scan::InvalidLine;
use crate::ecs::Scratch;

/// Records of a batch that are looked at. Logpush's default for one push is as many; a share is then known to a third of a
/// percent, and reading takes well below a second of CPU time.
pub const BATCH_MAX_RECORDS: u64 = 100_000;

/// Bytes of records that are looked at: bounds the time for batches of long records.
pub const BATCH_MAX_RAW_BYTES: u64 = 64 * 1024 * 1024;

/// Fields whose values may be asked for at once.
pub const VALUES_MAX_FIELDS: usize = 10;

/// Bytes of a text that is shown; a record may have 2 MiB. A hundred records of each kind then stay below 4 MiB.
const SHOWN_MAX_BYTES: usize = 16 * 1024;

/// Bytes of a value that is counted. What is longer is nobody's choice for a filter.
const VALUE_MAX_BYTES: usize = 200;

/// Different values of a field that are counted. What comes first after so many is not counted: a field that has more
/// is no field to choose a value of.
const VALUES_MAX: usize = 1_000;

/// Values of a field that are answered: the most frequent ones.
const VALUES_SHOWN: usize = 20;

/// Why a batch was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// [`BATCH_MAX_RECORDS`]
    Records,
    /// [`BATCH_MAX_RAW_BYTES`]
    Bytes,
}

impl Stop {
    /// The word in the answer.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Bytes => "bytes",
        }
    }
}

/// A record that the job would not select.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The record as it came, cut when it is long.
    pub record: String,
    /// What of the filter is not met, or that it is not in the sample.
    pub reason: String,
}

/// A value of a field, and how many records have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// A string's text; of anything else its JSON.
    pub text: String,
    /// Records with it; of an array, those whose elements it is among, once for each time.
    pub records: u64,
}

/// Takes the records of a batch. Memory does not grow with the batch.
#[derive(Debug)]
pub struct BatchPreview {
    preview: Preview,
    /// Records of each kind that are kept to look at.
    first: usize,
    records: u64,
    raw_bytes: u64,
    invalid_lines: u64,
    stop: Option<Stop>,
    selected: u64,
    selected_bytes: u64,
    selected_first: Vec<String>,
    refused_first: Vec<Refused>,
    values: Vec<(String, usize, HashMap<Vec<u8>, u64>)>,
    text: Vec<u8>,
    scratch: Scratch,
}

impl BatchPreview {
    /// Keeps the first `first` records of each kind, and counts the values of fields.
    #[must_use]
    pub fn new(mut preview: Preview, first: usize, values: &[String]) -> Self {
        let mut counted: Vec<(String, usize, HashMap<Vec<u8>, u64>)> = Vec::new();
        for name in values.iter().take(VALUES_MAX_FIELDS) {
            if counted.iter().all(|(known, ..)| known != name) {
                let slot = preview.projection.slot(name);
                counted.push((name.clone(), slot, HashMap::new()));
            }
        }
        Self {
            preview,
            first,
            records: 0,
            raw_bytes: 0,
            invalid_lines: 0,
            stop: None,
            selected: 0,
            selected_bytes: 0,
            selected_first: Vec::new(),
            refused_first: Vec::new(),
            values: counted,
            text: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// The fields that the reader has to find.
    #[must_use]
    pub fn projection(&self) -> &Projection {
        &self.preview.projection
    }

    /// Why nothing more is looked at; `None` as long as there is more to take.
    #[must_use]
    pub fn stop(&self) -> Option<Stop> {
        self.stop
    }

    /// Records that were looked at.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Lines that are no records, among what was looked at.
    #[must_use]
    pub fn invalid_lines(&self) -> u64 {
        self.invalid_lines
    }

    /// Records that the job would select.
    #[must_use]
    pub fn selected(&self) -> u64 {
        self.selected
    }

    /// Their bytes as they would be written out, as `/stats` counts them: each with prefix, suffix and one delimiter.
    #[must_use]
    pub fn selected_bytes(&self) -> u64 {
        self.selected_bytes
    }

    /// The first of them as they would be pushed, each cut when it is long.
    #[must_use]
    pub fn selected_first(&self) -> &[String] {
        &self.selected_first
    }

    /// The first of those that the job would not select.
    #[must_use]
    pub fn refused_first(&self) -> &[Refused] {
        &self.refused_first
    }

    /// The most frequent values of each field that was asked for, most frequent first.
    pub fn values(&self) -> impl Iterator<Item = (&str, Vec<Value>)> {
        self.values.iter().map(|(name, _, counts)| {
            let mut values: Vec<Value> = counts
                .iter()
                .map(|(text, records)| Value {
                    text: String::from_utf8_lossy(text).into_owned(),
                    records: *records,
                })
                .collect();
            values.sort_by(|a, b| b.records.cmp(&a.records).then(a.text.cmp(&b.text)));
            values.truncate(VALUES_SHOWN);
            (name.as_str(), values)
        })
    }

    fn count_values(&mut self, fields: &[Option<&[u8]>]) {
        for (_, slot, counts) in &mut self.values {
            let Some(raw) = fields.get(*slot).copied().flatten() else {
                continue;
            };
            if raw.first() == Some(&b'[') {
                json::elements(raw).for_each(|element| count_value(counts, element));
            } else {
                count_value(counts, raw);
            }
        }
    }
}

fn count_value(counts: &mut HashMap<Vec<u8>, u64>, raw: &[u8]) {
    if raw.len() > VALUE_MAX_BYTES || raw == b"null" || raw.first() == Some(&b'{') {
        return;
    }
    let text = if raw.first() == Some(&b'"') {
        json::text(raw).unwrap_or(raw.into())
    } else {
        raw.into()
    };
    if let Some(count) = counts.get_mut(text.as_ref()) {
        *count += 1;
    } else if counts.len() < VALUES_MAX {
        counts.insert(text.into_owned(), 1);
    }
}

impl Sink for BatchPreview {
    fn record(&mut self, line: &[u8], fields: &[Option<&[u8]>]) {
        if self.stop.is_some() {
            return;
        }
        if self.records >= BATCH_MAX_RECORDS {
            self.stop = Some(Stop::Records);
            return;
        }
        if self.raw_bytes >= BATCH_MAX_RAW_BYTES {
            self.stop = Some(Stop::Bytes);
            return;
        }
        self.records += 1;
        self.raw_bytes += line.len() as u64 + 1;
        self.count_values(fields);
        if let Some(refusal) = self.preview.refuses(line, fields) {
            if self.refused_first.len() < self.first {
                let reason = refusal.text(fields);
                let record = shown(line);
                self.refused_first.push(Refused { record, reason });
            }
            return;
        }
        self.text.clear();
        self.preview
            .write(line, fields, &mut self.scratch, &mut self.text);
        self.selected += 1;
        self.selected_bytes += self.text.len() as u64;
        if self.selected_first.len() < self.first {
            let text = self.preview.without_delimiter(&self.text);
            self.selected_first.push(shown(text));
        }
    }

    fn invalid(&mut self, _: u64, _: &[u8], _: InvalidLine) {
        if self.stop.is_none() {
            self.invalid_lines += 1;
        }
    }

    fn is_full(&self) -> bool {
        false
    }
}

/// A text to look at, cut at a character's end when it is long.
fn shown(text: &[u8]) -> String {
    if text.len() <= SHOWN_MAX_BYTES {
        return String::from_utf8_lossy(text).into_owned();
    }
    let mut cut = String::from_utf8_lossy(text.get(..SHOWN_MAX_BYTES).unwrap_or(text)).into_owned();
    // Half a character at the end.
    while cut.ends_with(char::REPLACEMENT_CHARACTER) {
        cut.pop();
    }
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::incoming::Incoming;
    use crate::batch::reader::Reader;
    use crate::logpush::catalogue::Dataset;
    use crate::logpush::filter::Filter;
    use crate::logpush::output_options::OutputOptions;
    use crate::logpush::scope::ScopeKind;
    use serde_json::{Value as Json, json};

    fn batch(filter: Json, options: &Json, first: usize, values: &[&str]) -> BatchPreview {
        let schema = Dataset::find(ScopeKind::Zone, "http_requests");
        let filter = (!filter.is_null()).then(|| {
            Filter::parse(&json!({"where": filter}).to_string(), schema.as_ref()).unwrap()
        });
        let options = OutputOptions::from_json(options).unwrap();
        let preview = Preview::compile("http_requests", schema.as_ref(), filter, &options);
        let values: Vec<String> = values.iter().map(|name| (*name).to_owned()).collect();
        BatchPreview::new(preview, first, &values)
    }

    fn read(batch: &mut BatchPreview, incoming: Incoming, body: &[u8]) {
        let projection = batch.projection().clone();
        let mut reader = Reader::expecting(incoming);
        let mut window = Vec::new();
        reader.feed(body, &mut window, &projection, batch);
        reader.finish(&mut window, &projection, batch);
    }

    #[test]
    fn all_records_are_counted_and_the_first_ones_are_kept() {
        let wanted = json!({"key": "EdgeResponseStatus", "operator": "geq", "value": 400});
        let mut batch = batch(
            wanted,
            &json!({"field_names": ["EdgeResponseStatus"], "record_delimiter": ","}),
            2,
            &[],
        );
        let lines: String = (0..10)
            .map(|n| {
                format!(
                    "{{\"RayID\":\"r{n}\",\"EdgeResponseStatus\":{}}}\n",
                    398 + n
                )
            })
            .collect();
        read(
            &mut batch,
            Incoming::default(),
            format!("{lines}no record\n").as_bytes(),
        );
        assert_eq!((batch.records(), batch.selected()), (10, 8));
        assert_eq!(batch.invalid_lines(), 1);
        let text = "{\"EdgeResponseStatus\":400}\n";
        assert_eq!(
            batch.selected_first(),
            [text, "{\"EdgeResponseStatus\":401}\n"]
        );
        // With one delimiter each, as the job's counters have it.
        assert_eq!(batch.selected_bytes(), 8 * (text.len() as u64 + 1));
        let refused = Refused {
            record: r#"{"RayID":"r0","EdgeResponseStatus":398}"#.into(),
            reason: "the filter wants EdgeResponseStatus geq 400, and it is 398".into(),
        };
        assert_eq!(batch.refused_first().first(), Some(&refused));
        assert_eq!(batch.refused_first().len(), 2);
        assert_eq!(batch.stop(), None);
    }

    #[test]
    fn what_is_sampled_out_says_so_and_is_the_same_every_time() {
        let lines: String = (0..1_000)
            .map(|n| format!("{{\"RayID\":\"r{n}\"}}\n"))
            .collect();
        let selected = [0, 1].map(|_| {
            let mut batch = batch(Json::Null, &json!({"sample_rate": 0.5}), 1, &[]);
            read(&mut batch, Incoming::default(), lines.as_bytes());
            let reason = &batch.refused_first().first().unwrap().reason;
            assert!(
                reason.starts_with("not in the sample: sample_rate is 0.5"),
                "{reason}"
            );
            assert_eq!(batch.records(), 1_000);
            batch.selected()
        });
        assert_eq!(selected.first(), selected.last());
        assert!((400..600).contains(&selected[0]), "{selected:?}");
    }

    #[test]
    fn a_batch_of_csv_is_read_as_records() {
        let query = "output_type=csv&fields=ClientIP,EdgeResponseStatus";
        let incoming = Incoming::new(ScopeKind::Zone, "http_requests", query).unwrap();
        let wanted = json!({"key": "EdgeResponseStatus", "operator": "eq", "value": 500});
        let mut batch = batch(wanted, &json!({}), 5, &["EdgeResponseStatus"]);
        read(
            &mut batch,
            incoming,
            b"\"192.0.2.1\",200\n\"192.0.2.2\",500\n",
        );
        assert_eq!((batch.records(), batch.selected()), (2, 1));
        assert_eq!(
            batch.selected_first(),
            ["{\"ClientIP\":\"192.0.2.2\",\"EdgeResponseStatus\":500}\n"]
        );
    }

    #[test]
    fn values_are_counted_and_the_most_frequent_come_first() {
        let names = ["ClientRequestMethod", "BotTags", "EdgeResponseStatus"];
        let mut batch = batch(Json::Null, &json!({}), 0, &names);
        let mut lines = String::new();
        for n in 0..30 {
            let method = if n % 3 == 0 { "POST" } else { "G\\u0045T" };
            lines += &format!(
                "{{\"ClientRequestMethod\":\"{method}\",\"BotTags\":[\"a\",\"b{n}\"],\"EdgeResponseStatus\":{}}}\n",
                200 + n
            );
        }
        lines += "{\"ClientRequestMethod\":null,\"BotTags\":[],\"EdgeResponseStatus\":200}\n";
        lines += &format!(
            "{{\"ClientRequestMethod\":\"{}\"}}\n",
            "x".repeat(VALUE_MAX_BYTES)
        );
        read(&mut batch, Incoming::default(), lines.as_bytes());
        let found: HashMap<&str, Vec<Value>> = batch.values().collect();
        let value = |text: &str, records| Value {
            text: text.into(),
            records,
        };
        assert_eq!(
            found["ClientRequestMethod"],
            [value("GET", 20), value("POST", 10)]
        );
        assert_eq!(found["BotTags"].first(), Some(&value("a", 30)));
        assert_eq!(found["BotTags"].len(), VALUES_SHOWN);
        assert_eq!(found["EdgeResponseStatus"].first(), Some(&value("200", 2)));
    }

    #[test]
    fn memory_is_bounded_however_many_values_there_are_and_however_long_a_record_is() {
        let mut batch = batch(Json::Null, &json!({}), 100, &["RayID"]);
        let mut lines = format!("{{\"RayID\":\"{}\"}}\n", "é".repeat(20_000));
        for n in 0..3_000 {
            lines += &format!("{{\"RayID\":\"r{n}\"}}\n");
        }
        read(&mut batch, Incoming::default(), lines.as_bytes());
        assert_eq!(batch.values.first().unwrap().2.len(), VALUES_MAX);
        let first = batch.selected_first().first().unwrap();
        assert!(
            first.ends_with("é…") && first.len() < SHOWN_MAX_BYTES + 4,
            "{}",
            first.len()
        );
        assert_eq!(batch.selected_first().len(), 100);
    }

    #[test]
    fn reading_stops_after_so_many_records_or_bytes_and_says_which() {
        let mut many = batch(Json::Null, &json!({}), 1, &[]);
        for _ in 0..BATCH_MAX_RECORDS + 5 {
            many.record(b"{}", &[]);
        }
        assert_eq!(
            (many.records(), many.stop()),
            (BATCH_MAX_RECORDS, Some(Stop::Records))
        );
        let mut long = batch(Json::Null, &json!({}), 1, &[]);
        let line = format!("{{\"A\":\"{}\"}}", "x".repeat(1024 * 1024));
        for _ in 0..70 {
            long.record(line.as_bytes(), &[]);
        }
        assert_eq!((long.records(), long.stop()), (64, Some(Stop::Bytes)));
        // Exactly as many as are looked at: the batch is whole.
        let mut whole = batch(Json::Null, &json!({}), 1, &[]);
        for _ in 0..BATCH_MAX_RECORDS {
            whole.record(b"{}", &[]);
        }
        assert_eq!(whole.stop(), None);
    }
}
