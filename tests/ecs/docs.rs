//! docs/ecs.md: its head is written by hand, what follows is made of the tables.

use super::golden::is_update;
use logpush_edge::ecs::table::{COMMON, Output, Step, Table, names};
use logpush_edge::logpush::catalogue::Dataset;
use logpush_edge::logpush::scope::ScopeKind;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ecs.md");

/// What follows this line is made.
const MADE: &str = "<!-- From here on made of src/ecs/tables by `ECS_UPDATE=1 npm run test:native -- --test ecs`. -->\n";

#[test]
fn docs_ecs_md_says_what_the_tables_say() {
    let written = std::fs::read_to_string(PATH).unwrap();
    let Some((head, found)) = written.split_once(MADE) else {
        panic!("docs/ecs.md has no line {MADE}");
    };
    let made = made();
    if is_update() {
        std::fs::write(PATH, [head, MADE, &made].concat()).unwrap();
    } else if found != made {
        let differs = made.lines().zip(found.lines()).position(|(a, b)| a != b);
        let at = head.lines().count() + 2 + differs.unwrap_or(0);
        panic!("docs/ecs.md is out of date at line {at}: make it anew as its marker says");
    }
}

fn made() -> String {
    let datasets: Vec<String> = names().map(|name| format!("[{name}](#{name})")).collect();
    let mut text = format!(
        "\nDatasets: {}.\n\n## Conversions\n\n| how | what comes out |\n|---|---|\n",
        datasets.join(", ")
    );
    let conversions = conversions();
    let used = used_conversions();
    for (name, says) in conversions.iter().filter(|(name, _)| used.contains(*name)) {
        let _ = writeln!(text, "| {name} | {} |", cell(says));
    }
    for name in names() {
        dataset(name, &mut text);
    }
    let common = Table::read(COMMON).unwrap().unwrap();
    let _ = writeln!(text, "\n## Any other dataset\n\n{}\n", common.note);
    outputs(&common, |_| true, &mut text);
    text
}

fn dataset(name: &str, text: &mut String) {
    let (table, _) = Table::of(name);
    let fields = fields(name);
    let _ = writeln!(text, "\n## {name}\n");
    let note = Table::read(name).unwrap().unwrap().note;
    if !note.is_empty() {
        let _ = writeln!(text, "{note}\n");
    }
    let always: Vec<String> = table
        .set
        .iter()
        .map(|(place, value)| set(place, value))
        .collect();
    let _ = writeln!(
        text,
        "Unless something else is said below: {}.\n",
        always.join(", ")
    );
    let with_place = outputs(&table, |field| fields.contains(field), text);
    for duration in &table.durations {
        let _ = writeln!(
            text,
            "| `{}`, `{}` | `{}` | the nanoseconds between them |",
            duration.from, duration.until, duration.to
        );
    }
    if !table.when.is_empty() {
        text.push_str("\n| when | then |\n|---|---|\n");
        for when in &table.when {
            let mut conditions: Vec<String> = Vec::new();
            for (word, values) in [
                ("is", &when.is),
                ("is not", &when.is_not),
                ("holds the word", &when.words),
            ] {
                if !values.is_empty() {
                    conditions.push(format!("{word} {}", quoted(values)));
                }
            }
            conditions.extend(when.at_least.map(|least| format!("is at least {least}")));
            let then: Vec<String> = when
                .set
                .iter()
                .map(|(place, value)| set(place, value))
                .collect();
            let _ = writeln!(
                text,
                "| `{}`{} {} | {} |",
                when.field,
                way(&when.at),
                conditions.join(" and "),
                then.join(", ")
            );
        }
    }
    let rest: Vec<String> = fields
        .iter()
        .filter(|field| !with_place.contains(field.as_str()))
        .map(|field| format!("`{field}`"))
        .collect();
    if !rest.is_empty() {
        let _ = writeln!(text, "\nUnder `cloudflare.`: {}.", rest.join(", "));
    }
}

/// The table of what goes where, and the fields that it names.
fn outputs<'t>(
    table: &'t Table,
    is_shown: impl Fn(&str) -> bool,
    text: &mut String,
) -> BTreeSet<&'t str> {
    text.push_str("| field | place | how |\n|---|---|---|\n");
    let mut named = BTreeSet::new();
    for (field, outputs) in table.fields.0.iter().filter(|(field, _)| is_shown(field)) {
        named.insert(field.as_str());
        for output in &outputs.outputs {
            let to = match &output.to {
                Some(to) => format!("`{to}`"),
                None => format!("`cloudflare.{field}`"),
            };
            let how = cell(&how(output));
            let _ = writeln!(text, "| `{field}`{} | {to} | {how} |", way(&output.at));
        }
    }
    named
}

/// The fields of a dataset in both scopes.
fn fields(name: &str) -> BTreeSet<String> {
    [ScopeKind::Zone, ScopeKind::Account]
        .into_iter()
        .filter_map(|scope| Dataset::find(scope, name))
        .flat_map(|dataset| dataset.fields.into_keys())
        .collect()
}

fn how(output: &Output) -> String {
    let mut parts: Vec<String> = Vec::new();
    let conversion = word(output);
    if conversion != "mapped" {
        parts.push(conversion);
    }
    for (from, to) in &output.map {
        parts.push(match to {
            Some(to) => format!("`{from}` → `{to}`"),
            None => format!("`{from}` is left out"),
        });
    }
    if word(output) == "mapped" {
        parts.push("anything else stays".to_owned());
    }
    if output.weak {
        parts.push("if no other field is there".to_owned());
    }
    if output.keep {
        parts.push("all of the field stays as well".to_owned());
    }
    parts.join(", ")
}

/// The word for a conversion, as the tables write it.
fn word(output: &Output) -> String {
    snake(&format!("{:?}", output.conversion))
}

fn snake(camel: &str) -> String {
    let mut word = String::new();
    for letter in camel.chars() {
        if letter.is_ascii_uppercase() && !word.is_empty() {
            word.push('_');
        }
        word.push(letter.to_ascii_lowercase());
    }
    word
}

/// `.[0].Message`
fn way(steps: &[Step]) -> String {
    steps.iter().fold(String::new(), |way, step| match step {
        Step::Index(index) => format!("{way} [{index}]"),
        Step::Name(name) => format!("{way} `{name}`"),
    })
}

fn set(place: &str, value: &Value) -> String {
    format!("`{place}` `{value}`")
}

fn quoted(values: &[String]) -> String {
    let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
    values.join(", ")
}

/// A text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn used_conversions() -> BTreeSet<String> {
    names()
        .chain([COMMON])
        .flat_map(|name| Table::read(name).unwrap().unwrap().fields.0)
        .flat_map(|(_, field)| field.outputs)
        .map(|output| word(&output))
        .filter(|word| word != "mapped")
        .collect()
}

/// What each conversion says of itself in its source, by the word that the tables use.
fn conversions() -> BTreeMap<String, String> {
    let source = include_str!("../../src/ecs/convert.rs");
    let (_, list) = source.split_once("pub enum As {\n").unwrap();
    let (list, _) = list.split_once("\n}\n").unwrap();
    let mut says = String::new();
    let mut conversions = BTreeMap::new();
    for line in list.lines().map(str::trim) {
        if let Some(sentence) = line.strip_prefix("/// ") {
            says = format!("{says} {sentence}").trim().to_owned();
        } else if let Some(name) = line.strip_suffix(',') {
            conversions.insert(snake(name), std::mem::take(&mut says));
        }
    }
    conversions
}
