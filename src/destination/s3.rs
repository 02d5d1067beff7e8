//! Amazon S3, and stores that are compatible with it (`endpoint=`).
//!
//! No `x-amz-acl` is sent. Logpush asks for `bucket-owner-full-control` because its own user writes into buckets of others;
//! here the key is the bucket owner's, the header would want the right to set ACLs as well, and many stores refuse it.

use super::object::{Place, Store};
use super::storage::{self, Bucket, bucket_and_path};
use super::{Kind, Limits, object};
use crate::logpush::destination_conf::ResolvedDestination;

/// An object may have 5 TB, a single PUT 5 GiB, and a multipart upload 10,000 parts of 5 MiB to 5 GiB (Amazon's "Multipart
/// upload limits"): far above any push.
pub(super) const KIND: Kind = Kind {
    limits: Limits::NONE,
    delivery: object::delivery,
    meaning: storage::meaning,
    says: storage::says,
};

pub(super) fn place(destination: &ResolvedDestination) -> Result<Place, String> {
    let (name, path) = bucket_and_path(destination);
    let region = destination.setting("region").unwrap_or("us-east-1");
    let bucket = Bucket {
        endpoint: storage::endpoint(destination, &format!("s3.{region}.amazonaws.com"))?,
        // Amazon's certificate covers one label in front of the host, so a bucket with dots stands in the path.
        is_virtual_host: destination.setting("endpoint").is_none() && !name.contains('.'),
        region: region.to_owned(),
        writer: storage::key(destination)?,
        sse: destination.setting("sse").is_some(),
        name,
    };
    Ok((Store::Bucket(bucket), path))
}
