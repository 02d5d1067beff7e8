//! The tables: which field of a dataset goes to which place of an event.
//!
//! ```json
//! {
//!   "fields": {
//!     "QueryName": {"to": "dns.question.name", "as": "dns_name"},
//!     "Protocol": [{"to": "network.protocol", "as": "http_protocol"}, {"to": "http.version", "as": "http_version"}],
//!     "UserAgent": "user_agent.original",
//!     "ParentRayID": {"as": "ray_id"}
//!   },
//!   "when": [
//!     {"field": "Action", "is": ["block", "drop"], "set": {"event.type": ["denied"]}},
//!     {"field": "Status", "at_least": 400, "set": {"event.outcome": "failure"}}
//!   ],
//!   "set": {"event.category": ["network"], "event.type": ["info"]},
//!   "durations": [{"to": "event.duration", "from": "Start", "until": "End"}]
//! }
//! ```
//!
//! **`fields`**: by name, in the order in which they are asked. A field has one output, a list of them, or a text, which
//! is short for `{"to": text}`. An output has
//!
//! | member | means |
//! |---|---|
//! | `to` | the place, with dots. Without it the value stays under `cloudflare.`, after `as` has looked at it. |
//! | `as` | one of [`As`], what is done to the value; `text` if unset |
//! | `at` | names and indices that lead to the value inside the field: `["Exceptions", 0, "Message"]` without the first |
//! | `map` | texts (in lower case) and what is written for them, `null` for nothing; other values go through `as` |
//! | `weak` | only when nobody else has that place; giving way is no surprise, and to an equal value no loss |
//! | `keep` | the whole field stays under `cloudflare.` as well, because the outputs hold but a part of it |
//!
//! A field that has put something into one of its places is at home there. It stays under `cloudflare.` (as well) when one
//! of its outputs does not fit its type, or finds its place taken by another value: nothing is lost. The first to ask has
//! the place: fields in order, then weak outputs in order, then `when` in order, then `set`.
//!
//! **`when`**: what is set if a field has a value: `is` and `is_not` compare texts, numbers and Booleans without regard to
//! case, `words` looks for one of its words between characters that are no letters or digits, `at_least` compares integers. A field that is missing, null or empty meets nothing. `at` as above. The field itself goes
//! where `fields` says.
//!
//! **`set`**: what is set in every event that has nothing there. `event.dataset` is set for every table.
//!
//! **`durations`**: the nanoseconds between two fields that hold times.
//!
//! A dataset's own table comes before the common one: a field that both name is only looked for in the dataset's own, and
//! a place of `set` likewise.

use super::convert::As;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// Every file by its name, compiled in.
macro_rules! files {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("tables/", $name, ".json")))),*]
    };
}

/// The table of what is the same in every dataset.
pub const COMMON: &str = "_common";

/// Names without `.json`, in byte order.
const FILES: &[(&str, &str)] = files! {
    "_common"
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
    "websocket_analytics"
    "workers_trace_events"
    "zaraz_events"
    "zero_trust_network_sessions"
};

/// A JSON object whose members keep their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Ordered<T>(pub Vec<(String, T)>);

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Ordered<T>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Vec<(String, T)> = Vec::new();
                while let Some((name, member)) = map.next_entry()? {
                    if members.iter().any(|(known, _)| *known == name) {
                        return Err(serde::de::Error::custom(format!(
                            "{name} stands there twice"
                        )));
                    }
                    members.push((name, member));
                }
                Ok(Ordered(members))
            }
        }
        deserializer.deserialize_map(Members(PhantomData))
    }
}

/// One table as its file says it, see the module.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// For readers of docs/ecs.md: what is not told by the fields.
    #[serde(default)]
    pub note: String,
    /// Where each field goes.
    #[serde(default)]
    pub fields: Ordered<Field>,
    /// What depends on a value.
    #[serde(default)]
    pub when: Vec<When>,
    /// What is set always.
    #[serde(default)]
    pub set: BTreeMap<String, Value>,
    /// Differences of two times.
    #[serde(default)]
    pub durations: Vec<Duration>,
}

/// The outputs of one field.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(from = "FieldForm")]
pub struct Field {
    /// At least one.
    pub outputs: Vec<Output>,
}

/// The three ways to write a [`Field`].
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a place, an output with known members, or a list of outputs"
)]
enum FieldForm {
    Place(String),
    One(Output),
    Many(Vec<Output>),
}

impl From<FieldForm> for Field {
    fn from(form: FieldForm) -> Self {
        let outputs = match form {
            FieldForm::Place(to) => vec![Output {
                to: Some(to),
                ..Output::default()
            }],
            FieldForm::One(output) => vec![output],
            FieldForm::Many(outputs) => outputs,
        };
        Self { outputs }
    }
}

/// One place for a field's value.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Output {
    /// The place, with dots; `None` leaves the value under `cloudflare.`.
    pub to: Option<String>,
    /// What is done to the value.
    #[serde(rename = "as")]
    pub conversion: As,
    /// The way to the value inside the field.
    pub at: Vec<Step>,
    /// What is written for some texts; the keys are in lower case.
    pub map: BTreeMap<String, Option<String>>,
    /// Gives way.
    pub weak: bool,
    /// The whole field stays under `cloudflare.` as well.
    pub keep: bool,
}

/// One step into an object or an array.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Step {
    /// The element, counted from 0.
    Index(usize),
    /// The member.
    Name(String),
}

/// What is set when a field has a value. At least one of the comparisons is there, and all of them must hold.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct When {
    /// The field that is looked at.
    pub field: String,
    /// The way to the value inside the field.
    pub at: Vec<Step>,
    /// One of these texts, in lower case.
    pub is: Vec<String>,
    /// A value, but none of these texts, in lower case.
    pub is_not: Vec<String>,
    /// Holds one of these words, in lower case.
    pub words: Vec<String>,
    /// An integer of at least this.
    pub at_least: Option<i64>,
    /// Places and what is set there.
    pub set: BTreeMap<String, Value>,
}

/// The nanoseconds from one time to another; nothing if they are negative.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Duration {
    /// The place.
    pub to: String,
    /// The field of the beginning.
    pub from: String,
    /// The field of the end.
    pub until: String,
}

impl Table {
    /// The table of a dataset as its file has it; [`COMMON`] is one as well. `None` when there is none.
    ///
    /// # Errors
    /// The files are compiled in and a test reads all of them: never.
    pub fn read(name: &str) -> Option<Result<Self, serde_json::Error>> {
        let (_, text) = FILES.iter().find(|(known, _)| *known == name)?;
        Some(serde_json::from_str(text))
    }

    /// What holds for a dataset: its own table, and after it the common one. The second is whether it has its own.
    #[must_use]
    pub fn of(dataset: &str) -> (Self, bool) {
        let read = |name: &str| Self::read(name).and_then(Result::ok);
        let own = (dataset != COMMON).then(|| read(dataset)).flatten();
        let is_known = own.is_some();
        let mut table = own.unwrap_or_default();
        let common = read(COMMON).unwrap_or_default();
        let known: Vec<String> = table
            .fields
            .0
            .iter()
            .map(|(name, _)| name.clone())
            .collect();
        let others = common.fields.0.into_iter();
        table
            .fields
            .0
            .extend(others.filter(|(name, _)| !known.contains(name)));
        table.when.extend(common.when);
        for (place, value) in common.set {
            table.set.entry(place).or_insert(value);
        }
        table.durations.extend(common.durations);
        (table, is_known)
    }
}

/// The names of all tables but the common one, in byte order.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| *name != COMMON)
}

#[cfg(test)]
mod tests {
    use super::{COMMON, FILES, Output, Table, names};
    use crate::ecs::convert::As;
    use crate::logpush::catalogue::{self, Dataset, TIMESTAMP_CANDIDATES};
    use crate::logpush::scope::ScopeKind;

    #[test]
    fn every_file_is_listed_and_every_listed_file_can_be_read() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/ecs/tables");
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
        for (name, _) in FILES {
            let read = Table::read(name).unwrap();
            assert!(read.is_ok(), "{name}: {read:?}");
        }
        for name in names() {
            assert!(
                catalogue::names().any(|known| known == name),
                "{name} is no dataset"
            );
        }
    }

    #[test]
    fn fields_of_a_table_are_fields_of_its_dataset() {
        for name in names() {
            let table = Table::read(name).unwrap().unwrap();
            let mut used: Vec<&String> = table.fields.0.iter().map(|(field, _)| field).collect();
            used.extend(table.when.iter().map(|when| &when.field));
            used.extend(table.durations.iter().flat_map(|d| [&d.from, &d.until]));
            for field in used {
                let is_known = [ScopeKind::Zone, ScopeKind::Account].iter().any(|scope| {
                    Dataset::find(*scope, name).is_some_and(|d| d.fields.contains_key(field))
                });
                assert!(is_known, "{name} has no field {field}");
            }
        }
    }

    #[test]
    fn every_dataset_has_its_time() {
        for name in catalogue::names() {
            let time = Dataset::find(ScopeKind::Zone, name)
                .unwrap()
                .timestamp_field
                .unwrap();
            let (table, _) = Table::of(name);
            let first = table.fields.0.iter().find_map(|(field, outputs)| {
                let is_time = |output: &Output| output.to.as_deref() == Some("@timestamp");
                outputs
                    .outputs
                    .iter()
                    .find(|output| is_time(output))
                    .map(|output| (field, output))
            });
            let (_, output) = first.unwrap();
            assert_eq!(output.conversion, As::Time, "{name}");
            let fields = &table.fields.0;
            let own = fields.iter().find(|(field, _)| *field == time);
            assert!(
                own.is_some_and(|(_, f)| f
                    .outputs
                    .iter()
                    .any(|o| o.to.as_deref() == Some("@timestamp"))),
                "{name}: {time}"
            );
        }
        let (common, _) = Table::of(COMMON);
        for candidate in TIMESTAMP_CANDIDATES {
            assert!(
                common.fields.0.iter().any(|(name, _)| name == candidate),
                "{candidate}"
            );
        }
    }

    #[test]
    fn a_field_has_three_spellings_and_a_mistake_is_refused() {
        let table =
            |fields: &str| serde_json::from_str::<Table>(&format!("{{\"fields\":{fields}}}"));
        let places = |fields: &str| -> Vec<Option<String>> {
            let fields = table(fields).unwrap().fields;
            fields
                .0
                .into_iter()
                .flat_map(|(_, f)| f.outputs)
                .map(|o| o.to)
                .collect()
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            places(r#"{"B":"x.y","A":{"to":"z"}}"#),
            [some("x.y"), some("z")]
        );
        assert_eq!(
            places(r#"{"A":[{"to":"x"},{"as":"ray_id"}]}"#),
            [some("x"), None]
        );
        for wrong in [
            r#"{"A":{"to":"x","as":"magic"}}"#,
            r#"{"A":{"too":"x"}}"#,
            r#"{"A":1}"#,
            r#"{"A":"x","A":"y"}"#,
        ] {
            assert!(table(wrong).is_err(), "{wrong}");
        }
    }
}
