//! What `/stats` says of alerts: which are open, and whether they reach anybody.

use crate::alerting::Occurrence;
use crate::time;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// An alert that has begun and not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenAlert {
    /// What kind.
    pub alert_type: String,
    /// As in the payloads.
    pub correlation_id: String,
    /// `warning` or `critical`.
    pub severity: String,
    /// `zones/<id>` or `accounts/<id>`.
    pub scope: String,
    /// The dataset.
    pub dataset: String,
    /// The job, if it is about one.
    pub job_id: Option<u64>,
    /// When the trouble began, unix milliseconds.
    pub since_millis: u64,
    /// What happened, in one line.
    pub text: String,
}

impl OpenAlert {
    /// From what was raised last.
    #[must_use]
    pub fn of(occurrence: &Occurrence) -> Self {
        let text = occurrence.text();
        Self {
            alert_type: occurrence.alert_type.as_str().to_owned(),
            correlation_id: occurrence.correlation_id.clone(),
            severity: occurrence.severity.as_str().to_owned(),
            scope: occurrence.subject.scope().to_owned(),
            dataset: occurrence.subject.dataset().to_owned(),
            job_id: occurrence.subject.job_id(),
            since_millis: occurrence.since_millis,
            text: text.lines().next().unwrap_or_default().to_owned(),
        }
    }
}

/// Why an alert could not be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryError {
    /// The mechanism and what it said.
    pub text: String,
    /// When, unix milliseconds.
    pub at_millis: u64,
}

/// Counters of all time, and what is open now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AlertsSummary {
    /// The oldest of the open ones.
    pub open: Vec<OpenAlert>,
    /// How many are open.
    pub open_count: u64,
    /// Deliveries that wait for their time or their turn.
    pub pending: u64,
    /// When the oldest of them was raised, unix milliseconds.
    pub oldest_pending_millis: Option<u64>,
    /// Deliveries that were taken.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed_attempts: u64,
    /// Deliveries that were given up.
    pub undelivered: u64,
    /// The last attempt that failed.
    pub last_error: Option<DeliveryError>,
}

/// The member `alerts`; `None` when the alerts could not be asked, which is no reason to show nothing else.
#[must_use]
pub fn member(
    summary: Option<&AlertsSummary>,
    scope: Option<&str>,
    dataset: Option<&str>,
    misconfigured: &[String],
) -> Value {
    let Some(summary) = summary else {
        return Value::Null;
    };
    let wanted = |alert: &&OpenAlert| {
        scope.is_none_or(|scope| scope == alert.scope)
            && dataset.is_none_or(|dataset| dataset == alert.dataset)
    };
    let open: Vec<Value> = summary
        .open
        .iter()
        .filter(wanted)
        .map(|alert| {
            json!({
                "alert_type": alert.alert_type,
                "alert_correlation_id": alert.correlation_id,
                "severity": alert.severity,
                "scope": alert.scope,
                "dataset": alert.dataset,
                "job_id": alert.job_id,
                "since": time::rfc3339_millis(alert.since_millis),
                "text": alert.text,
            })
        })
        .collect();
    json!({
        "open": open,
        "open_count": summary.open_count,
        "deliveries": {
            "pending": summary.pending,
            "oldest_pending_at": summary.oldest_pending_millis.map(time::rfc3339_millis),
            "delivered": summary.delivered,
            "failed_attempts": summary.failed_attempts,
            "undelivered": summary.undelivered,
            "last_error": summary.last_error.as_ref().map(|error| &error.text),
            "last_error_at": summary.last_error.as_ref().map(|error| time::rfc3339_millis(error.at_millis)),
        },
        "misconfigured": misconfigured,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_alerts_are_shown_for_the_scope_and_dataset_that_were_asked_for() {
        let alert = |scope: &str, dataset: &str| OpenAlert {
            alert_type: "logpush_dataset_silent_alert".into(),
            correlation_id: "c".into(),
            severity: "critical".into(),
            scope: scope.into(),
            dataset: dataset.into(),
            job_id: None,
            since_millis: 0,
            text: "t".into(),
        };
        let summary = AlertsSummary {
            open: vec![
                alert("zones/a", "x"),
                alert("zones/b", "x"),
                alert("zones/b", "y"),
            ],
            open_count: 3,
            pending: 1,
            last_error: Some(DeliveryError {
                text: "webhook w: error 500".into(),
                at_millis: 1_000,
            }),
            ..AlertsSummary::default()
        };
        let open = |scope, dataset| {
            let value = member(Some(&summary), scope, dataset, &[]);
            assert_eq!(value["open_count"], 3);
            assert_eq!(value["deliveries"]["last_error_at"], "1970-01-01T00:00:01Z");
            value["open"].as_array().map_or(0, Vec::len)
        };
        assert_eq!(open(None, None), 3);
        assert_eq!(open(Some("zones/b"), None), 2);
        assert_eq!(open(Some("zones/b"), Some("x")), 1);
        assert_eq!(open(None, Some("z")), 0);
        assert_eq!(member(None, None, None, &[]), Value::Null);
    }
}
