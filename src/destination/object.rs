//! Objects in storage: what one is called, and the steps by which it gets there. Which request makes a step is the store's
//! to say: `storage.rs` for what speaks the S3 API, `azure.rs`.

use std::fmt;

use super::azure::Container;
use super::storage::Bucket;
use super::{Answer, Delivery, Holds, Push, Request, azure, gs, r2, s3};
use crate::logpush::destination_conf::{DestinationKind, ResolvedDestination};
use crate::time::{compact_utc, day_utc};

/// What stands for the day in a path.
const DATES: [&str; 2] = ["{DATE}", "{date}"];

/// Characters of the push id in an object's name: 64 bits, as in the archive's keys, so that two pushes of the same seconds
/// do not meet by chance.
const HASH_CHARS: usize = 16;

/// Name of the object that checks a destination, as Logpush's.
const TEST_FILE: &str = "test.txt.gz";

/// An object to put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its name in the bucket or container.
    pub name: String,
    /// Its media type, once it is inflated.
    pub content_type: String,
    /// Whether it is gzip. It says so by `Content-Encoding`, as Logpush's objects do (cloudflare-docs, pull request 29117).
    pub is_gzip: bool,
    /// Where it goes.
    pub store: Store,
}

/// Where objects go.
#[derive(Clone, PartialEq, Eq)]
pub enum Store {
    /// A bucket that is bound to this Worker: the binding's name.
    Bound(String),
    /// A bucket that speaks the S3 API.
    Bucket(Bucket),
    /// A container of Azure Blob Storage.
    Container(Container),
}

/// A step on the way of an object. One that fits into a request is put as a whole; a larger one is begun, sent in parts and
/// completed, and can not be seen before that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// All of it.
    Whole,
    /// Asks for an upload in parts.
    Begin,
    /// A part.
    Part {
        /// Its number, from 1.
        number: u16,
        /// What the storage calls the upload.
        upload: &'a str,
    },
    /// Makes the object of its parts.
    Complete {
        /// What the storage calls the upload.
        upload: &'a str,
        /// The `ETag` of each part, in order.
        etags: &'a [String],
    },
    /// Gives the upload up.
    Abort {
        /// What the storage calls the upload.
        upload: &'a str,
    },
}

/// What makes a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The request.
    pub request: Request,
    /// Its body, where it is not a piece of the object.
    pub body: Option<String>,
}

/// A store, and the path in it, without slashes at its ends.
pub(super) type Place = (Store, String);

/// Where a destination has its objects; `None` when it has none.
///
/// # Errors
///
/// Why it can not be reached as it is configured; holds no secret.
fn place(destination: &ResolvedDestination) -> Result<Option<Place>, String> {
    match destination.kind {
        DestinationKind::R2 => r2::place(destination).map(Some),
        DestinationKind::S3 => s3::place(destination).map(Some),
        DestinationKind::Gs => gs::place(destination).map(Some),
        DestinationKind::Azure => azure::place(destination).map(Some),
        _ => Ok(None),
    }
}

/// A push as an object. Its name follows from the push, so another attempt writes the same object again, and none that
/// was lost on the way leaves a second one.
pub(super) fn delivery(
    destination: &ResolvedDestination,
    push: &Push<'_>,
) -> Result<Delivery, String> {
    let (file, day_millis) = match push.holds {
        Holds::Records {
            first_millis,
            last_millis,
        } => {
            let stamp = |millis: u64| compact_utc(nanos(millis));
            let hash = push.id.get(..HASH_CHARS).unwrap_or(push.id);
            let (first, last) = (stamp(first_millis), stamp(last_millis));
            let replay = push.replay.map(|id| format!(".replay-{id}"));
            let replay = replay.unwrap_or_default();
            (
                format!("{first}_{last}_{hash}{replay}.log.gz"),
                first_millis,
            )
        }
        Holds::TestMessage { now_millis } => (TEST_FILE.to_owned(), now_millis),
    };
    let object = file_object(destination, &file, push.content_type, true, day_millis)?;
    object
        .map(Delivery::Object)
        .ok_or_else(|| "this destination has no objects".to_owned())
}

/// A small file as an object in a destination's path, with the day of `now_millis` in place of `{DATE}`; `None` when the
/// destination has no objects.
///
/// # Errors
///
/// Why the destination can not be reached as it is configured; holds no secret.
pub fn file_object(
    destination: &ResolvedDestination,
    file: &str,
    content_type: &str,
    is_gzip: bool,
    now_millis: u64,
) -> Result<Option<Object>, String> {
    let Some((store, path)) = place(destination)? else {
        return Ok(None);
    };
    let day = day_utc(nanos(now_millis));
    let path = DATES
        .iter()
        .fold(path, |path, date| path.replace(date, &day));
    let name = if path.is_empty() {
        file.to_owned()
    } else {
        format!("{path}/{file}")
    };
    Ok(Some(Object {
        name,
        content_type: content_type.to_owned(),
        is_gzip,
        store,
    }))
}

fn nanos(millis: u64) -> i128 {
    i128::from(millis) * 1_000_000
}

impl Object {
    /// What makes a step; `None` where the storage has no such step. `bearer` is the token for a store that
    /// [wants one](Store::wants_token).
    ///
    /// # Errors
    ///
    /// When no URL can be made; holds no secret.
    pub fn call(
        &self,
        step: &Step<'_>,
        now_unix_secs: u64,
        bearer: Option<&str>,
    ) -> Result<Option<Call>, String> {
        match &self.store {
            Store::Bound(_) => Ok(None),
            Store::Bucket(bucket) => bucket.call(self, step, now_unix_secs, bearer).map(Some),
            Store::Container(container) => container.call(self, step),
        }
    }

    /// The headers that say what the object holds.
    pub(super) fn describing(&self, prefix: &str) -> Vec<(String, String)> {
        let header = |name: &str, value: &str| (format!("{prefix}{name}"), value.to_owned());
        let mut headers = vec![header("Content-Type", &self.content_type)];
        if self.is_gzip {
            headers.push(header("Content-Encoding", "gzip"));
        }
        headers
    }
}

impl Store {
    /// The service account that has to give a token for every request.
    #[must_use]
    pub fn wants_token(&self) -> Option<&gs::ServiceAccount> {
        match self {
            Self::Bucket(bucket) => bucket.service_account(),
            Self::Bound(_) | Self::Container(_) => None,
        }
    }

    /// What the storage calls an upload that was begun.
    #[must_use]
    pub fn upload_of(&self, body: &[u8]) -> Option<String> {
        element(body, "UploadId").map(str::to_owned)
    }

    /// Whether the answer to the last step says that the object is there. The S3 API may say in the body of a 200 that it
    /// is not (`CompleteMultipartUpload` in Amazon's API reference).
    #[must_use]
    pub fn is_complete(&self, answer: &Answer<'_>) -> bool {
        match self {
            Self::Bucket(_) => {
                memchr::memmem::find(answer.body, b"<CompleteMultipartUploadResult").is_some()
            }
            Self::Bound(_) | Self::Container(_) => answer.status == 201,
        }
    }
}

/// Shows the kind of store and nothing of its key.
impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bound(name) => f.debug_tuple("Bound").field(name).finish(),
            Self::Bucket(bucket) => bucket.fmt(f),
            Self::Container(_) => f.write_str("Container"),
        }
    }
}

/// The text of the first element of a name in an XML answer. Enough for the few answers of storage, whose texts hold no
/// markup; what looks different is not found.
pub(super) fn element<'b>(body: &'b [u8], name: &str) -> Option<&'b str> {
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        // Cut off in the middle of a character.
        Err(e) => std::str::from_utf8(body.get(..e.valid_up_to())?).ok()?,
    };
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (value, _) = rest.split_once(&format!("</{name}>"))?;
    let value = value.trim();
    let is_plain = !value.is_empty() && !value.contains(['<', '&']) && value.len() <= 1_024;
    is_plain.then_some(value)
}

/// The `<Code>` of an error: a word such as `AccessDenied`. The rest of such an answer repeats parts of the credentials.
pub(super) fn code(body: &[u8]) -> Option<&str> {
    let is_code = |code: &&str| {
        code.len() <= 64
            && code
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    element(body, "Code").filter(is_code)
}

/// What the runtime says of a connection, without the URL that it may repeat: it is signed.
#[must_use]
pub fn without_urls(text: &str) -> String {
    let words = text.split_ascii_whitespace().map(|word| {
        if word.contains("://") || word.contains('?') || word.contains('&') {
            "(URL)"
        } else {
            word
        }
    });
    words.collect::<Vec<_>>().join(" ")
}
