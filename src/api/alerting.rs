//! Cloudflare's Notifications API, as far as this service has it: policies, webhooks, history, available alerts.
//!
//! Policies and webhooks belong to the account in whose path they were made. A policy sees every job and dataset of the
//! deployment, those of zones among them: a deployment has one owner.

use serde_json::{Value, json};

use super::jobs::{invalid, read_json};
use super::{Access, ApiError, ApiResponse, StoreError};
use crate::alerting::{AlertType, InputError, Policy, PolicyInput, Webhook, WebhookInput};
use crate::logpush::scope::{Scope, ScopeKind};
use crate::time;
use serde::{Deserialize, Serialize};

/// Most policies of an account, and most webhooks: each alert is compared with all of them.
const MAX_PER_ACCOUNT: usize = 100;

/// Records of one page of the history: unless asked otherwise, and at most (Cloudflare's numbers).
const PAGE_RECORDS: (u64, u64) = (25, 1_000);

/// A call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertingRoute {
    /// The account's id.
    pub account: String,
    /// What is asked.
    pub call: AlertingCall,
}

/// What is asked of an account. `{A}` is `/client/v4/accounts/{id}/alerting/v3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlertingCall {
    /// `GET {A}/policies`
    ListPolicies,
    /// `POST {A}/policies`
    CreatePolicy,
    /// `GET {A}/policies/{id}`
    GetPolicy(String),
    /// `PUT {A}/policies/{id}`
    UpdatePolicy(String),
    /// `DELETE {A}/policies/{id}`
    DeletePolicy(String),
    /// `GET {A}/destinations/webhooks`
    ListWebhooks,
    /// `POST {A}/destinations/webhooks`
    CreateWebhook,
    /// `GET {A}/destinations/webhooks/{id}`
    GetWebhook(String),
    /// `PUT {A}/destinations/webhooks/{id}`
    UpdateWebhook(String),
    /// `DELETE {A}/destinations/webhooks/{id}`
    DeleteWebhook(String),
    /// `GET {A}/available_alerts`
    AvailableAlerts,
    /// `GET {A}/history`
    History(HistoryQuery),
}

/// Which part of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryQuery {
    /// From 1.
    pub page: u64,
    /// Records of a page.
    pub per_page: u64,
    /// Only newer ones, unix milliseconds.
    pub since_millis: u64,
    /// Only older ones, unix milliseconds.
    pub before_millis: u64,
}

/// A part of the history, newest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HistoryPage {
    /// As the API shows them.
    pub records: Vec<Value>,
    /// How many there are on all pages.
    pub total: u64,
}

/// Where policies, webhooks and the history are kept.
///
/// The futures need not be `Send`: in a Worker there is one thread.
#[allow(async_fn_in_trait)]
pub trait AlertStore {
    /// The account's policies, oldest first.
    async fn policies(&self, account: &str) -> Result<Vec<Policy>, StoreError>;
    /// Keeps a policy, new or changed.
    async fn put_policy(&self, policy: &Policy) -> Result<(), StoreError>;
    /// Forgets a policy of this id and what it has not told yet.
    async fn delete_policy(&self, id: &str) -> Result<(), StoreError>;
    /// The account's webhooks, oldest first.
    async fn webhooks(&self, account: &str) -> Result<Vec<Webhook>, StoreError>;
    /// Keeps a webhook, new or changed.
    async fn put_webhook(&self, webhook: &Webhook) -> Result<(), StoreError>;
    /// Forgets a webhook of this id.
    async fn delete_webhook(&self, id: &str) -> Result<(), StoreError>;
    /// What was told.
    async fn history(&self, account: &str, query: &HistoryQuery)
    -> Result<HistoryPage, StoreError>;
}

/// Posts Cloudflare's test message.
#[allow(async_fn_in_trait)]
pub trait WebhookTester {
    /// Posts it once, within a deadline.
    ///
    /// # Errors
    /// What the webhook answered, or why it did not; holds no secret.
    async fn test(&self, webhook: &Webhook) -> Result<(), String>;
}

/// What the calls need of the outside.
pub struct AlertingServices<'a, S, T> {
    /// Where things are kept.
    pub store: &'a S,
    /// Posts test messages.
    pub tester: &'a T,
    /// Whether webhooks may be in private networks.
    pub allow_private: bool,
    /// Why e-mail can not be sent; `None` when it can.
    pub no_email: Option<&'a str>,
    /// An id that nothing else has.
    pub new_id: String,
    /// Now, unix milliseconds.
    pub now_millis: u64,
}

impl AlertingRoute {
    /// Reads method, path and query of a request; `None` when the path is none of these at all.
    ///
    /// # Errors
    /// As [`super::Route::parse`]; [`ApiError::InvalidInput`] for a query that can not be read.
    pub fn parse(
        method: &str,
        path: &str,
        query: &[(String, String)],
    ) -> Option<Result<Self, ApiError>> {
        let rest = path.strip_prefix("/client/v4/accounts/")?;
        let (account, rest) = rest.split_once('/')?;
        let rest = rest.strip_prefix("alerting/v3/")?;
        let account = Scope::new(ScopeKind::Account, account)
            .ok()?
            .id()
            .to_owned();
        let segments: Vec<&str> = rest.split('/').collect();
        Some(call(method, &segments, query).map(|call| Self { account, call }))
    }
}

impl AlertingCall {
    fn needs_write(&self) -> bool {
        match self {
            Self::ListPolicies
            | Self::GetPolicy(_)
            | Self::ListWebhooks
            | Self::GetWebhook(_)
            | Self::AvailableAlerts
            | Self::History(_) => false,
            Self::CreatePolicy
            | Self::UpdatePolicy(_)
            | Self::DeletePolicy(_)
            | Self::CreateWebhook
            | Self::UpdateWebhook(_)
            | Self::DeleteWebhook(_) => true,
        }
    }
}

fn call(method: &str, path: &[&str], query: &[(String, String)]) -> Result<AlertingCall, ApiError> {
    use AlertingCall as Call;
    let not_allowed = |allowed| Err(ApiError::MethodNotAllowed { allowed });
    match (path, method) {
        (["policies"], "GET") => Ok(Call::ListPolicies),
        (["policies"], "POST") => Ok(Call::CreatePolicy),
        (["destinations", "webhooks"], "GET") => Ok(Call::ListWebhooks),
        (["destinations", "webhooks"], "POST") => Ok(Call::CreateWebhook),
        (["policies"] | ["destinations", "webhooks"], _) => not_allowed("GET, POST"),
        (["policies", id] | ["destinations", "webhooks", id], _) if !is_id(id) => {
            Err(ApiError::NoRoute)
        }
        (["policies", id], "GET") => Ok(Call::GetPolicy((*id).to_owned())),
        (["policies", id], "PUT") => Ok(Call::UpdatePolicy((*id).to_owned())),
        (["policies", id], "DELETE") => Ok(Call::DeletePolicy((*id).to_owned())),
        (["destinations", "webhooks", id], "GET") => Ok(Call::GetWebhook((*id).to_owned())),
        (["destinations", "webhooks", id], "PUT") => Ok(Call::UpdateWebhook((*id).to_owned())),
        (["destinations", "webhooks", id], "DELETE") => Ok(Call::DeleteWebhook((*id).to_owned())),
        (["policies", _] | ["destinations", "webhooks", _], _) => not_allowed("GET, PUT, DELETE"),
        (["available_alerts"], "GET") => Ok(Call::AvailableAlerts),
        (["history"], "GET") => history_query(query).map(Call::History),
        (["available_alerts"] | ["history"], _) => not_allowed("GET"),
        (["destinations", "pagerduty", ..], _) => Err(ApiError::NotOffered {
            what: "PagerDuty (alerting/v3/destinations/pagerduty)",
        }),
        (["destinations", "eligible"], _) => Err(ApiError::NotOffered {
            what: "alerting/v3/destinations/eligible",
        }),
        (["silences", ..], _) => Err(ApiError::NotOffered {
            what: "silences (alerting/v3/silences)",
        }),
        _ => Err(ApiError::NoRoute),
    }
}

fn is_id(segment: &str) -> bool {
    (1..=64).contains(&segment.len())
        && segment
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn history_query(query: &[(String, String)]) -> Result<HistoryQuery, ApiError> {
    let mut read = HistoryQuery {
        page: 1,
        per_page: PAGE_RECORDS.0,
        since_millis: 0,
        before_millis: u64::MAX >> 11,
    };
    for (name, value) in query {
        let number = |most: u64| {
            let number = value.parse::<u64>().ok().filter(|n| (1..=most).contains(n));
            number.ok_or_else(|| invalid(name, &format!("must be a number from 1 to {most}")))
        };
        let instant = || {
            time::instant_from_str(value)
                .and_then(|nanos| u64::try_from(nanos / 1_000_000).ok())
                .ok_or_else(|| invalid(name, "must be a time in RFC 3339"))
        };
        match name.as_str() {
            "page" => read.page = number(1_000_000)?,
            "per_page" => read.per_page = number(PAGE_RECORDS.1)?,
            "since" => read.since_millis = instant()?,
            "before" => read.before_millis = instant()?,
            _ => {}
        }
    }
    Ok(read)
}

/// Does a call and answers it. A webhook is kept only when it has taken the test message.
pub async fn handle_alerting(
    route: &AlertingRoute,
    access: Access,
    body: &[u8],
    services: &AlertingServices<'_, impl AlertStore, impl WebhookTester>,
) -> ApiResponse {
    match answer(route, access, body, services).await {
        Ok(response) => response,
        Err(error) => error.into(),
    }
}

async fn answer(
    route: &AlertingRoute,
    access: Access,
    body: &[u8],
    services: &AlertingServices<'_, impl AlertStore, impl WebhookTester>,
) -> Result<ApiResponse, ApiError> {
    let AlertingRoute { account, call } = route;
    let mask = match access {
        Access::None => return Err(ApiError::Unauthenticated),
        Access::Read if call.needs_write() => return Err(ApiError::ReadOnly),
        Access::Read => true,
        Access::Write => false,
    };
    let store = services.store;
    let now = time::rfc3339_millis(services.now_millis);
    let result = match call {
        AlertingCall::ListPolicies => {
            let policies = store.policies(account).await?;
            policies.iter().map(Policy::to_api).collect()
        }
        AlertingCall::GetPolicy(id) => policy(store, account, id).await?.to_api(),
        AlertingCall::CreatePolicy => {
            let input = PolicyInput::from_json(&read_json(body)?)?;
            let created = input.into_new(services.new_id.clone(), account.clone(), &now)?;
            check_mechanisms(&created, services).await?;
            if store.policies(account).await?.len() >= MAX_PER_ACCOUNT {
                return Err(full("policies"));
            }
            store.put_policy(&created).await?;
            json!({"id": created.id})
        }
        AlertingCall::UpdatePolicy(id) => {
            let input = PolicyInput::from_json(&read_json(body)?)?;
            let changed = input.apply_to(policy(store, account, id).await?, &now)?;
            check_mechanisms(&changed, services).await?;
            store.put_policy(&changed).await?;
            json!({"id": id})
        }
        AlertingCall::DeletePolicy(id) => {
            policy(store, account, id).await?;
            store.delete_policy(id).await?;
            json!({"id": id})
        }
        AlertingCall::ListWebhooks => {
            let webhooks = store.webhooks(account).await?;
            webhooks
                .iter()
                .map(|webhook| webhook.to_api(mask))
                .collect()
        }
        AlertingCall::GetWebhook(id) => webhook(store, account, id).await?.to_api(mask),
        AlertingCall::CreateWebhook => {
            let input = WebhookInput::from_json(&read_json(body)?)?;
            let (id, private) = (services.new_id.clone(), services.allow_private);
            let created = input.into_new(id, account.clone(), &now, private)?;
            if store.webhooks(account).await?.len() >= MAX_PER_ACCOUNT {
                return Err(full("webhooks"));
            }
            keep_tested(created, &now, services).await?
        }
        AlertingCall::UpdateWebhook(id) => {
            let input = WebhookInput::from_json(&read_json(body)?)?;
            let known = webhook(store, account, id).await?;
            let changed = input.apply_to(known, services.allow_private)?;
            keep_tested(changed, &now, services).await?
        }
        AlertingCall::DeleteWebhook(id) => {
            webhook(store, account, id).await?;
            let policies = store.policies(account).await?;
            let users = policies
                .iter()
                .filter(|one| one.mechanisms.webhooks.contains(id));
            let users: Vec<&str> = users.map(|policy| policy.name.as_str()).collect();
            if !users.is_empty() {
                let text = format!(
                    "is used by the policies {}; change or delete them first",
                    users.join(", ")
                );
                return Err(invalid("webhook", &text));
            }
            store.delete_webhook(id).await?;
            json!({"id": id})
        }
        AlertingCall::AvailableAlerts => available_alerts(),
        AlertingCall::History(query) => {
            let HistoryPage { records, total } = store.history(account, query).await?;
            let info = json!({
                "page": query.page, "per_page": query.per_page, "count": records.len(), "total_count": total,
            });
            let mut response = ApiResponse::ok(records.into());
            if let Some(body) = response.body.as_object_mut() {
                body.insert("result_info".to_owned(), info);
            }
            return Ok(response);
        }
    };
    Ok(ApiResponse::ok(result))
}

fn full(what: &str) -> ApiError {
    invalid(
        what,
        &format!("there are {MAX_PER_ACCOUNT} already; delete one first"),
    )
}

async fn policy(store: &impl AlertStore, account: &str, id: &str) -> Result<Policy, ApiError> {
    let found = store
        .policies(account)
        .await?
        .into_iter()
        .find(|one| one.id == id);
    found.ok_or(ApiError::NotFound { what: "policy" })
}

async fn webhook(store: &impl AlertStore, account: &str, id: &str) -> Result<Webhook, ApiError> {
    let found = store
        .webhooks(account)
        .await?
        .into_iter()
        .find(|one| one.id == id);
    found.ok_or(ApiError::NotFound { what: "webhook" })
}

/// Whether the policy's alerts could go where it says.
async fn check_mechanisms(
    policy: &Policy,
    services: &AlertingServices<'_, impl AlertStore, impl WebhookTester>,
) -> Result<(), ApiError> {
    let mechanisms = &policy.mechanisms;
    if let Some(why) = services.no_email.filter(|_| !mechanisms.email.is_empty()) {
        return Err(invalid("mechanisms.email", why));
    }
    if mechanisms.webhooks.is_empty() {
        return Ok(());
    }
    let known = services.store.webhooks(&policy.account).await?;
    let missing = mechanisms
        .webhooks
        .iter()
        .find(|id| !known.iter().any(|one| one.id == **id));
    match missing {
        Some(id) => Err(invalid(
            "mechanisms.webhooks",
            &format!("this account has no webhook {id}"),
        )),
        None => Ok(()),
    }
}

async fn keep_tested(
    mut webhook: Webhook,
    now: &str,
    services: &AlertingServices<'_, impl AlertStore, impl WebhookTester>,
) -> Result<Value, ApiError> {
    let tested = services.tester.test(&webhook).await;
    tested.map_err(|text| {
        invalid(
            "url",
            &format!("the webhook did not take the test message: {text}"),
        )
    })?;
    webhook.last_success = Some(now.to_owned());
    services.store.put_webhook(&webhook).await?;
    Ok(json!({"id": webhook.id}))
}

fn available_alerts() -> Value {
    let list = AlertType::ALL.map(|kind| {
        let job = kind.is_about_job().then_some("job_id");
        let filters: Vec<Value> = ["zones", "dataset", "severity"]
            .into_iter()
            .chain(job)
            .map(|key| json!({"Key": key, "Optional": true, "Range": "0-n"}))
            .collect();
        json!({
            "type": kind,
            "display_name": kind.display_name(),
            "description": kind.description(),
            "filter_options": filters,
        })
    });
    json!({"Logpush": list})
}

impl From<InputError> for ApiError {
    fn from(error: InputError) -> Self {
        Self::InvalidInput(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: &str, path: &str) -> Option<Result<AlertingCall, ApiError>> {
        let query = [("page".to_owned(), "2".to_owned())];
        let route =
            AlertingRoute::parse(method, &format!("/client/v4/accounts/a1/{path}"), &query)?;
        Some(route.map(|route| {
            assert_eq!(route.account, "a1");
            route.call
        }))
    }

    #[test]
    fn a_request_line_means_one_call() {
        use AlertingCall as Call;
        let id = || "0a".to_owned();
        let page = HistoryQuery {
            page: 2,
            per_page: 25,
            since_millis: 0,
            before_millis: u64::MAX >> 11,
        };
        let table = [
            ("GET", "policies", Call::ListPolicies),
            ("POST", "policies", Call::CreatePolicy),
            ("GET", "policies/0a", Call::GetPolicy(id())),
            ("PUT", "policies/0a", Call::UpdatePolicy(id())),
            ("DELETE", "policies/0a", Call::DeletePolicy(id())),
            ("GET", "destinations/webhooks", Call::ListWebhooks),
            ("POST", "destinations/webhooks", Call::CreateWebhook),
            ("GET", "destinations/webhooks/0a", Call::GetWebhook(id())),
            ("PUT", "destinations/webhooks/0a", Call::UpdateWebhook(id())),
            (
                "DELETE",
                "destinations/webhooks/0a",
                Call::DeleteWebhook(id()),
            ),
            ("GET", "available_alerts", Call::AvailableAlerts),
            ("GET", "history", Call::History(page)),
        ];
        for (method, path, call) in table {
            assert_eq!(
                parse(method, &format!("alerting/v3/{path}")),
                Some(Ok(call)),
                "{method} {path}"
            );
        }
        assert_eq!(parse("GET", "logpush/jobs"), None);
        assert_eq!(
            AlertingRoute::parse("GET", "/client/v4/zones/z/alerting/v3/policies", &[]),
            None
        );
    }

    #[test]
    fn a_known_path_says_which_methods_it_takes_and_others_are_no_route() {
        for (method, path, allowed) in [
            ("DELETE", "policies", "GET, POST"),
            ("PATCH", "destinations/webhooks", "GET, POST"),
            ("POST", "policies/0a", "GET, PUT, DELETE"),
            ("PATCH", "destinations/webhooks/0a", "GET, PUT, DELETE"),
            ("POST", "history", "GET"),
            ("PUT", "available_alerts", "GET"),
        ] {
            let expected = Some(Err(ApiError::MethodNotAllowed { allowed }));
            assert_eq!(
                parse(method, &format!("alerting/v3/{path}")),
                expected,
                "{method} {path}"
            );
        }
        for path in [
            "",
            "policy",
            "policies/",
            "policies/a/b",
            "policies/a_b",
            "destinations",
            "history/1",
        ] {
            assert_eq!(
                parse("GET", &format!("alerting/v3/{path}")),
                Some(Err(ApiError::NoRoute)),
                "{path}"
            );
        }
        for path in [
            "destinations/pagerduty",
            "destinations/pagerduty/connect",
            "destinations/eligible",
            "silences",
        ] {
            let answer = parse("GET", &format!("alerting/v3/{path}"));
            assert!(
                matches!(answer, Some(Err(ApiError::NotOffered { .. }))),
                "{path}"
            );
        }
    }

    #[test]
    fn the_history_is_asked_for_by_page_and_time() {
        let read = |query: &[(&str, &str)]| {
            let query: Vec<_> = query
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect();
            history_query(&query).map_err(|e| e.to_string())
        };
        let asked = read(&[
            ("per_page", "5"),
            ("since", "1970-01-01T00:00:01Z"),
            ("before", "1970-01-01T00:00:02Z"),
            ("x", "y"),
        ]);
        assert_eq!(
            asked,
            Ok(HistoryQuery {
                page: 1,
                per_page: 5,
                since_millis: 1_000,
                before_millis: 2_000
            })
        );
        for (name, value, text) in [
            ("page", "0", "page: must be a number from 1 to 1000000"),
            (
                "per_page",
                "1001",
                "per_page: must be a number from 1 to 1000",
            ),
            ("since", "yesterday", "since: must be a time in RFC 3339"),
        ] {
            assert_eq!(read(&[(name, value)]), Err(text.to_owned()));
        }
    }
}
