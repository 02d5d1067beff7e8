//! `GET /metrics`: counters of all time and how things stand, for Prometheus.
//!
//! Names and units follow Prometheus' conventions (prometheus.io/docs/practices/naming); what each means stands in
//! docs/health.md. Labels are bounded by the number of jobs and datasets: a job's name is in [`JOB_INFO`] alone, so that
//! renaming it does not begin its counters anew, and no label holds a part of a destination string.

use super::alerts::AlertsSummary;
use super::log::{
    BATCH_BOUNDS_BYTES, DURATION_BOUNDS_MILLIS, DatasetTotals, Histogram, OutboxNow, ResultTotals,
};
use crate::lifecycle::{DatasetKeep, Keeping};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::encoding::{EncodeLabelSet, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use std::collections::BTreeMap;
use std::fmt::Error;
use std::sync::Arc;

/// What every name begins with.
pub const PREFIX: &str = "logpush_edge";

/// The metric that has the names of jobs.
pub const JOB_INFO: &str = "job_info";

/// One job, as far as `/metrics` shows it.
#[derive(Debug, Clone, Default)]
pub struct JobMetrics {
    /// `zones/<id>` or `accounts/<id>`.
    pub scope: String,
    /// The dataset.
    pub dataset: String,
    /// Its number.
    pub id: u64,
    /// Its name, empty without one.
    pub name: String,
    /// It gets records.
    pub enabled: bool,
    /// Its outbox.
    pub outbox: OutboxNow,
}

/// Everything that `/metrics` shows.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Now, unix milliseconds.
    pub now_millis: u64,
    /// Version of this service.
    pub version: &'static str,
    /// What came.
    pub datasets: Vec<DatasetTotals>,
    /// What goes.
    pub jobs: Vec<JobMetrics>,
    /// Alerts; `None` when they could not be asked, and then they are left out.
    pub alerts: Option<AlertsSummary>,
    /// Events of R2 that brought no batch, by name: group, dot, reason.
    pub events: BTreeMap<String, u64>,
    /// What is kept; `None` when it could not be asked, and then it is left out.
    pub keeping: Option<Keeping>,
}

/// The two forms that Prometheus reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format, 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// What an `Accept` header prefers; the text format where it says nothing.
    #[must_use]
    pub fn accepted(accept: Option<&str>) -> Self {
        let (mut text, mut open_metrics) = (0.0_f32, 0.0_f32);
        for offer in accept.unwrap_or_default().split(',') {
            let mut parts = offer.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let mut quality = 1.0;
            let mut version = None;
            for (name, value) in parts.filter_map(|part| part.split_once('=')) {
                match name.trim() {
                    "q" => quality = value.trim().parse().unwrap_or(0.0),
                    "version" => version = Some(value.trim().trim_matches('"')),
                    _ => {}
                }
            }
            let best = match (kind.as_str(), version) {
                // 0.0.1 differs in nothing that is written here.
                ("application/openmetrics-text", None | Some("1.0.0" | "0.0.1")) => {
                    &mut open_metrics
                }
                ("text/plain" | "text/*" | "*/*", _) => &mut text,
                _ => continue,
            };
            *best = best.max(quality);
        }
        match open_metrics > text {
            true => Self::OpenMetrics,
            false => Self::Text,
        }
    }

    /// The answer's `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The answer; `None` when it could not be written, which only a lack of memory can cause.
#[must_use]
pub fn document(metrics: Metrics, format: Format) -> Option<String> {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Arc::new(metrics)));
    let mut document = String::new();
    let written = match format {
        Format::Text => prometheus_text::encode(&mut document, &registry),
        Format::OpenMetrics => text::encode(&mut document, &registry),
    };
    written.ok().map(|()| document)
}

type Labels<'l> = Vec<(&'static str, &'l str)>;

/// Writes one family; `series` gives each its labels and value.
fn family<S: EncodeLabelSet, V>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    unit: Option<&Unit>,
    kind: MetricType,
    series: impl Iterator<Item = (S, V)>,
    write: impl Fn(&mut MetricEncoder<'_>, &V) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut metric = encoder.encode_descriptor(name, help, unit, kind)?;
    for (labels, value) in series {
        write(&mut metric.encode_family(&labels)?, &value)?;
    }
    Ok(())
}

fn counters<S: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    about: (&str, &str),
    unit: Option<&Unit>,
    series: impl Iterator<Item = (S, u64)>,
) -> Result<(), Error> {
    let write = |metric: &mut MetricEncoder<'_>, value: &u64| {
        metric.encode_counter::<NoLabelSet, _, u64>(value, None)
    };
    family(encoder, about, unit, MetricType::Counter, series, write)
}

fn gauges<S: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    about: (&str, &str),
    unit: Option<&Unit>,
    series: impl Iterator<Item = (S, f64)>,
) -> Result<(), Error> {
    let write = |metric: &mut MetricEncoder<'_>, value: &f64| metric.encode_gauge(value);
    family(encoder, about, unit, MetricType::Gauge, series, write)
}

/// `scale`: what one of the metric's unit is in the histogram's.
fn histograms<'h, S: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    about: (&str, &str),
    unit: &Unit,
    (bounds, scale): (&[u64], f64),
    series: impl Iterator<Item = (S, &'h Histogram)>,
) -> Result<(), Error> {
    let write = |metric: &mut MetricEncoder<'_>, histogram: &&Histogram| {
        let bounds = bounds.iter().map(|bound| *bound as f64 / scale);
        let bounds = bounds.chain(std::iter::once(f64::INFINITY));
        // One that has counted nothing has no buckets yet.
        let counts = histogram.buckets.iter().copied();
        let counts = counts.chain(std::iter::repeat(0));
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        let sum = histogram.sum as f64 / scale;
        metric.encode_histogram::<NoLabelSet>(sum, histogram.total(), &buckets, None)
    };
    family(
        encoder,
        about,
        Some(unit),
        MetricType::Histogram,
        series,
        write,
    )
}

fn seconds(millis: u64) -> f64 {
    millis as f64 / 1_000.0
}

impl Metrics {
    fn dataset_counters(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        about: (&str, &str),
        unit: Option<&Unit>,
        value: impl Fn(&DatasetTotals) -> u64,
    ) -> Result<(), Error> {
        let series = self.datasets.iter().map(|one| (dataset(one), value(one)));
        counters(encoder, about, unit, series)
    }

    fn write_datasets(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let bytes = Some(&Unit::Bytes);
        self.dataset_counters(encoder, ("batches", "Batches received"), None, |one| {
            one.totals.batches
        })?;
        self.dataset_counters(encoder, ("records", "Records received"), None, |one| {
            one.totals.records
        })?;
        self.dataset_counters(
            encoder,
            ("received", "Bytes received, compressed as they came"),
            bytes,
            |one| one.totals.bytes_compressed,
        )?;
        self.dataset_counters(
            encoder,
            ("inflated", "Bytes received, after inflating"),
            bytes,
            |one| one.totals.bytes,
        )?;
        let series = self.datasets.iter().flat_map(|one| {
            one.totals.invalid.iter().map(move |(reason, count)| {
                let mut labels = dataset(one);
                labels.push(("reason", reason));
                (labels, *count)
            })
        });
        let about = (
            "invalid",
            "Lines that are no records, and faults of the stream, by reason",
        );
        counters(encoder, about, None, series)?;
        self.dataset_counters(
            encoder,
            (
                "duplicate_batches",
                "Batches that came again and were not counted again",
            ),
            None,
            |one| one.totals.duplicates,
        )?;
        self.dataset_counters(
            encoder,
            ("test_messages", "Test messages received"),
            None,
            |one| one.totals.tests,
        )?;
        let series = self.datasets.iter();
        let series = series.map(|one| (dataset(one), &one.totals.batch_bytes));
        let about = ("batch_size", "Size of batches after inflating");
        let bounds = (BATCH_BOUNDS_BYTES.as_slice(), 1.0);
        histograms(encoder, about, &Unit::Bytes, bounds, series)?;
        let series = self.datasets.iter().filter_map(|one| {
            let millis = one.totals.last_batch_millis?;
            Some((dataset(one), seconds(millis)))
        });
        let about = (
            "last_batch_timestamp",
            "When the last batch was received, to the minute",
        );
        gauges(encoder, about, Some(&Unit::Seconds), series)
    }

    fn result_counters(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        about: (&str, &str),
        unit: Option<&Unit>,
        value: impl Fn(&ResultTotals) -> u64,
    ) -> Result<(), Error> {
        let series = self.jobs.iter().flat_map(|job| {
            let value = &value;
            job.outbox.totals.results.iter().map(move |result| {
                let labels = [
                    ("scope", job.scope.clone()),
                    ("dataset", job.dataset.clone()),
                    ("job_id", job.id.to_string()),
                    ("destination", result.destination.clone()),
                    ("status", result.status.to_string()),
                    ("final", result.is_final.to_string()),
                ];
                (labels, value(result))
            })
        });
        counters(encoder, about, unit, series)
    }

    fn job_gauges(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        about: (&str, &str),
        unit: Option<&Unit>,
        value: impl Fn(&JobMetrics) -> Option<f64>,
    ) -> Result<(), Error> {
        let series = self.jobs.iter();
        let series = series.filter_map(|one| Some((job(one), value(one)?)));
        gauges(encoder, about, unit, series)
    }

    fn write_pushes(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let bytes = Some(&Unit::Bytes);
        let about = (
            "pushes",
            "Attempts to push, by result: status 200 is accepted, final 1 is not tried again",
        );
        self.result_counters(encoder, about, None, |one| one.attempts)?;
        let about = ("pushed_records", "Records in attempts to push, by result");
        self.result_counters(encoder, about, None, |one| one.records)?;
        let about = (
            "pushed",
            "Bytes of the records in attempts to push, not compressed, by result",
        );
        self.result_counters(encoder, about, bytes, |one| one.bytes)?;
        let about = (
            "pushed_compressed",
            "Bytes sent in attempts to push, by result",
        );
        self.result_counters(encoder, about, bytes, |one| one.bytes_compressed)?;
        let series = self.jobs.iter();
        let series = series.map(|one| (job(one), &one.outbox.totals.duration_millis));
        let about = ("push_duration", "Duration of attempts to push");
        let bounds = (DURATION_BOUNDS_MILLIS.as_slice(), 1_000.0);
        histograms(encoder, about, &Unit::Seconds, bounds, series)
    }

    fn write_jobs(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let series = self.jobs.iter().map(|one| {
            let mut labels = job(one).to_vec();
            labels.push(("name", one.name.clone()));
            (labels, 1.0)
        });
        gauges(encoder, (JOB_INFO, "A job and its name"), None, series)?;
        let seconds_unit = Some(&Unit::Seconds);
        let mut gauge = |name, help, unit, value: &dyn Fn(&JobMetrics) -> Option<f64>| {
            self.job_gauges(encoder, (name, help), unit, value)
        };
        let flag = |is: bool| Some(f64::from(u8::from(is)));
        gauge("job_enabled", "1 when the job gets records", None, &|one| {
            flag(one.enabled)
        })?;
        gauge(
            "waiting_records",
            "Records that wait to be pushed, parked ones too",
            None,
            &|one| Some(one.outbox.waiting_records as f64),
        )?;
        gauge(
            "lag",
            "Age of the oldest record that waits, since it was received; 0 when none does",
            seconds_unit,
            &|one| {
                let oldest = one.outbox.oldest_waiting_millis;
                let age = oldest.map_or(0, |oldest| self.now_millis.saturating_sub(oldest));
                Some(seconds(age))
            },
        )?;
        gauge(
            "parked",
            "1 when pushing waits for somebody to mend the job",
            None,
            &|one| flag(one.outbox.parked_since_millis.is_some()),
        )?;
        gauge("dead_letters", "Dead letters that are kept", None, &|one| {
            Some(one.outbox.dead_letters as f64)
        })?;
        gauge(
            "consecutive_failures",
            "Failed attempts to push since the last accepted one",
            None,
            &|one| Some(f64::from(one.outbox.consecutive_failures)),
        )?;
        gauge(
            "last_success_timestamp",
            "When the last push was accepted",
            seconds_unit,
            &|one| one.outbox.last_success_millis.map(seconds),
        )?;
        gauge(
            "failing_since_timestamp",
            "When the first push failed after the last accepted one; missing when none did",
            seconds_unit,
            &|one| one.outbox.failing_since_millis.map(seconds),
        )
    }

    fn write_keeping(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let Some(keeping) = &self.keeping else {
            return Ok(());
        };
        let labels = |one: &DatasetKeep| {
            [
                ("scope", one.scope.clone()),
                ("dataset", one.dataset.clone()),
            ]
        };
        let mut gauge = |name, help, value: &dyn Fn(&DatasetKeep) -> u64| {
            let series = keeping.datasets.iter();
            let series = series.map(|one| (labels(one), value(one) as f64));
            gauges(encoder, (name, help), None, series)
        };
        gauge(
            "archive_orphans",
            "Objects of the archive, and of quarantine, that no row names",
            &|one| one.sweep.orphans.count + one.sweep.quarantine_orphans.count,
        )?;
        gauge(
            "archive_missing",
            "Rows that name an object which is not there and has not expired",
            &|one| one.sweep.missing.count + one.sweep.quarantine_missing.count,
        )?;
        let series = keeping.datasets.iter();
        let series = series.map(|one| (labels(one), one.expired_batches));
        let about = (
            "archive_expired_batches",
            "Batches whose object was deleted by age",
        );
        counters(encoder, about, None, series)?;
        let series = keeping.datasets.iter();
        let series = series.filter_map(|one| Some((labels(one), seconds(one.swept_at?))));
        let about = (
            "archive_swept_timestamp",
            "When a day of the dataset was last swept",
        );
        gauges(encoder, about, Some(&Unit::Seconds), series)?;
        let nothing: Labels<'_> = Vec::new();
        let spool = &keeping.spool;
        let one = std::iter::once((nothing.clone(), spool.deleted_objects));
        let about = (
            "spool_orphans_deleted",
            "Spooled objects that nobody referred to and that were deleted",
        );
        counters(encoder, about, None, one)?;
        let one = spool.swept_at.map(|at| (nothing, seconds(at)));
        let about = (
            "spool_swept_timestamp",
            "When the spool was last swept as a whole",
        );
        gauges(encoder, about, Some(&Unit::Seconds), one.into_iter())
    }

    fn write_service(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let one = std::iter::once(([("version", self.version)], 1.0));
        gauges(encoder, ("build_info", "The version that runs"), None, one)?;
        let series = self.events.iter().map(|(name, count)| {
            let (outcome, reason) = name.split_once('.').unwrap_or((name, ""));
            ([("outcome", outcome), ("reason", reason)], *count)
        });
        let about = ("r2_events", "Events of R2 that brought no batch");
        counters(encoder, about, None, series)?;
        let Some(alerts) = &self.alerts else {
            return Ok(());
        };
        let nothing: Labels<'_> = Vec::new();
        let one = |value: u64| std::iter::once((nothing.clone(), value as f64));
        let about = ("open_alerts", "Alerts that have begun and not ended");
        gauges(encoder, about, None, one(alerts.open_count))?;
        let about = ("pending_alert_deliveries", "Deliveries of alerts that wait");
        gauges(encoder, about, None, one(alerts.pending))?;
        let one = |value: u64| std::iter::once((nothing.clone(), value));
        let about = ("alert_deliveries", "Deliveries of alerts that were taken");
        counters(encoder, about, None, one(alerts.delivered))?;
        let about = (
            "alert_delivery_failures",
            "Attempts to deliver an alert that failed",
        );
        counters(encoder, about, None, one(alerts.failed_attempts))?;
        let about = (
            "alert_deliveries_lost",
            "Deliveries of alerts that were given up",
        );
        counters(encoder, about, None, one(alerts.undelivered))
    }
}

fn dataset(one: &DatasetTotals) -> Labels<'_> {
    vec![("scope", &one.scope), ("dataset", &one.dataset)]
}

fn job(one: &JobMetrics) -> [(&'static str, String); 3] {
    [
        ("scope", one.scope.clone()),
        ("dataset", one.dataset.clone()),
        ("job_id", one.id.to_string()),
    ]
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        self.write_service(&mut encoder)?;
        self.write_datasets(&mut encoder)?;
        self.write_jobs(&mut encoder)?;
        self.write_pushes(&mut encoder)?;
        self.write_keeping(&mut encoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::log::{Attempt, IngestTotals};

    fn metrics() -> Metrics {
        let mut batch_bytes = Histogram::default();
        batch_bytes.count(500_000, &BATCH_BOUNDS_BYTES);
        let mut outbox = OutboxNow {
            waiting_records: 3,
            oldest_waiting_millis: Some(1_000),
            ..OutboxNow::default()
        };
        for (status, is_final) in [(503, false), (200, true)] {
            outbox.totals.count(&Attempt {
                at_millis: 0,
                destination: "https",
                status,
                is_final,
                records: 5,
                bytes: 70,
                bytes_compressed: 40,
                duration_millis: 120,
            });
        }
        Metrics {
            now_millis: 3_500,
            version: "1.2.3",
            datasets: vec![DatasetTotals {
                scope: "zones/z".to_owned(),
                dataset: "dns_logs".to_owned(),
                totals: IngestTotals {
                    batches: 1,
                    invalid: BTreeMap::from([("not_json".to_owned(), 2)]),
                    batch_bytes,
                    ..IngestTotals::default()
                },
            }],
            jobs: vec![JobMetrics {
                scope: "zones/z".to_owned(),
                dataset: "dns_logs".to_owned(),
                id: 7,
                name: "to \"the\" \\ SIEM\n".to_owned(),
                enabled: true,
                outbox,
            }],
            alerts: Some(AlertsSummary::default()),
            events: BTreeMap::from([
                ("extra_copies".to_owned(), 1),
                ("skipped.other_path".to_owned(), 4),
            ]),
            keeping: Some(Keeping {
                datasets: vec![DatasetKeep {
                    scope: "zones/z".to_owned(),
                    dataset: "dns_logs".to_owned(),
                    expired_batches: 4,
                    ..DatasetKeep::default()
                }],
                ..Keeping::default()
            }),
        }
    }

    #[test]
    fn every_series_stands_with_its_labels_in_both_formats() {
        for (format, lines) in [
            (
                Format::Text,
                vec![
                    "# TYPE logpush_edge_batches_total counter",
                    "# HELP logpush_edge_batches_total Batches received",
                    "logpush_edge_push_duration_seconds_bucket{scope=\"zones/z\",dataset=\"dns_logs\",job_id=\"7\",le=\"0.25\"} 2",
                    "logpush_edge_push_duration_seconds_bucket{scope=\"zones/z\",dataset=\"dns_logs\",job_id=\"7\",le=\"+Inf\"} 2",
                ],
            ),
            (
                Format::OpenMetrics,
                vec![
                    "# TYPE logpush_edge_batches counter",
                    "# UNIT logpush_edge_lag_seconds seconds",
                    "# EOF",
                    "logpush_edge_push_duration_seconds_bucket{le=\"0.25\",scope=\"zones/z\",dataset=\"dns_logs\",job_id=\"7\"} 2",
                ],
            ),
        ] {
            let document = document(metrics(), format).unwrap();
            let same = [
                "logpush_edge_build_info{version=\"1.2.3\"} 1.0",
                "logpush_edge_open_alerts 0.0",
                "logpush_edge_r2_events_total{outcome=\"extra_copies\",reason=\"\"} 1",
                "logpush_edge_r2_events_total{outcome=\"skipped\",reason=\"other_path\"} 4",
                "logpush_edge_archive_orphans{scope=\"zones/z\",dataset=\"dns_logs\"} 0.0",
                "logpush_edge_archive_expired_batches_total{scope=\"zones/z\",dataset=\"dns_logs\"} 4",
                "logpush_edge_spool_orphans_deleted_total 0",
                "logpush_edge_batches_total{scope=\"zones/z\",dataset=\"dns_logs\"} 1",
                "logpush_edge_invalid_total{scope=\"zones/z\",dataset=\"dns_logs\",reason=\"not_json\"} 2",
                "logpush_edge_batch_size_bytes_count{scope=\"zones/z\",dataset=\"dns_logs\"} 1",
                "logpush_edge_job_info{scope=\"zones/z\",dataset=\"dns_logs\",job_id=\"7\",name=\"to \\\"the\\\" \\\\ SIEM\\n\"} 1.0",
                "logpush_edge_lag_seconds{scope=\"zones/z\",dataset=\"dns_logs\",job_id=\"7\"} 2.5",
                "logpush_edge_pushes_total{scope=\"zones/z\",dataset=\"dns_logs\",job_id=\"7\",destination=\"https\",status=\"503\",final=\"0\"} 1",
                "logpush_edge_pushed_bytes_total{scope=\"zones/z\",dataset=\"dns_logs\",job_id=\"7\",destination=\"https\",status=\"200\",final=\"1\"} 70",
                "logpush_edge_push_duration_seconds_sum{scope=\"zones/z\",dataset=\"dns_logs\",job_id=\"7\"} 0.24",
            ];
            let found: Vec<&str> = document.lines().collect();
            for line in same.iter().chain(&lines) {
                assert!(found.contains(line), "{line}\n{document}");
            }
        }
    }

    #[test]
    fn a_scraper_gets_the_format_that_it_prefers() {
        for (accept, expected) in [
            (None, Format::Text),
            (Some("*/*"), Format::Text),
            (Some("text/html"), Format::Text),
            (Some("application/openmetrics-text"), Format::OpenMetrics),
            (
                // What Prometheus 2.42 sends.
                Some(
                    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                ),
                Format::OpenMetrics,
            ),
            (
                Some("application/openmetrics-text;version=2.0.0,text/plain;q=0.1"),
                Format::Text,
            ),
            (
                Some("application/openmetrics-text; q=0.1, text/plain; q=0.9"),
                Format::Text,
            ),
        ] {
            assert_eq!(Format::accepted(accept), expected, "{accept:?}");
        }
    }
}
