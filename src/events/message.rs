//! The body of a message that R2 sends when an object is made or goes (R2 docs, Event notifications, message format):
//! `{"account", "action", "bucket", "object": {"key", "size", "eTag"}, "eventTime"}`, with `copySource` for a copy.

use super::Fault;
use serde::Deserialize;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An object was made or written over.
    Created {
        /// Its key.
        key: String,
        /// Its size, if the event says it.
        bytes: u64,
        /// Its entity tag, if the event says it: which of the objects that this key has had.
        etag: Option<String>,
    },
    /// An object went.
    Deleted,
}

#[derive(Deserialize)]
struct Message {
    action: String,
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    key: String,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default, rename = "eTag")]
    etag: Option<String>,
}

/// Reads a message.
///
/// # Errors
/// Why it is none of R2's, and what is wrong with it.
pub fn read(json: &str) -> Result<Event, (Fault, String)> {
    let message: Message =
        serde_json::from_str(json).map_err(|e| (Fault::NotAnEvent, e.to_string()))?;
    match message.action.as_str() {
        "PutObject" | "CopyObject" | "CompleteMultipartUpload" => {}
        "DeleteObject" | "LifecycleDeletion" => return Ok(Event::Deleted),
        other => {
            let detail = format!("the action is {other}, and no object is made or deleted by that");
            return Err((Fault::UnknownAction, detail));
        }
    }
    let Object { key, size, etag } = message.object;
    if key.is_empty() {
        return Err((Fault::NotAnEvent, "`object.key` is empty".to_owned()));
    }
    Ok(Event::Created {
        key,
        bytes: size.unwrap_or_default(),
        // Some S3 tools write it in quotes.
        etag: etag.map(|etag| etag.trim_matches('"').to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn created(bytes: u64, etag: Option<&str>) -> Result<Event, (Fault, String)> {
        Ok(Event::Created {
            key: "logpush/a.log.gz".to_owned(),
            bytes,
            etag: etag.map(str::to_owned),
        })
    }

    #[test]
    fn every_action_that_makes_an_object_is_a_creation() {
        for action in ["PutObject", "CopyObject", "CompleteMultipartUpload"] {
            let text = format!(
                r#"{{"account":"3f4b7e3dcab231cbfdaa90a6a28bd548","action":"{action}","bucket":"b",
                "object":{{"key":"logpush/a.log.gz","size":65536,"eTag":"c846ff7a18f28c2e262116d6e8719ef0"}},
                "eventTime":"2024-05-24T19:36:44.379Z","copySource":{{"bucket":"b","object":"c"}}}}"#
            );
            assert_eq!(
                read(&text),
                created(65_536, Some("c846ff7a18f28c2e262116d6e8719ef0"))
            );
        }
        let bare = r#"{"action":"PutObject","object":{"key":"logpush/a.log.gz"}}"#;
        assert_eq!(read(bare), created(0, None));
        let quoted =
            r#"{"action":"PutObject","object":{"key":"logpush/a.log.gz","eTag":"\"ab\""}}"#;
        assert_eq!(read(quoted), created(0, Some("ab")));
    }

    #[test]
    fn what_goes_is_no_fault_and_everything_else_is() {
        for action in ["DeleteObject", "LifecycleDeletion"] {
            let text = format!(r#"{{"action":"{action}","object":{{"key":"a"}}}}"#);
            assert_eq!(read(&text), Ok(Event::Deleted));
        }
        for (text, fault) in [
            ("", Fault::NotAnEvent),
            ("null", Fault::NotAnEvent),
            ("[]", Fault::NotAnEvent),
            (r#""PutObject""#, Fault::NotAnEvent),
            (r#"{"object":{"key":"a"}}"#, Fault::NotAnEvent),
            (r#"{"action":"PutObject"}"#, Fault::NotAnEvent),
            (r#"{"action":"PutObject","object":{}}"#, Fault::NotAnEvent),
            (
                r#"{"action":"PutObject","object":{"key":7}}"#,
                Fault::NotAnEvent,
            ),
            (
                r#"{"action":"PutObject","object":{"key":""}}"#,
                Fault::NotAnEvent,
            ),
            (
                r#"{"action":"MoveObject","object":{"key":"a"}}"#,
                Fault::UnknownAction,
            ),
        ] {
            let (found, detail) = read(text).unwrap_err();
            assert_eq!(found, fault, "{text}");
            assert!(!detail.is_empty(), "{text}");
        }
    }
}
