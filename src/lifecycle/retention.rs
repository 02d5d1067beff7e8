//! How long what lies in the bucket is kept: what the operator set, and what follows from it.
//!
//! The bucket's own rules delete by age, within a day of the time that they say (R2's page on object lifecycles), and
//! nobody is told. So an object may be gone from its retention on, and is taken for gone [`MARGIN_DAYS`] later.

use serde::{Deserialize, Serialize};

/// A day, in milliseconds.
pub const DAY_MILLIS: u64 = 24 * 3_600_000;

/// Days after an object's retention until it is taken for deleted: R2 needs up to one, and the object may be some hours
/// younger than its row says, because an upload takes its time.
pub const MARGIN_DAYS: u64 = 2;

/// Days before an object's retention from which on it may be gone: it may be a day older than its row says, when an attempt
/// of the batch made it and died, and a later one adopted it.
const EARLIER_DAYS: u64 = 1;

/// Days before an object's retention from which on what still needs it is at risk: a weekend.
const AT_RISK_DAYS: u64 = 3;

/// Days that rows of batches stay after their objects are gone, unless the operator says something else.
const ROWS_AFTER_DAYS: u64 = 31;

/// Most days that a variable may say: a hundred years. What is longer is a mistake.
pub const MAX_DAYS: u64 = 36_500;

/// A variable of the deployment.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// What holds when it is not set; `None`: for ever.
    pub default_days: Option<u64>,
    /// The least that is taken. What is shorter is refused, and then nothing expires.
    pub min_days: u64,
    /// What R2 deletes after that time, by prefix.
    pub prefixes: &'static [&'static str],
}

/// Batches as received. A destination that is down for a weekend, and the day until its job is disabled, must not outlast
/// what jobs that take whole batches, and selections that are owed, are made from.
pub const RAW: Setting = Setting {
    name: "RETAIN_RAW_DAYS",
    default_days: None,
    min_days: 7,
    prefixes: &["accounts/", "zones/"],
};

/// Lines that were no records.
pub const QUARANTINE: Setting = Setting {
    name: "RETAIN_QUARANTINE_DAYS",
    default_days: None,
    min_days: 1,
    prefixes: &["quarantine/"],
};

/// Records that a destination refused for good: somebody has to have the time to look at them.
pub const DEAD_LETTERS: Setting = Setting {
    name: "RETAIN_DEAD_LETTERS_DAYS",
    default_days: None,
    min_days: 7,
    prefixes: &["dead-letters/"],
};

/// Rows of batches, from the day on which they were received; never less than a day longer than their objects.
pub const ROWS: Setting = Setting {
    name: "RETAIN_ROWS_DAYS",
    default_days: None,
    min_days: RAW.min_days + MARGIN_DAYS + 1,
    prefixes: &[],
};

/// How old a spooled object that nobody refers to must be before it is deleted. No attempt takes a day.
pub const SPOOL_ORPHANS: Setting = Setting {
    name: "SPOOL_ORPHAN_DAYS",
    default_days: Some(7),
    min_days: 2,
    prefixes: &[],
};

/// All of them. The script that writes the bucket's rules reads the same from `retention.json`.
pub const SETTINGS: [Setting; 5] = [RAW, QUARANTINE, DEAD_LETTERS, ROWS, SPOOL_ORPHANS];

/// What is never deleted by age, because a queue may refer to it for as long as a destination is down.
pub const NEVER_BY_AGE: &str = "spool/";

impl Setting {
    fn read(&self, text: Option<&str>) -> Result<Option<u64>, String> {
        let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(self.default_days);
        };
        let days = text.parse::<u64>().ok();
        match days.filter(|days| (self.min_days..=MAX_DAYS).contains(days)) {
            Some(days) => Ok(Some(days)),
            None => Err(format!(
                "{}: `{text}` is no whole number of days from {} to {MAX_DAYS}; until it is, {}",
                self.name,
                self.min_days,
                match self.default_days {
                    Some(days) => format!("{days} days hold"),
                    None => "nothing is taken for expired by it".to_owned(),
                }
            )),
        }
    }
}

/// What holds, in days; `None`: for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Batches as received.
    pub raw_days: Option<u64>,
    /// Lines that were no records.
    pub quarantine_days: Option<u64>,
    /// Records that were refused for good.
    pub dead_letters_days: Option<u64>,
    /// Rows of batches, since they were received.
    pub rows_days: Option<u64>,
    /// See [`SPOOL_ORPHANS`].
    pub spool_orphan_days: u64,
}

impl Retention {
    /// What the deployment's variables say, and what is wrong with them: those hold as if they were not set.
    #[must_use]
    pub fn read(text: impl Fn(&str) -> Option<String>) -> (Self, Vec<String>) {
        let mut wrong = Vec::new();
        let mut days = |setting: &Setting| {
            let read = setting.read(text(setting.name).as_deref());
            read.unwrap_or_else(|e| {
                wrong.push(e);
                setting.default_days
            })
        };
        let raw_days = days(&RAW);
        let mut retention = Self {
            raw_days,
            quarantine_days: days(&QUARANTINE),
            dead_letters_days: days(&DEAD_LETTERS),
            rows_days: days(&ROWS),
            spool_orphan_days: days(&SPOOL_ORPHANS).unwrap_or(SPOOL_ORPHANS.min_days),
        };
        let usual = raw_days.map(|raw| raw + MARGIN_DAYS + ROWS_AFTER_DAYS);
        match (retention.rows_days, raw_days) {
            (Some(_), None) => {
                wrong.push(format!(
                    "{} has no meaning without {}: rows stay as long as their objects",
                    ROWS.name, RAW.name
                ));
                retention.rows_days = None;
            }
            (Some(rows), Some(raw)) if rows <= raw + MARGIN_DAYS => {
                wrong.push(format!(
                    "{}: `{rows}` must be more than {}, which is {} and {MARGIN_DAYS} days; until it is, {} days hold",
                    ROWS.name,
                    raw + MARGIN_DAYS,
                    RAW.name,
                    usual.unwrap_or_default()
                ));
                retention.rows_days = usual;
            }
            (None, _) => retention.rows_days = usual,
            _ => {}
        }
        (retention, wrong)
    }

    /// Batches that were received before this time have lost their objects; 0 when none has.
    #[must_use]
    pub fn raw_gone_before(&self, now_millis: u64) -> u64 {
        surely_gone_before(self.raw_days, now_millis)
    }

    /// The same of dead letters, by the time at which they died.
    #[must_use]
    pub fn dead_letters_gone_before(&self, now_millis: u64) -> u64 {
        surely_gone_before(self.dead_letters_days, now_millis)
    }

    /// Rows of batches that were received before this time are removed; 0 when none is.
    #[must_use]
    pub fn rows_gone_before(&self, now_millis: u64) -> u64 {
        ago(self.rows_days, now_millis)
    }

    /// Batches that were received since must have their objects.
    #[must_use]
    pub fn raw_there_since(&self, now_millis: u64) -> u64 {
        surely_there_since(self.raw_days, now_millis)
    }

    /// The same of quarantine objects.
    #[must_use]
    pub fn quarantine_there_since(&self, now_millis: u64) -> u64 {
        surely_there_since(self.quarantine_days, now_millis)
    }

    /// The same of dead letters, by the time at which they died.
    #[must_use]
    pub fn dead_letters_there_since(&self, now_millis: u64) -> u64 {
        surely_there_since(self.dead_letters_days, now_millis)
    }

    /// When what needs the object of a batch of that time, and has not got it yet, is at risk; `None` when the object stays.
    #[must_use]
    pub fn at_risk_from(&self, received_at_millis: u64) -> Option<u64> {
        let days = self.raw_days?.saturating_sub(AT_RISK_DAYS);
        Some(received_at_millis + days * DAY_MILLIS)
    }

    /// When that object may be deleted.
    #[must_use]
    pub fn raw_goes_at(&self, received_at_millis: u64) -> Option<u64> {
        Some(received_at_millis + self.raw_days? * DAY_MILLIS)
    }
}

fn ago(days: Option<u64>, now_millis: u64) -> u64 {
    days.map_or(0, |days| now_millis.saturating_sub(days * DAY_MILLIS))
}

fn surely_gone_before(days: Option<u64>, now_millis: u64) -> u64 {
    ago(days.map(|days| days + MARGIN_DAYS), now_millis)
}

fn surely_there_since(days: Option<u64>, now_millis: u64) -> u64 {
    ago(
        days.map(|days| days.saturating_sub(EARLIER_DAYS)),
        now_millis,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> (Retention, Vec<String>) {
        Retention::read(|name| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_script_reads_the_same_settings() {
        #[derive(Deserialize)]
        struct Row {
            name: String,
            default_days: Option<u64>,
            min_days: u64,
            prefixes: Vec<String>,
        }
        let rows: Vec<Row> = serde_json::from_str(include_str!("retention.json")).unwrap();
        assert_eq!(rows.len(), SETTINGS.len());
        for (row, setting) in rows.iter().zip(SETTINGS) {
            assert_eq!(row.name, setting.name);
            assert_eq!(row.default_days, setting.default_days);
            assert_eq!(row.min_days, setting.min_days);
            assert_eq!(row.prefixes, setting.prefixes);
        }
    }

    #[test]
    fn what_is_not_set_is_kept_for_ever() {
        let (retention, wrong) = read(&[]);
        assert_eq!(wrong, Vec::<String>::new());
        assert_eq!(
            retention,
            Retention {
                raw_days: None,
                quarantine_days: None,
                dead_letters_days: None,
                rows_days: None,
                spool_orphan_days: 7,
            }
        );
        let now = 5_000 * DAY_MILLIS;
        assert_eq!(retention.raw_gone_before(now), 0);
        assert_eq!(retention.rows_gone_before(now), 0);
        assert_eq!(retention.raw_there_since(now), 0);
        assert_eq!(retention.at_risk_from(1), None);
    }

    #[test]
    fn what_is_too_short_or_no_number_is_refused_and_then_nothing_expires() {
        for value in [
            "6",
            "0",
            "-1",
            "7.5",
            "a week",
            "36501",
            "99999999999999999999",
        ] {
            let (retention, wrong) = read(&[("RETAIN_RAW_DAYS", value)]);
            assert_eq!(retention.raw_days, None, "{value}");
            assert_eq!(wrong.len(), 1, "{wrong:?}");
            assert!(wrong[0].contains("from 7 to 36500"), "{wrong:?}");
        }
        let (retention, wrong) = read(&[("SPOOL_ORPHAN_DAYS", "1")]);
        assert_eq!(retention.spool_orphan_days, 7);
        assert!(wrong[0].contains("7 days hold"), "{wrong:?}");
        assert_eq!(read(&[("RETAIN_RAW_DAYS", " 7 ")]).0.raw_days, Some(7));
        assert_eq!(read(&[("RETAIN_RAW_DAYS", "")]).1.len(), 0);
    }

    #[test]
    fn rows_outlive_their_objects() {
        let rows = |set: &[(&str, &str)]| {
            let (retention, wrong) = read(set);
            (retention.rows_days, wrong.len())
        };
        let raw = ("RETAIN_RAW_DAYS", "30");
        assert_eq!(rows(&[raw]), (Some(63), 0));
        assert_eq!(rows(&[raw, ("RETAIN_ROWS_DAYS", "33")]), (Some(33), 0));
        assert_eq!(rows(&[raw, ("RETAIN_ROWS_DAYS", "32")]), (Some(63), 1));
        assert_eq!(rows(&[("RETAIN_ROWS_DAYS", "400")]), (None, 1));
    }

    #[test]
    fn an_object_may_be_gone_before_it_is_taken_for_gone() {
        let (retention, _) = read(&[("RETAIN_RAW_DAYS", "30")]);
        let now = 1_000 * DAY_MILLIS;
        assert_eq!(retention.raw_there_since(now), 971 * DAY_MILLIS);
        assert_eq!(retention.raw_gone_before(now), 968 * DAY_MILLIS);
        assert_eq!(retention.rows_gone_before(now), 937 * DAY_MILLIS);
        assert_eq!(retention.at_risk_from(now), Some(1_027 * DAY_MILLIS));
        assert_eq!(retention.raw_goes_at(now), Some(1_030 * DAY_MILLIS));
        // Before retention has passed once since 1970, nothing is old enough.
        assert_eq!(retention.raw_gone_before(5), 0);
    }
}
