//! Where logs come from.

use super::GraphqlError;
use crate::health::log::{IngestRow, LogQuery, PushRow};
use crate::logpush::scope::Scope;
use std::pin::Pin;

/// A log did not come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceError {
    /// An object did not answer. Asking again is safe.
    Unavailable,
    /// There is more of it than one answer may read; the text says how to ask for less.
    TooMuch(String),
}

impl From<SourceError> for GraphqlError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Unavailable => {
                Self::unavailable("an outbox or a ledger did not answer; try again")
            }
            SourceError::TooMuch(text) => {
                Self::bad(format!("query time range is too large: {text}"))
            }
        }
    }
}

/// An answer that is waited for. `Send`, because the library asks for it.
pub type Answered<'a, T> = Pin<Box<dyn Future<Output = Result<T, SourceError>> + Send + 'a>>;

/// Logs of this deployment.
pub trait Source: Send + Sync {
    /// Every zone and account that a job or a batch named.
    fn scopes(&self) -> Answered<'_, Vec<Scope>>;
    /// The push log of all jobs of a scope, of deleted ones too.
    fn pushes<'a>(&'a self, scope: &'a Scope, query: LogQuery) -> Answered<'a, Vec<PushRow>>;
    /// What came in for a scope.
    fn batches<'a>(&'a self, scope: &'a Scope, query: LogQuery) -> Answered<'a, Vec<IngestRow>>;
}
