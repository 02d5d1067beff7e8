//! What a node answers: its arguments read, its log asked, its rows grouped.

use super::source::SourceError;
use super::{GraphqlError, Source};
use crate::health::log::{IngestRow, LogQuery, PushRow, ROWS_MAX};
use crate::health::query::{
    Asked, Cell, Condition, FIELDS_MAX, Group, INGEST, Kind, Node, Order, OrderBy, PAGE_MAX, Reach,
    USAGE, UsageRecord, groups, ingest_records,
};
use crate::logpush::scope::Scope;
use crate::time;
use async_graphql::dynamic::{FieldValue, ResolverContext};
use async_graphql::futures_util::lock::Mutex;
use async_graphql::indexmap::IndexMap;
use async_graphql::{Context, Name, Result, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Values that all groups of one answer may hold: as many as one node of [`PAGE_MAX`] groups with [`FIELDS_MAX`] fields,
/// some 30 MB on their way out of the isolate, which has 128.
const VALUES_MAX: usize = PAGE_MAX as usize * FIELDS_MAX;

/// Now, unix milliseconds, for one query.
pub(super) struct Now(pub(super) u64);

/// What one query has used up.
#[derive(Default)]
pub(super) struct Budget {
    values: AtomicUsize,
    rows: AtomicUsize,
    /// The log that was read last. One at a time, because each may be a good part of the isolate's memory; and nodes that
    /// are asked about the same time share it.
    log: Mutex<Option<Kept>>,
}

/// A log that was read.
struct Kept {
    scope: Scope,
    query: LogQuery,
    rows: Rows,
}

enum Rows {
    Pushes(Vec<PushRow>),
    Batches(Vec<IngestRow>),
}

/// The path of what is being answered.
pub(super) fn path_of(context: &Context<'_>) -> Vec<String> {
    context
        .path_node
        .map(|node| node.to_string_vec())
        .unwrap_or_default()
}

/// Groups of a node, in a zone or an account.
pub(super) async fn answer<'a>(
    context: ResolverContext<'a>,
    node: &'static Node,
) -> Result<Option<FieldValue<'a>>> {
    match answer_groups(&context, node).await {
        Ok(groups) => Ok(Some(FieldValue::list(
            groups.into_iter().map(FieldValue::value),
        ))),
        Err(error) => Err(error.into_error(path_of(context.ctx))),
    }
}

async fn answer_groups(
    context: &ResolverContext<'_>,
    node: &'static Node,
) -> std::result::Result<Vec<Value>, GraphqlError> {
    let internal = || GraphqlError::unavailable("the query lost its way; try again");
    let scope: &Scope = context.parent_value.downcast_ref().ok_or_else(internal)?;
    let source: &Arc<dyn Source> = context.data_opt().ok_or_else(internal)?;
    let Now(now_millis) = *context.data_opt::<Now>().ok_or_else(internal)?;
    let budget: &Budget = context.data_opt().ok_or_else(internal)?;

    let selected = Selected::of(context.ctx, node)?;
    let asked = Asked {
        condition: condition(context, node)?,
        dimensions: selected.dimensions.clone(),
        order: order(context, node, &selected.dimensions)?,
        limit: limit(context)?,
    };
    let query = Reach::of(node, &asked).query(now_millis).map_err(|kept| {
        GraphqlError::bad(format!(
            "cannot request data older than {kept}s: everything asked for is older"
        ))
    })?;
    let found = match query {
        Some(query) => read(node, scope, (source.as_ref(), budget), query, &asked).await?,
        None => Vec::new(),
    };
    let values = found.len() * selected.fields();
    if budget.values.fetch_add(values, Ordering::Relaxed) + values > VALUES_MAX {
        return Err(GraphqlError::bad(format!(
            "the answer has more than {VALUES_MAX} values: lower the limits, or ask for fewer fields or nodes"
        )));
    }
    Ok(found
        .iter()
        .map(|group| selected.value(node, group))
        .collect())
}

async fn read(
    node: &'static Node,
    scope: &Scope,
    (source, budget): (&dyn Source, &Budget),
    query: LogQuery,
    asked: &Asked,
) -> std::result::Result<Vec<Group>, SourceError> {
    let wants_batches = std::ptr::eq(node, &INGEST);
    let is_wanted = |kept: &Kept| {
        (&kept.scope, kept.query) == (scope, query)
            && matches!(kept.rows, Rows::Batches(_)) == wants_batches
    };
    let mut kept = budget.log.lock().await;
    if !kept.as_ref().is_some_and(is_wanted) {
        // Let go before the next one comes.
        *kept = None;
        let (count, rows) = if wants_batches {
            let rows = source.batches(scope, query).await?;
            (rows.len(), Rows::Batches(rows))
        } else {
            let rows = source.pushes(scope, query).await?;
            (rows.len(), Rows::Pushes(rows))
        };
        if budget.rows.fetch_add(count, Ordering::Relaxed) + count > ROWS_MAX {
            let text = format!(
                "all nodes of a query may read {ROWS_MAX} rows together; ask for less time, or in several queries"
            );
            return Err(SourceError::TooMuch(text));
        }
        *kept = Some(Kept {
            scope: scope.clone(),
            query,
            rows,
        });
    }
    Ok(match kept.as_ref().map(|kept| &kept.rows) {
        Some(Rows::Batches(rows)) => groups(node, rows.iter().flat_map(ingest_records), asked),
        Some(Rows::Pushes(rows)) if std::ptr::eq(node, &USAGE) => {
            groups(node, rows.iter().filter_map(UsageRecord::of), asked)
        }
        Some(Rows::Pushes(rows)) => groups(node, rows.iter(), asked),
        None => Vec::new(),
    })
}

fn condition(
    context: &ResolverContext<'_>,
    node: &Node,
) -> std::result::Result<Condition, GraphqlError> {
    let Some(filter) = context
        .args
        .get("filter")
        .filter(|filter| !filter.is_null())
    else {
        return Ok(Condition::everything());
    };
    let filter = filter.as_value().clone().into_json();
    let filter = filter.map_err(|e| GraphqlError::bad(e.to_string()))?;
    Condition::parse(node, &filter).map_err(|text| {
        GraphqlError::bad(format!("error parsing args for {:?}: {text}", node.name))
    })
}

fn limit(context: &ResolverContext<'_>) -> std::result::Result<usize, GraphqlError> {
    let limit = match context.args.get("limit").filter(|limit| !limit.is_null()) {
        Some(limit) => limit.u64().unwrap_or_default(),
        None => PAGE_MAX,
    };
    if !(1..=PAGE_MAX).contains(&limit) {
        let text = format!("limit must be positive number and not greater than {PAGE_MAX}");
        return Err(GraphqlError::bad(text));
    }
    Ok(limit as usize)
}

fn order(
    context: &ResolverContext<'_>,
    node: &Node,
    dimensions: &[usize],
) -> std::result::Result<Vec<Order>, GraphqlError> {
    let Some(orderings) = context.args.get("orderBy").filter(|list| !list.is_null()) else {
        return Ok(Vec::new());
    };
    let wrong = |text: &str| {
        GraphqlError::bad(format!(
            "error parsing args for {:?}: orderBy: {text}",
            node.name
        ))
    };
    let one = std::slice::from_ref(orderings.as_value());
    let list = match orderings.as_value() {
        Value::List(list) => list.as_slice(),
        _ => one,
    };
    let orders = list.iter().map(|ordering| {
        let name = match ordering {
            Value::Enum(name) => name.as_str(),
            Value::String(name) => name.as_str(),
            _ => return Err(wrong("not an ordering")),
        };
        let order = OrderBy::parse(node, name)
            .ok_or_else(|| wrong(&format!("there is no ordering {name}")))?;
        match order.by {
            OrderBy::Dimension(dimension) if !dimensions.contains(&dimension) => Err(wrong(
                &format!("{name} wants its dimension among those asked for"),
            )),
            _ => Ok(order),
        }
    });
    let mut orders = orders.collect::<std::result::Result<Vec<Order>, _>>()?;
    // What was said first decides; the rest of many is said twice.
    orders.truncate(FIELDS_MAX);
    Ok(orders)
}

/// The fields of a node that are asked for, each once.
#[derive(Default)]
struct Selected {
    count: bool,
    dimensions: Vec<usize>,
    sums: Vec<usize>,
    means: Vec<usize>,
    /// With those that are asked for several times.
    all: usize,
}

impl Selected {
    fn of(context: &Context<'_>, node: &Node) -> std::result::Result<Self, GraphqlError> {
        let mut selected = Self::default();
        for part in context.field().selection_set() {
            let of = |name: &str| match part.name() {
                "dimensions" => node.dimension(name),
                "sum" => node.sum(name),
                "avg" => node.mean(name),
                _ => None,
            };
            selected.all += 1;
            let known = match part.name() {
                "count" => {
                    selected.count = true;
                    continue;
                }
                "dimensions" => &mut selected.dimensions,
                "sum" => &mut selected.sums,
                "avg" => &mut selected.means,
                _ => continue,
            };
            for field in part.selection_set() {
                selected.all += 1;
                if let Some(at) = of(field.name()).filter(|at| !known.contains(at)) {
                    known.push(at);
                }
            }
        }
        // The three objects that fields lie in are none themselves.
        if selected.all > FIELDS_MAX + 3 {
            let text = format!("number of fields can't be more than {FIELDS_MAX}");
            return Err(GraphqlError::bad(text));
        }
        Ok(selected)
    }

    /// Fields of one group.
    fn fields(&self) -> usize {
        self.all.max(1)
    }

    fn value(&self, node: &Node, group: &Group) -> Value {
        let mut members = IndexMap::with_capacity(4);
        if self.count {
            members.insert(Name::new("count"), Value::from(group.count));
        }
        let cells = self.dimensions.iter().zip(&group.cells);
        let dimensions = cells.filter_map(|(at, cell)| {
            let dimension = node.dimensions.get(*at)?;
            let value = match cell {
                Cell::Number(number) => Value::from(*number),
                Cell::Text(text) => Value::from(text.as_str()),
                Cell::Time(secs) => Value::from(time_text(dimension.kind, *secs)),
            };
            Some((Name::new(dimension.name), value))
        });
        members.insert(Name::new("dimensions"), Value::Object(dimensions.collect()));
        let sums = self.sums.iter().filter_map(|at| {
            let sum = node.sums.get(*at)?;
            Some((Name::new(sum.name), Value::from(group.sum(*at))))
        });
        members.insert(Name::new("sum"), Value::Object(sums.collect()));
        let means = self.means.iter().filter_map(|at| {
            let mean = node.means.get(*at)?;
            let value = group.mean(node, *at).map_or(Value::Null, Value::from);
            Some((Name::new(mean.name), value))
        });
        members.insert(Name::new("avg"), Value::Object(means.collect()));
        Value::Object(members)
    }
}

fn time_text(kind: Kind, secs: u64) -> String {
    let text = time::rfc3339_millis(secs.saturating_mul(1_000));
    match kind {
        Kind::Date => text.split('T').next().unwrap_or_default().to_owned(),
        _ => text,
    }
}
