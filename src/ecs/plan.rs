//! A table, compiled: every place has a slot, slots stand in the order in which an event is written, and every field knows
//! its slots. Nothing is looked up by its path for a record.

use super::convert::As;
use super::table::{self, Output, Table, When};
use crate::batch::projection::Projection;
use crate::logpush::catalogue::Dataset;
use serde_json::Value;
use std::collections::BTreeMap;

/// What under `event` comes before the rest, in this order: that of the samples which SEKOIA.IO's page on Cloudflare DNS
/// logs shows. Everything else is in byte order.
const EVENT_FIRST: [&str; 4] = ["kind", "category", "type", "dataset"];

/// The object that holds what has no home.
pub const REST: &str = "cloudflare";

/// A dataset's table, ready to be run over records.
#[derive(Debug)]
pub struct Plan {
    /// Names of fields, each with the index of its [`Field`].
    pub names: Projection,
    /// Fields in the order in which they ask for places.
    pub fields: Vec<Field>,
    /// Indices of the fields in the order in which they are written under [`REST`].
    pub rest_order: Vec<usize>,
    /// Weak outputs, in order, each with the index of its field.
    pub weak: Vec<(usize, Target)>,
    /// What depends on values, in order.
    pub whens: Vec<Condition>,
    /// Slots and the JSON that is written there if nothing else is.
    pub set: Vec<(usize, Constant)>,
    /// Slot, and the fields from which and until which.
    pub durations: Vec<(usize, usize, usize)>,
    /// The places, in order.
    pub slots: Vec<Slot>,
    /// Keys of the objects that places are in, such as `"source":{`.
    pub groups: Vec<Vec<u8>>,
    /// A name holds a backslash, so that a key with an escape could be taken for it.
    pub has_escaped_names: bool,
    /// Other fields than [`Plan::fields`] are taken over.
    pub is_open: bool,
    /// There is no table for the dataset.
    pub is_unknown: bool,
}

/// JSON text that stands in the table.
#[derive(Debug, Clone)]
pub struct Constant(pub Vec<u8>);

/// One field.
#[derive(Debug)]
pub struct Field {
    /// `"Name":`
    pub key: Vec<u8>,
    /// Its place in [`Plan::rest_order`].
    pub rank: usize,
    /// The outputs that do not give way.
    pub targets: Vec<Target>,
    /// It stays under [`REST`] whatever its outputs do.
    pub is_kept: bool,
    /// The job wants it.
    pub is_wanted: bool,
}

/// One output.
#[derive(Debug)]
pub struct Target {
    /// `None` leaves the value under [`REST`].
    pub slot: Option<usize>,
    /// What is done to the value.
    pub conversion: As,
    /// The way to it inside the field.
    pub at: Vec<table::Step>,
    /// What is written for some texts, `None` for nothing.
    pub map: Vec<(Vec<u8>, Option<Constant>)>,
}

/// One `when`.
#[derive(Debug)]
pub struct Condition {
    /// Index of the field.
    pub field: usize,
    /// What its value must be.
    pub when: When,
    /// What is set then.
    pub set: Vec<(usize, Constant)>,
}

/// One place.
#[derive(Debug)]
pub struct Slot {
    /// `"ip":`
    pub key: Vec<u8>,
    /// Indices of the objects around it, from the outside in.
    pub groups: Vec<usize>,
    /// With dots.
    pub path: String,
}

impl Plan {
    /// Compiles the tables for a dataset. `field_names` are the fields that are taken, all of them if there are none.
    #[must_use]
    pub fn compile(dataset: &str, schema: Option<&Dataset>, field_names: &[String]) -> Self {
        let (mut table, is_known) = Table::of(dataset);
        table
            .set
            .entry("event.dataset".to_owned())
            .or_insert_with(|| Value::from(dataset));
        let mut plan = Self::of(&table, schema, field_names);
        plan.is_unknown = !is_known;
        plan
    }

    fn of(table: &Table, schema: Option<&Dataset>, field_names: &[String]) -> Self {
        let mut names = Projection::new();
        for (name, _) in &table.fields.0 {
            names.slot(name);
        }
        let listed = table.whens_and_durations();
        let catalogue = schema.iter().flat_map(|schema| schema.fields.keys());
        for name in listed.chain(catalogue).chain(field_names) {
            names.slot(name);
        }
        let (slots, groups) = slots(table.places());
        let slot_of: BTreeMap<&str, usize> = slots
            .iter()
            .enumerate()
            .map(|(at, slot)| (slot.path.as_str(), at))
            .collect();
        let place = |path: &str| slot_of.get(path).copied();
        let constants = |set: &BTreeMap<String, Value>| -> Vec<(usize, Constant)> {
            set.iter()
                .filter_map(|(path, value)| Some((place(path)?, Constant::of(value))))
                .collect()
        };
        let target = |output: &Output| Target {
            slot: output.to.as_deref().and_then(place),
            conversion: output.conversion,
            at: output.at.clone(),
            map: output
                .map
                .iter()
                .map(|(text, written)| {
                    let written = written
                        .as_ref()
                        .map(|text| Constant::of(&Value::from(text.as_str())));
                    (text.clone().into_bytes(), written)
                })
                .collect(),
        };
        let mut fields: Vec<Field> = names
            .names()
            .iter()
            .map(|name| Field {
                key: key(name),
                rank: 0,
                targets: Vec::new(),
                is_kept: false,
                is_wanted: field_names.is_empty() || field_names.contains(name),
            })
            .collect();
        let mut weak = Vec::new();
        // A field's index is its slot in the projection, and the table's came first.
        for (index, (field, (_, outputs))) in fields.iter_mut().zip(&table.fields.0).enumerate() {
            for output in &outputs.outputs {
                field.is_kept |= output.keep;
                if output.weak {
                    weak.push((index, target(output)));
                } else {
                    field.targets.push(target(output));
                }
            }
        }
        let index = |name: &str| names.find(name.as_bytes());
        let whens = table.when.iter().filter_map(|when| {
            Some(Condition {
                field: index(&when.field)?,
                set: constants(&when.set),
                when: when.clone(),
            })
        });
        let durations = table.durations.iter().filter_map(|duration| {
            let fields = (index(&duration.from)?, index(&duration.until)?);
            Some((place(&duration.to)?, fields.0, fields.1))
        });
        let mut rest_order: Vec<usize> = (0..fields.len()).collect();
        rest_order.sort_by_key(|at| names.names().get(*at));
        for (rank, at) in rest_order.iter().enumerate() {
            if let Some(field) = fields.get_mut(*at) {
                field.rank = rank;
            }
        }
        Self {
            whens: whens.collect(),
            durations: durations.collect(),
            set: constants(&table.set),
            has_escaped_names: names.names().iter().any(|name| name.contains('\\')),
            names,
            fields,
            rest_order,
            weak,
            slots,
            groups,
            is_open: field_names.is_empty(),
            is_unknown: false,
        }
    }
}

impl Table {
    /// Every place that it names, some more than once.
    pub fn places(&self) -> impl Iterator<Item = &str> {
        let of_fields = self.fields.0.iter().flat_map(|(_, field)| &field.outputs);
        let of_whens = self.when.iter().flat_map(|when| when.set.keys());
        of_fields
            .filter_map(|output| output.to.as_deref())
            .chain(of_whens.chain(self.set.keys()).map(String::as_str))
            .chain(self.durations.iter().map(|duration| duration.to.as_str()))
    }

    /// The fields that it looks at without sending them anywhere.
    fn whens_and_durations(&self) -> impl Iterator<Item = &String> {
        let durations = self.durations.iter();
        let durations = durations.flat_map(|duration| [&duration.from, &duration.until]);
        self.when.iter().map(|when| &when.field).chain(durations)
    }
}

impl Constant {
    fn of(value: &Value) -> Self {
        Self(value.to_string().into_bytes())
    }
}

fn key(name: &str) -> Vec<u8> {
    format!("{}:", Value::from(name)).into_bytes()
}

/// Slots for all places, in the order of an event, and the keys of the objects around them.
fn slots<'t>(places: impl Iterator<Item = &'t str>) -> (Vec<Slot>, Vec<Vec<u8>>) {
    let mut paths: Vec<&str> = places.collect();
    paths.sort_by_cached_key(|path| order(path));
    paths.dedup();
    let mut groups: Vec<Vec<u8>> = Vec::new();
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    let slots = paths.into_iter().map(|path| {
        let mut around = Vec::new();
        for (dot, _) in path.match_indices('.') {
            let (group, _) = path.split_at(dot);
            let index = *known.entry(group).or_insert_with(|| {
                let (_, name) = group.rsplit_once('.').unwrap_or(("", group));
                let mut opened = key(name);
                opened.push(b'{');
                groups.push(opened);
                groups.len() - 1
            });
            around.push(index);
        }
        let (_, name) = path.rsplit_once('.').unwrap_or(("", path));
        Slot {
            key: key(name),
            groups: around,
            path: path.to_owned(),
        }
    });
    let slots = slots.collect();
    (slots, groups)
}

/// What paths are sorted by.
fn order(path: &str) -> Vec<(usize, &str)> {
    let mut around = "";
    let mut ranked = Vec::new();
    for name in path.split('.') {
        let rank = match around {
            "event" => EVENT_FIRST.iter().position(|first| *first == name),
            _ => None,
        };
        ranked.push((rank.unwrap_or(EVENT_FIRST.len()), name));
        around = name;
    }
    ranked
}

#[cfg(test)]
mod tests {
    use super::{Plan, REST};
    use crate::ecs::table::{COMMON, Table, names};

    #[test]
    fn every_table_can_be_compiled_and_run() {
        for name in names().chain([COMMON]) {
            let (table, _) = Table::of(name);
            let plan = Plan::compile(name, None, &[]);
            for slot in &plan.slots {
                let path = &slot.path;
                let mut parts = path.split('.');
                assert!(
                    parts.all(|part| !part.is_empty()
                        && part
                            .bytes()
                            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'@'))),
                    "{name}: {path}"
                );
                assert!(!path.starts_with(REST), "{name}: {path}");
                let inside = format!("{path}.");
                assert!(
                    !plan
                        .slots
                        .iter()
                        .any(|other| other.path.starts_with(&inside)),
                    "{name}: {path} is a value and an object"
                );
            }
            let sets = table.when.iter().map(|when| &when.set).chain([&table.set]);
            for (path, value) in sets.flatten() {
                assert!(!value.is_null() && *value != "", "{name}: {path}");
            }
            for when in &table.when {
                let comparisons = usize::from(!when.is.is_empty())
                    + usize::from(!when.is_not.is_empty())
                    + usize::from(!when.words.is_empty())
                    + usize::from(when.at_least.is_some());
                assert!(comparisons > 0 && !when.set.is_empty(), "{name}: {when:?}");
                for text in when.is.iter().chain(&when.is_not).chain(&when.words) {
                    assert_eq!(*text, text.to_ascii_lowercase(), "{name}");
                }
            }
            for (field, outputs) in &table.fields.0 {
                assert!(!outputs.outputs.is_empty(), "{name}: {field}");
                for output in &outputs.outputs {
                    for (text, written) in &output.map {
                        assert_eq!(*text, text.to_ascii_lowercase(), "{name}: {field}");
                        assert_ne!(written.as_deref(), Some(""), "{name}: {field}");
                    }
                }
            }
        }
    }

    #[test]
    fn places_stand_in_the_order_of_the_samples() {
        let plan = Plan::compile("dns_logs", None, &[]);
        let paths: Vec<&str> = plan.slots.iter().map(|slot| slot.path.as_str()).collect();
        let known = [
            "@timestamp",
            "dns.question.name",
            "dns.question.type",
            "dns.response_code",
            "event.kind",
            "event.category",
            "event.type",
            "event.dataset",
            "source.ip",
        ];
        let mut found = known
            .iter()
            .map(|path| paths.iter().position(|known| known == path));
        let found: Option<Vec<usize>> = found.by_ref().collect();
        assert!(found.unwrap().is_sorted(), "{paths:?}");
    }
}
