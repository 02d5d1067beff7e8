//! Azure Blob Storage: block blobs by a SAS URL. Whoever has the URL may write; nothing else is signed.
//!
//! Sources: Microsoft's "Put Blob", "Put Block", "Put Block List", "Create an account SAS", "Blob service error codes".

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use super::object::{Call, Object, Place, Step, Store};
use super::storage::{meaning_by, says_by};
use super::{Answer, Kind, LATER, Limits, Meaning, Request, USER_AGENT, object};
use crate::logpush::destination_conf::ResolvedDestination;

/// A single Put Blob may have 256 MiB (5,000 MiB from version 2019-12-12 on), a block 100 MiB (4,000 MiB), a blob 50,000
/// blocks: far above any push.
pub(super) const KIND: Kind = Kind {
    limits: Limits::NONE,
    delivery: object::delivery,
    meaning,
    says,
};

/// A container, with the SAS that may write to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Container {
    /// Account, container and the SAS, without a path in the container.
    url: Url,
}

pub(super) fn place(destination: &ResolvedDestination) -> Result<Place, String> {
    let mut url = Url::parse(&destination.url).map_err(|e| format!("is no valid URL: {e}"))?;
    let path = percent_encoding::percent_decode_str(url.path())
        .decode_utf8_lossy()
        .into_owned();
    let path = path.trim_matches('/');
    let (container, path) = path.split_once('/').unwrap_or((path, ""));
    url.set_path(container);
    let path = path.trim_matches('/').to_owned();
    Ok((Store::Container(Container { url }), path))
}

impl Container {
    pub(super) fn call(&self, object: &Object, step: &Step<'_>) -> Result<Option<Call>, String> {
        let mut url = self.url.clone();
        url.path_segments_mut()
            .map_err(|()| "the container's URL has no path".to_owned())?
            .extend(object.name.split('/'));
        let mut headers = vec![("User-Agent".to_owned(), USER_AGENT.to_owned())];
        let mut body = None;
        match *step {
            Step::Whole => {
                headers.push(("x-ms-blob-type".to_owned(), "BlockBlob".to_owned()));
                headers.extend(object.describing("x-ms-blob-"));
            }
            Step::Part { number, .. } => {
                url.query_pairs_mut()
                    .append_pair("comp", "block")
                    .append_pair("blockid", &block_id(number));
            }
            Step::Complete { etags, .. } => {
                url.query_pairs_mut().append_pair("comp", "blocklist");
                headers.extend(object.describing("x-ms-blob-"));
                headers.push(("Content-Type".to_owned(), "application/xml".to_owned()));
                let blocks = (1..).zip(etags).map(|(number, _)| {
                    let id = block_id(number);
                    format!("<Latest>{id}</Latest>")
                });
                let blocks: String = blocks.collect();
                body = Some(format!(
                    r#"<?xml version="1.0" encoding="utf-8"?><BlockList>{blocks}</BlockList>"#
                ));
            }
            // Blocks need no beginning, and those that no list names are gone after a week.
            Step::Begin | Step::Abort { .. } => return Ok(None),
        }
        let request = Request {
            method: "PUT",
            url: url.into(),
            headers,
        };
        Ok(Some(Call { request, body }))
    }
}

/// The id of a block: all ids of a blob have the same length, in Base64.
fn block_id(number: u16) -> String {
    STANDARD.encode(format!("{number:05}"))
}

const SAS: &str = "the SAS is wrong, expired, or not for this account: make a new one";
const RIGHTS: &str =
    "the SAS does not let us write blobs from here: it wants sp=w, ss=b, srt=o and no sip";
const ACCOUNT: &str = "look at the storage account";
const CONTAINER: &str = "there is no such container in the storage account";

use Meaning::{ConfigurationRefused, TooLarge};

/// The codes of the Blob service that say more than their status, with what to do.
#[rustfmt::skip]
const CODES: &[(&str, Meaning, &str)] = &[
    ("AuthenticationFailed", ConfigurationRefused, SAS),
    ("InvalidAuthenticationInfo", ConfigurationRefused, SAS),
    ("NoAuthenticationInformation", ConfigurationRefused, SAS),
    ("InvalidQueryParameterValue", ConfigurationRefused, SAS),
    ("AuthorizationFailure", ConfigurationRefused, RIGHTS),
    ("AuthorizationPermissionMismatch", ConfigurationRefused, RIGHTS),
    ("AuthorizationProtocolMismatch", ConfigurationRefused, RIGHTS),
    ("AuthorizationResourceTypeMismatch", ConfigurationRefused, RIGHTS),
    ("AuthorizationServiceMismatch", ConfigurationRefused, RIGHTS),
    ("AuthorizationSourceIPMismatch", ConfigurationRefused, RIGHTS),
    ("InsufficientAccountPermissions", ConfigurationRefused, RIGHTS),
    ("AccountIsDisabled", ConfigurationRefused, ACCOUNT),
    ("PublicAccessNotPermitted", ConfigurationRefused, ACCOUNT),
    ("ContainerNotFound", ConfigurationRefused, CONTAINER),
    ("ContainerDisabled", ConfigurationRefused, CONTAINER),
    ("ResourceNotFound", ConfigurationRefused, CONTAINER),
    ("RequestBodyTooLarge", TooLarge, "set max_upload_bytes lower"),
    // A status of 4xx that passes by itself.
    ("ContainerBeingDeleted", LATER, ""),
    ("InvalidBlockList", LATER, ""),
    ("InvalidBlobOrBlock", LATER, ""),
    ("Md5Mismatch", LATER, ""),
    ("ServerBusy", LATER, ""),
    ("InternalError", LATER, ""),
    ("OperationTimedOut", LATER, ""),
    ("ContainerUnavailable", LATER, ""),
];

fn meaning(answer: &Answer<'_>) -> Option<Meaning> {
    // A container that lets nobody write over a blob: it has the name of this push, so an attempt before this one put it
    // there, and its answer was lost.
    if object::code(answer.body) == Some("BlobImmutableDueToPolicy") {
        return None;
    }
    meaning_by(CODES, answer)
}

fn says(answer: &Answer<'_>) -> String {
    says_by(CODES, answer)
}
