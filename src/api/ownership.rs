//! The challenge by which somebody shows that a destination is theirs: a token that is written into the destination and
//! sent back by whoever can read it there.
//!
//! A token is `v1.<expiry, unix seconds>.<HMAC-SHA256 in hex>` over the expiry, the zone or account and the destination
//! string as it was sent, so it proves nothing about any other of these. It holds none of them itself: the file in the
//! bucket shows neither credentials nor who asked.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::logpush::scope::Scope;

/// How long a token can be sent back: as long as Logpush's own.
pub const CHALLENGE_VALID_SECS: u64 = 7 * 24 * 3_600;

/// Name of the object that holds the token, in the destination's path.
pub const CHALLENGE_FILE: &str = "ownership-challenge.txt";

/// Beginning of a token, which says how the rest is made.
const VERSION: &str = "v1";

/// What the key is for, so that a signature made for anything else with the same secret is never a token.
const PURPOSE: &[u8] = b"logpush-edge ownership challenge";

/// Signs and checks tokens.
pub struct OwnershipKey(Hmac<Sha256>);

impl OwnershipKey {
    /// The key of a deployment, derived from its API token: changing that makes earlier tokens void. `None` without one,
    /// because anybody could make tokens with an empty key.
    #[must_use]
    pub fn derive(api_token: &str) -> Option<Self> {
        if api_token.is_empty() {
            return None;
        }
        let mut outer: Hmac<Sha256> = KeyInit::new_from_slice(api_token.as_bytes()).ok()?;
        outer.update(PURPOSE);
        let derived = outer.finalize().into_bytes();
        KeyInit::new_from_slice(&derived).ok().map(Self)
    }

    /// A token for a destination of a zone or account.
    #[must_use]
    pub fn issue(&self, scope: &Scope, destination_conf: &str, now_unix_secs: u64) -> String {
        let expires = now_unix_secs.saturating_add(CHALLENGE_VALID_SECS);
        let signature = self.signed(expires, scope, destination_conf).finalize();
        let mut token = format!("{VERSION}.{expires}.");
        for byte in signature.into_bytes() {
            token.push_str(&format!("{byte:02x}"));
        }
        token
    }

    /// Whether the token was issued for this destination of this zone or account, and still holds. White space around it
    /// is dropped, since it comes out of a file.
    #[must_use]
    pub fn verify(
        &self,
        token: &str,
        scope: &Scope,
        destination_conf: &str,
        now_unix_secs: u64,
    ) -> bool {
        let mut parts = token.trim().split('.');
        let (Some(VERSION), Some(expires), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return false;
        };
        let (Ok(expires), Some(signature)) = (expires.parse::<u64>(), from_hex(signature)) else {
            return false;
        };
        // Compared in constant time.
        let is_ours = self
            .signed(expires, scope, destination_conf)
            .verify_slice(&signature)
            .is_ok();
        is_ours && now_unix_secs < expires
    }

    /// The parts are told apart by the zeros between them, which neither a scope nor a number has.
    fn signed(&self, expires: u64, scope: &Scope, destination_conf: &str) -> Hmac<Sha256> {
        let mut signed = self.0.clone();
        signed.update(format!("{VERSION}\0{expires}\0{scope}\0").as_bytes());
        signed.update(destination_conf.as_bytes());
        signed
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .bytes()
        .map(|byte| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        })
        .collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    let bytes = digits.chunks_exact(2).filter_map(|pair| match pair {
        [high, low] => Some(high << 4 | low),
        _ => None,
    });
    Some(bytes.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logpush::scope::ScopeKind;

    const DESTINATION: &str = "s3://logs/dir?region=eu-west-1";
    const NOW: u64 = 1_800_000_000;

    fn scope(kind: ScopeKind, id: &str) -> Scope {
        Scope::new(kind, id).unwrap()
    }

    fn key(api_token: &str) -> OwnershipKey {
        OwnershipKey::derive(api_token).unwrap()
    }

    #[test]
    fn a_token_holds_for_seven_days() {
        let (key, zone) = (key("api-token"), scope(ScopeKind::Zone, "z"));
        let token = key.issue(&zone, DESTINATION, NOW);
        let last = NOW + CHALLENGE_VALID_SECS - 1;
        for (now, valid) in [
            (NOW, true),
            (last, true),
            (last + 1, false),
            (u64::MAX, false),
        ] {
            assert_eq!(key.verify(&token, &zone, DESTINATION, now), valid, "{now}");
        }
        assert!(key.verify(&format!(" {token}\n"), &zone, DESTINATION, NOW));
    }

    #[test]
    fn a_token_is_for_one_destination_of_one_zone_or_account_and_one_deployment() {
        let (ours, zone) = (key("api-token"), scope(ScopeKind::Zone, "z"));
        let token = ours.issue(&zone, DESTINATION, NOW);
        for other in [scope(ScopeKind::Zone, "y"), scope(ScopeKind::Account, "z")] {
            assert!(!ours.verify(&token, &other, DESTINATION, NOW), "{other}");
        }
        for other in [
            "s3://logs/dir?region=eu-west-2",
            "s3://logs/di",
            "s3://logs/dir?region=eu-west-1&",
            "",
        ] {
            assert!(!ours.verify(&token, &zone, other, NOW), "{other}");
        }
        assert!(!key("another").verify(&token, &zone, DESTINATION, NOW));
        assert!(OwnershipKey::derive("").is_none());
    }

    #[test]
    fn a_token_that_was_tampered_with_is_none() {
        let (key, zone) = (key("api-token"), scope(ScopeKind::Zone, "z"));
        let token = key.issue(&zone, DESTINATION, NOW);
        let (_, signature) = token.rsplit_once('.').unwrap();
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(!key.verify(&changed, &zone, DESTINATION, NOW), "{changed}");
        }
        for other in [
            String::new(),
            "v1".into(),
            "v1..".into(),
            format!("v1.{}.{signature}", u64::MAX),
            format!("v1.99999999999999999999.{signature}"),
            format!("{token}.x"),
            format!("{token}0"),
            format!("{token}00"),
            token.to_ascii_uppercase(),
            format!("v1.{}.", NOW + CHALLENGE_VALID_SECS),
            "v1.1800604800.ä".into(),
        ] {
            assert!(!key.verify(&other, &zone, DESTINATION, NOW), "{other}");
        }
    }

    #[test]
    fn token_format_unchanged() {
        let token = key("api-token").issue(&scope(ScopeKind::Zone, "z"), DESTINATION, NOW);
        assert_eq!(
            token,
            "v1.1800604800.8cfff4cb729e17baa250005b7572336cd9b5814c3a3a8b9c60c1f82dcf24655e"
        );
        // The characters that Logpush takes in `ownership_challenge`.
        assert!(
            token
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"/+.-_".contains(&b))
        );
    }
}
