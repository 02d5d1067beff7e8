//! A destination string, cut up, and what checks of its pieces have in common.

use std::borrow::Cow;

use url::{Host, Url};

use super::schemes::{ACCESS_KEY_ID, ENDPOINT, Result, SECRET_ACCESS_KEY, Scheme};
use super::template::{Piece, decode};
use super::{DestinationConfError, DestinationPolicy, HEADER_PREFIX, Header, Parameter, host};

/// A destination string, cut up.
pub(super) struct Parts<'a> {
    pub(super) scheme: &'static Scheme,
    /// From behind `://` to the `?`.
    pub(super) front: &'a str,
    pub(super) parameters: Vec<Parameter>,
    pub(super) headers: Vec<Header>,
    /// The body is to be sent without gzip.
    pub(super) plain_body: bool,
    pub(super) policy: DestinationPolicy,
    /// It was `http://` or `ws://`, which only `allow_private` lets in.
    pub(super) is_plain: bool,
}

impl Parts<'_> {
    /// Checks the string, and says where it leads.
    pub(super) fn checked(&self) -> Result<String> {
        (self.scheme.check)(self)
    }

    pub(super) fn place(&self, form: &'static str) -> DestinationConfError {
        let scheme = self.scheme.name;
        DestinationConfError::Place { scheme, form }
    }

    /// `s3://bucket/path`, of what is no URL that anybody could ask.
    pub(super) fn place_of_objects(&self) -> String {
        format!("{}://{}", self.scheme.name, self.front)
    }

    /// Where an HTTPS request goes. A loopback host, which only `allow_private` lets in, has no certificate: plain HTTP.
    pub(super) fn url(&self) -> Result<Url> {
        let url = self.url_with("https")?;
        if url.host().is_some_and(|host| host::is_loopback(&host)) {
            return self.url_with("http");
        }
        Ok(url)
    }

    /// Scheme, host, port and path, checked.
    pub(super) fn url_with(&self, scheme: &str) -> Result<Url> {
        let front = self.front;
        let url = Url::parse(&format!("{scheme}://{front}")).map_err(DestinationConfError::Url)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(DestinationConfError::UserInfo);
        }
        let host = url
            .host()
            .ok_or(DestinationConfError::Url(url::ParseError::EmptyHost))?;
        if !self.policy.allow_private && !host::is_public(&host) {
            return Err(DestinationConfError::PrivateHost);
        }
        Ok(url)
    }

    pub(super) fn find(&self, name: &str) -> Option<&Parameter> {
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

    pub(super) fn required(&self, parameter: &'static str, form: &'static str) -> Result<()> {
        if self.has(parameter) {
            return Ok(());
        }
        Err(DestinationConfError::Missing { parameter, form })
    }

    pub(super) fn required_header(
        &self,
        parameter: &'static str,
        form: &'static str,
    ) -> Result<()> {
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
    pub(super) fn form(
        &self,
        name: &str,
        must: &'static str,
        is_right: impl Fn(&str) -> bool,
    ) -> Result<()> {
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
    pub(super) fn only(&self, known: &'static [&'static str]) -> Result<()> {
        let scheme = self.scheme.name;
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
            self.once(&given.name)?;
        }
        self.headers.first().map_or(Ok(()), |header| {
            Err(DestinationConfError::UnknownParameter {
                scheme,
                parameter: format!("{HEADER_PREFIX}{}", header.name),
                known,
            })
        })
    }

    /// Refuses a parameter that is there twice.
    pub(super) fn once(&self, name: &str) -> Result<()> {
        let times = self.parameters.iter().filter(|given| given.name == name);
        if times.count() > 1 {
            let parameter = name.to_owned();
            return Err(DestinationConfError::ParameterTwice { parameter });
        }
        Ok(())
    }

    /// The same as `form` for a value that becomes part of a host or a name of this Worker's: no secret may stand in it,
    /// because then nothing would look at it.
    pub(super) fn plain_form(
        &self,
        name: &str,
        must: &'static str,
        is_right: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let is_secret = |piece: &Piece| matches!(piece, Piece::Secret(_));
        if self
            .value(name)
            .is_some_and(|value| value.iter().any(is_secret))
        {
            return Err(DestinationConfError::ParameterForm {
                parameter: name.to_owned(),
                must: "written out: a ${secret:NAME} can not stand here",
            });
        }
        self.form(name, must, is_right)
    }

    /// Refuses what has no place beside other parameters.
    pub(super) fn without(&self, names: &[&str], must: &'static str) -> Result<()> {
        match names.iter().find(|name| self.has(name)) {
            None => Ok(()),
            Some(name) => Err(DestinationConfError::ParameterForm {
                parameter: (*name).to_owned(),
                must,
            }),
        }
    }

    pub(super) fn endpoint(&self) -> Result<()> {
        self.plain_form(
            ENDPOINT,
            "a host, with a port if need be, without https://, bucket and path",
            |endpoint| is_endpoint(endpoint, self.policy),
        )
    }

    /// Both halves of a key.
    pub(super) fn key_pair(&self, form: &'static str) -> Result<()> {
        self.required(ACCESS_KEY_ID, form)?;
        self.required(SECRET_ACCESS_KEY, "the secret of the access key")
    }

    pub(super) fn region(&self) -> Result<()> {
        self.required(
            "region",
            "the bucket's or stream's region, such as eu-west-1",
        )?;
        self.plain_form("region", "a region such as eu-west-1", |region| {
            region
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
    }

    /// `bucket[/path]`. Google's names may be longer and have an underscore.
    pub(super) fn bucket(&self, google: bool) -> Result<()> {
        let (bucket, path) = self.front.split_once('/').unwrap_or((self.front, ""));
        // A URL with such a segment leads elsewhere, which may be another bucket.
        let path = decode(path).unwrap_or_default();
        if path.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(
                self.place("<bucket>[/<path>], with a path without . and .. between its slashes")
            );
        }
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
