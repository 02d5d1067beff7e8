//! What is raised: something began, got worse, or ended.

use super::AlertType;
use super::duration::for_people;
use crate::time;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Whether something began or ended, in Cloudflare's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlertEvent {
    /// It began, or got worse.
    #[serde(rename = "ALERT_STATE_EVENT_START")]
    Start,
    /// It is over.
    #[serde(rename = "ALERT_STATE_EVENT_END")]
    End,
}

/// How bad it is. A failing job is first the one, then the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Somebody should look.
    Warning,
    /// Somebody has to act.
    Critical,
}

impl Severity {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The severity of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Warning, Self::Critical]
            .into_iter()
            .find(|one| one.as_str() == name)
    }
}

/// The facts of a job. Members may be added with a default; none may go, because occurrences wait in a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobFacts {
    /// Its number.
    pub id: u64,
    /// The operator's name for it.
    pub name: Option<String>,
    /// `zones/<id>` or `accounts/<id>`.
    pub scope: String,
    /// Its dataset.
    pub dataset: String,
    /// Where it goes, masked already ([`crate::logpush::destination_conf::masked`]).
    pub destination_conf: String,
    /// End of the time range of the last accepted push, RFC 3339.
    pub last_complete: Option<String>,
    /// When the last attempt failed, RFC 3339.
    pub last_error: Option<String>,
    /// What the destination said then; holds no credential.
    pub error_message: Option<String>,
    /// Since when no push has succeeded, RFC 3339.
    pub failing_since: Option<String>,
    /// Records that wait.
    pub backlog_records: u64,
    /// Their bytes.
    pub backlog_bytes: u64,
    /// When the oldest of them was received, RFC 3339.
    pub backlog_oldest: Option<String>,
    /// `disabled` or `deleted`, by somebody: then what ends, ends because nobody waits for it any more.
    pub stopped: Option<String>,
}

/// The facts of a dataset of one zone or account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DatasetFacts {
    /// `zones/<id>` or `accounts/<id>`.
    pub scope: String,
    /// The dataset.
    pub dataset: String,
    /// When its last batch came, to the minute, unix milliseconds.
    pub last_batch_millis: Option<u64>,
    /// How far apart its batches usually are, in milliseconds.
    pub usual_interval_millis: Option<u64>,
    /// Lines that were no records, in the window that was looked at.
    pub invalid_lines: u64,
    /// Records in the same window.
    pub records: u64,
    /// The window, in milliseconds.
    pub window_millis: u64,
}

/// Who or what it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A job.
    Job(JobFacts),
    /// A dataset of one zone or account.
    Dataset(DatasetFacts),
}

impl Subject {
    /// A name for it that does not change with its facts.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Job(job) => format!("job/{}", job.id),
            Self::Dataset(dataset) => format!("{}/{}", dataset.scope, dataset.dataset),
        }
    }

    /// `zones/<id>` or `accounts/<id>`.
    #[must_use]
    pub fn scope(&self) -> &str {
        match self {
            Self::Job(job) => &job.scope,
            Self::Dataset(dataset) => &dataset.scope,
        }
    }

    /// The dataset.
    #[must_use]
    pub fn dataset(&self) -> &str {
        match self {
            Self::Job(job) => &job.dataset,
            Self::Dataset(dataset) => &dataset.dataset,
        }
    }

    /// The job's number.
    #[must_use]
    pub fn job_id(&self) -> Option<u64> {
        match self {
            Self::Job(job) => Some(job.id),
            Self::Dataset(_) => None,
        }
    }
}

/// One thing to tell. Made by [`Occurrence::new`]; its two ids follow from what it is about, so that raising it again
/// after a lost answer is the same occurrence, and its end finds its beginning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    /// The same for every attempt to raise it.
    pub id: String,
    /// The same for its beginning, its getting worse and its end: `alert_correlation_id`.
    pub correlation_id: String,
    /// What kind.
    pub alert_type: AlertType,
    /// Beginning or end.
    pub event: AlertEvent,
    /// How bad.
    pub severity: Severity,
    /// When the trouble began, unix milliseconds. The end has to say the same instant as the beginning.
    pub since_millis: u64,
    /// When this was noticed, unix milliseconds.
    pub at_millis: u64,
    /// Who or what.
    pub subject: Subject,
}

impl Occurrence {
    /// What began at `since_millis` and was noticed, got worse or ended at `at_millis`.
    #[must_use]
    pub fn new(
        alert_type: AlertType,
        event: AlertEvent,
        severity: Severity,
        since_millis: u64,
        at_millis: u64,
        subject: Subject,
    ) -> Self {
        let correlation_id =
            short_hash(&format!("{alert_type}\n{}\n{since_millis}", subject.key()));
        let what = match event {
            AlertEvent::Start => severity.as_str(),
            AlertEvent::End => "end",
        };
        Self {
            id: format!("{correlation_id}-{what}"),
            correlation_id,
            alert_type,
            event,
            severity,
            since_millis,
            at_millis,
            subject,
        }
    }

    /// What two alerts have in common that a policy's `alert_interval` keeps apart. A warning does not hold back the
    /// critical alert that follows it.
    #[must_use]
    pub fn repeat_key(&self) -> String {
        format!(
            "{}/{}/{}",
            self.alert_type,
            self.subject.key(),
            self.severity.as_str()
        )
    }

    /// What happened, since when, and what to do next. Plain text; the first line can stand alone.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.subject {
            Subject::Job(job) => self.job_text(job),
            Subject::Dataset(dataset) => self.dataset_text(dataset),
        }
    }

    fn since(&self) -> String {
        let lasted = for_people(self.at_millis.saturating_sub(self.since_millis));
        format!(
            "since {} ({lasted})",
            time::rfc3339_millis(self.since_millis)
        )
    }

    fn job_text(&self, job: &JobFacts) -> String {
        let who = match job.name.as_deref().filter(|name| !name.is_empty()) {
            Some(name) => format!(
                "Logpush job {} \"{name}\" ({}, {})",
                job.id, job.dataset, job.scope
            ),
            None => format!("Logpush job {} ({}, {})", job.id, job.dataset, job.scope),
        };
        let lasted = for_people(self.at_millis.saturating_sub(self.since_millis));
        let waiting = match job.backlog_records {
            0 => String::new(),
            records => format!(
                "\nWaiting: {records} records, {} bytes. Nothing is lost.",
                job.backlog_bytes
            ),
        };
        let error = match &job.error_message {
            Some(text) => format!("\nLast error: {text}"),
            None => String::new(),
        };
        if let (AlertEvent::End, Some(stopped)) = (self.event, &job.stopped) {
            return format!("{who} was {stopped} and is no longer looked at, after {lasted}.");
        }
        let (what, next) = match (self.event, self.alert_type) {
            (AlertEvent::End, AlertType::JobDisabled) => (
                format!(
                    "was disabled for failing and is enabled again, after {lasted}. It goes on where it stopped."
                ),
                "",
            ),
            (AlertEvent::End, AlertType::JobFailing) => (
                format!("recovered: pushes succeed again, after {lasted}."),
                "",
            ),
            (AlertEvent::End, AlertType::JobParked) => {
                (format!("is no longer parked, after {lasted}."), "")
            }
            (AlertEvent::End, _) => (format!("caught up with its backlog, after {lasted}."), ""),
            (AlertEvent::Start, AlertType::JobDisabled) => (
                format!("was disabled: no push succeeded {}.", self.since()),
                "Mend the destination, then enable the job (PUT {\"enabled\": true}). It goes on where it stopped.",
            ),
            (AlertEvent::Start, AlertType::JobFailing) => (
                format!("is failing {}.", self.since()),
                "Look at the destination. Pushes are tried again by themselves; without a success for 24 h the job is disabled.",
            ),
            (AlertEvent::Start, AlertType::JobParked) => (
                format!(
                    "is parked {}: the destination refuses its records.",
                    self.since()
                ),
                "Correct destination_conf or the destination's own settings, then change or enable the job.",
            ),
            (AlertEvent::Start, _) => (
                match &job.backlog_oldest {
                    Some(oldest) => {
                        format!("is behind: its oldest waiting record was received at {oldest}.")
                    }
                    None => format!("is behind {}.", self.since()),
                },
                "See whether the destination is slow or refuses pushes; raise max_upload_* if it takes too many small ones.",
            ),
        };
        let mut text = format!("{who} {what}");
        if self.event == AlertEvent::Start {
            text.push_str(&error);
            text.push_str(&waiting);
            text.push_str(&format!(
                "\nDestination: {}\nNext: {next}",
                job.destination_conf
            ));
        }
        text
    }

    fn dataset_text(&self, facts: &DatasetFacts) -> String {
        let who = format!("Dataset {} of {}", facts.dataset, facts.scope);
        let lasted = for_people(self.at_millis.saturating_sub(self.since_millis));
        let percent = invalid_percent(facts.invalid_lines, facts.records);
        match (self.event, self.alert_type) {
            (AlertEvent::Start, AlertType::InvalidLines) => format!(
                "{who} brings bad lines: {} of {} lines ({percent:.1} %) in the last {} were no records.\nNext: see which \
                reason counts up in /stats, and the lines themselves under quarantine/ in the bucket. The archive has \
                every byte.",
                facts.invalid_lines,
                facts.invalid_lines + facts.records,
                for_people(facts.window_millis)
            ),
            (AlertEvent::End, AlertType::InvalidLines) => {
                format!(
                    "{who} brings records again, after {lasted}: {percent:.1} % bad lines in the last {}.",
                    for_people(facts.window_millis)
                )
            }
            (AlertEvent::Start, _) => format!(
                "{who} is silent {}: no batch came, and usually one comes every {}.\nNext: look at the Logpush job at \
                Cloudflare (enabled? error_message?), at INGEST_SECRET, and at rules that may block its requests.",
                self.since(),
                for_people(facts.usual_interval_millis.unwrap_or_default())
            ),
            (AlertEvent::End, _) if facts.last_batch_millis <= Some(self.since_millis) => {
                format!("{who} is no longer watched: no batch came for {lasted}.")
            }
            (AlertEvent::End, _) => format!("{who} brings batches again, after {lasted}."),
        }
    }

    /// `data` of the webhook payload. Cloudflare documents none for this kind of alert; its other kinds name account and
    /// zone in this way.
    #[must_use]
    pub fn data(&self, account_id: &str) -> Value {
        let mut data = json!({
            "account_name": account_id,
            "account_tag": account_id,
            "severity": self.severity.as_str(),
            "since": time::rfc3339_millis(self.since_millis),
            "dataset": self.subject.dataset(),
        });
        let more = match &self.subject {
            Subject::Job(job) => json!({
                "job_id": job.id,
                "job_name": job.name,
                "destination_conf": job.destination_conf,
                "last_complete": job.last_complete,
                "last_error": job.last_error,
                "error_message": job.error_message,
                "failing_since": job.failing_since,
                "backlog_records": job.backlog_records,
                "backlog_bytes": job.backlog_bytes,
                "backlog_oldest": job.backlog_oldest,
            }),
            Subject::Dataset(facts) => json!({
                "last_batch": facts.last_batch_millis.map(time::rfc3339_millis),
                "usual_interval_seconds": facts.usual_interval_millis.map(|millis| millis / 1_000),
                "invalid_lines": facts.invalid_lines,
                "records": facts.records,
                "window_seconds": facts.window_millis / 1_000,
            }),
        };
        if let (Some(data), Value::Object(more)) = (data.as_object_mut(), more) {
            data.extend(more);
            if let Some(("zones", zone)) = self.subject.scope().split_once('/') {
                data.insert("zone_name".to_owned(), zone.into());
                data.insert("zone_tag".to_owned(), zone.into());
            }
        }
        data
    }
}

fn invalid_percent(invalid: u64, records: u64) -> f64 {
    100.0 * invalid as f64 / (invalid + records).max(1) as f64
}

/// 128 bits of SHA-256 in hex: as long as Cloudflare's ids.
fn short_hash(text: &str) -> String {
    Sha256::digest(text)
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
