//! A destination with its secrets filled in: what a push is made from.

use std::fmt;

use super::mask::{is_secret_name, shown_endpoint, sumo_code};
use super::template::{Piece, decode, encode_secret};
use super::{DestinationConf, DestinationKind, REDACTED, ResolveError, is_header_text};

/// Shortest secret that is looked for in text. A shorter one would be found by chance all over it.
const MIN_SECRET_BYTES: usize = 4;

/// Headers whose values are no secrets, as long as no placeholder stands in them. An endpoint may well talk about them:
/// `wrong Content-Type header, expecting application/json`.
const PLAIN_HEADERS: [&str; 5] = [
    "content-type",
    "accept",
    "accept-language",
    "accept-encoding",
    "user-agent",
];

/// A destination with its secrets filled in. Made by [`DestinationConf::resolve`].
#[derive(Clone, PartialEq, Eq)]
pub struct ResolvedDestination {
    /// Where to push. May hold secrets.
    pub url: String,
    /// The job's own headers, in the order of the destination string. They hold secrets.
    pub headers: Vec<(String, String)>,
    /// Parameters that are for this service, percent-decoded. They may hold secrets.
    settings: Vec<(String, String)>,
    /// How the destination is spoken to.
    pub kind: DestinationKind,
    /// The body is sent as it is, and not as gzip.
    pub plain_body: bool,
    /// What must not be shown, longest first.
    secrets: Vec<String>,
}

impl DestinationConf {
    /// Fills in the secrets: percent-encoded in the URL, as they are in headers.
    ///
    /// # Errors
    ///
    /// When `lookup` has no secret of a name, or an empty one, and when a secret can not stand in a header value.
    pub fn resolve(
        &self,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<ResolvedDestination, ResolveError> {
        let find = |name: &str| {
            lookup(name)
                .filter(|secret| !secret.is_empty())
                .ok_or_else(|| ResolveError::MissingSecret {
                    name: name.to_owned(),
                })
        };
        let mut secrets = Vec::new();

        let mut headers = Vec::with_capacity(self.headers.len());
        for header in &self.headers {
            let mut value = String::new();
            for piece in &header.value {
                match piece {
                    Piece::Text(text) => value.push_str(text),
                    Piece::Secret(name) => {
                        let secret = find(name)?;
                        if !is_header_text(&secret) {
                            let (name, header) = (name.clone(), header.name.clone());
                            return Err(ResolveError::SecretNotAHeaderValue { name, header });
                        }
                        value.push_str(&secret);
                        secrets.push(secret);
                    }
                }
            }
            if !PLAIN_HEADERS
                .iter()
                .any(|plain| header.name.eq_ignore_ascii_case(plain))
            {
                // `Splunk <token>`: an endpoint may repeat the token alone.
                secrets.extend(value.split_ascii_whitespace().skip(1).map(String::from));
                secrets.push(value.clone());
            }
            headers.push((header.name.clone(), value));
        }

        let mut url = self.endpoint.clone();
        if let Some(code) = sumo_code(self.kind, &url) {
            secrets.extend(decode(code).map(String::from));
            secrets.push(code.to_owned());
        }
        for (n, parameter) in self.parameters.iter().enumerate() {
            url.push(if n == 0 { '?' } else { '&' });
            url.push_str(&parameter.name);
            let Some(value) = &parameter.value else {
                continue;
            };
            url.push('=');
            let begin = url.len();
            for piece in value {
                match piece {
                    Piece::Text(text) => url.push_str(text),
                    Piece::Secret(name) => {
                        let secret = find(name)?;
                        let encoded: String = encode_secret(&secret).collect();
                        url.push_str(&encoded);
                        secrets.extend([secret, encoded]);
                    }
                }
            }
            if is_secret_name(&decode(&parameter.name).unwrap_or_default()) {
                let value = url.get(begin..).unwrap_or_default();
                secrets.extend(decode(value).map(String::from));
                secrets.push(value.to_owned());
            }
        }

        let mut settings = Vec::with_capacity(self.settings.len());
        for setting in &self.settings {
            let mut value = String::new();
            for piece in setting.value.iter().flatten() {
                match piece {
                    Piece::Text(text) => value.push_str(&decode(text).unwrap_or_default()),
                    Piece::Secret(name) => {
                        let secret = find(name)?;
                        value.push_str(&secret);
                        secrets.push(secret);
                    }
                }
            }
            let name = decode(&setting.name).unwrap_or_default();
            if is_secret_name(&name) {
                secrets.push(value.clone());
            }
            settings.push((name.into_owned(), value));
        }

        Ok(ResolvedDestination {
            url,
            headers,
            settings,
            kind: self.kind,
            plain_body: self.plain_body,
            secrets: searchable(secrets),
        })
    }
}

/// Secrets in the forms in which an answer may repeat them, longest first.
fn searchable(secrets: Vec<String>) -> Vec<String> {
    let mut forms: Vec<String> = Vec::with_capacity(secrets.len());
    for secret in secrets {
        let in_json = serde_json::Value::from(secret.as_str()).to_string();
        let in_json = in_json
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        forms.extend(in_json.filter(|form| *form != secret).map(String::from));
        forms.push(secret);
    }
    forms.retain(|form| form.len() >= MIN_SECRET_BYTES);
    forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    forms.dedup();
    forms
}

impl ResolvedDestination {
    /// A parameter that is for this service; `None` when it is not given, or empty.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings
            .iter()
            .find(|(given, value)| given == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// The text with `REDACTED` in place of everything in it that is a secret of this destination: header values, their
    /// parts behind an authentication scheme, parameters that sound secret, and whatever came from a `${secret:NAME}`.
    ///
    /// The text may be the beginning of a longer one: a secret that its end cuts off is replaced as well.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let mut shown = text.to_owned();
        for secret in &self.secrets {
            if shown.contains(secret.as_str()) {
                shown = shown.replace(secret.as_str(), REDACTED);
            }
        }
        let cut_off = self.secrets.iter().filter_map(|secret| {
            let ends = secret
                .char_indices()
                .map(|(at, _)| at)
                .filter(|at| *at >= MIN_SECRET_BYTES)
                .rev();
            ends.filter_map(|end| secret.get(..end))
                .find(|beginning| shown.ends_with(beginning))
                .map(str::len)
        });
        if let Some(bytes) = cut_off.max() {
            shown.truncate(shown.len().saturating_sub(bytes));
            shown.push_str(REDACTED);
        }
        shown
    }
}

/// Shows where it leads and the names of headers, but no value and no query.
impl fmt::Debug for ResolvedDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResolvedDestination")
            .field("kind", &self.kind)
            .field(
                "endpoint",
                &shown_endpoint(self.kind, self.url.split('?').next().unwrap_or_default()),
            )
            .field(
                "headers",
                &self
                    .headers
                    .iter()
                    .map(|(name, _)| name)
                    .collect::<Vec<_>>(),
            )
            .finish_non_exhaustive()
    }
}
