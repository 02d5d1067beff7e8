//! What a job would make of a record, and if nothing, why: for somebody who tries a filter or output options.

mod batch;

pub use batch::{
    BATCH_MAX_RAW_BYTES, BATCH_MAX_RECORDS, BatchPreview, Refused, Stop, VALUES_MAX_FIELDS, Value,
};

use super::filter::{Compiled, CompiledFilter};
use super::{Sample, Written};
use crate::batch::projection::Projection;
use crate::batch::scan::{InvalidLine, scan};
use crate::ecs::{Scratch, Surprises};
use crate::logpush::catalogue::Dataset;
use crate::logpush::filter::{Condition, Filter, Node};
use crate::logpush::output_options::OutputOptions;

/// Conditions of an `or` that a reason names; a filter may have hundreds.
const NAMED_MAX: usize = 5;

/// Characters of a value that a reason shows.
const SHOWN_MAX_CHARS: usize = 100;

/// A filter and output options, compiled for one dataset.
#[derive(Debug)]
pub struct Preview {
    filter: Option<(Filter, CompiledFilter)>,
    sample: Option<Sample>,
    sample_rate: f64,
    written: Written,
    projection: Projection,
    /// Length of what stands between two records.
    delimiter_bytes: usize,
}

impl Preview {
    /// Compiles what a job would have.
    #[must_use]
    pub fn compile(
        dataset: &str,
        schema: Option<&Dataset>,
        filter: Option<Filter>,
        options: &OutputOptions,
    ) -> Self {
        let mut projection = Projection::new();
        let filter = filter.map(|filter| {
            let compiled = CompiledFilter::compile(&filter, &mut projection);
            (filter, compiled)
        });
        Self {
            filter,
            sample: Sample::of(options),
            sample_rate: options.sample_rate,
            written: Written::compile(options, dataset, schema, &mut projection),
            projection,
            delimiter_bytes: options.record_delimiter.len(),
        }
    }

    /// The text of a record as it would be pushed, without what stands between two records; or which condition says no.
    /// `line` is UTF-8 without line breaks.
    ///
    /// # Errors
    /// When the line is no record.
    pub fn of(&self, line: &[u8]) -> Result<Result<String, String>, InvalidLine> {
        let mut fields = vec![None; self.projection.names().len()];
        scan(line, &self.projection, &mut fields)?;
        if let Some(reason) = self.refuses(line, &fields) {
            return Ok(Err(reason.text(&fields)));
        }
        let mut text = Vec::new();
        self.write(line, &fields, &mut Scratch::default(), &mut text);
        Ok(Ok(
            String::from_utf8_lossy(self.without_delimiter(&text)).into_owned()
        ))
    }

    /// Why a record is not selected; `None` when it is. `fields` are those of the projection.
    fn refuses(&self, line: &[u8], fields: &[Option<&[u8]>]) -> Option<Refusal<'_>> {
        if let Some((filter, compiled)) = &self.filter
            && !compiled.root.matches(fields)
        {
            return Some(Refusal::Filter(&filter.root, &compiled.root));
        }
        let is_sampled_out = self.sample.is_some_and(|sample| !sample.keeps(line));
        is_sampled_out.then_some(Refusal::Sample(self.sample_rate))
    }

    /// Appends a selected record as a job's queue has it, with the delimiter in front.
    fn write(
        &self,
        line: &[u8],
        fields: &[Option<&[u8]>],
        scratch: &mut Scratch,
        text: &mut Vec<u8>,
    ) {
        match &self.written {
            Written::AsItCame => {
                text.extend_from_slice(line);
                text.push(b'\n');
            }
            Written::Shaped(shape) => shape.write(line, fields, text),
            Written::Event(event) => event.write(line, scratch, &mut Surprises::default(), text),
        }
    }

    /// What [`Self::write`] made of one record, without what stands between two records.
    fn without_delimiter<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        match self.written {
            Written::AsItCame => text,
            _ => text.get(self.delimiter_bytes..).unwrap_or_default(),
        }
    }
}

/// Why a record is not selected.
enum Refusal<'p> {
    Filter(&'p Node, &'p Compiled),
    Sample(f64),
}

impl Refusal<'_> {
    /// The reason in words.
    fn text(&self, fields: &[Option<&[u8]>]) -> String {
        match self {
            Self::Filter(node, compiled) => {
                let reason = refusal(node, compiled, fields);
                format!("the filter wants {}", reason.unwrap_or_default())
            }
            Self::Sample(rate) => format!(
                "not in the sample: sample_rate is {rate}, and which records it keeps follows from their text"
            ),
        }
    }
}

/// What of the filter is not met, in words; `None` when the record is selected.
fn refusal(node: &Node, compiled: &Compiled, fields: &[Option<&[u8]>]) -> Option<String> {
    if compiled.matches(fields) {
        return None;
    }
    let refusals = |nodes: &[Node], compiled: &[Compiled]| -> Vec<String> {
        let pairs = nodes.iter().zip(compiled);
        pairs
            .filter_map(|(node, compiled)| refusal(node, compiled, fields))
            .collect()
    };
    match (node, compiled) {
        (Node::And(nodes), Compiled::And(compiled)) => refusals(nodes, compiled).into_iter().next(),
        (Node::Or(nodes), Compiled::Or(compiled)) => {
            let mut refusals = refusals(nodes, compiled);
            let more = refusals.len().saturating_sub(NAMED_MAX);
            refusals.truncate(NAMED_MAX);
            if more > 0 {
                refusals.push(format!("{more} more"));
            }
            Some(match refusals.as_slice() {
                [only] => only.clone(),
                several => format!("one of these: {}", several.join("; or ")),
            })
        }
        (
            Node::Condition(condition),
            Compiled::Test {
                condition: test, ..
            },
        ) => {
            let found = fields.get(test.slot).copied().flatten();
            Some(wanted(condition, found))
        }
        // They are made of each other.
        _ => Some("something else".to_owned()),
    }
}

fn wanted(condition: &Condition, found: Option<&[u8]>) -> String {
    let Condition {
        key,
        operator,
        is_negated,
        value,
        ..
    } = condition;
    let not = if *is_negated { "!" } else { "" };
    let found = match found {
        Some(raw) => format!("it is {}", shown(&String::from_utf8_lossy(raw))),
        None => "the record has no such field".to_owned(),
    };
    format!(
        "{key} {not}{} {}, and {found}",
        operator.as_str(),
        shown(&value.to_string())
    )
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX_CHARS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::Preview;
    use crate::batch::scan::InvalidLine;
    use crate::logpush::filter::Filter;
    use crate::logpush::output_options::OutputOptions;
    use serde_json::{Value, json};

    fn preview(filter: &Value, options: &Value) -> Preview {
        let text = json!({"where": filter}).to_string();
        let filter = (!filter.is_null()).then(|| Filter::parse(&text, None).unwrap());
        let options = OutputOptions::from_json(options).unwrap();
        Preview::compile("dns_logs", None, filter, &options)
    }

    #[test]
    fn a_reason_names_the_condition_and_what_the_record_has() {
        let is = |key: &str, operator: &str, value: Value| json!({"key": key, "operator": operator, "value": value});
        let line = r#"{"A":200,"B":"x","C":["y"]}"#;
        let many: Vec<Value> = (1..9).map(|n| is("A", "eq", json!(n))).collect();
        for (filter, reason) in [
            (
                is("A", "geq", json!(400)),
                "the filter wants A geq 400, and it is 200",
            ),
            (
                is("B", "!eq", json!("x")),
                r#"the filter wants B !eq "x", and it is "x""#,
            ),
            (
                is("D", "eq", json!(1)),
                "the filter wants D eq 1, and the record has no such field",
            ),
            (
                json!({"and": [is("A", "eq", json!(200)), is("B", "in", json!(["y", "z"])), is("D", "eq", json!(1))]}),
                r#"the filter wants B in ["y","z"], and it is "x""#,
            ),
            (
                json!({"or": [is("A", "lt", json!(100)), {"and": [is("B", "eq", json!("x")), is("C", "contains", json!("z"))]}]}),
                r#"the filter wants one of these: A lt 100, and it is 200; or C contains "z", and it is ["y"]"#,
            ),
            (
                json!({"or": [is("A", "eq", json!(1))]}),
                "the filter wants A eq 1, and it is 200",
            ),
            (
                json!({"or": many}),
                "the filter wants one of these: A eq 1, and it is 200; or A eq 2, and it is 200; or A eq 3, and it is 200; \
                 or A eq 4, and it is 200; or A eq 5, and it is 200; or 3 more",
            ),
        ] {
            let found = preview(&filter, &json!({})).of(line.as_bytes()).unwrap();
            assert_eq!(found, Err(reason.to_owned()), "{filter}");
        }
        let long = json!({"key": "B", "operator": "eq", "value": "é".repeat(200)});
        let found = preview(&long, &json!({})).of(line.as_bytes()).unwrap();
        let reason = format!(
            "the filter wants B eq \"{}…, and it is \"x\"",
            "é".repeat(99)
        );
        assert_eq!(found, Err(reason));
    }

    #[test]
    fn a_selected_record_is_the_text_that_would_be_pushed() {
        for (options, text) in [
            (json!({}), "{\"QueryName\":\"a.\",\"QueryType\":1}\n"),
            (
                json!({"field_names": ["QueryType"], "record_delimiter": ",\n", "record_suffix": "}"}),
                "{\"QueryType\":1}",
            ),
            (
                json!({"record_delimiter": ";;"}),
                "{\"QueryName\":\"a.\",\"QueryType\":1}\n",
            ),
            (json!({"output_type": "csv"}), "\"a.\",1\n"),
            (
                json!({"schema": "ecs", "record_delimiter": ","}),
                "{\"dns\":{\"question\":{\"name\":\"a\",\"type\":\"A\"}},\"event\":{\"kind\":\"event\",\
                 \"category\":[\"network\"],\"type\":[\"info\"],\"dataset\":\"dns_logs\"}}\n",
            ),
        ] {
            let found = preview(&Value::Null, &options).of(br#"{"QueryName":"a.","QueryType":1}"#);
            assert_eq!(found, Ok(Ok(text.to_owned())), "{options}");
        }
    }

    #[test]
    fn what_is_sampled_out_says_so_and_what_is_no_record_is_refused() {
        let preview = preview(&Value::Null, &json!({"sample_rate": 0.000_001}));
        let reason = "not in the sample: sample_rate is 0.000001, and which records it keeps follows from their text";
        assert_eq!(preview.of(b"{}").unwrap(), Err(reason.to_owned()));
        assert_eq!(preview.of(b"[]"), Err(InvalidLine::NotAnObject));
        assert_eq!(preview.of(b"{"), Err(InvalidLine::NotJson));
    }
}
