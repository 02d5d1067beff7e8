//! What can be wrong with a destination string, in words for the one who wrote it.

use std::fmt;

use super::template::MAX_SECRET_NAME_CHARS;
use super::{MAX_DESTINATION_CONF_CHARS, schemes};

/// Why a destination string was refused.
///
/// `parameter` is the name of the query parameter at fault. Its text never holds a value, so it can be shown and logged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DestinationConfError {
    /// More than [`MAX_DESTINATION_CONF_CHARS`].
    TooLong,
    /// A line break, a tab or another control character somewhere.
    ControlCharacter,
    /// No `scheme://` at the beginning.
    NoScheme,
    /// A scheme that Logpush does not have either.
    UnknownScheme,
    /// A destination of Logpush that this version does not push to.
    NotOffered {
        /// The scheme, as Logpush writes it.
        scheme: &'static str,
    },
    /// `http://` although private destinations are not allowed.
    PlainHttp,
    /// `ws://` although private destinations are not allowed, or to another machine.
    PlainWebSocket,
    /// What the URL parser says about host or port.
    Url(url::ParseError),
    /// `#` somewhere.
    Fragment,
    /// `user:password@` before the host.
    UserInfo,
    /// A host that is not on the public Internet.
    PrivateHost,
    /// A Splunk port other than 443 and 8088.
    SplunkPort,
    /// A Splunk path other than the raw endpoint's.
    SplunkPath,
    /// `${` in scheme, host, port or path.
    PlaceholderPlace,
    /// `${` in the name of a parameter.
    PlaceholderInName {
        /// The parameter's place in the query, from 1.
        number: usize,
    },
    /// `${` which is no `${secret:NAME}`.
    PlaceholderForm {
        /// Name of the parameter.
        parameter: String,
    },
    /// A placeholder for one of the control plane's own secrets.
    ReservedSecret {
        /// Name of the parameter.
        parameter: String,
        /// Name of the secret.
        secret: &'static str,
    },
    /// What follows `header_` is no HTTP header name, or the parameter has no `=`.
    HeaderName {
        /// The parameter's place in the query, from 1. Its text is not shown, since a value may have slipped into it.
        number: usize,
    },
    /// A header that the push sets itself, or that belongs to the connection.
    HeaderNotAllowed {
        /// Name of the parameter.
        parameter: String,
    },
    /// The same header a second time.
    HeaderTwice {
        /// Name of the parameter.
        parameter: String,
    },
    /// A header value with other characters than printable ASCII, space and tab.
    HeaderValue {
        /// Name of the parameter.
        parameter: String,
    },
    /// `REDACTED` as a secret's value: the answer to a read was written back.
    Masked {
        /// Name of the parameter.
        parameter: String,
    },
    /// `{DATE}` where no object gets a name.
    DatePlace,
    /// What stands between `://` and `?` is not what the scheme has there.
    Place {
        /// The scheme.
        scheme: &'static str,
        /// What belongs there.
        form: &'static str,
    },
    /// A parameter that must be there, and not empty.
    Missing {
        /// Name of the parameter.
        parameter: &'static str,
        /// What it holds.
        form: &'static str,
    },
    /// A parameter that the scheme does not have.
    UnknownParameter {
        /// The scheme.
        scheme: &'static str,
        /// Name of the parameter, or its place when it has no `=`.
        parameter: String,
        /// The parameters that the scheme has.
        known: &'static [&'static str],
    },
    /// A parameter that may be there once only.
    ParameterTwice {
        /// Name of the parameter.
        parameter: String,
    },
    /// A value that its parameter can not have.
    ParameterForm {
        /// Name of the parameter.
        parameter: String,
        /// What it must be.
        must: &'static str,
    },
    /// `header_Content-Encoding` with another value than `gzip` or `identity`.
    ContentEncoding,
    /// `insecure-skip-verify` with another value than `true` or `false`.
    SkipVerifyForm,
    /// `insecure-skip-verify=true`.
    SkipVerify,
}

impl fmt::Display for DestinationConfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "must have at most {MAX_DESTINATION_CONF_CHARS} characters"),
            Self::ControlCharacter => {
                f.write_str("must not hold line breaks, tabs or other control characters; percent-encode what is meant")
            }
            Self::NoScheme => {
                write!(f, "must begin with a scheme and ://; the schemes offered are {}", schemes::offered())
            }
            Self::UnknownScheme => {
                write!(f, "the scheme is not known; the schemes offered are {}", schemes::offered())
            }
            Self::NotOffered { scheme } => write!(
                f,
                "{scheme}:// is not offered in this version{}; the schemes offered are {}",
                instead_of(scheme),
                schemes::offered()
            ),
            Self::PlainHttp => f.write_str(
                "http:// sends records and credentials unencrypted; use https://, \
                 or set ALLOW_PRIVATE_DESTINATIONS if this is a test or a private network",
            ),
            Self::PlainWebSocket => f.write_str(
                "ws:// sends records and credentials unencrypted; use wss://. For a test, ws:// may lead to this machine \
                 if ALLOW_PRIVATE_DESTINATIONS is set",
            ),
            Self::Url(error) => write!(f, "is no valid URL: {error}"),
            Self::Fragment => f.write_str("must not hold #; write %23 where the character itself is meant"),
            Self::UserInfo => f.write_str(
                "must not hold a user name or password before the host; \
                 send credentials as header_Authorization=Basic%20…",
            ),
            Self::PrivateHost => f.write_str(
                "the host is private, local or reserved, or a name without a dot; \
                 set ALLOW_PRIVATE_DESTINATIONS if records are meant to go there",
            ),
            Self::SplunkPort => f.write_str("a splunk:// destination has port 443 or 8088"),
            Self::SplunkPath => f.write_str(
                "a splunk:// destination has the path /services/collector/raw, or /services/collector/event for events in \
                 envelopes",
            ),
            Self::PlaceholderPlace => f.write_str(
                "${ is not allowed in scheme, host, port or path; a ${secret:NAME} stands in the value of a parameter",
            ),
            Self::PlaceholderInName { number } => write!(
                f,
                "query parameter {number}: ${{ is not allowed in a name; a ${{secret:NAME}} stands in the value of a parameter"
            ),
            Self::PlaceholderForm { parameter } => write!(
                f,
                "{parameter}: ${{ must begin ${{secret:NAME}}, with a NAME of 1 to {MAX_SECRET_NAME_CHARS} characters \
                 of A-Z, 0-9 and _"
            ),
            Self::ReservedSecret { parameter, secret } => {
                write!(f, "{parameter}: {secret} is a secret of this service itself and is never sent to a destination")
            }
            Self::HeaderName { number } => write!(
                f,
                "query parameter {number} begins with header_ and must go on with an HTTP header name, = and a value"
            ),
            Self::HeaderNotAllowed { parameter } => {
                write!(f, "{parameter}: this header is set by the push or the connection itself; remove the parameter")
            }
            Self::HeaderTwice { parameter } => write!(f, "{parameter}: the header is given twice"),
            Self::HeaderValue { parameter } => write!(
                f,
                "{parameter}: a header value holds printable ASCII characters, spaces and tabs only, once percent-decoded"
            ),
            Self::Masked { parameter } => write!(
                f,
                "{parameter}: REDACTED is what a read shows in place of a secret; send the secret itself, \
                 or leave destination_conf out to keep it"
            ),
            Self::DatePlace => {
                f.write_str("{DATE} stands for the day in the path of r2://, s3://, gs:// and azure:// only; leave it out")
            }
            Self::Place { scheme, form } => write!(f, "what follows {scheme}:// must be {form}"),
            Self::Missing { parameter, form } => write!(f, "{parameter}: is missing; send {parameter}=, with {form}"),
            Self::UnknownParameter { scheme, parameter, known: [] } => {
                write!(f, "{parameter}: {scheme}:// has no parameters; leave it out")
            }
            Self::UnknownParameter { scheme, parameter, known } => write!(
                f,
                "{parameter}: is no parameter of {scheme}://; leave it out, or correct it to one of {}",
                known.join(", ")
            ),
            Self::ParameterTwice { parameter } => write!(f, "{parameter}: the parameter is given twice"),
            Self::ParameterForm { parameter, must } => write!(f, "{parameter}: must be {must}"),
            Self::ContentEncoding => f.write_str(
                "header_Content-Encoding: must be gzip, which is the default, or identity for a body that is not compressed",
            ),
            Self::SkipVerifyForm => f.write_str("insecure-skip-verify: must be true or false"),
            Self::SkipVerify => f.write_str(
                "insecure-skip-verify: a Worker can not skip certificate checks; \
                 give the destination a publicly trusted certificate and set false",
            ),
        }
    }
}

impl std::error::Error for DestinationConfError {}

/// What somebody can do who wants the records at a destination that is not offered.
fn instead_of(scheme: &str) -> &'static str {
    match scheme {
        "bq" => ": push to a bucket by gs:// and let BigQuery load from there",
        "kinesis" => {
            ": push to a bucket by s3://, or by https:// to an endpoint in front of the stream"
        }
        "ibmcl" => {
            ", because its tokens last an hour: push to IBM Cloud Object Storage by s3://…&endpoint=…, or by https:// to \
             a collector of yours"
        }
        _ => "",
    }
}

/// Why a destination can not be pushed to although its string is in order. Holds names only, never a value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResolveError {
    /// A `${secret:NAME}` for which there is no secret, or an empty one.
    MissingSecret {
        /// Name of the secret.
        name: String,
    },
    /// A secret that can not be sent in a header: it holds a line break, or a character outside of printable ASCII.
    SecretNotAHeaderValue {
        /// Name of the secret.
        name: String,
        /// Name of the header.
        header: String,
    },
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingSecret { name } => {
                write!(
                    f,
                    "the secret {name} is not set; set it with: wrangler secret put {name}"
                )
            }
            Self::SecretNotAHeaderValue { name, header } => write!(
                f,
                "the secret {name} can not be sent in the header {header}: it holds a line break or a character \
                 outside of printable ASCII"
            ),
        }
    }
}

impl std::error::Error for ResolveError {}
