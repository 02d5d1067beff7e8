//! The top-level fields that someone needs to look at, each with a slot.

/// The fields of a record that jobs, counters or the archive key ask for. A slot is an index into the projected values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Projection {
    names: Vec<String>,
}

impl Projection {
    /// A projection of no field.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The slot of `name`, which is added when it is not there yet.
    pub fn slot(&mut self, name: &str) -> usize {
        if let Some(slot) = self.names.iter().position(|known| known == name) {
            return slot;
        }
        self.names.push(name.to_owned());
        self.names.len() - 1
    }

    /// The field names in slot order.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }
}
