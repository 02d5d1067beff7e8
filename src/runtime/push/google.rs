//! Tokens of Google's service accounts. A token is kept in the isolate until some minutes before it expires; the key signs
//! by WebCrypto, which costs no byte of the bundle.

use super::{fetch, first_bytes};
use crate::destination::gs::{ServiceAccount, Token, token_call, token_of};
use crate::destination::{Answer, Outcome, without_urls};
use crate::logpush::destination_conf::ResolvedDestination;
use crate::runtime::js::{self, subtle};
use crate::runtime::objects::now_millis;
use js_sys::{Array, Uint8Array};
use std::cell::RefCell;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use worker::AbortSignal;

/// Tokens that an isolate keeps. One has a few objects, each of a job.
const TOKENS_MAX: usize = 16;

thread_local! {
    /// By the fingerprint of the account, the one that was used last at the end.
    static TOKENS: RefCell<Vec<([u8; 32], Token)>> = const { RefCell::new(Vec::new()) };
}

/// A token of the account: one that is kept, or a new one.
///
/// # Errors
/// What it means that there is none.
pub async fn token(
    account: &ServiceAccount,
    allow_private: bool,
    resolved: &ResolvedDestination,
    signal: &AbortSignal,
) -> Result<String, Outcome> {
    let now_unix_secs = now_millis() / 1000;
    let fingerprint = account.fingerprint();
    let kept = TOKENS.with_borrow(|tokens| {
        let kept = tokens.iter().find(|(of, _)| *of == fingerprint);
        kept.filter(|(_, token)| now_unix_secs < token.good_until_secs)
            .map(|(_, token)| token.text.clone())
    });
    if let Some(text) = kept {
        return Ok(text);
    }
    let url = account.token_url(allow_private);
    let assertion = account.assertion(url, now_unix_secs);
    let signature = sign(account, &assertion)
        .await
        .map_err(|e| Outcome::misconfigured(&format!("destination_conf: {e}")))?;
    let call = token_call(url, &assertion, &signature);
    let body = call
        .body
        .as_deref()
        .map_or(JsValue::UNDEFINED, JsValue::from);
    let response = fetch(&call.request, body, signal)
        .await
        .map_err(|e| Outcome::from_network_error(resolved, &without_urls(&js::describe(&e))))?;
    let answer = Answer {
        status: response.status(),
        retry_after: None,
        body: &first_bytes(&response).await,
    };
    let token = token_of(&answer, now_unix_secs)?;
    let text = token.text.clone();
    forget(account);
    TOKENS.with_borrow_mut(|tokens| {
        if tokens.len() >= TOKENS_MAX {
            tokens.remove(0);
        }
        tokens.push((fingerprint, token));
    });
    Ok(text)
}

/// Keeps the account's token no longer: the storage does not know it.
pub fn forget(account: &ServiceAccount) {
    let fingerprint = account.fingerprint();
    TOKENS.with_borrow_mut(|tokens| tokens.retain(|(of, _)| *of != fingerprint));
}

/// `RS256` by WebCrypto.
async fn sign(account: &ServiceAccount, text: &str) -> Result<Vec<u8>, String> {
    let der = js::bytes(&account.pkcs8()?);
    let no_key = "credentials: private_key is no RSA key in PKCS #8, as the key file that Google made has it";
    let algorithm = js::object(&[
        ("name", "RSASSA-PKCS1-v1_5".into()),
        ("hash", "SHA-256".into()),
    ]);
    let uses = Array::of1(&"sign".into());
    let key = subtle::import_key("pkcs8", &der, &algorithm, false, &uses).map_err(|_| no_key)?;
    let key = JsFuture::from(key).await.map_err(|_| no_key)?;
    let signature = subtle::sign("RSASSA-PKCS1-v1_5", &key, &js::bytes(text.as_bytes()))
        .map_err(|e| js::describe(&e))?;
    let signature = JsFuture::from(signature)
        .await
        .map_err(|e| js::describe(&e))?;
    Ok(Uint8Array::new(&signature).to_vec())
}
