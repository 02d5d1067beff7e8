//! The bytes of a batch as received, on their way into R2: streamed, never held whole.
//!
//! Nothing is written over: a key that exists already belongs to an earlier attempt of the same batch, or to another batch
//! that begins alike, and the caller finds out which.

use super::js::{self, FixedLengthStream, R2Bucket};
use super::slots::{Most, Slot, Slots};
use crate::lifecycle::sweep::Listed;
use crate::limits::{FIRST_BLOCK_BYTES, MULTIPART_IN_FLIGHT_MAX, MULTIPART_PART_BYTES};
use futures_util::future::{Either, select};
use js_sys::{Array, Reflect, Uint8Array};
use std::collections::HashMap;
use std::pin::pin;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::crypto::{DigestStream, DigestStreamAlgorithm};
use worker::{Bucket, MultipartUpload, UploadedPart};

thread_local! {
    static PARTS_IN_FLIGHT: Slots = const { Slots::new() };
}

/// Custom metadata of a batch that was announced as CSV: the parameters of the address it came to.
pub const CSV_METADATA: &str = "csv";

/// What the object says about itself.
pub struct ObjectFacts {
    /// Where it goes.
    pub key: String,
    /// True for gzip, false for plain NDJSON.
    pub is_gzip: bool,
    /// Batch id, record count, time range: what is known when the object is begun.
    pub metadata: HashMap<String, String>,
}

/// How the archive ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Archived {
    /// A new object of this size.
    Stored(u64),
    /// The key existed; nothing was written.
    Existed,
}

enum Target {
    /// The key is not known yet.
    Holding,
    /// One put of a stream with a known length.
    Stream {
        writer: web_sys::WritableStreamDefaultWriter,
        put: JsFuture,
        bytes_to_come: u64,
    },
    /// Parts of at least 5 MiB, for a body without Content-Length.
    Parts {
        upload: Box<MultipartUpload>,
        parts: Vec<UploadedPart>,
        total: u64,
        slot: Slot,
    },
    /// The put ended before the last byte.
    Ended(Archived),
}

/// One object being written.
pub struct Archive {
    bucket: Bucket,
    content_length: Option<u64>,
    held: Vec<Uint8Array>,
    held_bytes: usize,
    target: Target,
}

impl Archive {
    /// Nothing is written before [`Archive::begin`].
    pub fn new(bucket: Bucket, content_length: Option<u64>) -> Self {
        Self {
            bucket,
            content_length,
            held: Vec::new(),
            held_bytes: 0,
            target: Target::Holding,
        }
    }

    /// True until [`Archive::begin`].
    pub fn is_holding(&self) -> bool {
        matches!(self.target, Target::Holding)
    }

    /// True when the first block is complete and the key has to be known.
    pub fn wants_key(&self) -> bool {
        self.is_holding() && self.held_bytes >= FIRST_BLOCK_BYTES
    }

    /// True when the object is begun and only [`Archive::finish`] will make it exist: the last bytes are held back.
    pub fn is_open(&self) -> bool {
        matches!(self.target, Target::Stream { .. } | Target::Parts { .. })
    }

    /// True when [`Archive::finish`] would write over an object of this key, because R2 takes no condition for that.
    pub fn is_multipart(&self) -> bool {
        matches!(self.target, Target::Parts { .. })
    }

    /// The bytes held, as one array.
    pub fn first_block(&self) -> Uint8Array {
        join(&self.held, self.held_bytes)
    }

    /// Takes the next bytes; they are copied or written before this returns.
    pub async fn write(&mut self, block: &Uint8Array) -> Result<(), String> {
        match &mut self.target {
            Target::Holding => {
                self.hold(block);
                Ok(())
            }
            Target::Ended(_) => Ok(()),
            Target::Stream { .. } => self.write_but_the_last(block).await,
            Target::Parts { .. } => {
                self.hold(block);
                if self.held_bytes >= MULTIPART_PART_BYTES {
                    self.upload_part().await?;
                }
                Ok(())
            }
        }
    }

    fn hold(&mut self, block: &Uint8Array) {
        self.held.push(block.slice(0, block.length()));
        self.held_bytes += block.length() as usize;
    }

    fn take_held(&mut self) -> Uint8Array {
        let joined = join(&self.held, self.held_bytes);
        self.held.clear();
        self.held_bytes = 0;
        joined
    }

    /// Begins the object with what is held. `is_whole`: the body has ended, and what is held is all of it.
    pub async fn begin(&mut self, facts: ObjectFacts, is_whole: bool) -> Result<(), String> {
        let options = put_options(&facts);
        let bucket: &R2Bucket = self.bucket.as_ref().unchecked_ref();
        let ended = |e| format!("R2 put failed: {}", js::describe(&e));
        if is_whole {
            let body = join(&self.held, self.held_bytes);
            self.held.clear();
            let put = bucket.put(&facts.key, &body, &options).map_err(ended)?;
            self.target = Target::Ended(archived(JsFuture::from(put).await)?);
        } else if let Some(length) = self.content_length {
            let stream = FixedLengthStream::new(length as f64).map_err(ended)?;
            let writer = stream.writable().get_writer().map_err(ended)?;
            let put = bucket
                .put(&facts.key, &stream.readable(), &options)
                .map_err(ended)?;
            self.target = Target::Stream {
                writer,
                put: JsFuture::from(put),
                bytes_to_come: length,
            };
            let first = self.take_held();
            self.write_but_the_last(&first).await?;
        } else {
            let most = Most {
                places: MULTIPART_IN_FLIGHT_MAX,
                bytes: u64::MAX,
            };
            let Some(slot) = Slot::take(&PARTS_IN_FLIGHT, 0, most) else {
                return Err(format!(
                    "{MULTIPART_IN_FLIGHT_MAX} large uploads without Content-Length are in flight here already"
                ));
            };
            let upload = self
                .bucket
                .create_multipart_upload(&facts.key)
                .http_metadata(http_metadata(facts.is_gzip))
                .custom_metadata(facts.metadata)
                .execute()
                .await
                .map_err(|e| format!("R2 multipart upload failed to begin: {e}"))?;
            self.target = Target::Parts {
                upload: Box::new(upload),
                parts: Vec::new(),
                total: 0,
                slot,
            };
        }
        Ok(())
    }

    /// Nothing is to be written: somebody else has made the object, of `bytes`.
    pub fn leave_in_place(&mut self, bytes: u64) {
        self.held.clear();
        self.held_bytes = 0;
        self.target = Target::Ended(Archived::Stored(bytes));
    }

    /// With its last byte written a put can no longer be given up.
    async fn write_but_the_last(&mut self, block: &Uint8Array) -> Result<(), String> {
        if let Target::Stream { bytes_to_come, .. } = &mut self.target {
            *bytes_to_come = bytes_to_come.saturating_sub(u64::from(block.length()));
            if *bytes_to_come == 0 {
                self.hold(block);
                return Ok(());
            }
        }
        self.write_stream(block).await
    }

    /// A put may end before its last byte, because the key exists or because R2 failed; a write would then wait for ever.
    async fn write_stream(&mut self, block: &Uint8Array) -> Result<(), String> {
        let Target::Stream { writer, put, .. } = &mut self.target else {
            return Ok(());
        };
        let write = pin!(JsFuture::from(writer.write_with_chunk(block)));
        match select(write, put).await {
            Either::Left((Ok(_), _)) => Ok(()),
            Either::Left((Err(e), _)) => Err(format!("R2 put stopped: {}", js::describe(&e))),
            Either::Right((put, _)) => {
                self.target = Target::Ended(archived(put)?);
                Ok(())
            }
        }
    }

    async fn upload_part(&mut self) -> Result<(), String> {
        let (blocks, length) = (
            std::mem::take(&mut self.held),
            std::mem::take(&mut self.held_bytes),
        );
        let Target::Parts {
            upload,
            parts,
            total,
            slot,
        } = &mut self.target
        else {
            return Ok(());
        };
        slot.touch(0);
        let number = u16::try_from(parts.len() + 1).map_err(|_| "too many parts".to_owned())?;
        let failed = |e: JsValue| format!("R2 part {number} failed: {}", js::describe(&e));
        let stream = FixedLengthStream::new(length as f64).map_err(failed)?;
        let readable: web_sys::ReadableStream = stream.readable().unchecked_into();
        let writer = stream.writable().get_writer().map_err(failed)?;
        let uploading = pin!(upload.upload_part(number, readable));
        let writing = pin!(async {
            // Each block is let go as soon as it is written, and none is copied.
            for block in blocks {
                JsFuture::from(writer.write_with_chunk(&block)).await?;
            }
            JsFuture::from(writer.close()).await
        });
        // An upload that fails leaves its stream unread, and a write would wait for ever.
        let part = match select(writing, uploading).await {
            Either::Left((Ok(_), uploading)) => uploading.await,
            Either::Left((Err(e), _)) => return Err(failed(e)),
            Either::Right((part, _)) => part,
        };
        parts.push(part.map_err(|e| format!("R2 part {number} failed: {e}"))?);
        *total += length as u64;
        Ok(())
    }

    /// Ends the object. When this returns `Stored`, R2 has it.
    pub async fn finish(mut self) -> Result<Archived, String> {
        if self.held_bytes > 0 {
            match self.target {
                Target::Parts { .. } => self.upload_part().await?,
                Target::Stream { .. } => {
                    let last = self.take_held();
                    self.write_stream(&last).await?;
                }
                Target::Holding | Target::Ended(_) => {}
            }
        }
        match self.target {
            Target::Holding => Err("the archive was never begun".to_owned()),
            Target::Ended(archived) => Ok(archived),
            Target::Stream { writer, put, .. } => {
                let close = pin!(JsFuture::from(writer.close()));
                match select(close, put).await {
                    Either::Left((Ok(_), put)) => archived(put.await),
                    Either::Left((Err(e), _)) => {
                        Err(format!("R2 put stopped: {}", js::describe(&e)))
                    }
                    Either::Right((put, _)) => archived(put),
                }
            }
            Target::Parts {
                upload,
                parts,
                total,
                ..
            } => upload
                .complete(parts)
                .await
                .map(|object| {
                    Archived::Stored(if object.size() > 0 {
                        object.size()
                    } else {
                        total
                    })
                })
                .map_err(|e| format!("R2 multipart upload failed to complete: {e}")),
        }
    }

    /// Gives up: nothing stays behind but, at worst, parts that R2 drops after seven days.
    pub async fn abort(self) {
        match self.target {
            Target::Stream { writer, put, .. } => {
                // Both answer with the error that brought us here.
                let _ = JsFuture::from(writer.abort()).await;
                let _ = put.await;
            }
            Target::Parts { upload, .. } => {
                let _ = upload.abort().await;
            }
            Target::Holding | Target::Ended(_) => {}
        }
    }
}

fn join(blocks: &[Uint8Array], length: usize) -> Uint8Array {
    let joined = Uint8Array::new_with_length(length as u32);
    let mut at = 0;
    for block in blocks {
        joined.set(block, at);
        at += block.length();
    }
    joined
}

fn archived(put: Result<JsValue, JsValue>) -> Result<Archived, String> {
    let object = put.map_err(|e| format!("R2 put failed: {}", js::describe(&e)))?;
    if object.is_null() {
        return Ok(Archived::Existed);
    }
    let size = Reflect::get(&object, &"size".into())
        .ok()
        .and_then(|size| size.as_f64())
        .ok_or_else(|| "R2 put answered without a size".to_owned())?;
    Ok(Archived::Stored(size as u64))
}

fn http_metadata(is_gzip: bool) -> worker::HttpMetadata {
    worker::HttpMetadata {
        content_type: Some("application/x-ndjson".to_owned()),
        content_encoding: is_gzip.then(|| "gzip".to_owned()),
        ..worker::HttpMetadata::default()
    }
}

fn put_options(facts: &ObjectFacts) -> JsValue {
    let metadata: Vec<(&str, JsValue)> = facts
        .metadata
        .iter()
        .map(|(name, value)| (name.as_str(), value.into()))
        .collect();
    let mut http = vec![("contentType", JsValue::from("application/x-ndjson"))];
    if facts.is_gzip {
        http.push(("contentEncoding", "gzip".into()));
    }
    js::object(&[
        ("onlyIf", js::object(&[("etagDoesNotMatch", "*".into())])),
        ("httpMetadata", js::object(&http)),
        ("customMetadata", js::object(&metadata)),
    ])
}

/// Puts bytes under a key that belongs to the caller alone.
pub async fn put_bytes(bucket: &Bucket, key: &str, body: &Uint8Array) -> Result<(), String> {
    put_described(bucket, key, body, "application/x-ndjson", &[]).await
}

/// The same, with custom metadata: 2 KB at most (R2 limits page); what is not ASCII becomes `?`.
pub async fn put_described(
    bucket: &Bucket,
    key: &str,
    body: &Uint8Array,
    content_type: &str,
    metadata: &[(&str, &str)],
) -> Result<(), String> {
    let bucket: &R2Bucket = bucket.as_ref().unchecked_ref();
    let ascii = |text: &str| text.replace(|c: char| !c.is_ascii(), "?");
    let metadata: Vec<(&str, JsValue)> = metadata
        .iter()
        .map(|(name, value)| (*name, JsValue::from(ascii(value))))
        .collect();
    let options = js::object(&[
        (
            "httpMetadata",
            js::object(&[("contentType", content_type.into())]),
        ),
        ("customMetadata", js::object(&metadata)),
    ]);
    let put = bucket.put(key, body, &options);
    let failed = |e| format!("R2 put of {key} failed: {}", js::describe(&e));
    JsFuture::from(put.map_err(failed)?).await.map_err(failed)?;
    Ok(())
}

/// Whether there is an object of this key.
pub async fn exists(bucket: &Bucket, key: &str) -> Result<bool, String> {
    let head = bucket.head(key).await;
    Ok(head.map_err(|e| format!("R2 head failed: {e}"))?.is_some())
}

/// The size and the SHA-256 (lower-case hex) of an object, read to its end; `None` when there is none.
pub async fn size_and_digest(bucket: &Bucket, key: &str) -> Result<Option<(u64, String)>, String> {
    let failed = |e: worker::Error| format!("R2 get of {key} failed: {e}");
    let Some(object) = bucket.get(key).execute().await.map_err(failed)? else {
        return Ok(None);
    };
    let digest = DigestStream::new(DigestStreamAlgorithm::Sha256);
    if let Some(body) = object.body()
        && let worker::ResponseBody::Stream(stream) = body.response_body().map_err(failed)?
    {
        JsFuture::from(stream.pipe_to(digest.raw()))
            .await
            .map_err(|e| format!("R2 get of {key} broke off: {}", js::describe(&e)))?;
    }
    let digest = digest.digest().await.map_err(failed)?;
    Ok(Some((object.size(), js::hex(&digest))))
}

/// A page of the bucket's listing.
pub struct Page {
    /// Objects, in the order of their keys.
    pub objects: Vec<Listed>,
    /// What the keys of others have in common up to the delimiter.
    pub prefixes: Vec<String>,
    /// There is nothing behind it.
    pub is_last: bool,
}

/// Lists up to 1,000 objects under `prefix` behind the key `after` (empty: from the beginning), or what they have in common
/// up to the next `delimiter`. One class A operation.
///
/// # Errors
/// What R2 says.
pub async fn list(
    bucket: &Bucket,
    prefix: &str,
    after: &str,
    delimiter: Option<&str>,
) -> Result<Page, String> {
    let mut asked = bucket.list().prefix(prefix);
    if !after.is_empty() {
        asked = asked.start_after(after);
    }
    if let Some(delimiter) = delimiter {
        asked = asked.delimiter(delimiter);
    }
    let page = asked
        .execute()
        .await
        .map_err(|e| format!("R2 list of {prefix} failed: {e}"))?;
    let object = |object: worker::Object| Listed {
        key: object.key(),
        bytes: object.size(),
        uploaded_at: object.uploaded().as_millis(),
    };
    let objects: Vec<Listed> = page.objects().into_iter().map(object).collect();
    let prefixes = page.delimited_prefixes();
    Ok(Page {
        // A page with nothing on it has no key to go on behind.
        is_last: !page.truncated() || objects.is_empty() && prefixes.is_empty(),
        objects,
        prefixes,
    })
}

/// Deletes objects of the caller's; at most a thousand a call, R2's limit.
pub async fn delete_all(bucket: &Bucket, keys: &[String]) {
    for some in keys.chunks(1000) {
        let names: Array = some.iter().map(|key| JsValue::from_str(key)).collect();
        if names.length() > 0
            && let Err(e) = bucket
                .delete_multiple(some.iter().map(String::as_str).collect())
                .await
        {
            // Nobody refers to them: they cost space, and nothing else.
            worker::console_warn!("{} objects left behind: {e}", some.len());
        }
    }
}
