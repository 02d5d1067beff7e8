//! What stands around and between the records of a push.

use super::shape::replace_cve;
use crate::logpush::output_options::{OutputOptions, OutputType};
use serde::{Deserialize, Serialize};

/// Media type of lines that are JSON objects.
pub const NDJSON: &str = "application/x-ndjson";

/// How the records of a push are put together: `prefix`, then the records with `delimiter` between two of them, then
/// `suffix`. Stored with what was shaped for it, because the job may change before that is pushed.
///
/// A record is stored with the delimiter *before* it, and counts with it. So segments of any batches can be put one after
/// the other, and only the very first delimiter of a push is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assembly {
    /// Before the first record.
    #[serde(default)]
    pub prefix: String,
    /// After the last record.
    #[serde(default)]
    pub suffix: String,
    /// Between two records.
    #[serde(default)]
    pub delimiter: String,
    /// Media type of the whole.
    pub content_type: String,
}

impl Assembly {
    /// `None` when nothing stands around or between the records, and they are lines of JSON.
    #[must_use]
    pub fn of(options: &OutputOptions) -> Option<Self> {
        let written = |text: &String| {
            let mut bytes = text.clone().into_bytes();
            if options.replace_cve_2021_44228 {
                replace_cve(&mut bytes);
            }
            // One ASCII character stands where another did.
            String::from_utf8(bytes).unwrap_or_default()
        };
        let assembly = Self {
            prefix: written(&options.batch_prefix),
            suffix: written(&options.batch_suffix),
            delimiter: written(&options.record_delimiter),
            content_type: content_type(options).to_owned(),
        };
        let is_plain = assembly.overhead_bytes() == 0
            && assembly.delimiter.is_empty()
            && assembly.content_type == NDJSON;
        (!is_plain).then_some(assembly)
    }

    /// Bytes of a push that belong to no record.
    #[must_use]
    pub fn overhead_bytes(&self) -> u64 {
        (self.prefix.len() + self.suffix.len()) as u64
    }
}

/// What the bytes of a push most probably are. Nobody can know: texts and templates are free.
fn content_type(options: &OutputOptions) -> &'static str {
    let (prefix, suffix) = (options.batch_prefix.trim(), options.batch_suffix.trim());
    let is_document = (prefix.starts_with('[') && suffix.ends_with(']'))
        || (prefix.starts_with('{') && suffix.ends_with('}'));
    let delimiter = &options.record_delimiter;
    let is_object_a_line = prefix.is_empty()
        && suffix.is_empty()
        && options.record_prefix.trim_start().starts_with('{')
        && options.record_suffix.trim_end().ends_with('}')
        && delimiter.trim().is_empty()
        && (options.record_suffix.ends_with('\n') || delimiter.ends_with('\n'));
    match options.output_type {
        OutputType::Csv => "text/csv",
        OutputType::Ndjson if is_document => "application/json",
        OutputType::Ndjson if is_object_a_line => NDJSON,
        OutputType::Ndjson => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::Assembly;
    use crate::logpush::output_options::OutputOptions;
    use serde_json::{Value, json};

    fn assembly(options: &Value) -> Option<Assembly> {
        Assembly::of(&OutputOptions::from_json(options).unwrap())
    }

    #[test]
    fn the_media_type_is_that_of_the_whole() {
        for (options, content_type) in [
            (json!({}), None),
            (json!({"field_names": ["A"], "record_template": "x"}), None),
            (
                json!({"record_suffix": "}", "record_delimiter": "\n"}),
                Some("application/x-ndjson"),
            ),
            (json!({"output_type": "csv"}), Some("text/csv")),
            (
                json!({"batch_prefix": "[", "batch_suffix": "]\n", "record_delimiter": ",", "record_suffix": "}}"}),
                Some("application/json"),
            ),
            (
                json!({"batch_prefix": "{\"events\":[", "batch_suffix": "\n]}\n", "record_delimiter": ","}),
                Some("application/json"),
            ),
            (
                json!({"record_prefix": "", "record_template": "{{.A}}"}),
                Some("text/plain; charset=utf-8"),
            ),
            (
                json!({"record_delimiter": ","}),
                Some("text/plain; charset=utf-8"),
            ),
        ] {
            let found = assembly(&options).map(|assembly| assembly.content_type);
            assert_eq!(found.as_deref(), content_type, "{options}");
        }
    }

    #[test]
    fn what_is_stored_has_not_changed() {
        let options = json!({
            "batch_prefix": "${[", "batch_suffix": "]", "record_delimiter": ",\n", "CVE-2021-44228": true,
        });
        let assembly = assembly(&options).unwrap();
        let stored = r#"{"prefix":"x{[","suffix":"]","delimiter":",\n","content_type":"text/plain; charset=utf-8"}"#;
        assert_eq!(serde_json::to_string(&assembly).unwrap(), stored);
        assert_eq!(serde_json::from_str::<Assembly>(stored).unwrap(), assembly);
    }
}
