//! What is known of a batch before its first byte: the dataset, and what the address says about CSV.

use crate::limits::{CSV_COLUMNS_MAX, CSV_NAME_MAX_BYTES};
use crate::logpush::catalogue::Dataset;
use crate::logpush::scope::ScopeKind;
use std::fmt;
use url::form_urlencoded;

/// Most bytes of the parameters that describe CSV. They are kept with the archived object, whose metadata may have 8,192
/// bytes (R2 limits page); the longest dataset has 108 fields in 2,000 bytes.
pub const PARAMETERS_MAX_BYTES: usize = 6_000;

/// Most bytes between two values.
const DELIMITER_MAX_BYTES: usize = 16;

/// CSV as the address announces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvForm {
    /// The fields in the order of the values; empty when the first row has to name them.
    pub fields: Vec<String>,
    /// What stands between two values.
    pub delimiter: String,
    /// The address says `output_type=csv`: what begins like JSON is CSV all the same.
    pub is_certain: bool,
}

/// What is known of a batch before it is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Incoming {
    dataset: Option<(ScopeKind, String)>,
    /// Set when the batch is announced as CSV.
    pub csv: Option<CsvForm>,
}

/// A parameter of the address that can not be followed. The text names it and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomingError(String);

impl fmt::Display for IncomingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for IncomingError {}

impl Incoming {
    /// Reads the query of the address a batch was sent to: `output_type`, `fields` and `field_delimiter`. Other
    /// parameters are somebody else's.
    ///
    /// # Errors
    /// Names the parameter that is wrong.
    pub fn new(scope: ScopeKind, dataset: &str, query: &str) -> Result<Self, IncomingError> {
        let (mut output_type, mut fields, mut delimiter) = (None, None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let slot = match &*name {
                "output_type" => &mut output_type,
                "fields" => &mut fields,
                "field_delimiter" => &mut delimiter,
                _ => continue,
            };
            *slot = Some(value.into_owned());
        }
        let fail = |text: &str| Err(IncomingError(text.to_owned()));
        let is_certain = match output_type.as_deref() {
            None => false,
            Some("csv") => true,
            Some("ndjson") => {
                (fields, delimiter) = (None, None);
                false
            }
            Some(_) => return fail("`output_type` is `ndjson` or `csv`"),
        };
        let incoming = Self {
            dataset: Some((scope, dataset.to_owned())),
            csv: None,
        };
        if !is_certain && fields.is_none() {
            return Ok(incoming);
        }
        let fields: Vec<String> = match fields.as_deref() {
            None | Some("") => Vec::new(),
            Some(list) => list.split(',').map(|name| name.trim().to_owned()).collect(),
        };
        if !are_names(&fields) {
            return fail(
                "`fields` is a list of different field names of at most 100 bytes, with commas between",
            );
        }
        let delimiter = delimiter.unwrap_or_else(|| ",".to_owned());
        if delimiter.is_empty()
            || delimiter.len() > DELIMITER_MAX_BYTES
            || delimiter.contains(['"', '\n', '\r'])
        {
            return fail("`field_delimiter` has 1 to 16 bytes, no quote and no line break");
        }
        let incoming = Self {
            csv: Some(CsvForm {
                fields,
                delimiter,
                is_certain,
            }),
            ..incoming
        };
        match incoming.to_query() {
            Some(query) if query.len() > PARAMETERS_MAX_BYTES => {
                fail("`fields` and `field_delimiter` are longer than 6,000 bytes")
            }
            _ => Ok(incoming),
        }
    }

    /// The parameters, as a query that [`Self::new`] reads; `None` when the address says nothing. Kept with the archived
    /// object, so that it can be read again.
    #[must_use]
    pub fn to_query(&self) -> Option<String> {
        let csv = self.csv.as_ref()?;
        let mut query = form_urlencoded::Serializer::new(String::new());
        if csv.is_certain {
            query.append_pair("output_type", "csv");
        }
        if !csv.fields.is_empty() {
            query.append_pair("fields", &csv.fields.join(","));
        }
        query.append_pair("field_delimiter", &csv.delimiter);
        Some(query.finish())
    }

    /// The dataset, if the catalogue has it. Reads its file, so not for every batch.
    #[must_use]
    pub fn schema(&self) -> Option<Dataset> {
        let (scope, name) = self.dataset.as_ref()?;
        Dataset::find(*scope, name)
    }
}

/// Whether these can be the names of fields: different, none empty, and none of a length that no field has.
#[must_use]
pub fn are_names(fields: &[String]) -> bool {
    let mut sorted: Vec<&String> = fields.iter().collect();
    sorted.sort();
    fields.len() <= CSV_COLUMNS_MAX
        && fields
            .iter()
            .all(|name| (1..=CSV_NAME_MAX_BYTES).contains(&name.len()))
        && !sorted.windows(2).any(|two| two.first() == two.last())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(query: &str) -> Option<CsvForm> {
        let incoming = Incoming::new(ScopeKind::Zone, "dns_logs", query).unwrap();
        let again = incoming.to_query().unwrap_or_default();
        let kept = Incoming::new(ScopeKind::Zone, "dns_logs", &again).unwrap();
        assert_eq!(kept, incoming, "{query}");
        incoming.csv
    }

    #[test]
    fn the_address_says_what_a_row_holds() {
        let form = |fields: &[&str], delimiter: &str, is_certain| {
            Some(CsvForm {
                fields: fields.iter().map(|name| (*name).to_owned()).collect(),
                delimiter: delimiter.to_owned(),
                is_certain,
            })
        };
        for (query, expected) in [
            ("", None),
            ("tag=x&other", None),
            ("output_type=ndjson&fields=A,B", None),
            ("output_type=csv", form(&[], ",", true)),
            ("fields=A,B", form(&["A", "B"], ",", false)),
            ("fields=A%2CB&output_type=csv", form(&["A", "B"], ",", true)),
            (
                "fields=A,B&field_delimiter=%09",
                form(&["A", "B"], "\t", false),
            ),
            (
                "output_type=csv&field_delimiter=%7C%7C",
                form(&[], "||", true),
            ),
        ] {
            assert_eq!(csv(query), expected, "{query}");
        }
    }

    #[test]
    fn what_can_not_be_followed_is_named() {
        let names: Vec<String> = (0..900).map(|n| format!("Field{n}")).collect();
        let many = format!("fields={}", names.join(","));
        let long = format!("fields={}", "A".repeat(101));
        for (query, name) in [
            ("output_type=xml", "output_type"),
            ("fields=A,,B", "fields"),
            ("fields=A,A", "fields"),
            ("fields=A&field_delimiter=", "field_delimiter"),
            ("fields=A&field_delimiter=%22", "field_delimiter"),
            ("fields=A&field_delimiter=%0A", "field_delimiter"),
            (
                "fields=A&field_delimiter=12345678901234567",
                "field_delimiter",
            ),
            (long.as_str(), "fields"),
            (many.as_str(), "fields"),
        ] {
            let error = Incoming::new(ScopeKind::Zone, "dns_logs", query).unwrap_err();
            assert!(error.to_string().contains(name), "{query}: {error}");
        }
    }
}
