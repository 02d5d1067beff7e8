//! The records of a push, for destinations that take them plain and not as one gzip.

use super::{Part, SourceError, bytes_of, stream};
use crate::destination::Outcome;
use crate::logpush::destination_conf::ResolvedDestination;
use crate::outbox::cut;
use crate::route::Assembly;
use crate::runtime::js::{self, BlockReader};
use js_sys::Uint8Array;
use memchr::memchr;
use worker::Bucket;

/// Where the records of a push are.
pub struct Source<'a> {
    /// The archive, and what was spooled.
    pub bucket: &'a Bucket,
    /// The push's entries, in order.
    pub parts: &'a [Part],
    /// What stands around and between its records.
    pub assembly: Option<&'a Assembly>,
    /// Reads the bytes of an inline entry.
    pub inline: &'a dyn Fn(i64) -> worker::Result<Uint8Array>,
}

impl Source<'_> {
    /// The text between two records; each record has it before it.
    pub fn delimiter(&self) -> &str {
        self.assembly.map_or("", |assembly| &assembly.delimiter)
    }

    /// What stands before the first and after the last record.
    pub fn around(&self) -> (&str, &str) {
        self.assembly.map_or(("", ""), |assembly| {
            (assembly.prefix.as_str(), assembly.suffix.as_str())
        })
    }

    /// What to answer when the push is larger than its kind of destination takes: these hold it in memory. The outbox
    /// makes smaller ones of it.
    pub fn too_large(&self, destination: &ResolvedDestination, max: u64) -> Option<Outcome> {
        let (records, bytes) = self.parts.iter().fold((0, 0), |(records, bytes), part| {
            (records + part.records, bytes + part.bytes)
        });
        (bytes > max && records > 1).then(|| {
            let text = format!("{bytes} bytes in one push; at most {max} are sent at once");
            Outcome::too_large(destination, &text)
        })
    }

    /// Hands out every record as it is stored: its delimiter before it, its line end behind it. Records that can not be
    /// told apart come together, with their number. Ends early once `take` says false.
    ///
    /// # Errors
    /// When an entry can not be read.
    pub async fn each(&self, mut take: impl FnMut(&[u8], u64) -> bool) -> Result<(), SourceError> {
        for part in self.parts {
            let goes_on = match (&part.object, part.kind.as_str()) {
                (Some(object), "archive") => self.each_line(object, &mut take).await?,
                _ => {
                    let bytes = bytes_of(self.bucket, part, self.inline).await?;
                    cut::records(&bytes.to_vec(), part.records, self.assembly)
                        .into_iter()
                        .all(|(bytes, records)| take(bytes, records))
                }
            };
            if !goes_on {
                break;
            }
        }
        Ok(())
    }

    /// The whole push, as it would be the body of a request.
    ///
    /// # Errors
    /// When an entry can not be read.
    pub async fn whole(&self) -> Result<Vec<u8>, SourceError> {
        let (prefix, suffix) = self.around();
        let mut whole = prefix.as_bytes().to_vec();
        let mut is_first = true;
        self.each(|bytes, _| {
            // Before the first record there is nothing to keep it from.
            let skip = if std::mem::take(&mut is_first) {
                self.delimiter().as_bytes()
            } else {
                b""
            };
            whole.extend_from_slice(bytes.strip_prefix(skip).unwrap_or(bytes));
            true
        })
        .await?;
        whole.extend_from_slice(suffix.as_bytes());
        Ok(whole)
    }

    /// The lines of an archived batch, which is NDJSON in one gzip member.
    async fn each_line(
        &self,
        object: &str,
        take: &mut impl FnMut(&[u8], u64) -> bool,
    ) -> Result<bool, SourceError> {
        let failed = |e| format!("{object} can not be inflated: {}", js::describe(&e));
        let compressed = stream(self.bucket, object, None).await?;
        let inflated = js::gunzipped(&compressed).map_err(failed)?;
        let mut reader = BlockReader::new(&inflated).map_err(failed)?;
        let mut line = Vec::new();
        while let Some(block) = reader.next().await.map_err(failed)? {
            let block = block.to_vec();
            let mut rest = block.as_slice();
            while let Some(end) = memchr(b'\n', rest) {
                let (head, tail) = rest.split_at(end + 1);
                line.extend_from_slice(head);
                rest = tail;
                if !line.trim_ascii().is_empty() && !take(&line, 1) {
                    reader.cancel().await;
                    return Ok(false);
                }
                line.clear();
            }
            line.extend_from_slice(rest);
        }
        Ok(line.trim_ascii().is_empty() || take(&line, 1))
    }
}
