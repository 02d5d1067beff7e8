//! Writing a record out as the job's output options say, straight from its raw JSON text: no record becomes a value, and
//! what no option touches is copied byte for byte.

use crate::batch::json;
use crate::batch::projection::Projection;
use crate::logpush::catalogue::{Dataset, FieldType, TIMESTAMP_CANDIDATES};
use crate::logpush::output_options::{OutputOptions, OutputType, Token};
use std::borrow::Cow;

mod value;

pub use value::replace_cve;

pub(super) use value::without_cve;

use value::{Form, Values};

/// Times whose form is fixed, whatever `timestamp_format` says: Logpush documents them as `int`.
const FIXED_TIMES: [&str; 2] = ["EventTimestampMs", "timestampStartNanos"];

/// The output options of a job, compiled for one dataset. Its output begins with `record_delimiter`, see
/// [`super::Assembly`].
#[derive(Debug)]
pub struct Shape {
    body: Body,
    values: Values,
    /// A text of the options may end where a value begins, or be `${` itself, and `${` is not wanted.
    has_dollar_to_replace: bool,
}

#[derive(Debug)]
enum Body {
    /// Texts and fields in turn.
    Pieces(Vec<Piece>),
    /// All fields that came.
    Everything {
        /// Delimiter and prefix.
        before: Vec<u8>,
        field_delimiter: Vec<u8>,
        /// Suffix.
        after: Vec<u8>,
        /// The names and slots of times to be written anew.
        times: Vec<(String, usize)>,
        form: Form,
        /// Nothing but times changes between the braces.
        is_object_kept: bool,
    },
}

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Field {
        slot: usize,
        is_time: bool,
        form: Form,
    },
}

impl Body {
    fn has_dollar(&self) -> bool {
        match self {
            Self::Pieces(pieces) => pieces
                .iter()
                .any(|piece| matches!(piece, Piece::Text(text) if text.contains(&b'$'))),
            Self::Everything {
                before,
                field_delimiter,
                after,
                ..
            } => [before, field_delimiter, after]
                .iter()
                .any(|text| text.contains(&b'$')),
        }
    }
}

impl Shape {
    /// Compiles options; fields that they need are added to the projection. `None` when a record is written as its line
    /// and a newline.
    #[must_use]
    pub fn compile(
        options: &OutputOptions,
        schema: Option<&Dataset>,
        projection: &mut Projection,
    ) -> Option<Self> {
        let values = Values {
            timestamp_format: options.timestamp_format,
            stringifies: options.stringify_object,
            replaces_cve: options.replace_cve_2021_44228,
        };
        let body = if options.record_template.is_none() && options.field_names.is_empty() {
            everything(options, schema, projection)
        } else {
            pieces(options, schema, projection)
        };
        let is_verbatim = match &body {
            Body::Pieces(_) => false,
            Body::Everything {
                before,
                after,
                is_object_kept,
                ..
            } => {
                *is_object_kept
                    && before == b"{"
                    && after == b"}\n"
                    && options.timestamp_format.is_none()
                    && !options.replace_cve_2021_44228
            }
        };
        (!is_verbatim).then_some(Self {
            has_dollar_to_replace: values.replaces_cve && body.has_dollar(),
            body,
            values,
        })
    }

    /// Whether it writes the fields that the options name, whatever fields came.
    pub(super) fn is_of_chosen_fields(&self) -> bool {
        matches!(self.body, Body::Pieces(_))
    }

    /// Appends a record to `out`. `line` is a JSON object and `fields` the raw text of its projected fields by slot.
    pub fn write(&self, line: &[u8], fields: &[Option<&[u8]>], out: &mut Vec<u8>) {
        let start = out.len();
        match &self.body {
            Body::Pieces(pieces) => {
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => out.extend_from_slice(text),
                        Piece::Field {
                            slot,
                            is_time,
                            form,
                        } => {
                            let raw = fields.get(*slot).copied().flatten();
                            self.values.write(raw, *is_time, *form, out);
                        }
                    }
                }
            }
            Body::Everything {
                before,
                field_delimiter,
                after,
                times,
                form,
                is_object_kept,
            } => {
                out.extend_from_slice(before);
                let is_done = *is_object_kept && self.splice(line, fields, times, out);
                if !is_done {
                    self.members(line, field_delimiter, times, *form, out);
                }
                out.extend_from_slice(after);
            }
        }
        // Values are clean by now, in every spelling, and none ends with a dollar.
        if self.has_dollar_to_replace
            && let Some(record) = out.get_mut(start..)
        {
            replace_cve(record);
        }
    }

    /// Copies what stands between the braces of the line, with its times written anew. False, and nothing written, when
    /// the line has not got that form or a field is no part of it.
    fn splice(
        &self,
        line: &[u8],
        fields: &[Option<&[u8]>],
        times: &[(String, usize)],
        out: &mut Vec<u8>,
    ) -> bool {
        let Some((mut at, end)) = json::inside(line).and_then(|inside| place(line, inside)) else {
            return false;
        };
        // Of the same length, so that what is found in one is found in the other.
        let text = if self.values.replaces_cve {
            without_cve(line)
        } else {
            Cow::Borrowed(line)
        };
        let begin = out.len();
        let time = |(_, slot): &(String, usize)| fields.get(*slot).copied().flatten();
        // A dataset has a handful of times, so that looking for the next one costs less than sorting them.
        loop {
            let mut next: Option<(usize, usize)> = None;
            for raw in times.iter().filter_map(time) {
                let Some((from, to)) = place(line, raw) else {
                    out.truncate(begin);
                    return false;
                };
                if from >= at && next.is_none_or(|(known, _)| from < known) {
                    next = Some((from, to));
                }
            }
            let (from, to) = next.unwrap_or((end, end));
            out.extend_from_slice(text.get(at..from).unwrap_or_default());
            let Some(raw) = text.get(from..to).filter(|raw| !raw.is_empty()) else {
                return true;
            };
            self.values.write(Some(raw), true, Form::Json, out);
            at = to;
        }
    }

    /// Writes the members of the line one by one.
    fn members(
        &self,
        line: &[u8],
        field_delimiter: &[u8],
        times: &[(String, usize)],
        form: Form,
        out: &mut Vec<u8>,
    ) {
        for (index, (key, value)) in json::members(line).enumerate() {
            if index > 0 {
                out.extend_from_slice(field_delimiter);
            }
            if form == Form::Json {
                self.values.write_key(key, out);
                out.push(b':');
            }
            let is_time = !times.is_empty()
                && json::text(key)
                    .is_some_and(|key| times.iter().any(|(name, _)| name.as_bytes() == &*key));
            self.values.write(Some(value), is_time, form, out);
        }
    }
}

/// Where `part` lies in `line`, when it is a part of it and not only equal to one.
fn place(line: &[u8], part: &[u8]) -> Option<(usize, usize)> {
    let from = (part.as_ptr() as usize).checked_sub(line.as_ptr() as usize)?;
    let to = from + part.len();
    (to <= line.len()).then_some((from, to))
}

fn is_time(name: &str, schema: Option<&Dataset>) -> bool {
    match schema {
        Some(dataset) => dataset
            .fields
            .get(name)
            .is_some_and(|field| field.field_type == FieldType::Timestamp),
        None => TIMESTAMP_CANDIDATES.contains(&name) && !FIXED_TIMES.contains(&name),
    }
}

fn everything(
    options: &OutputOptions,
    schema: Option<&Dataset>,
    projection: &mut Projection,
) -> Body {
    let names: Vec<&str> = match schema {
        Some(dataset) => dataset.fields.keys().map(String::as_str).collect(),
        None => TIMESTAMP_CANDIDATES.to_vec(),
    };
    let times = names
        .into_iter()
        .filter(|name| options.timestamp_format.is_some() && is_time(name, schema))
        .map(|name| (name.to_owned(), projection.slot(name)))
        .collect();
    let form = match options.output_type {
        OutputType::Ndjson => Form::Json,
        OutputType::Csv => Form::Csv,
    };
    let before = format!("{}{}", options.record_delimiter, options.record_prefix);
    Body::Everything {
        before: before.into_bytes(),
        field_delimiter: options.field_delimiter.clone().into_bytes(),
        after: options.record_suffix.clone().into_bytes(),
        times,
        form,
        is_object_kept: form == Form::Json
            && options.field_delimiter == ","
            && !options.stringify_object,
    }
}

/// The body of a template, or of `field_names`.
fn pieces(options: &OutputOptions, schema: Option<&Dataset>, projection: &mut Projection) -> Body {
    let mut pieces = Pieces::default();
    let mut field = |pieces: &mut Pieces, name: &str, form: Form| {
        pieces.0.push(Piece::Field {
            slot: projection.slot(name),
            is_time: is_time(name, schema),
            form,
        });
    };
    pieces.text(&options.record_delimiter);
    pieces.text(&options.record_prefix);
    let names = &options.field_names;
    match &options.record_template {
        Some(template) => {
            for token in &template.tokens {
                match token {
                    Token::Text(text) => pieces.text(text),
                    Token::Field(name) if names.is_empty() || names.contains(name) => {
                        field(&mut pieces, name, Form::Json);
                    }
                    Token::Field(_) => pieces.text("null"),
                }
            }
        }
        None => {
            for (index, name) in names.iter().enumerate() {
                if index > 0 {
                    pieces.text(&options.field_delimiter);
                }
                match options.output_type {
                    OutputType::Ndjson => {
                        pieces.text(&serde_json::Value::from(name.as_str()).to_string());
                        pieces.text(":");
                        field(&mut pieces, name, Form::Json);
                    }
                    OutputType::Csv => field(&mut pieces, name, Form::Csv),
                }
            }
        }
    }
    pieces.text(&options.record_suffix);
    Body::Pieces(pieces.0)
}

#[derive(Default)]
struct Pieces(Vec<Piece>);

impl Pieces {
    fn text(&mut self, text: &str) {
        match self.0.last_mut() {
            Some(Piece::Text(last)) => last.extend_from_slice(text.as_bytes()),
            _ => self.0.push(Piece::Text(text.as_bytes().to_vec())),
        }
    }
}

#[cfg(test)]
mod tests;
