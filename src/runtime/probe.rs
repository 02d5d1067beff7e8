//! One test message to a destination, or one small file. Nothing is kept and nothing is tried again: somebody waits for
//! the answer.

use super::objects::now_millis;
use super::push::Part;
use super::records::Source;
use super::{config, js, push};
use crate::api::DestinationTester;
use crate::destination::{
    self, Delivery, Encoding, Frame, Framer, Outcome, TEST_DEADLINE_MILLIS, TEST_MESSAGE,
    TEST_MESSAGE_GZIP, TEST_RECORD, storage,
};
use crate::logpush::destination_conf::{
    DestinationConf, DestinationPolicy, ResolvedDestination, Storage,
};
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
        let storage = Storage::parse(destination_conf, self.policy(), |name| {
            config::text(self.env, name)
        });
        let Some(storage) = storage.map_err(|e| e.to_string())? else {
            return Ok(None);
        };
        let now_unix_secs = now_millis() / 1000;
        let object = storage::object_name(&storage, file, now_unix_secs);
        let request = storage::put(&storage, &object, now_unix_secs)?;
        let body = js::bytes(content.as_bytes());
        within_deadline(async |signal: AbortSignal| {
            let response = push::fetch(&request, body.into(), &signal).await;
            // The runtime's own text may repeat the URL, which is signed.
            let response = response.map_err(|_| "the storage can not be reached".to_owned())?;
            if response.ok() {
                return Ok(());
            }
            let body = push::first_bytes(&response).await;
            Err(storage::refusal(response.status(), &body))
        })
        .await?;
        Ok(Some(object))
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

    async fn send(&self, destination_conf: &str, signal: AbortSignal) -> Result<Outcome, String> {
        let conf =
            DestinationConf::parse(destination_conf, self.policy()).map_err(|e| e.to_string())?;
        let resolved = conf
            .resolve(|name| config::text(self.env, name))
            .map_err(|e| e.to_string())?;
        let id = format!("test-{}", js::unique_name());
        let (request, encoding, frame) =
            match destination::delivery(&resolved, &destination::Push::ndjson(&id))? {
                Delivery::Request {
                    request,
                    encoding,
                    frame,
                } => (request, encoding, frame),
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
                push::encoded(&body, encoding).await?
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
