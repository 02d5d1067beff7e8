//! A batch that lies in the bucket already, opened and read again.

use super::archive::CSV_METADATA;
use super::config;
use super::js::{self, BlockReader};
use super::pipeline::Pipeline;
use super::push::SourceError;
use crate::batch::incoming::Incoming;
use crate::events;
use crate::logpush::scope::Scope;
use crate::route::Routes;
use web_sys::ReadableStream;
use worker::Bucket;

/// An object that holds a batch as it was received.
pub struct Stored {
    /// What has to be known of the batch before its first byte.
    pub incoming: Incoming,
    /// Its size.
    pub bytes: u64,
    /// Which of the objects that this key has had.
    pub etag: String,
    /// Its bytes.
    pub stream: ReadableStream,
}

/// Opens the object of a batch.
///
/// # Errors
/// [`SourceError::Gone`] when there is none; otherwise says what failed.
pub async fn open(
    bucket: &Bucket,
    scope: &Scope,
    dataset: &str,
    object: &str,
) -> Result<Stored, SourceError> {
    let text = |e: worker::Error| e.to_string();
    let found = bucket.get(object).execute().await.map_err(text)?;
    let found = found.ok_or_else(|| SourceError::gone(object))?;
    let mut metadata = found.custom_metadata().map_err(text)?;
    let query = match metadata.remove(CSV_METADATA) {
        // What Logpush wrote itself says nothing of the sort.
        None if !events::is_own(object) => {
            let paths = config::paths(&js::env()).map_err(|e| format!("R2_EVENTS_PATHS: {e}"))?;
            paths.find(object).map(|place| place.query)
        }
        query => query,
    };
    let incoming = Incoming::new(scope.kind(), dataset, query.as_deref().unwrap_or_default())
        .map_err(|e| e.to_string())?;
    let body = found.body().ok_or_else(|| SourceError::gone(object))?;
    let stream = match body.response_body().map_err(text)? {
        worker::ResponseBody::Stream(stream) => stream,
        _ => return Err("the archived object has no stream".to_owned().into()),
    };
    Ok(Stored {
        incoming,
        bytes: found.size(),
        etag: found.etag(),
        stream,
    })
}

/// Reads a batch and routes it, to its end. What does not fit in memory is spooled: the caller takes what is
/// [ready](Pipeline::ready), or [cleans up](Pipeline::clean_up).
///
/// # Errors
/// Says what failed; nothing is left behind.
pub async fn route<'r>(
    bucket: &Bucket,
    scope: &Scope,
    dataset: &str,
    object: &str,
    routes: &'r Routes,
) -> Result<Pipeline<'r>, SourceError> {
    let Stored {
        incoming, stream, ..
    } = open(bucket, scope, dataset, object).await?;
    let mut pipeline = Pipeline::new(None, routes, bucket.clone()).expecting(incoming);
    match feed(&mut pipeline, &stream).await {
        Ok(()) => Ok(pipeline),
        Err(e) => {
            pipeline.clean_up().await;
            Err(e.into())
        }
    }
}

async fn feed(pipeline: &mut Pipeline<'_>, stream: &ReadableStream) -> Result<(), String> {
    let failed = |e| js::describe(&e);
    let mut reader = BlockReader::new(stream).map_err(failed)?;
    while let Some(block) = reader.next().await.map_err(failed)? {
        pipeline.feed(&block).await?;
    }
    pipeline.finish().await
}
