//! What can be wrong with a request that creates or changes a job.

use std::fmt;

use super::super::output_options::OutputOptionsError;
use super::{MAX_DATASET_CHARS, MAX_NAME_CHARS, MAX_OWNERSHIP_CHALLENGE_CHARS};

/// Why a job was refused. The text names the member and what to do; of values it holds names of fields and options only.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobInputError {
    /// The request body is no JSON object.
    NotAnObject,
    /// No `destination_conf` although there must be one, or an empty one.
    DestinationMissing,
    /// A member that must be a string.
    NotAString {
        /// The member.
        field: &'static str,
    },
    /// A filter as an object instead of JSON text.
    FilterNotText,
    /// `enabled` that is neither true nor false.
    NotABool {
        /// The member.
        field: &'static str,
    },
    /// A dataset's name of another form.
    DatasetForm,
    /// A name that is too long.
    NameTooLong,
    /// A member that a change can not touch.
    Fixed {
        /// The member.
        field: &'static str,
    },
    /// A `frequency` other than high and low.
    FrequencyForm,
    /// A limit that is no whole number in its range.
    Limit {
        /// The member.
        field: &'static str,
        /// Smallest value.
        min: u64,
        /// Largest value.
        max: u64,
    },
    /// Something of Logpush that would change which records are sent, or how, and that this version does not do.
    NotOffered {
        /// The member.
        field: &'static str,
    },
    /// Something is wrong in `output_options` or `logpull_options`.
    Output {
        /// Which of the two.
        field: &'static str,
        /// What.
        error: OutputOptionsError,
    },
    /// An `ownership_challenge` of another form.
    ChallengeForm,
    /// A `backfill_from` that is no time.
    BackfillForm,
}

impl JobInputError {
    /// The member of the request that is at fault, or `body`.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self {
            Self::NotAnObject => "body",
            Self::DestinationMissing => "destination_conf",
            Self::FilterNotText => "filter",
            Self::DatasetForm => "dataset",
            Self::NameTooLong => "name",
            Self::FrequencyForm => "frequency",
            Self::ChallengeForm => "ownership_challenge",
            Self::BackfillForm => "backfill_from",
            Self::NotAString { field }
            | Self::NotABool { field }
            | Self::Fixed { field }
            | Self::Limit { field, .. }
            | Self::Output { field, .. }
            | Self::NotOffered { field } => field,
        }
    }
}

/// `<member>: <what to do>`.
impl fmt::Display for JobInputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.field())?;
        match self {
            Self::NotAnObject => f.write_str("must be a JSON object"),
            Self::DestinationMissing => {
                f.write_str("is required; send a destination such as https://logs.example.com/?header_Authorization=…")
            }
            Self::NotAString { .. } => f.write_str("must be a string"),
            Self::FilterNotText => f.write_str(
                r#"must be a string that holds JSON, not an object; send "{\"where\":{…}}" with the quotes escaped"#,
            ),
            Self::NotABool { .. } => f.write_str("must be true or false"),
            Self::DatasetForm => {
                write!(f, "must be 1 to {MAX_DATASET_CHARS} characters of A-Z, a-z, 0-9, _ and -")
            }
            Self::NameTooLong => write!(f, "must have at most {MAX_NAME_CHARS} characters"),
            Self::Fixed { .. } => f.write_str("can not be changed; delete the job and create another one"),
            Self::FrequencyForm => f.write_str("must be high or low; it is deprecated, use max_upload_interval_seconds"),
            Self::Limit { min, max, .. } => write!(f, "must be a whole number from {min} to {max}, or 0 for no limit"),
            Self::NotOffered { field: "kind" } => {
                f.write_str("is not offered: there are no edge jobs here; leave it out")
            }
            Self::NotOffered { field: "transformer_id" } => f.write_str(
                "is not offered: there are no transformers here; leave it out, and shape records by output_options",
            ),
            Self::NotOffered { .. } => {
                f.write_str("is not offered beside output_options; put sample_rate into output_options")
            }
            Self::Output { error, .. } => error.fmt(f),
            Self::BackfillForm => f.write_str("must be a time since 1970 in RFC 3339, such as 2026-07-01T00:00:00Z"),
            Self::ChallengeForm => write!(
                f,
                "must be at most {MAX_OWNERSHIP_CHALLENGE_CHARS} characters of A-Z, a-z, 0-9, /, +, ., - and _; \
                 send what the challenge file holds"
            ),
        }
    }
}

impl std::error::Error for JobInputError {}
