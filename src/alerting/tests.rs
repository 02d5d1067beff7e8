//! Policies, webhooks and payloads.

use super::*;
use crate::logpush::destination_conf::REDACTED;
use serde_json::{Value, json};

const NOW: &str = "2026-07-01T10:00:00Z";
const SINCE: u64 = 1_782_900_000_000;

fn job() -> Subject {
    Subject::Job(JobFacts {
        id: 7,
        name: Some("siem <eu>".into()),
        scope: "zones/z1".into(),
        dataset: "http_requests".into(),
        destination_conf: "https://siem.example.com/in?header_Authorization=REDACTED".into(),
        last_complete: Some("2026-07-01T09:54:00Z".into()),
        last_error: Some("2026-07-01T09:59:59Z".into()),
        error_message: Some(
            "error 503: error pushing: error uploading to https: status:503".into(),
        ),
        failing_since: Some("2026-07-01T09:55:00Z".into()),
        backlog_records: 1_200,
        backlog_bytes: 90_000,
        backlog_oldest: Some("2026-07-01T09:55:00Z".into()),
        stopped: None,
    })
}

fn raised(alert_type: AlertType, event: AlertEvent, severity: Severity) -> Occurrence {
    let subject = if alert_type.is_about_job() {
        job()
    } else {
        Subject::Dataset(DatasetFacts {
            scope: "accounts/a1".into(),
            dataset: "gateway_dns".into(),
            last_batch_millis: Some(SINCE),
            usual_interval_millis: Some(60_000),
            invalid_lines: 30,
            records: 970,
            window_millis: 900_000,
        })
    };
    Occurrence::new(alert_type, event, severity, SINCE, SINCE + 330_000, subject)
}

fn policy(body: Value) -> Result<Policy, InputError> {
    PolicyInput::from_json(&body)?.into_new("p".into(), "acc".into(), NOW)
}

fn complete() -> Value {
    json!({"name": "on call", "alert_type": "logpush_job_failing_alert", "mechanisms": {"webhooks": [{"id": "w"}]}})
}

fn with(member: &str, value: Value) -> Value {
    let mut body = complete();
    body[member] = value;
    body
}

#[test]
fn names_of_alerts_are_one_to_one_and_documented() {
    let documented = include_str!("../../docs/alerts.md");
    for kind in AlertType::ALL {
        assert_eq!(AlertType::from_name(kind.as_str()), Some(kind));
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        assert!(
            documented.contains(&format!("| `{kind}` |")),
            "docs/alerts.md lacks {kind}"
        );
        assert!(!kind.description().is_empty() && !kind.display_name().is_empty());
    }
    assert_eq!(AlertType::from_name("dos_attack_l7"), None);
}

#[test]
fn an_occurrence_has_the_same_ids_however_often_it_is_raised() {
    let raise = |event, severity, at| {
        Occurrence::new(AlertType::JobFailing, event, severity, SINCE, at, job())
    };
    let warning = raise(AlertEvent::Start, Severity::Warning, SINCE + 1);
    let again = raise(AlertEvent::Start, Severity::Warning, SINCE + 99);
    let critical = raise(AlertEvent::Start, Severity::Critical, SINCE + 2);
    let end = raise(AlertEvent::End, Severity::Critical, SINCE + 3);
    let end_again = raise(AlertEvent::End, Severity::Warning, SINCE + 4);
    assert_eq!(warning.id, again.id);
    assert_eq!(end.id, end_again.id);
    for other in [&critical, &end] {
        assert_eq!(warning.correlation_id, other.correlation_id);
        assert_ne!(warning.id, other.id);
    }
    let later = Occurrence::new(
        AlertType::JobFailing,
        AlertEvent::Start,
        Severity::Warning,
        SINCE + 1,
        SINCE + 2,
        job(),
    );
    let parked = raised(AlertType::JobParked, AlertEvent::Start, Severity::Warning);
    for other in [later, parked] {
        assert_ne!(warning.correlation_id, other.correlation_id);
    }
    assert!(
        warning.correlation_id.len() == 32
            && warning
                .correlation_id
                .bytes()
                .all(|b| b.is_ascii_hexdigit())
    );
}

#[test]
fn the_stored_form_of_an_occurrence_has_not_changed() {
    let occurrence = raised(
        AlertType::DatasetSilent,
        AlertEvent::Start,
        Severity::Critical,
    );
    let text = serde_json::to_string(&occurrence).unwrap();
    let expected = format!(
        r#"{{"id":"{0}-critical","correlation_id":"{0}","alert_type":"logpush_dataset_silent_alert","event":"ALERT_STATE_EVENT_START","severity":"critical","since_millis":1782900000000,"at_millis":1782900330000,"subject":{{"dataset":{{"scope":"accounts/a1","dataset":"gateway_dns","last_batch_millis":1782900000000,"usual_interval_millis":60000,"invalid_lines":30,"records":970,"window_millis":900000}}}}}}"#,
        occurrence.correlation_id
    );
    assert_eq!(text, expected);
    assert_eq!(
        serde_json::from_str::<Occurrence>(&text).unwrap(),
        occurrence
    );
    assert_eq!(
        occurrence.correlation_id,
        "d05a2ec4d189807157867cb7baadaeba"
    );
}

#[test]
fn every_text_says_what_happened_since_when_and_what_to_do() {
    for kind in AlertType::ALL {
        let start = raised(kind, AlertEvent::Start, Severity::Critical).text();
        let end = raised(kind, AlertEvent::End, Severity::Critical).text();
        assert!(start.contains("\nNext: "), "{start}");
        assert!(
            start.contains("5 min 30 s")
                || start.contains("15 min")
                || start.contains("received at"),
            "{start}"
        );
        assert!(!end.contains("\nNext: "), "{end}");
        assert_ne!(start, end);
        for text in [&start, &end] {
            assert!(text.contains("z1") || text.contains("a1"), "{text}");
        }
    }
    let text = raised(AlertType::JobFailing, AlertEvent::Start, Severity::Warning).text();
    assert_eq!(
        text,
        "Logpush job 7 \"siem <eu>\" (http_requests, zones/z1) is failing since 2026-07-01T10:00:00Z (5 min 30 s).\n\
         Last error: error 503: error pushing: error uploading to https: status:503\n\
         Waiting: 1200 records, 90000 bytes. Nothing is lost.\n\
         Destination: https://siem.example.com/in?header_Authorization=REDACTED\n\
         Next: Look at the destination. Pushes are tried again by themselves; without a success for 24 h the job is disabled."
    );
}

#[test]
fn the_generic_payload_is_cloudflares() {
    let occurrence = raised(
        AlertType::JobDisabled,
        AlertEvent::Start,
        Severity::Critical,
    );
    let policy = policy(complete()).unwrap();
    let body: Value =
        serde_json::from_str(&webhook_body(WebhookKind::Generic, &policy, &occurrence)).unwrap();
    let expected = json!({
        "name": "on call",
        "text": occurrence.text(),
        "data": {
            "account_name": "acc", "account_tag": "acc", "zone_name": "z1", "zone_tag": "z1", "severity": "critical",
            "since": "2026-07-01T10:00:00Z", "dataset": "http_requests", "job_id": 7, "job_name": "siem <eu>",
            "destination_conf": "https://siem.example.com/in?header_Authorization=REDACTED",
            "last_complete": "2026-07-01T09:54:00Z", "last_error": "2026-07-01T09:59:59Z",
            "error_message": "error 503: error pushing: error uploading to https: status:503",
            "failing_since": "2026-07-01T09:55:00Z", "backlog_records": 1200, "backlog_bytes": 90000,
            "backlog_oldest": "2026-07-01T09:55:00Z",
        },
        "ts": 1_782_900_330,
        "account_id": "acc",
        "policy_id": "p",
        "policy_name": "on call",
        "alert_type": "failing_logpush_job_disabled_alert",
        "alert_correlation_id": occurrence.correlation_id,
        "alert_event": "ALERT_STATE_EVENT_START",
    });
    assert_eq!(body, expected);
    let silent = raised(
        AlertType::DatasetSilent,
        AlertEvent::End,
        Severity::Critical,
    )
    .data("acc");
    let expected = json!({
        "account_name": "acc", "account_tag": "acc", "severity": "critical", "since": "2026-07-01T10:00:00Z",
        "dataset": "gateway_dns", "last_batch": "2026-07-01T10:00:00Z", "usual_interval_seconds": 60,
        "invalid_lines": 30, "records": 970, "window_seconds": 900,
    });
    assert_eq!(silent, expected);
}

#[test]
fn slack_and_mail_get_plain_text_that_can_not_break_their_form() {
    let occurrence = raised(AlertType::JobFailing, AlertEvent::Start, Severity::Warning);
    let policy = policy(with("name", json!("a & <b>"))).unwrap();
    let body: Value =
        serde_json::from_str(&webhook_body(WebhookKind::Slack, &policy, &occurrence)).unwrap();
    let text = body["text"].as_str().unwrap();
    assert!(
        text.starts_with(
            "*a &amp; &lt;b&gt;* (Logpush Job Failing, warning)\nLogpush job 7 \"siem &lt;eu&gt;\""
        ),
        "{text}"
    );
    assert_eq!(body.as_object().unwrap().len(), 1);
    let mail = email(&policy, &occurrence);
    assert!(
        mail.subject
            .starts_with("[Logpush Job Failing, warning] Logpush job 7"),
        "{}",
        mail.subject
    );
    assert!(mail.subject.chars().count() <= 120 && !mail.subject.contains('\n'));
    assert!(
        mail.text.contains(&occurrence.text()) && mail.text.contains(&occurrence.correlation_id)
    );
}

#[test]
fn a_policy_is_read_changed_member_by_member_and_shown() {
    let made = policy(json!({
        "name": "on call", "alert_type": "logpush_job_failing_alert", "enabled": false, "description": "d",
        "mechanisms": {"email": [{"id": " a@example.com "}], "webhooks": [{"id": "w"}, {"id": "w"}], "pagerduty": []},
        "filters": {"zones": ["z1"], "job_id": [7], "severity": ["critical"]}, "alert_interval": "30m",
    }))
    .unwrap();
    let shown = json!({
        "id": "p", "name": "on call", "description": "d", "enabled": false, "alert_type": "logpush_job_failing_alert",
        "mechanisms": {"email": [{"id": "a@example.com"}], "webhooks": [{"id": "w"}], "pagerduty": []},
        "filters": {"zones": ["z1"], "job_id": ["7"], "severity": ["critical"]}, "alert_interval": "30m",
        "created": NOW, "modified": NOW,
    });
    assert_eq!(made.to_api(), shown);
    let stored = serde_json::to_string(&made).unwrap();
    assert_eq!(serde_json::from_str::<Policy>(&stored).unwrap(), made);
    let change = |body: Value| {
        PolicyInput::from_json(&body)
            .unwrap()
            .apply_to(made.clone(), "later")
            .unwrap()
    };
    assert_eq!(
        change(json!({})),
        Policy {
            modified: "later".into(),
            ..made.clone()
        }
    );
    let renamed =
        change(json!({"name": "n", "enabled": true, "alert_interval": null, "filters": {}}));
    assert_eq!(
        (
            renamed.name.as_str(),
            renamed.enabled,
            &renamed.alert_interval
        ),
        ("n", true, &None)
    );
    assert_eq!(
        (renamed.filters, renamed.mechanisms),
        (PolicyFilters::default(), made.mechanisms.clone())
    );
    assert!(policy(complete()).unwrap().enabled);
}

#[test]
fn a_policy_that_is_wrong_is_refused_with_the_member_at_fault() {
    let table = [
        (json!([]), "body: must be a JSON object"),
        (
            json!({"alert_type": "logpush_job_failing_alert"}),
            "name: is required",
        ),
        (json!({"name": "n"}), "alert_type: is required"),
        (with("name", json!(" ")), "name: is required"),
        (with("name", json!(7)), "name: must be a string"),
        (
            with("name", json!("a\nb")),
            "name: must not hold line breaks or control characters",
        ),
        (
            with("name", json!("x".repeat(513))),
            "name: must have at most 512 characters",
        ),
        (
            with("enabled", json!("yes")),
            "enabled: must be true or false",
        ),
        (
            with("alert_type", json!("dos_attack_l7")),
            "alert_type: is not offered; there are failing_logpush_job_disabled_alert, logpush_job_failing_alert, logpush_job_parked_alert, logpush_job_backlog_alert, logpush_dataset_silent_alert, logpush_invalid_lines_alert",
        ),
        (
            with("alert_interval", json!("soon")),
            "alert_interval: must be a duration such as 30m or 1h30m",
        ),
        (
            with("mechanisms", json!({})),
            "mechanisms: name a webhook or an e-mail address to tell",
        ),
        (
            with("mechanisms", json!([])),
            "mechanisms: must be an object",
        ),
        (
            with("mechanisms", json!({"webhooks": "w"})),
            "mechanisms.webhooks: must be a list of {\"id\": …}",
        ),
        (
            with("mechanisms", json!({"webhooks": ["w"]})),
            "mechanisms.webhooks: every entry needs an id",
        ),
        (
            with("mechanisms", json!({"sms": []})),
            "mechanisms.sms: is not offered; there are email and webhooks",
        ),
        (
            with("mechanisms", json!({"pagerduty": [{"id": "x"}]})),
            "mechanisms.pagerduty: PagerDuty is not offered; use a webhook of an integration there, or its e-mail address",
        ),
        (
            with(
                "mechanisms",
                json!({"email": [{"id": "a@example.com"}, {"id": "b"}]}),
            ),
            "mechanisms.email: entry 2 is no e-mail address",
        ),
        (
            with(
                "mechanisms",
                json!({"email": [{"id": "a@example.com\r\nBcc: c@example.com"}]}),
            ),
            "mechanisms.email: entry 1 is no e-mail address",
        ),
        (
            with("filters", json!({"slo": ["x"]})),
            "filters.slo: is not offered; there are zones, dataset, job_id and severity",
        ),
        (
            with("filters", json!({"zones": "z"})),
            "filters.zones: must be a list of at most 100 strings",
        ),
        (
            with("filters", json!({"severity": ["bad"]})),
            "filters.severity: there are warning and critical",
        ),
    ];
    for (body, text) in table {
        assert_eq!(policy(body).unwrap_err().to_string(), text);
    }
    let mut silent = with("filters", json!({"job_id": ["7"]}));
    silent["alert_type"] = json!("logpush_dataset_silent_alert");
    assert_eq!(
        policy(silent).unwrap_err().to_string(),
        "filters.job_id: logpush_dataset_silent_alert is about no job"
    );
    let many: Vec<Value> = (0..21).map(|n| json!({"id": n.to_string()})).collect();
    assert_eq!(
        policy(with("mechanisms", json!({"webhooks": many})))
            .unwrap_err()
            .to_string(),
        "mechanisms: at most 20"
    );
}

#[test]
fn a_policy_wants_what_its_kind_and_filters_say() {
    let failing = raised(AlertType::JobFailing, AlertEvent::Start, Severity::Warning);
    let table = [
        (json!({}), true),
        (json!({"enabled": false}), false),
        (json!({"alert_type": "logpush_job_parked_alert"}), false),
        (json!({"filters": {"zones": ["z1", "z2"]}}), true),
        (json!({"filters": {"zones": ["z2"]}}), false),
        (
            json!({"filters": {"dataset": ["http_requests"], "job_id": ["7"]}}),
            true,
        ),
        (
            json!({"filters": {"dataset": ["dns_logs"], "job_id": ["7"]}}),
            false,
        ),
        (json!({"filters": {"job_id": ["8"]}}), false),
        (json!({"filters": {"severity": ["critical"]}}), false),
        (json!({"filters": {"severity": ["warning"]}}), true),
    ];
    for (change, expected) in table {
        let input = PolicyInput::from_json(&change).unwrap();
        let policy = input.apply_to(policy(complete()).unwrap(), NOW).unwrap();
        assert_eq!(policy.wants(&failing), expected, "{change}");
        let end = Occurrence {
            event: AlertEvent::End,
            ..failing.clone()
        };
        assert!(!policy.wants(&end), "an end goes where its beginning went");
    }
    let mut account = complete();
    account["alert_type"] = json!("logpush_dataset_silent_alert");
    account["filters"] = json!({"zones": ["a1"]});
    let silent = raised(
        AlertType::DatasetSilent,
        AlertEvent::Start,
        Severity::Critical,
    );
    assert!(
        !policy(account).unwrap().wants(&silent),
        "a1 is an account and no zone"
    );
}

#[test]
fn alerts_about_the_same_keep_their_distance_and_a_disabled_job_is_told_once_in_24_hours() {
    let hour = 3_600_000;
    let make = |kind: &str, interval: Value| {
        let mut body = with("alert_interval", interval);
        body["alert_type"] = json!(kind);
        policy(body).unwrap()
    };
    let failing = "logpush_job_failing_alert";
    let disabled = "failing_logpush_job_disabled_alert";
    let table = [
        (make(failing, Value::Null), 0, true),
        (make(failing, json!("30m")), hour / 2 - 1, false),
        (make(failing, json!("30m")), hour / 2, true),
        (make(disabled, Value::Null), 24 * hour - 1, false),
        (make(disabled, Value::Null), 24 * hour, true),
        (make(disabled, json!("1h")), 2 * hour, false),
        (make(disabled, json!("48h")), 25 * hour, false),
    ];
    for (policy, passed, expected) in table {
        assert_eq!(
            policy.may_repeat(Some(SINCE), SINCE + passed),
            expected,
            "{policy:?} {passed}"
        );
        assert!(policy.may_repeat(None, SINCE));
    }
    let warning = raised(AlertType::JobFailing, AlertEvent::Start, Severity::Warning);
    let critical = raised(AlertType::JobFailing, AlertEvent::Start, Severity::Critical);
    assert_ne!(warning.repeat_key(), critical.repeat_key());
}

fn webhook(body: Value, allow_private: bool) -> Result<Webhook, InputError> {
    WebhookInput::from_json(&body)?.into_new("w".into(), "acc".into(), NOW, allow_private)
}

#[test]
fn a_webhook_is_generic_or_slack_by_its_host_unless_it_says_which() {
    let table = [
        (
            json!({"name": "n", "url": "https://hooks.example.com/x"}),
            WebhookKind::Generic,
        ),
        (
            json!({"name": "n", "url": "https://hooks.slack.com/services/T/B/x"}),
            WebhookKind::Slack,
        ),
        (
            json!({"name": "n", "url": "https://chat.example.com/hooks/x", "type": "slack"}),
            WebhookKind::Slack,
        ),
        (
            json!({"name": "n", "url": "https://hooks.slack.com/x", "type": "generic"}),
            WebhookKind::Generic,
        ),
    ];
    for (body, kind) in table {
        assert_eq!(webhook(body, false).unwrap().kind, kind);
    }
}

#[test]
fn a_webhook_that_is_wrong_is_refused_without_repeating_its_secret() {
    let table = [
        (
            json!({"url": "https://hooks.example.com/x"}),
            "name: is required",
        ),
        (json!({"name": "n"}), "url: is required"),
        (
            json!({"name": "n", "url": "hooks.example.com"}),
            "url: must begin with https:// or http://",
        ),
        (
            json!({"name": "n", "url": "splunk://hooks.example.com/services/collector/raw"}),
            "url: must begin with https:// or http://",
        ),
        (
            json!({"name": "n", "url": "https://hooks.example.com:8443/"}),
            "url: the port must be 80 or 443",
        ),
        (
            json!({"name": "n", "url": "https://127.0.0.1/"}),
            "url: the host is private",
        ),
        (
            json!({"name": "n", "url": "http://169.254.169.254/latest"}),
            "url: the host is private",
        ),
        (
            json!({"name": "n", "url": "https://u:hunter2@hooks.example.com/"}),
            "url: ",
        ),
        (
            json!({"name": "n", "url": "https://hooks.example.com/x#y"}),
            "url: ",
        ),
        (
            json!({"name": "n", "url": "https://hooks.example.com/", "type": "discord"}),
            "type: is not offered; there are generic and slack",
        ),
        (
            json!({"name": "n", "url": "https://hooks.example.com/", "secret": "hunter2ä"}),
            "secret: ",
        ),
        (
            json!({"name": "n", "url": "https://hooks.example.com/", "secret": "${secret:API_TOKEN}"}),
            "secret: ",
        ),
        (
            json!({"name": "n", "url": "https://hooks.example.com/", "secret": "${secret:hunter2"}),
            "secret: ",
        ),
        (
            json!({"name": "n", "url": "https://hooks.example.com/?k=${secret:READ_TOKEN}"}),
            "url: ",
        ),
        (
            json!({"name": "n", "url": "https://hooks.example.com/", "secret": 7}),
            "secret: must be a string",
        ),
    ];
    for (body, text) in table {
        let error = webhook(body.clone(), false).unwrap_err().to_string();
        assert!(error.starts_with(text), "{body}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    for url in ["http://127.0.0.1:8080/hook", "https://localhost/hook"] {
        assert!(
            webhook(json!({"name": "n", "url": url}), true).is_ok(),
            "{url}"
        );
    }
}

#[test]
fn a_webhook_posts_to_its_url_with_its_secret_in_cf_webhook_auth() {
    let lookup = |name: &str| (name == "HOOK").then(|| "s3cr3t value/+&=%".to_owned());
    let table = [
        (
            "https://hooks.example.com/in",
            None,
            "https://hooks.example.com/in",
            None,
        ),
        (
            "http://hooks.example.com/in?a=b",
            Some("plain %41+&=?#"),
            "http://hooks.example.com/in?a=b",
            Some("plain %41+&=?#"),
        ),
        (
            "https://hooks.example.com/in",
            Some("${secret:HOOK}"),
            "https://hooks.example.com/in",
            Some("s3cr3t value/+&=%"),
        ),
        (
            "https://hooks.example.com/in?k=${secret:HOOK}",
            None,
            "https://hooks.example.com/in?k=s3cr3t%20value%2F%2B%26%3D%25",
            None,
        ),
    ];
    for (url, secret, expected, header) in table {
        let made = webhook(json!({"name": "n", "url": url, "secret": secret}), false).unwrap();
        let target = made.target(false, lookup).unwrap();
        assert_eq!(target.url, expected);
        let headers: Vec<(String, String)> = header
            .map(|value| ("cf-webhook-auth".to_owned(), value.to_owned()))
            .into_iter()
            .collect();
        assert_eq!(target.headers, headers);
        for shown in [
            format!("{made:?}"),
            format!("{target:?}")
                .split("headers")
                .next()
                .unwrap()
                .to_owned(),
        ] {
            assert!(!shown.contains("s3cr3t value"), "{shown}");
        }
        let shown = target.redact(&format!("no: {}", header.unwrap_or("x")));
        assert!(!shown.contains("s3cr3t"), "{shown}");
    }
    let missing = webhook(
        json!({"name": "n", "url": "https://hooks.example.com/", "secret": "${secret:NONE}"}),
        false,
    )
    .unwrap();
    assert!(
        missing
            .target(false, lookup)
            .unwrap_err()
            .to_string()
            .contains("NONE")
    );
    let slack = webhook(
        json!({"name": "n", "url": "https://hooks.slack.com/services/T/B/hunter2", "secret": "x"}),
        false,
    )
    .unwrap();
    let target = slack.target(false, lookup).unwrap();
    assert_eq!(target.headers, []);
    assert_eq!(
        target.redact("at /services/T/B/hunter2"),
        format!("at {REDACTED}")
    );
}

#[test]
fn a_webhook_is_shown_without_its_secret_and_to_a_reader_without_credentials_in_its_url() {
    let made = webhook(json!({"name": "n", "url": "https://hooks.example.com/in?token=hunter2", "secret": "hunter3"}), false).unwrap();
    let full = json!({"id": "w", "name": "n", "type": "generic", "url": "https://hooks.example.com/in?token=hunter2", "created_at": NOW});
    assert_eq!(made.to_api(false), full);
    let masked = made.to_api(true);
    assert_eq!(
        masked["url"],
        format!("https://hooks.example.com/in?token={REDACTED}")
    );
    let slack = webhook(
        json!({"name": "n", "url": "https://hooks.slack.com/services/T/B/hunter2"}),
        false,
    )
    .unwrap();
    assert_eq!(
        slack.to_api(true)["url"],
        format!("https://hooks.slack.com/{REDACTED}")
    );
    let stored = serde_json::to_string(&made).unwrap();
    assert_eq!(serde_json::from_str::<Webhook>(&stored).unwrap(), made);
}

#[test]
fn a_secret_stays_until_it_is_changed_and_does_not_follow_the_url_to_another_host() {
    let made = webhook(
        json!({"name": "n", "url": "https://hooks.example.com/in", "secret": "hunter2"}),
        false,
    )
    .unwrap();
    let change = |body: Value| {
        WebhookInput::from_json(&body)
            .unwrap()
            .apply_to(made.clone(), false)
    };
    let kept = Some("hunter2".to_owned());
    assert_eq!(change(json!({"name": "m"})).unwrap().secret, kept);
    assert_eq!(
        change(json!({"url": "https://hooks.example.com/other"}))
            .unwrap()
            .secret,
        kept
    );
    for body in [
        json!({"secret": null}),
        json!({"secret": ""}),
        json!({"url": "https://other.example.com/", "secret": null}),
    ] {
        assert_eq!(change(body).unwrap().secret, None);
    }
    for url in [
        "https://other.example.com/in",
        "http://hooks.example.com/in",
    ] {
        let error = change(json!({"url": url})).unwrap_err().to_string();
        assert!(error.starts_with("secret: send it again"), "{error}");
    }
}
