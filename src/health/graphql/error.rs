//! What is told to a client that asked wrong.

use async_graphql::{Error, ErrorExtensionValues, PathSegment, ServerError, Value};

/// Where an error of ours keeps its path and its HTTP status on the way through the library.
const PATH: &str = "path";
const STATUS: &str = "status";

/// One error of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphqlError {
    /// What is wrong, and what to do.
    pub message: String,
    /// Where in the answer it would have been.
    pub path: Vec<String>,
    /// HTTP status that it alone would give the answer.
    pub status: u16,
}

impl GraphqlError {
    /// 400: the query is wrong.
    #[must_use]
    pub fn bad(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            path: Vec::new(),
            status: 400,
        }
    }

    /// 503: something that was needed did not answer.
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self {
            status: 503,
            ..Self::bad(message)
        }
    }

    /// As a resolver returns it.
    pub(super) fn into_error(self, path: Vec<String>) -> Error {
        let mut extensions = ErrorExtensionValues::default();
        let path = path.into_iter().map(Value::from).collect();
        extensions.set(PATH, Value::List(path));
        extensions.set(STATUS, self.status);
        Error {
            message: self.message,
            source: None,
            extensions: Some(extensions),
        }
    }

    /// As the library gives it back, with Cloudflare's words where those are known.
    pub(super) fn of(error: ServerError) -> Self {
        let extensions = error.extensions.unwrap_or_default();
        if let (Some(Value::List(path)), Some(Value::Number(status))) =
            (extensions.get(PATH), extensions.get(STATUS))
        {
            let path = path.iter().map(|segment| match segment {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            let status = status.as_u64().and_then(|status| status.try_into().ok());
            return Self {
                message: error.message,
                path: path.collect(),
                status: status.unwrap_or(400),
            };
        }
        Self {
            path: path_text(&error.path),
            ..Self::bad(in_their_words(&error.message))
        }
    }
}

/// As Cloudflare writes it: every segment a text.
pub(super) fn path_text(path: &[PathSegment]) -> Vec<String> {
    path.iter()
        .map(|segment| match segment {
            PathSegment::Field(name) => name.clone(),
            PathSegment::Index(index) => index.to_string(),
        })
        .collect()
}

/// The library's text with the beginning that Cloudflare's documents name for it, which scripts look for.
fn in_their_words(text: &str) -> String {
    if let Some(rest) = text.strip_prefix("Unknown field ") {
        return format!("unknown field {rest}");
    }
    if text.contains(" must not have a selection since ") {
        return format!("scalar fields must have no selections: {text}");
    }
    if text.contains(" must have a selection of subfields") {
        return format!("object field must have selections: {text}");
    }
    let is_about_args = ["Invalid value for argument ", "Unknown argument "]
        .iter()
        .any(|start| text.starts_with(start))
        || text.contains(" is required but not provided");
    if is_about_args {
        return format!("error parsing args: {text}");
    }
    text.to_owned()
}
