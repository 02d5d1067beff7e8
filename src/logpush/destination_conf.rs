//! The string that says where a job's records go: `https://…`, `splunk://…`, `s3://…`.
//!
//! Source: Cloudflare's "Enable destinations" pages, summed up in this project's Logpush notes. What we
//! add: `${secret:NAME}` in values, so that a stored job needs to hold no credential.

use std::fmt;

mod error;
mod host;
mod mask;
mod parts;
mod resolved;
mod schemes;
#[cfg(test)]
mod schemes_tests;
mod template;
#[cfg(test)]
mod tests;

pub use error::{DestinationConfError, ResolveError};
pub use host::origin;
pub use mask::{REDACTED, masked};
use parts::Parts;
pub use resolved::ResolvedDestination;
pub(crate) use schemes::{ACK, ENVELOPE, FRAME};
use template::{Piece, RESERVED_SECRETS, RawPiece};

/// Most characters of a destination string (Cloudflare's API schema).
pub const MAX_DESTINATION_CONF_CHARS: usize = 4096;

/// Beginning of the query parameters that become headers.
const HEADER_PREFIX: &str = "header_";

/// Headers that a job can not set: the push sets them itself, or they belong to the connection (RFC 9110, 7.6.1).
const HEADERS_NOT_ALLOWED: [&str; 18] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "x-logpush-push-id",
    "x-logpush-replay",
    "sec-websocket-accept",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-version",
];

/// The header by which a job chooses between gzip and a plain body, where its scheme lets it.
const CONTENT_ENCODING: &str = "content-encoding";

/// How a destination is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DestinationKind {
    /// Any HTTPS endpoint.
    Https,
    /// Splunk's HTTP Event Collector.
    Splunk,
    /// Datadog's log intake.
    Datadog,
    /// An HTTP source of Sumo Logic.
    Sumo,
    /// SentinelOne's collector.
    SentinelOne,
    /// A WebSocket server.
    WebSocket,
    /// A Cloudflare Queue that is bound to the Worker.
    Queue,
    /// Cloudflare R2, by a binding or by its S3 API.
    R2,
    /// Amazon S3, and storage that is compatible with it.
    S3,
    /// Google Cloud Storage.
    Gs,
    /// Azure Blob Storage.
    Azure,
}

impl DestinationKind {
    /// The word for it in Logpush's failure texts and health data: its scheme.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Splunk => "splunk",
            Self::Datadog => "datadog",
            Self::Sumo => "sumo",
            Self::SentinelOne => "sentinelone",
            Self::WebSocket => "wss",
            Self::Queue => "queue",
            Self::R2 => "r2",
            Self::S3 => "s3",
            Self::Gs => "gs",
            Self::Azure => "azure",
        }
    }
}

/// What the operator allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DestinationPolicy {
    /// Hosts that are private, local or reserved, and plain HTTP (`ALLOW_PRIVATE_DESTINATIONS`).
    pub allow_private: bool,
}

/// A destination string, taken apart and checked. Its secrets may still be names.
#[derive(Clone, PartialEq, Eq)]
pub struct DestinationConf {
    kind: DestinationKind,
    /// Scheme, host, port and path.
    endpoint: String,
    /// What stays in the URL.
    parameters: Vec<Parameter>,
    /// What is for this service.
    settings: Vec<Parameter>,
    headers: Vec<Header>,
    /// The body is sent as it is, and not as gzip.
    plain_body: bool,
}

/// A query parameter.
#[derive(Clone, PartialEq, Eq)]
struct Parameter {
    /// As it goes into the URL.
    name: String,
    /// `None` when there is no `=`.
    value: Option<Vec<Piece>>,
}

#[derive(Clone, PartialEq, Eq)]
struct Header {
    name: String,
    value: Vec<Piece>,
}

impl DestinationConf {
    /// Reads and checks a destination string.
    ///
    /// - `https://host[:port]/path?header_NAME=value&other=value`. A parameter whose name begins with `header_` (exactly
    ///   so) becomes a header, with its value percent-decoded; every other one stays in the URL, in order, with special
    ///   characters percent-encoded that were not. `header_Content-Encoding=identity` asks for a body without gzip.
    /// - `splunk://host[:port]/services/collector/raw?…` is the same over HTTPS, with port 443 (the default) or 8088, and
    ///   always gzip. `insecure-skip-verify=false` and `ack` are taken out of the URL; of `/services/collector/event`,
    ///   what stands in the events' envelopes as well.
    /// - Of the other schemes, each says in its line of `schemes.rs` which parameters are for this service: those are no
    ///   part of the URL. What this version does not push to is checked in full, and then refused with
    ///   [`NotOffered`](DestinationConfError::NotOffered).
    /// - `wss://host[:port]/path?…`: as `https://`, but for the parameters `frame` and `ack`. `queue://BINDING`: a binding of
    ///   the Worker.
    /// - With `allow_private`: `http://…`, `ws://…` to a loopback host, and any other scheme to a loopback host, which is then plain HTTP on any port.
    ///
    /// # Errors
    ///
    /// [`DestinationConfError`], which names the parameter at fault and never holds its value.
    pub fn parse(text: &str, policy: DestinationPolicy) -> Result<Self, DestinationConfError> {
        if text.chars().count() > MAX_DESTINATION_CONF_CHARS {
            return Err(DestinationConfError::TooLong);
        }
        // The URL parser would drop tabs and line breaks without a word.
        if text.chars().any(char::is_control) {
            return Err(DestinationConfError::ControlCharacter);
        }
        let parts = cut(text, policy)?;
        let endpoint = parts.checked()?;
        let Some(kind) = parts.scheme.kind else {
            let scheme = parts.scheme.name;
            return Err(DestinationConfError::NotOffered { scheme });
        };
        let (settings, parameters) = parts
            .parameters
            .into_iter()
            .partition(|given| parts.scheme.is_setting(parts.front, &given.name));
        Ok(Self {
            kind,
            endpoint,
            parameters,
            settings,
            headers: parts.headers,
            plain_body: parts.plain_body,
        })
    }

    /// Scheme, host, port and path. May hold a secret: an HTTP source of Sumo Logic *is* its path.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Whether the body is sent without gzip.
    #[must_use]
    pub fn has_plain_body(&self) -> bool {
        self.plain_body
    }

    /// The text of a parameter that is for this service, percent-decoded, with the names of its secrets for themselves.
    #[must_use]
    pub fn setting_text(&self, name: &str) -> Option<String> {
        let setting = self.settings.iter().find(|given| given.name == name)?;
        let pieces = setting.value.iter().flatten();
        let text: String = pieces
            .map(|piece| match piece {
                Piece::Text(text) => template::decode(text).unwrap_or_default(),
                Piece::Secret(name) => name.as_str().into(),
            })
            .collect();
        Some(text).filter(|text| !text.is_empty())
    }

    /// How the destination is spoken to.
    #[must_use]
    pub fn kind(&self) -> DestinationKind {
        self.kind
    }

    /// Names of the secrets that [`resolve`](Self::resolve) will ask for, each once.
    #[must_use]
    pub fn secret_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        let values = self.headers.iter().map(|header| &header.value);
        for piece in values
            .chain(
                self.parameters
                    .iter()
                    .chain(&self.settings)
                    .filter_map(|parameter| parameter.value.as_ref()),
            )
            .flatten()
        {
            match piece {
                Piece::Secret(name) if !names.contains(&name.as_str()) => names.push(name),
                Piece::Secret(_) | Piece::Text(_) => {}
            }
        }
        names
    }
}

/// Shows where it leads and the names of parameters and headers, but no value.
impl fmt::Debug for DestinationConf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DestinationConf")
            .field("kind", &self.kind)
            .field("endpoint", &mask::shown_endpoint(self.kind, &self.endpoint))
            .field(
                "parameters",
                &self
                    .parameters
                    .iter()
                    .map(|parameter| &parameter.name)
                    .collect::<Vec<_>>(),
            )
            .field(
                "headers",
                &self
                    .headers
                    .iter()
                    .map(|header| &header.name)
                    .collect::<Vec<_>>(),
            )
            .finish()
    }
}

/// Cuts a string up; what stands in front of the query is not looked at but for what no scheme has there.
fn cut(text: &str, policy: DestinationPolicy) -> Result<Parts<'_>, DestinationConfError> {
    let (scheme, rest) = text
        .split_once("://")
        .ok_or(DestinationConfError::NoScheme)?;
    let name = scheme.to_ascii_lowercase();
    let (secure, refusal) = match name.as_str() {
        "http" => ("https", Some(DestinationConfError::PlainHttp)),
        "ws" => ("wss", Some(DestinationConfError::PlainWebSocket)),
        other => (other, None),
    };
    let is_plain = refusal.is_some();
    if let Some(refusal) = refusal
        && !policy.allow_private
    {
        return Err(refusal);
    }
    let scheme = schemes::find(secure).ok_or(DestinationConfError::UnknownScheme)?;
    if rest.contains('#') {
        return Err(DestinationConfError::Fragment);
    }
    let (front, query) = rest.split_once('?').unwrap_or((rest, ""));
    if template::has_opening(front) {
        return Err(DestinationConfError::PlaceholderPlace);
    }
    scheme.check_date(front)?;
    let Query {
        parameters,
        headers,
        plain_body,
    } = Query::read(query, scheme)?;
    Ok(Parts {
        scheme,
        front,
        parameters,
        headers,
        plain_body,
        policy,
        is_plain,
    })
}

/// What stands behind the `?`, sorted.
struct Query {
    parameters: Vec<Parameter>,
    headers: Vec<Header>,
    plain_body: bool,
}

impl Query {
    fn read(query: &str, scheme: &schemes::Scheme) -> Result<Self, DestinationConfError> {
        let mut parameters = Vec::new();
        let mut headers: Vec<Header> = Vec::new();
        let mut encoding = None;
        for (number, text) in (1..).zip(query.split('&').filter(|text| !text.is_empty())) {
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (text, None),
            };
            if template::has_opening(name) {
                return Err(DestinationConfError::PlaceholderInName { number });
            }
            if let Some(header) = name.strip_prefix(HEADER_PREFIX) {
                let header = header_name(header, number)?;
                let value = value.ok_or(DestinationConfError::HeaderName { number })?;
                let parameter = format!("{HEADER_PREFIX}{header}");
                if HEADERS_NOT_ALLOWED
                    .iter()
                    .any(|refused| header.eq_ignore_ascii_case(refused))
                {
                    return Err(DestinationConfError::HeaderNotAllowed { parameter });
                }
                if header.eq_ignore_ascii_case(CONTENT_ENCODING) {
                    if !scheme.has_choice_of_encoding() {
                        return Err(DestinationConfError::HeaderNotAllowed { parameter });
                    }
                    let is_plain = match value.to_ascii_lowercase().as_str() {
                        "identity" => true,
                        "gzip" => false,
                        _ => return Err(DestinationConfError::ContentEncoding),
                    };
                    if encoding.replace(is_plain).is_some() {
                        return Err(DestinationConfError::HeaderTwice { parameter });
                    }
                    continue;
                }
                if headers
                    .iter()
                    .any(|given| given.name.eq_ignore_ascii_case(&header))
                {
                    return Err(DestinationConfError::HeaderTwice { parameter });
                }
                let value = read_value(value, &parameter, true, |text| {
                    template::decode(text)
                        .filter(|text| is_header_text(text))
                        .map(String::from)
                })?;
                headers.push(Header {
                    name: header,
                    value,
                });
            } else {
                let decoded = template::decode(name).unwrap_or(name.into());
                let shown = if is_token(&decoded) {
                    decoded.to_string()
                } else {
                    format!("query parameter {number}")
                };
                let secret = mask::is_secret_name(&decoded);
                let value = value
                    .map(|value| {
                        read_value(value, &shown, secret, |text| {
                            Some(template::encode_unescaped(text))
                        })
                    })
                    .transpose()?;
                parameters.push(Parameter {
                    name: template::encode_unescaped(name),
                    value,
                });
            }
        }
        Ok(Self {
            parameters,
            headers,
            plain_body: encoding.unwrap_or(false),
        })
    }
}

fn header_name(written: &str, number: usize) -> Result<String, DestinationConfError> {
    template::decode(written)
        .filter(|name| is_token(name))
        .map(String::from)
        .ok_or(DestinationConfError::HeaderName { number })
}

/// Reads a value and its placeholders; `text` makes its text ready for the place where it goes.
fn read_value(
    value: &str,
    parameter: &str,
    secret: bool,
    text: impl Fn(&str) -> Option<String>,
) -> Result<Vec<Piece>, DestinationConfError> {
    let parameter = || parameter.to_owned();
    template::pieces(value)
        .into_iter()
        .map(|piece| match piece {
            RawPiece::Text(REDACTED) if secret => Err(DestinationConfError::Masked {
                parameter: parameter(),
            }),
            RawPiece::Text(written) => {
                text(written)
                    .map(Piece::Text)
                    .ok_or_else(|| DestinationConfError::HeaderValue {
                        parameter: parameter(),
                    })
            }
            RawPiece::Secret { name, .. } => {
                match RESERVED_SECRETS.iter().find(|reserved| **reserved == name) {
                    Some(secret) => Err(DestinationConfError::ReservedSecret {
                        parameter: parameter(),
                        secret,
                    }),
                    None => Ok(Piece::Secret(name.to_owned())),
                }
            }
            RawPiece::Broken(_) => Err(DestinationConfError::PlaceholderForm {
                parameter: parameter(),
            }),
        })
        .collect()
}

/// Whether the text is an HTTP `token` (RFC 9110, 5.6.2), as header names are.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Whether the text may stand in a header value: printable ASCII, space and tab. HTTP knows other bytes as well, but
/// what they mean differs from server to server.
fn is_header_text(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'\t' | b' '..=b'~'))
}
