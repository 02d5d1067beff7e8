//! Rows, grouped and summed.

use super::{Condition, Node, Record, value_of};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// What a group has in one dimension. Ordered within a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cell<T> {
    /// A number.
    Number(u64),
    /// The beginning of a time or of a day, unix seconds.
    Time(u64),
    /// A text.
    Text(T),
}

/// What a query asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Which rows count.
    pub condition: Condition,
    /// Positions of the dimensions to group by, each once. Without any, all rows are one group, if there is one.
    pub dimensions: Vec<usize>,
    /// What comes first; then, where that says nothing, the dimensions in their order.
    pub order: Vec<Order>,
    /// Most groups of the answer.
    pub limit: usize,
}

/// What groups are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderBy {
    /// `count`
    Count,
    /// A dimension, by its position in the node.
    Dimension(usize),
    /// A sum, by its position in the node.
    Sum(usize),
    /// A mean, by its position in the node.
    Mean(usize),
}

/// One ordering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// By what.
    pub by: OrderBy,
    /// The largest first.
    pub is_descending: bool,
}

impl OrderBy {
    /// Reads `count_DESC`, `jobId_ASC`, `sum_bytes_DESC`, `avg_sampleInterval_ASC`.
    #[must_use]
    pub fn parse(node: &Node, ordering: &str) -> Option<Order> {
        let (name, direction) = ordering.rsplit_once('_')?;
        let is_descending = match direction {
            "ASC" => false,
            "DESC" => true,
            _ => return None,
        };
        let by = if name == "count" {
            Self::Count
        } else if let Some(sum) = name.strip_prefix("sum_") {
            Self::Sum(node.sum(sum)?)
        } else if let Some(mean) = name.strip_prefix("avg_") {
            Self::Mean(node.mean(mean)?)
        } else {
            Self::Dimension(node.dimension(name)?)
        };
        Some(Order { by, is_descending })
    }
}

/// Rows that have the same in every dimension asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What that is, in the order of [`Asked::dimensions`].
    pub cells: Vec<Cell<String>>,
    /// How many were counted.
    pub count: u64,
    /// Sums, and then what means are made of.
    sums: Vec<u64>,
}

impl Group {
    /// A sum, by its position in the node.
    #[must_use]
    pub fn sum(&self, sum: usize) -> u64 {
        self.sums.get(sum).copied().unwrap_or_default()
    }

    /// A mean, by its position in the node; `None` when nothing was counted.
    #[must_use]
    pub fn mean(&self, node: &Node, mean: usize) -> Option<f64> {
        let sum = self.sum(node.sums.len() + mean);
        (self.count > 0).then(|| sum as f64 / self.count as f64)
    }

    fn compare(&self, other: &Self, node: &Node, asked: &Asked) -> Ordering {
        let by = |order: &Order| {
            let order_of = match order.by {
                OrderBy::Count => self.count.cmp(&other.count),
                OrderBy::Sum(sum) => self.sum(sum).cmp(&other.sum(sum)),
                // Nothing counted comes first.
                OrderBy::Mean(mean) => {
                    let value = |group: &Self| group.mean(node, mean).unwrap_or(-1.0);
                    value(self).total_cmp(&value(other))
                }
                OrderBy::Dimension(dimension) => {
                    let at = asked.dimensions.iter().position(|one| *one == dimension);
                    let cell = |group: &Self| at.and_then(|at| group.cells.get(at).cloned());
                    cell(self).cmp(&cell(other))
                }
            };
            match order.is_descending {
                true => order_of.reverse(),
                false => order_of,
            }
        };
        let orders = asked.order.iter().map(by);
        let decided = orders.fold(Ordering::Equal, Ordering::then);
        decided.then_with(|| self.cells.cmp(&other.cells))
    }
}

/// What the rows that count add up to.
pub fn groups<R: Record>(
    node: &Node,
    records: impl Iterator<Item = R>,
    asked: &Asked,
) -> Vec<Group> {
    let width = node.sums.len() + node.means.len();
    let mut found: BTreeMap<Vec<Cell<String>>, (u64, Vec<u64>)> = BTreeMap::new();
    for record in records {
        if !asked.condition.holds(node, &record) {
            continue;
        }
        let cells = asked.dimensions.iter();
        let cells = cells.map(|dimension| match value_of(node, &record, *dimension) {
            Cell::Number(number) => Cell::Number(number),
            Cell::Time(secs) => Cell::Time(secs),
            Cell::Text(text) => Cell::Text(text.to_owned()),
        });
        let (count, sums) = found
            .entry(cells.collect())
            .or_insert_with(|| (0, vec![0; width]));
        *count += record.count();
        for (at, sum) in sums.iter_mut().enumerate() {
            *sum += record.sum(at);
        }
    }
    let mut groups: Vec<Group> = found
        .into_iter()
        .map(|(cells, (count, sums))| Group { cells, count, sums })
        .collect();
    if !asked.order.is_empty() {
        groups.sort_by(|one, other| one.compare(other, node, asked));
    }
    groups.truncate(asked.limit);
    groups
}
