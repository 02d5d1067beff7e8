//! Cloudflare Access in front of the Worker: what its token says, whether it is meant for us, and what its bearer may do.
//!
//! Access signs a JWT for every request that it lets through and sends it as `Cf-Access-Jwt-Assertion`. Facts:
//! <https://developers.cloudflare.com/cloudflare-one/access-controls/applications/http-apps/authorization-cookie/>, the
//! pages *Validate JWTs* and *Application token*. The signature itself is checked by whoever has the key; this room says
//! which key, and what else has to be right.

use std::collections::VecDeque;
use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use url::{Host, Url};

use super::Access;

/// Where Access publishes its keys, below the team's domain.
const CERTS_PATH: &str = "/cdn-cgi/access/certs";

/// Characters of a token. A cookie of the same content has to fit into 4,096; a header may be longer.
const TOKEN_MAX_CHARS: usize = 16 * 1024;

/// How far the clocks of Cloudflare's machines and ours may be apart when times of a token are looked at.
pub const ACCESS_LEEWAY_SECS: u64 = 60;

/// Bytes of the published keys: two keys with their certificates are some 6 KB.
pub const CERTS_MAX_BYTES: usize = 64 * 1024;

/// Keys that are kept. Access publishes two: the one that signs, and the one before it.
const KEYS_MAX: usize = 16;

/// Bytes of an RSA modulus, at least: 2,048 bits (RFC 7518, 3.3).
const MODULUS_MIN_BYTES: usize = 256;

/// For so long keys are used without a look at what is published. Access changes its key every six weeks, and the one
/// before stays valid for 7 days; a key that somebody revoked by hand is refused after this.
const KEYS_FRESH_MILLIS: u64 = 60 * 60 * 1000;

/// For so long keys are used when the published ones can not be read.
const KEYS_STALE_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// In so long an isolate reads the keys at most [`READS_MAX`] times, or once while it has a key that fits.
const READS_WINDOW_MILLIS: u64 = 60 * 1000;

/// Tokens with key ids that nobody knows cost no more reads than this.
const READS_MAX: usize = 10;

/// Why a token of Access opens nothing. The text holds nothing of the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessRefusal {
    /// The deployment's variables can not be used; the text says which and why.
    Misconfigured(&'static str),
    /// It is no JWT.
    NoToken,
    /// It is signed with anything but RS256, or not at all.
    Algorithm,
    /// It is for another application.
    Audience,
    /// It comes from another team.
    Issuer,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYet,
    /// Access publishes no key of that name.
    UnknownKey,
    /// The signature is not the key's.
    Signature,
    /// A page of another origin makes the browser call.
    OtherOrigin,
    /// The published keys can not be read; the text says why.
    NoKeys(String),
}

impl AccessRefusal {
    /// Whether it is not the caller's fault, and may pass.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::NoKeys(_))
    }
}

impl fmt::Display for AccessRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cloudflare Access: ")?;
        match self {
            Self::Misconfigured(text) => f.write_str(text),
            Self::NoToken => f.write_str("Cf-Access-Jwt-Assertion is no JSON Web Token"),
            Self::Algorithm => f.write_str("the token is not signed with RS256"),
            Self::Audience => f.write_str(
                "the token is for another application; ACCESS_AUD must hold this application's Audience tag",
            ),
            Self::Issuer => f.write_str("the token is another team's; compare ACCESS_TEAM_DOMAIN"),
            Self::Expired => f.write_str("the token has expired; load the page again to sign in"),
            Self::NotYet => f.write_str("the token is not valid yet"),
            Self::UnknownKey => f.write_str("the token is signed with a key that the team does not publish"),
            Self::Signature => f.write_str("the token's signature is wrong"),
            Self::OtherOrigin => f.write_str(
                "a page of another origin made this call; calls that change something must come from this Worker's own \
                 page, or carry a token of the API",
            ),
            Self::NoKeys(why) => write!(f, "the team's keys can not be read ({why}); try again"),
        }
    }
}

/// What the deployment says about Access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessSettings {
    /// `https://team.cloudflareaccess.com`, which is also what tokens have as `iss`.
    issuer: String,
    audiences: Vec<String>,
    writers: Vec<Writer>,
}

/// Who may write.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Writer {
    /// `*`: whom Access lets in.
    Everyone,
    /// `@example.com`, with the `@`.
    Domain(String),
    /// An address.
    Email(String),
    /// The client id of a service token.
    Client(String),
}

impl AccessSettings {
    /// Reads the variables `ACCESS_TEAM_DOMAIN`, `ACCESS_AUD` and `ACCESS_WRITERS`. `None` when none of the first two is
    /// set: there is no Access.
    ///
    /// `allow_private` lets the team's domain be an address on this machine, by plain HTTP: for tests.
    ///
    /// # Errors
    /// [`AccessRefusal::Misconfigured`].
    pub fn read(
        team_domain: Option<&str>,
        audiences: Option<&str>,
        writers: Option<&str>,
        allow_private: bool,
    ) -> Result<Option<Self>, AccessRefusal> {
        let audiences: Vec<String> = listed(audiences).map(str::to_owned).collect();
        let team_domain = team_domain.map(str::trim).filter(|text| !text.is_empty());
        let team_domain = match (team_domain, audiences.is_empty()) {
            (None, true) => return Ok(None),
            (Some(team_domain), false) => team_domain,
            (None, false) => {
                return Err(AccessRefusal::Misconfigured(
                    "ACCESS_TEAM_DOMAIN is not set, and ACCESS_AUD is",
                ));
            }
            (Some(_), true) => {
                return Err(AccessRefusal::Misconfigured(
                    "ACCESS_AUD is not set, and ACCESS_TEAM_DOMAIN is",
                ));
            }
        };
        let issuer = issuer(team_domain, allow_private).ok_or(AccessRefusal::Misconfigured(
            "ACCESS_TEAM_DOMAIN must be a host such as team.cloudflareaccess.com",
        ))?;
        Ok(Some(Self {
            issuer,
            audiences,
            writers: listed(writers).map(Writer::read).collect(),
        }))
    }

    /// Where the keys are published.
    #[must_use]
    pub fn certs_url(&self) -> String {
        format!("{}{CERTS_PATH}", self.issuer)
    }

    /// Whether a token is for this application, of this team, and valid now. Who signed it is another question.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, claims: &AccessClaims, now_unix_secs: u64) -> Result<(), AccessRefusal> {
        let AccessClaims {
            aud, iss, exp, nbf, ..
        } = claims;
        let is_ours = |audience: &String| self.audiences.contains(audience);
        let now = now_unix_secs as f64;
        let leeway = ACCESS_LEEWAY_SECS as f64;
        match () {
            () if *iss != self.issuer => Err(AccessRefusal::Issuer),
            () if !aud.0.iter().any(is_ours) => Err(AccessRefusal::Audience),
            () if now >= exp + leeway => Err(AccessRefusal::Expired),
            () if nbf.is_some_and(|nbf| now + leeway < nbf) => Err(AccessRefusal::NotYet),
            () => Ok(()),
        }
    }

    /// What the bearer of a token that holds may do.
    #[must_use]
    pub fn may(&self, claims: &AccessClaims) -> Access {
        let email = claims.email.as_deref().unwrap_or_default().to_lowercase();
        let client = claims.common_name.as_deref().unwrap_or_default();
        let is_writer = self.writers.iter().any(|writer| match writer {
            Writer::Everyone => true,
            Writer::Domain(domain) => email
                .rfind('@')
                .and_then(|at| email.get(at..))
                .is_some_and(|of| of == domain),
            Writer::Email(address) => email == *address,
            Writer::Client(id) => client == id,
        });
        if is_writer {
            Access::Write
        } else {
            Access::Read
        }
    }
}

impl Writer {
    fn read(text: &str) -> Self {
        match text {
            "*" => Self::Everyone,
            _ if text.starts_with('@') => Self::Domain(text.to_lowercase()),
            _ if text.contains('@') => Self::Email(text.to_lowercase()),
            _ => Self::Client(text.to_owned()),
        }
    }
}

/// Parts between commas, without white space and empty ones.
fn listed(text: Option<&str>) -> impl Iterator<Item = &str> {
    let parts = text.unwrap_or_default().split(',').map(str::trim);
    parts.filter(|part| !part.is_empty())
}

/// The origin that a team's domain names, with or without its scheme.
fn issuer(team_domain: &str, allow_private: bool) -> Option<String> {
    let text = match team_domain.contains("://") {
        true => team_domain.to_owned(),
        false => format!("https://{team_domain}"),
    };
    let url = Url::parse(&text).ok()?;
    let is_bare = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    let is_public = url.scheme() == "https"
        && url.port().is_none()
        && matches!(url.host(), Some(Host::Domain(name)) if name.contains('.'));
    let is_here = allow_private
        && url.scheme() == "http"
        && matches!(url.host(), Some(Host::Ipv4(address)) if address.is_loopback());
    (is_bare && (is_public || is_here)).then(|| url.origin().ascii_serialization())
}

/// One text or several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OneOrMany(Vec<String>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            One(String),
            Many(Vec<String>),
        }
        Ok(Self(match Form::deserialize(deserializer)? {
            Form::One(text) => vec![text],
            Form::Many(texts) => texts,
        }))
    }
}

/// What a token says, as far as it matters here. A token without an expiry is none.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct AccessClaims {
    aud: OneOrMany,
    iss: String,
    /// Unix seconds, which RFC 7519 lets be fractions.
    exp: f64,
    #[serde(default)]
    nbf: Option<f64>,
    /// A person's address.
    #[serde(default)]
    email: Option<String>,
    /// A service token's client id.
    #[serde(default)]
    common_name: Option<String>,
}

/// A token, taken apart. Nothing of it is to be believed before its signature was checked.
#[derive(Debug)]
pub struct AccessToken<'t> {
    /// The name of the key that it claims to be signed with.
    pub kid: String,
    /// What was signed.
    pub signed: &'t str,
    /// The signature.
    pub signature: Vec<u8>,
    /// What it says.
    pub claims: AccessClaims,
}

impl<'t> AccessToken<'t> {
    /// Takes a token apart (RFC 7515, compact serialisation).
    ///
    /// # Errors
    /// [`AccessRefusal::NoToken`], [`AccessRefusal::Algorithm`].
    pub fn read(text: &'t str) -> Result<Self, AccessRefusal> {
        #[derive(Deserialize)]
        struct Header {
            alg: String,
            #[serde(default)]
            kid: Option<String>,
            /// Extensions that must be understood: none is.
            #[serde(default)]
            crit: Option<serde::de::IgnoredAny>,
        }
        let text = text.trim();
        if text.len() > TOKEN_MAX_CHARS {
            return Err(AccessRefusal::NoToken);
        }
        let none = || AccessRefusal::NoToken;
        let (signed, signature) = text.rsplit_once('.').ok_or_else(none)?;
        let (header, claims) = signed.split_once('.').ok_or_else(none)?;
        let header: Header = json(header)?;
        // Whatever else a library would take for this algorithm, `none` and HMAC with the public key among it.
        if header.alg != "RS256" || header.crit.is_some() {
            return Err(AccessRefusal::Algorithm);
        }
        Ok(Self {
            kid: header.kid.filter(|kid| !kid.is_empty()).ok_or_else(none)?,
            signed,
            signature: BASE64_URL_SAFE_NO_PAD
                .decode(signature)
                .map_err(|_| AccessRefusal::NoToken)?,
            claims: json(claims)?,
        })
    }
}

fn json<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, AccessRefusal> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(part).ok();
    bytes
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or(AccessRefusal::NoToken)
}

/// A published key: RSA, its numbers in base64url as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKey {
    /// Its name.
    pub kid: String,
    /// The modulus.
    pub n: String,
    /// The exponent.
    pub e: String,
}

/// The keys that sign with RS256 in what a team publishes.
///
/// # Errors
/// When it is no set of keys, or holds none that could be used.
pub fn access_keys(body: &[u8]) -> Result<Vec<AccessKey>, String> {
    #[derive(Deserialize)]
    struct Published {
        keys: Vec<serde_json::Value>,
    }
    let published: Published =
        serde_json::from_slice(body).map_err(|_| "what is there is no set of keys".to_owned())?;
    let keys = published.keys.iter().filter_map(key);
    let keys: Vec<AccessKey> = keys.take(KEYS_MAX).collect();
    if keys.is_empty() {
        return Err("there is no RSA key of 2,048 bits or more".to_owned());
    }
    Ok(keys)
}

fn key(published: &serde_json::Value) -> Option<AccessKey> {
    let text = |name: &str| published.get(name).and_then(serde_json::Value::as_str);
    let is_or_absent = |name: &str, expected: &str| text(name).is_none_or(|is| is == expected);
    let n = text("n")?;
    let modulus = BASE64_URL_SAFE_NO_PAD.decode(n).ok()?;
    let is_usable = text("kty") == Some("RSA")
        && is_or_absent("alg", "RS256")
        && is_or_absent("use", "sig")
        && modulus.len() >= MODULUS_MIN_BYTES;
    is_usable.then_some(())?;
    Some(AccessKey {
        kid: text("kid").filter(|kid| !kid.is_empty())?.to_owned(),
        n: n.to_owned(),
        e: text("e")?.to_owned(),
    })
}

/// The keys that an isolate keeps, and when it may read them anew.
#[derive(Debug)]
pub struct KeyCache<K> {
    keys: Vec<(String, K)>,
    read_at_millis: Option<u64>,
    /// When they were read, or tried to be.
    tries: VecDeque<u64>,
}

impl<K> Default for KeyCache<K> {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            read_at_millis: None,
            tries: VecDeque::new(),
        }
    }
}

/// What to do for a token that names a key.
#[derive(Debug, PartialEq, Eq)]
pub enum KeyPlan<K> {
    /// Take this key.
    Use(K),
    /// Read the published keys; should that fail, take this one, if there is one.
    Read(Option<K>),
    /// There is no such key, and none to be had now: the published keys were read a moment ago.
    Unknown,
    /// There are no keys, and it was tried often enough.
    Wait,
}

impl<K: Clone> KeyCache<K> {
    /// What to do for a token with this key id. A plan to read counts as a try.
    pub fn plan(&mut self, kid: &str, now_millis: u64) -> KeyPlan<K> {
        let age = self.read_at_millis.map(|at| now_millis.saturating_sub(at));
        let is_younger = |than: u64| age.is_some_and(|age| age < than);
        let known = is_younger(KEYS_STALE_MILLIS)
            .then(|| self.key(kid))
            .flatten();
        if let (Some(key), true) = (&known, is_younger(KEYS_FRESH_MILLIS)) {
            return KeyPlan::Use(key.clone());
        }
        while self
            .tries
            .front()
            .is_some_and(|at| now_millis.saturating_sub(*at) >= READS_WINDOW_MILLIS)
        {
            self.tries.pop_front();
        }
        let most = if known.is_some() { 1 } else { READS_MAX };
        if self.tries.len() < most {
            self.tries.push_back(now_millis);
            return KeyPlan::Read(known);
        }
        match known {
            Some(key) => KeyPlan::Use(key),
            None if is_younger(KEYS_FRESH_MILLIS) => KeyPlan::Unknown,
            None => KeyPlan::Wait,
        }
    }

    /// The key of this name, however old.
    pub fn key(&self, kid: &str) -> Option<K> {
        let found = self.keys.iter().find(|(name, _)| name == kid);
        found.map(|(_, key)| key.clone())
    }

    /// Keeps what was read instead of what was there.
    pub fn keep(&mut self, keys: Vec<(String, K)>, now_millis: u64) {
        self.keys = keys;
        self.read_at_millis = Some(now_millis);
    }
}

/// Where a request comes from, as a browser tells.
#[derive(Clone, Copy, Debug, Default)]
pub struct CameFrom<'h> {
    /// Its method.
    pub method: &'h str,
    /// It opens a WebSocket, which no rule of the browser keeps another origin from.
    pub is_web_socket: bool,
    /// `Sec-Fetch-Site`.
    pub fetch_site: Option<&'h str>,
    /// `Origin`.
    pub origin: Option<&'h str>,
    /// The Worker's own origin.
    pub own_origin: &'h str,
}

impl CameFrom<'_> {
    /// Whether a request may use what Access knows of its sender.
    ///
    /// Access makes the token from a cookie, which the browser sends along with whatever any page makes it send, so that
    /// the token alone does not say that the person meant it. Pages of other origins can not read answers, but could
    /// change things and listen to a WebSocket. Browsers send `Origin` with both, newer ones `Sec-Fetch-Site` as well; a
    /// program that sends neither has no cookies that it was given by others.
    #[must_use]
    pub fn is_meant(&self) -> bool {
        let only_reads = matches!(self.method, "GET" | "HEAD" | "OPTIONS") && !self.is_web_socket;
        only_reads
            || match (self.fetch_site, self.origin) {
                (Some(site), _) => matches!(site, "same-origin" | "none"),
                (None, Some(origin)) => origin == self.own_origin,
                (None, None) => true,
            }
    }
}

#[cfg(test)]
#[path = "access_jwt_tests.rs"]
mod tests;
