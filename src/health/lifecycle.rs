//! What `/stats` and `/metrics` say of what is kept: docs/lifecycle.md.

use crate::lifecycle::{Found, Keeping, Retention};
use crate::time::rfc3339_millis;
use serde_json::{Value, json};

/// The member `archive`; `keeping` is `None` when the registry could not be asked, which is no reason to show nothing else.
#[must_use]
pub fn member(
    keeping: Option<&Keeping>,
    (retention, misconfigured): (&Retention, &[String]),
    (scope, dataset): (Option<&str>, Option<&str>),
    now_millis: u64,
) -> Value {
    let mut member = json!({"retention": retention, "misconfigured": misconfigured});
    let (Some(keeping), Some(members)) = (keeping, member.as_object_mut()) else {
        return member;
    };
    let is_asked = |of: &str, called: &str| {
        scope.is_none_or(|scope| scope == of) && dataset.is_none_or(|dataset| dataset == called)
    };
    let datasets = keeping.datasets.iter();
    let datasets = datasets.filter(|one| is_asked(&one.scope, &one.dataset));
    let jobs = keeping.jobs.iter();
    let jobs = jobs.filter(|one| is_asked(&one.scope, &one.dataset));
    let at = |millis: Option<u64>| millis.map(rfc3339_millis);
    let mut at_risk = Vec::new();
    let mut risk = |whose: (&str, Value), oldest: Option<u64>| {
        let Some(oldest) = oldest else { return };
        if retention
            .at_risk_from(oldest)
            .is_some_and(|from| now_millis >= from)
        {
            at_risk.push(json!({
                whose.0: whose.1,
                "oldest_received_at": rfc3339_millis(oldest),
                "deleted_at": at(retention.raw_goes_at(oldest)),
            }));
        }
    };
    for one in datasets.clone() {
        let owes = json!({"scope": one.scope, "dataset": one.dataset});
        risk(("owed", owes), one.oldest_owed_at);
    }
    for one in jobs.clone() {
        risk(("job", one.job_id.into()), one.facts.oldest_archived_at);
    }
    let datasets: Vec<Value> = datasets
        .map(|one| {
            json!({
                "scope": one.scope,
                "dataset": one.dataset,
                "rows": one.rows,
                "objects": one.sweep.objects,
                "bytes": one.sweep.bytes,
                "orphans": found(&one.sweep.orphans),
                "missing": found(&one.sweep.missing),
                "quarantine_orphans": found(&one.sweep.quarantine_orphans),
                "quarantine_missing": found(&one.sweep.quarantine_missing),
                "expired": {"batches": one.expired_batches, "bytes": one.expired_bytes},
                "rows_removed": one.removed_rows,
                "swept_at": at(one.swept_at),
            })
        })
        .collect();
    let letters: Vec<Value> = jobs
        .map(|one| {
            json!({
                "job": one.job_id,
                "objects": one.facts.objects,
                "bytes": one.facts.bytes,
                "orphans": found(&one.facts.orphans),
                "missing": found(&one.facts.missing),
                "expired": {"letters": one.facts.expired_letters, "records": one.facts.expired_records},
                "partial": one.facts.is_partial,
                "swept_at": at(one.swept_at),
            })
        })
        .collect();
    let spool = &keeping.spool;
    members.insert("datasets".to_owned(), datasets.into());
    members.insert("dead_letters".to_owned(), letters.into());
    members.insert(
        "spool".to_owned(),
        json!({
            "objects": spool.sweep.objects,
            "bytes": spool.sweep.bytes,
            "referred": spool.sweep.referred,
            "unknown": found(&spool.sweep.unknown),
            "unasked": spool.sweep.unasked,
            "orphans_deleted": {"objects": spool.deleted_objects, "bytes": spool.deleted_bytes},
            "swept_at": at(spool.swept_at),
        }),
    );
    members.insert("at_risk".to_owned(), at_risk.into());
    member
}

fn found(found: &Found) -> Value {
    if found.count == 0 {
        return json!({"count": 0});
    }
    json!({"count": found.count, "bytes": found.bytes, "named": found.named})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::{DAY_MILLIS, DatasetKeep, JobKeep, OutboxFacts};

    const NOW: u64 = 2_000 * DAY_MILLIS;

    fn keeping() -> Keeping {
        let mut one = DatasetKeep {
            scope: "zones/z".into(),
            dataset: "dns_logs".into(),
            oldest_owed_at: Some(NOW - 28 * DAY_MILLIS),
            swept_at: Some(0),
            ..DatasetKeep::default()
        };
        one.sweep.orphans.note("zones/z/dns_logs/1", 7);
        let job = |job_id, waits_days: u64| JobKeep {
            job_id,
            scope: "zones/z".into(),
            dataset: "http_requests".into(),
            facts: OutboxFacts {
                oldest_archived_at: Some(NOW - waits_days * DAY_MILLIS),
                ..OutboxFacts::default()
            },
            ..JobKeep::default()
        };
        Keeping {
            datasets: vec![one],
            jobs: vec![job(1, 26), job(2, 27)],
            ..Keeping::default()
        }
    }

    fn read(raw: Option<&str>) -> (Retention, Vec<String>) {
        Retention::read(|name| raw.filter(|_| name == "RETAIN_RAW_DAYS").map(str::to_owned))
    }

    #[test]
    fn what_is_found_is_named_and_what_is_about_to_be_lost_is_told() {
        let (retention, wrong) = read(Some("30"));
        let of = |scope, dataset| {
            let of = (scope, dataset);
            member(Some(&keeping()), (&retention, &wrong), of, NOW)
        };
        let all = of(None, None);
        let orphans = &all["datasets"][0]["orphans"];
        assert_eq!(
            *orphans,
            json!({"count": 1, "bytes": 7, "named": ["zones/z/dns_logs/1"]})
        );
        assert_eq!(all["datasets"][0]["missing"], json!({"count": 0}));
        assert_eq!(all["datasets"][0]["swept_at"], "1970-01-01T00:00:00Z");
        let risks = all["at_risk"].as_array().unwrap();
        assert_eq!(risks.len(), 2, "{risks:?}");
        assert_eq!(risks[0]["owed"]["dataset"], "dns_logs");
        assert_eq!(risks[1]["job"], 2);
        assert_eq!(of(Some("zones/other"), None)["datasets"], json!([]));
        assert_eq!(
            of(None, Some("http_requests"))["dead_letters"]
                .as_array()
                .unwrap()
                .len(),
            2
        );
    }

    #[test]
    fn what_is_kept_for_ever_is_never_at_risk_and_a_wrong_variable_is_told() {
        let (retention, wrong) = read(Some("3"));
        let all = member(Some(&keeping()), (&retention, &wrong), (None, None), NOW);
        assert_eq!(all["at_risk"], json!([]));
        assert_eq!(all["retention"]["raw_days"], Value::Null);
        assert!(
            all["misconfigured"][0]
                .as_str()
                .unwrap()
                .starts_with("RETAIN_RAW_DAYS")
        );
        let nobody = member(None, (&retention, &wrong), (None, None), NOW);
        assert!(nobody.get("datasets").is_none());
    }
}
