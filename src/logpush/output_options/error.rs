//! What can be wrong with output options.

use std::fmt;

use super::{MAX_FIELD_BYTES, MAX_FIELDS, OPTIONS, TemplateError};

/// Why output options were refused. The text names the option and what to do; of values it holds names of fields and
/// options only.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputOptionsError {
    /// `output_options` is no object.
    NotAnObject,
    /// An option that nobody knows.
    UnknownOption {
        /// It, cut to a length that a name may have.
        name: String,
        /// The option that is meant, if one is near.
        nearest: Option<&'static str>,
    },
    /// An option that must be a string.
    NotAString {
        /// The option.
        option: &'static str,
    },
    /// An option that must be true or false.
    NotABool {
        /// The option.
        option: &'static str,
    },
    /// A text that is too long.
    TooLong {
        /// The option; empty for the whole.
        option: &'static str,
        /// How long it may be.
        max_bytes: usize,
    },
    /// A word that is none of those which the option knows.
    Word {
        /// The option.
        option: &'static str,
        /// The words that it knows.
        words: &'static str,
    },
    /// An option that says how fields are laid out, with `schema` `ecs`.
    NotWithEcs {
        /// The option, and its value where that matters.
        option: &'static str,
    },
    /// A rate that is not above 0 and at most 1.
    SampleRate {
        /// The option.
        option: &'static str,
    },
    /// `field_names` that is no array of strings.
    NotNames,
    /// An empty or a very long name of a field.
    FieldForm {
        /// The option.
        option: &'static str,
    },
    /// More fields than any dataset has.
    TooManyFields {
        /// The option.
        option: &'static str,
    },
    /// A field that is named twice.
    FieldTwice {
        /// The option.
        option: &'static str,
        /// The field.
        name: String,
    },
    /// A field that the dataset does not have.
    UnknownField {
        /// The option.
        option: &'static str,
        /// The field.
        name: String,
        /// The dataset.
        dataset: String,
        /// The field that is meant, if one is near.
        nearest: Option<String>,
    },
    /// A template that can not be read.
    Template(TemplateError),
}

impl OutputOptionsError {
    pub(super) fn unknown_option(name: &str) -> Self {
        let plain = |name: &str| name.to_ascii_lowercase().replace(['_', '-'], "");
        let nearest = OPTIONS
            .into_iter()
            .find(|known| plain(known) == plain(name));
        Self::UnknownOption {
            name: name.chars().take(MAX_FIELD_BYTES).collect(),
            nearest,
        }
    }
}

impl fmt::Display for OutputOptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meant = |f: &mut fmt::Formatter<'_>, nearest: Option<&str>| match nearest {
            Some(nearest) => write!(f, "; did you mean `{nearest}`?"),
            None => Ok(()),
        };
        match self {
            Self::NotAnObject => {
                f.write_str(r#"must be an object such as {"field_names": ["RayID"]}, or null"#)
            }
            Self::UnknownOption { name, nearest } => {
                write!(f, "`{name}` is no output option")?;
                match nearest {
                    None => f.write_str("; leave it out"),
                    nearest => meant(f, *nearest),
                }
            }
            Self::NotAString { option } => write!(f, "{option} must be a string"),
            Self::NotABool { option } => write!(f, "{option} must be true or false"),
            Self::TooLong {
                option: "",
                max_bytes,
            } => write!(f, "must have at most {max_bytes} bytes"),
            Self::TooLong { option, max_bytes } => {
                write!(f, "{option} must have at most {max_bytes} bytes")
            }
            Self::Word { option, words } => write!(f, "{option} must be {words}"),
            Self::NotWithEcs { option } => write!(
                f,
                "schema ecs writes each record as one JSON object of its own form: leave {option} out, or schema"
            ),
            Self::SampleRate { option } => {
                write!(
                    f,
                    "{option} must be a number above 0 and at most 1; 0.1 sends one record of ten"
                )
            }
            Self::NotNames => f.write_str(
                r#"field_names must be an array of strings such as ["RayID", "ClientIP"]"#,
            ),
            Self::FieldForm { option } => {
                write!(
                    f,
                    "{option} must hold names of 1 to {MAX_FIELD_BYTES} bytes"
                )
            }
            Self::TooManyFields { option } => {
                write!(f, "{option} must hold at most {MAX_FIELDS} names")
            }
            Self::FieldTwice { option, name } => {
                write!(f, "{option} names `{name}` twice; name each field once")
            }
            Self::UnknownField {
                option,
                name,
                dataset,
                nearest,
            } => {
                write!(f, "{option}: {dataset} has no field `{name}`")?;
                match nearest {
                    None => f.write_str("; see the dataset's fields and leave it out"),
                    nearest => meant(f, nearest.as_deref()),
                }
            }
            Self::Template(error) => write!(f, "record_template: {error}"),
        }
    }
}

impl std::error::Error for OutputOptionsError {}
