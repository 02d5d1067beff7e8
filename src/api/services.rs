//! What the API needs of the outside, as traits.

use std::fmt;

use super::{ApiError, OwnershipKey};
use crate::logpush::job::{Job, NewJob};
use crate::logpush::scope::Scope;
use crate::outbox::{DeadLetter, Selected, Selection};
use crate::route::BatchPreview;

/// The job store could not be asked, or its answer is not known. The text is for the operator's log and must hold no
/// `destination_conf`; the caller of the API does not see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError {
    /// What happened.
    pub text: String,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job store: {}", self.text)
    }
}

impl std::error::Error for StoreError {}

impl From<StoreError> for ApiError {
    fn from(_: StoreError) -> Self {
        Self::StorageUnavailable
    }
}

/// A dataset of which something has come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrivedDataset {
    /// Its name.
    pub dataset: String,
    /// When something last came for it, unix milliseconds; known to the hour.
    pub last_seen_millis: u64,
}

/// The newest archived batch of a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewestBatch {
    /// Its object in the archive.
    pub object: String,
    /// When it was received, unix milliseconds.
    pub received_at_millis: u64,
    /// Records in it.
    pub records: u64,
    /// Its bytes after inflating.
    pub bytes_raw: u64,
    /// Records of the dataset that came in the last [`day_secs`](Self::day_secs).
    pub day_records: u64,
    /// Seconds of the counters' window: 24 hours and what there is of the current minute.
    pub day_secs: u64,
}

/// Where jobs are kept. Every call fails with [`StoreError`] when the store can not be asked; the store logs why.
///
/// The futures need not be `Send`: in a Worker there is one thread.
#[allow(async_fn_in_trait)]
pub trait JobStore {
    /// All jobs of a zone or account, by number.
    async fn list(&self, scope: &Scope) -> Result<Vec<Job>, StoreError>;

    /// One job; `None` when there is no such job in this zone or account.
    async fn get(&self, scope: &Scope, id: u64) -> Result<Option<Job>, StoreError>;

    /// Gives a new job its number and keeps it.
    async fn create(&self, job: NewJob) -> Result<Job, StoreError>;

    /// Keeps a changed job under the next version, if it is still at `expected_version`; answers the job as kept, and
    /// `None` when it is gone or at another version. `last_complete`, `last_error` and `error_message` are not this
    /// call's to write: the store leaves its own.
    async fn update(
        &self,
        scope: &Scope,
        id: u64,
        expected_version: u64,
        job: Job,
    ) -> Result<Option<Job>, StoreError>;

    /// Forgets a job; whether there was one in this zone or account.
    async fn delete(&self, scope: &Scope, id: u64) -> Result<bool, StoreError>;

    /// The datasets of a zone or account of which something has come in, by name.
    async fn arrived(&self, scope: &Scope) -> Result<Vec<ArrivedDataset>, StoreError>;

    /// Gives the records of the dataset's newest archived batch to a preview until it has enough, and says which batch
    /// that is; `None` when there is none.
    async fn preview_newest(
        &self,
        scope: &Scope,
        dataset: &str,
        into: &mut BatchPreview,
    ) -> Result<Option<NewestBatch>, StoreError>;

    /// Dead letters of a job, lowest number first.
    async fn dead_letters(
        &self,
        job: u64,
        selection: &Selection,
    ) -> Result<Vec<DeadLetter>, StoreError>;

    /// The first [`CONTENT_MAX_BYTES`](super::CONTENT_MAX_BYTES) of a dead letter's records, as they would be pushed;
    /// `None` when they are not there any more.
    async fn dead_letter_content(&self, letter: &DeadLetter)
    -> Result<Option<Vec<u8>>, StoreError>;

    /// Puts dead letters back into the job's queue, or counts those that would be.
    async fn redrive(&self, job: u64, selection: &Selection) -> Result<Selected, StoreError>;

    /// Deletes dead letters, or counts those that would be.
    async fn discard_dead_letters(
        &self,
        job: u64,
        selection: &Selection,
    ) -> Result<Selected, StoreError>;
}

/// The rules about a job's content which need more than the job: the catalogue of datasets, the filter's parser, what
/// the operator allows. An `Err` says what is wrong, for the one who sent it, without the member's name before it.
pub trait JobRules {
    /// Whether jobs of this zone or account may take this dataset.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    fn check_dataset(&self, scope: &Scope, dataset: &str) -> Result<(), String>;

    /// Whether the filter is one, and fits the dataset.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    fn check_filter(&self, scope: &Scope, dataset: &str, filter: &str) -> Result<(), String>;

    /// Whether the deprecated query string that chooses fields can be read, and fits the dataset.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    fn check_logpull_options(
        &self,
        scope: &Scope,
        dataset: &str,
        options: &str,
    ) -> Result<(), String>;

    /// Whether records may go there.
    ///
    /// # Errors
    ///
    /// What is wrong with it; must not hold a credential.
    fn check_destination(&self, destination_conf: &str) -> Result<(), String>;
}

/// Sends test messages.
///
/// The futures need not be `Send`: in a Worker there is one thread.
#[allow(async_fn_in_trait)]
pub trait DestinationTester {
    /// Pushes Logpush's test message to a destination whose string has passed
    /// [`check_destination`](JobRules::check_destination). It ends by itself within a deadline.
    ///
    /// # Errors
    ///
    /// What the destination answered, or why there was no answer; must not hold a credential.
    async fn test(&self, destination_conf: &str) -> Result<(), String>;

    /// Puts a small file into the path of a destination that is storage, and returns the object's name; `None` when it is
    /// no storage, or none that we have a key for. It ends by itself within a deadline.
    ///
    /// # Errors
    ///
    /// What is wrong with the string, or what the storage answered; must not hold a credential.
    async fn put_file(
        &self,
        destination_conf: &str,
        file: &str,
        content: &str,
    ) -> Result<Option<String>, String>;
}

/// What the calls need of the outside.
pub struct Services<'a, S, R, T> {
    /// Where jobs are kept.
    pub store: &'a S,
    /// Rules about a job's content.
    pub rules: &'a R,
    /// Sends test messages.
    pub tester: &'a T,
    /// Checks ownership challenges; `None` when the deployment has no API token.
    pub ownership: Option<&'a OwnershipKey>,
    /// Now.
    pub now_unix_secs: u64,
}
