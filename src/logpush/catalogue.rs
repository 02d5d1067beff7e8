//! The datasets and their fields, as data: one file a dataset, read when somebody asks for it. Fields come and go every
//! week, so nothing but these files knows them; a dataset that has no file has an open schema.

use super::scope::ScopeKind;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Every file by its name, compiled in.
macro_rules! files {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("datasets/", $name, ".json")))),*]
    };
}

/// Names without `.json`; a file for one scope only is called `<dataset>.<scope>`. `scripts/refresh-datasets.mjs` adds to
/// the list.
const FILES: &[(&str, &str)] = files! {
    "access_requests"
    "account_abuse_protection_events"
    "audit_logs"
    "audit_logs_v2"
    "biso_user_actions"
    "casb_findings"
    "device_posture_results"
    "dex_application_tests"
    "dex_device_state_events"
    "dlp_forensic_copies"
    "dns_firewall_logs"
    "dns_logs"
    "email_security_alerts"
    "email_security_post_delivery_events"
    "firewall_events"
    "gateway_dns"
    "gateway_http"
    "gateway_network"
    "http_requests"
    "ipsec_logs"
    "magic_bgp_logs"
    "magic_ids_detections"
    "mcp_portal_logs"
    "mnm_flow_logs"
    "nel_reports"
    "network_analytics_logs"
    "page_shield_events"
    "sinkhole_http_logs"
    "spectrum_events"
    "ssh_logs"
    "turnstile_events"
    "warp_config_changes"
    "warp_toggle_changes"
    "websocket_analytics.account"
    "websocket_analytics"
    "workers_trace_events"
    "zaraz_events"
    "zero_trust_network_sessions"
};

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
    /// It only comes when something else is switched on for the job; told by where in the file it stands.
    #[serde(skip)]
    pub optional: bool,
}

impl Field {
    /// Whether a job that names no fields gets it. Logpush publishes no list of defaults, so this is our rule: every
    /// field but those that are deprecated, that hold objects (which a filter or a table can not look into), or that
    /// need something else to be switched on.
    #[must_use]
    pub fn is_default(&self) -> bool {
        let holds_objects = matches!(self.field_type, FieldType::Object | FieldType::ArrayObject);
        !self.deprecated && !self.optional && !holds_objects
    }

    /// `int or string; when the query happened`: how Logpush lists fields.
    #[must_use]
    pub fn summary(&self) -> String {
        let (kind, description) = (self.field_type.as_str(), &self.description);
        let deprecated = if self.deprecated { " (deprecated)" } else { "" };
        format!("{kind}; {description}{deprecated}")
    }
}

/// Most bytes of a dataset's name.
const NAME_MAX_BYTES: usize = 256;

/// Whether this can be the name of a dataset, known or not: `^[A-Za-z0-9_-]{1,256}$`.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=NAME_MAX_BYTES).contains(&name.len()) && name.bytes().all(allowed)
}

/// A file's word for its scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum CatalogueScope {
    Zone,
    Account,
}

/// One dataset.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Dataset {
    /// Its name.
    #[serde(rename = "dataset")]
    pub name: String,
    /// Which scope Logpush documents it for; one that is there for both has a file for each.
    #[serde(default)]
    scope: Option<CatalogueScope>,
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
        for field in dataset.optional_fields.values_mut() {
            field.optional = true;
        }
        dataset.fields.append(&mut dataset.optional_fields);
        Some(dataset)
    }

    /// Whether Logpush documents it for this kind of scope. Of others it may come all the same.
    #[must_use]
    pub fn is_documented_for(&self, kind: ScopeKind) -> bool {
        match self.scope {
            Some(CatalogueScope::Zone) => kind == ScopeKind::Zone,
            Some(CatalogueScope::Account) => kind == ScopeKind::Account,
            None => false,
        }
    }

    /// The known field that `name` most probably means.
    #[must_use]
    pub fn nearest_field(&self, name: &str) -> Option<&str> {
        nearest(name, self.fields.keys().map(String::as_str))
    }

    /// The fields that a job gets which names none, by name: see [`Field::is_default`].
    pub fn default_fields(&self) -> impl Iterator<Item = (&str, &Field)> {
        self.fields
            .iter()
            .filter(|(_, field)| field.is_default())
            .map(|(name, field)| (name.as_str(), field))
    }
}

/// Says that there is no such dataset, and which one is most probably meant.
#[must_use]
pub fn unknown(name: &str) -> String {
    let meant = nearest(name, names())
        .map(|nearest| format!("; did you mean {nearest}?"))
        .unwrap_or_default();
    format!("{name} is not in the catalogue{meant}")
}

fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let wanted = name.to_ascii_lowercase();
    known
        .map(|known| (edit_distance(&wanted, &known.to_ascii_lowercase()), known))
        .min()
        .filter(|(distance, _)| *distance * 3 <= wanted.len())
        .map(|(_, known)| known)
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
            let kinds = [ScopeKind::Zone, ScopeKind::Account];
            assert!(
                kinds.iter().any(|kind| Dataset::find(*kind, name)
                    .is_some_and(|found| found.is_documented_for(*kind))),
                "{name}"
            );
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
    fn default_fields_are_all_but_objects_deprecated_and_optional_ones() {
        let dataset = Dataset::find(ScopeKind::Zone, "http_requests").unwrap();
        let defaults: Vec<&str> = dataset.default_fields().map(|(name, _)| name).collect();
        assert!(defaults.contains(&"EdgeStartTimestamp") && defaults.contains(&"RayID"));
        for name in ["RequestHeaders", "CacheResponseStatus", "Subrequests"] {
            assert!(dataset.fields.contains_key(name), "{name}");
            assert!(!defaults.contains(&name), "{name}");
        }
        for name in names() {
            let dataset = Dataset::find(ScopeKind::Zone, name).unwrap();
            let time = dataset.timestamp_field.as_deref().unwrap();
            assert!(dataset.fields.get(time).unwrap().is_default(), "{name}");
        }
    }

    #[test]
    fn a_field_is_summed_up_as_logpush_does() {
        let dataset = Dataset::find(ScopeKind::Zone, "dns_logs").unwrap();
        let summary = dataset.fields.get("Timestamp").unwrap().summary();
        assert_eq!(summary, "int or string; When the query happened");
        let dataset = Dataset::find(ScopeKind::Zone, "http_requests").unwrap();
        let summary = dataset.fields.get("OriginResponseBytes").unwrap().summary();
        assert_eq!(summary, "int; Bytes the origin returned (deprecated)");
        for name in names() {
            let dataset = Dataset::find(ScopeKind::Account, name).unwrap();
            for (field, about) in &dataset.fields {
                assert!(!about.description.is_empty(), "{name}.{field}");
            }
        }
    }

    #[test]
    fn a_misspelt_dataset_is_recognised() {
        for name in ["http_request", "HTTP-Requests"] {
            let text = format!("{name} is not in the catalogue; did you mean http_requests?");
            assert_eq!(unknown(name), text);
        }
        assert_eq!(unknown("x"), "x is not in the catalogue");
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
