//! Cloudflare Access in front of the Worker: the keys of its team, kept in the isolate, and who they say is asking.

use super::objects::now_millis;
use super::{config, graphql, js, probe, push};
use crate::api::{
    Access, AccessKey, AccessRefusal, AccessSettings, AccessToken, ApiError, ApiResponse,
    CERTS_MAX_BYTES, CameFrom, KeyCache, KeyPlan, access_keys,
};
use crate::destination::{Request as Outgoing, USER_AGENT};
use js::subtle;
use js_sys::Array;
use std::cell::RefCell;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use worker::{AbortSignal, Env, Request, Response, Result};

/// Where Access puts its token. Its cookie `CF_Authorization` holds the same and is not looked at: it need not be there.
const ASSERTION: &str = "Cf-Access-Jwt-Assertion";

/// WebCrypto's name for RS256's signatures.
const SIGNATURE: &str = "RSASSA-PKCS1-v1_5";

thread_local! {
    /// The team's keys. A `CryptoKey` belongs to no request, so that the next one may use it.
    static KEYS: RefCell<KeyCache<JsValue>> = RefCell::new(KeyCache::default());
}

/// A request that came through Access, or says so.
pub struct Visitor {
    assertion: String,
    has_token: bool,
    method: String,
    path: String,
    is_web_socket: bool,
    fetch_site: Option<String>,
    origin: Option<String>,
    own_origin: String,
}

impl Visitor {
    /// `None` for a request without a token of Access, and for batches, which have a secret of their own.
    pub fn of(request: &Request) -> Result<Option<Self>> {
        let headers = request.headers();
        let Some(assertion) = headers.get(ASSERTION)? else {
            return Ok(None);
        };
        let url = request.url()?;
        if url.path().starts_with("/ingest/") {
            return Ok(None);
        }
        Ok(Some(Self {
            assertion,
            has_token: super::api::token(request)?.is_some(),
            method: request.method().as_ref().to_owned(),
            path: url.path().to_owned(),
            is_web_socket: headers.get("Upgrade")?.is_some(),
            fetch_site: headers.get("Sec-Fetch-Site")?,
            origin: headers.get("Origin")?,
            own_origin: url.origin().ascii_serialization(),
        }))
    }

    /// What the visitor may do.
    ///
    /// # Errors
    /// Why that is nothing.
    pub async fn access(&self, env: &Env) -> std::result::Result<Access, AccessRefusal> {
        let text = |name| config::text(env, name);
        let settings = AccessSettings::read(
            text(config::ACCESS_TEAM_DOMAIN).as_deref(),
            text(config::ACCESS_AUD).as_deref(),
            text(config::ACCESS_WRITERS).as_deref(),
            config::is_on(env, config::ALLOW_PRIVATE_DESTINATIONS),
        )?;
        let Some(settings) = settings else {
            return Err(AccessRefusal::Misconfigured(
                "it is not set up in this Worker; set ACCESS_TEAM_DOMAIN and ACCESS_AUD, or send a token of the API",
            ));
        };
        let from = CameFrom {
            method: &self.method,
            is_web_socket: self.is_web_socket,
            fetch_site: self.fetch_site.as_deref(),
            origin: self.origin.as_deref(),
            own_origin: &self.own_origin,
        };
        if !from.is_meant() {
            return Err(AccessRefusal::OtherOrigin);
        }
        let token = AccessToken::read(&self.assertion)?;
        // Before the key: a token that is not for us is worth no look at the published keys.
        settings.check(&token.claims, now_millis() / 1000)?;
        let key = key(&settings, &token.kid).await?;
        if !is_signed(&token, &key).await {
            return Err(AccessRefusal::Signature);
        }
        Ok(settings.may(&token.claims))
    }

    /// The response, or, if it says 401 to a request without a token of the API, one that says why Access did not help.
    pub async fn explained(self, response: Response, env: &Env) -> Result<Response> {
        if response.status_code() != 401 || self.has_token {
            return Ok(response);
        }
        let Err(refusal) = self.access(env).await else {
            return Ok(response);
        };
        let error = ApiError::AccessRefused(refusal.clone());
        let status = error.status();
        let response = if self.path == graphql::PATH {
            return graphql::refused(status, &error.to_string());
        } else if self.path.starts_with("/client/v4/") {
            let ApiResponse { status, body } = error.into();
            Response::from_json(&body)?.with_status(status)
        } else {
            let code = match refusal.may_pass() {
                true => "access_unavailable",
                false => "unauthorized",
            };
            super::error(status, code, &refusal.to_string())?
        };
        if refusal.may_pass() {
            response.headers().set("Retry-After", "5")?;
        }
        Ok(response)
    }
}

/// The team's key of this name: one that is kept, or one of those that are published now.
async fn key(settings: &AccessSettings, kid: &str) -> std::result::Result<JsValue, AccessRefusal> {
    let known = match KEYS.with_borrow_mut(|keys| keys.plan(kid, now_millis())) {
        KeyPlan::Use(key) => return Ok(key),
        KeyPlan::Unknown => return Err(AccessRefusal::UnknownKey),
        KeyPlan::Wait => {
            return Err(AccessRefusal::NoKeys(
                "it was tried several times within a minute".to_owned(),
            ));
        }
        KeyPlan::Read(known) => known,
    };
    match published(&settings.certs_url()).await {
        Ok(keys) => KEYS.with_borrow_mut(|cache| {
            cache.keep(keys, now_millis());
            cache.key(kid).ok_or(AccessRefusal::UnknownKey)
        }),
        Err(why) => {
            worker::console_error!("{}: {why}", settings.certs_url());
            known.ok_or(AccessRefusal::NoKeys(why))
        }
    }
}

/// The keys that the team publishes, ready to be used.
async fn published(url: &str) -> std::result::Result<Vec<(String, JsValue)>, String> {
    let request = Outgoing {
        method: "GET",
        url: url.to_owned(),
        headers: vec![("User-Agent".to_owned(), USER_AGENT.to_owned())],
    };
    let body = probe::within_deadline(async |signal: AbortSignal| {
        let response = push::fetch(&request, JsValue::UNDEFINED, &signal)
            .await
            .map_err(|e| {
                worker::console_error!("{url}: {}", js::describe(&e));
                "there was no answer".to_owned()
            })?;
        if response.status() != 200 {
            return Err(format!("status {}", response.status()));
        }
        let too_long = || format!("the answer has more than {CERTS_MAX_BYTES} bytes");
        whole(&response).await?.ok_or_else(too_long)
    })
    .await?;
    let mut keys = Vec::new();
    for key in access_keys(&body)? {
        keys.push((key.kid.clone(), imported(&key).await?));
    }
    Ok(keys)
}

/// The body of an answer; `None` when it is too long.
async fn whole(response: &web_sys::Response) -> std::result::Result<Option<Vec<u8>>, String> {
    let broken = |_| "the answer broke off".to_owned();
    let Some(stream) = response.body() else {
        return Ok(Some(Vec::new()));
    };
    let mut reader =
        js::BlockReader::with_block_bytes(&stream, CERTS_MAX_BYTES + 1).map_err(broken)?;
    let body = reader.next().await.map_err(broken)?;
    let body = body.map(|block| block.to_vec()).unwrap_or_default();
    Ok((body.len() <= CERTS_MAX_BYTES).then_some(body))
}

async fn imported(key: &AccessKey) -> std::result::Result<JsValue, String> {
    let jwk = js::object(&[
        ("kty", "RSA".into()),
        ("alg", "RS256".into()),
        ("n", key.n.as_str().into()),
        ("e", key.e.as_str().into()),
    ]);
    let algorithm = js::object(&[("name", SIGNATURE.into()), ("hash", "SHA-256".into())]);
    let unusable = |_| "a key can not be used".to_owned();
    let uses = Array::of1(&"verify".into());
    let key = subtle::import_jwk("jwk", &jwk, &algorithm, false, &uses).map_err(unusable)?;
    JsFuture::from(key).await.map_err(unusable)
}

async fn is_signed(token: &AccessToken<'_>, key: &JsValue) -> bool {
    let (signature, signed) = (
        js::bytes(&token.signature),
        js::bytes(token.signed.as_bytes()),
    );
    let Ok(answer) = subtle::verify(SIGNATURE, key, &signature, &signed) else {
        return false;
    };
    matches!(JsFuture::from(answer).await, Ok(answer) if answer.as_bool() == Some(true))
}
