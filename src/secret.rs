//! Comparing presented secrets without telling how much of one was right.

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// Whether the presented secret is the expected one.
///
/// Both sides are hashed with SHA-256 and the digests are compared in constant time, so neither the length nor the
/// first differing byte shows in the time taken. An empty secret never matches, not even another empty one: a binding
/// that was left empty must not open the door.
#[must_use]
pub fn same_secret(presented: &[u8], expected: &[u8]) -> bool {
    bool::from(matches(presented, expected))
}

/// Whether the presented secret is one of several, written with commas between them.
///
/// Two live secrets are what a rotation needs. White space around a part is dropped and empty parts are ignored; every
/// part is looked at, so the time taken does not tell which one matched.
#[must_use]
pub fn any_secret(presented: &[u8], comma_separated: &str) -> bool {
    let found = comma_separated
        .split(',')
        .fold(Choice::from(0), |found, part| {
            found | matches(presented, part.trim().as_bytes())
        });
    bool::from(found)
}

fn matches(presented: &[u8], expected: &[u8]) -> Choice {
    let filled = Choice::from(u8::from(!presented.is_empty() && !expected.is_empty()));
    let presented: [u8; 32] = Sha256::digest(presented).into();
    let expected: [u8; 32] = Sha256::digest(expected).into();
    filled & presented.ct_eq(&expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_bytes_match_and_empty_never_does() {
        let table: [(&str, &str, bool); 6] = [
            ("s3cret", "s3cret", true),
            ("s3cret", "s3cret ", false),
            ("s3cre", "s3cret", false),
            ("S3CRET", "s3cret", false),
            ("", "s3cret", false),
            ("", "", false),
        ];
        for (presented, expected, same) in table {
            assert_eq!(
                same_secret(presented.as_bytes(), expected.as_bytes()),
                same,
                "{presented:?} {expected:?}"
            );
        }
    }

    #[test]
    fn any_of_several_matches_and_empty_parts_are_ignored() {
        let table: [(&str, &str, bool); 9] = [
            ("old", "old,new", true),
            ("new", "old, new ", true),
            ("new", " ,,new,", true),
            ("old,new", "old,new", false),
            ("newer", "old,new", false),
            ("", "old,new", false),
            ("", ",", false),
            ("", "", false),
            ("old", "", false),
        ];
        for (presented, several, matches) in table {
            assert_eq!(
                any_secret(presented.as_bytes(), several),
                matches,
                "{presented:?} {several:?}"
            );
        }
    }
}
