//! Policies, webhooks, and what has to be told to whom. One object for the deployment.
//!
//! State: `policies` and `webhooks` (the API's), `occurrences` (what was raised; a second time changes nothing), `alerts`
//! (what began, and whether it ended), `deliveries` (one row for each occurrence and recipient, until it is old), `sent`
//! (when a policy last told of the same), `history`, `totals` (one row) and `datasets` (what the detectors know).
//! Called by the API, by whoever raises, by the cron trigger and by `/stats`. An eviction loses nothing. The alarm
//! delivers. A raise is durable when it is answered: rows and alarm are written in one synchronous stretch.

mod look;

use super::{answer, now_millis, question, read_json};
use crate::alerting::delivery::{self, Next, Outcome};
use crate::alerting::{AlertEvent, Occurrence, Policy, Webhook};
use crate::api::{HistoryPage, HistoryQuery};
use crate::health::alerts::{AlertsSummary, DeliveryError, OpenAlert};
use crate::runtime::js::sql::{Database, Sql, params};
use crate::runtime::{alerts, js};
use crate::time;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use worker::{DurableObject, Env, Request, Response, Result, State, durable_object, wasm_bindgen};

/// Brought up to date one by one; never edited, only added to.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE policies (id TEXT PRIMARY KEY, account TEXT NOT NULL, created_at INTEGER NOT NULL, body TEXT NOT NULL);
    CREATE TABLE webhooks (id TEXT PRIMARY KEY, account TEXT NOT NULL, created_at INTEGER NOT NULL, body TEXT NOT NULL,
        last_success TEXT, last_failure TEXT);
    CREATE TABLE occurrences (id TEXT PRIMARY KEY, raised_at INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE alerts (correlation TEXT PRIMARY KEY, since INTEGER NOT NULL, ended_at INTEGER, body TEXT NOT NULL)
        WITHOUT ROWID;
    CREATE INDEX alerts_open ON alerts (since) WHERE ended_at IS NULL;
    CREATE TABLE deliveries (seq INTEGER PRIMARY KEY AUTOINCREMENT, correlation TEXT NOT NULL, policy TEXT NOT NULL,
        mechanism TEXT NOT NULL, target TEXT NOT NULL, body TEXT NOT NULL, raised_at INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0, next_at INTEGER NOT NULL, state TEXT NOT NULL DEFAULT 'pending');
    CREATE INDEX deliveries_pending ON deliveries (next_at) WHERE state = 'pending';
    CREATE INDEX deliveries_by_alert ON deliveries (correlation);
    CREATE TABLE sent (policy TEXT NOT NULL, about TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (policy, about))
        WITHOUT ROWID;
    CREATE TABLE history (id TEXT PRIMARY KEY, account TEXT NOT NULL, sent_at INTEGER NOT NULL, body TEXT NOT NULL);
    CREATE INDEX history_by_time ON history (account, sent_at);
    CREATE TABLE totals (one INTEGER PRIMARY KEY CHECK (one = 1), delivered INTEGER NOT NULL, failed INTEGER NOT NULL,
        undelivered INTEGER NOT NULL, last_error TEXT, last_error_at INTEGER);
    INSERT INTO totals (one, delivered, failed, undelivered) VALUES (1, 0, 0, 0);
    CREATE TABLE datasets (scope TEXT NOT NULL, dataset TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (scope, dataset))
        WITHOUT ROWID;
"];

/// Deliveries that may be tried: nothing of the same alert waits before them, so an end never overtakes its beginning.
const READY: &str = "d.state = 'pending' AND NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.correlation = d.correlation
    AND e.policy = d.policy AND e.mechanism = d.mechanism AND e.target = d.target AND e.state = 'pending'
    AND e.seq < d.seq)";

/// Deliveries tried at once. The runtime opens six connections at a time (Workers limits page).
const AT_ONCE: u64 = 6;

/// When the alarm comes again if it dies: after the deadline of an attempt.
const GUARD_MILLIS: i64 = 30_000;

/// When a delivery is looked at again that could not be read: a deployment may know its form by then.
const UNREADABLE_MILLIS: u64 = 10 * 60_000;

/// Open alerts that `/stats` lists; it counts all.
const OPEN_LISTED: usize = 100;

/// What belongs to an account.
#[derive(Debug, Serialize, Deserialize)]
pub struct OfAccount {
    /// The account's id.
    pub account: String,
}

/// A page of an account's history.
#[derive(Debug, Serialize, Deserialize)]
pub struct OfHistory {
    /// The account's id.
    pub account: String,
    /// Which part.
    pub query: HistoryQuery,
}

/// See the module.
#[durable_object(alarm)]
pub struct Alerts {
    state: State,
    env: Env,
    database: Database,
}

impl DurableObject for Alerts {
    fn new(state: State, env: Env) -> Self {
        Self {
            database: Database::open(&state, MIGRATIONS),
            state,
            env,
        }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        macro_rules! asked {
            ($work:expr) => {
                match question(&mut request).await {
                    Ok((asked, _)) => answer($work(asked)),
                    Err(e) => answer::<()>(Err(e)),
                }
            };
        }
        match request.path().as_str() {
            "/raise" => match question::<Occurrence>(&mut request).await {
                Ok((occurrence, _)) => answer(self.raise(&occurrence).await),
                Err(e) => answer::<()>(Err(e)),
            },
            "/look" => answer(self.look().await),
            "/policies" => asked!(|of: OfAccount| self.policies(Some(&of.account))),
            "/put_policy" => asked!(|policy| self.put_policy(&policy)),
            "/delete_policy" => asked!(|id: String| self.delete_policy(&id)),
            "/webhooks" => asked!(|of: OfAccount| self.webhooks(Some(&of.account), None)),
            "/put_webhook" => match question(&mut request).await {
                Ok((webhook, _)) => answer(self.put_webhook(&webhook).await),
                Err(e) => answer::<()>(Err(e)),
            },
            "/delete_webhook" => asked!(|id: String| self.delete_webhook(&id)),
            "/history" => asked!(|of: OfHistory| self.history(&of)),
            "/summary" => answer(self.summary()),
            _ => Response::error("no such operation", 404),
        }
    }

    async fn alarm(&self) -> Result<Response> {
        // Before the work, so that dying in the middle of it only delays the rest.
        self.state.storage().set_alarm(GUARD_MILLIS).await?;
        match self.deliver().await {
            Ok(()) => self.arm().await?,
            Err(e) => worker::console_error!("alerts: {e}"),
        }
        Response::empty()
    }
}

#[derive(Deserialize)]
struct Body {
    body: String,
}

#[derive(Deserialize)]
struct WebhookRow {
    body: String,
    last_success: Option<String>,
    last_failure: Option<String>,
}

#[derive(Deserialize)]
struct Delivery {
    seq: u64,
    policy: String,
    mechanism: String,
    target: String,
    body: String,
    raised_at: u64,
    attempts: u32,
}

#[derive(Deserialize)]
struct Number {
    n: Option<u64>,
}

#[derive(Deserialize)]
struct Recipient {
    policy: String,
    mechanism: String,
    target: String,
}

impl Alerts {
    fn sql(&self) -> Result<&Sql> {
        self.database.get()
    }

    fn number(&self, query: &str, params: Vec<wasm_bindgen::JsValue>) -> Result<Option<u64>> {
        let row: Option<Number> = self.sql()?.first(query, params)?;
        Ok(row.and_then(|row| row.n))
    }

    /// Sets the alarm for what is to be tried next.
    async fn arm(&self) -> Result<()> {
        let next = format!("SELECT min(next_at) AS n FROM deliveries d WHERE {READY}");
        match self.number(&next, params![])? {
            Some(at) => {
                let wait = at.saturating_sub(now_millis()).max(1);
                self.state.storage().set_alarm(wait as i64).await
            }
            None => self.state.storage().delete_alarm().await,
        }
    }

    async fn raise(&self, occurrence: &Occurrence) -> Result<()> {
        self.sql()?.atomically(|| self.write(occurrence))?;
        // Also for one that is known: its first raise may have died before this line.
        self.arm().await
    }

    fn write(&self, occurrence: &Occurrence) -> Result<()> {
        let sql = self.sql()?;
        let now = now_millis();
        let known = sql.objects(
            "SELECT 1 FROM occurrences WHERE id = ?",
            params![&occurrence.id],
        )?;
        if known.length() > 0 {
            return Ok(());
        }
        sql.run(
            "INSERT INTO occurrences (id, raised_at) VALUES (?, ?)",
            params![&occurrence.id, now],
        )?;
        let correlation = &occurrence.correlation_id;
        let body = serde_json::to_string(occurrence)?;
        let is_over = sql.objects(
            "SELECT 1 FROM alerts WHERE correlation = ? AND ended_at IS NOT NULL",
            params![correlation],
        )?;
        if is_over.length() > 0 {
            return Ok(());
        }
        let recipients = match occurrence.event {
            AlertEvent::Start => {
                sql.run(
                    "INSERT INTO alerts (correlation, since, body) VALUES (?, ?, ?)
                        ON CONFLICT (correlation) DO UPDATE SET body = excluded.body",
                    params![correlation, occurrence.since_millis, &body],
                )?;
                self.recipients(occurrence, now)?
            }
            AlertEvent::End => {
                sql.run(
                    "UPDATE alerts SET ended_at = ? WHERE correlation = ?",
                    params![now, correlation],
                )?;
                // To whom its beginning went, or is still on its way.
                sql.rows(
                    "SELECT DISTINCT policy, mechanism, target FROM deliveries
                        WHERE correlation = ? AND state IN ('pending', 'delivered')",
                    params![correlation],
                )?
            }
        };
        for to in recipients {
            sql.run(
                "INSERT INTO deliveries (correlation, policy, mechanism, target, body, raised_at, next_at)
                    VALUES (?, ?, ?, ?, ?, ?, ?)",
                params![correlation, &to.policy, &to.mechanism, &to.target, &body, now, now],
            )?;
        }
        Ok(())
    }

    /// Who is told of a beginning now.
    fn recipients(&self, occurrence: &Occurrence, now: u64) -> Result<Vec<Recipient>> {
        let about = occurrence.repeat_key();
        let mut recipients = Vec::new();
        for policy in self.policies(None)? {
            if !policy.wants(occurrence) {
                continue;
            }
            let last = self.number(
                "SELECT at AS n FROM sent WHERE policy = ? AND about = ?",
                params![&policy.id, &about],
            )?;
            if !policy.may_repeat(last, now) {
                continue;
            }
            self.sql()?.run(
                "INSERT INTO sent (policy, about, at) VALUES (?, ?, ?)
                    ON CONFLICT (policy, about) DO UPDATE SET at = excluded.at",
                params![&policy.id, &about, now],
            )?;
            let webhooks = policy
                .mechanisms
                .webhooks
                .into_iter()
                .map(|id| ("webhook", id));
            let email = policy.mechanisms.email.into_iter().map(|id| ("email", id));
            recipients.extend(webhooks.chain(email).map(|(mechanism, target)| Recipient {
                policy: policy.id.clone(),
                mechanism: mechanism.to_owned(),
                target,
            }));
        }
        Ok(recipients)
    }

    async fn deliver(&self) -> Result<()> {
        let due = format!(
            "SELECT d.seq, d.policy, d.mechanism, d.target, d.body, d.raised_at, d.attempts FROM deliveries d
                WHERE {READY} AND d.next_at <= ? ORDER BY d.next_at, d.seq LIMIT ?"
        );
        let due: Vec<Delivery> = self.sql()?.rows(&due, params![now_millis(), AT_ONCE])?;
        let attempts = due
            .iter()
            .map(async |delivery| (delivery, self.attempt(delivery).await));
        for (delivery, outcome) in join_all(attempts).await {
            let (policy, outcome) = match outcome {
                Ok(attempted) => attempted,
                // A row that can not be read must not stop the others.
                Err(e) => {
                    worker::console_error!("delivery {}: {e}", delivery.seq);
                    let later = now_millis() + UNREADABLE_MILLIS;
                    self.sql()?.run(
                        "UPDATE deliveries SET next_at = ? WHERE seq = ?",
                        params![later, delivery.seq],
                    )?;
                    continue;
                }
            };
            self.sql()?
                .atomically(|| self.attempted(delivery, policy.as_ref(), &outcome))?;
        }
        Ok(())
    }

    async fn attempt(&self, delivery: &Delivery) -> Result<(Option<Policy>, Outcome)> {
        let policy: Option<Body> = self.sql()?.first(
            "SELECT body FROM policies WHERE id = ?",
            params![&delivery.policy],
        )?;
        let policy: Policy = match policy {
            Some(row) => read_json(&row.body)?,
            // It was deleted, and what it had not told yet with it.
            None => return Ok((None, Outcome::Taken)),
        };
        let occurrence: Occurrence = read_json(&delivery.body)?;
        let outcome = if delivery.mechanism == "email" {
            alerts::send_email(&self.env, &policy, &occurrence, &delivery.target).await
        } else {
            match self.webhooks(None, Some(&delivery.target))?.first() {
                Some(webhook) => alerts::post_alert(&self.env, webhook, &policy, &occurrence).await,
                None => return Ok((None, Outcome::Taken)),
            }
        };
        Ok((Some(policy), outcome))
    }

    fn attempted(
        &self,
        delivery: &Delivery,
        policy: Option<&Policy>,
        outcome: &Outcome,
    ) -> Result<()> {
        let sql = self.sql()?;
        let Some(policy) = policy else {
            return sql.run(
                "DELETE FROM deliveries WHERE seq = ?",
                params![delivery.seq],
            );
        };
        let (now, attempts) = (now_millis(), delivery.attempts + 1);
        let next = delivery::after(
            outcome,
            attempts,
            delivery.raised_at,
            now,
            js_sys::Math::random(),
        );
        if let Outcome::Failed { reason, .. } = outcome {
            let error = format!("{} {}: {reason}", delivery.mechanism, delivery.target);
            sql.run(
                "UPDATE totals SET failed = failed + 1, last_error = ?, last_error_at = ?",
                params![&error, now],
            )?;
        }
        if delivery.mechanism == "webhook" {
            let column = match outcome {
                Outcome::Taken => "last_success",
                Outcome::Failed { .. } => "last_failure",
            };
            sql.run(
                &format!("UPDATE webhooks SET {column} = ? WHERE id = ?"),
                params![&time::rfc3339_millis(now), &delivery.target],
            )?;
        }
        let (state, next_at) = match next {
            Next::RetryAt(at) => ("pending", at),
            Next::Delivered => ("delivered", now),
            Next::GiveUp => ("undelivered", now),
        };
        sql.run(
            "UPDATE deliveries SET attempts = ?, next_at = ?, state = ? WHERE seq = ?",
            params![attempts, next_at, state, delivery.seq],
        )?;
        match next {
            Next::RetryAt(_) => Ok(()),
            Next::GiveUp => sql.run("UPDATE totals SET undelivered = undelivered + 1", params![]),
            Next::Delivered => {
                sql.run("UPDATE totals SET delivered = delivered + 1", params![])?;
                self.write_history(delivery, policy, now)
            }
        }
    }

    fn write_history(&self, delivery: &Delivery, policy: &Policy, now: u64) -> Result<()> {
        let occurrence: Occurrence = read_json(&delivery.body)?;
        let id = js::unique_name().replace('-', "");
        let record = json!({
            "id": id,
            "name": policy.name,
            "description": policy.description,
            "alert_type": occurrence.alert_type,
            "alert_body": occurrence.text(),
            "alert_correlation_id": occurrence.correlation_id,
            "alert_event": occurrence.event,
            "mechanism": delivery.target,
            "mechanism_type": delivery.mechanism,
            "policy_id": policy.id,
            "sent": time::rfc3339_millis(now),
        });
        self.sql()?.run(
            "INSERT INTO history (id, account, sent_at, body) VALUES (?, ?, ?, ?)",
            params![&id, &policy.account, now, &record.to_string()],
        )
    }

    fn policies(&self, account: Option<&str>) -> Result<Vec<Policy>> {
        let rows: Vec<Body> = self.sql()?.rows(
            "SELECT body FROM policies WHERE ?1 IS NULL OR account = ?1 ORDER BY created_at, id",
            params![account],
        )?;
        rows.iter().map(|row| read_json(&row.body)).collect()
    }

    fn put_policy(&self, policy: &Policy) -> Result<()> {
        self.sql()?.run(
            "INSERT INTO policies (id, account, created_at, body) VALUES (?, ?, ?, ?)
                ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            params![
                &policy.id,
                &policy.account,
                now_millis(),
                &serde_json::to_string(policy)?
            ],
        )
    }

    fn delete_policy(&self, id: &str) -> Result<()> {
        let sql = self.sql()?;
        sql.atomically(|| {
            sql.run("DELETE FROM policies WHERE id = ?", params![id])?;
            sql.run("DELETE FROM sent WHERE policy = ?", params![id])?;
            sql.run(
                "DELETE FROM deliveries WHERE policy = ? AND state = 'pending'",
                params![id],
            )
        })
    }

    fn webhooks(&self, account: Option<&str>, id: Option<&str>) -> Result<Vec<Webhook>> {
        let rows: Vec<WebhookRow> = self.sql()?.rows(
            "SELECT body, last_success, last_failure FROM webhooks WHERE (?1 IS NULL OR account = ?1)
                AND (?2 IS NULL OR id = ?2) ORDER BY created_at, id",
            params![account, id],
        )?;
        rows.into_iter()
            .map(|row| {
                let webhook: Webhook = read_json(&row.body)?;
                Ok(Webhook {
                    last_success: row.last_success,
                    last_failure: row.last_failure,
                    ..webhook
                })
            })
            .collect()
    }

    /// What waits for a webhook that was mended is tried at once.
    async fn put_webhook(&self, webhook: &Webhook) -> Result<()> {
        let (sql, now) = (self.sql()?, now_millis());
        sql.atomically(|| {
            sql.run(
                "INSERT INTO webhooks (id, account, created_at, body, last_success) VALUES (?, ?, ?, ?, ?)
                    ON CONFLICT (id) DO UPDATE SET body = excluded.body, last_success = excluded.last_success",
                params![
                    &webhook.id,
                    &webhook.account,
                    now,
                    &serde_json::to_string(webhook)?,
                    webhook.last_success.as_deref()
                ],
            )?;
            sql.run(
                "UPDATE deliveries SET next_at = ? WHERE target = ? AND state = 'pending'",
                params![now, &webhook.id],
            )
        })?;
        self.arm().await
    }

    fn delete_webhook(&self, id: &str) -> Result<()> {
        let sql = self.sql()?;
        sql.atomically(|| {
            sql.run("DELETE FROM webhooks WHERE id = ?", params![id])?;
            sql.run(
                "DELETE FROM deliveries WHERE target = ? AND state = 'pending'",
                params![id],
            )
        })
    }

    fn history(&self, of: &OfHistory) -> Result<HistoryPage> {
        let query = &of.query;
        let (since, before) = (query.since_millis, query.before_millis);
        let rows: Vec<Body> = self.sql()?.rows(
            "SELECT body FROM history WHERE account = ? AND sent_at > ? AND sent_at < ?
                ORDER BY sent_at DESC, id LIMIT ? OFFSET ?",
            params![
                &of.account,
                since,
                before,
                query.per_page,
                (query.page - 1) * query.per_page
            ],
        )?;
        let total = self.number(
            "SELECT count(*) AS n FROM history WHERE account = ? AND sent_at > ? AND sent_at < ?",
            params![&of.account, since, before],
        )?;
        let records: Result<Vec<Value>> = rows.iter().map(|row| read_json(&row.body)).collect();
        Ok(HistoryPage {
            records: records?,
            total: total.unwrap_or_default(),
        })
    }

    fn open(&self) -> Result<Vec<Occurrence>> {
        let rows: Vec<Body> = self.sql()?.rows(
            "SELECT body FROM alerts WHERE ended_at IS NULL ORDER BY since, correlation",
            params![],
        )?;
        rows.iter().map(|row| read_json(&row.body)).collect()
    }

    fn summary(&self) -> Result<AlertsSummary> {
        #[derive(Deserialize)]
        struct Totals {
            delivered: u64,
            failed: u64,
            undelivered: u64,
            last_error: Option<String>,
            last_error_at: Option<u64>,
        }
        #[derive(Deserialize)]
        struct Pending {
            pending: u64,
            oldest: Option<u64>,
        }
        let sql = self.sql()?;
        let totals: Option<Totals> = sql.first("SELECT * FROM totals", params![])?;
        let pending: Option<Pending> = sql.first(
            "SELECT count(*) AS pending, min(raised_at) AS oldest FROM deliveries WHERE state = 'pending'",
            params![],
        )?;
        let open = self.open()?;
        let mut summary = AlertsSummary {
            open_count: open.len() as u64,
            open: open.iter().take(OPEN_LISTED).map(OpenAlert::of).collect(),
            ..AlertsSummary::default()
        };
        if let Some(totals) = totals {
            summary.delivered = totals.delivered;
            summary.failed_attempts = totals.failed;
            summary.undelivered = totals.undelivered;
            summary.last_error = totals
                .last_error
                .zip(totals.last_error_at)
                .map(|(text, at_millis)| DeliveryError { text, at_millis });
        }
        if let Some(row) = pending {
            (summary.pending, summary.oldest_pending_millis) = (row.pending, row.oldest);
        }
        Ok(summary)
    }
}
