//! Where a batch lies in the archive: `{scope}/{id}/{dataset}/{YYYYMMDD}/{start}_{end}_{hash}.log.gz`, Logpush's own shape.
//!
//! All of it is taken from the batch's first bytes, so that a retry finds the object of its first attempt. Values from
//! records enter only as numbers written out again, so nothing in a record can leave its place in the key.

use super::scope::Scope;
use crate::time::{self, UnixNanos};

/// The day of batches without a readable time. Their key has to be made of the batch as well, so it can not be today.
pub const UNDATED_DAY: &str = "19700101";

/// Characters of the hash in a key: 64 bits, so that two batches of one day and second do not meet by chance.
const HASH_CHARS: usize = 16;

/// The key of one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveKey {
    /// UTC day of the first record, `YYYYMMDD`, or [`UNDATED_DAY`].
    pub day: String,
    /// The object's name.
    pub object: String,
}

impl ArchiveKey {
    /// `times` are those of the first record and the latest one in the first block; `hash` is that of the first block
    /// (lower-case hex). For a batch larger than the first block `{end}` is therefore a lower bound; the ledger's row
    /// has the true range.
    #[must_use]
    pub fn new(
        scope: &Scope,
        dataset: &str,
        times: Option<(UnixNanos, UnixNanos)>,
        hash: &str,
        is_gzip: bool,
    ) -> Self {
        let (start, end) = times.unwrap_or((0, 0));
        let day = match times {
            Some((first, _)) => time::day_utc(first),
            None => UNDATED_DAY.to_owned(),
        };
        let hash = hash.get(..HASH_CHARS).unwrap_or(hash);
        let ending = if is_gzip { ".log.gz" } else { ".log" };
        let (start, end) = (time::compact_utc(start), time::compact_utc(end));
        let object = format!("{scope}/{dataset}/{day}/{start}_{end}_{hash}{ending}");
        Self { day, object }
    }

    /// The key for the `number`-th of several batches that begin alike: `…_{hash}-{number}.log.gz`.
    #[must_use]
    pub fn beside(&self, number: usize) -> Self {
        let (stem, ending) = match self.object.strip_suffix(".log.gz") {
            Some(stem) => (stem, ".log.gz"),
            None => (self.object.trim_end_matches(".log"), ".log"),
        };
        Self {
            object: format!("{stem}-{number}{ending}"),
            day: self.day.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ArchiveKey;
    use crate::logpush::scope::{Scope, ScopeKind};

    #[test]
    fn the_key_has_logpushs_shape() {
        let scope = Scope::new(ScopeKind::Zone, "abc").unwrap();
        let times = Some((1_527_069_600_000_000_000, 1_527_069_660_999_999_999));
        let hash = "0123456789abcdef0123";
        let dated = ArchiveKey::new(&scope, "http_requests", times, hash, true);
        assert_eq!(
            dated.object,
            "zones/abc/http_requests/20180523/20180523T100000Z_20180523T100100Z_0123456789abcdef.log.gz"
        );
        assert_eq!(dated.day, "20180523");
        assert_eq!(
            dated.beside(2).object,
            "zones/abc/http_requests/20180523/20180523T100000Z_20180523T100100Z_0123456789abcdef-2.log.gz"
        );
        let undated = ArchiveKey::new(&scope, "http_requests", None, hash, false);
        assert_eq!(
            undated.object,
            "zones/abc/http_requests/19700101/19700101T000000Z_19700101T000000Z_0123456789abcdef.log"
        );
        assert!(
            undated
                .beside(2)
                .object
                .ends_with("_0123456789abcdef-2.log")
        );
    }
}
