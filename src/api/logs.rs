//! What asks for archived records: Cloudflare's Logs Engine (`logs/list`, `logs/retrieve`, `logs/rayids`) and Logpull
//! (`logs/received`), over this service's archive. Which call a request line means, with its parameters checked; reading
//! the archive is the runtime's.

use super::ApiError;
use super::jobs::{invalid, read_json};
use super::route::is_dataset;
use crate::ledger::{BatchCursor, BatchRow, EventSpan};
use crate::logpush::catalogue::Dataset;
use crate::logpush::filter::Filter;
use crate::logpush::output_options::OutputOptions;
use crate::logpush::scope::{Scope, ScopeKind};
use crate::route::{Ray, Window, Wish, ray_field};
use crate::time::{self, TimestampFormat, UnixNanos};
use serde_json::{Map, Value, json};

/// Objects of one page of a list: unless asked otherwise, and at most.
const LIST_OBJECTS_MAX: u64 = 1_000;

/// Where the dataset is not said, it is Logpull's only one.
const DEFAULT_DATASET: &str = "http_requests";

/// How far back a RayID is looked for when no `start` is given: as long as Logpull keeps records.
const RAY_DEFAULT_DAYS: i128 = 7;

const SECOND: UnixNanos = 1_000_000_000;
const HOUR: UnixNanos = 3_600 * SECOND;
const DAY: UnixNanos = 24 * HOUR;

/// A call.
#[derive(Clone, Debug)]
pub struct LogsRoute {
    /// The zone or account.
    pub scope: Scope,
    /// What is asked of it.
    pub call: LogsCall,
}

/// What is asked of a zone or account. `{S}` is `/client/v4/zones/{id}` or `/client/v4/accounts/{id}`.
#[derive(Clone, Debug)]
pub enum LogsCall {
    /// `GET {S}/logs/list`
    List {
        /// Which objects.
        objects: Objects,
        /// So many, 1 to 1,000.
        limit: u64,
    },
    /// `GET {S}/logs/retrieve`, and of a zone `GET {S}/logs/received`
    Retrieve(Box<Retrieve>),
    /// `GET {S}/logs/rayids/{ray}`
    Ray {
        /// Which objects may hold it.
        objects: Objects,
        /// Its wish has the RayID.
        wish: Box<Wish>,
    },
    /// `POST {S}/logs/rayids/index`
    IndexRays,
    /// `GET {S}/logs/received/fields`
    ReceivedFields,
}

/// Objects of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objects {
    /// The dataset.
    pub dataset: String,
    /// With records of this time, or that may have some.
    pub window: Window,
    /// Whose name begins with this; `{DATE}` stands for the day in the name.
    pub prefix: Option<String>,
    /// Those behind this place; with [`Cursor::START`] all, and a part of them is as good as all.
    pub after: Option<Cursor>,
}

/// What `retrieve` is asked.
#[derive(Clone, Debug)]
pub struct Retrieve {
    /// Of which objects.
    pub objects: Objects,
    /// Which records, and how they are written out.
    pub wish: Wish,
    /// At most so many.
    pub count: u64,
    /// Say in lines that begin with `#` what was read.
    pub marks: bool,
}

/// A place in the order of a dataset's batches: by day of the ledger, earliest event time, batch id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// `YYYYMMDD`; empty before the first.
    pub day: String,
    /// In that day's ledger; `None` for its beginning.
    pub batch: Option<BatchCursor>,
}

impl Cursor {
    /// Before everything.
    pub const START: Self = Self {
        day: String::new(),
        batch: None,
    };

    /// The place of a batch.
    #[must_use]
    pub fn of(day: &str, batch: BatchCursor) -> Self {
        Self {
            day: day.to_owned(),
            batch: Some(batch),
        }
    }

    /// `20221107.1667839726004.{batch id}`, `20221107` for the beginning of a day, and nothing for [`Self::START`].
    #[must_use]
    pub fn to_text(&self) -> String {
        match &self.batch {
            Some(batch) => format!("{}.{}.{}", self.day, batch.first_millis, batch.batch_id),
            None => self.day.clone(),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let day = parts.next().unwrap_or_default().to_owned();
        let is_digits = day.bytes().all(|b| b.is_ascii_digit());
        if !is_digits || !matches!(day.len(), 0 | 8) {
            return None;
        }
        let Some(first) = parts.next() else {
            return Some(Self { day, batch: None });
        };
        let batch_id = parts.next()?.to_owned();
        let is_hex = !batch_id.is_empty() && batch_id.bytes().all(|b| b.is_ascii_hexdigit());
        let batch = BatchCursor {
            first_millis: first.parse().ok()?,
            batch_id,
        };
        let is_one = day.len() == 8 && is_hex && parts.next().is_none();
        is_one.then_some(Self {
            day,
            batch: Some(batch),
        })
    }
}

impl Objects {
    /// The range as ledgers know it.
    #[must_use]
    pub fn span(&self) -> EventSpan {
        let millis = |at: UnixNanos| i64::try_from(at).unwrap_or(i64::MAX);
        let Window { from, until } = self.window;
        EventSpan {
            from_millis: millis(from.div_euclid(1_000_000)),
            until_millis: millis(
                until.div_euclid(1_000_000) + i128::from(until.rem_euclid(1_000_000) > 0),
            ),
        }
    }

    /// Whether the prefix lets an object of this day in. It is meant from the beginning of the name, or from the dataset
    /// in it on.
    #[must_use]
    pub fn takes(&self, object: &str, day: &str, scope: &Scope) -> bool {
        let Some(prefix) = &self.prefix else {
            return true;
        };
        let prefix = prefix.replace("{DATE}", day);
        let inside = object.strip_prefix(&format!("{scope}/"));
        object.starts_with(&prefix) || inside.is_some_and(|inside| inside.starts_with(&prefix))
    }
}

impl LogsRoute {
    /// Reads method, path and query of a request; `None` when the path is none of these at all.
    ///
    /// # Errors
    /// As [`super::Route::parse`]; [`ApiError::InvalidInput`] for a parameter that can not be followed.
    pub fn parse(
        method: &str,
        path: &str,
        query: &[(String, String)],
        now: UnixNanos,
    ) -> Option<Result<Self, ApiError>> {
        let path = path.strip_prefix("/client/v4/")?;
        let segments: Vec<&str> = path.split('/').collect();
        let [kind, id, "logs", rest @ ..] = segments.as_slice() else {
            return None;
        };
        let scope = Scope::new(ScopeKind::from_path(kind)?, *id).ok()?;
        let call = call(method, rest, &scope, &Query { pairs: query, now });
        Some(call.map(|call| Self { scope, call }))
    }

    /// Which objects the body of [`LogsCall::IndexRays`] means.
    ///
    /// # Errors
    /// [`ApiError::InvalidInput`] for a member that can not be followed.
    pub fn indexed(scope: &Scope, body: &[u8]) -> Result<Objects, ApiError> {
        let body = read_json(body)?;
        let members = body.as_object().into_iter().flatten();
        let text = |value: &Value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        };
        let pairs: Vec<(String, String)> = members
            .map(|(name, value)| (name.clone(), text(value)))
            .collect();
        let query = Query {
            pairs: &pairs,
            now: 0,
        };
        query.only(&["start", "end", "dataset", "prefix", "cursor", "bucket"])?;
        let objects = query.objects(scope, query.window()?)?;
        let schema = Dataset::find(scope.kind(), &objects.dataset);
        match ray_field(schema.as_ref()) {
            Some((_, false)) => Ok(objects),
            _ => Err(invalid(
                "dataset",
                "has no field RayID whose bounds could be noted",
            )),
        }
    }
}

impl LogsCall {
    /// Whether a read token is not enough. At Cloudflare the permission *Logs Read* is enough for all that reads.
    #[must_use]
    pub fn needs_write(&self) -> bool {
        matches!(self, Self::IndexRays)
    }
}

fn call(
    method: &str,
    path: &[&str],
    scope: &Scope,
    query: &Query<'_>,
) -> Result<LogsCall, ApiError> {
    let not_allowed = |allowed| Err(ApiError::MethodNotAllowed { allowed });
    match (path, method) {
        (["list"], "GET") => query.list(scope),
        (["retrieve"], "GET") => query.retrieve(scope),
        (["rayids", "index"], "POST") => Ok(LogsCall::IndexRays),
        (["rayids", "index"], _) => not_allowed("POST"),
        (["rayids", ray], "GET") => query.ray(scope, ray),
        (["received"], "GET") if scope.kind() == ScopeKind::Zone => query.received(scope),
        (["received", "fields"], "GET") if scope.kind() == ScopeKind::Zone => {
            Ok(LogsCall::ReceivedFields)
        }
        (["received"] | ["received", "fields"], _) if scope.kind() == ScopeKind::Account => {
            Err(ApiError::NoRoute)
        }
        (["list"] | ["retrieve"] | ["rayids", _] | ["received"] | ["received", "fields"], _) => {
            not_allowed("GET")
        }
        (["control", ..], _) => Err(ApiError::NotOffered {
            what: "logs/control: every record is kept",
        }),
        (["explorer", ..], _) => Err(ApiError::NotOffered {
            what: "Log Explorer (logs/explorer)",
        }),
        _ => Err(ApiError::NoRoute),
    }
}

/// The fields of `http_requests`, as Logpull lists them: an object and no envelope.
#[must_use]
pub fn received_fields() -> Value {
    let schema = Dataset::find(ScopeKind::Zone, DEFAULT_DATASET);
    let fields = schema.iter().flat_map(|schema| &schema.fields);
    let listed: Map<String, Value> = fields
        .map(|(name, field)| (name.clone(), field.summary().into()))
        .collect();
    listed.into()
}

/// An object of a list, as the API shows it. `start` and `end` are its earliest and latest event time.
#[must_use]
pub fn listed(row: &BatchRow) -> Value {
    let rfc3339 = |millis: i64| time::rfc3339(i128::from(millis) * 1_000_000);
    let (start, end) = row.event_millis.unzip();
    json!({
        "name": row.object,
        "size": row.object_bytes,
        "start": start.map(rfc3339),
        "end": end.map(rfc3339),
        "records": row.records,
        "bytes": row.bytes_raw,
        "invalid_lines": row.invalid_lines,
        "received": time::rfc3339_millis(row.received_at_millis),
        "batch_id": row.batch_id,
        "expired": row.expired,
    })
}

/// Whether an `Accept-Encoding` takes gzip.
#[must_use]
pub fn accepts_gzip(header: &str) -> bool {
    let mut codings = header.split(',').map(|coding| {
        let (name, rest) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = rest.trim().strip_prefix("q=").map(str::trim);
        let is_refused = weight.is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0));
        (name.trim(), !is_refused)
    });
    codings.any(|(name, is_taken)| is_taken && (name.eq_ignore_ascii_case("gzip") || name == "*"))
}

struct Query<'q> {
    pairs: &'q [(String, String)],
    now: UnixNanos,
}

impl Query<'_> {
    /// A parameter; an empty one is none.
    fn text(&self, name: &str) -> Option<&str> {
        self.raw(name)
            .map(str::trim)
            .filter(|text| !text.is_empty())
    }

    fn raw(&self, name: &str) -> Option<&str> {
        let mut found = self.pairs.iter().filter(|(known, _)| known == name);
        found.next_back().map(|(_, value)| value.as_str())
    }

    /// A misspelt parameter would be answered with records that were not asked for.
    fn only(&self, known: &[&str]) -> Result<(), ApiError> {
        let stray = self.pairs.iter().map(|(name, _)| name.as_str());
        match stray.into_iter().find(|name| !known.contains(name)) {
            // Not the name as it came: it may be anything.
            Some(_) => Err(ApiError::InvalidInput(format!(
                "there is a parameter that is not known; this call takes {}",
                known.join(", ")
            ))),
            None => Ok(()),
        }
    }

    fn instant(&self, name: &str) -> Result<Option<UnixNanos>, ApiError> {
        let read = |text: &str| {
            time::instant_from_str(text).ok_or_else(|| {
                invalid(
                    name,
                    "must be a time: RFC 3339 such as 2022-06-06T16:00:00Z (a + in it is written %2B), or unix seconds",
                )
            })
        };
        self.text(name).map(read).transpose()
    }

    fn window(&self) -> Result<Window, ApiError> {
        let required = |name: &str| {
            self.instant(name)?
                .ok_or_else(|| invalid(name, "is missing"))
        };
        ordered(required("start")?, required("end")?)
    }

    fn number(&self, name: &str, most: u64) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let number = text.parse().ok().filter(|n| (1..=most).contains(n));
        number
            .map(Some)
            .ok_or_else(|| invalid(name, &format!("must be a number from 1 to {most}")))
    }

    fn objects(&self, scope: &Scope, window: Window) -> Result<Objects, ApiError> {
        let prefix = self
            .text("prefix")
            .map(|prefix| prefix.trim_start_matches('/'));
        let in_prefix = prefix.and_then(|prefix| {
            let inside = prefix.strip_prefix(&format!("{scope}/")).unwrap_or(prefix);
            // A name that may go on is no name yet.
            inside.split_once('/').map(|(dataset, _)| dataset)
        });
        let dataset = match self.text("dataset").or(in_prefix) {
            Some(dataset) if is_dataset(dataset) => dataset,
            Some(_) => return Err(invalid("dataset", "is the name of no dataset")),
            None => {
                return Err(invalid(
                    "dataset",
                    "is missing; say which, such as dataset=http_requests",
                ));
            }
        };
        let after = self.raw("cursor").map(|text| {
            Cursor::parse(text.trim())
                .ok_or_else(|| invalid("cursor", "is none that this service gave"))
        });
        Ok(Objects {
            dataset: dataset.to_owned(),
            window,
            prefix: prefix.map(str::to_owned),
            after: after.transpose()?,
        })
    }

    /// `fields`, `timestamps`, `sample` and `CVE-2021-44228`, which are those of `logpull_options`.
    fn options(&self, schema: Option<&Dataset>) -> Result<OutputOptions, ApiError> {
        let mut options = url::form_urlencoded::Serializer::new(String::new());
        let names = ["fields", "timestamps", "sample", "CVE-2021-44228"];
        for (name, value) in self.pairs {
            if names.contains(&name.as_str()) {
                options.append_pair(name, value);
            }
        }
        let wrong = |e: &dyn std::fmt::Display| ApiError::InvalidInput(e.to_string());
        let read = OutputOptions::from_logpull(&options.finish()).map_err(|e| wrong(&e))?;
        if let Some(schema) = schema {
            read.check_logpull_fields(schema).map_err(|e| wrong(&e))?;
        }
        Ok(read)
    }

    /// `where`: a filter as a job has it, with or without its outermost `{"where": …}`.
    fn filter(&self, schema: Option<&Dataset>) -> Result<Option<Filter>, ApiError> {
        let Some(text) = self.text("where") else {
            return Ok(None);
        };
        let is_bare = serde_json::from_str::<Map<String, Value>>(text)
            .is_ok_and(|object| !object.contains_key("where"));
        let whole = if is_bare {
            format!("{{\"where\":{text}}}")
        } else {
            text.to_owned()
        };
        Filter::parse(&whole, schema)
            .map(Some)
            .map_err(|e| invalid(&e.place, &e.message))
    }

    fn flag(&self, name: &str) -> Result<bool, ApiError> {
        let Some(text) = self.text(name) else {
            return Ok(false);
        };
        text.parse()
            .map_err(|_| invalid(name, "must be true or false"))
    }

    fn list(&self, scope: &Scope) -> Result<LogsCall, ApiError> {
        self.only(&[
            "start", "end", "dataset", "prefix", "limit", "cursor", "bucket",
        ])?;
        Ok(LogsCall::List {
            objects: self.objects(scope, self.window()?)?,
            limit: self
                .number("limit", LIST_OBJECTS_MAX)?
                .unwrap_or(LIST_OBJECTS_MAX),
        })
    }

    fn retrieve(&self, scope: &Scope) -> Result<LogsCall, ApiError> {
        self.only(&[
            "start",
            "end",
            "dataset",
            "prefix",
            "where",
            "fields",
            "timestamps",
            "count",
            "sample",
            "CVE-2021-44228",
            "cursor",
            "marks",
            "bucket",
        ])?;
        let objects = self.objects(scope, self.window()?)?;
        let schema = Dataset::find(scope.kind(), &objects.dataset);
        Ok(LogsCall::Retrieve(Box::new(Retrieve {
            wish: Wish {
                window: Some(objects.window),
                ray: None,
                filter: self.filter(schema.as_ref())?,
                options: self.options(schema.as_ref())?,
            },
            count: self.number("count", u64::MAX)?.unwrap_or(u64::MAX),
            marks: self.flag("marks")?,
            objects,
        })))
    }

    /// Logpull, with its own bounds (Cloudflare docs, Logpull, requesting logs).
    fn received(&self, scope: &Scope) -> Result<LogsCall, ApiError> {
        self.only(&[
            "start",
            "end",
            "count",
            "sample",
            "fields",
            "timestamps",
            "CVE-2021-44228",
        ])?;
        let window = self.window()?;
        let Window { from, until } = window;
        if until - from > HOUR {
            return Err(invalid(
                "end",
                "must be at most one hour after start; logs/retrieve takes any range",
            ));
        }
        if from < self.now - 7 * DAY {
            return Err(invalid(
                "start",
                "must be at most 7 days ago; logs/retrieve takes any time",
            ));
        }
        if until > self.now - 60 * SECOND {
            return Err(invalid("end", "must be at least one minute ago"));
        }
        let schema = Dataset::find(scope.kind(), DEFAULT_DATASET);
        let mut options = self.options(schema.as_ref())?;
        options
            .timestamp_format
            .get_or_insert(TimestampFormat::UnixNano);
        Ok(LogsCall::Retrieve(Box::new(Retrieve {
            objects: Objects {
                dataset: DEFAULT_DATASET.to_owned(),
                window,
                prefix: None,
                after: None,
            },
            wish: Wish {
                window: Some(window),
                options,
                ..Wish::default()
            },
            count: self.number("count", u64::MAX)?.unwrap_or(u64::MAX),
            marks: false,
        })))
    }

    fn ray(&self, scope: &Scope, ray: &str) -> Result<LogsCall, ApiError> {
        self.only(&[
            "start",
            "end",
            "dataset",
            "prefix",
            "fields",
            "timestamps",
            "bucket",
        ])?;
        let ray = Ray::parse(ray).ok_or_else(|| {
            invalid("RayID", "has 16 hexadecimal digits, and may have its data centre behind it: 49ddb3e70e665831-DFW")
        })?;
        let end = self.instant("end")?;
        // Clocks differ, and the record may have just come.
        let until = end.unwrap_or(self.now + HOUR);
        let from = self.instant("start")?;
        let from = from.unwrap_or(until - RAY_DEFAULT_DAYS * DAY);
        let window = ordered(from, until)?;
        let has_none = self.text("dataset").is_none() && self.text("prefix").is_none();
        let objects = if has_none {
            Objects {
                dataset: DEFAULT_DATASET.to_owned(),
                window,
                prefix: None,
                after: None,
            }
        } else {
            self.objects(scope, window)?
        };
        let schema = Dataset::find(scope.kind(), &objects.dataset);
        if ray_field(schema.as_ref()).is_none() {
            return Err(invalid("dataset", "has no RayID"));
        }
        let wish = Wish {
            window: Some(window),
            ray: Some(ray),
            filter: None,
            options: self.options(schema.as_ref())?,
        };
        Ok(LogsCall::Ray {
            objects,
            wish: Box::new(wish),
        })
    }
}

fn ordered(from: UnixNanos, until: UnixNanos) -> Result<Window, ApiError> {
    if from < until {
        Ok(Window { from, until })
    } else {
        Err(invalid("end", "must be later than start"))
    }
}

#[cfg(test)]
#[path = "tests/logs.rs"]
mod tests;
