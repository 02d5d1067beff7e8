//! An occurrence in the form of each channel.

use super::{AlertEvent, Occurrence, Policy, WebhookKind};
use serde_json::json;

/// What is posted to a webhook when it is made or changed: Cloudflare's own text, because receivers know it.
pub const TEST_MESSAGE: &str = r#"{"text":"Hello World! This is a test message sent from https://cloudflare.com. If you can see this, your webhook is configured properly."}"#;

/// Most characters of a subject line: what mail programs show (RFC 5322, 2.1.1 advises 78).
const SUBJECT_MAX_CHARS: usize = 120;

/// The body that is posted to a webhook.
#[must_use]
pub fn webhook_body(kind: WebhookKind, policy: &Policy, occurrence: &Occurrence) -> String {
    match kind {
        WebhookKind::Generic => json!({
            "name": policy.name,
            "text": occurrence.text(),
            "data": occurrence.data(&policy.account),
            "ts": occurrence.at_millis / 1_000,
            "account_id": policy.account,
            "policy_id": policy.id,
            "policy_name": policy.name,
            "alert_type": occurrence.alert_type,
            "alert_correlation_id": occurrence.correlation_id,
            "alert_event": occurrence.event,
        })
        .to_string(),
        WebhookKind::Slack => {
            let text = format!(
                "*{}* ({})\n{}",
                slack(&policy.name),
                headline(occurrence),
                slack(&occurrence.text())
            );
            json!({"text": text}).to_string()
        }
    }
}

/// Slack's three characters of control (its "Formatting text" page).
fn slack(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn headline(occurrence: &Occurrence) -> String {
    let name = occurrence.alert_type.display_name();
    match occurrence.event {
        AlertEvent::Start => format!("{name}, {}", occurrence.severity.as_str()),
        AlertEvent::End => format!("{name}, over"),
    }
}

/// A mail, without its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    /// The subject line.
    pub subject: String,
    /// Plain text.
    pub text: String,
}

/// The mail that tells it.
#[must_use]
pub fn email(policy: &Policy, occurrence: &Occurrence) -> Email {
    let text = occurrence.text();
    let first = text.lines().next().unwrap_or_default();
    let subject = format!("[{}] {first}", headline(occurrence));
    let subject: String = subject
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(SUBJECT_MAX_CHARS)
        .collect();
    let text = format!(
        "{text}\n\nPolicy: {} ({})\nAlert: {}, {}\n",
        policy.name, policy.id, occurrence.alert_type, occurrence.correlation_id
    );
    Email { subject, text }
}
