//! Where Logpush writes, and what that says about a batch: `R2_EVENTS_PATHS`, one path for each way in which Logpush jobs
//! were told to name their objects, with white space between two.
//!
//! A path is what stands in `destination_conf` between bucket and `?`, with holes: `logpush/{scope}/{dataset}/{DATE}`. A
//! hole stands for what is between two slashes, or for a part of it (`day={DATE}`); `{scope}` stands for two of them,
//! `zones/<id>` or `accounts/<id>`. What a path has no hole for stands behind a `?`:
//! `logs/{DATE}?scope=zones/<id>&dataset=http_requests`, as does what has to be known of CSV. Objects lie directly under it.

use crate::batch::incoming::Incoming;
use crate::logpush::catalogue;
use crate::logpush::scope::{Scope, ScopeKind};
use std::fmt;
use url::form_urlencoded;

/// The path unless the operator says another.
pub const DEFAULT_PATHS: &str = "logpush/{scope}/{dataset}/{DATE}";

/// What the keys of the Worker's own objects begin with.
pub const OWN_PREFIXES: [&str; 5] = [
    "zones/",
    "accounts/",
    "quarantine/",
    "spool/",
    "dead-letters/",
];

/// Whether the Worker wrote the object of this key.
#[must_use]
pub fn is_own(key: &str) -> bool {
    OWN_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

/// A path that can not be followed. The text names it and says what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathsError(String);

impl fmt::Display for PathsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PathsError {}

/// What a key says about the batch under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Zone or account.
    pub scope: Scope,
    /// The dataset.
    pub dataset: String,
    /// The day that Logpush filed it under, `YYYYMMDD`: most often that of its first record.
    pub day: Option<String>,
    /// What has to be known of CSV, as in the query of an address; empty otherwise.
    pub query: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hole {
    Scope,
    Zone,
    Account,
    Dataset,
    Date,
}

impl Hole {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "scope" => Self::Scope,
            "zone" => Self::Zone,
            "account" => Self::Account,
            "dataset" => Self::Dataset,
            "DATE" => Self::Date,
            _ => return None,
        })
    }

    fn is_scope(self) -> bool {
        matches!(self, Self::Scope | Self::Zone | Self::Account)
    }
}

/// What is between two slashes.
#[derive(Debug, Clone)]
struct Part {
    before: String,
    hole: Option<Hole>,
    after: String,
}

#[derive(Debug, Clone)]
struct Path {
    parts: Vec<Part>,
    scope: Option<Scope>,
    dataset: Option<String>,
    query: String,
}

/// All paths, in the order in which they are tried.
#[derive(Debug, Clone)]
pub struct Paths(Vec<Path>);

impl Paths {
    /// Reads the variable.
    ///
    /// # Errors
    /// Names the path that is wrong.
    pub fn parse(text: &str) -> Result<Self, PathsError> {
        let paths = text.split_ascii_whitespace().map(Path::parse);
        let paths: Vec<Path> = paths.collect::<Result<_, _>>()?;
        if paths.is_empty() {
            return Err(PathsError("there is no path".to_owned()));
        }
        Ok(Self(paths))
    }

    /// What the first path that has this key says about it.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<Place> {
        self.0.iter().find_map(|path| path.find(key))
    }
}

impl Path {
    fn parse(text: &str) -> Result<Self, PathsError> {
        let fail = |why: &str| Err(PathsError(format!("the path {text}: {why}")));
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let path = path.trim_end_matches('/');
        let mut parts = Vec::new();
        for segment in path.split('/') {
            let part = match segment.split_once('{') {
                None => Some(Part {
                    before: segment.to_owned(),
                    hole: None,
                    after: String::new(),
                }),
                Some((before, rest)) => rest.split_once('}').and_then(|(name, after)| {
                    Some(Part {
                        before: before.to_owned(),
                        hole: Some(Hole::from_name(name)?),
                        after: after.to_owned(),
                    })
                }),
            };
            let Some(part) = part.filter(|part| !part.after.contains('{')) else {
                return fail(
                    "a hole is one of {scope}, {zone}, {account}, {dataset} and {DATE}, and there is one between two slashes",
                );
            };
            if segment.is_empty() {
                return fail("nothing stands between two slashes, or before the first one");
            }
            if part.hole == Some(Hole::Scope) && segment != "{scope}" {
                return fail(
                    "{scope} stands for zones/<id> or accounts/<id>, so nothing else may stand beside it",
                );
            }
            parts.push(part);
        }
        let (mut scope, mut dataset) = (None, None);
        let mut csv = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "scope" => match read_scope(&value) {
                    Some(read) => scope = Some(read),
                    None => return fail("`scope` is zones/<id> or accounts/<id>"),
                },
                "dataset" if catalogue::is_name(&value) => dataset = Some(value.into_owned()),
                "dataset" => return fail("`dataset` is a name of A-Z, a-z, 0-9, _ and -"),
                "output_type" | "fields" | "field_delimiter" => {
                    csv.append_pair(&name, &value);
                }
                _ => {
                    return fail(
                        "behind the ? there may be scope, dataset, output_type, fields and field_delimiter",
                    );
                }
            }
        }
        let holes = || parts.iter().filter_map(|part: &Part| part.hole);
        if holes().filter(|hole| hole.is_scope()).count() + usize::from(scope.is_some()) != 1 {
            return fail(
                "the zone or account has to be said once: {scope}, {zone} or {account} in the path, or ?scope=zones/<id> behind it",
            );
        }
        let is_dataset = |hole: &Hole| *hole == Hole::Dataset;
        if holes().filter(is_dataset).count() + usize::from(dataset.is_some()) != 1 {
            return fail(
                "the dataset has to be said once: {dataset} in the path, or ?dataset=<name> behind it",
            );
        }
        let begin = format!("{}/", path.split('/').next().unwrap_or_default());
        if begin == "{scope}/" || OWN_PREFIXES.contains(&begin.as_str()) {
            return fail(
                "the Worker's own objects begin like that: have Logpush write under a name of its own, such as logpush/",
            );
        }
        let query = csv.finish();
        if let Err(e) = Incoming::new(ScopeKind::Zone, "any", &query) {
            return fail(&e.to_string());
        }
        Ok(Self {
            parts,
            scope,
            dataset,
            query,
        })
    }

    fn find(&self, key: &str) -> Option<Place> {
        let (folder, name) = key.rsplit_once('/')?;
        if name.is_empty() {
            return None;
        }
        let (mut scope, mut dataset) = (self.scope.clone(), self.dataset.clone());
        let mut date = None;
        let mut segments = folder.split('/');
        for Part {
            before,
            hole,
            after,
        } in &self.parts
        {
            let segment = segments.next()?;
            let value = segment
                .strip_prefix(before.as_str())?
                .strip_suffix(after.as_str())?;
            match hole {
                None if value.is_empty() => {}
                None => return None,
                Some(Hole::Scope) => {
                    let kind = ScopeKind::from_path(value)?;
                    scope = Some(Scope::new(kind, segments.next()?).ok()?);
                }
                Some(Hole::Zone) => scope = Some(Scope::new(ScopeKind::Zone, value).ok()?),
                Some(Hole::Account) => scope = Some(Scope::new(ScopeKind::Account, value).ok()?),
                Some(Hole::Dataset) => {
                    dataset = Some(value.to_owned()).filter(|name| catalogue::is_name(name));
                }
                Some(Hole::Date) => date = Some(value).filter(|value| is_day(value)),
            }
            if *hole == Some(Hole::Date) && date.is_none() {
                return None;
            }
        }
        if segments.next().is_some() {
            return None;
        }
        // `{start}_{end}_{hash}.log.gz`, with `20180523T100000Z` for a time.
        let start = name.split_once('T').map(|(day, _)| day);
        let day = start.filter(|day| is_day(day)).or(date);
        Some(Place {
            scope: scope?,
            dataset: dataset?,
            day: day.map(str::to_owned),
            query: self.query.clone(),
        })
    }
}

fn read_scope(text: &str) -> Option<Scope> {
    let (kind, id) = text.split_once('/')?;
    Scope::new(ScopeKind::from_path(kind)?, id).ok()
}

fn is_day(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(paths: &str, key: &str) -> Option<(String, String, String, String)> {
        let place = Paths::parse(paths).unwrap().find(key)?;
        let day = place.day.unwrap_or_default();
        Some((place.scope.to_string(), place.dataset, day, place.query))
    }

    #[test]
    fn a_key_says_scope_dataset_and_day() {
        let name = "20260701T235958Z_20260702T000030Z_0a1b2c3d.log.gz";
        let in_path = |path: &str| format!("{path}/{name}");
        for (paths, key, scope, dataset, day) in [
            (
                DEFAULT_PATHS,
                in_path("logpush/zones/z1/http_requests/20260702"),
                "zones/z1",
                "http_requests",
                "20260701",
            ),
            (
                DEFAULT_PATHS,
                in_path("logpush/accounts/a-1/audit_logs/20260702"),
                "accounts/a-1",
                "audit_logs",
                "20260701",
            ),
            (
                DEFAULT_PATHS,
                "logpush/zones/z1/dns_logs/20260702/test.txt.gz".to_owned(),
                "zones/z1",
                "dns_logs",
                "20260702",
            ),
            (
                "a/{zone}/{dataset}/",
                in_path("a/z/x"),
                "zones/z",
                "x",
                "20260701",
            ),
            (
                "a/{account}/d={dataset}.x/{DATE}",
                in_path("a/z/d=y.x/20260702"),
                "accounts/z",
                "y",
                "20260701",
            ),
            (
                "{DATE}?scope=zones/q&dataset=dns_logs",
                "20260702/x.log.gz".to_owned(),
                "zones/q",
                "dns_logs",
                "20260702",
            ),
            (
                "day={DATE}?scope=accounts/q&dataset=d",
                "day=20260702/x".to_owned(),
                "accounts/q",
                "d",
                "20260702",
            ),
            (
                "logs?scope=accounts/q&dataset=d",
                "logs/x".to_owned(),
                "accounts/q",
                "d",
                "",
            ),
            (
                "a/{zone}/{dataset}\n  b/{zone}/{dataset}",
                in_path("b/z/x"),
                "zones/z",
                "x",
                "20260701",
            ),
        ] {
            let expected = (
                scope.to_owned(),
                dataset.to_owned(),
                day.to_owned(),
                String::new(),
            );
            assert_eq!(found(paths, &key), Some(expected), "{paths} {key}");
        }
    }

    #[test]
    fn a_key_of_another_path_says_nothing() {
        for key in [
            "",
            "x.log.gz",
            "logpush/x.log.gz",
            "logpush/zones/z1/http_requests/x.log.gz",
            "logpush/zones/z1/http_requests/20260702/",
            "logpush/zones/z1/http_requests/20260702/deeper/x.log.gz",
            "logpush/zones/z1/http_requests/2026-07-02/x.log.gz",
            "logpush/zone/z1/http_requests/20260702/x.log.gz",
            "logpush/zones/z 1/http_requests/20260702/x.log.gz",
            "logpush/zones/z1/http requests/20260702/x.log.gz",
            "logpush/zones/z1//20260702/x.log.gz",
            "Logpush/zones/z1/http_requests/20260702/x.log.gz",
            "zones/z1/http_requests/20260702/x.log.gz",
        ] {
            assert_eq!(found(DEFAULT_PATHS, key), None, "{key}");
        }
    }

    #[test]
    fn the_first_path_that_has_a_key_is_the_one_and_says_what_csv_holds() {
        let paths = "a/{zone}/dns_logs?dataset=dns_logs&output_type=csv&fields=A,B&field_delimiter=%09 a/{zone}/{dataset}";
        let csv = found(paths, "a/z/dns_logs/x").unwrap();
        assert_eq!(csv.3, "output_type=csv&fields=A%2CB&field_delimiter=%09");
        let incoming = Incoming::new(ScopeKind::Zone, "dns_logs", &csv.3).unwrap();
        assert_eq!(incoming.csv.unwrap().fields, ["A", "B"]);
        assert_eq!(found(paths, "a/z/http_requests/x").unwrap().3, "");
    }

    #[test]
    fn a_path_that_can_not_be_followed_is_named_with_what_would_be_right() {
        for (text, advice) in [
            ("", "no path"),
            ("a/{dataset}", "zone or account"),
            ("a/{zone}", "dataset"),
            ("a/{zone}/{account}/{dataset}", "zone or account"),
            ("a/{scope}/{dataset}?scope=zones/z", "zone or account"),
            ("a/{scope}/{dataset}?dataset=x", "dataset"),
            ("a/{scope}/{set}", "a hole is one of"),
            ("a/{scope/{dataset}", "a hole is one of"),
            ("a/{zone}-{dataset}", "a hole is one of"),
            ("a/x{scope}/{dataset}", "beside it"),
            ("a//{scope}/{dataset}", "between two slashes"),
            ("/a/{scope}/{dataset}", "between two slashes"),
            ("{scope}/{dataset}", "own objects"),
            ("zones/{zone}/{dataset}", "own objects"),
            ("spool/{zone}/{dataset}", "own objects"),
            ("a/{dataset}?scope=z", "`scope`"),
            ("a/{zone}?dataset=a.b", "`dataset`"),
            ("a/{scope}/{dataset}?tag=x", "behind the ?"),
            ("a/{scope}/{dataset}?output_type=xml", "output_type"),
            ("a/{scope}/{dataset}?fields=A,A", "fields"),
        ] {
            let error = Paths::parse(text).unwrap_err().to_string();
            assert!(error.contains(advice), "{text}: {error}");
            assert!(error.contains(text), "{error}");
        }
    }
}
