//! The body of a push that is one request.

use super::records::Source;
use super::{Part, SourceError, bytes_of, stream};
use crate::destination::{Encoding, Frame, Framer};
use crate::outbox::cut;
use crate::runtime::js::{self, BlockReader, CompressionStream};
use js_sys::Uint8Array;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;

/// Bytes that a body without gzip begins with room for.
const IDENTITY_FIRST_BYTES: u32 = 256 * 1024;

/// The body of a push. An archived object may be one as it is; everything else is written part by part, so that no more
/// than the push as it is sent and one part of it are in memory.
///
/// # Errors
/// When an entry can not be read, or holds a record that the destination would not take.
pub async fn body(
    source: &Source<'_>,
    frame: &Frame,
    encoding: Encoding,
) -> Result<JsValue, SourceError> {
    let Source {
        bucket,
        parts,
        assembly,
        ..
    } = *source;
    let archived = match parts {
        [part] if part.kind == "archive" => part.object.as_deref(),
        _ => None,
    };
    if let Some(object) = archived
        && *frame == Frame::Stored
    {
        let stream = stream(bucket, object, None).await?;
        return match encoding {
            Encoding::Gzip => Ok(stream.into()),
            // Of a length that nobody knows: blank lines and the like are no records.
            Encoding::Identity => js::gunzipped(&stream).map_err(|e| js::describe(&e).into()),
        };
    }
    let mut sink = Sink::new(encoding)?;
    // What output options put around records does not go into an envelope.
    let around = assembly.filter(|_| !matches!(frame, Frame::Events(_)));
    if let Some(assembly) = around {
        sink.write(&js::bytes(assembly.prefix.as_bytes())).await?;
    }
    match (archived, frame) {
        (Some(object), _) => {
            let archived = stream(bucket, object, None).await?;
            let inflated = js::gunzipped(&archived).map_err(failed)?;
            let mut reader = BlockReader::new(&inflated).map_err(failed)?;
            let mut framer = Framer::new(frame);
            let mut out = Vec::new();
            while let Some(block) = reader.next().await.map_err(failed)? {
                framer.lines(&block.to_vec(), &mut out)?;
                sink.drain(&mut out).await?;
            }
            framer.finish(&mut out)?;
            sink.drain(&mut out).await?;
        }
        (None, Frame::Stored) => stored(source, &mut sink).await?,
        (None, _) => framed(source, frame, &mut sink).await?,
    }
    if let Some(assembly) = around {
        sink.write(&js::bytes(assembly.suffix.as_bytes())).await?;
    }
    sink.finish().await
}

/// Parts as they are stored, none of them in wasm.
async fn stored(source: &Source<'_>, sink: &mut Sink) -> Result<(), SourceError> {
    // Each record has its delimiter before it, and before the first one there is nothing to keep it from.
    let mut skip = source.delimiter().len() as u64;
    for part in &joined(source.parts) {
        let skip = std::mem::take(&mut skip);
        if part.bytes <= skip {
            continue;
        }
        match (&part.object, part.kind.as_str()) {
            (Some(object), "spool") => {
                let range = (part.start.unwrap_or(0) + skip, part.bytes - skip);
                let spooled = stream(source.bucket, object, Some(range)).await?;
                let mut reader = BlockReader::new(&spooled).map_err(failed)?;
                while let Some(block) = reader.next().await.map_err(failed)? {
                    sink.write(&block).await?;
                }
            }
            (_, "inline") => {
                let bytes = (source.inline)(part.seq).map_err(|e| e.to_string())?;
                sink.write(&bytes.subarray(skip as u32, bytes.length()))
                    .await?;
            }
            (_, other) => {
                return Err(format!("an entry of kind {other} can not be gathered").into());
            }
        }
    }
    Ok(())
}

/// Parts record by record. A part is a segment of a selection, so it is small.
async fn framed(source: &Source<'_>, frame: &Frame, sink: &mut Sink) -> Result<(), SourceError> {
    let mut framer = Framer::new(frame);
    let mut out = Vec::new();
    let assembly = source.assembly;
    let delimiter = source.delimiter().len();
    let keeps_delimiters = matches!(frame, Frame::Capped { .. });
    let mut is_first = true;
    for part in source.parts {
        let bytes = bytes_of(source.bucket, part, source.inline).await?.to_vec();
        if assembly.is_none() {
            framer.lines(&bytes, &mut out)?;
        } else {
            for (record, _) in cut::records(&bytes, part.records, assembly) {
                let has_delimiter = keeps_delimiters && !std::mem::take(&mut is_first);
                let skip = if has_delimiter { 0 } else { delimiter };
                framer.record(record.get(skip..).unwrap_or_default(), &mut out)?;
            }
        }
        sink.drain(&mut out).await?;
    }
    framer.finish(&mut out)?;
    sink.drain(&mut out).await
}

fn failed(e: JsValue) -> String {
    format!("the body could not be written: {}", js::describe(&e))
}

/// Bytes as an encoding has them.
///
/// # Errors
/// What the runtime says.
pub async fn encoded(bytes: &[u8], encoding: Encoding) -> Result<JsValue, String> {
    let mut sink = Sink::new(encoding)?;
    sink.write(&js::bytes(bytes)).await?;
    sink.finish().await.map_err(SourceError::into_reason)
}

/// Where a body is written to; what comes out has a known length.
enum Sink {
    /// Through the runtime's gzip.
    Gzip {
        writer: web_sys::WritableStreamDefaultWriter,
        compressed: JsFuture,
    },
    /// Into one array, which grows.
    Identity { bytes: Uint8Array, length: u32 },
}

impl Sink {
    fn new(encoding: Encoding) -> Result<Self, String> {
        Ok(match encoding {
            Encoding::Gzip => {
                let gzip = CompressionStream::new("gzip").map_err(failed)?;
                let readable = gzip.readable();
                let compressed = web_sys::Response::new_with_opt_readable_stream(Some(&readable))
                    .and_then(|response| response.array_buffer())
                    .map_err(failed)?;
                Self::Gzip {
                    // Begun before the first write, which would wait for it.
                    compressed: JsFuture::from(compressed),
                    writer: gzip.writable().get_writer().map_err(failed)?,
                }
            }
            Encoding::Identity => Self::Identity {
                bytes: Uint8Array::new_with_length(IDENTITY_FIRST_BYTES),
                length: 0,
            },
        })
    }

    async fn write(&mut self, chunk: &Uint8Array) -> Result<(), String> {
        match self {
            Self::Gzip { writer, .. } => {
                let written = writer.write_with_chunk(chunk);
                JsFuture::from(written).await.map(drop).map_err(failed)
            }
            Self::Identity { bytes, length } => {
                let end = length.saturating_add(chunk.length());
                if end > bytes.length() {
                    let wider = bytes.length().saturating_mul(2).max(end);
                    let grown = Uint8Array::new_with_length(wider);
                    grown.set(&bytes.subarray(0, *length), 0);
                    *bytes = grown;
                }
                bytes.set(chunk, *length);
                *length = end;
                Ok(())
            }
        }
    }

    /// Writes what was collected in wasm, and empties it.
    async fn drain(&mut self, collected: &mut Vec<u8>) -> Result<(), SourceError> {
        if !collected.is_empty() {
            self.write(&js::bytes(collected)).await?;
            collected.clear();
        }
        Ok(())
    }

    async fn finish(self) -> Result<JsValue, SourceError> {
        match self {
            Self::Gzip { writer, compressed } => {
                JsFuture::from(writer.close()).await.map_err(failed)?;
                Ok(compressed.await.map_err(failed)?)
            }
            Self::Identity { bytes, length } => Ok(bytes.subarray(0, length).into()),
        }
    }
}

/// Neighbouring pieces of one object as one: a get costs a round trip, and a push of a large batch has dozens of pieces.
fn joined(parts: &[Part]) -> Vec<Part> {
    let mut joined: Vec<Part> = Vec::new();
    for part in parts {
        let before = joined.last_mut().filter(|before| {
            let end = before.start.map(|start| start + before.bytes);
            part.kind == "spool"
                && before.kind == "spool"
                && before.object == part.object
                && end == part.start
        });
        match before {
            Some(before) => before.bytes += part.bytes,
            None => joined.push(part.clone()),
        }
    }
    joined
}
