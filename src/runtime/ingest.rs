//! One upload from Logpush: authenticate, archive, read once, hand each job its selection, commit, answer.
//!
//! The order of the durable steps, and why dying between any two of them is harmless: the object (found again by its
//! key, which is made of the bytes), spooled payloads (unique to the attempt), outboxes (know the batch id), ledger row
//! (the commit point). Only then 200.

use super::archive::{Archive, Archived, ObjectFacts};
use super::js::{self, BlockReader};
use super::objects::ledger::Count;
use super::objects::{Class, call, now_millis};
use super::pipeline::{self, Pipeline};
use super::slots::Most;
use super::{archive, config, jobs, tail};
use crate::api::bearer_token;
use crate::batch::incoming::Incoming;
use crate::batch::reader::Encoding;
use crate::batch::test_message::is_test_message;
use crate::ledger::{Lookup, Occurrence, instance_name as ledger_name};
use crate::limits::{BATCHES_IN_FLIGHT_MAX, BYTES_IN_FLIGHT_MAX};
use crate::logpush::archive_key::{ArchiveKey, UNDATED_DAY};
use crate::logpush::catalogue::Dataset;
use crate::logpush::scope::Scope;
use crate::route::Routes;
use crate::time;
use futures_util::future::join3;
use js_sys::Uint8Array;
use serde_json::{Value, json};
use std::collections::HashMap;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use worker::crypto::{DigestStream, DigestStreamAlgorithm};
use worker::{Bucket, Context, Env, Request, Response, Result};

mod hand_over;

/// Seconds after which Logpush should try again when we can not take a batch now.
const RETRY_AFTER_SECS: &str = "5";

/// Objects that begin like a batch, looked at to find its own. A sender would have to cut one batch anew that often.
const RIVALS_MAX: usize = 8;

/// Where an upload was sent.
pub struct Target {
    /// Zone or account.
    pub scope: Scope,
    /// The dataset.
    pub dataset: String,
}

/// Why an upload was not taken. Nothing of it counts; the sender keeps its copy.
enum Refusal {
    /// The batch can be sent again later: 503 with Retry-After.
    Later { code: &'static str, message: String },
    /// The sender has to change something.
    Status {
        status: u16,
        code: &'static str,
        message: String,
    },
}

fn later(code: &'static str) -> impl Fn(String) -> Refusal {
    move |message| Refusal::Later { code, message }
}

fn unreachable_object(e: worker::Error) -> Refusal {
    later("storage_unavailable")(e.to_string())
}

/// Answers one upload.
///
/// Lines for those who watch are handed over after the answer, in `context`.
pub async fn handle(
    request: &Request,
    env: &Env,
    context: &Context,
    target: &Target,
) -> Result<Response> {
    match take(request, env, context, target).await {
        Ok(body) => Response::from_json(&body),
        Err(Refusal::Later { code, message }) => {
            worker::console_error!("{}/{}: {code}: {message}", target.scope, target.dataset);
            let response = refusal(503, code, &message)?;
            response.headers().set("Retry-After", RETRY_AFTER_SECS)?;
            Ok(response)
        }
        Err(Refusal::Status {
            status,
            code,
            message,
        }) => refusal(status, code, &message),
    }
}

fn refusal(status: u16, code: &str, message: &str) -> Result<Response> {
    let body = json!({"ok": false, "error": {"code": code, "message": message}});
    Ok(Response::from_json(&body)?.with_status(status))
}

fn authenticate(request: &Request, env: &Env) -> std::result::Result<(), Refusal> {
    let Some(secrets) = config::text(env, config::INGEST_SECRET) else {
        return Err(later("secret_not_configured")(
            "INGEST_SECRET is not set, so no upload is taken: run `wrangler secret put INGEST_SECRET`".to_owned(),
        ));
    };
    let headers = request.headers();
    let presented = ["Authorization", "X-Logpush-Secret", "X-CF-Secret"]
        .into_iter()
        .filter_map(|name| Some((name, headers.get(name).ok().flatten()?)))
        .map(|(name, value)| match name {
            "Authorization" => bearer_token(&value).unwrap_or_default().to_owned(),
            _ => value,
        });
    // Every header is looked at, so that the time does not tell which one was right.
    let mut is_known = false;
    for secret in presented {
        is_known |= crate::secret::any_secret(secret.as_bytes(), &secrets);
    }
    if is_known {
        return Ok(());
    }
    Err(Refusal::Status {
        status: 401,
        code: "unauthorized",
        message: "no or wrong secret: send it as `Authorization: Bearer …`, `X-Logpush-Secret` or `X-CF-Secret` \
            (in destination_conf: `header_Authorization=Bearer%20…`)"
            .to_owned(),
    })
}

/// The length of the body, if the sender says it.
fn content_length(request: &Request) -> Option<u64> {
    let length = request.headers().get("Content-Length").ok().flatten()?;
    length.trim().parse().ok()
}

/// What the address says about the batch.
fn announced(request: &Request, target: &Target) -> std::result::Result<Incoming, Refusal> {
    let refuse = |message: String| Refusal::Status {
        status: 400,
        code: "bad_parameter",
        message,
    };
    let url = request.url().map_err(|e| refuse(e.to_string()))?;
    let query = url.query().unwrap_or_default();
    Incoming::new(target.scope.kind(), &target.dataset, query).map_err(|e| refuse(e.to_string()))
}

async fn take(
    request: &Request,
    env: &Env,
    context: &Context,
    target: &Target,
) -> std::result::Result<Value, Refusal> {
    authenticate(request, env)?;
    if config::text(env, config::UNKNOWN_DATASETS).as_deref() == Some("refuse")
        && Dataset::find(target.scope.kind(), &target.dataset).is_none()
    {
        return Err(Refusal::Status {
            status: 404,
            code: "unknown_dataset",
            message: format!(
                "the dataset {} is not in the catalogue, and UNKNOWN_DATASETS is `refuse`",
                target.dataset
            ),
        });
    }
    let incoming = announced(request, target)?;
    let most = Most {
        places: config::number(env, "BATCHES_IN_FLIGHT_MAX")
            .and_then(|most| usize::try_from(most).ok())
            .unwrap_or(BATCHES_IN_FLIGHT_MAX),
        bytes: config::number(env, "BYTES_IN_FLIGHT_MAX").unwrap_or(BYTES_IN_FLIGHT_MAX),
    };
    // Taken before the first await: uploads that come at the same time count each other.
    let Some(slot) = pipeline::place(content_length(request).unwrap_or(0), most) else {
        return Err(later("overloaded")(format!(
            "{} batches of {} bytes are in flight here already",
            pipeline::in_flight(),
            pipeline::bytes_in_flight()
        )));
    };
    let received_at_millis = now_millis();
    let routes = jobs::routes(env, &target.scope, &target.dataset)
        .await
        .map_err(unreachable_object)?;
    let bucket = env.bucket(config::ARCHIVE).map_err(unreachable_object)?;
    let mut batch = Batch {
        env,
        target,
        routes: &routes,
        pipeline: Pipeline::new(Some(slot), &routes, bucket.clone()).expecting(incoming.clone()),
        incoming,
        received_at_millis,
        bucket: &bucket,
        key: None,
        rivals: Vec::new(),
        shown: Vec::new(),
    };
    let result = batch.take(request).await;
    if result.is_err() {
        batch.pipeline.clean_up().await;
    }
    let shown = std::mem::take(&mut batch.shown);
    if !shown.is_empty() {
        context.wait_until(tail::hand_over(env.clone(), shown));
    }
    result
}

/// One batch being taken.
struct Batch<'r> {
    env: &'r Env,
    target: &'r Target,
    routes: &'r Routes,
    pipeline: Pipeline<'r>,
    incoming: Incoming,
    received_at_millis: u64,
    bucket: &'r Bucket,
    key: Option<ArchiveKey>,
    /// The objects that have the keys which this batch would have had.
    rivals: Vec<String>,
    /// What those who watch are shown of it, once it is committed.
    shown: Vec<tail::Shown>,
}

/// Where the bytes of a batch lie.
enum Placed {
    /// In an object that this attempt made.
    New { key: ArchiveKey, bytes: u64 },
    /// In the object of an attempt that died before its commit.
    Adopted { key: ArchiveKey, bytes: u64 },
    /// In the object of a committed batch: there is nothing left to do.
    Committed { object: String },
}

fn object_went_away() -> Refusal {
    later("archive_failed")("the archived object went away".to_owned())
}

impl Batch<'_> {
    async fn take(&mut self, request: &Request) -> std::result::Result<Value, Refusal> {
        let mut archive = Archive::new(self.bucket.clone(), content_length(request));
        let read = self.read(request, &mut archive).await;
        let batch_id = match read {
            Ok(Some(batch_id)) => batch_id,
            Ok(None) => return self.count_test().await,
            Err(refusal) => {
                archive.abort().await;
                return Err(refusal);
            }
        };
        let Some(key) = self.key.take() else {
            archive.abort().await;
            return Err(later("archive_failed")("the archive has no key".to_owned()));
        };
        let day = key.day.clone();
        match self.place(archive, &batch_id, key).await? {
            Placed::New { key, bytes } => self.hand_over(batch_id, key, bytes, false).await,
            Placed::Adopted { key, bytes } => self.hand_over(batch_id, key, bytes, true).await,
            Placed::Committed { object } => self.duplicate(&batch_id, &day, &object).await,
        }
    }

    /// Reads the body to its end; the batch id, or `None` for a test message.
    async fn read(
        &mut self,
        request: &Request,
        archive: &mut Archive,
    ) -> std::result::Result<Option<String>, Refusal> {
        let cut_off = |e: JsValue| Refusal::Status {
            status: 400,
            code: "body_cut_off",
            message: format!("the body ended too early: {}", js::describe(&e)),
        };
        let internal = |e: JsValue| later("internal")(js::describe(&e));
        let digest = DigestStream::new(DigestStreamAlgorithm::Sha256);
        let hasher = digest.raw().get_writer().map_err(internal)?;
        if let Some(body) = request.inner().body() {
            let mut reader = BlockReader::new(&body).map_err(internal)?;
            while let Some(block) = reader.next().await.map_err(cut_off)? {
                // The block is written, hashed and routed at once; all three are done with it before the next one.
                let (written, hashed, routed) = join3(
                    archive.write(&block),
                    JsFuture::from(hasher.write_with_chunk(&block)),
                    self.pipeline.feed(&block),
                )
                .await;
                written.map_err(later("archive_failed"))?;
                hashed.map_err(internal)?;
                routed.map_err(later("spool_failed"))?;
                if archive.wants_key() {
                    let hash = sha256(&archive.first_block()).await.map_err(internal)?;
                    self.begin(archive, hash, false).await?;
                }
            }
        }
        JsFuture::from(hasher.close()).await.map_err(internal)?;
        let batch_id = js::hex(&digest.digest().await.map_err(unreachable_object)?);
        if archive.is_holding() && is_test_message(&archive.first_block().to_vec()) {
            return Ok(None);
        }
        self.pipeline
            .finish()
            .await
            .map_err(later("spool_failed"))?;
        if archive.is_holding() {
            self.begin(archive, batch_id.clone(), true).await?;
        }
        Ok(Some(batch_id))
    }

    /// Makes the key from what was read so far, and begins the object. `is_whole`: what is held is all of the body.
    async fn begin(
        &mut self,
        archive: &mut Archive,
        hash: String,
        is_whole: bool,
    ) -> std::result::Result<(), Refusal> {
        let times = self.pipeline.router.times();
        let is_gzip = self.pipeline.encoding() == Some(Encoding::Gzip);
        let mut key = ArchiveKey::new(
            &self.target.scope,
            &self.target.dataset,
            times.first.zip(times.latest),
            &hash,
            is_gzip,
        );
        // The key of a large batch is made of its beginning, and a sender that cuts a batch anew may send one that begins
        // like another and goes on differently.
        let first_key = key.clone();
        while !is_whole
            && self.rivals.len() < RIVALS_MAX
            && archive::exists(self.bucket, &key.object)
                .await
                .map_err(later("archive_failed"))?
        {
            self.rivals.push(key.object);
            key = first_key.beside(self.rivals.len() + 1);
        }
        let mut metadata = HashMap::from([("dataset".to_owned(), self.target.dataset.clone())]);
        // To read it again, one has to know what its address said.
        metadata.extend(
            self.incoming
                .to_query()
                .map(|query| (archive::CSV_METADATA.to_owned(), query)),
        );
        if let Some(first) = times.first {
            metadata.insert("first-record-time".to_owned(), time::rfc3339(first));
        }
        if is_whole {
            metadata.insert("batch-id".to_owned(), hash);
            metadata.insert(
                "records".to_owned(),
                self.pipeline.meter().records.to_string(),
            );
            for (name, at) in [
                ("earliest-time", times.earliest),
                ("latest-time", times.latest),
            ] {
                metadata.extend(at.map(|at| (name.to_owned(), time::rfc3339(at))));
            }
        }
        let facts = ObjectFacts {
            key: key.object.clone(),
            is_gzip,
            metadata,
        };
        self.key = Some(key);
        archive
            .begin(facts, is_whole)
            .await
            .map_err(later("archive_failed"))
    }

    fn ledger_name(&self, day: &str) -> String {
        ledger_name(&self.target.scope.to_string(), &self.target.dataset, day)
    }

    /// Makes the object exist, unless this batch has one. Nothing is written over and nothing is deleted: what an
    /// uncommitted object belongs to may be about to commit.
    async fn place(
        &self,
        archive: Archive,
        batch_id: &str,
        key: ArchiveKey,
    ) -> std::result::Result<Placed, Refusal> {
        if archive.is_open() {
            let found = self.find(batch_id, &key, archive.is_multipart()).await;
            if !matches!(found, Ok(None)) {
                archive.abort().await;
                return found.and_then(|placed| placed.ok_or_else(object_went_away));
            }
        }
        match archive.finish().await.map_err(later("archive_failed"))? {
            Archived::Stored(bytes) => Ok(Placed::New { key, bytes }),
            Archived::Existed => {
                let found = self.find(batch_id, &key, true).await?;
                found.ok_or_else(object_went_away)
            }
        }
    }

    /// Where this batch is already: committed, under whatever key it came then; or in the object of an attempt that died
    /// before its commit, which is ours when it is proved to hold these bytes. `looks_at_key`: at our own key, too.
    async fn find(
        &self,
        batch_id: &str,
        key: &ArchiveKey,
        looks_at_key: bool,
    ) -> std::result::Result<Option<Placed>, Refusal> {
        let ledger = self.ledger_name(&key.day);
        let known: Lookup = call(self.env, Class::Ledger, &ledger, "lookup", &batch_id)
            .await
            .map_err(unreachable_object)?;
        if let Some(object) = known.object {
            return Ok(Some(Placed::Committed { object }));
        }
        let own = looks_at_key.then_some(&key.object);
        for object in self.rivals.iter().chain(own) {
            let held = archive::size_and_digest(self.bucket, object).await;
            match held.map_err(later("archive_failed"))? {
                Some((bytes, digest)) if digest == batch_id => {
                    let key = ArchiveKey {
                        day: key.day.clone(),
                        object: object.clone(),
                    };
                    return Ok(Some(Placed::Adopted { key, bytes }));
                }
                // Another batch that begins alike was quicker; the next attempt sees that from the beginning.
                Some(_) if *object == key.object => {
                    let message = format!("{object} holds other bytes");
                    return Err(later("archive_key_taken")(message));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    async fn duplicate(
        &mut self,
        batch_id: &str,
        day: &str,
        object: &str,
    ) -> std::result::Result<Value, Refusal> {
        self.pipeline.clean_up().await;
        self.count(Occurrence::Duplicate, day).await?;
        Ok(json!({"ok": true, "result": "duplicate", "batch_id": batch_id, "object": object}))
    }

    async fn count_test(&mut self) -> std::result::Result<Value, Refusal> {
        self.count(Occurrence::Test, UNDATED_DAY).await?;
        Ok(json!({"ok": true, "result": "test"}))
    }

    async fn count(&self, what: Occurrence, day: &str) -> std::result::Result<(), Refusal> {
        let count = Count {
            what,
            scope: self.target.scope.to_string(),
            dataset: self.target.dataset.clone(),
            day: day.to_owned(),
            at_millis: self.received_at_millis,
        };
        let ledger = self.ledger_name(day);
        call(self.env, Class::Ledger, &ledger, "count", &count)
            .await
            .map_err(unreachable_object)
    }
}

/// SHA-256 by the runtime, lower-case hex.
async fn sha256(bytes: &Uint8Array) -> std::result::Result<String, JsValue> {
    let digest = DigestStream::new(DigestStreamAlgorithm::Sha256);
    let writer = digest.raw().get_writer()?;
    JsFuture::from(writer.write_with_chunk(bytes)).await?;
    JsFuture::from(writer.close()).await?;
    Ok(js::hex(&digest.digest().await.map_err(JsValue::from)?))
}
