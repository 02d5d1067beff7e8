//! Showing a destination string without what is secret in it.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::template::{RawPiece, pieces};
use super::{DestinationKind, HEADER_PREFIX};

/// What stands in place of a secret.
pub const REDACTED: &str = "REDACTED";

/// A parameter whose name holds one of these, once case and punctuation are gone, holds a secret.
const SECRET_WORDS: [&str; 11] = [
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "signature",
    "credential",
    "key",
    "auth",
    "bearer",
    "jwt",
];

/// A parameter of exactly this name holds a secret, though the word is too short to be looked for inside of others.
const SECRET_NAMES: [&str; 6] = ["sig", "pwd", "pass", "pw", "sas", "code"];

/// What stands before the code of an HTTP source of Sumo Logic.
pub(super) const SUMO_PATH: &str = "/receiver/v1/http/";

/// Schemes whose path is no secret. Any other text is masked from its beginning (Sumo Logic's path *is* the secret).
const OPEN_PATH_SCHEMES: [&str; 15] = [
    "https",
    "http",
    "splunk",
    "r2",
    "s3",
    "gs",
    "azure",
    "sentinelone",
    "datadog",
    "bq",
    "kinesis",
    "ibmcl",
    "wss",
    "ws",
    "queue",
];

/// A destination string with `REDACTED` in place of every `header_*` value, and of the value of every parameter whose
/// name says that it is secret (token, key, secret, password, signature, credentials …, whatever the case).
///
/// `${secret:NAME}` stays as it is, since a name is no secret. Text that is no destination string is masked as well,
/// rather too much than too little: user names and passwords, fragments, parameters without a `=`, and everything behind
/// an unknown scheme.
#[must_use]
pub fn masked(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return REDACTED.to_owned();
    };
    let scheme_name = scheme.to_ascii_lowercase();
    if !OPEN_PATH_SCHEMES.contains(&scheme_name.as_str()) {
        return if scheme_name == "sumo" {
            format!("{scheme}://{REDACTED}")
        } else {
            REDACTED.to_owned()
        };
    }

    let mut shown = format!("{scheme}://");
    // A string that lacks its `?` has its parameters behind the first `&`.
    let (front, query) = rest.split_at(rest.find(['?', '&']).unwrap_or(rest.len()));
    let front = match front.rsplit_once('@') {
        Some((_, host)) => {
            shown.push_str(REDACTED);
            shown.push('@');
            host
        }
        None => front,
    };
    match front.split_once(['=', '#']) {
        Some((name, _)) => {
            shown.push_str(name);
            shown.push('=');
            shown.push_str(REDACTED);
        }
        None => shown.push_str(front),
    }
    for delimiter in ['?', '&'] {
        if let Some(query) = query.strip_prefix(delimiter) {
            shown.push(delimiter);
            mask_parameters(&mut shown, query);
        }
    }
    shown
}

fn mask_parameters(shown: &mut String, query: &str) {
    for (n, parameter) in query.split('&').enumerate() {
        if n > 0 {
            shown.push('&');
        }
        match parameter.split_once('=') {
            None if parameter.is_empty() => {}
            // Nothing says what this is.
            None => shown.push_str(REDACTED),
            Some((name, value)) => {
                let decoded = percent_decode_str(name).decode_utf8_lossy();
                // Such a name is most likely a header written as `Name: value`.
                let plain = !decoded.contains([' ', ':', '#', '?']);
                shown.push_str(if plain { name } else { REDACTED });
                shown.push('=');
                if plain && !is_secret_name(&decoded) && is_plain_value(value) {
                    shown.push_str(value);
                } else {
                    mask_value(shown, value);
                }
            }
        }
    }
}

/// Whether nothing in the value looks as if another parameter, or a fragment, had been swallowed by it.
fn is_plain_value(value: &str) -> bool {
    let parameter_inside = value
        .split_once('?')
        .is_some_and(|(_, rest)| rest.contains('='));
    !parameter_inside && !value.contains('#') && !value.to_ascii_lowercase().contains(HEADER_PREFIX)
}

/// Masks the text of a value and leaves its placeholders.
fn mask_value(shown: &mut String, value: &str) {
    for piece in pieces(value) {
        match piece {
            RawPiece::Text(_) | RawPiece::Broken(_) => shown.push_str(REDACTED),
            RawPiece::Secret { written, .. } => shown.push_str(written),
        }
    }
}

/// What opens an HTTP source of Sumo Logic: the end of its path.
pub(super) fn sumo_code(kind: DestinationKind, url: &str) -> Option<&str> {
    let (_, code) = url.split_once(SUMO_PATH)?;
    (kind == DestinationKind::Sumo).then_some(code)
}

/// An endpoint as it may be shown.
pub(super) fn shown_endpoint(kind: DestinationKind, endpoint: &str) -> Cow<'_, str> {
    match sumo_code(kind, endpoint) {
        Some(code) => endpoint.replace(code, REDACTED).into(),
        None => endpoint.into(),
    }
}

/// Whether the value of a parameter of this name is a secret. The name is percent-decoded already.
pub(super) fn is_secret_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let bare: String = lower.chars().filter(char::is_ascii_alphanumeric).collect();
    lower.contains(HEADER_PREFIX)
        || SECRET_NAMES.contains(&bare.as_str())
        || SECRET_WORDS.iter().any(|word| bare.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_the_rest_is_shown() {
        let table = [
            (
                "https://logs.example.com?header_Authorization=Basic%20s3cret&tags=host:theburritobot.com,dataset:http_requests",
                "https://logs.example.com?header_Authorization=REDACTED&tags=host:theburritobot.com,dataset:http_requests",
            ),
            (
                "splunk://h.splunkcloud.com:8088/services/collector/raw?channel=6f5d&insecure-skip-verify=false&sourcetype=a:b&header_Authorization=Splunk%20s3cret",
                "splunk://h.splunkcloud.com:8088/services/collector/raw?channel=6f5d&insecure-skip-verify=false&sourcetype=a:b&header_Authorization=REDACTED",
            ),
            (
                "splunk://h.example/x?header_Authorization=Splunk%20${secret:HEC}",
                "splunk://h.example/x?header_Authorization=REDACTED${secret:HEC}",
            ),
            (
                "https://h.example/?token=${secret:T}",
                "https://h.example/?token=${secret:T}",
            ),
            (
                "https://h.example/?token=%24%7Bsecret%3AT%7D",
                "https://h.example/?token=%24%7Bsecret%3AT%7D",
            ),
            (
                "https://h.example/?token=${secret:s3cret",
                "https://h.example/?token=REDACTED",
            ),
            (
                "https://h.example/log/v1?Api-Key=s3cret&format=x",
                "https://h.example/log/v1?Api-Key=REDACTED&format=x",
            ),
            (
                "HTTPS://h.example/?HEADER_X=s3cret",
                "HTTPS://h.example/?HEADER_X=REDACTED",
            ),
            (
                "https://h.example/?header%5FX=s3cret",
                "https://h.example/?header%5FX=REDACTED",
            ),
            ("https://h.example/?a=1&&b=", "https://h.example/?a=1&&b="),
        ];
        for (text, expected) in table {
            assert_eq!(masked(text), expected);
        }
    }

    #[test]
    fn every_name_that_sounds_secret_is_masked() {
        let names = [
            "token",
            "Token",
            "access_token",
            "key",
            "API-KEY",
            "api_key",
            "ibm_api_key",
            "DD-API-KEY",
            "secret",
            "client-secret",
            "secret-access-key",
            "access-key-id",
            "password",
            "Passwd",
            "pwd",
            "signature",
            "X-Amz-Signature",
            "X-Amz-Credential",
            "sig",
            "SIG",
            "credentials",
            "SharedAccessKey",
            "auth",
            "p%61ssword",
        ];
        for name in names {
            assert_eq!(
                masked(&format!("https://h.example/?{name}=s3cret")),
                format!("https://h.example/?{name}=REDACTED")
            );
        }
        for name in [
            "channel",
            "sourcetype",
            "tags",
            "ddsource",
            "service",
            "region",
            "format",
            "insecure-skip-verify",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn text_that_does_not_parse_does_not_leak_either() {
        let table = [
            "s3cret",
            "",
            "header_Authorization=s3cret",
            "Bearer s3cret",
            "s3cret://h.example/",
            "ftp://user:s3cret@h.example/?a=s3cret",
            "sumo://h.example/receiver/v1/http/s3cret",
            "https://user:s3cret@h.example/?header_X=s3cret",
            "https://us?er:s3cret@h.example/",
            "https://a@b:s3cret@h.example/",
            "https://h.example/#s3cret",
            "https://h.example/?a=b#s3cret",
            "https://h.example/?a=b?header_X=s3cret",
            "https://h.example/?s3cret",
            "https://h.example/?header_Authorization: s3cret",
            "https://h.example/?header_Authorization: Basic s3cret==",
            "https://h.example/&header_X=s3cret",
            "https://h.example/header_X=s3cret",
            "https://h.example/&header_X=a?s3cret=",
            "https://h.example/?header_X=a?b=s3cret#s3cret",
            "https://h.example/?header_X=a;b=s3cret",
            "https://h.example/?a=b;header_X=s3cret",
            "https://h.example/?header_X=${s3cret}",
            "https://h.example:port/?header_X=s3cret&token=s3cret",
            "azure://h/c?sp=w&sig=s3cret",
            "bq://projects/p?credentials=base64:s3cret",
        ];
        for text in table {
            assert!(
                !masked(text).contains("s3cret"),
                "{text} -> {}",
                masked(text)
            );
        }
    }
}
