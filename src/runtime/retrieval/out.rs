//! Where records are written to.

use crate::runtime::js::{self, BlockReader, CompressionStream, IdentityTransformStream};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use js_sys::Uint8Array;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use web_sys::{ReadableStream, WritableStreamDefaultWriter};

/// Compressed bytes that are taken at once; more than a piece of records becomes.
const COMPRESSED_BYTES: usize = 256 * 1024;

/// Where records are written to. A write ends when the client has taken what was written before, or nearly.
pub enum Out {
    /// The body of the answer.
    Plain(WritableStreamDefaultWriter),
    /// The body of the answer, through the runtime's gzip.
    Gzip(Box<Gzip>),
    /// Memory.
    Memory(Vec<u8>),
}

impl Out {
    /// An answer's body, and where it is written to.
    pub fn new(is_gzip: bool) -> Result<(Self, ReadableStream), String> {
        let failed = |e: JsValue| js::describe(&e);
        let body = IdentityTransformStream::new().map_err(failed)?;
        let readable = body.readable();
        let writer = body.writable().get_writer().map_err(failed)?;
        if !is_gzip {
            return Ok((Self::Plain(writer), readable));
        }
        let gzip = CompressionStream::new("gzip").map_err(failed)?;
        let compressed: JsValue = gzip.readable().into();
        let reader = BlockReader::as_it_comes(&compressed, COMPRESSED_BYTES).map_err(failed)?;
        let out = Gzip {
            compressor: gzip.writable().get_writer().map_err(failed)?,
            reading: next(reader),
            body: writer,
        };
        Ok((Self::Gzip(Box::new(out)), readable))
    }

    /// Writes.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), JsValue> {
        match self {
            Self::Plain(body) => write(body, &js::bytes(bytes)).await,
            Self::Gzip(gzip) => gzip.write(bytes).await,
            Self::Memory(memory) => {
                memory.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// Ends the body.
    pub async fn finish(self) -> Result<(), JsValue> {
        match self {
            Self::Plain(body) => JsFuture::from(body.close()).await.map(drop),
            Self::Gzip(gzip) => gzip.finish().await,
            Self::Memory(_) => Ok(()),
        }
    }

    /// Breaks the body off: its reader gets an error.
    pub async fn break_off(self) {
        let body = match &self {
            Self::Plain(body) => body,
            Self::Gzip(gzip) => &gzip.body,
            Self::Memory(_) => return,
        };
        // It fails when there is nobody to tell.
        let reason = JsValue::from_str("the retrieval failed");
        let _ = JsFuture::from(body.abort_with_reason(&reason)).await;
    }

    /// What was written to memory.
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Memory(memory) => memory,
            _ => Vec::new(),
        }
    }
}

async fn write(body: &WritableStreamDefaultWriter, bytes: &Uint8Array) -> Result<(), JsValue> {
    JsFuture::from(body.write_with_chunk(bytes)).await.map(drop)
}

type Reading = LocalBoxFuture<'static, Result<(BlockReader, Option<Uint8Array>), JsValue>>;

fn next(mut reader: BlockReader) -> Reading {
    async move {
        let block = reader.next().await?;
        Ok((reader, block))
    }
    .boxed_local()
}

/// The runtime's compressor takes whatever is written, however much waits to be read; so what comes out is handed on
/// before more is put in.
pub struct Gzip {
    compressor: WritableStreamDefaultWriter,
    /// A read is always begun: one that is given up would break the stream.
    reading: Reading,
    body: WritableStreamDefaultWriter,
}

impl Gzip {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), JsValue> {
        write(&self.compressor, &js::bytes(bytes)).await?;
        // A read that has ended may be seen a turn late, and its bytes go with the next piece.
        while let Some(read) = (&mut self.reading).now_or_never() {
            let (reader, block) = read?;
            if let Some(block) = &block {
                write(&self.body, block).await?;
            }
            self.reading = next(reader);
        }
        Ok(())
    }

    async fn finish(self) -> Result<(), JsValue> {
        let Self {
            compressor,
            mut reading,
            body,
        } = self;
        JsFuture::from(compressor.close()).await?;
        while let (reader, Some(block)) = reading.await? {
            write(&body, &block).await?;
            reading = next(reader);
        }
        JsFuture::from(body.close()).await.map(drop)
    }
}
