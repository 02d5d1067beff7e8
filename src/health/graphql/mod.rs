//! `POST /client/v4/graphql`: Cloudflare's GraphQL API, as far as it is about Logpush. Pure: logs come through [`Source`].
//!
//! Names, operators and texts are those of Cloudflare's schema and documents (analytics/graphql-api) and of clients that
//! were written for them; what they leave open is said in docs/health.md.

mod document;
mod error;
mod node;
mod schema;
mod source;
#[cfg(test)]
mod tests;

pub use error::GraphqlError;
pub use source::{Answered, Source, SourceError};

use crate::time;
use async_graphql::dynamic::Schema;
use async_graphql::{Response, Value};
use node::Budget;
use serde::Serialize;
use std::sync::{Arc, OnceLock};

/// An answer over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphqlAnswer {
    /// HTTP status.
    pub status: u16,
    /// JSON: `data`, and `errors` only where there is one.
    pub body: String,
}

#[derive(Serialize)]
struct Body<'a> {
    data: Option<&'a Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ErrorBody<'a>>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    message: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    path: &'a [String],
    extensions: Extensions<'a>,
}

#[derive(Serialize)]
struct Extensions<'a> {
    timestamp: &'a str,
}

/// Answers with an error, or several.
#[must_use]
pub fn refuse(errors: &[GraphqlError], now_millis: u64) -> GraphqlAnswer {
    let timestamp = time::rfc3339_millis(now_millis);
    let body = Body {
        data: None,
        errors: errors
            .iter()
            .map(|error| ErrorBody {
                message: &error.message,
                path: &error.path,
                extensions: Extensions {
                    timestamp: &timestamp,
                },
            })
            .collect(),
    };
    // What the caller has to mend comes first; a storage that does not answer only where nothing else is wrong.
    let status = errors.iter().map(|error| error.status).min();
    GraphqlAnswer {
        status: status.unwrap_or(500),
        body: text(&body),
    }
}

fn text(body: &Body<'_>) -> String {
    serde_json::to_string(body)
        .unwrap_or_else(|_| r#"{"data":null,"errors":[{"message":"no answer"}]}"#.to_owned())
}

/// Answers a query: the body of a POST, `{"query":…,"variables":…,"operationName":…}`.
pub async fn answer(body: &[u8], source: Arc<dyn Source>, now_millis: u64) -> GraphqlAnswer {
    let request = match document::prepare(body) {
        Ok(request) => request,
        Err(error) => return refuse(&[error], now_millis),
    };
    let Some(schema) = schema() else {
        let text = "the schema could not be made".to_owned();
        return refuse(&[GraphqlError::unavailable(text)], now_millis);
    };
    let request = request
        .data(source)
        .data(node::Now(now_millis))
        .data(Budget::default());
    let Response { data, errors, .. } = schema.execute(request).await;
    if errors.is_empty() {
        let body = Body {
            data: Some(&data),
            errors: Vec::new(),
        };
        return GraphqlAnswer {
            status: 200,
            body: text(&body),
        };
    }
    let errors: Vec<GraphqlError> = errors.into_iter().map(GraphqlError::of).collect();
    refuse(&errors, now_millis)
}

/// The schema: the same for every query, and made once.
fn schema() -> Option<&'static Schema> {
    static SCHEMA: OnceLock<Option<Schema>> = OnceLock::new();
    SCHEMA.get_or_init(|| schema::build().ok()).as_ref()
}
