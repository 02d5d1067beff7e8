//! One test message to a destination, or one small file. Nothing is kept and nothing is tried again: somebody waits for
//! the answer.

use super::objects::now_millis;
use super::push::object::{Attempt, Begun, Content};
use super::push::records::Source;
use super::push::{Part, body};
use super::{config, js, push};
use crate::api::DestinationTester;
use crate::destination::{
    self, Delivery, Encoding, Frame, Framer, Object, Outcome, TEST_DEADLINE_MILLIS, TEST_MESSAGE,
    TEST_MESSAGE_GZIP, TEST_RECORD,
};
use crate::logpush::destination_conf::{DestinationConf, DestinationPolicy, ResolvedDestination};
use futures_util::future::{Either, select};
use std::future::Future;
use std::pin::pin;
use std::time::Duration;
use worker::{AbortController, AbortSignal, Delay, Env};

/// Sends test messages with the deployment's secrets.
pub struct Probe<'e> {
    /// Where the secrets are.
    pub env: &'e Env,
}

impl DestinationTester for Probe<'_> {
    async fn test(&self, destination_conf: &str) -> Result<(), String> {
        let outcome = within_deadline(|signal| self.send(destination_conf, signal)).await?;
        match outcome {
            Outcome::Failed(failure) => Err(failure.reason),
            _ => Ok(()),
        }
    }

    async fn put_file(
        &self,
        destination_conf: &str,
        file: &str,
        content: &str,
    ) -> Result<Option<String>, String> {
        let resolved = self.resolve(destination_conf)?;
        let object = destination::file_object(&resolved, file, "text/plain", false, now_millis())?;
        let Some(object) = object else {
            return Ok(None);
        };
        let content = Content::Bytes(js::bytes(content.as_bytes()));
        let outcome = within_deadline(async |signal: AbortSignal| {
            self.put(&resolved, &object, &content, &signal).await
        })
        .await?;
        match outcome {
            Outcome::Failed(failure) => Err(failure.reason),
            _ => Ok(Some(object.name)),
        }
    }
}

/// Runs what waits for a destination, and gives it up after the deadline.
pub async fn within_deadline<T, F: Future<Output = Result<T, String>>>(
    work: impl FnOnce(AbortSignal) -> F,
) -> Result<T, String> {
    let controller = AbortController::default();
    let attempt = pin!(work(controller.signal()));
    let deadline = Delay::from(Duration::from_millis(TEST_DEADLINE_MILLIS));
    match select(attempt, deadline).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => {
            controller.abort();
            let secs = TEST_DEADLINE_MILLIS / 1000;
            Err(format!("no answer within {secs} s"))
        }
    }
}

impl Probe<'_> {
    fn policy(&self) -> DestinationPolicy {
        DestinationPolicy {
            allow_private: config::is_on(self.env, config::ALLOW_PRIVATE_DESTINATIONS),
        }
    }

    /// The same as a push of one record.
    async fn perform(
        &self,
        destination: &ResolvedDestination,
        delivery: &Delivery,
    ) -> Result<Outcome, String> {
        let part = Part {
            seq: 0,
            kind: "inline".to_owned(),
            object: None,
            start: None,
            bytes: TEST_RECORD.len() as u64,
            records: 1,
        };
        let bucket = self
            .env
            .bucket(config::ARCHIVE)
            .map_err(|e| e.to_string())?;
        let source = Source {
            bucket: &bucket,
            parts: &[part],
            assembly: None,
            inline: &|_| Ok(js::bytes(TEST_RECORD)),
        };
        push::perform(self.env, destination, delivery, None, &source)
            .await
            .map_err(|e| format!("{e:?}"))
    }

    fn resolve(&self, destination_conf: &str) -> Result<ResolvedDestination, String> {
        DestinationConf::parse(destination_conf, self.policy())
            .map_err(|e| e.to_string())?
            .resolve(|name| config::text(self.env, name))
            .map_err(|e| e.to_string())
    }

    async fn put(
        &self,
        resolved: &ResolvedDestination,
        object: &Object,
        content: &Content,
        signal: &AbortSignal,
    ) -> Result<Outcome, String> {
        let attempt = Attempt {
            env: self.env,
            resolved,
            object,
            signal,
            allow_private: self.policy().allow_private,
            begun: &Begun::default(),
        };
        let put = attempt.put(content).await;
        put.map_err(|_| "the file can not be read".to_owned())
    }

    async fn send(&self, destination_conf: &str, signal: AbortSignal) -> Result<Outcome, String> {
        let resolved = self.resolve(destination_conf)?;
        let id = format!("test-{}", js::unique_name());
        let push = destination::Push::test_message(&id, now_millis());
        let (request, encoding, frame) = match destination::delivery(&resolved, &push)? {
            Delivery::Request {
                request,
                encoding,
                frame,
            } => (request, encoding, frame),
            Delivery::Object(object) => {
                let content = Content::Bytes(js::bytes(&TEST_MESSAGE_GZIP));
                return self.put(&resolved, &object, &content, &signal).await;
            }
            other => return self.perform(&resolved, &other).await,
        };
        let body = match (encoding, &frame) {
            (Encoding::Gzip, Frame::Stored) => js::bytes(&TEST_MESSAGE_GZIP).into(),
            _ => {
                let (mut framer, mut body) = (Framer::new(&frame), Vec::new());
                framer
                    .record(TEST_MESSAGE.as_bytes(), &mut body)
                    .and_then(|()| framer.finish(&mut body))
                    .map_err(|e| e.to_string())?;
                body::encoded(&body, encoding).await?
            }
        };
        let response = match push::fetch(&request, body, &signal).await {
            Ok(response) => response,
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
