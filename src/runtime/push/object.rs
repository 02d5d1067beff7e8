//! Puts an object into storage: whole, or in parts above a size. What each step is, and what an answer means, is the
//! destination's to say.

use super::{Part, SourceError, fetch, first_bytes, google, stream};
use crate::destination::{Answer, Object, Outcome, Step, Store, r2, without_urls};
use crate::limits::{
    OBJECT_ABORT_DEADLINE_MILLIS, OBJECT_ANSWER_MAX_BYTES, OBJECT_PART_BYTES,
    OBJECT_WHOLE_MAX_BYTES,
};
use crate::logpush::destination_conf::ResolvedDestination;
use crate::runtime::js::{self, BlockReader, FixedLengthStream, R2Bucket};
use crate::runtime::objects::now_millis;
use futures_util::future::select;
use js_sys::Uint8Array;
use std::cell::RefCell;
use std::pin::pin;
use std::time::Duration;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use worker::{AbortController, AbortSignal, Bucket, Delay, Env};

/// What the object holds.
pub enum Content {
    /// Bytes in memory.
    Bytes(Uint8Array),
    /// All of an object of ours, which streams through.
    Archived {
        /// Its bucket.
        bucket: Bucket,
        /// Its name.
        object: String,
        /// Its size.
        bytes: u64,
    },
}

impl Content {
    /// The archived object that alone is a push.
    pub fn archived(bucket: &Bucket, parts: &[Part]) -> Option<Self> {
        match parts {
            [
                Part {
                    kind,
                    object: Some(object),
                    start: Some(bytes),
                    ..
                },
            ] if kind == "archive" => Some(Self::Archived {
                bucket: bucket.clone(),
                object: object.clone(),
                bytes: *bytes,
            }),
            _ => None,
        }
    }

    /// How many there are.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => u64::from(bytes.length()),
            Self::Archived { bytes, .. } => *bytes,
        }
    }

    /// A piece, as a body whose length the runtime knows: storage wants a `Content-Length`.
    async fn piece(&self, at: u64, length: u64) -> Result<JsValue, SourceError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.subarray(at as u32, (at + length) as u32).into()),
            Self::Archived { bucket, object, .. } => {
                let source = stream(bucket, object, Some((at, length))).await?;
                let failed = |e: JsValue| js::describe(&e);
                let fixed = FixedLengthStream::new(length as f64).map_err(failed)?;
                let piped = source.pipe_to(&fixed.writable());
                // Should it break, the request does so too, and that is seen.
                spawn_local(async move { drop(JsFuture::from(piped).await) });
                Ok(fixed.readable())
            }
        }
    }
}

/// An upload in parts that is neither completed nor given up.
#[derive(Default)]
pub struct Begun(RefCell<Option<InParts>>);

struct InParts {
    object: Object,
    id: String,
    token: Option<String>,
}

impl Begun {
    /// Gives the upload up, if there is one, so that its parts are not kept and paid for. Should that fail, or the process
    /// die before it, the bucket's own rule for incomplete uploads does it: docs/destinations.md.
    pub async fn abort(&self) {
        let Some(upload) = self.0.take() else {
            return;
        };
        let step = Step::Abort { upload: &upload.id };
        let call = upload
            .object
            .call(&step, now_millis() / 1000, upload.token.as_deref());
        let Ok(Some(call)) = call else {
            return;
        };
        let controller = AbortController::default();
        let signal = controller.signal();
        let asked = pin!(fetch(&call.request, JsValue::UNDEFINED, &signal));
        let enough = Delay::from(Duration::from_millis(OBJECT_ABORT_DEADLINE_MILLIS));
        select(asked, enough).await;
        controller.abort();
    }
}

/// An answer of storage.
struct Reply {
    status: u16,
    retry_after: Option<String>,
    etag: Option<String>,
    body: Vec<u8>,
}

impl Reply {
    fn answer(&self) -> Answer<'_> {
        Answer {
            status: self.status,
            retry_after: self.retry_after.as_deref(),
            body: &self.body,
        }
    }
}

/// An attempt to put an object.
pub struct Attempt<'a> {
    /// Where bindings are.
    pub env: &'a Env,
    /// Where it goes.
    pub resolved: &'a ResolvedDestination,
    /// What goes there.
    pub object: &'a Object,
    /// Ends it.
    pub signal: &'a AbortSignal,
    /// Whether destinations may be private.
    pub allow_private: bool,
    /// What is left to be given up should the attempt be dropped.
    pub begun: &'a Begun,
}

impl Attempt<'_> {
    /// Puts the object.
    ///
    /// # Errors
    /// When its bytes can not be read. Whatever the storage does is an outcome.
    pub async fn put(&self, content: &Content) -> Result<Outcome, SourceError> {
        if let Store::Bound(binding) = &self.object.store {
            return self.put_bound(binding, content).await;
        }
        let Some(account) = self.object.store.wants_token() else {
            return self.put_with(content, None).await;
        };
        let mut is_first = true;
        loop {
            let token = google::token(account, self.allow_private, self.resolved, self.signal);
            let token = match token.await {
                Ok(token) => token,
                Err(outcome) => return Ok(outcome),
            };
            let outcome = self.put_with(content, Some(&token)).await?;
            match &outcome {
                // A token may be revoked before its time.
                Outcome::Failed(failure) if failure.status == 401 => google::forget(account),
                _ => return Ok(outcome),
            }
            if !std::mem::take(&mut is_first) {
                return Ok(outcome);
            }
        }
    }

    async fn put_with(
        &self,
        content: &Content,
        token: Option<&str>,
    ) -> Result<Outcome, SourceError> {
        if content.bytes() <= OBJECT_WHOLE_MAX_BYTES {
            return self.put_whole(content, token).await;
        }
        let put = self.put_in_parts(content, token).await;
        self.begun.abort().await;
        put
    }

    async fn put_whole(
        &self,
        content: &Content,
        token: Option<&str>,
    ) -> Result<Outcome, SourceError> {
        let body = content.piece(0, content.bytes()).await?;
        Ok(match self.ask(&Step::Whole, Some(body), token).await {
            Ok(_) => Outcome::Accepted,
            Err(outcome) => outcome,
        })
    }

    async fn put_in_parts(
        &self,
        content: &Content,
        token: Option<&str>,
    ) -> Result<Outcome, SourceError> {
        let upload = match self.ask(&Step::Begin, None, token).await {
            Err(outcome) => return Ok(outcome),
            Ok(None) => String::new(),
            Ok(Some(begun)) => match self.object.store.upload_of(&begun.body) {
                Some(upload) => upload,
                None => return Ok(self.unconfirmed()),
            },
        };
        self.begun.0.replace(Some(InParts {
            object: self.object.clone(),
            id: upload.clone(),
            token: token.map(str::to_owned),
        }));
        let mut etags = Vec::new();
        let (mut at, mut number) = (0, 0);
        while at < content.bytes() {
            let length = OBJECT_PART_BYTES.min(content.bytes() - at);
            number += 1;
            let step = Step::Part {
                number,
                upload: &upload,
            };
            let piece = content.piece(at, length).await?;
            match self.ask(&step, Some(piece), token).await {
                Err(outcome) => return Ok(outcome),
                Ok(reply) => etags.push(reply.and_then(|reply| reply.etag).unwrap_or_default()),
            }
            at += length;
        }
        let step = Step::Complete {
            upload: &upload,
            etags: &etags,
        };
        Ok(match self.ask(&step, None, token).await {
            Err(outcome) => outcome,
            Ok(Some(reply)) if self.object.store.is_complete(&reply.answer()) => {
                self.begun.0.take();
                Outcome::Accepted
            }
            Ok(_) => self.unconfirmed(),
        })
    }

    /// Makes one step. `None` where the storage has no such step.
    ///
    /// # Errors
    /// What a refusal means.
    async fn ask(
        &self,
        step: &Step<'_>,
        piece: Option<JsValue>,
        token: Option<&str>,
    ) -> Result<Option<Reply>, Outcome> {
        let call = self.object.call(step, now_millis() / 1000, token);
        let Some(call) = call.map_err(|e| Outcome::misconfigured(&e))? else {
            return Ok(None);
        };
        let body = match (piece, &call.body) {
            (Some(piece), _) => piece,
            (None, Some(text)) => text.into(),
            (None, None) => JsValue::UNDEFINED,
        };
        let lost = |text: &str| Outcome::from_network_error(self.resolved, &without_urls(text));
        let response = fetch(&call.request, body, self.signal)
            .await
            .map_err(|e| lost(&js::describe(&e)))?;
        let header = |name: &str| response.headers().get(name).ok().flatten();
        let mut reply = Reply {
            status: response.status(),
            retry_after: header("retry-after"),
            etag: header("etag"),
            body: Vec::new(),
        };
        reply.body = match step {
            Step::Complete { .. } => all_bytes(&response)
                .await
                .map_err(|e| lost(&js::describe(&e)))?,
            _ => first_bytes(&response).await,
        };
        let now_unix_secs = i64::try_from(now_millis() / 1000).unwrap_or_default();
        match Outcome::from_answer(self.resolved, &reply.answer(), now_unix_secs) {
            Outcome::Accepted => Ok(Some(reply)),
            failed => Err(failed),
        }
    }

    /// An answer that should have said that something was done, and did not.
    fn unconfirmed(&self) -> Outcome {
        let text = "the connection was lost before the storage confirmed the object";
        Outcome::from_network_error(self.resolved, text)
    }

    /// Puts it into a bucket that is bound to this Worker: one call, of any size that a push has.
    async fn put_bound(&self, binding: &str, content: &Content) -> Result<Outcome, SourceError> {
        let Ok(bucket) = self.env.bucket(binding) else {
            let text = format!(
                "destination_conf: binding: this Worker has no R2 bucket that is bound as {binding}; \
                 add it to wrangler.toml and deploy, or correct the name"
            );
            return Ok(Outcome::misconfigured(&text));
        };
        let mut metadata = vec![("contentType", self.object.content_type.as_str().into())];
        if self.object.is_gzip {
            metadata.push(("contentEncoding", "gzip".into()));
        }
        let options = js::object(&[("httpMetadata", js::object(&metadata))]);
        let body = content.piece(0, content.bytes()).await?;
        let put = bucket.as_ref().clone().unchecked_into::<R2Bucket>().put(
            &self.object.name,
            &body,
            &options,
        );
        let done = match put {
            Ok(promise) => JsFuture::from(promise).await,
            Err(e) => Err(e),
        };
        Ok(match done {
            Ok(_) => Outcome::Accepted,
            Err(e) => r2::bound_failure(binding, &js::describe(&e)),
        })
    }
}

/// All of an answer up to [`OBJECT_ANSWER_MAX_BYTES`], without the blanks in front. What it says decides, so it is waited
/// for as long as the push may take.
async fn all_bytes(response: &web_sys::Response) -> Result<Vec<u8>, JsValue> {
    let Some(stream) = response.body() else {
        return Ok(Vec::new());
    };
    let mut reader = BlockReader::as_it_comes(&stream, 4 * 1024)?;
    let mut bytes = Vec::new();
    while let Some(block) = reader.next().await? {
        let block = block.to_vec();
        if bytes.is_empty() {
            bytes.extend(block.trim_ascii_start());
        } else {
            bytes.extend(block);
        }
        if bytes.len() > OBJECT_ANSWER_MAX_BYTES {
            reader.cancel().await;
            break;
        }
    }
    Ok(bytes)
}
