//! CSV: a row is a record, written as one line of JSON with the types that NDJSON would have had.
//!
//! A value in double quotes may hold anything, a quote written twice. A row ends at a newline outside of quotes. A row that
//! can not be right ends at its first newline, so that a quote too many does not take the rows behind it along.

use super::incoming::{CsvForm, Incoming, are_names};
use super::out::{Out, on_one_line};
use super::reader::Sink;
use super::scan::InvalidLine;
use crate::limits::{CSV_COLUMNS_MAX, CSV_LINES_MAX_BYTES, LINE_MAX_BYTES};
use crate::logpush::catalogue::{Dataset, FieldType};
use memchr::memchr;
use memchr::memmem::Finder;
use std::borrow::Cow;

#[derive(Debug)]
struct Column {
    name: String,
    /// `{"Name":` or `,"Name":`.
    prefix: Vec<u8>,
    field_type: Option<FieldType>,
}

/// Cuts rows.
#[derive(Debug)]
pub(super) struct Rows {
    columns: Vec<Column>,
    /// The fields are not known before the first row.
    wants_header: bool,
    schema: Option<Dataset>,
    delimiter: Finder<'static>,
    /// Inside a row that is too long.
    is_skipping: bool,
}

#[derive(Debug, Clone, Copy)]
struct Cell<'b> {
    /// What stands between the quotes, or the whole.
    text: &'b [u8],
    is_quoted: bool,
}

enum Row<'b> {
    /// The values, and where the next row begins.
    Whole(Vec<Cell<'b>>, usize),
    /// A quote stands where none can; nothing else is known of the row.
    Bad,
    /// The end has not come yet.
    Open,
}

impl Rows {
    /// Rows of what is announced.
    pub fn new(incoming: &Incoming) -> Self {
        let (fields, delimiter) = incoming.csv.as_ref().map_or_else(
            || (&[] as &[String], ","),
            |CsvForm {
                 fields, delimiter, ..
             }| (fields.as_slice(), delimiter.as_str()),
        );
        let schema = incoming.schema();
        Self {
            columns: columns(fields, schema.as_ref()),
            wants_header: fields.is_empty(),
            schema,
            delimiter: Finder::new(delimiter).into_owned(),
            is_skipping: false,
        }
    }

    /// Takes the complete rows of `bytes` and returns how many bytes it is done with; the others come again, in front of
    /// what follows them.
    pub fn take(&mut self, bytes: &[u8], out: &mut Out<'_, impl Sink>) -> usize {
        let mut from = 0;
        if self.is_skipping {
            match memchr(b'\n', bytes) {
                Some(end) => from = end + 1,
                None => return bytes.len(),
            }
            self.is_skipping = false;
        }
        while let Some(rest) = bytes.get(from..).filter(|rest| !rest.is_empty()) {
            if out.is_full() {
                break;
            }
            // No row ends without one, so it is not cut into values before.
            let Some(line_end) = memchr(b'\n', rest) else {
                if rest.len() > LINE_MAX_BYTES {
                    out.invalid(rest, InvalidLine::TooLong);
                    self.is_skipping = true;
                    return bytes.len();
                }
                break;
            };
            let most = if line_end + 1 < rest.len() {
                CSV_LINES_MAX_BYTES.max(line_end).min(LINE_MAX_BYTES)
            } else {
                LINE_MAX_BYTES
            };
            match self.row(rest, line_end) {
                Row::Whole(cells, length) if length <= most + 1 => {
                    self.whole(rest.get(..length).unwrap_or_default(), &cells, out);
                    from += length;
                }
                Row::Open if rest.len() <= most => break,
                // A row that is too long and has several lines is a quote that nobody closed.
                _ => from += bad(rest, out),
            }
        }
        from
    }

    /// Ends the batch; `rest` is what [`Self::take`] was not done with.
    pub fn finish(&mut self, rest: Vec<u8>, out: &mut Out<'_, impl Sink>) {
        if self.is_skipping || rest.is_empty() {
            return;
        }
        let mut last = rest;
        last.push(b'\n');
        let mut from = 0;
        while let Some(rest) = last.get(from..).filter(|rest| !rest.is_empty()) {
            from += self.take(rest, out);
            // What is left is a quote that nobody closed.
            if let Some(open) = last.get(from..).filter(|open| !open.is_empty()) {
                from += bad(open, out);
            }
        }
    }

    /// The row that `bytes` begins with; `line_end` is where their first newline stands.
    fn row<'b>(&self, bytes: &'b [u8], line_end: usize) -> Row<'b> {
        let most = if self.wants_header {
            CSV_COLUMNS_MAX
        } else {
            self.columns.len()
        };
        let mut cells = Vec::with_capacity(self.columns.len() + 1);
        // One value too many is enough to know that the row is wrong.
        let mut push = |cell| {
            if cells.len() <= most {
                cells.push(cell);
            }
        };
        let delimiter = self.delimiter.needle();
        let (mut at, mut line) = (0, Some(line_end));
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let (text, is_quoted, behind) = if rest.first() == Some(&b'"') {
                match closing_quote(rest) {
                    Some(end) => (rest.get(1..end).unwrap_or_default(), true, end + 1),
                    None => return Row::Open,
                }
            } else {
                if line.is_some_and(|end| end < at) {
                    line = memchr(b'\n', rest).map(|end| at + end);
                }
                let end = line.map(|end| end - at);
                let until = end.map_or(rest, |end| rest.get(..end).unwrap_or_default());
                match (self.delimiter.find(until), end) {
                    (Some(end), _) => (rest.get(..end).unwrap_or_default(), false, end),
                    (None, Some(end)) => {
                        let text = until.strip_suffix(b"\r").unwrap_or(until);
                        push(Cell {
                            text,
                            is_quoted: false,
                        });
                        return Row::Whole(cells, at + end + 1);
                    }
                    (None, None) => return Row::Open,
                }
            };
            push(Cell { text, is_quoted });
            let next = rest.get(behind..).unwrap_or_default();
            if next.starts_with(delimiter) {
                at += behind + delimiter.len();
            } else if next.first() == Some(&b'\n') {
                return Row::Whole(cells, at + behind + 1);
            } else if next.starts_with(b"\r\n") {
                return Row::Whole(cells, at + behind + 2);
            } else if next.is_empty() || next == b"\r" || delimiter.starts_with(next) {
                return Row::Open;
            } else {
                return Row::Bad;
            }
        }
    }

    fn whole(&mut self, row: &[u8], cells: &[Cell<'_>], out: &mut Out<'_, impl Sink>) {
        let text = row.strip_suffix(b"\n").unwrap_or(row);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if row.trim_ascii().is_empty() && cells.len() <= 1 {
            return;
        }
        if std::mem::take(&mut self.wants_header) {
            let names: Vec<String> = cells
                .iter()
                .map(|cell| String::from_utf8_lossy(&plain(*cell)).trim().to_owned())
                .collect();
            let is_known = |name: &String| {
                self.schema
                    .as_ref()
                    .is_none_or(|s| s.fields.contains_key(name))
            };
            if are_names(&names) && names.iter().all(is_known) {
                self.columns = columns(&names, self.schema.as_ref());
                return;
            }
        }
        if cells.len() != self.columns.len() {
            return out.invalid(text, InvalidLine::CsvRow);
        }
        if simdutf8::basic::from_utf8(row).is_err() {
            return out.invalid(text, InvalidLine::NotUtf8);
        }
        let names = self.columns.iter().map(|column| column.name.as_bytes());
        if names.eq(cells.iter().map(|cell| cell.text)) {
            // The header, wherever batches were joined.
            return;
        }
        let mut line = Vec::with_capacity(row.len() * 2 + 32 * cells.len());
        for (column, cell) in self.columns.iter().zip(cells) {
            line.extend_from_slice(&column.prefix);
            write_value(&mut line, column.field_type, *cell);
        }
        line.push(b'}');
        out.value(&line);
    }
}

/// Gives up the first line of what can not be a row; its length.
fn bad(bytes: &[u8], out: &mut Out<'_, impl Sink>) -> usize {
    let end = memchr(b'\n', bytes).unwrap_or(bytes.len());
    let reason = if end > LINE_MAX_BYTES {
        InvalidLine::TooLong
    } else {
        InvalidLine::CsvRow
    };
    let line = bytes.get(..end).unwrap_or_default();
    out.invalid(line.strip_suffix(b"\r").unwrap_or(line), reason);
    (end + 1).min(bytes.len())
}

fn columns(fields: &[String], schema: Option<&Dataset>) -> Vec<Column> {
    let column = |(at, name): (usize, &String)| {
        let mut prefix = vec![if at == 0 { b'{' } else { b',' }];
        write_string(&mut prefix, name.as_bytes());
        prefix.push(b':');
        let field = schema.and_then(|schema| schema.fields.get(name));
        Column {
            name: name.clone(),
            prefix,
            field_type: field.map(|field| field.field_type),
        }
    };
    fields.iter().enumerate().map(column).collect()
}

/// Where the quote closes that `bytes` begins with.
fn closing_quote(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += memchr(b'"', bytes.get(at..)?)?;
        match bytes.get(at + 1) {
            Some(b'"') => at += 2,
            // The last byte may be the first half of a quote written twice.
            None => return None,
            Some(_) => return Some(at),
        }
    }
}

/// The text of a value, quotes written twice made one.
fn plain<'b>(cell: Cell<'b>) -> Cow<'b, [u8]> {
    if !cell.is_quoted || memchr(b'"', cell.text).is_none() {
        return Cow::Borrowed(cell.text);
    }
    let mut text = Vec::with_capacity(cell.text.len());
    let mut rest = cell.text;
    while let Some(quote) = memchr(b'"', rest) {
        text.extend_from_slice(rest.get(..=quote).unwrap_or_default());
        rest = rest.get(quote + 2..).unwrap_or_default();
    }
    text.extend_from_slice(rest);
    Cow::Owned(text)
}

/// Writes a value as NDJSON would have held it. What does not look like its type stays a string, so that nothing is lost.
fn write_value(line: &mut Vec<u8>, field_type: Option<FieldType>, cell: Cell<'_>) {
    use FieldType::{
        ArrayInt, ArrayObject, ArrayString, Bool, Float, Int, Object, String, Timestamp,
    };
    let text = plain(cell);
    let trimmed = text.trim_ascii();
    let begins_with = |bytes: &[u8]| trimmed.first().is_some_and(|first| bytes.contains(first));
    let is_number = || begins_with(b"-0123456789") && is_json(trimmed);
    let is_word = || matches!(trimmed, b"true" | b"false" | b"null");
    let is_nested = |open: &[u8]| begins_with(open) && is_json(trimmed);
    let is_bare = !cell.is_quoted;
    let stays = match field_type {
        Some(String) => false,
        Some(Timestamp) => is_bare && (is_number() || trimmed == b"null"),
        Some(Int | Float) => is_number() || (is_bare && trimmed == b"null"),
        Some(Bool) => is_word(),
        Some(Object) => is_nested(b"{") || (is_bare && trimmed == b"null"),
        Some(ArrayString | ArrayInt | ArrayObject) => {
            is_nested(b"[") || (is_bare && trimmed == b"null")
        }
        None => is_bare && (is_number() || is_word() || is_nested(b"{[")),
    };
    if stays {
        line.extend_from_slice(&on_one_line(trimmed));
    } else if is_bare
        && trimmed.is_empty()
        && !matches!(field_type, None | Some(String | Timestamp))
    {
        line.extend_from_slice(b"null");
    } else {
        write_string(line, &text);
    }
}

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}

/// Writes a JSON string. `text` is UTF-8 or is refused with its row.
fn write_string(line: &mut Vec<u8>, text: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    line.push(b'"');
    let mut rest = text;
    while let Some(at) = rest
        .iter()
        .position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\'))
    {
        let (head, tail) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        line.extend_from_slice(head);
        let byte = tail.first().copied().unwrap_or_default();
        match byte {
            b'"' | b'\\' => line.extend_from_slice(&[b'\\', byte]),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            b'\t' => line.extend_from_slice(b"\\t"),
            _ => {
                line.extend_from_slice(b"\\u00");
                for nibble in [byte >> 4, byte & 15] {
                    line.push(HEX.get(usize::from(nibble)).copied().unwrap_or(b'0'));
                }
            }
        }
        rest = tail.get(1..).unwrap_or_default();
    }
    line.extend_from_slice(rest);
    line.push(b'"');
}
