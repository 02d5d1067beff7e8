//! Records of a range of event time, filtered and written out as somebody asks for them: batch by batch, in pieces.

use super::filter::CompiledFilter;
use super::rays::{RAY_FIELD, Ray};
use super::{Sample, Window, Written};
use crate::batch::json;
use crate::batch::projection::Projection;
use crate::batch::reader::Sink;
use crate::batch::scan::InvalidLine;
use crate::ecs::{Scratch, Surprises};
use crate::limits::RETRIEVAL_PIECE_BYTES;
use crate::logpush::catalogue::{Dataset, TIMESTAMP_CANDIDATES};
use crate::logpush::filter::Filter;
use crate::logpush::output_options::OutputOptions;
use crate::time::{self, UnixNanos};

/// Which records are wanted, and how they are written out.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Those of this range of event time; `None` for all.
    pub window: Option<Window>,
    /// Those with this RayID.
    pub ray: Option<Ray>,
    /// Those that this filter selects.
    pub filter: Option<Filter>,
    /// How they are written out, and the part of them that is kept. NDJSON: nothing stands between two records.
    pub options: OutputOptions,
}

/// A wish, compiled for one dataset.
#[derive(Debug)]
pub struct Retrieval {
    projection: Projection,
    time_slots: Vec<usize>,
    window: Option<Window>,
    ray: Option<RayTest>,
    filter: Option<CompiledFilter>,
    sample: Option<Sample>,
    written: Written,
}

/// Where a dataset has its RayIDs.
#[derive(Debug)]
struct RayTest {
    ray: Ray,
    slot: usize,
    /// They are a member of the field, which is an object.
    is_inside: bool,
}

impl RayTest {
    fn is_met_by(&self, fields: &[Option<&[u8]>]) -> bool {
        let Some(raw) = fields.get(self.slot).copied().flatten() else {
            return false;
        };
        if !self.is_inside {
            return self.ray.is(raw);
        }
        // Of a key that comes twice the last one counts.
        json::members(raw)
            .filter(|(key, _)| json::text(key).is_some_and(|key| *key == *RAY_FIELD.as_bytes()))
            .last()
            .is_some_and(|(_, value)| self.ray.is(value))
    }
}

/// The field in which a dataset has its RayIDs, and whether they are a member of it. A dataset that the catalogue lacks
/// has them where most have; `None` for one that has none.
#[must_use]
pub fn ray_field(schema: Option<&Dataset>) -> Option<(&'static str, bool)> {
    match schema {
        // Of the event behind a call of a Worker: `{"RayID": …, "Request": …}`.
        Some(dataset) if dataset.name == "workers_trace_events" => Some(("Event", true)),
        Some(dataset) if !dataset.fields.contains_key(RAY_FIELD) => None,
        _ => Some((RAY_FIELD, false)),
    }
}

impl Retrieval {
    /// Compiles a wish. One for a RayID finds nothing in a dataset that has none: see [`ray_field`].
    #[must_use]
    pub fn compile(dataset: &str, schema: Option<&Dataset>, wish: &Wish) -> Self {
        let mut projection = Projection::new();
        let time_fields: Vec<&str> = match schema.and_then(|d| d.timestamp_field.as_deref()) {
            Some(field) => vec![field],
            None => TIMESTAMP_CANDIDATES.to_vec(),
        };
        let time_fields = time_fields.into_iter().filter(|_| wish.window.is_some());
        let time_slots = time_fields.map(|name| projection.slot(name)).collect();
        let ray = wish.ray.map(|ray| {
            let (field, is_inside) = ray_field(schema).unwrap_or((RAY_FIELD, false));
            RayTest {
                ray,
                slot: projection.slot(field),
                is_inside,
            }
        });
        let filter = wish.filter.as_ref();
        let filter = filter.map(|filter| CompiledFilter::compile(filter, &mut projection));
        Self {
            time_slots,
            window: wish.window,
            ray,
            filter,
            sample: Sample::of(&wish.options),
            written: Written::compile(&wish.options, dataset, schema, &mut projection),
            projection,
        }
    }

    /// The fields to project.
    #[must_use]
    pub fn projection(&self) -> &Projection {
        &self.projection
    }
}

/// Takes the records of batches, one batch after the other, and writes out those that are wanted.
#[derive(Debug)]
pub struct Retriever<'r> {
    retrieval: &'r Retrieval,
    /// Time of the last record that had one; at the beginning of a batch the one that the batch is known by.
    at: UnixNanos,
    out: Vec<u8>,
    scratch: Scratch,
    surprises: Surprises,
    records: u64,
    /// Records that are still wanted.
    left: u64,
}

impl<'r> Retriever<'r> {
    /// Gives up to `most` records.
    #[must_use]
    pub fn new(retrieval: &'r Retrieval, most: u64) -> Self {
        Self {
            retrieval,
            at: 0,
            out: Vec::new(),
            scratch: Scratch::default(),
            surprises: Surprises::default(),
            records: 0,
            left: most,
        }
    }

    /// Begins with a batch whose earliest time is this, or 0 when it has none. A record without a time counts as of the
    /// time of the one before it, or of this: so each record is in exactly one of several ranges that lie side by side.
    pub fn begin(&mut self, earliest: UnixNanos) {
        self.at = earliest;
    }

    /// Records written out so far.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// True when no more records are wanted.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.left == 0
    }

    /// What was written out since the last call, whole lines. The memory is used again when it is given back by
    /// [`Self::give_back`].
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Takes memory back, to write into it.
    pub fn give_back(&mut self, mut piece: Vec<u8>) {
        // One long line does not keep its memory for ever.
        if self.out.is_empty() && piece.capacity() <= 4 * RETRIEVAL_PIECE_BYTES {
            piece.clear();
            self.out = piece;
        }
    }
}

impl Sink for Retriever<'_> {
    fn record(&mut self, line: &[u8], fields: &[Option<&[u8]>]) {
        if self.left == 0 {
            return;
        }
        let Retrieval {
            time_slots,
            window,
            ray,
            filter,
            sample,
            written,
            ..
        } = self.retrieval;
        if let Some(window) = window {
            let raw = |slot: &usize| fields.get(*slot).copied().flatten();
            let mut times = time_slots.iter().filter_map(raw);
            if let Some(at) = times.find_map(time::parse_json) {
                self.at = at;
            }
            if !window.holds(Some(self.at)) {
                return;
            }
        }
        if ray.as_ref().is_some_and(|ray| !ray.is_met_by(fields))
            || filter
                .as_ref()
                .is_some_and(|filter| !filter.matches(fields))
            || sample.is_some_and(|sample| !sample.keeps(line))
        {
            return;
        }
        match written {
            Written::AsItCame => {
                self.out.extend_from_slice(line);
                self.out.push(b'\n');
            }
            Written::Shaped(shape) => shape.write(line, fields, &mut self.out),
            Written::Event(event) => {
                event.write(line, &mut self.scratch, &mut self.surprises, &mut self.out);
            }
        }
        self.records += 1;
        self.left -= 1;
    }

    /// Counted when the batch came, and kept in quarantine.
    fn invalid(&mut self, _number: u64, _line: &[u8], _reason: InvalidLine) {}

    fn is_full(&self) -> bool {
        self.out.len() >= RETRIEVAL_PIECE_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::reader::Reader;
    use crate::logpush::scope::ScopeKind;
    use serde_json::json;

    const SECOND: UnixNanos = 1_000_000_000;

    fn retrieved(
        dataset: &str,
        wish: &Wish,
        most: u64,
        batches: &[(UnixNanos, &str)],
    ) -> Vec<String> {
        let schema = Dataset::find(ScopeKind::Zone, dataset)
            .or_else(|| Dataset::find(ScopeKind::Account, dataset));
        let retrieval = Retrieval::compile(dataset, schema.as_ref(), wish);
        let mut retriever = Retriever::new(&retrieval, most);
        let (mut window, mut out) = (Vec::new(), Vec::new());
        for (earliest, batch) in batches {
            retriever.begin(*earliest);
            let mut reader = Reader::new();
            reader.feed(
                batch.as_bytes(),
                &mut window,
                retrieval.projection(),
                &mut retriever,
            );
            reader.finish(&mut window, retrieval.projection(), &mut retriever);
            let piece = retriever.take();
            out.extend_from_slice(&piece);
            retriever.give_back(piece);
        }
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count() as u64, retriever.records());
        text.lines().map(str::to_owned).collect()
    }

    fn between(from: UnixNanos, until: UnixNanos) -> Wish {
        Wish {
            window: Some(Window { from, until }),
            ..Wish::default()
        }
    }

    #[test]
    fn a_range_has_its_first_instant_and_not_its_last() {
        let at = 1_657_233_726 * SECOND;
        let line = |nanos: UnixNanos| format!("{{\"Timestamp\":{nanos}}}");
        let lines = [at - 1, at, at + 1, at + SECOND - 1, at + SECOND].map(line);
        let batch = lines.join("\n");
        let found = retrieved(
            "dns_logs",
            &between(at, at + SECOND),
            u64::MAX,
            &[(0, &batch)],
        );
        assert_eq!(found, lines[1..4]);
        let found = retrieved(
            "dns_logs",
            &between(at + SECOND, at + 2 * SECOND),
            9,
            &[(0, &batch)],
        );
        assert_eq!(found, lines[4..]);
        assert!(retrieved("dns_logs", &between(0, at - 1), 9, &[(0, &batch)]).is_empty());
    }

    #[test]
    fn every_form_of_a_time_is_one_instant_and_an_unknown_dataset_has_its_time_where_it_is_found() {
        let batch = r#"{"Timestamp":"2022-07-07T22:42:06Z","n":1}
{"Timestamp":1657233726,"n":2}
{"Timestamp":"2022-07-07T22:42:07Z","n":3}"#;
        let at = 1_657_233_726 * SECOND;
        for dataset in ["dns_logs", "a_dataset_of_tomorrow"] {
            let found = retrieved(dataset, &between(at, at + SECOND), 9, &[(0, batch)]);
            assert_eq!(found.len(), 2, "{dataset}: {found:?}");
        }
    }

    #[test]
    fn a_record_without_a_time_is_of_the_time_before_it() {
        let batch = "{\"n\":1}\n{\"Timestamp\":30,\"n\":2}\n{\"Timestamp\":0,\"n\":3}\n{\"Timestamp\":10,\"n\":4}\n{\"n\":5}\n";
        let timeless = "{\"n\":6}\n";
        let batches = [(10 * SECOND, batch), (0, timeless)];
        let n = |from, until| -> Vec<u64> {
            let lines = retrieved("dns_logs", &between(from, until), 9, &batches);
            let number = |line: &String| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["n"]
                    .as_u64()
                    .unwrap()
            };
            lines.iter().map(number).collect()
        };
        assert_eq!(n(0, 10 * SECOND), [6]);
        assert_eq!(n(10 * SECOND, 30 * SECOND), [1, 4, 5]);
        assert_eq!(n(30 * SECOND, 31 * SECOND), [2, 3]);
    }

    #[test]
    fn filter_sample_fields_and_times_are_those_of_a_job() {
        let batch = r#"{"Timestamp":1657233726004000000,"ResponseCode":3,"QueryName":"a.example."}
{"Timestamp":1657233726005000000,"ResponseCode":0,"QueryName":"b.example."}"#;
        let schema = Dataset::find(ScopeKind::Zone, "dns_logs");
        let filter =
            json!({"where": {"key": "ResponseCode", "operator": "gt", "value": 0}}).to_string();
        let wish = Wish {
            filter: Some(Filter::parse(&filter, schema.as_ref()).unwrap()),
            options: OutputOptions::from_logpull("fields=QueryName,Timestamp&timestamps=rfc3339ms")
                .unwrap(),
            ..Wish::default()
        };
        assert_eq!(
            retrieved("dns_logs", &wish, 9, &[(0, batch)]),
            [r#"{"QueryName":"a.example.","Timestamp":"2022-07-07T22:42:06.004Z"}"#]
        );
        let lines: Vec<String> = (0..1_000).map(|n| format!("{{\"n\":{n}}}")).collect();
        let wish = Wish {
            options: OutputOptions::from_logpull("sample=0.1").unwrap(),
            ..Wish::default()
        };
        let kept = retrieved("dns_logs", &wish, u64::MAX, &[(0, &lines.join("\n"))]).len();
        assert!((50..150).contains(&kept), "{kept}");
    }

    #[test]
    fn no_more_records_come_than_are_wanted() {
        let batch = "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n";
        let found = retrieved("dns_logs", &Wish::default(), 2, &[(0, batch), (0, batch)]);
        assert_eq!(found, [r#"{"n":1}"#, r#"{"n":2}"#]);
    }

    #[test]
    fn a_ray_id_is_found_where_the_dataset_has_it() {
        let wish = Wish {
            ray: Ray::parse("49ddb3e70e665831-DFW"),
            ..Wish::default()
        };
        let top = "{\"RayID\":\"49ddb3e70e665830\"}\n{\"n\":1,\"RayID\":\"49ddb3e70e665831\"}\n";
        for dataset in ["http_requests", "firewall_events", "a_dataset_of_tomorrow"] {
            let found = retrieved(dataset, &wish, 9, &[(0, top)]);
            assert_eq!(
                found,
                ["{\"n\":1,\"RayID\":\"49ddb3e70e665831\"}"],
                "{dataset}"
            );
        }
        let inside = "{\"Event\":{\"RayID\":\"49ddb3e70e665831\"}}\n{\"Event\":null}\n{\"Event\":{\"RayID\":\"49ddb3e70e665831\",\"RayID\":\"0\"}}\n";
        let found = retrieved("workers_trace_events", &wish, 9, &[(0, inside)]);
        assert_eq!(found, ["{\"Event\":{\"RayID\":\"49ddb3e70e665831\"}}"]);
        let dns = Dataset::find(ScopeKind::Zone, "dns_logs");
        assert_eq!(ray_field(dns.as_ref()), None);
    }
}
