//! One batch: archive, read once, hand each job its selection, commit, answer. It comes as an upload, which is
//! authenticated and written into the archive while it is read; or it lies in the bucket already, where Logpush wrote it,
//! and that object is the archived one. Everything else is the same for both.
//!
//! The order of the durable steps, and why dying between any two of them is harmless: the object (found again by its
//! key, which is made of the bytes), spooled payloads (unique to the attempt), outboxes (know the batch id), ledger row
//! (the commit point). Only then 200.

use super::archive::{Archive, Archived, ObjectFacts};
use super::js::{self, BlockReader};
use super::objects::ledger::Count;
use super::objects::{Class, call, now_millis};
use super::pipeline::{self, Pipeline};
use super::push::SourceError;
use super::slots::{Most, Slot};
use super::{archive, config, jobs, stored, tail};
use crate::api::bearer_token;
use crate::batch::incoming::Incoming;
use crate::batch::reader::Encoding;
use crate::batch::test_message::is_test_message;
use crate::ledger::{Lookup, Occurrence, SeenObject, instance_name as ledger_name};
use crate::limits::{BATCHES_IN_FLIGHT_MAX, BYTES_IN_FLIGHT_MAX};
use crate::logpush::archive_key::{ArchiveKey, UNDATED_DAY};
use crate::logpush::catalogue::Dataset;
use crate::logpush::scope::Scope;
use crate::route::Routes;
use crate::time;
use futures_util::future::join3;
use js_sys::Uint8Array;
use serde::Serialize;
use serde_json::json;
use std::collections::HashMap;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use web_sys::ReadableStream;
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

/// What became of a batch that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TakenAs {
    /// It is committed.
    Accepted,
    /// It had been committed before.
    Duplicate,
    /// It is a test message, and stored nowhere.
    Test,
}

/// A batch that was taken, as the answer says it.
#[derive(Serialize)]
pub struct Taken {
    ok: bool,
    /// What became of it.
    pub result: TakenAs,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<String>,
    /// Records; `None` where they were not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invalid_lines: Option<u64>,
    /// It had come before, and its bytes lie in the bucket under a second key now.
    #[serde(skip)]
    pub is_extra_copy: bool,
    /// What those who watch are shown of it: to be handed over.
    #[serde(skip)]
    pub shown: Vec<tail::Shown>,
}

impl Taken {
    fn new(result: TakenAs) -> Self {
        Self {
            ok: true,
            result,
            batch_id: None,
            object: None,
            records: None,
            invalid_lines: None,
            is_extra_copy: false,
            shown: Vec::new(),
        }
    }
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
    match take(request, env, target).await {
        Ok(mut taken) => {
            if taken.is_extra_copy {
                super::events::count(env, crate::events::EXTRA_COPIES).await;
            }
            let shown = std::mem::take(&mut taken.shown);
            if !shown.is_empty() {
                context.wait_until(tail::hand_over(env.clone(), shown));
            }
            Response::from_json(&taken)
        }
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

/// Whether batches of this dataset are taken.
fn is_wanted(env: &Env, target: &Target) -> bool {
    config::text(env, config::UNKNOWN_DATASETS).as_deref() != Some("refuse")
        || Dataset::find(target.scope.kind(), &target.dataset).is_some()
}

async fn take(
    request: &Request,
    env: &Env,
    target: &Target,
) -> std::result::Result<Taken, Refusal> {
    authenticate(request, env)?;
    if !is_wanted(env, target) {
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
    let length = content_length(request);
    let slot = place(env, length.unwrap_or(0))?;
    let bucket = env.bucket(config::ARCHIVE).map_err(unreachable_object)?;
    let source = Source {
        body: request.inner().body(),
        archive: Archive::new(bucket.clone(), length),
        in_place: None,
    };
    run(env, target, (slot, bucket), incoming, source).await
}

/// Why an object that lies in the bucket was not taken.
pub enum NotTaken {
    /// There is none.
    Gone,
    /// Batches of this dataset are refused.
    Unwanted,
    /// It can be taken later.
    Later(String),
}

impl From<Refusal> for NotTaken {
    fn from(refusal: Refusal) -> Self {
        let (Refusal::Later { code, message } | Refusal::Status { code, message, .. }) = refusal;
        Self::Later(format!("{code}: {message}"))
    }
}

/// Takes a batch that Logpush wrote into the bucket under `object`. `may_be_retry`: an attempt before this one may have died
/// before its commit.
pub async fn take_in_place(
    env: &Env,
    target: &Target,
    object: &str,
    bytes: u64,
    may_be_retry: bool,
) -> std::result::Result<Taken, NotTaken> {
    if !is_wanted(env, target) {
        return Err(NotTaken::Unwanted);
    }
    let slot = place(env, bytes)?;
    let bucket = env.bucket(config::ARCHIVE).map_err(unreachable_object)?;
    let Target { scope, dataset } = target;
    let stored = match stored::open(&bucket, scope, dataset, object).await {
        Ok(stored) => stored,
        Err(SourceError::Gone { .. }) => return Err(NotTaken::Gone),
        Err(e) => return Err(later("archive_failed")(e.into_reason()).into()),
    };
    let source = Source {
        body: Some(stored.stream),
        archive: Archive::new(bucket.clone(), None),
        in_place: Some(InPlace {
            object: object.to_owned(),
            bytes: stored.bytes,
            etag: stored.etag,
            may_be_retry,
        }),
    };
    Ok(run(env, target, (slot, bucket), stored.incoming, source).await?)
}

/// A place among the batches in flight. Taken before the first await: those that come at the same time count each other.
fn place(env: &Env, bytes: u64) -> std::result::Result<Slot, Refusal> {
    let most = Most {
        places: config::number(env, "BATCHES_IN_FLIGHT_MAX")
            .and_then(|most| usize::try_from(most).ok())
            .unwrap_or(BATCHES_IN_FLIGHT_MAX),
        bytes: config::number(env, "BYTES_IN_FLIGHT_MAX").unwrap_or(BYTES_IN_FLIGHT_MAX),
    };
    pipeline::place(bytes, most).ok_or_else(|| {
        later("overloaded")(format!(
            "{} batches of {} bytes are in flight here already",
            pipeline::in_flight(),
            pipeline::bytes_in_flight()
        ))
    })
}

/// Where the bytes of a batch come from.
struct Source {
    body: Option<ReadableStream>,
    /// Where they go.
    archive: Archive,
    /// Set when they are there already.
    in_place: Option<InPlace>,
}

/// An object that Logpush wrote.
struct InPlace {
    object: String,
    bytes: u64,
    etag: String,
    may_be_retry: bool,
}

async fn run(
    env: &Env,
    target: &Target,
    (slot, bucket): (Slot, Bucket),
    incoming: Incoming,
    source: Source,
) -> std::result::Result<Taken, Refusal> {
    let received_at_millis = now_millis();
    let routes = jobs::routes(env, &target.scope, &target.dataset)
        .await
        .map_err(unreachable_object)?;
    let mut batch = Batch {
        env,
        target,
        routes: &routes,
        pipeline: Pipeline::new(Some(slot), &routes, bucket.clone()).expecting(incoming.clone()),
        incoming,
        received_at_millis,
        bucket: &bucket,
        in_place: source.in_place,
        key: None,
        rivals: Vec::new(),
    };
    let result = batch.take(source.body, source.archive).await;
    if result.is_err() {
        batch.pipeline.clean_up().await;
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
    in_place: Option<InPlace>,
    key: Option<ArchiveKey>,
    /// The objects that have the keys which this batch would have had.
    rivals: Vec<String>,
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
    async fn take(
        &mut self,
        body: Option<ReadableStream>,
        mut archive: Archive,
    ) -> std::result::Result<Taken, Refusal> {
        let read = self.read(body, &mut archive).await;
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
        let may_be_retry = self.in_place.as_ref().is_some_and(|one| one.may_be_retry);
        match self.place(archive, &batch_id, key).await? {
            Placed::New { key, bytes } => self.hand_over(batch_id, key, bytes, may_be_retry).await,
            Placed::Adopted { key, bytes } => self.hand_over(batch_id, key, bytes, true).await,
            Placed::Committed { object } => self.duplicate(batch_id, &day, object).await,
        }
    }

    /// Reads the body to its end; the batch id, or `None` for a test message.
    async fn read(
        &mut self,
        body: Option<ReadableStream>,
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
        if let Some(body) = body {
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
                    let hash = match self.in_place {
                        None => sha256(&archive.first_block()).await.map_err(internal)?,
                        // Its key is not made here.
                        Some(_) => String::new(),
                    };
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
        if let Some(in_place) = &self.in_place {
            key.object.clone_from(&in_place.object);
            archive.leave_in_place(in_place.bytes);
            self.key = Some(key);
            return Ok(());
        }
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
        if archive.is_open() || self.in_place.is_some() {
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
        batch_id: String,
        day: &str,
        object: String,
    ) -> std::result::Result<Taken, Refusal> {
        self.pipeline.clean_up().await;
        let copy = self.in_place.as_ref().map(|own| SeenObject {
            object: own.object.clone(),
            etag: own.etag.clone(),
            batch_id: batch_id.clone(),
        });
        self.count(Occurrence::Duplicate, day, copy).await?;
        let is_other = |own: &InPlace| own.object != object;
        Ok(Taken {
            batch_id: Some(batch_id),
            is_extra_copy: self.in_place.as_ref().is_some_and(is_other),
            object: Some(object),
            ..Taken::new(TakenAs::Duplicate)
        })
    }

    async fn count_test(&mut self) -> std::result::Result<Taken, Refusal> {
        self.count(Occurrence::Test, UNDATED_DAY, None).await?;
        Ok(Taken::new(TakenAs::Test))
    }

    async fn count(
        &self,
        what: Occurrence,
        day: &str,
        seen: Option<SeenObject>,
    ) -> std::result::Result<(), Refusal> {
        let count = Count {
            what,
            scope: self.target.scope.to_string(),
            dataset: self.target.dataset.clone(),
            day: day.to_owned(),
            at_millis: self.received_at_millis,
            seen,
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
