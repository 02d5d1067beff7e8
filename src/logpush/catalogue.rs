//! The datasets and their fields, as data: one file a dataset, read when somebody asks for it. Fields come and go every
//! week, so nothing but these files knows them; a dataset that has no file has an open schema.

use super::scope::ScopeKind;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Names without `.json`; a file for one scope only is called `<dataset>.<scope>`.
const FILES: &[(&str, &str)] = &[
    (
        "access_requests",
        include_str!("datasets/access_requests.json"),
    ),
    (
        "account_abuse_protection_events",
        include_str!("datasets/account_abuse_protection_events.json"),
    ),
    ("audit_logs", include_str!("datasets/audit_logs.json")),
    ("audit_logs_v2", include_str!("datasets/audit_logs_v2.json")),
    (
        "biso_user_actions",
        include_str!("datasets/biso_user_actions.json"),
    ),
    ("casb_findings", include_str!("datasets/casb_findings.json")),
    (
        "device_posture_results",
        include_str!("datasets/device_posture_results.json"),
    ),
    (
        "dex_application_tests",
        include_str!("datasets/dex_application_tests.json"),
    ),
    (
        "dex_device_state_events",
        include_str!("datasets/dex_device_state_events.json"),
    ),
    (
        "dlp_forensic_copies",
        include_str!("datasets/dlp_forensic_copies.json"),
    ),
    (
        "dns_firewall_logs",
        include_str!("datasets/dns_firewall_logs.json"),
    ),
    ("dns_logs", include_str!("datasets/dns_logs.json")),
    (
        "email_security_alerts",
        include_str!("datasets/email_security_alerts.json"),
    ),
    (
        "email_security_post_delivery_events",
        include_str!("datasets/email_security_post_delivery_events.json"),
    ),
    (
        "firewall_events",
        include_str!("datasets/firewall_events.json"),
    ),
    ("gateway_dns", include_str!("datasets/gateway_dns.json")),
    ("gateway_http", include_str!("datasets/gateway_http.json")),
    (
        "gateway_network",
        include_str!("datasets/gateway_network.json"),
    ),
    ("http_requests", include_str!("datasets/http_requests.json")),
    ("ipsec_logs", include_str!("datasets/ipsec_logs.json")),
    (
        "magic_bgp_logs",
        include_str!("datasets/magic_bgp_logs.json"),
    ),
    (
        "magic_ids_detections",
        include_str!("datasets/magic_ids_detections.json"),
    ),
    (
        "mcp_portal_logs",
        include_str!("datasets/mcp_portal_logs.json"),
    ),
    ("mnm_flow_logs", include_str!("datasets/mnm_flow_logs.json")),
    ("nel_reports", include_str!("datasets/nel_reports.json")),
    (
        "network_analytics_logs",
        include_str!("datasets/network_analytics_logs.json"),
    ),
    (
        "page_shield_events",
        include_str!("datasets/page_shield_events.json"),
    ),
    (
        "sinkhole_http_logs",
        include_str!("datasets/sinkhole_http_logs.json"),
    ),
    (
        "spectrum_events",
        include_str!("datasets/spectrum_events.json"),
    ),
    ("ssh_logs", include_str!("datasets/ssh_logs.json")),
    (
        "turnstile_events",
        include_str!("datasets/turnstile_events.json"),
    ),
    (
        "warp_config_changes",
        include_str!("datasets/warp_config_changes.json"),
    ),
    (
        "warp_toggle_changes",
        include_str!("datasets/warp_toggle_changes.json"),
    ),
    (
        "websocket_analytics.account",
        include_str!("datasets/websocket_analytics.account.json"),
    ),
    (
        "websocket_analytics",
        include_str!("datasets/websocket_analytics.json"),
    ),
    (
        "workers_trace_events",
        include_str!("datasets/workers_trace_events.json"),
    ),
    ("zaraz_events", include_str!("datasets/zaraz_events.json")),
    (
        "zero_trust_network_sessions",
        include_str!("datasets/zero_trust_network_sessions.json"),
    ),
];

/// Where the time of a record may stand when the dataset is not in the catalogue: the time fields of those that are.
pub const TIMESTAMP_CANDIDATES: &[&str] = &[
    "EdgeStartTimestamp",
    "Datetime",
    "Timestamp",
    "CreatedAt",
    "When",
    "ActionTimestamp",
    "DetectedTimestamp",
    "CompletedAt",
    "EventTimestamp",
    "timestampStartNanos",
    "EventTimestampMs",
    "TimestampStart",
    "SessionStartTime",
];

/// The type of a field, as Logpush documents it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum FieldType {
    /// `string`
    #[serde(rename = "string")]
    String,
    /// `int`
    #[serde(rename = "int")]
    Int,
    /// `float`
    #[serde(rename = "float")]
    Float,
    /// `bool`
    #[serde(rename = "bool")]
    Bool,
    /// `object`
    #[serde(rename = "object")]
    Object,
    /// `array[string]`
    #[serde(rename = "array[string]")]
    ArrayString,
    /// `array[int]`
    #[serde(rename = "array[int]")]
    ArrayInt,
    /// `array[object]`
    #[serde(rename = "array[object]")]
    ArrayObject,
    /// `int or string`: a time, whose JSON type follows `timestamp_format`.
    #[serde(rename = "int or string")]
    Timestamp,
}

impl FieldType {
    /// Logpush's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Int => "int",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::Object => "object",
            Self::ArrayString => "array[string]",
            Self::ArrayInt => "array[int]",
            Self::ArrayObject => "array[object]",
            Self::Timestamp => "int or string",
        }
    }
}

/// One field.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Field {
    /// Its type.
    #[serde(rename = "type")]
    pub field_type: FieldType,
    /// What it holds.
    #[serde(default)]
    pub description: String,
    /// Logpush no longer fills it.
    #[serde(default)]
    pub deprecated: bool,
}

/// One dataset.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Dataset {
    /// Its name.
    #[serde(rename = "dataset")]
    pub name: String,
    /// The field that holds the record's time.
    #[serde(default)]
    pub timestamp_field: Option<String>,
    /// By name, in byte order, as Logpush lists them.
    pub fields: BTreeMap<String, Field>,
    /// Fields that only come when they are asked for.
    #[serde(default)]
    optional_fields: BTreeMap<String, Field>,
}

impl Dataset {
    /// The dataset of that name. One that the catalogue knows for the other scope only is found as well: Logpush opens
    /// datasets to new scopes.
    #[must_use]
    pub fn find(scope: ScopeKind, name: &str) -> Option<Self> {
        let suffix = match scope {
            ScopeKind::Zone => "zone",
            ScopeKind::Account => "account",
        };
        let text = file(&format!("{name}.{suffix}")).or_else(|| file(name))?;
        // The files are compiled in and a test reads all of them, so this is never `None` for an existing file.
        let mut dataset: Self = serde_json::from_str(text).ok()?;
        dataset.fields.append(&mut dataset.optional_fields);
        Some(dataset)
    }

    /// The known field that `name` most probably means.
    #[must_use]
    pub fn nearest_field(&self, name: &str) -> Option<&str> {
        let wanted = name.to_ascii_lowercase();
        self.fields
            .keys()
            .map(|known| (edit_distance(&wanted, &known.to_ascii_lowercase()), known))
            .min()
            .filter(|(distance, _)| *distance * 3 <= wanted.len())
            .map(|(_, known)| known.as_str())
    }
}

/// The names of all datasets, in byte order.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !name.contains('.'))
}

fn file(name: &str) -> Option<&'static str> {
    FILES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
}

/// Levenshtein's distance, in one row.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let best = (diagonal + usize::from(x != y))
                .min(*cell + 1)
                .min(left + 1);
            diagonal = *cell;
            *cell = best;
            left = best;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_lists_every_file_and_every_file_can_be_read() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/logpush/datasets");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let listed: Vec<String> = FILES
            .iter()
            .map(|(name, _)| format!("{name}.json"))
            .collect();
        assert_eq!(listed, files);
        for name in names() {
            let dataset = Dataset::find(ScopeKind::Zone, name).unwrap();
            assert_eq!(dataset.name, name);
            let time = dataset.timestamp_field.as_deref().unwrap();
            assert!(dataset.fields.contains_key(time), "{name}: {time}");
            assert!(TIMESTAMP_CANDIDATES.contains(&time), "{name}: {time}");
        }
    }

    #[test]
    fn a_dataset_may_differ_between_the_scopes() {
        let zone = Dataset::find(ScopeKind::Zone, "websocket_analytics").unwrap();
        let account = Dataset::find(ScopeKind::Account, "websocket_analytics").unwrap();
        assert_ne!(zone.timestamp_field, account.timestamp_field);
        assert!(Dataset::find(ScopeKind::Account, "http_requests").is_some());
        assert!(Dataset::find(ScopeKind::Zone, "next_weeks_dataset").is_none());
        assert!(Dataset::find(ScopeKind::Zone, "../Cargo").is_none());
    }

    #[test]
    fn a_misspelt_field_is_recognised() {
        let dataset = Dataset::find(ScopeKind::Zone, "http_requests").unwrap();
        assert_eq!(
            dataset.nearest_field("edgeresponsestatus"),
            Some("EdgeResponseStatus")
        );
        assert_eq!(
            dataset.nearest_field("EdgeResponceStatus"),
            Some("EdgeResponseStatus")
        );
        assert_eq!(dataset.nearest_field("Zzzzzzzzzz"), None);
    }
}
