//! The schemes of destination strings: one line each in [`SCHEMES`], and one function that checks what stands behind the
//! `://` and says where it leads. A string is checked to the last parameter, so that a mistake is named where it is made,
//! also for a scheme that this version does not push to.
//!
//! Source: Cloudflare's "Enable destinations" pages, summed up in this project's Logpush notes.

use url::Url;

use super::mask::SUMO_PATH;
use super::parts::Parts;
use super::template::Piece;
use super::{DestinationConfError, DestinationKind, Header, Parameter, REDACTED, host};

/// What Logpush replaces by the day (`YYYYMMDD`) in the path of an object.
const DATE: &str = "{DATE}";

/// Parameter with the id of an access key.
pub(super) const ACCESS_KEY_ID: &str = "access-key-id";
/// Parameter with its secret.
pub(super) const SECRET_ACCESS_KEY: &str = "secret-access-key";
/// Parameter with the host of a store that speaks the S3 API.
pub(super) const ENDPOINT: &str = "endpoint";
/// Parameter with the name of a bucket's binding. Ours.
const BINDING: &str = "binding";
/// Parameter with a service account's key file. Ours.
const CREDENTIALS: &str = "credentials";
const ROLE: &str = "sts-assume-role-arn";
const SKIP_VERIFY: &str = "insecure-skip-verify";

/// Parameter of `splunk://` and `wss://` that is ours: wait until the receiver says that it has the records.
pub(crate) const ACK: &str = "ack";
/// Parameter and header with a collector's channel.
const CHANNEL: &str = "channel";
const CHANNEL_HEADER: &str = "X-Splunk-Request-Channel";
/// What stands around each event; with the raw endpoint it stays in the URL, where the collector reads it.
pub(crate) const ENVELOPE: [&str; 4] = ["host", "source", "sourcetype", "index"];
/// Beginning of the paths that take events in envelopes.
const EVENT_PATH: &str = "/services/collector/event";
/// Parameter of `wss://`: what one frame holds.
pub(crate) const FRAME: &str = "frame";
/// Longest name of a binding; the platform names no limit, and nobody needs more.
const BINDING_MAX_BYTES: usize = 128;

const SPLUNK_PATHS: [&str; 4] = [
    "/services/collector/raw",
    "/services/collector/raw/1.0",
    EVENT_PATH,
    "/services/collector/event/1.0",
];
const SPLUNK_PORTS: [u16; 2] = [443, 8088];

pub(super) type Result<T> = std::result::Result<T, DestinationConfError>;

/// Checks a string, and says where it leads: a URL without its query, or `scheme://` and what follows it.
type Check = fn(&Parts<'_>) -> Result<String>;

/// A scheme.
pub(super) struct Scheme {
    /// As Logpush writes it.
    pub(super) name: &'static str,
    /// How its destinations are spoken to; `None` when this version does not push to them.
    pub(super) kind: Option<DestinationKind>,
    /// Which parameters are for this service and no part of a URL.
    settings: Settings,
    /// Whether an object's path may hold [`DATE`].
    has_date: bool,
    pub(super) check: Check,
}

/// Parameters that a destination does not get to see.
enum Settings {
    /// These.
    Named(&'static [&'static str]),
    /// Every one: the destination has no query of its own.
    All,
}

use Settings::{All, Named};

#[rustfmt::skip]
const SCHEMES: [Scheme; 14] = [
    Scheme { name: "https", kind: Some(DestinationKind::Https), settings: Named(&[]), has_date: false, check: https },
    Scheme { name: "splunk", kind: Some(DestinationKind::Splunk), settings: Named(&[SKIP_VERIFY, ACK]), has_date: false, check: splunk },
    Scheme { name: "r2", kind: Some(DestinationKind::R2), settings: All, has_date: true, check: r2 },
    Scheme { name: "s3", kind: Some(DestinationKind::S3), settings: All, has_date: true, check: s3 },
    Scheme { name: "gs", kind: Some(DestinationKind::Gs), settings: All, has_date: true, check: gs },
    Scheme { name: "azure", kind: Some(DestinationKind::Azure), settings: Named(&[]), has_date: true, check: azure },
    Scheme { name: "sentinelone", kind: Some(DestinationKind::SentinelOne), settings: Named(&[]), has_date: false, check: sentinelone },
    Scheme { name: "datadog", kind: Some(DestinationKind::Datadog), settings: Named(&[]), has_date: false, check: datadog },
    Scheme { name: "sumo", kind: Some(DestinationKind::Sumo), settings: Named(&[]), has_date: false, check: sumo },
    Scheme { name: "bq", kind: None, settings: All, has_date: false, check: bq },
    Scheme { name: "kinesis", kind: None, settings: All, has_date: false, check: kinesis },
    Scheme { name: "ibmcl", kind: None, settings: Named(&[]), has_date: false, check: ibmcl },
    Scheme { name: "wss", kind: Some(DestinationKind::WebSocket), settings: Named(&[FRAME, ACK]), has_date: false, check: wss },
    Scheme { name: "queue", kind: Some(DestinationKind::Queue), settings: All, has_date: false, check: queue },
];

/// The scheme of a name, in lower case.
pub(super) fn find(name: &str) -> Option<&'static Scheme> {
    SCHEMES.iter().find(|scheme| scheme.name == name)
}

/// The names of the schemes that this version pushes to, with commas.
pub(super) fn offered() -> String {
    let offered = SCHEMES.iter().filter(|scheme| scheme.kind.is_some());
    offered
        .map(|scheme| scheme.name)
        .collect::<Vec<_>>()
        .join(", ")
}

impl Scheme {
    /// Refuses `{DATE}` where nothing replaces it.
    pub(super) fn check_date(&self, front: &str) -> Result<()> {
        let upper = front.to_ascii_uppercase();
        let has_date = upper.contains(DATE) || upper.contains("%7BDATE%7D");
        if has_date && !self.has_date {
            return Err(DestinationConfError::DatePlace);
        }
        Ok(())
    }

    /// Whether a job may choose between gzip and a plain body.
    pub(super) fn has_choice_of_encoding(&self) -> bool {
        matches!(self.kind, Some(DestinationKind::Https))
    }

    /// Whether a parameter is for this service and no part of a URL; `front` is what stands before the `?`.
    pub(super) fn is_setting(&self, front: &str, parameter: &str) -> bool {
        let is_event =
            matches!(self.kind, Some(DestinationKind::Splunk)) && front.contains(EVENT_PATH);
        match self.settings {
            Named(_) if is_event && ENVELOPE.contains(&parameter) => true,
            Named(names) => names.contains(&parameter),
            All => true,
        }
    }
}

fn https(parts: &Parts<'_>) -> Result<String> {
    let url = parts.url_with(if parts.is_plain { "http" } else { "https" })?;
    check_new_relic(&url, &parts.parameters, &parts.headers)?;
    Ok(url.into())
}

fn splunk(parts: &Parts<'_>) -> Result<String> {
    let url = parts.url()?;
    if !SPLUNK_PATHS.contains(&url.path()) {
        return Err(DestinationConfError::SplunkPath);
    }
    // A test on this machine may have any port.
    let port = url.port_or_known_default();
    if url.scheme() == "https" && !port.is_some_and(|port| SPLUNK_PORTS.contains(&port)) {
        return Err(DestinationConfError::SplunkPort);
    }
    if let Some(given) = parts.find(SKIP_VERIFY) {
        let text = match given.value.as_deref() {
            Some([Piece::Text(text)]) => text.to_ascii_lowercase(),
            _ => String::new(),
        };
        match text.as_str() {
            "false" => {}
            "true" => return Err(DestinationConfError::SkipVerify),
            _ => return Err(DestinationConfError::SkipVerifyForm),
        }
    }
    if let Some(given) = parts.find(ACK) {
        let wants_acknowledgement = match given.value.as_deref() {
            Some([Piece::Text(text)]) if text == "true" => true,
            Some([Piece::Text(text)]) if text == "false" => false,
            _ => {
                return Err(DestinationConfError::ParameterForm {
                    parameter: ACK.to_owned(),
                    must: "true or false",
                });
            }
        };
        let has_channel_header = parts
            .headers
            .iter()
            .any(|header| header.name.eq_ignore_ascii_case(CHANNEL_HEADER));
        if wants_acknowledgement && !has_channel_header {
            parts.required(CHANNEL, "a GUID of your own, which ack=true needs")?;
        }
    }
    Ok(url.into())
}

fn wss(parts: &Parts<'_>) -> Result<String> {
    let url = parts.url_with(if parts.is_plain { "http" } else { "https" })?;
    if parts.is_plain && !url.host().is_some_and(|host| host::is_loopback(&host)) {
        return Err(DestinationConfError::PlainWebSocket);
    }
    for (name, must, values) in [
        (FRAME, "record or push", ["record", "push"]),
        (ACK, "true or false", ["true", "false"]),
    ] {
        parts.once(name)?;
        let is_known =
            |piece: &Piece| matches!(piece, Piece::Text(text) if values.contains(&text.as_str()));
        if let Some(given) = parts.find(name)
            && !matches!(given.value.as_deref(), Some([piece]) if is_known(piece))
        {
            let parameter = name.to_owned();
            return Err(DestinationConfError::ParameterForm { parameter, must });
        }
    }
    Ok(url.into())
}

fn queue(parts: &Parts<'_>) -> Result<String> {
    parts.only(&[])?;
    let binding = parts.front;
    let is_binding = (1..=BINDING_MAX_BYTES).contains(&binding.len())
        && !binding.starts_with(|c: char| c.is_ascii_digit())
        && binding
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !is_binding {
        return Err(
            parts.place("the name of a binding: [[queues.producers]] binding = … in wrangler.toml")
        );
    }
    Ok(parts.place_of_objects())
}

/// New Relic is reached by `https://`; its endpoint refuses what has no key, but only once records are on their way.
fn check_new_relic(endpoint: &Url, parameters: &[Parameter], headers: &[Header]) -> Result<()> {
    let is_new_relic = endpoint
        .host_str()
        .is_some_and(|host| matches!(host, "log-api.newrelic.com" | "log-api.eu.newrelic.com"));
    if !is_new_relic {
        return Ok(());
    }
    if endpoint.path() != "/log/v1" {
        return Err(DestinationConfError::Place {
            scheme: "https",
            form: "log-api.newrelic.com/log/v1 or log-api.eu.newrelic.com/log/v1 for New Relic",
        });
    }
    let is_key = |name: &str| {
        name.eq_ignore_ascii_case("api-key") || name.eq_ignore_ascii_case("x-license-key")
    };
    let is_given = |value: &[Piece]| !value.is_empty();
    let by_parameter = parameters
        .iter()
        .any(|given| is_key(&given.name) && given.value.as_deref().is_some_and(is_given));
    let by_header = headers
        .iter()
        .any(|given| is_key(&given.name) && is_given(&given.value));
    if by_parameter || by_header {
        return Ok(());
    }
    Err(DestinationConfError::Missing {
        parameter: "Api-Key",
        form: "a New Relic license key",
    })
}

/// A bucket that is bound to the Worker wants the binding's name; any other one is reached by R2's S3 API with a key.
fn r2(parts: &Parts<'_>) -> Result<String> {
    let known = &[
        BINDING,
        "account-id",
        ENDPOINT,
        ACCESS_KEY_ID,
        SECRET_ACCESS_KEY,
    ];
    parts.only(known)?;
    parts.bucket(false)?;
    if parts.has(BINDING) {
        parts.plain_form(
            BINDING,
            "the name of an R2 binding of this Worker, but not ARCHIVE: no job writes among the archived batches",
            |name| {
                let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
                name.bytes().all(is_name) && name != "ARCHIVE"
            },
        )?;
        return parts
            .without(
                &["account-id", ENDPOINT, ACCESS_KEY_ID, SECRET_ACCESS_KEY],
                "left out when there is a binding",
            )
            .map(|()| parts.place_of_objects());
    }
    if parts.has(ENDPOINT) {
        parts.endpoint()?;
    } else {
        parts.required("account-id", "the id of the R2 account")?;
    }
    parts.plain_form(
        "account-id",
        "the 32 hexadecimal digits of an account's id",
        |id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()),
    )?;
    parts.key_pair("the id of an access key")?;
    Ok(parts.place_of_objects())
}

fn s3(parts: &Parts<'_>) -> Result<String> {
    let known = &["region", "sse", ENDPOINT, ACCESS_KEY_ID, SECRET_ACCESS_KEY];
    parts.only(known)?;
    parts.bucket(false)?;
    parts.region()?;
    parts.form("sse", "AES256", |sse| sse == "AES256")?;
    if parts.has(ENDPOINT) {
        parts.endpoint()?;
    } else {
        parts.form(
            "region",
            "a region outside of China, where Logpush has no destinations",
            |region| !region.starts_with("cn-"),
        )?;
    }
    // Logpush's strings without a key are for buckets that are open to Cloudflare's own user.
    parts
        .key_pair("the id of an access key; without one only Cloudflare itself may write there")?;
    Ok(parts.place_of_objects())
}

/// Logpush's strings have no parameters: its own service account writes. Ours has to be named.
fn gs(parts: &Parts<'_>) -> Result<String> {
    let known = &[CREDENTIALS, ACCESS_KEY_ID, SECRET_ACCESS_KEY, ENDPOINT];
    parts.only(known)?;
    parts.bucket(true)?;
    if parts.has(ENDPOINT) {
        parts.endpoint()?;
    }
    if parts.has(CREDENTIALS) {
        parts.without(
            &[ACCESS_KEY_ID, SECRET_ACCESS_KEY],
            "left out when there are credentials",
        )?;
        return Ok(parts.place_of_objects());
    }
    if !parts.has(ACCESS_KEY_ID) && !parts.has(SECRET_ACCESS_KEY) {
        return Err(DestinationConfError::Missing {
            parameter: CREDENTIALS,
            form: "${secret:NAME} of a service account's key file, or access-key-id= and secret-access-key= of an \
                   HMAC key; without either only Cloudflare itself may write there",
        });
    }
    parts.key_pair("the access id of an HMAC key")?;
    Ok(parts.place_of_objects())
}

/// A SAS URL with `azure` for `https`. What it may do is part of it, and Logpush wants it to be able to write blobs and
/// nothing else.
fn azure(parts: &Parts<'_>) -> Result<String> {
    let known = &["sv", "ss", "srt", "sp", "se", "st", "spr", "sip", "sig"];
    parts.only(known)?;
    let url = parts.url()?;
    let container = url.path_segments().and_then(|mut path| path.next());
    if !container.is_some_and(is_container) {
        return Err(parts.place("<account>.blob.core.windows.net/<container>"));
    }
    for (name, form) in [
        ("sv", "the version of the SAS"),
        ("sig", "the signature of the SAS"),
        ("se", "when the SAS expires, five years or more from now"),
        ("ss", "b, for blobs"),
        ("srt", "o, for objects"),
        ("sp", "w, for writing"),
    ] {
        parts.required(name, form)?;
    }
    parts.form("ss", "b: the SAS is for blobs only", |ss| ss == "b")?;
    parts.form("srt", "o: signedResourceTypes is Object only", |srt| {
        srt == "o"
    })?;
    parts.form("sp", "w: the SAS may write and do nothing else", |sp| {
        sp == "w"
    })?;
    Ok(url.into())
}

fn sentinelone(parts: &Parts<'_>) -> Result<String> {
    let url = parts.url()?;
    if url.path() != "/services/collector/raw" {
        return Err(parts.place("<host>/services/collector/raw"));
    }
    parts.required_header("header_Authorization", "Bearer%20<token>")?;
    Ok(url.into())
}

fn datadog(parts: &Parts<'_>) -> Result<String> {
    let url = parts.url()?;
    if !matches!(url.path(), "/v1/input" | "/api/v2/logs") {
        return Err(parts.place("<host>/api/v2/logs or <host>/v1/input"));
    }
    parts.required_header("header_DD-API-KEY", "a Datadog API key")?;
    Ok(url.into())
}

fn sumo(parts: &Parts<'_>) -> Result<String> {
    // All of it is masked for readers.
    if parts.front == REDACTED {
        return Err(DestinationConfError::Masked {
            parameter: "sumo://".to_owned(),
        });
    }
    let url = parts.url()?;
    let code = url.path().strip_prefix(SUMO_PATH);
    if code.is_none_or(str::is_empty) {
        return Err(parts.place("<host>/receiver/v1/http/<code>"));
    }
    Ok(url.into())
}

fn bq(parts: &Parts<'_>) -> Result<String> {
    parts.only(&["credentials"])?;
    let segments: Vec<&str> = parts.front.split('/').collect();
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
    };
    let ["projects", project, "datasets", dataset, "tables", table] = segments.as_slice() else {
        return Err(parts.place("projects/<project>/datasets/<dataset>/tables/<table>"));
    };
    if ![project, dataset, table]
        .into_iter()
        .all(|name| is_name(name))
    {
        return Err(parts.place("projects/<project>/datasets/<dataset>/tables/<table>"));
    }
    parts.required("credentials", "base64:<key file> or url:<address>")?;
    parts.form(
        "credentials",
        "base64:<key file> or url:<address>",
        |given| {
            ["base64:", "url:"].iter().any(|prefix| {
                given
                    .strip_prefix(prefix)
                    .is_some_and(|rest| !rest.is_empty())
            })
        },
    )?;
    Ok(parts.place_of_objects())
}

fn kinesis(parts: &Parts<'_>) -> Result<String> {
    let known = &[
        "region",
        ROLE,
        "sts-external-id",
        ACCESS_KEY_ID,
        SECRET_ACCESS_KEY,
    ];
    parts.only(known)?;
    let is_stream = (1..=128).contains(&parts.front.len())
        && parts
            .front
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if !is_stream {
        return Err(parts.place("<stream>"));
    }
    parts.region()?;
    if !parts.has(ROLE) {
        if parts.has("sts-external-id")
            || !(parts.has(ACCESS_KEY_ID) || parts.has(SECRET_ACCESS_KEY))
        {
            return Err(DestinationConfError::Missing {
                parameter: ROLE,
                form: "the role to assume, unless there are access-key-id and secret-access-key",
            });
        }
        parts.key_pair("the id of an access key")?;
        return Ok(parts.place_of_objects());
    }
    parts.without(
        &[ACCESS_KEY_ID, SECRET_ACCESS_KEY],
        "left out when there is a sts-assume-role-arn",
    )?;
    parts.form(
        ROLE,
        "an ARN such as arn:aws:iam::123456789012:role/name",
        |arn| arn.starts_with("arn:") && arn.contains(":role/"),
    )?;
    Ok(parts.place_of_objects())
}

fn ibmcl(parts: &Parts<'_>) -> Result<String> {
    parts.only(&["ibm_api_key"])?;
    let url = parts.url()?;
    let is_ingress = url
        .host_str()
        .is_some_and(|host| host.contains(".ingress.") && host.ends_with(".logs.cloud.ibm.com"));
    if url.path() != "/logs/v1/singles" || !(is_ingress || parts.policy.allow_private) {
        return Err(parts.place("<instance>.ingress.<region>.logs.cloud.ibm.com/logs/v1/singles"));
    }
    parts.required("ibm_api_key", "an API key of IBM Cloud")?;
    Ok(url.into())
}

/// A container of Azure Blob Storage: 3 to 63 lower-case letters, digits and single hyphens.
fn is_container(name: &str) -> bool {
    (3..=63).contains(&name.len())
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}
