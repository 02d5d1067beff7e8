//! What is known of what is kept. Persisted as JSON: members are only added, each with a default.

use serde::{Deserialize, Serialize};

/// Keys that are told of each kind of finding; all are counted.
pub const NAMED_MAX: usize = 5;

/// Objects or rows that should not be as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Found {
    /// How many.
    pub count: u64,
    /// Their bytes, where there are objects.
    pub bytes: u64,
    /// Keys of the first [`NAMED_MAX`].
    pub named: Vec<String>,
}

impl Found {
    /// Counts one.
    pub fn note(&mut self, key: &str, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
        if self.named.len() < NAMED_MAX {
            self.named.push(key.to_owned());
        }
    }

    /// Counts those of another.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.bytes += other.bytes;
        let room = NAMED_MAX.saturating_sub(self.named.len());
        self.named.extend(other.named.iter().take(room).cloned());
    }

    /// Takes away the numbers of another that was added; names stay.
    fn take_away(&mut self, other: &Self) {
        self.count = self.count.saturating_sub(other.count);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }
}

/// What a ledger knows of its own rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LedgerFacts {
    /// Rows of batches.
    pub rows: u64,
    /// When the oldest batch that is not expired was received, unix milliseconds.
    pub oldest_kept_at: Option<u64>,
    /// When the oldest batch was received.
    pub oldest_row_at: Option<u64>,
    /// When the oldest batch was received of which a selection is owed.
    pub oldest_owed_at: Option<u64>,
    /// Batches that expired, in all time.
    pub expired_batches: u64,
    /// Bytes of their objects.
    pub expired_bytes: u64,
    /// Rows that were removed, in all time.
    pub removed_rows: u64,
}

/// What a sweep found under the prefixes of one ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LedgerSweep {
    /// Objects of batches.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those without a row, older than a day: of attempts that died before their commit.
    pub orphans: Found,
    /// Rows without an object that have not expired.
    pub missing: Found,
    /// Quarantine objects without a row, older than a day.
    pub quarantine_orphans: Found,
    /// Rows whose quarantine object is not there and has not expired.
    pub quarantine_missing: Found,
}

impl LedgerSweep {
    /// How many things are not as they should be.
    #[must_use]
    pub fn findings(&self) -> u64 {
        self.orphans.count
            + self.missing.count
            + self.quarantine_orphans.count
            + self.quarantine_missing.count
    }

    fn add(&mut self, other: &Self) {
        self.objects += other.objects;
        self.bytes += other.bytes;
        for (sum, found) in self.kinds().into_iter().zip(other.clone().kinds()) {
            sum.add(found);
        }
    }

    fn take_away(&mut self, other: &Self) {
        self.objects = self.objects.saturating_sub(other.objects);
        self.bytes = self.bytes.saturating_sub(other.bytes);
        for (sum, found) in self.kinds().into_iter().zip(other.clone().kinds()) {
            sum.take_away(found);
        }
    }

    fn kinds(&mut self) -> [&mut Found; 4] {
        [
            &mut self.orphans,
            &mut self.missing,
            &mut self.quarantine_orphans,
            &mut self.quarantine_missing,
        ]
    }
}

/// What a sweep is looking at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Batches as received.
    #[default]
    Raw,
    /// Lines that were no records.
    Quarantine,
}

/// A sweep of a ledger that goes on in the next call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Going {
    /// What it is looking at.
    pub stage: Stage,
    /// Behind which key.
    pub after: String,
    /// What it has found.
    pub found: LedgerSweep,
}

/// All that the registry remembers of a ledger's keeping.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LedgerKeep {
    /// Its rows, when it was asked last.
    pub facts: LedgerFacts,
    /// What the last whole sweep found.
    pub sweep: LedgerSweep,
    /// When that ended, unix milliseconds.
    pub swept_at: Option<u64>,
    /// A sweep that has not ended.
    pub going: Option<Going>,
}

/// The same, summed up over the ledgers of a dataset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DatasetKeep {
    /// `zones/<id>` or `accounts/<id>`.
    pub scope: String,
    /// The dataset.
    pub dataset: String,
    /// What the last sweeps found.
    pub sweep: LedgerSweep,
    /// Rows of batches.
    pub rows: u64,
    /// Batches that expired.
    pub expired_batches: u64,
    /// Bytes of their objects.
    pub expired_bytes: u64,
    /// Rows that were removed.
    pub removed_rows: u64,
    /// When a ledger of it was last swept, unix milliseconds.
    pub swept_at: Option<u64>,
    /// When the oldest batch was received of which a selection is owed.
    pub oldest_owed_at: Option<u64>,
}

impl DatasetKeep {
    /// Counts a ledger; `before` is what it was counted with until now.
    pub fn replace(&mut self, before: &LedgerKeep, now: &LedgerKeep) {
        self.sweep.take_away(&before.sweep);
        self.sweep.add(&now.sweep);
        let change = |sum: &mut u64, before: u64, now: u64| *sum = sum.saturating_sub(before) + now;
        change(&mut self.rows, before.facts.rows, now.facts.rows);
        change(
            &mut self.expired_batches,
            before.facts.expired_batches,
            now.facts.expired_batches,
        );
        change(
            &mut self.expired_bytes,
            before.facts.expired_bytes,
            now.facts.expired_bytes,
        );
        change(
            &mut self.removed_rows,
            before.facts.removed_rows,
            now.facts.removed_rows,
        );
        self.swept_at = self.swept_at.max(now.swept_at);
    }

    /// The names that are told are those of ledgers that found something: sums forget whose they were.
    pub fn name_findings_of<'a>(&mut self, ledgers: impl Iterator<Item = &'a LedgerKeep>) {
        for kind in self.sweep.kinds() {
            kind.named.clear();
        }
        for ledger in ledgers {
            let mut names = ledger.sweep.clone();
            for (sum, found) in self.sweep.kinds().into_iter().zip(names.kinds()) {
                let room = NAMED_MAX.saturating_sub(sum.named.len());
                sum.named.extend(found.named.drain(..).take(room));
            }
            let owed = ledger.facts.oldest_owed_at;
            self.oldest_owed_at = match (self.oldest_owed_at, owed) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
    }
}

/// What an outbox knows of its own objects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OutboxFacts {
    /// Objects of dead letters.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those without a row, older than a day.
    pub orphans: Found,
    /// Dead letters whose object is not there and has not expired.
    pub missing: Found,
    /// Dead letters that expired, in all time; their records are discarded.
    pub expired_letters: u64,
    /// Their records.
    pub expired_records: u64,
    /// There were more objects than one call looks at: what is beyond was not looked at.
    pub is_partial: bool,
    /// When the oldest batch was received that waits as a reference to its archived object, unix milliseconds.
    pub oldest_archived_at: Option<u64>,
}

impl OutboxFacts {
    /// How many things are not as they should be.
    #[must_use]
    pub fn findings(&self) -> u64 {
        self.orphans.count + self.missing.count
    }
}

/// What the registry remembers of a job's keeping.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobKeep {
    /// The job.
    pub job_id: u64,
    /// `zones/<id>` or `accounts/<id>`.
    pub scope: String,
    /// The job's dataset.
    pub dataset: String,
    /// Its outbox, when it was asked last.
    pub facts: OutboxFacts,
    /// When that was, unix milliseconds.
    pub swept_at: Option<u64>,
}

/// What a sweep of the spool found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SpoolSweep {
    /// Objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that an outbox refers to, of the ones that are old enough to be asked for.
    pub referred: u64,
    /// Those that nobody can be asked for: a key of another form, or a job that the registry does not know. They stay.
    pub unknown: Found,
    /// Those whose outbox did not answer. They stay until it does.
    pub unasked: u64,
}

/// What the registry remembers of the spool's keeping.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SpoolKeep {
    /// What the last whole sweep found.
    pub sweep: SpoolSweep,
    /// When that ended, unix milliseconds.
    pub swept_at: Option<u64>,
    /// A sweep that has not ended: behind which key it goes on, and what it has found.
    pub going: Option<(String, SpoolSweep)>,
    /// Objects that nobody referred to and that were deleted, in all time.
    pub deleted_objects: u64,
    /// Their bytes.
    pub deleted_bytes: u64,
}

/// A walk over the days of the archive, for those that no ledger has told the registry of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WalkKeep {
    /// When the last one ended, unix milliseconds.
    pub walked_at: Option<u64>,
    /// One that has not ended goes on behind the dataset of this prefix.
    pub after: Option<String>,
}

/// Everything, for who shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Keeping {
    /// By dataset.
    pub datasets: Vec<DatasetKeep>,
    /// By job, deleted ones too.
    pub jobs: Vec<JobKeep>,
    /// Pieces of selections that were too large for a row.
    pub spool: SpoolKeep,
    /// When the days of the archive were last walked over.
    pub walk: WalkKeep,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(keys: &[&str]) -> Found {
        let mut found = Found::default();
        for key in keys {
            found.note(key, 10);
        }
        found
    }

    fn ledger(orphans: &[&str], rows: u64) -> LedgerKeep {
        LedgerKeep {
            facts: LedgerFacts {
                rows,
                expired_batches: rows / 2,
                ..LedgerFacts::default()
            },
            sweep: LedgerSweep {
                objects: rows,
                orphans: found(orphans),
                ..LedgerSweep::default()
            },
            swept_at: Some(rows),
            ..LedgerKeep::default()
        }
    }

    #[test]
    fn all_are_counted_and_the_first_few_named() {
        let mut sum = found(&["a", "b", "c", "d"]);
        sum.add(&found(&["e", "f"]));
        assert_eq!((sum.count, sum.bytes), (6, 60));
        assert_eq!(sum.named, ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn a_dataset_is_the_sum_of_its_ledgers_however_often_they_are_counted() {
        let nothing = LedgerKeep::default();
        let (one, two) = (ledger(&["a", "b"], 10), ledger(&[], 20));
        let mut sum = DatasetKeep::default();
        sum.replace(&nothing, &one);
        sum.replace(&nothing, &two);
        sum.replace(&two, &two);
        assert_eq!(
            (sum.rows, sum.expired_batches, sum.sweep.objects),
            (30, 15, 30)
        );
        assert_eq!((sum.sweep.findings(), sum.swept_at), (2, Some(20)));
        let mended = ledger(&[], 10);
        sum.replace(&one, &mended);
        assert_eq!(
            (sum.rows, sum.sweep.orphans.count, sum.sweep.orphans.bytes),
            (30, 0, 0)
        );
        sum.name_findings_of([&mended, &two].into_iter());
        assert_eq!(sum.sweep.orphans.named, Vec::<String>::new());
        sum.name_findings_of([&one].into_iter());
        assert_eq!(sum.sweep.orphans.named, ["a", "b"]);
    }

    #[test]
    fn what_was_stored_is_read_again() {
        let keep = LedgerKeep {
            going: Some(Going {
                after: "k".into(),
                ..Going::default()
            }),
            ..ledger(&["a"], 2)
        };
        let text = r#"{"facts":{"rows":2,"oldest_kept_at":null,"oldest_row_at":null,"oldest_owed_at":null,"expired_batches":1,"expired_bytes":0,"removed_rows":0},"sweep":{"objects":2,"bytes":0,"orphans":{"count":1,"bytes":10,"named":["a"]},"missing":{"count":0,"bytes":0,"named":[]},"quarantine_orphans":{"count":0,"bytes":0,"named":[]},"quarantine_missing":{"count":0,"bytes":0,"named":[]}},"swept_at":2,"going":{"stage":"raw","after":"k","found":{"objects":0,"bytes":0,"orphans":{"count":0,"bytes":0,"named":[]},"missing":{"count":0,"bytes":0,"named":[]},"quarantine_orphans":{"count":0,"bytes":0,"named":[]},"quarantine_missing":{"count":0,"bytes":0,"named":[]}}}}"#;
        assert_eq!(serde_json::to_string(&keep).unwrap(), text);
        assert_eq!(serde_json::from_str::<LedgerKeep>(text).unwrap(), keep);
        assert_eq!(
            serde_json::from_str::<LedgerKeep>("{}").unwrap(),
            LedgerKeep::default()
        );
    }
}
