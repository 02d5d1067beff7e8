//! Questions about logs: which rows, grouped by what, summed how, in which order. Pure, and knows no GraphQL: a
//! [`Node`] says what there is to ask for, [`Condition`] which rows count, [`groups()`] what they add up to, and
//! [`Reach`] how much of a log has to be read for it.

mod condition;
mod groups;
mod nodes;
mod reach;

pub use condition::{CONDITIONS_MAX, Condition, Operator};
pub use groups::{Asked, Cell, Group, Order, OrderBy, groups};
pub use nodes::{HEALTH, INGEST, IngestRecord, NODES, USAGE, UsageRecord, ingest_records};
pub use reach::Reach;

/// Most groups of one answer. The stored clients of Cloudflare's API ask for up to 10,000 (its limit for most nodes).
pub const PAGE_MAX: u64 = 10_000;

/// Most fields that one node may be asked for, and so the size of a group.
pub const FIELDS_MAX: usize = 30;

/// What a dimension holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number, at least 0, and the name of its scalar.
    Number(&'static str),
    /// A text.
    Text,
    /// A time, cut to a multiple of so many seconds since 1970.
    Time(u64),
    /// A day in UTC.
    Date,
}

impl Kind {
    /// Seconds that a time is cut to; `None` for what is no time.
    #[must_use]
    pub fn step_secs(self) -> Option<u64> {
        match self {
            Self::Time(step) => Some(step),
            Self::Date => Some(86_400),
            Self::Number(_) | Self::Text => None,
        }
    }

    /// Operators that a dimension of this kind has, [`Operator::Equal`] included.
    #[must_use]
    pub fn operators(self) -> &'static [Operator] {
        match self {
            Self::Text => &Operator::ALL,
            // All but the last two, which are about texts.
            Self::Number(_) | Self::Time(_) | Self::Date => {
                Operator::ALL.split_at(Operator::ALL.len() - 2).0
            }
        }
    }
}

/// Something to group and to filter by.
#[derive(Debug)]
pub struct Dimension {
    /// Its name, as in Cloudflare's schema where that has it.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// One sentence for the schema.
    pub about: &'static str,
}

/// A sum, or a mean.
#[derive(Debug)]
pub struct Measure {
    /// Its name.
    pub name: &'static str,
    /// One sentence for the schema.
    pub about: &'static str,
}

/// What can be asked about one log.
#[derive(Debug)]
pub struct Node {
    /// Its name in a query.
    pub name: &'static str,
    /// One sentence for the schema.
    pub about: &'static str,
    /// What `count` counts.
    pub counts: &'static str,
    /// Times first; the others in the order of [`Record::value`].
    pub dimensions: &'static [Dimension],
    /// In the order of [`Record::sum`].
    pub sums: &'static [Measure],
    /// Means over what is counted, in the order of [`Record::sum`] after the sums. The first is always 1: nothing here
    /// is sampled, and Cloudflare's clients ask for it.
    pub means: &'static [Measure],
}

impl Node {
    /// The position of a dimension.
    #[must_use]
    pub fn dimension(&self, name: &str) -> Option<usize> {
        self.dimensions.iter().position(|one| one.name == name)
    }

    /// The position of a sum.
    #[must_use]
    pub fn sum(&self, name: &str) -> Option<usize> {
        self.sums.iter().position(|one| one.name == name)
    }

    /// The position of a mean.
    #[must_use]
    pub fn mean(&self, name: &str) -> Option<usize> {
        self.means.iter().position(|one| one.name == name)
    }

    /// Every ordering that [`OrderBy::parse`] reads, in the order of the schema.
    #[must_use]
    pub fn orderings(&self) -> Vec<String> {
        let names = self.dimensions.iter().map(|one| one.name.to_owned());
        let sums = self.sums.iter().map(|one| format!("sum_{}", one.name));
        let means = self.means.iter().map(|one| format!("avg_{}", one.name));
        std::iter::once("count".to_owned())
            .chain(names)
            .chain(sums)
            .chain(means)
            .flat_map(|name| [format!("{name}_ASC"), format!("{name}_DESC")])
            .collect()
    }

    /// Every field, as Cloudflare's settings name them: the path, joined by `_`.
    #[must_use]
    pub fn fields(&self) -> Vec<String> {
        let path = |start: &str, name: &str| format!("{start}_{name}");
        let means = self.means.iter().map(|one| path("avg", one.name));
        let dimensions = self.dimensions.iter();
        let dimensions = dimensions.map(|one| path("dimensions", one.name));
        let sums = self.sums.iter().map(|one| path("sum", one.name));
        let count = std::iter::once("count".to_owned());
        means.chain(count).chain(dimensions).chain(sums).collect()
    }
}

/// A value of a row, for one dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Of [`Kind::Number`].
    Number(u64),
    /// Of [`Kind::Text`].
    Text(&'a str),
}

/// A row of a log.
pub trait Record {
    /// When, unix seconds.
    fn at_secs(&self) -> u64;
    /// The value of a dimension that is no time, counted from the first of those; an empty text for one that is not there.
    fn value(&self, dimension: usize) -> Value<'_>;
    /// How much the row adds to `count`.
    fn count(&self) -> u64;
    /// How much it adds to a sum, or to what a mean is made of; 0 for one that is not there.
    fn sum(&self, sum: usize) -> u64;
}

/// What a dimension says of a row: a number, also for times, or a text.
fn value_of<'r>(node: &Node, record: &'r impl Record, dimension: usize) -> Cell<&'r str> {
    let times = node.dimensions.iter();
    let times = times.take_while(|one| one.kind.step_secs().is_some());
    let Some(kind) = node.dimensions.get(dimension).map(|one| one.kind) else {
        return Cell::Text("");
    };
    match kind.step_secs() {
        Some(step) => Cell::Time(record.at_secs() - record.at_secs() % step),
        None => match record.value(dimension.saturating_sub(times.count())) {
            Value::Number(number) => Cell::Number(number),
            Value::Text(text) => Cell::Text(text),
        },
    }
}
