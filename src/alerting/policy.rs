//! Who is told of what: `{name, alert_type, enabled, mechanisms, filters, alert_interval, description}`.

use super::duration::parse_duration_millis;
use super::{
    AlertEvent, AlertType, InputError, Occurrence, Severity, members_of, text_member, wrong,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Most characters of a name or a description.
const MAX_TEXT_CHARS: usize = 512;

/// Most mechanisms of a policy: each is a request per alert.
const MAX_MECHANISMS: usize = 20;

/// Most values of one filter.
const MAX_FILTER_VALUES: usize = 100;

/// Longest e-mail address (RFC 5321, 4.5.3.1, by erratum 1690).
const MAX_EMAIL_CHARS: usize = 254;

/// Where a policy's alerts go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mechanisms {
    /// E-mail addresses.
    pub email: Vec<String>,
    /// Ids of webhooks.
    pub webhooks: Vec<String>,
}

/// Which alerts of its kind a policy wants; an empty list takes all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PolicyFilters {
    /// Zone ids (Cloudflare's own filter).
    pub zones: Vec<String>,
    /// Datasets.
    pub dataset: Vec<String>,
    /// Job numbers, as texts, as every filter of the API is.
    pub job_id: Vec<String>,
    /// `warning`, `critical`.
    pub severity: Vec<String>,
}

impl PolicyFilters {
    fn lists(&self) -> [(&'static str, &Vec<String>); 4] {
        [
            ("zones", &self.zones),
            ("dataset", &self.dataset),
            ("job_id", &self.job_id),
            ("severity", &self.severity),
        ]
    }

    fn take(&self, occurrence: &Occurrence) -> bool {
        let subject = &occurrence.subject;
        let wants = |list: &Vec<String>, value: Option<&str>| {
            list.is_empty() || value.is_some_and(|value| list.iter().any(|one| one == value))
        };
        let zone = subject.scope().strip_prefix("zones/");
        let job = subject.job_id().map(|id| id.to_string());
        wants(&self.zones, zone)
            && wants(&self.dataset, Some(subject.dataset()))
            && wants(&self.job_id, job.as_deref())
            && wants(&self.severity, Some(occurrence.severity.as_str()))
    }
}

/// A policy as it is stored. Members may be added with a default; none may change or go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// 32 hex digits.
    pub id: String,
    /// The account whose API it was made in. It sees every job of the deployment all the same.
    pub account: String,
    /// The operator's name for it.
    pub name: String,
    /// The operator's words about it.
    #[serde(default)]
    pub description: String,
    /// Of which kind of alert it tells.
    pub alert_type: AlertType,
    /// Whether it does.
    pub enabled: bool,
    /// Where to.
    pub mechanisms: Mechanisms,
    /// Of which ones.
    #[serde(default)]
    pub filters: PolicyFilters,
    /// Least time between two alerts about the same, as it was written.
    #[serde(default)]
    pub alert_interval: Option<String>,
    /// RFC 3339.
    pub created: String,
    /// RFC 3339.
    pub modified: String,
}

impl Policy {
    /// Whether it tells of the beginning of this. An end goes where its beginning went, whatever the policy says by then.
    #[must_use]
    pub fn wants(&self, occurrence: &Occurrence) -> bool {
        self.enabled
            && occurrence.event == AlertEvent::Start
            && self.alert_type == occurrence.alert_type
            && self.filters.take(occurrence)
    }

    /// Whether it may tell of it now, when it last did (by [`Occurrence::repeat_key`]) at `last_millis`.
    #[must_use]
    pub fn may_repeat(&self, last_millis: Option<u64>, now_millis: u64) -> bool {
        last_millis.is_none_or(|last| now_millis >= last.saturating_add(self.interval_millis()))
    }

    /// Least time between two alerts about the same, in milliseconds.
    #[must_use]
    pub fn interval_millis(&self) -> u64 {
        let asked = self
            .alert_interval
            .as_deref()
            .and_then(parse_duration_millis);
        asked
            .unwrap_or(0)
            .max(self.alert_type.least_interval_millis())
    }

    /// As the API shows it.
    #[must_use]
    pub fn to_api(&self) -> Value {
        let ids =
            |list: &[String]| -> Vec<Value> { list.iter().map(|id| json!({"id": id})).collect() };
        let filters: Map<String, Value> = self
            .filters
            .lists()
            .into_iter()
            .filter(|(_, list)| !list.is_empty())
            .map(|(name, list)| (name.to_owned(), json!(list)))
            .collect();
        let mut policy = json!({
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "enabled": self.enabled,
            "alert_type": self.alert_type,
            "mechanisms": {
                "email": ids(&self.mechanisms.email),
                "pagerduty": [],
                "webhooks": ids(&self.mechanisms.webhooks),
            },
            "filters": filters,
            "created": self.created,
            "modified": self.modified,
        });
        if let (Some(interval), Some(policy)) = (&self.alert_interval, policy.as_object_mut()) {
            policy.insert("alert_interval".to_owned(), interval.clone().into());
        }
        policy
    }
}

/// What a request brings: any subset of a policy's members. `None` leaves what is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyInput {
    name: Option<String>,
    description: Option<String>,
    alert_type: Option<AlertType>,
    enabled: Option<bool>,
    mechanisms: Option<Mechanisms>,
    filters: Option<PolicyFilters>,
    alert_interval: Option<Option<String>>,
}

impl PolicyInput {
    /// Reads a body. Members that a policy does not have are ignored, as elsewhere in the API.
    ///
    /// # Errors
    /// Which member is wrong, and how.
    pub fn from_json(body: &Value) -> Result<Self, InputError> {
        let members = members_of(body)?;
        let alert_type = text_member(members, "alert_type", MAX_TEXT_CHARS)?
            .map(|name| {
                AlertType::from_name(&name).ok_or_else(|| {
                    let known = AlertType::ALL.map(AlertType::as_str).join(", ");
                    wrong(
                        "alert_type",
                        format_args!("is not offered; there are {known}"),
                    )
                })
            })
            .transpose()?;
        let enabled = match members.get("enabled") {
            None | Some(Value::Null) => None,
            Some(Value::Bool(enabled)) => Some(*enabled),
            Some(_) => return Err(wrong("enabled", "must be true or false")),
        };
        let alert_interval = match members.get("alert_interval") {
            None => None,
            Some(_) => {
                Some(text_member(members, "alert_interval", 64)?.filter(|text| !text.is_empty()))
            }
        };
        if let Some(Some(text)) = &alert_interval
            && parse_duration_millis(text).is_none()
        {
            return Err(wrong(
                "alert_interval",
                "must be a duration such as 30m or 1h30m",
            ));
        }
        Ok(Self {
            name: text_member(members, "name", MAX_TEXT_CHARS)?,
            description: text_member(members, "description", MAX_TEXT_CHARS)?,
            alert_type,
            enabled,
            mechanisms: members.get("mechanisms").map(read_mechanisms).transpose()?,
            filters: members.get("filters").map(read_filters).transpose()?,
            alert_interval,
        })
    }

    /// A new policy.
    ///
    /// # Errors
    /// When something that it needs is missing.
    pub fn into_new(self, id: String, account: String, now: &str) -> Result<Policy, InputError> {
        let policy = Policy {
            id,
            account,
            name: self.name.clone().unwrap_or_default(),
            description: String::new(),
            alert_type: self
                .alert_type
                .ok_or_else(|| wrong("alert_type", "is required"))?,
            enabled: true,
            mechanisms: Mechanisms::default(),
            filters: PolicyFilters::default(),
            alert_interval: None,
            created: now.to_owned(),
            modified: now.to_owned(),
        };
        self.apply_to(policy, now)
    }

    /// The policy with these changes.
    ///
    /// # Errors
    /// When what comes out is no policy.
    pub fn apply_to(self, policy: Policy, now: &str) -> Result<Policy, InputError> {
        let changed = Policy {
            name: self.name.unwrap_or(policy.name),
            description: self.description.unwrap_or(policy.description),
            alert_type: self.alert_type.unwrap_or(policy.alert_type),
            enabled: self.enabled.unwrap_or(policy.enabled),
            mechanisms: self.mechanisms.unwrap_or(policy.mechanisms),
            filters: self.filters.unwrap_or(policy.filters),
            alert_interval: self.alert_interval.unwrap_or(policy.alert_interval),
            modified: now.to_owned(),
            ..policy
        };
        if changed.name.trim().is_empty() {
            return Err(wrong("name", "is required"));
        }
        let Mechanisms { email, webhooks } = &changed.mechanisms;
        if email.is_empty() && webhooks.is_empty() {
            return Err(wrong(
                "mechanisms",
                "name a webhook or an e-mail address to tell",
            ));
        }
        if changed
            .filters
            .job_id
            .iter()
            .any(|_| !changed.alert_type.is_about_job())
        {
            return Err(wrong(
                "filters.job_id",
                format_args!("{} is about no job", changed.alert_type),
            ));
        }
        Ok(changed)
    }
}

fn read_mechanisms(value: &Value) -> Result<Mechanisms, InputError> {
    let members = value
        .as_object()
        .ok_or_else(|| wrong("mechanisms", "must be an object"))?;
    let list = |name: &str| -> Result<Vec<String>, InputError> {
        let member = format!("mechanisms.{name}");
        let entries = match members.get(name) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Array(entries)) => entries,
            Some(_) => return Err(wrong(&member, "must be a list of {\"id\": …}")),
        };
        let mut ids: Vec<String> = Vec::new();
        for entry in entries {
            let id = entry.get("id").and_then(Value::as_str).map(str::trim);
            match id.filter(|id| !id.is_empty() && id.len() <= MAX_EMAIL_CHARS) {
                Some(id) if ids.iter().any(|known| known == id) => {}
                Some(id) => ids.push(id.to_owned()),
                None => return Err(wrong(&member, "every entry needs an id")),
            }
        }
        Ok(ids)
    };
    if !list("pagerduty")?.is_empty() {
        return Err(wrong(
            "mechanisms.pagerduty",
            "PagerDuty is not offered; use a webhook of an integration there, or its e-mail address",
        ));
    }
    if let Some(other) = members
        .keys()
        .find(|name| !["email", "webhooks", "pagerduty"].contains(&name.as_str()))
    {
        return Err(wrong(
            &format!("mechanisms.{other}"),
            "is not offered; there are email and webhooks",
        ));
    }
    let mechanisms = Mechanisms {
        email: list("email")?,
        webhooks: list("webhooks")?,
    };
    if mechanisms.email.len() + mechanisms.webhooks.len() > MAX_MECHANISMS {
        return Err(wrong(
            "mechanisms",
            format_args!("at most {MAX_MECHANISMS}"),
        ));
    }
    if let Some(bad) = mechanisms
        .email
        .iter()
        .position(|address| !is_email(address))
    {
        return Err(wrong(
            "mechanisms.email",
            format_args!("entry {} is no e-mail address", bad + 1),
        ));
    }
    Ok(mechanisms)
}

/// Enough to catch a slip; the mail system knows the rest.
fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && domain.contains('.')
            && text
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !b"<>(),;:\"\\[]".contains(&byte))
            && !domain.contains('@')
    })
}

fn read_filters(value: &Value) -> Result<PolicyFilters, InputError> {
    let mut filters = PolicyFilters::default();
    let members = match value {
        Value::Null => return Ok(filters),
        Value::Object(members) => members,
        _ => return Err(wrong("filters", "must be an object")),
    };
    for (name, value) in members {
        let member = format!("filters.{name}");
        let list = match name.as_str() {
            "zones" => &mut filters.zones,
            "dataset" => &mut filters.dataset,
            "job_id" => &mut filters.job_id,
            "severity" => &mut filters.severity,
            _ => {
                let text = "is not offered; there are zones, dataset, job_id and severity";
                return Err(wrong(&member, text));
            }
        };
        let entries = value
            .as_array()
            .filter(|entries| entries.len() <= MAX_FILTER_VALUES);
        let entries = entries.ok_or_else(|| {
            wrong(
                &member,
                format_args!("must be a list of at most {MAX_FILTER_VALUES} strings"),
            )
        })?;
        for entry in entries {
            let text = match entry {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => return Err(wrong(&member, "must be a list of strings")),
            };
            list.push(text);
        }
    }
    if filters
        .severity
        .iter()
        .any(|one| Severity::from_name(one).is_none())
    {
        return Err(wrong("filters.severity", "there are warning and critical"));
    }
    Ok(filters)
}
