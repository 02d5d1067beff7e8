//! One test message to a destination. Nothing is kept and nothing is tried again: somebody waits for the answer.

use super::{config, js, push};
use crate::api::DestinationTester;
use crate::destination::{self, Outcome, TEST_DEADLINE_MILLIS, TEST_MESSAGE_GZIP};
use crate::logpush::destination_conf::{DestinationConf, DestinationPolicy};
use futures_util::future::{Either, select};
use std::pin::pin;
use std::time::Duration;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use worker::{AbortController, AbortSignal, Delay, Env};

/// Sends test messages with the deployment's secrets.
pub struct Probe<'e> {
    /// Where the secrets are.
    pub env: &'e Env,
}

impl DestinationTester for Probe<'_> {
    async fn test(&self, destination_conf: &str) -> Result<(), String> {
        let controller = AbortController::default();
        let signal = controller.signal();
        let attempt = pin!(self.send(destination_conf, &signal));
        let deadline = Delay::from(Duration::from_millis(TEST_DEADLINE_MILLIS));
        match select(attempt, deadline).await {
            Either::Left((Ok(Outcome::Accepted), _)) => Ok(()),
            Either::Left((Ok(Outcome::RetryLater { reason, .. }), _)) => Err(reason),
            Either::Left((Err(reason), _)) => Err(reason),
            Either::Right(_) => {
                controller.abort();
                let secs = TEST_DEADLINE_MILLIS / 1000;
                Err(format!("no answer within {secs} s"))
            }
        }
    }
}

impl Probe<'_> {
    async fn send(&self, destination_conf: &str, signal: &AbortSignal) -> Result<Outcome, String> {
        let policy = DestinationPolicy {
            allow_private: config::is_on(self.env, config::ALLOW_PRIVATE_DESTINATIONS),
        };
        let conf = DestinationConf::parse(destination_conf, policy).map_err(|e| e.to_string())?;
        let resolved = conf
            .resolve(|name| config::text(self.env, name))
            .map_err(|e| e.to_string())?;
        let id = format!("test-{}", js::unique_name());
        let request = destination::request(&resolved, &destination::Push::ndjson_gzip(&id));
        let headers = web_sys::Headers::new().map_err(|e| js::describe(&e))?;
        for (name, value) in &request.headers {
            // The runtime's own text may repeat the value.
            headers
                .set(name, value)
                .map_err(|e| resolved.redact(&js::describe(&e)))?;
        }
        let init = js::object(&[
            ("method", request.method.into()),
            ("headers", headers.into()),
            ("body", js::bytes(&TEST_MESSAGE_GZIP).into()),
            // A redirect would carry the credentials to a place that nobody configured.
            ("redirect", "manual".into()),
            ("signal", JsValue::clone(signal)),
        ]);
        let sent =
            js::fetch(&request.url, &init).map_err(|e| resolved.redact(&js::describe(&e)))?;
        let response: web_sys::Response = match JsFuture::from(sent).await {
            Ok(response) => response.into(),
            Err(e) => return Ok(Outcome::from_network_error(&resolved, &js::describe(&e))),
        };
        let answer = destination::Answer {
            status: response.status(),
            retry_after: None,
            body: &push::first_bytes(&response).await,
        };
        // When it may be tried again is for somebody else to say, so the time does not matter.
        Ok(Outcome::from_answer(&resolved, &answer, 0))
    }
}
