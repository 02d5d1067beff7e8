//! The RayIDs of a batch: between which bounds they lie, noted when it comes, so that a look-up reads only batches that
//! may hold what it looks for.
//!
//! The bounds are exact whatever the RayIDs are. They are narrow when those of one minute are near each other, as those
//! of Cloudflare are; nothing but speed relies on that.

use crate::batch::json;
use serde::{Deserialize, Serialize};

/// The field that holds a record's RayID, in every dataset of the catalogue that has one at its top.
pub const RAY_FIELD: &str = "RayID";

/// Characters of a RayID.
const RAY_CHARS: usize = 16;

/// A RayID: 16 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ray([u8; RAY_CHARS]);

impl Ray {
    /// Reads a RayID as people have it: capitals or not, with or without the data centre behind it (`-DFW`).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = match text.split_once('-') {
            Some((digits, colo)) => {
                let is_colo = !colo.is_empty() && colo.bytes().all(|b| b.is_ascii_alphanumeric());
                is_colo.then_some(digits)?
            }
            None => text,
        };
        let mut ray: [u8; RAY_CHARS] = digits.as_bytes().try_into().ok()?;
        ray.make_ascii_lowercase();
        ray.iter().all(u8::is_ascii_hexdigit).then_some(Self(ray))
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Whether this raw JSON text is the RayID.
    #[must_use]
    pub fn is(&self, raw: &[u8]) -> bool {
        match raw {
            [b'"', inner @ .., b'"'] if inner.len() == RAY_CHARS => inner == self.0,
            _ => json::text(raw).is_some_and(|text| *text == self.0),
        }
    }
}

/// Between which RayIDs those of a batch lie, both included. Texts, compared byte by byte; both empty when no record has
/// a RayID.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RayBounds {
    /// The least.
    pub least: String,
    /// The greatest.
    pub greatest: String,
}

/// Notes RayIDs.
#[derive(Debug, Clone, Default)]
pub struct Rays {
    /// As numbers, big-endian, which have the order of the texts.
    bounds: Option<(u128, u128)>,
    /// A RayID is spelt in a way that says nothing about its place.
    is_unbounded: bool,
}

impl Rays {
    /// Takes the raw JSON text of a record's RayID. What is no string of 16 characters is no RayID, and not noted.
    #[inline]
    pub fn take(&mut self, raw: &[u8]) {
        if let [b'"', inner @ .., b'"'] = raw
            && let Ok(digits) = <&[u8; RAY_CHARS]>::try_from(inner)
        {
            let ray = u128::from_be_bytes(*digits);
            match &mut self.bounds {
                Some((least, greatest)) => {
                    *least = ray.min(*least);
                    *greatest = ray.max(*greatest);
                }
                None => self.bounds = Some((ray, ray)),
            }
        } else if raw.len() > RAY_CHARS + 2 && memchr::memchr(b'\\', raw).is_some() {
            self.is_unbounded = true;
        }
    }

    /// The bounds; `None` when a RayID may lie anywhere.
    #[must_use]
    pub fn bounds(&self) -> Option<RayBounds> {
        if self.is_unbounded {
            return None;
        }
        let Some((least, greatest)) = self.bounds else {
            return Some(RayBounds::default());
        };
        let text = |ray: u128| String::from_utf8(ray.to_be_bytes().to_vec()).ok();
        Some(RayBounds {
            least: text(least)?,
            greatest: text(greatest)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn noted(raws: &[&str]) -> Option<RayBounds> {
        let mut rays = Rays::default();
        raws.iter().for_each(|raw| rays.take(raw.as_bytes()));
        rays.bounds()
    }

    fn bounds(least: &str, greatest: &str) -> Option<RayBounds> {
        Some(RayBounds {
            least: least.to_owned(),
            greatest: greatest.to_owned(),
        })
    }

    #[test]
    fn a_ray_id_is_read_with_and_without_its_data_centre() {
        for text in [
            "49ddb3e70e665831",
            "49DDB3E70E665831",
            "49ddb3e70e665831-DFW",
            "49ddb3e70e665831-dfw07",
        ] {
            let ray = Ray::parse(text).unwrap();
            assert_eq!(ray.as_str(), "49ddb3e70e665831", "{text}");
        }
        for text in [
            "",
            "49ddb3e70e66583",
            "49ddb3e70e6658311",
            "49ddb3e70e66583g",
            "49ddb3e70e665831-",
            "49ddb3e70e665831-D W",
            "49ddb3e70e665831-a-b",
            "-DFW",
            "é9ddb3e70e66583",
        ] {
            assert_eq!(Ray::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_ray_id_is_found_in_every_spelling_that_json_has() {
        let ray = Ray::parse("49ddb3e70e665831").unwrap();
        assert!(ray.is(br#""49ddb3e70e665831""#));
        assert!(ray.is(br#""\u00349ddb3e70e665831""#));
        for raw in [
            r#""49ddb3e70e665832""#,
            r#""49ddb3e70e66583""#,
            "49",
            "null",
        ] {
            assert!(!ray.is(raw.as_bytes()), "{raw}");
        }
    }

    #[test]
    fn bounds_are_those_of_the_ray_ids_and_of_nothing_else() {
        let (a, b, c) = (
            r#""7000000000000001""#,
            r#""7000000000000002""#,
            r#""8f00000000000000""#,
        );
        assert_eq!(noted(&[]), bounds("", ""));
        assert_eq!(noted(&["null", "17", r#""""#, r#""00""#]), bounds("", ""));
        assert_eq!(noted(&[b]), bounds("7000000000000002", "7000000000000002"));
        assert_eq!(
            noted(&[b, c, "null", a]),
            bounds("7000000000000001", "8f00000000000000")
        );
        assert_eq!(noted(&[a, r#""\u0037000000000000001""#]), None);
        assert_eq!(
            noted(&[a, "\"é00000000000000\""]),
            bounds("7000000000000001", "é00000000000000")
        );
    }

    proptest! {
        #[test]
        fn a_ray_id_of_a_batch_is_never_outside_its_bounds(
            rays in proptest::collection::vec("[0-9a-f]{16}", 1..20), at in any::<prop::sample::Index>(),
        ) {
            let raws: Vec<String> = rays.iter().map(|ray| format!("\"{ray}\"")).collect();
            let raws: Vec<&str> = raws.iter().map(String::as_str).collect();
            let bounds = noted(&raws).unwrap();
            let wanted = Ray::parse(&rays[at.index(rays.len())]).unwrap();
            prop_assert!(bounds.least.as_str() <= wanted.as_str() && wanted.as_str() <= bounds.greatest.as_str());
        }
    }
}
