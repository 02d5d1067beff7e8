//! Instant Logs: a session in which records are shown as they come in.
//!
//! Words and members are Cloudflare's (docs, *Instant Logs*, 2026; `InstantLogpushJob` of its SDKs). Its sessions show
//! `http_requests` of one zone, one session at a time; here a session has a `dataset`, and a dataset several sessions.

use super::output_options::{OutputOptions, OutputOptionsError};
use super::scope::Scope;
use crate::time;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::fmt;

/// The dataset of a session that names none: the only one that Cloudflare's have.
pub const DEFAULT_DATASET: &str = "http_requests";

/// `kind` of a session.
pub const KIND: &str = "instant-logs";

/// Largest `sample`. One record of a million is nothing that anybody watches.
pub const SAMPLE_MAX: u64 = 1_000_000;

/// The path that a viewer connects to, before the session's id; as Cloudflare's.
pub const SESSIONS_PATH: &str = "/instant-logs/ws/sessions/";

/// Characters of a session's id, and of Cloudflare's: 128 bits in hex.
const ID_CHARS: usize = 32;

/// What a session is known by to its viewers. A browser can not send a token with a WebSocket, so whoever knows the id sees
/// the records: it is a credential, which `Debug` does not show.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(String);

impl SessionId {
    /// An id from 16 random bytes.
    #[must_use]
    pub fn new(random: &[u8; ID_CHARS / 2]) -> Self {
        Self(random.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// An id, if the text has the form of one: 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == ID_CHARS && text.bytes().all(is_digit)).then(|| Self(text.to_owned()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The Durable Object name of the session's object.
    #[must_use]
    pub fn instance_name(&self) -> String {
        format!("session/{}", self.0)
    }
}

impl TryFrom<String> for SessionId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::read(&text).ok_or("no session id")
    }
}

impl From<SessionId> for String {
    fn from(id: SessionId) -> Self {
        id.0
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(…)")
    }
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its number; the registry gives it.
    pub id: u64,
    /// What its viewers know it by.
    pub session_id: SessionId,
    /// Zone or account.
    pub scope: Scope,
    /// The dataset.
    pub dataset: String,
    /// The fields that are shown; empty for all that came.
    pub fields: Vec<String>,
    /// The filter's JSON as it was sent; empty for every record.
    pub filter: String,
    /// One record of this many is kept.
    pub sample: u64,
    /// When it began, unix milliseconds.
    pub created_at_millis: u64,
    /// When it ends at the latest, unix milliseconds.
    pub ends_at_millis: u64,
}

impl Session {
    /// As the API shows it. `base` is the address that viewers connect to, such as `wss://host`, without a path.
    ///
    /// `dataset`, `created_at` and `ends_at` are ours.
    #[must_use]
    pub fn to_api(&self, base: &str) -> Value {
        let at = |millis| time::rfc3339_millis(millis);
        json!({
            "id": self.id,
            "session_id": self.session_id.as_str(),
            "kind": KIND,
            "dataset": self.dataset,
            "fields": self.fields.join(","),
            "filter": self.filter,
            "sample": self.sample,
            "destination_conf": format!("{base}{SESSIONS_PATH}{}", self.session_id.as_str()),
            "created_at": at(self.created_at_millis),
            "ends_at": at(self.ends_at_millis),
        })
    }

    /// How its records are written out: the fields that it wants, in that order, and behind them `sampleInterval`, how many
    /// records this one stands for. As at Cloudflare every record has it, so that its sum is a count.
    #[must_use]
    pub fn output(&self) -> OutputOptions {
        OutputOptions {
            field_names: self.fields.clone(),
            record_suffix: format!(",{}", self.suffix()),
            ..OutputOptions::default()
        }
    }

    /// What a record without any member is written out as.
    #[must_use]
    pub fn empty_record(&self) -> String {
        format!("{{{}", self.suffix())
    }

    fn suffix(&self) -> String {
        format!("\"sampleInterval\":{}}}\n", self.sample)
    }
}

/// What a caller wants to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInput {
    /// `dataset`.
    pub dataset: String,
    /// `fields`, taken apart.
    pub fields: Vec<String>,
    /// `filter`.
    pub filter: String,
    /// `sample`.
    pub sample: u64,
}

/// What is wrong with a session that somebody wants. The text names the member and says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionInputError {
    /// A member is wrong.
    Member {
        /// Its name, `body` for the whole.
        name: &'static str,
        /// What is wrong with it.
        text: String,
    },
    /// A member that a session does not have.
    Unknown,
    /// `fields` is wrong.
    Fields(OutputOptionsError),
}

impl fmt::Display for SessionInputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member { name, text } => write!(f, "{name}: {text}"),
            Self::Unknown => f.write_str(
                "body: has a member that is not known here; a session has dataset, fields, filter, sample and kind",
            ),
            Self::Fields(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SessionInputError {}

fn wrong(name: &'static str, text: &str) -> SessionInputError {
    let text = text.to_owned();
    SessionInputError::Member { name, text }
}

fn text<'v>(
    members: &'v Map<String, Value>,
    name: &'static str,
    advice: &str,
) -> Result<&'v str, SessionInputError> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(wrong(name, advice)),
    }
}

impl SessionInput {
    /// Reads `{"dataset"?, "fields"?, "filter"?, "sample"?, "kind"?}`. Whether dataset, fields and filter fit each other is
    /// the caller's to check.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_json(body: &Value) -> Result<Self, SessionInputError> {
        let Value::Object(members) = body else {
            return Err(wrong("body", "must be a JSON object"));
        };
        const KNOWN: [&str; 5] = ["dataset", "fields", "filter", "sample", "kind"];
        if members.keys().any(|name| !KNOWN.contains(&name.as_str())) {
            return Err(SessionInputError::Unknown);
        }
        match text(members, "kind", "must be a string")? {
            "" | KIND => {}
            _ => return Err(wrong("kind", "must be instant-logs, or be left out")),
        }
        let dataset = match text(members, "dataset", "must be a string")? {
            "" => DEFAULT_DATASET,
            dataset => dataset,
        };
        let advice =
            "must be a string of names with commas between them, such as \"RayID,ClientIP\"";
        let fields = OutputOptions::names(text(members, "fields", advice)?)
            .map_err(SessionInputError::Fields)?;
        let advice = r#"must be a string that holds JSON, such as "{\"where\": …}", as in a job"#;
        let filter = text(members, "filter", advice)?.trim();
        let sample = match members.get("sample") {
            None | Some(Value::Null) => Some(1),
            Some(sample) => sample.as_u64(),
        };
        let sample = sample.filter(|sample| (1..=SAMPLE_MAX).contains(sample));
        let advice =
            "must be a whole number from 1 to 1000000: 1 shows every record, 10 one of ten";
        Ok(Self {
            dataset: dataset.to_owned(),
            fields,
            filter: filter.to_owned(),
            sample: sample.ok_or_else(|| wrong("sample", advice))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logpush::scope::ScopeKind;

    fn session() -> Session {
        Session {
            id: 3,
            session_id: SessionId::new(&[0xab; 16]),
            scope: Scope::new(ScopeKind::Zone, "z1").unwrap(),
            dataset: "dns_logs".into(),
            fields: vec!["QueryName".into(), "ResponseCode".into()],
            filter: String::new(),
            sample: 10,
            created_at_millis: 1_800_000_000_000,
            ends_at_millis: 1_800_003_600_000,
        }
    }

    #[test]
    fn an_id_is_128_bits_in_hex_and_is_not_shown_by_accident() {
        let id = SessionId::new(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xa, 0xb, 0xc, 0xd, 0xe, 0xff]);
        assert_eq!(id.as_str(), "000102030405060708090a0b0c0d0eff");
        assert_eq!(SessionId::read(id.as_str()), Some(id.clone()));
        for text in [
            "",
            "0001",
            "000102030405060708090A0B0C0D0EFF",
            "../etc/passwd.................",
        ] {
            assert_eq!(SessionId::read(text), None, "{text}");
        }
        assert_eq!(format!("{:?}", session()).matches("abab").count(), 0);
    }

    #[test]
    fn the_names_of_objects_and_the_stored_form_have_not_changed() {
        let session = session();
        let name = session.session_id.instance_name();
        assert_eq!(name, "session/abababababababababababababababab");
        let stored = json!({
            "id": 3, "session_id": "abababababababababababababababab", "scope": {"kind": "zone", "id": "z1"},
            "dataset": "dns_logs", "fields": ["QueryName", "ResponseCode"], "filter": "", "sample": 10,
            "created_at_millis": 1_800_000_000_000_u64, "ends_at_millis": 1_800_003_600_000_u64,
        });
        assert_eq!(serde_json::to_value(&session).unwrap(), stored);
        assert_eq!(serde_json::from_value::<Session>(stored).unwrap(), session);
    }

    #[test]
    fn a_session_is_shown_as_cloudflare_shows_one() {
        let expected = json!({
            "id": 3, "session_id": "abababababababababababababababab", "kind": "instant-logs", "dataset": "dns_logs",
            "fields": "QueryName,ResponseCode", "filter": "", "sample": 10,
            "destination_conf": "wss://logs.example.com/instant-logs/ws/sessions/abababababababababababababababab",
            "created_at": "2027-01-15T08:00:00Z", "ends_at": "2027-01-15T09:00:00Z",
        });
        assert_eq!(session().to_api("wss://logs.example.com"), expected);
    }

    #[test]
    fn what_is_wanted_is_read_with_defaults() {
        let read = |body| SessionInput::from_json(&body).unwrap();
        let everything = SessionInput {
            dataset: "http_requests".into(),
            fields: Vec::new(),
            filter: String::new(),
            sample: 1,
        };
        assert_eq!(read(json!({})), everything);
        let empty =
            json!({"dataset": null, "fields": "", "filter": null, "sample": null, "kind": ""});
        assert_eq!(read(empty), everything);
        let full = json!({
            "dataset": "dns_logs", "fields": " QueryName, ResponseCode ", "filter": " {} ", "sample": 100,
            "kind": "instant-logs",
        });
        let wanted = SessionInput {
            dataset: "dns_logs".into(),
            fields: vec!["QueryName".into(), "ResponseCode".into()],
            filter: "{}".into(),
            sample: 100,
        };
        assert_eq!(read(full), wanted);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let table = [
            (json!([]), "body: "),
            (json!({"fileds": "RayID"}), "body: has a member"),
            (json!({"kind": "edge"}), "kind: "),
            (json!({"kind": 1}), "kind: "),
            (json!({"dataset": 1}), "dataset: "),
            (
                json!({"fields": ["RayID"]}),
                "fields: must be a string of names",
            ),
            (json!({"fields": "RayID,RayID"}), "fields "),
            (json!({"filter": {"where": {}}}), "filter: must be a string"),
            (json!({"sample": 0}), "sample: "),
            (json!({"sample": 0.5}), "sample: "),
            (json!({"sample": "10"}), "sample: "),
            (json!({"sample": 1_000_001}), "sample: "),
        ];
        for (body, beginning) in table {
            let error = SessionInput::from_json(&body).unwrap_err().to_string();
            assert!(error.starts_with(beginning), "{body}: {error}");
        }
    }
}
