//! What a ledger says of what came: by minute or hour, and in all time. Its life: while it counts something the registry
//! has it as open and asks it; an hour after, it tells the registry what it has counted, so that nobody has to ask the
//! ledgers of past days; 31 days after, its rows of a minute become rows of an hour, and a year after, of a day. Their
//! sums stay.

use super::super::registry::{Closing, LedgerRow};
use super::super::{Class, REGISTRY_NAME, call, now_millis, read_json};
use super::{Ledger, PRESENCE_MILLIS};
use crate::health::log::{
    BATCH_BOUNDS_BYTES, HOUR_MILLIS, HOURS_KEPT_MILLIS, Histogram, IngestLog, IngestRow,
    IngestTotals, LogQuery, MINUTE_MILLIS, MINUTES_KEPT_MILLIS, Resolution,
};
use crate::health::tables::{self, Coarser, LEDGER_COARSER};
use crate::ledger::{Recent, WINDOWS_MINUTES};
use crate::runtime::js::sql::params;
use serde::Deserialize;
use std::collections::BTreeMap;
use worker::Result;

/// How long after it last said that it counts something a ledger closes: it would have said so again within
/// [`PRESENCE_MILLIS`].
const CLOSE_AFTER_MILLIS: u64 = PRESENCE_MILLIS + 5 * MINUTE_MILLIS;

/// When the registry is asked again that did not answer.
const CLOSE_AGAIN_MILLIS: u64 = 10 * MINUTE_MILLIS;

/// Minutes of which the sums are kept in memory end so long ago. Batches are committed sooner after they came; if not, the
/// sums are made anew.
const SETTLED_MINUTES: u64 = 15;

#[derive(Deserialize)]
struct Life {
    /// The ledger's own: an alarm is not told.
    name: String,
    last_seen: u64,
    open: u64,
    /// How many minutes a row of what is old has.
    coarse: u64,
}

/// Sums of the minutes before one.
pub(super) struct Settled {
    before_minute: u64,
    totals: IngestTotals,
}

impl Ledger {
    /// `/stats` and others find ledgers through the registry, so the registry has to know this one before it counts
    /// anything.
    pub(super) async fn make_known(&self, scope: &str, dataset: &str, day: &str) -> Result<()> {
        let now = now_millis();
        if now < self.known_until_millis.get() {
            return Ok(());
        }
        let row = LedgerRow {
            name: self.own_name()?,
            scope: scope.to_owned(),
            dataset: dataset.to_owned(),
            day: day.to_owned(),
            first_seen: now,
            last_seen: now,
        };
        let (): () = call(&self.env, Class::Registry, REGISTRY_NAME, "ledger", &row).await?;
        self.sql()?.run(
            "INSERT INTO life (one, name, last_seen, open) VALUES (1, ?1, ?2, 1)
                ON CONFLICT (one) DO UPDATE SET last_seen = max(last_seen, ?2), open = 1, coarse = 1",
            params![&row.name, now],
        )?;
        self.arm_before(now + CLOSE_AFTER_MILLIS).await?;
        self.known_until_millis.set(now + PRESENCE_MILLIS);
        Ok(())
    }

    pub(super) fn own_name(&self) -> Result<String> {
        let name = self.name.borrow().clone();
        name.ok_or_else(|| worker::Error::RustError("the ledger has no name".to_owned()))
    }

    /// Sets the alarm, unless it comes before that time anyway: putting it off with every commit would put it off for ever.
    pub(super) async fn arm_before(&self, at_millis: u64) -> Result<()> {
        let storage = self.state.storage();
        let set = storage.get_alarm().await?;
        if set.is_none_or(|set| set > at_millis as i64) {
            let wait = at_millis.saturating_sub(now_millis()).max(10);
            storage.set_alarm(wait as i64).await?;
        }
        Ok(())
    }

    fn life(&self) -> Result<Option<Life>> {
        self.sql()?
            .first("SELECT name, last_seen, open, coarse FROM life", params![])
    }

    /// Closes this ledger if it has counted nothing for a while, and makes old rows coarser. Returns when there is more to
    /// do, unix milliseconds.
    pub(super) async fn grow_old(&self) -> Result<Option<u64>> {
        let Some(life) = self.life()? else {
            return Ok(None);
        };
        let now = now_millis();
        if life.open == 1 {
            let due = life.last_seen + CLOSE_AFTER_MILLIS;
            if now < due {
                return Ok(Some(due));
            }
            let closing = Closing {
                name: life.name,
                last_seen: life.last_seen,
                totals: self.totals()?,
                event_millis: self.event_millis()?,
            };
            let is_closed: bool = call(
                &self.env,
                Class::Registry,
                REGISTRY_NAME,
                "close-ledger",
                &closing,
            )
            .await?;
            if !is_closed {
                return Ok(Some(now + CLOSE_AGAIN_MILLIS));
            }
            // Unless it has counted something while the registry was asked: then it stays open.
            self.sql()?.run(
                "UPDATE life SET open = 0 WHERE last_seen = ?",
                params![life.last_seen],
            )?;
        }
        let mut coarse = life.coarse;
        for (minutes, kept) in [(60, MINUTES_KEPT_MILLIS), (1440, HOURS_KEPT_MILLIS)] {
            let due = life.last_seen + kept + HOUR_MILLIS;
            if coarse >= minutes {
                continue;
            }
            if now < due {
                return Ok(Some(due));
            }
            let before = (now - kept) / MINUTE_MILLIS / minutes * minutes;
            let sql = self.sql()?;
            sql.atomically(|| {
                for Coarser { add, drop } in LEDGER_COARSER {
                    sql.run(add, params![before, minutes])?;
                    sql.run(drop, params![before, minutes])?;
                }
                sql.run("UPDATE life SET coarse = ?", params![minutes])
            })?;
            self.settled.take();
            coarse = minutes;
        }
        Ok(None)
    }

    /// What came, by minute or hour. An hour that the span cuts comes as its minutes.
    pub(super) fn log(&self, query: &LogQuery) -> Result<IngestLog> {
        let sql = self.sql()?;
        let span = query.span;
        let hours = u64::from(query.resolution == Resolution::Hour);
        let bound = || {
            params![
                span.from_millis,
                span.until_millis,
                hours,
                span.from_millis.div_ceil(MINUTE_MILLIS),
                span.until_millis.div_ceil(MINUTE_MILLIS)
            ]
        };
        let mut rows = BTreeMap::<u64, IngestRow>::new();
        let (found, mut rows_read) = sql.texts(BY_TIME, bound())?;
        for row in found {
            let (
                at_millis,
                batches,
                records,
                bytes,
                bytes_compressed,
                invalid_lines,
                tests,
                duplicates,
            ): (u64, u64, u64, u64, u64, u64, u64, u64) = read_json(&row)?;
            let row = IngestRow {
                at_millis,
                batches,
                records,
                bytes,
                bytes_compressed,
                invalid_lines,
                tests,
                duplicates,
                ..IngestRow::default()
            };
            rows.insert(at_millis, row);
        }
        let (found, read) = sql.texts(INVALID_BY_TIME, bound())?;
        rows_read += read;
        for row in found {
            let (at_millis, reason, count): (u64, String, u64) = read_json(&row)?;
            if let Some(row) = rows.get_mut(&at_millis) {
                row.invalid.insert(reason, count);
            }
        }
        Ok(IngestLog {
            rows: rows.into_values().collect(),
            rows_read,
        })
    }

    /// What came in each of the windows.
    pub(super) fn recent(&self) -> Result<[Recent; WINDOWS_MINUTES.len()]> {
        let [short, medium, long] = WINDOWS_MINUTES;
        let (rows, _) = self.sql()?.texts(
            tables::RECENTLY_CAME,
            params![now_millis() / MINUTE_MILLIS, short, medium, long],
        )?;
        let mut windows = [Recent::default(); WINDOWS_MINUTES.len()];
        for row in rows {
            let row: (usize, u64, u64, u64, u64, u64) = read_json(&row)?;
            // What is in a small window is in the larger ones, too.
            for window in windows.iter_mut().skip(row.0) {
                window.batches += row.1;
                window.records += row.2;
                window.bytes_raw += row.3;
                window.bytes_compressed += row.4;
                window.invalid_lines += row.5;
            }
        }
        Ok(windows)
    }

    /// The minute of the last batch, unix milliseconds.
    pub(super) fn last_batch_millis(&self) -> Result<Option<u64>> {
        #[derive(Deserialize)]
        struct Last {
            minute: u64,
        }
        let last: Option<Last> = self.sql()?.first(
            "SELECT minute FROM minutes WHERE batches > 0 ORDER BY minute DESC LIMIT 1",
            params![],
        )?;
        Ok(last.map(|last| last.minute * MINUTE_MILLIS))
    }

    /// What was asked of a ledger that nobody closes, because its alarm was lost or it is from a time before ledgers did:
    /// it sets the alarm that will.
    pub(super) async fn totals_and_alarm(&self) -> Result<IngestTotals> {
        let now = now_millis();
        if now >= self.known_until_millis.get() {
            self.sql()?.run(
                "INSERT INTO life (one, name, last_seen, open) VALUES (1, ?, ?, 1) ON CONFLICT (one) DO NOTHING",
                params![&self.own_name()?, now],
            )?;
            self.arm_before(now + CLOSE_AFTER_MILLIS).await?;
        }
        self.totals()
    }

    /// What came in all time: the sums of minutes long past are kept in memory, so that asking again reads few rows.
    pub(super) fn totals(&self) -> Result<IngestTotals> {
        let before_minute = (now_millis() / MINUTE_MILLIS).saturating_sub(SETTLED_MINUTES);
        let settled = self.settled.take();
        let mut settled = match settled {
            Some(settled) if settled.before_minute <= before_minute => settled,
            _ => Settled {
                before_minute: 0,
                totals: IngestTotals::default(),
            },
        };
        let more = self.sums(settled.before_minute, before_minute)?;
        settled.totals.add(&more);
        settled.before_minute = before_minute;
        let mut totals = settled.totals.clone();
        self.settled.replace(Some(settled));
        totals.add(&self.sums(before_minute, NEVER)?);
        Ok(totals)
    }

    /// A counter of that minute changes.
    pub(super) fn unsettle(&self, minute: u64) {
        let is_settled = |settled: &Settled| minute < settled.before_minute;
        if self.settled.borrow().as_ref().is_some_and(is_settled) {
            self.settled.take();
        }
    }

    fn sums(&self, from: u64, until: u64) -> Result<IngestTotals> {
        let sql = self.sql()?;
        #[derive(Deserialize)]
        struct Sums {
            batches: u64,
            records: u64,
            bytes: u64,
            bytes_compressed: u64,
            invalid_lines: u64,
            tests: u64,
            duplicates: u64,
            last_minute: Option<u64>,
            sizes: String,
        }
        let sums: Option<Sums> = sql.first(SUMS, params![from, until])?;
        let Some(sums) = sums else {
            return Ok(IngestTotals::default());
        };
        let buckets: Vec<u64> = read_json(&sums.sizes)?;
        #[derive(Deserialize)]
        struct Reason {
            reason: String,
            count: u64,
        }
        let reasons: Vec<Reason> = sql.rows(
            "SELECT reason, sum(count) AS count FROM invalid WHERE minute >= ? AND minute < ? GROUP BY reason",
            params![from, until],
        )?;
        Ok(IngestTotals {
            batches: sums.batches,
            records: sums.records,
            bytes: sums.bytes,
            bytes_compressed: sums.bytes_compressed,
            invalid_lines: sums.invalid_lines,
            invalid: reasons
                .into_iter()
                .map(|row| (row.reason, row.count))
                .collect(),
            tests: sums.tests,
            duplicates: sums.duplicates,
            batch_bytes: Histogram {
                buckets,
                sum: sums.bytes,
            },
            last_batch_millis: sums.last_minute.map(|minute| minute * MINUTE_MILLIS),
        })
    }
}

/// Later than any minute.
const NEVER: u64 = 1 << 40;

/// The column that counts batches of a size.
pub(super) fn size_column(bytes: u64) -> String {
    let bucket = crate::health::log::bucket_of(bytes, &BATCH_BOUNDS_BYTES);
    format!("size_{bucket}")
}

// `at` is the time that a row belongs to: its hour, if hours are asked for (`?3`) and the span from `?1` to `?2` has it
// whole. `?4` and `?5` are the minutes that begin in the span.
const BY_TIME: &str = "SELECT json_array(at, sum(batches), sum(records), sum(bytes_raw), sum(bytes_compressed),
        sum(invalid_lines), sum(tests), sum(duplicates)) AS row FROM (SELECT *, CASE WHEN ?3 = 1
            AND minute / 60 * 3600000 >= ?1 AND (minute / 60 + 1) * 3600000 <= ?2
            THEN minute / 60 * 3600000 ELSE minute * 60000 END AS at FROM minutes WHERE minute >= ?4 AND minute < ?5)
    GROUP BY at";
const INVALID_BY_TIME: &str = "SELECT json_array(at, reason, sum(count)) AS row FROM (SELECT *, CASE WHEN ?3 = 1
            AND minute / 60 * 3600000 >= ?1 AND (minute / 60 + 1) * 3600000 <= ?2
            THEN minute / 60 * 3600000 ELSE minute * 60000 END AS at FROM invalid WHERE minute >= ?4 AND minute < ?5)
    GROUP BY at, reason";
const SUMS: &str = "SELECT coalesce(sum(batches), 0) AS batches, coalesce(sum(records), 0) AS records,
        coalesce(sum(bytes_raw), 0) AS bytes, coalesce(sum(bytes_compressed), 0) AS bytes_compressed,
        coalesce(sum(invalid_lines), 0) AS invalid_lines, coalesce(sum(tests), 0) AS tests,
        coalesce(sum(duplicates), 0) AS duplicates, max(minute) FILTER (WHERE batches > 0) AS last_minute,
        json_array(coalesce(sum(size_0), 0), coalesce(sum(size_1), 0), coalesce(sum(size_2), 0), coalesce(sum(size_3), 0),
        coalesce(sum(size_4), 0), coalesce(sum(size_5), 0), coalesce(sum(size_6), 0), coalesce(sum(size_7), 0),
        coalesce(sum(size_8), 0), coalesce(sum(size_9), 0)) AS sizes FROM minutes WHERE minute >= ?1 AND minute < ?2";
