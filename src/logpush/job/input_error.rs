//! What can be wrong with a request that creates or changes a job.

use std::fmt;

use super::{MAX_DATASET_CHARS, MAX_NAME_CHARS};

/// Why a job was refused. The text names the member and what to do, and never holds the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// The same, inside of `output_options`.
    OutputNotOffered {
        /// The member of `output_options`, when it is one that we know.
        option: Option<&'static str>,
    },
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
            Self::OutputNotOffered { .. } => "output_options",
            Self::NotAString { field }
            | Self::NotABool { field }
            | Self::Fixed { field }
            | Self::Limit { field, .. }
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
            Self::NotOffered { .. } => f.write_str("is not offered yet; leave it out, records are sent as they come"),
            Self::OutputNotOffered { option: Some(option) } => {
                write!(f, "{option} is not offered yet; leave it out, records are sent as they come")
            }
            Self::OutputNotOffered { option: None } => {
                f.write_str("holds a member that is not offered yet; leave it out, records are sent as they come")
            }
        }
    }
}

impl std::error::Error for JobInputError {}
