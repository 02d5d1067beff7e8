//! Cloudflare R2: by a binding of this Worker (`binding=NAME`, ours), else by R2's S3 API with a key, as Logpush does it.

use super::object::{Place, Store};
use super::storage::{self, Bucket, bucket_and_path};
use super::{Failure, Kind, LATER, Limits, Meaning, Outcome, network, object};
use crate::logpush::destination_conf::ResolvedDestination;

/// An object may have 5 TiB and a single PUT 5 GiB; a multipart upload has up to 10,000 parts of 5 MiB to 5 GiB, all but the
/// last of one size (Cloudflare's "R2 limits").
pub(super) const KIND: Kind = Kind {
    limits: Limits::NONE,
    delivery: object::delivery,
    meaning: storage::meaning,
    says: storage::says,
};

pub(super) fn place(destination: &ResolvedDestination) -> Result<Place, String> {
    let (name, path) = bucket_and_path(destination);
    if let Some(binding) = destination.setting("binding") {
        return Ok((Store::Bound(binding.to_owned()), path));
    }
    let account = destination.setting("account-id").unwrap_or_default();
    let usual = format!("{account}.r2.cloudflarestorage.com");
    let bucket = Bucket {
        endpoint: storage::endpoint(destination, &usual)?,
        is_virtual_host: false,
        region: "auto".to_owned(),
        writer: storage::key(destination)?,
        sse: false,
        name,
    };
    Ok((Store::Bucket(bucket), path))
}

/// What an exception of a binding says that does not pass by itself, by the number at its end: no such bucket, R2 is not
/// switched on (Cloudflare's "R2 error codes").
const TO_BE_MENDED: [&str; 2] = ["(10006)", "(10042)"];

/// What it means that a put through a binding failed: `text` is the exception's.
#[must_use]
pub fn bound_failure(binding: &str, text: &str) -> Outcome {
    let is_to_be_mended = TO_BE_MENDED.iter().any(|number| text.contains(number));
    let status = network::OTHER;
    let text: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
    Outcome::Failed(Failure {
        meaning: if is_to_be_mended {
            Meaning::ConfigurationRefused
        } else {
            LATER
        },
        status,
        reason: format!(
            "error {status}: error pushing: error uploading to r2: binding {binding}: {text}"
        ),
    })
}
