//! Writing a record out as a normalised event, for a job whose `schema` says so.

use super::shape::{replace_cve, without_cve};
use crate::ecs::{Normaliser, Scratch, Surprises};
use crate::logpush::catalogue::Dataset;
use crate::logpush::output_options::OutputOptions;

/// The output options of such a job, compiled for one dataset. Its output begins with `record_delimiter`, see
/// [`super::Assembly`].
#[derive(Debug)]
pub struct Event {
    normaliser: Normaliser,
    /// Delimiter and prefix.
    before: Vec<u8>,
    /// Suffix.
    after: Vec<u8>,
    replaces_cve: bool,
}

impl Event {
    pub(super) fn compile(
        options: &OutputOptions,
        dataset: &str,
        schema: Option<&Dataset>,
    ) -> Self {
        let replaces_cve = options.replace_cve_2021_44228;
        // An event begins with a quote and ends with one or a bracket, so that no `${` goes over the edge of a text.
        let text = |text: String| {
            let mut text = text.into_bytes();
            if replaces_cve {
                replace_cve(&mut text);
            }
            text
        };
        Self {
            normaliser: Normaliser::compile(
                dataset,
                schema,
                &options.field_names,
                options.stringify_object,
            ),
            before: text(format!(
                "{}{}",
                options.record_delimiter, options.record_prefix
            )),
            after: text(options.record_suffix.clone()),
            replaces_cve,
        }
    }

    /// Appends a record to `out`. `line` is a JSON object.
    pub fn write(
        &self,
        line: &[u8],
        scratch: &mut Scratch,
        surprises: &mut Surprises,
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(&self.before);
        if self.replaces_cve {
            self.normaliser
                .write(&without_cve(line), scratch, surprises, out);
        } else {
            self.normaliser.write(line, scratch, surprises, out);
        }
        out.extend_from_slice(&self.after);
    }
}
