//! Raising alerts, looking for them, and telling them: one request to a webhook, or one mail.

use super::objects::alerts::{OfAccount, OfHistory};
use super::objects::{ALERTS_NAME, Class, call, now_millis};
use super::{config, js, probe, push};
use crate::alerting::delivery::Outcome;
use crate::alerting::{Occurrence, Policy, TEST_MESSAGE, Thresholds, Webhook, email, webhook_body};
use crate::api::{
    Access, AlertStore, AlertingRoute, AlertingServices, ApiResponse, HistoryPage, HistoryQuery,
    StoreError, WebhookTester, handle_alerting,
};
use crate::destination::{REDIRECT, Request, USER_AGENT};
use crate::health::alerts::{AlertsSummary, member};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::{AbortSignal, Env};

/// What is said where e-mail can not be sent.
const NO_EMAIL: &str = "this deployment can not send e-mail; add a send_email binding named EMAIL to wrangler.toml and \
    set ALERT_EMAIL_FROM (docs/alerts.md)";

/// Characters of an answer that an error repeats.
const EXCERPT_CHARS: usize = 200;

/// Raises an alert. When this is `Ok` it is durable, and told by the [`Alerts`](super::objects::alerts::Alerts) object's
/// alarm; raising the same occurrence again changes nothing.
///
/// # Errors
/// When the object could not be asked: raise it again.
pub async fn raise(env: &Env, occurrence: &Occurrence) -> worker::Result<()> {
    call(env, Class::Alerts, ALERTS_NAME, "raise", occurrence).await
}

/// Looks for datasets that fell silent and for bad lines.
pub async fn look(env: &Env) {
    if let Err(e) = call::<_, ()>(env, Class::Alerts, ALERTS_NAME, "look", &()).await {
        worker::console_error!("alerts were not looked for: {e}");
    }
}

/// The member `alerts` of `/stats`.
pub async fn stats(env: &Env, scope: Option<&str>, dataset: Option<&str>) -> Value {
    let summary = call::<_, AlertsSummary>(env, Class::Alerts, ALERTS_NAME, "summary", &()).await;
    if let Err(e) = &summary {
        worker::console_error!("stats of alerts: {e}");
    }
    let (_, misconfigured) = Thresholds::read(|name| config::text(env, name));
    member(summary.ok().as_ref(), scope, dataset, &misconfigured)
}

/// Answers a call of the Notifications API.
pub async fn handle(env: &Env, route: &AlertingRoute, access: Access, body: &[u8]) -> ApiResponse {
    let outside = Outside { env };
    let can_mail = mailer(env).is_some();
    let services = AlertingServices {
        store: &outside,
        tester: &outside,
        allow_private: config::is_on(env, config::ALLOW_PRIVATE_DESTINATIONS),
        no_email: (!can_mail).then_some(NO_EMAIL),
        new_id: js::unique_name().replace('-', ""),
        now_millis: now_millis(),
    };
    handle_alerting(route, access, body, &services).await
}

struct Outside<'e> {
    env: &'e Env,
}

impl Outside<'_> {
    async fn call<Q: Serialize, A: DeserializeOwned>(
        &self,
        operation: &str,
        question: &Q,
    ) -> Result<A, StoreError> {
        let answer = call(self.env, Class::Alerts, ALERTS_NAME, operation, question).await;
        answer.map_err(|e| {
            worker::console_error!("alerts: {e}");
            StoreError {
                text: "the alerts did not answer; try again".to_owned(),
            }
        })
    }
}

impl AlertStore for Outside<'_> {
    async fn policies(&self, account: &str) -> Result<Vec<Policy>, StoreError> {
        let account = account.to_owned();
        self.call("policies", &OfAccount { account }).await
    }

    async fn put_policy(&self, policy: &Policy) -> Result<(), StoreError> {
        self.call("put_policy", policy).await
    }

    async fn delete_policy(&self, id: &str) -> Result<(), StoreError> {
        self.call("delete_policy", &id).await
    }

    async fn webhooks(&self, account: &str) -> Result<Vec<Webhook>, StoreError> {
        let account = account.to_owned();
        self.call("webhooks", &OfAccount { account }).await
    }

    async fn put_webhook(&self, webhook: &Webhook) -> Result<(), StoreError> {
        self.call("put_webhook", webhook).await
    }

    async fn delete_webhook(&self, id: &str) -> Result<(), StoreError> {
        self.call("delete_webhook", &id).await
    }

    async fn history(
        &self,
        account: &str,
        query: &HistoryQuery,
    ) -> Result<HistoryPage, StoreError> {
        let (account, query) = (account.to_owned(), query.clone());
        self.call("history", &OfHistory { account, query }).await
    }
}

impl WebhookTester for Outside<'_> {
    async fn test(&self, webhook: &Webhook) -> Result<(), String> {
        match post(self.env, webhook, TEST_MESSAGE).await {
            Outcome::Taken => Ok(()),
            Outcome::Failed { reason, .. } => Err(reason),
        }
    }
}

/// Tells a webhook, once.
pub async fn post_alert(
    env: &Env,
    webhook: &Webhook,
    policy: &Policy,
    occurrence: &Occurrence,
) -> Outcome {
    post(
        env,
        webhook,
        &webhook_body(webhook.kind, policy, occurrence),
    )
    .await
}

fn failed(reason: impl Into<String>) -> Outcome {
    Outcome::Failed {
        retry_after_secs: None,
        reason: reason.into(),
    }
}

async fn post(env: &Env, webhook: &Webhook, body: &str) -> Outcome {
    let allow_private = config::is_on(env, config::ALLOW_PRIVATE_DESTINATIONS);
    let target = match webhook.target(allow_private, |name| config::text(env, name)) {
        Ok(target) => target,
        Err(e) => return failed(e.to_string()),
    };
    let mut headers = vec![
        ("Content-Type".to_owned(), "application/json".to_owned()),
        ("User-Agent".to_owned(), USER_AGENT.to_owned()),
    ];
    headers.extend(target.headers.clone());
    let request = Request {
        method: "POST",
        url: target.url.clone(),
        headers,
    };
    let body = JsValue::from_str(body);
    let sent = probe::within_deadline(async |signal: AbortSignal| {
        let response = push::fetch(&request, body, &signal)
            .await
            .map_err(|e| js::describe(&e))?;
        if response.ok() {
            return Ok(Outcome::Taken);
        }
        let wait = response.headers().get("retry-after").ok().flatten();
        let answer = push::first_bytes(&response).await;
        let answer: String = String::from_utf8_lossy(&answer)
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let answer = match response.status() {
            300..=399 => REDIRECT,
            _ => answer.trim(),
        };
        Ok(Outcome::Failed {
            retry_after_secs: wait.and_then(|text| text.trim().parse().ok()),
            reason: format!("error {}: {}", response.status(), answer),
        })
    })
    .await;
    match sent {
        Ok(Outcome::Failed {
            retry_after_secs,
            reason,
        }) => Outcome::Failed {
            retry_after_secs,
            // Redacted before it is cut, so that no part of a secret is left at the end.
            reason: target.redact(&reason).chars().take(EXCERPT_CHARS).collect(),
        },
        Ok(taken) => taken,
        Err(reason) => failed(target.redact(&reason)),
    }
}

/// The binding and the sender's address, if both are there.
fn mailer(env: &Env) -> Option<(js::SendEmail, String)> {
    let binding = js_sys::Reflect::get(env, &config::EMAIL.into()).ok()?;
    let is_there = !binding.is_undefined() && !binding.is_null();
    let from = config::text(env, config::ALERT_EMAIL_FROM)?;
    is_there.then(|| (binding.unchecked_into(), from))
}

/// Sends one mail.
pub async fn send_email(env: &Env, policy: &Policy, occurrence: &Occurrence, to: &str) -> Outcome {
    let Some((binding, from)) = mailer(env) else {
        return failed(NO_EMAIL);
    };
    let mail = email(policy, occurrence);
    let message = js::object(&[
        ("from", from.into()),
        ("to", to.into()),
        ("subject", mail.subject.into()),
        ("text", mail.text.into()),
    ]);
    let sent = probe::within_deadline(async |_| {
        let sent = binding.send(&message).map_err(|e| js::describe(&e))?;
        JsFuture::from(sent).await.map_err(|e| js::describe(&e))
    })
    .await;
    match sent {
        Ok(_) => Outcome::Taken,
        Err(reason) => failed(reason.chars().take(EXCERPT_CHARS).collect::<String>()),
    }
}
