//! The top-level fields that someone needs to look at, each with a slot.

/// No further name in a bucket of [`Projection`].
const END: u32 = u32::MAX;

/// The fields of a record that jobs, counters or the archive key ask for. A slot is an index into the projected values.
///
/// A record has around a hundred keys of which a few are wanted, so the lookup is built to say no quickly: a
/// 256-bucket table over the length and three bytes of the key.
#[derive(Debug, Clone)]
pub struct Projection {
    names: Vec<String>,
    heads: [u32; 256],
    next: Vec<u32>,
}

impl Default for Projection {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            heads: [END; 256],
            next: Vec::new(),
        }
    }
}

fn bucket(key: &[u8]) -> u8 {
    let (Some(first), Some(middle), Some(last)) = (key.first(), key.get(key.len() / 2), key.last())
    else {
        return 0;
    };
    let mixed = (key.len() as u32)
        .wrapping_mul(31)
        .wrapping_add(u32::from(*first).wrapping_mul(7))
        .wrapping_add(u32::from(*middle).wrapping_mul(13))
        .wrapping_add(u32::from(*last));
    (mixed & 0xff) as u8
}

#[expect(
    clippy::indexing_slicing,
    reason = "a bucket is a u8, and there are 256"
)]
impl Projection {
    /// A projection of no field.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The slot of `name`, which is added when it is not there yet.
    pub fn slot(&mut self, name: &str) -> usize {
        if let Some(slot) = self.find(name.as_bytes()) {
            return slot;
        }
        let slot = self.names.len();
        let head = &mut self.heads[usize::from(bucket(name.as_bytes()))];
        self.next.push(*head);
        *head = u32::try_from(slot).unwrap_or(END);
        self.names.push(name.to_owned());
        slot
    }

    /// The slot of a key as it stands in a record, or `None` when nobody wants it.
    #[inline]
    #[must_use]
    pub fn find(&self, key: &[u8]) -> Option<usize> {
        let mut at = self.heads[usize::from(bucket(key))];
        while at != END {
            let slot = at as usize;
            match self.names.get(slot) {
                Some(name) if name.as_bytes() == key => return Some(slot),
                _ => at = self.next.get(slot).copied().unwrap_or(END),
            }
        }
        None
    }

    /// The field names in slot order.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

#[cfg(test)]
mod tests {
    use super::Projection;

    #[test]
    fn a_name_keeps_its_slot_and_unknown_names_have_none() {
        let mut projection = Projection::new();
        let names: Vec<String> = (0..600).map(|n| format!("Field{n}")).collect();
        for (slot, name) in names.iter().enumerate() {
            assert_eq!(projection.slot(name), slot);
        }
        for (slot, name) in names.iter().enumerate() {
            assert_eq!(projection.slot(name), slot);
            assert_eq!(projection.find(name.as_bytes()), Some(slot));
        }
        assert_eq!(projection.find(b"Field600"), None);
        assert_eq!(projection.find(b""), None);
    }
}
