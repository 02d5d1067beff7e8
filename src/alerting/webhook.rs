//! Where alerts are posted to: `{name, url, secret}`.

use super::{InputError, members_of, text_member, wrong};
use crate::logpush::destination_conf::{
    DestinationConf, DestinationPolicy, REDACTED, ResolvedDestination, masked,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;
use url::Url;

/// The header that carries a webhook's secret (Cloudflare's name).
pub const AUTH_HEADER: &str = "cf-webhook-auth";

/// Most characters of a name.
const MAX_NAME_CHARS: usize = 512;

/// Most characters of a URL. With the secret, percent-encoded, it stays below the 4,096 of a destination string.
const MAX_URL_CHARS: usize = 2_048;

/// Most bytes of a secret.
const MAX_SECRET_CHARS: usize = 512;

/// Ports that Cloudflare's webhooks may have.
const PORTS: [u16; 2] = [80, 443];

/// The host by which Slack's incoming webhooks are known.
const SLACK_HOST: &str = "hooks.slack.com";

/// What stays as it is when a secret is written as a parameter; the names of placeholders have `_` in them.
const IN_PARAMETER: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_');

/// The form of what is posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookKind {
    /// Cloudflare's generic JSON, with `cf-webhook-auth`.
    Generic,
    /// `{"text": …}`, as Slack and what is compatible with it take it.
    Slack,
}

impl WebhookKind {
    /// The word for it in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::Slack => "slack",
        }
    }
}

/// A webhook as it is stored. Members may be added with a default; none may change or go.
///
/// `Debug` shows neither URL nor secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// 32 hex digits.
    pub id: String,
    /// The account whose API it was made in.
    pub account: String,
    /// The operator's name for it.
    pub name: String,
    /// The form of what is posted.
    pub kind: WebhookKind,
    /// Where to. A Slack URL is a credential.
    pub url: String,
    /// Goes as `cf-webhook-auth`; may be or hold `${secret:NAME}`.
    #[serde(default)]
    pub secret: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// When it last took something, RFC 3339.
    #[serde(default)]
    pub last_success: Option<String>,
    /// When it last did not, RFC 3339.
    #[serde(default)]
    pub last_failure: Option<String>,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// A webhook with its secrets filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookTarget {
    /// Where to post. May hold secrets.
    pub url: String,
    /// Headers besides those of every request. They hold secrets.
    pub headers: Vec<(String, String)>,
    conf: ResolvedDestination,
    /// The path of a Slack URL: it is the credential.
    path: Option<String>,
}

impl WebhookTarget {
    /// The text without the webhook's secrets.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let shown = self.conf.redact(text);
        match &self.path {
            Some(path) => shown.replace(path.as_str(), REDACTED),
            None => shown,
        }
    }
}

impl Webhook {
    /// As the API shows it: never with its secret, and with `mask` with no credential in its URL either.
    #[must_use]
    pub fn to_api(&self, mask: bool) -> Value {
        let url = match (mask, self.kind) {
            (false, _) => self.url.clone(),
            (true, WebhookKind::Slack) => Url::parse(&self.url).map_or_else(
                |_| REDACTED.to_owned(),
                |url| format!("{}/{REDACTED}", url.origin().ascii_serialization()),
            ),
            (true, WebhookKind::Generic) => masked(&self.url),
        };
        let mut webhook = json!({
            "id": self.id,
            "name": self.name,
            "type": self.kind.as_str(),
            "url": url,
            "created_at": self.created_at,
        });
        if let Some(webhook) = webhook.as_object_mut() {
            for (name, at) in [
                ("last_success", &self.last_success),
                ("last_failure", &self.last_failure),
            ] {
                if let Some(at) = at {
                    webhook.insert(name.to_owned(), at.clone().into());
                }
            }
        }
        webhook
    }

    /// Checks URL and secret, and fills in `${secret:NAME}`.
    ///
    /// # Errors
    /// What is wrong, for the one who made the webhook; never a secret.
    pub fn target(
        &self,
        allow_private: bool,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<WebhookTarget, InputError> {
        let conf = self.conf(allow_private)?;
        let resolved = conf.resolve(lookup).map_err(|e| wrong("secret", e))?;
        let is_plain = self
            .url
            .get(..5)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("http:"));
        let url = match resolved.url.strip_prefix("https://") {
            Some(rest) if is_plain => format!("http://{rest}"),
            _ => resolved.url.clone(),
        };
        let path = (self.kind == WebhookKind::Slack)
            .then(|| Url::parse(&url).ok().map(|url| url.path().to_owned()))
            .flatten()
            .filter(|path| path.len() > 4);
        Ok(WebhookTarget {
            url,
            headers: resolved.headers.clone(),
            conf: resolved,
            path,
        })
    }

    /// The webhook as a destination string, whose rules about hosts, placeholders and masking are the ones wanted here.
    fn conf(&self, allow_private: bool) -> Result<DestinationConf, InputError> {
        let (scheme, rest) = self
            .url
            .split_once("://")
            .ok_or_else(|| wrong("url", "must begin with https:// or http://"))?;
        if !["https", "http"].contains(&scheme.to_ascii_lowercase().as_str()) {
            return Err(wrong("url", "must begin with https:// or http://"));
        }
        let front = rest.split(['?', '#']).next().unwrap_or_default();
        let port = Url::parse(&format!("{scheme}://{front}"))
            .map_err(|e| wrong("url", e))?
            .port_or_known_default();
        if !allow_private && !port.is_some_and(|port| PORTS.contains(&port)) {
            return Err(wrong("url", "the port must be 80 or 443"));
        }
        let policy = DestinationPolicy { allow_private };
        let checked = format!("https://{rest}");
        let conf = DestinationConf::parse(&checked, policy).map_err(|e| wrong("url", e))?;
        let Some(secret) = self
            .secret
            .as_deref()
            .filter(|_| self.kind == WebhookKind::Generic)
        else {
            return Ok(conf);
        };
        let separator = if rest.contains('?') { '&' } else { '?' };
        let secret = utf8_percent_encode(secret, IN_PARAMETER);
        DestinationConf::parse(
            &format!("{checked}{separator}header_{AUTH_HEADER}={secret}"),
            policy,
        )
        .map_err(|e| wrong("secret", e))
    }
}

/// What a request brings: any subset of a webhook's members. `None` leaves what is there.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookInput {
    name: Option<String>,
    url: Option<String>,
    kind: Option<WebhookKind>,
    secret: Option<Option<String>>,
}

impl WebhookInput {
    /// Reads a body.
    ///
    /// # Errors
    /// Which member is wrong, and how.
    pub fn from_json(body: &Value) -> Result<Self, InputError> {
        let members = members_of(body)?;
        let kind = match text_member(members, "type", MAX_NAME_CHARS)?.as_deref() {
            None | Some("") => None,
            Some("generic") => Some(WebhookKind::Generic),
            Some("slack") => Some(WebhookKind::Slack),
            Some(_) => return Err(wrong("type", "is not offered; there are generic and slack")),
        };
        let secret = match members.get("secret") {
            None => None,
            Some(_) => Some(
                text_member(members, "secret", MAX_SECRET_CHARS)?.filter(|text| !text.is_empty()),
            ),
        };
        Ok(Self {
            name: text_member(members, "name", MAX_NAME_CHARS)?,
            url: text_member(members, "url", MAX_URL_CHARS)?,
            kind,
            secret,
        })
    }

    /// A new webhook.
    ///
    /// # Errors
    /// When something that it needs is missing or wrong.
    pub fn into_new(
        self,
        id: String,
        account: String,
        now: &str,
        allow_private: bool,
    ) -> Result<Webhook, InputError> {
        let blank = Webhook {
            id,
            account,
            name: String::new(),
            kind: WebhookKind::Generic,
            url: String::new(),
            secret: None,
            created_at: now.to_owned(),
            last_success: None,
            last_failure: None,
        };
        self.apply_to(blank, allow_private)
    }

    /// The webhook with these changes. A secret that is not sent stays, but does not follow the URL to another host.
    ///
    /// # Errors
    /// When what comes out is no webhook.
    pub fn apply_to(self, webhook: Webhook, allow_private: bool) -> Result<Webhook, InputError> {
        let url = self.url.unwrap_or_else(|| webhook.url.clone());
        if url.is_empty() {
            return Err(wrong("url", "is required"));
        }
        let origin = |url: &str| Url::parse(url).map(|url| url.origin()).ok();
        if self.secret.is_none() && webhook.secret.is_some() && origin(&url) != origin(&webhook.url)
        {
            return Err(wrong(
                "secret",
                "send it again, or null, when the URL leads to another host",
            ));
        }
        let by_host = || match Url::parse(&url) {
            Ok(url) if url.host_str() == Some(SLACK_HOST) => WebhookKind::Slack,
            _ => WebhookKind::Generic,
        };
        let is_moved = url != webhook.url;
        let changed = Webhook {
            name: self.name.unwrap_or(webhook.name),
            kind: match self.kind {
                Some(kind) => kind,
                None if is_moved => by_host(),
                None => webhook.kind,
            },
            secret: self.secret.unwrap_or(webhook.secret),
            url,
            ..webhook
        };
        if changed.name.trim().is_empty() {
            return Err(wrong("name", "is required"));
        }
        changed.conf(allow_private)?;
        Ok(changed)
    }
}
