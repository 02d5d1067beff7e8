//! One upload from Logpush: authenticate, archive, read once, hand each job its selection, commit, answer.
//!
//! The order of the durable steps, and why dying between any two of them is harmless: the object (found again by its
//! key, which is made of the bytes), spooled payloads (unique to the attempt), outboxes (know the batch id), ledger row
//! (the commit point). Only then 200.

use super::archive::{Archive, Archived, ObjectFacts};
use super::js::{self, BlockReader};
use super::objects::ledger::{Count, LookupQuery};
use super::objects::registry::{JobRow, JobsQuery};
use super::objects::{Class, REGISTRY_NAME, call, call_with_bytes, now_millis};
use super::pipeline::{self, Pipeline, Ready};
use super::{archive, config, jobs, owed};
use crate::api::bearer_token;
use crate::batch::reader::Encoding;
use crate::batch::test_message::is_test_message;
use crate::ledger::{
    Commit, CommitResult, JobSelection, Lookup, Occurrence, SelectionState,
    instance_name as ledger_name, minute_of,
};
use crate::limits::BATCHES_IN_FLIGHT_MAX;
use crate::logpush::archive_key::{ArchiveKey, UNDATED_DAY};
use crate::logpush::catalogue::Dataset;
use crate::logpush::scope::Scope;
use crate::outbox::{Append, AppendAnswer, EntrySource, Holding, instance_name};
use crate::route::{Keep, Routes};
use crate::time;
use futures_util::future::{join_all, join3};
use js_sys::Uint8Array;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use worker::crypto::{DigestStream, DigestStreamAlgorithm};
use worker::{Bucket, Env, Request, Response, Result};

/// Seconds after which Logpush should try again when we can not take a batch now.
const RETRY_AFTER_SECS: &str = "5";

/// No attempt lasts this long: Logpush gives up much earlier, and the runtime ends a request whose sender has gone.
const ATTEMPT_MAX_MILLIS: u64 = 3_600_000;

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
pub async fn handle(request: &Request, env: &Env, target: &Target) -> Result<Response> {
    match take(request, env, target).await {
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

async fn take(
    request: &Request,
    env: &Env,
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
    let most = config::number(env, "BATCHES_IN_FLIGHT_MAX")
        .and_then(|most| usize::try_from(most).ok())
        .unwrap_or(BATCHES_IN_FLIGHT_MAX);
    // Taken before the first await: uploads that come at the same time count each other.
    let Some(slot) = pipeline::place(most) else {
        return Err(later("overloaded")(format!(
            "{most} batches are in flight here already"
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
        pipeline: Pipeline::new(Some(slot), &routes, bucket.clone()),
        received_at_millis,
        key: None,
        is_whole: false,
        is_retry: false,
    };
    let result = batch.take(request, bucket).await;
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
    received_at_millis: u64,
    key: Option<ArchiveKey>,
    /// All of the body was there when the object was begun.
    is_whole: bool,
    /// An earlier attempt stored the object and died before its commit.
    is_retry: bool,
}

impl Batch<'_> {
    async fn take(
        &mut self,
        request: &Request,
        bucket: Bucket,
    ) -> std::result::Result<Value, Refusal> {
        let content_length = request
            .headers()
            .get("Content-Length")
            .ok()
            .flatten()
            .and_then(|length| length.trim().parse().ok());
        let mut archive = Archive::new(bucket.clone(), content_length);
        let read = self.read(request, &mut archive, content_length).await;
        let batch_id = match read {
            Ok(Some(batch_id)) => batch_id,
            Ok(None) => return self.count_test().await,
            Err(refusal) => {
                archive.abort().await;
                return Err(refusal);
            }
        };
        let archived = archive.finish().await.map_err(later("archive_failed"))?;
        let Some(key) = self.key.take() else {
            return Err(later("archive_failed")("the archive has no key".to_owned()));
        };
        let object_bytes = match archived {
            // A whole one has its id in its key, so it can not have been stored under another.
            Archived::Stored(size) if self.is_whole => size,
            Archived::Stored(size) => {
                let known = self.lookup(&key, batch_id.clone()).await?;
                match known.object {
                    None => size,
                    Some(object) => {
                        // Its first attempt came with a length and this one without, or the other way round.
                        if object != key.object {
                            archive::delete_all(&bucket, std::slice::from_ref(&key.object)).await;
                        }
                        return self.duplicate(&batch_id, &key.day, &object).await;
                    }
                }
            }
            Archived::Existed => match self.adopt(&bucket, &batch_id, &key).await? {
                Some(size) => {
                    self.is_retry = true;
                    size
                }
                None => return self.duplicate(&batch_id, &key.day, &key.object).await,
            },
        };
        self.hand_over(&bucket, batch_id, key, object_bytes).await
    }

    /// Reads the body to its end; the batch id, or `None` for a test message.
    async fn read(
        &mut self,
        request: &Request,
        archive: &mut Archive,
        content_length: Option<u64>,
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
                    let first = archive.first_block();
                    let length = content_length.unwrap_or(0).to_le_bytes();
                    let hash = sha256(&[first, js::bytes(&length)])
                        .await
                        .map_err(internal)?;
                    self.begin(archive, hash, content_length.is_some(), false)
                        .await?;
                }
            }
        }
        JsFuture::from(hasher.close()).await.map_err(internal)?;
        let batch_id = hex(&digest.digest().await.map_err(unreachable_object)?);
        if archive.is_holding() && is_test_message(&archive.first_block().to_vec()) {
            return Ok(None);
        }
        self.pipeline
            .finish()
            .await
            .map_err(later("spool_failed"))?;
        if archive.is_holding() {
            self.begin(archive, batch_id.clone(), true, true).await?;
        }
        Ok(Some(batch_id))
    }

    /// Makes the key from what was read so far, and begins the object. `is_distinct`: batches that begin with the same
    /// bytes have different hashes, because their length went into it.
    async fn begin(
        &mut self,
        archive: &mut Archive,
        hash: String,
        is_distinct: bool,
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
        if !is_distinct {
            key = self.free_key(archive, key).await?;
        }
        let mut metadata = HashMap::from([("dataset".to_owned(), self.target.dataset.clone())]);
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
        self.is_whole = is_whole;
        archive
            .begin(facts, is_whole)
            .await
            .map_err(later("archive_failed"))
    }

    /// A sender that cuts a batch anew may send one that begins like a committed one and goes on differently. Should it
    /// be the same batch after all, the commit will say so, and the second object goes.
    async fn free_key(
        &self,
        archive: &Archive,
        key: ArchiveKey,
    ) -> std::result::Result<ArchiveKey, Refusal> {
        let exists = archive.exists(&key.object).await;
        if !exists.map_err(later("archive_failed"))? {
            return Ok(key);
        }
        let known = self.lookup(&key, String::new()).await?;
        Ok(if known.object_is_taken {
            key.with_suffix(&js::unique_name())
        } else {
            key
        })
    }

    fn ledger_name(&self, key: &ArchiveKey) -> String {
        let scope = self.target.scope.to_string();
        ledger_name(&scope, &self.target.dataset, &key.day)
    }

    async fn lookup(
        &self,
        key: &ArchiveKey,
        batch_id: String,
    ) -> std::result::Result<Lookup, Refusal> {
        let query = LookupQuery {
            batch_id,
            object: key.object.clone(),
        };
        let ledger = self.ledger_name(key);
        call(self.env, Class::Ledger, &ledger, "lookup", &query)
            .await
            .map_err(unreachable_object)
    }

    /// The object was there before us. `None`: the batch is committed, nothing is left to do. A size: an earlier attempt
    /// died before its commit, and the object, which is proved to hold these bytes, is now ours.
    async fn adopt(
        &self,
        bucket: &Bucket,
        batch_id: &str,
        key: &ArchiveKey,
    ) -> std::result::Result<Option<u64>, Refusal> {
        let known = self.lookup(key, batch_id.to_owned()).await?;
        if known.is_committed {
            return Ok(None);
        }
        let object = bucket
            .get(&key.object)
            .execute()
            .await
            .map_err(unreachable_object)?;
        let Some(object) = object else {
            return Err(later("archive_failed")(
                "the archived object went away".to_owned(),
            ));
        };
        let (size, uploaded_at) = (object.size(), object.uploaded().as_millis());
        let digest = DigestStream::new(DigestStreamAlgorithm::Sha256);
        if let Some(body) = object.body()
            && let worker::ResponseBody::Stream(stream) =
                body.response_body().map_err(unreachable_object)?
        {
            JsFuture::from(stream.pipe_to(digest.raw()))
                .await
                .map_err(|e| later("archive_failed")(js::describe(&e)))?;
        }
        let stored = hex(&digest.digest().await.map_err(unreachable_object)?);
        if stored == batch_id {
            return Ok(Some(size));
        }
        // Another batch has the same first block and the same length, or none at all. Its attempt may still be under way
        // and must keep its object; one that died long ago has no use for it.
        let age = now_millis().saturating_sub(uploaded_at);
        if !known.object_is_taken && age > ATTEMPT_MAX_MILLIS {
            bucket
                .delete(&key.object)
                .await
                .map_err(unreachable_object)?;
        }
        Err(later("archive_key_taken")(format!(
            "{} holds another batch",
            key.object
        )))
    }

    async fn hand_over(
        &mut self,
        bucket: &Bucket,
        batch_id: String,
        key: ArchiveKey,
        object_bytes: u64,
    ) -> std::result::Result<Value, Refusal> {
        let quarantine = self.write_quarantine(bucket, &batch_id, &key).await?;
        let selections = self
            .append_all(bucket, &batch_id, &key, object_bytes)
            .await?;
        let meter = self.pipeline.meter().clone();
        let times = self.pipeline.router.times();
        let mut invalid: BTreeMap<String, u64> = self
            .pipeline
            .router
            .invalid()
            .iter()
            .map(|(reason, count)| ((*reason).to_owned(), *count))
            .collect();
        if let Some(fault) = self.pipeline.fault() {
            *invalid.entry(fault.as_str().to_owned()).or_default() += 1;
        }
        let millis = |at: time::UnixNanos| i64::try_from(at / 1_000_000).unwrap_or_default();
        let commit = Commit {
            batch_id: batch_id.clone(),
            scope: self.target.scope.to_string(),
            dataset: self.target.dataset.clone(),
            day: key.day.clone(),
            object: key.object.clone(),
            object_bytes,
            received_at_millis: self.received_at_millis,
            event_millis: times
                .earliest
                .zip(times.latest)
                .map(|(earliest, latest)| (millis(earliest), millis(latest))),
            records: meter.records,
            bytes_raw: meter.bytes_raw,
            bytes_compressed: meter.bytes_compressed,
            invalid_lines: meter.invalid_lines,
            invalid,
            quarantine,
            selections,
        };
        let ledger = self.ledger_name(&key);
        let result: CommitResult = call(self.env, Class::Ledger, &ledger, "commit", &commit)
            .await
            .map_err(unreachable_object)?;
        let (result, object) = match result {
            CommitResult::Committed => ("accepted", key.object),
            CommitResult::Duplicate { object } => ("duplicate", object),
        };
        Ok(json!({
            "ok": true,
            "result": result,
            "batch_id": batch_id,
            "object": object,
            "records": meter.records,
            "invalid_lines": meter.invalid_lines,
        }))
    }

    async fn write_quarantine(
        &self,
        bucket: &Bucket,
        batch_id: &str,
        key: &ArchiveKey,
    ) -> std::result::Result<Option<String>, Refusal> {
        let lines = self.pipeline.router.quarantine();
        if lines.is_empty() {
            return Ok(None);
        }
        let (scope, dataset) = (&self.target.scope, &self.target.dataset);
        let name = format!("quarantine/{scope}/{dataset}/{}/{batch_id}.ndjson", key.day);
        archive::put_bytes(bucket, &name, &js::bytes(lines))
            .await
            .map_err(later("quarantine_failed"))?;
        Ok(Some(name))
    }

    /// Gives every job what it selected. A job whose outbox does not take it is owed its selection; that is no reason
    /// to refuse the batch.
    async fn append_all(
        &mut self,
        bucket: &Bucket,
        batch_id: &str,
        key: &ArchiveKey,
        object_bytes: u64,
    ) -> std::result::Result<Vec<JobSelection>, Refusal> {
        let meter = self.pipeline.meter();
        let is_one_clean_gzip = meter.members == 1
            && meter.invalid_lines == 0
            && self.pipeline.fault().is_none()
            && meter.bytes_raw > 0;
        let mut handed_over = Vec::new();
        let unreadable = self.routes.unreadable.iter();
        let mut owed: Vec<JobSelection> = unreadable
            .map(|job_id| self.owe(*job_id, "its filter can not be read: set it anew"))
            .collect();
        for (index, job) in self.routes.jobs.iter().enumerate() {
            let selection = self.pipeline.router.selections().get(index);
            let (records, bytes) =
                selection.map_or((0, 0), |selection| (selection.records, selection.bytes));
            if records == 0 {
                continue;
            }
            let ready = match job.keep {
                Keep::Copy => match self.pipeline.ready(index).await {
                    Ok(ready) => ready,
                    Err(e) => {
                        for (_, Ready { spooled, .. }) in handed_over {
                            archive::delete_all(bucket, &spooled).await;
                        }
                        return Err(later("spool_failed")(e));
                    }
                },
                Keep::Reference if is_one_clean_gzip => {
                    let source = EntrySource::Archive {
                        key: key.object.clone(),
                        size: object_bytes,
                    };
                    Ready {
                        segments: vec![(crate::route::Segment { records, bytes }, source)],
                        inline: Uint8Array::new_with_length(0),
                        spooled: Vec::new(),
                    }
                }
                Keep::Reference => {
                    let reason = "the batch can not be passed on as it came";
                    owed.push(self.owe(job.job_id, reason));
                    continue;
                }
            };
            handed_over.push((job.job_id, ready));
        }
        let appends = handed_over
            .into_iter()
            .map(|(job_id, ready)| self.append(bucket, job_id, batch_id, ready));
        let mut selections = join_all(appends).await;
        selections.append(&mut owed);
        if self.is_retry {
            let known = selections.iter().map(|selection| selection.job_id);
            let known: BTreeSet<u64> = known.collect();
            selections.append(&mut self.held_before(batch_id, &known).await?);
        }
        Ok(selections)
    }

    /// What the attempt that died had stored for jobs that select nothing any more, because they were changed, disabled or
    /// deleted since. It will be delivered, so the ledger has to know it.
    async fn held_before(
        &self,
        batch_id: &str,
        known: &BTreeSet<u64>,
    ) -> std::result::Result<Vec<JobSelection>, Refusal> {
        let query = JobsQuery {
            scope: Some(self.target.scope.to_string()),
            dataset: Some(self.target.dataset.clone()),
            with_deleted: true,
            ..JobsQuery::default()
        };
        let rows: Vec<JobRow> = call(self.env, Class::Registry, REGISTRY_NAME, "jobs", &query)
            .await
            .map_err(unreachable_object)?;
        let mut selections = Vec::new();
        for job_id in rows.into_iter().map(|row| row.job.id) {
            if !known.contains(&job_id)
                && let Some(holding) = owed::holding(self.env, job_id, batch_id)
                    .await
                    .map_err(unreachable_object)?
            {
                selections.push(stored(job_id, holding));
            }
        }
        Ok(selections)
    }

    async fn append(
        &self,
        bucket: &Bucket,
        job_id: u64,
        batch_id: &str,
        ready: Ready,
    ) -> JobSelection {
        let append = Append {
            job_id,
            batch_id: batch_id.to_owned(),
            received_at_millis: self.received_at_millis,
            segments: ready.segments,
        };
        let name = instance_name(job_id);
        let answer: Result<AppendAnswer> = call_with_bytes(
            self.env,
            Class::Outbox,
            &name,
            "append",
            &append,
            &ready.inline,
        )
        .await;
        match answer {
            // After an error nobody knows whether the rows are there, so what they may refer to stays.
            Err(e) => self.owe(job_id, &e.to_string()),
            Ok(AppendAnswer::Full) => {
                archive::delete_all(bucket, &ready.spooled).await;
                self.owe(job_id, "the outbox is full")
            }
            Ok(AppendAnswer::Duplicate(holding)) => {
                archive::delete_all(bucket, &ready.spooled).await;
                stored(job_id, holding)
            }
            Ok(AppendAnswer::Stored(holding)) => stored(job_id, holding),
        }
    }

    fn owe(&self, job_id: u64, reason: &str) -> JobSelection {
        let state = SelectionState::Owed {
            reason: reason.to_owned(),
        };
        JobSelection {
            job_id,
            records: 0,
            bytes: 0,
            minute: minute_of(self.received_at_millis),
            state,
        }
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
        let scope = self.target.scope.to_string();
        let name = ledger_name(&scope, &self.target.dataset, day);
        let count = Count {
            what,
            scope,
            dataset: self.target.dataset.clone(),
            day: day.to_owned(),
            at_millis: self.received_at_millis,
        };
        call(self.env, Class::Ledger, &name, "count", &count)
            .await
            .map_err(unreachable_object)
    }
}

fn stored(job_id: u64, holding: Holding) -> JobSelection {
    let Holding {
        records,
        bytes,
        minute,
    } = holding;
    JobSelection {
        job_id,
        records,
        bytes,
        minute,
        state: SelectionState::Stored,
    }
}

/// SHA-256 by the runtime, lower-case hex.
async fn sha256(parts: &[Uint8Array]) -> std::result::Result<String, JsValue> {
    let digest = DigestStream::new(DigestStreamAlgorithm::Sha256);
    let writer = digest.raw().get_writer()?;
    for part in parts {
        JsFuture::from(writer.write_with_chunk(part)).await?;
    }
    JsFuture::from(writer.close()).await?;
    Ok(hex(&digest.digest().await.map_err(JsValue::from)?))
}

fn hex(bytes: &Uint8Array) -> String {
    bytes
        .to_vec()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
