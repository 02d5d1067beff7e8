//! The schema, made from the tables of [`crate::health::query`].

use super::node::{self, path_of};
use super::source::SourceError;
use super::{GraphqlError, Source};
use crate::health::log::HOURS_KEPT_MILLIS;
use crate::health::query::{FIELDS_MAX, Kind, NODES, Node, PAGE_MAX};
use crate::logpush::scope::{Scope, ScopeKind};
use async_graphql::dynamic::{
    Enum, Field, FieldFuture, FieldValue, InputObject, InputValue, Object, ResolverContext, Scalar,
    Schema, SchemaBuilder, SchemaError, TypeRef,
};
use async_graphql::indexmap::IndexMap;
use async_graphql::{Name, Value};
use std::sync::Arc;

/// Most zones of one query: Cloudflare's limit.
const ZONES_MAX: usize = 10;

/// The schema.
pub(super) fn build() -> Result<Schema, SchemaError> {
    let is_text = |value: &Value| matches!(value, Value::String(_));
    let is_whole = |most: u64| move |value: &Value| matches!(value, Value::Number(number) if number.as_u64().is_some_and(|number| number <= most));
    let mut builder = Schema::build("Query", None, None)
        // Bounded by `document` already; the library's own measure stands behind it.
        .limit_recursive_depth(64)
        .register(Scalar::new("string").validator(is_text))
        .register(
            Scalar::new("Time")
                .description("RFC 3339, like 2026-01-31T10:00:00Z")
                .validator(is_text),
        )
        .register(
            Scalar::new("Date")
                .description("A day in UTC, like 2026-01-31")
                .validator(is_text),
        )
        .register(Scalar::new("uint8").validator(is_whole(u8::MAX.into())))
        .register(Scalar::new("uint16").validator(is_whole(u16::MAX.into())))
        .register(Scalar::new("uint64").validator(is_whole(u64::MAX)))
        .register(
            Scalar::new("float64").validator(|value: &Value| matches!(value, Value::Number(_))),
        )
        .register(settings());
    let mut viewer = Object::new("Viewer").description("What the token may see: everything.");
    for kind in [ScopeKind::Zone, ScopeKind::Account] {
        builder = register_scope(builder, kind);
        viewer = viewer.field(scopes_field(kind));
    }
    let query = Object::new("Query").field(Field::new(
        "viewer",
        TypeRef::named_nn("Viewer"),
        // A value of its own: what it holds is made by its fields.
        |_| FieldFuture::from_value(Some(Value::Boolean(true))),
    ));
    builder.register(query).register(viewer).finish()
}

fn word(kind: ScopeKind) -> &'static str {
    match kind {
        ScopeKind::Zone => "Zone",
        ScopeKind::Account => "Account",
    }
}

/// `zoneTag` or `accountTag`.
fn tag(kind: ScopeKind) -> &'static str {
    match kind {
        ScopeKind::Zone => "zoneTag",
        ScopeKind::Account => "accountTag",
    }
}

/// `ZoneLogpushHealthAdaptiveGroups`, as Cloudflare names its types.
fn type_name(kind: ScopeKind, node: &Node, rest: &str) -> String {
    let mut name = word(kind).to_owned();
    let mut letters = node.name.chars();
    name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
    name.push_str(letters.as_str());
    name.push_str(rest);
    name
}

fn scalar(kind: Kind) -> &'static str {
    match kind {
        Kind::Number(scalar) => scalar,
        Kind::Text => "string",
        Kind::Time(_) => "Time",
        Kind::Date => "Date",
    }
}

/// A field whose value its parent has.
fn plain(name: &'static str, ty: TypeRef) -> Field {
    Field::new(name, ty, move |context| {
        let parent = match context.parent_value.as_value() {
            Some(Value::Object(members)) => members.get(name).cloned(),
            _ => None,
        };
        FieldFuture::from_value(parent.filter(|value| *value != Value::Null))
    })
}

fn settings() -> Object {
    Object::new("Settings")
        .description("Limits of a node.")
        .field(plain("enabled", TypeRef::named_nn(TypeRef::BOOLEAN)))
        .field(plain(
            "availableFields",
            TypeRef::named_nn_list_nn("string"),
        ))
        .field(plain("maxPageSize", TypeRef::named_nn("uint64")).description("Most groups."))
        .field(plain("maxNumberOfFields", TypeRef::named_nn("uint64")))
        .field(
            plain("notOlderThan", TypeRef::named_nn("uint64"))
                .description("Seconds for which there is data."),
        )
        .field(
            plain("maxDuration", TypeRef::named_nn("uint64"))
                .description("Seconds that a time range may span."),
        )
}

fn settings_value(node: &Node) -> Value {
    let kept_secs = HOURS_KEPT_MILLIS / 1_000;
    let fields = node.fields().into_iter().map(Value::from).collect();
    Value::Object(IndexMap::from_iter([
        (Name::new("enabled"), Value::from(true)),
        (Name::new("availableFields"), Value::List(fields)),
        (Name::new("maxPageSize"), Value::from(PAGE_MAX)),
        (
            Name::new("maxNumberOfFields"),
            Value::from(FIELDS_MAX as u64),
        ),
        (Name::new("notOlderThan"), Value::from(kept_secs)),
        (Name::new("maxDuration"), Value::from(kept_secs)),
    ]))
}

fn register_scope(mut builder: SchemaBuilder, kind: ScopeKind) -> SchemaBuilder {
    let mut scope = Object::new(word(kind)).field(Field::new(
        tag(kind),
        TypeRef::named_nn("string"),
        |context| {
            let scope: Option<&Scope> = context.parent_value.downcast_ref();
            FieldFuture::from_value(scope.map(|scope| Value::from(scope.id())))
        },
    ));
    let settings_name = format!("{}Settings", word(kind));
    let mut settings = Object::new(&settings_name);
    for node in NODES {
        builder = register_node(builder, kind, node);
        scope = scope.field(node_field(kind, node));
        settings = settings.field(Field::new(
            node.name,
            TypeRef::named_nn("Settings"),
            move |_| FieldFuture::from_value(Some(settings_value(node))),
        ));
    }
    scope = scope.field(
        Field::new("settings", TypeRef::named_nn(settings_name), |_| {
            FieldFuture::from_value(Some(Value::Boolean(true)))
        })
        .description("Limits of the nodes."),
    );
    builder
        .register(scope)
        .register(settings)
        .register(scope_filter(kind))
}

fn node_field(kind: ScopeKind, node: &'static Node) -> Field {
    Field::new(
        node.name,
        TypeRef::named_nn_list_nn(type_name(kind, node, "")),
        move |context| FieldFuture::new(node::answer(context, node)),
    )
    .description(node.about)
    .argument(
        InputValue::new(
            "filter",
            TypeRef::named(type_name(kind, node, "Filter_InputObject")),
        )
        .description("Which rows count: every member holds."),
    )
    .argument(
        InputValue::new("limit", TypeRef::named(TypeRef::INT))
            .description("Most groups, up to maxPageSize, which is what it is when left out."),
    )
    .argument(
        InputValue::new(
            "orderBy",
            TypeRef::named_nn_list(type_name(kind, node, "OrderBy")),
        )
        .description("What comes first; the dimensions where left out."),
    )
}

fn register_node(builder: SchemaBuilder, kind: ScopeKind, node: &'static Node) -> SchemaBuilder {
    let name = |rest| type_name(kind, node, rest);
    let filter_name = name("Filter_InputObject");
    let mut filter = InputObject::new(&filter_name)
        .field(InputValue::new("AND", TypeRef::named_nn_list(&filter_name)))
        .field(InputValue::new("OR", TypeRef::named_nn_list(&filter_name)));
    let mut dimensions = Object::new(name("Dimensions"));
    for dimension in node.dimensions {
        let ty = scalar(dimension.kind);
        for operator in dimension.kind.operators() {
            let key = format!("{}{}", dimension.name, operator.suffix());
            let ty = match operator.takes_list() {
                true => TypeRef::named_nn_list(ty),
                false => TypeRef::named(ty),
            };
            filter = filter.field(InputValue::new(key, ty));
        }
        dimensions = dimensions
            .field(plain(dimension.name, TypeRef::named_nn(ty)).description(dimension.about));
    }
    let mut sums = Object::new(name("Sum"));
    for sum in node.sums {
        sums = sums.field(plain(sum.name, TypeRef::named_nn("uint64")).description(sum.about));
    }
    let mut means = Object::new(name("Avg"));
    for mean in node.means {
        means = means.field(plain(mean.name, TypeRef::named("float64")).description(mean.about));
    }
    let groups = Object::new(name(""))
        .description(node.about)
        .field(plain("count", TypeRef::named_nn("uint64")).description(node.counts))
        .field(
            plain("dimensions", TypeRef::named_nn(name("Dimensions")))
                .description("What the rows of the group have in common."),
        )
        .field(plain("sum", TypeRef::named_nn(name("Sum"))).description("Sums over the group."))
        .field(plain("avg", TypeRef::named_nn(name("Avg"))).description("Means over the group."));
    builder
        .register(filter)
        .register(Enum::new(name("OrderBy")).items(node.orderings()))
        .register(dimensions)
        .register(sums)
        .register(means)
        .register(groups)
}

/// Operators of the filter of `zones`: text operators but for patterns.
const TAG_SUFFIXES: [&str; 8] = ["", "_in", "_notin", "_neq", "_gt", "_geq", "_lt", "_leq"];

fn scope_filter(kind: ScopeKind) -> InputObject {
    let mut filter = InputObject::new(format!("{}Filter_InputObject", word(kind)));
    let suffixes = match kind {
        ScopeKind::Zone => TAG_SUFFIXES.as_slice(),
        ScopeKind::Account => &[""],
    };
    for suffix in suffixes {
        let ty = match suffix.ends_with("in") {
            true => TypeRef::named_nn_list("string"),
            false => TypeRef::named("string"),
        };
        filter = filter.field(InputValue::new(format!("{}{suffix}", tag(kind)), ty));
    }
    filter
}

fn scopes_field(kind: ScopeKind) -> Field {
    Field::new(
        kind.path(),
        TypeRef::named_nn_list_nn(word(kind)),
        move |context| {
            FieldFuture::new(async move {
                match scopes(&context, kind).await {
                    Ok(scopes) => Ok(Some(FieldValue::list(
                        scopes.into_iter().map(FieldValue::owned_any),
                    ))),
                    Err(error) => Err(error.into_error(path_of(context.ctx))),
                }
            })
        },
    )
    .description(match kind {
        ScopeKind::Zone => "Zones that are asked for, at most ten.",
        ScopeKind::Account => "The account that is asked for.",
    })
    .argument(InputValue::new(
        "filter",
        TypeRef::named(format!("{}Filter_InputObject", word(kind))),
    ))
}

/// The zones or the account of a query. Those that are named are taken as they are, whether anything is known of them
/// or not: a list of jobs is empty for them as well.
async fn scopes(
    context: &ResolverContext<'_>,
    kind: ScopeKind,
) -> Result<Vec<Scope>, GraphqlError> {
    let filter = context.args.get("filter").map(|filter| filter.as_value());
    let members = match filter {
        Some(Value::Object(members)) => members.clone(),
        _ => IndexMap::new(),
    };
    let mut conditions = Vec::with_capacity(members.len());
    for (key, value) in &members {
        let texts: Option<Vec<&str>> = match value {
            Value::List(list) => list.iter().map(text).collect(),
            value => text(value).map(|one| vec![one]),
        };
        let Some(texts) = texts else {
            let text = format!(
                "error parsing args for {:?}: filter.{key} must not be null; leave it out instead",
                kind.path()
            );
            return Err(GraphqlError::bad(text));
        };
        let suffix = key.as_str().strip_prefix(tag(kind)).unwrap_or_default();
        conditions.push((suffix, texts));
    }
    let holds = |id: &str| {
        conditions.iter().all(|(suffix, texts)| {
            let first = texts.first().copied().unwrap_or_default();
            match *suffix {
                "" | "_in" => texts.contains(&id),
                "_neq" | "_notin" => !texts.contains(&id),
                "_gt" => id > first,
                "_geq" => id >= first,
                "_lt" => id < first,
                _ => id <= first,
            }
        })
    };
    let named = conditions
        .iter()
        .find(|(suffix, _)| matches!(*suffix, "" | "_in"));
    let mut found: Vec<Scope> = match named {
        Some((_, tags)) => tags
            .iter()
            .filter_map(|tag| Scope::new(kind, *tag).ok())
            .collect(),
        None if kind == ScopeKind::Account => {
            return Err(GraphqlError::bad(
                "error parsing args for \"accounts\": filter.accountTag is required",
            ));
        }
        None => known(context).await?,
    };
    found.retain(|scope| scope.kind() == kind && holds(scope.id()));
    found.sort();
    found.dedup();
    if found.len() > ZONES_MAX {
        return Err(GraphqlError::bad(format!(
            "at most {ZONES_MAX} zones can be asked for in one query, and these are {}: filter by zoneTag_in or zoneTag_gt",
            found.len()
        )));
    }
    Ok(found)
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

async fn known(context: &ResolverContext<'_>) -> Result<Vec<Scope>, SourceError> {
    let source: Option<&Arc<dyn Source>> = context.data_opt();
    source.ok_or(SourceError::Unavailable)?.scopes().await
}
