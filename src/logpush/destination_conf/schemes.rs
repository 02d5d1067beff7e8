//! Logpush's destinations that this version does not push to. Their strings are checked to the last parameter all the
//! same, so that a mistake is named where it is made and not when the scheme is offered one day.
//!
//! Source: Cloudflare's "Enable destinations" pages, summed up in this project's Logpush notes.

use std::borrow::Cow;

use url::{Host, Url};

use super::template::{Piece, decode};
use super::{
    DestinationConfError, DestinationKind, DestinationPolicy, HEADER_PREFIX, Header, Parameter,
    REDACTED, endpoint, host, parameters,
};

/// What Logpush replaces by the day (`YYYYMMDD`) in the path of an object.
const DATE: &str = "{DATE}";

/// Schemes whose path may hold [`DATE`].
const SCHEMES_WITH_DATE: [&str; 4] = ["r2", "s3", "gs", "azure"];

/// Parameter with the id of an access key.
pub(super) const ACCESS_KEY_ID: &str = "access-key-id";
/// Parameter with its secret.
pub(super) const SECRET_ACCESS_KEY: &str = "secret-access-key";
const ROLE: &str = "sts-assume-role-arn";

type Result<T> = std::result::Result<T, DestinationConfError>;

type Check = fn(&Parts<'_>) -> Result<()>;

/// The schemes, and what each wants of what stands behind its `://`.
const SCHEMES: [(&str, Check); 10] = [
    ("r2", r2),
    ("s3", s3),
    ("gs", gs),
    ("azure", azure),
    ("sentinelone", sentinelone),
    ("datadog", datadog),
    ("sumo", sumo),
    ("bq", bq),
    ("kinesis", kinesis),
    ("ibmcl", ibmcl),
];

/// A destination string, cut up.
pub(super) struct Parts<'a> {
    scheme: &'static str,
    /// From behind `://` to the `?`.
    front: &'a str,
    parameters: Vec<Parameter>,
    headers: Vec<Header>,
    policy: DestinationPolicy,
}

/// The name of one of Logpush's other schemes, as Logpush writes it.
pub(super) fn known(scheme: &str) -> Option<&'static str> {
    SCHEMES
        .iter()
        .find(|(known, _)| *known == scheme)
        .map(|(known, _)| *known)
}

/// Refuses `{DATE}` where nothing replaces it.
pub(super) fn check_date(scheme: &str, front: &str) -> Result<()> {
    let upper = front.to_ascii_uppercase();
    let has_date = upper.contains(DATE) || upper.contains("%7BDATE%7D");
    if has_date && !SCHEMES_WITH_DATE.contains(&scheme) {
        return Err(DestinationConfError::DatePlace);
    }
    Ok(())
}

/// Checks the string of a scheme that is [`known`]; `front` and `query` are what stands before and behind its `?`.
pub(super) fn checked<'a>(
    scheme: &'static str,
    front: &'a str,
    query: &str,
    policy: DestinationPolicy,
) -> Result<Parts<'a>> {
    let (parameters, headers) = parameters(DestinationKind::Https, query)?;
    let parts = Parts {
        scheme,
        front,
        parameters,
        headers,
        policy,
    };
    SCHEMES
        .iter()
        .find(|(known, _)| *known == scheme)
        .map_or(Ok(()), |(_, check)| check(&parts))?;
    Ok(parts)
}

/// New Relic is reached by `https://`; its endpoint refuses what has no key, but only once records are on their way.
pub(super) fn check_new_relic(
    endpoint: &Url,
    parameters: &[Parameter],
    headers: &[Header],
) -> Result<()> {
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

fn r2(parts: &Parts<'_>) -> Result<()> {
    let known = &["account-id", ACCESS_KEY_ID, SECRET_ACCESS_KEY];
    parts.only(known)?;
    parts.bucket(false)?;
    parts.required("account-id", "the id of the R2 account")?;
    parts.form(
        "account-id",
        "the 32 hexadecimal digits of an account's id",
        |id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()),
    )?;
    parts.key_pair()
}

fn s3(parts: &Parts<'_>) -> Result<()> {
    let known = &[
        "region",
        "sse",
        "endpoint",
        ACCESS_KEY_ID,
        SECRET_ACCESS_KEY,
    ];
    parts.only(known)?;
    parts.bucket(false)?;
    parts.region()?;
    parts.form("sse", "AES256", |sse| sse == "AES256")?;
    if parts.has("endpoint") {
        parts.form(
            "endpoint",
            "a host, with a port if need be, without https://, bucket and path",
            |endpoint| is_endpoint(endpoint, parts.policy),
        )?;
    } else {
        parts.form(
            "region",
            "a region outside of China, where Logpush has no destinations",
            |region| !region.starts_with("cn-"),
        )?;
    }
    // A bucket at AWS itself may be open to Cloudflare's own user.
    if parts.has("endpoint") || parts.has(ACCESS_KEY_ID) || parts.has(SECRET_ACCESS_KEY) {
        parts.key_pair()?;
    }
    Ok(())
}

fn gs(parts: &Parts<'_>) -> Result<()> {
    parts.only(&[])?;
    parts.bucket(true)
}

/// A SAS URL with `azure` for `https`. What it may do is part of it, and Logpush wants it to be able to write blobs and
/// nothing else.
fn azure(parts: &Parts<'_>) -> Result<()> {
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
    })
}

fn sentinelone(parts: &Parts<'_>) -> Result<()> {
    let url = parts.url()?;
    if url.path() != "/services/collector/raw" {
        return Err(parts.place("<host>/services/collector/raw"));
    }
    parts.required_header("header_Authorization", "Bearer%20<token>")
}

fn datadog(parts: &Parts<'_>) -> Result<()> {
    let url = parts.url()?;
    if !matches!(url.path(), "/v1/input" | "/api/v2/logs") {
        return Err(parts.place("<host>/api/v2/logs or <host>/v1/input"));
    }
    parts.required_header("header_DD-API-KEY", "a Datadog API key")
}

fn sumo(parts: &Parts<'_>) -> Result<()> {
    // All of it is masked for readers.
    if parts.front == REDACTED {
        return Err(DestinationConfError::Masked {
            parameter: "sumo://".to_owned(),
        });
    }
    let url = parts.url()?;
    let code = url.path().strip_prefix("/receiver/v1/http/");
    if code.is_none_or(str::is_empty) {
        return Err(parts.place("<host>/receiver/v1/http/<code>"));
    }
    Ok(())
}

fn bq(parts: &Parts<'_>) -> Result<()> {
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
    )
}

fn kinesis(parts: &Parts<'_>) -> Result<()> {
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
        return parts.key_pair();
    }
    for name in [ACCESS_KEY_ID, SECRET_ACCESS_KEY] {
        if parts.has(name) {
            return Err(DestinationConfError::ParameterForm {
                parameter: name.to_owned(),
                must: "left out when there is a sts-assume-role-arn",
            });
        }
    }
    parts.form(
        ROLE,
        "an ARN such as arn:aws:iam::123456789012:role/name",
        |arn| arn.starts_with("arn:") && arn.contains(":role/"),
    )
}

fn ibmcl(parts: &Parts<'_>) -> Result<()> {
    parts.only(&["ibm_api_key"])?;
    let url = parts.url()?;
    let is_ingress = url
        .host_str()
        .is_some_and(|host| host.contains(".ingress.") && host.ends_with(".logs.cloud.ibm.com"));
    if url.path() != "/logs/v1/singles" || !(is_ingress || parts.policy.allow_private) {
        return Err(parts.place("<instance>.ingress.<region>.logs.cloud.ibm.com/logs/v1/singles"));
    }
    parts.required("ibm_api_key", "an API key of IBM Cloud")
}

impl Parts<'_> {
    fn place(&self, form: &'static str) -> DestinationConfError {
        let scheme = self.scheme;
        DestinationConfError::Place { scheme, form }
    }

    /// Where an HTTPS request goes, checked as for `https://`.
    fn url(&self) -> Result<Url> {
        endpoint(DestinationKind::Https, false, self.front, self.policy)
    }

    fn find(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|given| given.name == name)
    }

    /// Whether the parameter is there and not empty.
    pub(super) fn has(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| !value.is_empty())
    }

    /// The value of a parameter.
    pub(super) fn value(&self, name: &str) -> Option<&[Piece]> {
        self.find(name).and_then(|given| given.value.as_deref())
    }

    fn required(&self, parameter: &'static str, form: &'static str) -> Result<()> {
        if self.has(parameter) {
            return Ok(());
        }
        Err(DestinationConfError::Missing { parameter, form })
    }

    fn required_header(&self, parameter: &'static str, form: &'static str) -> Result<()> {
        let is_there = self.headers.iter().any(|header| {
            parameter
                .strip_prefix(HEADER_PREFIX)
                .is_some_and(|name| header.name.eq_ignore_ascii_case(name))
                && !header.value.is_empty()
        });
        if is_there {
            return Ok(());
        }
        Err(DestinationConfError::Missing { parameter, form })
    }

    /// Whether the value, if there is one and it is no secret's name, has its form.
    fn form(&self, name: &str, must: &'static str, is_right: impl Fn(&str) -> bool) -> Result<()> {
        let Some(value) = self.find(name).and_then(|given| given.value.as_deref()) else {
            return Ok(());
        };
        let text = match value {
            [Piece::Text(text)] => decode(text).unwrap_or(Cow::Borrowed(text)),
            _ => return Ok(()),
        };
        if is_right(&text) {
            return Ok(());
        }
        Err(DestinationConfError::ParameterForm {
            parameter: name.to_owned(),
            must,
        })
    }

    /// Refuses parameters that the scheme does not have, and those that are there twice.
    fn only(&self, known: &'static [&'static str]) -> Result<()> {
        let scheme = self.scheme;
        for (number, given) in (1..).zip(&self.parameters) {
            if !known.contains(&given.name.as_str()) {
                // Without a `=` the text may be a value that lost its name.
                let parameter = match &given.value {
                    Some(_) if super::is_token(&given.name) => given.name.clone(),
                    _ => format!("query parameter {number}"),
                };
                return Err(DestinationConfError::UnknownParameter {
                    scheme,
                    parameter,
                    known,
                });
            }
            let times = self
                .parameters
                .iter()
                .filter(|other| other.name == given.name);
            if times.count() > 1 {
                return Err(DestinationConfError::ParameterTwice {
                    parameter: given.name.clone(),
                });
            }
        }
        self.headers.first().map_or(Ok(()), |header| {
            Err(DestinationConfError::UnknownParameter {
                scheme,
                parameter: format!("{HEADER_PREFIX}{}", header.name),
                known,
            })
        })
    }

    /// Both halves of a key.
    fn key_pair(&self) -> Result<()> {
        self.required(ACCESS_KEY_ID, "the id of an access key")?;
        self.required(SECRET_ACCESS_KEY, "the secret of the access key")
    }

    fn region(&self) -> Result<()> {
        self.required(
            "region",
            "the bucket's or stream's region, such as eu-west-1",
        )?;
        self.form("region", "a region such as eu-west-1", |region| {
            region
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
    }

    /// `bucket[/path]`. Google's names may be longer and have an underscore.
    fn bucket(&self, google: bool) -> Result<()> {
        let bucket = self.front.split('/').next().unwrap_or_default();
        let longest = if google { 222 } else { 63 };
        let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let is_bucket = (3..=longest).contains(&bucket.len())
            && edge(bucket.bytes().next())
            && edge(bucket.bytes().next_back())
            && bucket.bytes().all(|b| {
                b.is_ascii_lowercase()
                    || b.is_ascii_digit()
                    || b".-".contains(&b)
                    || (google && b == b'_')
            });
        if is_bucket {
            return Ok(());
        }
        Err(self.place("<bucket>[/<path>], with a bucket of lower-case letters, digits, - and ."))
    }
}

/// `host[:port]`, as public as any destination.
fn is_endpoint(text: &str, policy: DestinationPolicy) -> bool {
    let Ok(url) = Url::parse(&format!("https://{text}")) else {
        return false;
    };
    let is_bare = !text.contains(['/', '?', '#', '@', '\\']) && url.path() == "/";
    let is_allowed = |host: Host<&str>| policy.allow_private || host::is_public(&host);
    is_bare && url.host().is_some_and(is_allowed)
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
