//! A query before it is looked at: read, bounded, and with its variables put in.
//!
//! Cloudflare's server takes variables that nobody declared (both queries of its announcement have one) and does not
//! mind how a type is spelled (`string`, `String!`, `Time!`). So variables are put in as values before the library
//! checks the query against the schema: a value is judged where it is used, by what that place takes.

use super::GraphqlError;
use async_graphql::indexmap::IndexMap;
use async_graphql::parser::parse_query;
use async_graphql::parser::types::{
    Directive, DocumentOperations, ExecutableDocument, FragmentDefinition, OperationDefinition,
    OperationType, Selection, SelectionSet,
};
use async_graphql::{Name, Positioned, Request, Value as ConstValue, parser};
use async_graphql_value::Value;
use serde::Deserialize;
use std::cell::Cell;
use std::collections::HashMap;

/// Brackets in one another. Lists and objects are read by recursion, and the isolate's stack is 1 MB. The deepest query
/// of a known client is GraphiQL's introspection, with 14.
const NESTING_MAX: usize = 40;

/// Selections in one another, with those of fragments; see [`NESTING_MAX`]. Also bounds what introspection can multiply.
const DEPTH_MAX: usize = 20;

/// Selections with fragments written out. Introspection of `graphql` for JavaScript has some 350.
const SELECTIONS_MAX: usize = 1_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    query: String,
    #[serde(default)]
    variables: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(default)]
    operation_name: Option<String>,
}

/// Values that variables may become, all uses together: one of 60 KB can be used a thousand times.
const VALUES_MAX: usize = 20_000;

/// Values of variables.
#[derive(Default)]
struct Variables {
    /// `None` for one that may be missing and is.
    values: HashMap<String, Option<Value>>,
    /// How many values have been put in.
    put_in: Cell<usize>,
}

impl Variables {
    fn get(&self, name: &str) -> Result<Option<Value>, GraphqlError> {
        let value = self.values.get(name).ok_or_else(|| missing(name))?;
        let size = value.as_ref().map_or(0, count_values);
        self.put_in.set(self.put_in.get().saturating_add(size));
        if self.put_in.get() > VALUES_MAX {
            let text = "variables are too large, or used too often";
            return Err(GraphqlError::bad(text));
        }
        Ok(value.clone())
    }
}

fn count_values(value: &Value) -> usize {
    1 + match value {
        Value::List(values) => values.iter().map(count_values).sum(),
        Value::Object(members) => members.values().map(count_values).sum(),
        _ => 0,
    }
}

/// Reads the body of a request.
pub(super) fn prepare(body: &[u8]) -> Result<Request, GraphqlError> {
    let body: Body = serde_json::from_slice(body).map_err(|e| {
        let text = format!(
            "the body must be JSON like {{\"query\":\"…\",\"variables\":{{…}}}}, one query: {e}"
        );
        GraphqlError::bad(text)
    })?;
    if nesting(&body.query) > NESTING_MAX {
        let text = format!("the query is nested too deeply: at most {NESTING_MAX} brackets");
        return Err(GraphqlError::bad(text));
    }
    let document = parse_query(&body.query).map_err(|e| GraphqlError::bad(syntax(&e)))?;
    let ExecutableDocument {
        operations,
        fragments,
    } = document;
    let mut operation = choose(operations, body.operation_name.as_deref())?;
    if operation.node.ty != OperationType::Query {
        let text = "only queries are answered: nothing can be changed or subscribed to here";
        return Err(GraphqlError::bad(text));
    }
    let mut used = HashMap::new();
    let selections = &operation.node.selection_set.node;
    measure(selections, &fragments, 0, &mut used)?;
    // Fragments of other operations would be errors of the one that is asked for.
    let mut fragments: HashMap<_, _> = fragments
        .into_iter()
        .filter(|(name, _)| used.contains_key(name))
        .collect();

    let given = body.variables.unwrap_or_default();
    let variables = declared(&mut operation.node, given)?;
    put_in(&mut operation.node.selection_set.node, &variables)?;
    put_in_directives(&mut operation.node.directives, &variables)?;
    for fragment in fragments.values_mut() {
        put_in(&mut fragment.node.selection_set.node, &variables)?;
        put_in_directives(&mut fragment.node.directives, &variables)?;
    }

    let mut request = Request::new("");
    request.set_parsed_query(ExecutableDocument {
        operations: DocumentOperations::Single(operation),
        fragments,
    });
    Ok(request)
}

fn syntax(error: &parser::Error) -> String {
    // The text of a syntax error is a drawing of several lines.
    let text = error.to_string();
    let lines: Vec<&str> = text.split_whitespace().collect();
    format!("syntax error: {}", lines.join(" "))
}

fn choose(
    operations: DocumentOperations,
    name: Option<&str>,
) -> Result<Positioned<OperationDefinition>, GraphqlError> {
    let name = name.filter(|name| !name.is_empty());
    match (operations, name) {
        (DocumentOperations::Single(operation), None) => Ok(operation),
        (DocumentOperations::Multiple(mut operations), Some(name)) => operations
            .remove(name)
            .ok_or_else(|| GraphqlError::bad(format!("the query has no operation named {name:?}"))),
        (DocumentOperations::Single(_), Some(name)) => Err(GraphqlError::bad(format!(
            "the query has no operation named {name:?}"
        ))),
        (DocumentOperations::Multiple(operations), None) => {
            let mut operations = operations.into_values();
            match (operations.next(), operations.next()) {
                (Some(operation), None) => Ok(operation),
                _ => Err(GraphqlError::bad(
                    "the query has several operations: say which one by operationName",
                )),
            }
        }
    }
}

/// The most brackets that are open at once. Those in a text count when they open and not when they close, so that a
/// text can not hide others.
fn nesting(query: &str) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    let mut rest = query.as_bytes();
    // What ends the text that is being read.
    let mut ends: Option<&[u8]> = None;
    while let [byte, after @ ..] = rest {
        match (byte, ends) {
            (b'{' | b'[' | b'(', _) => {
                open += 1;
                most = most.max(open);
            }
            (b'}' | b']' | b')', None) => open = open.saturating_sub(1),
            (b'#', None) => {
                let line = after.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
                rest = line.and_then(|end| after.get(end..)).unwrap_or_default();
                continue;
            }
            (b'"', None) => {
                let is_block = after.starts_with(b"\"\"");
                let start: &[u8] = if is_block { b"\"\"\"" } else { b"\"" };
                ends = Some(start);
                rest = rest.get(start.len()..).unwrap_or_default();
                continue;
            }
            (b'\\', Some(end)) => {
                // In a block only its end can be escaped.
                let skip = match end.len() {
                    1 => 1,
                    _ if after.starts_with(end) => end.len(),
                    _ => 0,
                };
                rest = after.get(skip..).unwrap_or_default();
                continue;
            }
            (_, Some(end)) if rest.starts_with(end) => {
                ends = None;
                rest = rest.get(end.len()..).unwrap_or_default();
                continue;
            }
            _ => {}
        }
        rest = after;
    }
    most
}

type Fragments = HashMap<Name, Positioned<FragmentDefinition>>;

/// Selections, and how deep they go, with fragments written out. Each fragment is measured once, so that fragments which
/// double each other cost nothing to refuse; `used` is what was found, `None` for one that is being measured.
fn measure(
    set: &SelectionSet,
    fragments: &Fragments,
    depth: usize,
    used: &mut HashMap<Name, Option<(usize, usize)>>,
) -> Result<(usize, usize), GraphqlError> {
    if depth > DEPTH_MAX {
        let text = format!("the query is nested too deeply: at most {DEPTH_MAX} selections");
        return Err(GraphqlError::bad(text));
    }
    let (mut all, mut deepest) = (0_usize, 0);
    for item in &set.items {
        let inner = match &item.node {
            Selection::Field(field) => &field.node.selection_set.node,
            Selection::InlineFragment(fragment) => &fragment.node.selection_set.node,
            Selection::FragmentSpread(spread) => {
                let name = &spread.node.fragment_name.node;
                let (selections, levels) = match (used.get(name), fragments.get(name)) {
                    (Some(Some(known)), _) => *known,
                    (Some(None), _) => {
                        let text = format!("fragment {name} contains itself");
                        return Err(GraphqlError::bad(text));
                    }
                    (None, None) => {
                        return Err(GraphqlError::bad(format!("there is no fragment {name}")));
                    }
                    (None, Some(fragment)) => {
                        used.insert(name.clone(), None);
                        let set = &fragment.node.selection_set.node;
                        let found = measure(set, fragments, depth + 1, used)?;
                        used.insert(name.clone(), Some(found));
                        found
                    }
                };
                all = all.saturating_add(selections).saturating_add(1);
                deepest = deepest.max(levels + 1);
                continue;
            }
        };
        let (selections, levels) = measure(inner, fragments, depth + 1, used)?;
        all = all.saturating_add(selections).saturating_add(1);
        deepest = deepest.max(levels + 1);
    }
    if all > SELECTIONS_MAX {
        let text = format!("number of fields can't be more than {SELECTIONS_MAX} in one query");
        return Err(GraphqlError::bad(text));
    }
    if depth + deepest > DEPTH_MAX + 1 {
        let text = format!("the query is nested too deeply: at most {DEPTH_MAX} selections");
        return Err(GraphqlError::bad(text));
    }
    Ok((all, deepest))
}

/// Values of all variables, declared or not. Declarations are taken away.
fn declared(
    operation: &mut OperationDefinition,
    given: serde_json::Map<String, serde_json::Value>,
) -> Result<Variables, GraphqlError> {
    let mut values = HashMap::new();
    for (name, value) in given {
        let value = ConstValue::from_json(value)
            .map_err(|e| GraphqlError::bad(format!("variable ${name}: {e}")))?;
        values.insert(name, Some(value.into_value()));
    }
    for definition in std::mem::take(&mut operation.variable_definitions) {
        let definition = definition.node;
        let name = definition.name.node.to_string();
        if values.contains_key(&name) {
            continue;
        }
        let default = definition
            .default_value
            .map(|value| value.node.into_value());
        if default.is_none() && !definition.var_type.node.nullable {
            return Err(missing(&name));
        }
        values.insert(name, default);
    }
    Ok(Variables {
        values,
        ..Variables::default()
    })
}

fn missing(name: &str) -> GraphqlError {
    GraphqlError::bad(format!(
        "variable ${name} has no value: give it in \"variables\""
    ))
}

fn put_in(set: &mut SelectionSet, variables: &Variables) -> Result<(), GraphqlError> {
    for item in &mut set.items {
        put_in_directives(item.node.directives_mut(), variables)?;
        match &mut item.node {
            Selection::Field(field) => {
                put_in_arguments(&mut field.node.arguments, variables)?;
                put_in(&mut field.node.selection_set.node, variables)?;
            }
            Selection::InlineFragment(fragment) => {
                put_in(&mut fragment.node.selection_set.node, variables)?;
            }
            Selection::FragmentSpread(_) => {}
        }
    }
    Ok(())
}

fn put_in_directives(
    directives: &mut [Positioned<Directive>],
    variables: &Variables,
) -> Result<(), GraphqlError> {
    directives
        .iter_mut()
        .try_for_each(|directive| put_in_arguments(&mut directive.node.arguments, variables))
}

fn put_in_arguments(
    arguments: &mut Vec<(Positioned<Name>, Positioned<Value>)>,
    variables: &Variables,
) -> Result<(), GraphqlError> {
    let taken = std::mem::take(arguments);
    for (name, value) in taken {
        let pos = value.pos;
        // A variable without a value is as if the argument was not there.
        if let Some(value) = value_of(value.node, variables)? {
            arguments.push((name, Positioned::new(value, pos)));
        }
    }
    Ok(())
}

fn value_of(value: Value, variables: &Variables) -> Result<Option<Value>, GraphqlError> {
    Ok(Some(match value {
        Value::Variable(name) => return variables.get(&name),
        Value::List(values) => {
            let values = values.into_iter().map(|value| {
                let value = value_of(value, variables)?;
                Ok::<_, GraphqlError>(value.unwrap_or(Value::Null))
            });
            Value::List(values.collect::<Result<_, _>>()?)
        }
        Value::Object(members) => {
            let mut kept = IndexMap::with_capacity(members.len());
            for (name, value) in members {
                if let Some(value) = value_of(value, variables)? {
                    kept.insert(name, value);
                }
            }
            Value::Object(kept)
        }
        other => other,
    }))
}
