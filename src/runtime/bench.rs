//! Parts of the way of a batch, one more at every stage, so that `npm run bench` can tell where the time goes, and push
//! logs of a month, so that `npm run bench:health` can ask them. Only built with the feature `bench`, which the shipped
//! Worker never has.

use super::archive::{Archive, ObjectFacts};
use super::objects::registry::{JobRow, JobsQuery};
use super::objects::{Class, REGISTRY_NAME, call, now_millis};
use super::{config, ingest, jobs, js};
use crate::batch::gzip::{GZIP_MAGIC, Member};
use crate::batch::reader::{Reader, Sink};
use crate::batch::scan::InvalidLine;
use crate::health::log::{LogQuery, Resolution, Span};
use crate::limits::{PAYLOAD_MAX_BYTES, READ_BYTES, WINDOW_BYTES};
use crate::outbox::instance_name;
use crate::route::{Keep, Router};
use futures_util::future::join3;
use js_sys::Uint8Array;
use serde_json::json;
use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use worker::crypto::{DigestStream, DigestStreamAlgorithm};
use worker::{Env, Request, Response, Result};

/// The stage that the address asks for.
pub fn stage(request: &Request) -> Option<String> {
    let url = request.url().ok()?;
    let (_, stage) = url.query_pairs().find(|(name, _)| name == "stage")?;
    Some(stage.into_owned())
}

/// `/bench/log?scope=…&from=…&until=…&resolution=…[&job=…]` asks the push logs as health figures do, and answers with how
/// many rows there are and were read. With `fill=<minutes>` the logs of the scope's jobs are filled instead.
pub async fn log(request: &Request, env: &Env) -> Result<Response> {
    let url = request.url()?;
    let parameter = |name: &str| {
        let mut pairs = url.query_pairs();
        let value = pairs.find(|(key, _)| key == name);
        value.map(|(_, value)| value.into_owned())
    };
    let number = |name: &str| parameter(name).and_then(|value| value.parse::<u64>().ok());
    let scope = parameter("scope");
    if let Some(minutes) = number("fill") {
        for row in super::log::jobs(env, scope.as_deref(), None).await? {
            let name = instance_name(row.job.id);
            let question = (row.job.id, minutes);
            let (): () = call(env, Class::Outbox, &name, "fill-log", &question).await?;
        }
        return Response::from_json(&json!({"ok": true}));
    }
    let jobs: Vec<u64> = number("job").into_iter().collect();
    let resolution = match parameter("resolution").as_deref() {
        Some("attempt") => Resolution::Attempt,
        Some("minute") => Resolution::Minute,
        _ => Resolution::Hour,
    };
    let question = super::log::Question {
        scope: scope.as_deref(),
        jobs: (!jobs.is_empty()).then_some(jobs.as_slice()),
        dataset: None,
        log: LogQuery {
            span: Span {
                from_millis: number("from").unwrap_or(0),
                until_millis: number("until").unwrap_or(0),
            },
            resolution,
        },
        calls: &AtomicUsize::new(0),
    };
    match super::log::pushes(env, &question, now_millis()).await {
        Ok(log) => Response::from_json(&json!({
            "rows": log.rows.len(),
            "rows_read": log.rows_read,
            "attempts": log.rows.iter().map(|row| row.attempts).sum::<u64>(),
        })),
        Err(e) => Response::error(e.to_string(), 500),
    }
}

/// What is done with a block.
enum Work<'r> {
    /// Nothing.
    Read,
    /// Inflated and, if asked, checked for UTF-8 and cut into lines, which are counted.
    Inflate {
        gzip: Box<Member>,
        lines: Option<Vec<u8>>,
    },
    /// Checked, projected, and given to nobody.
    Project(Reader, Nobody),
    /// Routed.
    Route(Box<Reader>, Box<Router<'r>>),
}

struct Nobody;

impl Sink for Nobody {
    fn record(&mut self, _: &[u8], _: &[Option<&[u8]>]) {}
    fn invalid(&mut self, _: u64, _: &[u8], _: InvalidLine) {}
    fn is_full(&self) -> bool {
        false
    }
}

/// Runs a batch up to `stage` and answers with the records found.
pub async fn handle(
    request: &Request,
    env: &Env,
    target: &ingest::Target,
    stage: &str,
) -> Result<Response> {
    let query = JobsQuery {
        scope: Some(target.scope.to_string()),
        dataset: Some(target.dataset.clone()),
        ..JobsQuery::default()
    };
    let rows: Vec<JobRow> = call(env, Class::Registry, REGISTRY_NAME, "jobs", &query).await?;
    let jobs: Vec<_> = rows.into_iter().map(|row| row.job).collect();
    let mut routes = jobs::compile(&target.scope, &target.dataset, &jobs, Keep::Copy);
    if stage == "filters" {
        for job in &mut routes.jobs {
            job.keep = Keep::Reference;
        }
    }
    let mut work = match stage {
        "read" => Work::Read,
        "inflate" => Work::Inflate {
            gzip: Box::default(),
            lines: None,
        },
        "framing" => Work::Inflate {
            gzip: Box::default(),
            lines: Some(Vec::new()),
        },
        "projection" => Work::Project(Reader::new(), Nobody),
        _ => Work::Route(
            Box::new(Reader::new()),
            Box::new(Router::new(&routes, PAYLOAD_MAX_BYTES)),
        ),
    };
    let mut archive = (stage == "archive").then(|| {
        let length = request.headers().get("Content-Length").ok().flatten();
        let length = length.and_then(|length| length.parse().ok());
        env.bucket(config::ARCHIVE)
            .map(|bucket| Archive::new(bucket, length))
    });
    let digest = DigestStream::new(DigestStreamAlgorithm::Sha256);
    let hasher = digest.raw().get_writer()?;
    let (mut input, mut window, mut records) = (vec![0; READ_BYTES], Vec::new(), 0);
    let projection = &routes.projection;
    if let Some(body) = request.inner().body() {
        let mut blocks = js::BlockReader::new(&body)?;
        let mut is_first = true;
        while let Some(block) = blocks.next().await? {
            let written = async {
                match &mut archive {
                    Some(Ok(archive)) => {
                        archive.write(&block).await?;
                        if archive.wants_key() {
                            archive.begin(facts(), false).await?;
                        }
                        Ok(())
                    }
                    _ => Ok::<(), String>(()),
                }
            };
            let hashed = async {
                match stage {
                    "archive" => JsFuture::from(hasher.write_with_chunk(&block)).await,
                    _ => Ok(JsValue::UNDEFINED),
                }
            };
            let worked = async {
                take(
                    &mut work,
                    &block,
                    is_first,
                    &mut input,
                    &mut window,
                    projection,
                )
            };
            let (written, hashed, found) = join3(written, hashed, worked).await;
            written?;
            hashed?;
            records += found;
            is_first = false;
        }
    }
    records += match &mut work {
        Work::Project(reader, nobody) => {
            reader.finish(&mut window, projection, nobody);
            reader.meter().records
        }
        Work::Route(reader, router) => {
            reader.finish(&mut window, projection, router.as_mut());
            reader.meter().records
        }
        Work::Read | Work::Inflate { .. } => 0,
    };
    if let Some(archive) = archive {
        archive?.finish().await?;
        JsFuture::from(hasher.close()).await?;
        digest.digest().await?;
    }
    let is_counted = !matches!(work, Work::Read | Work::Inflate { lines: None, .. });
    Response::from_json(&json!({"ok": true, "records": is_counted.then_some(records)}))
}

fn facts() -> ObjectFacts {
    ObjectFacts {
        key: format!("bench/{}", js::unique_name()),
        is_gzip: true,
        metadata: HashMap::new(),
    }
}

/// Works on a block; returns the records counted here.
fn take(
    work: &mut Work<'_>,
    block: &Uint8Array,
    is_first: bool,
    input: &mut [u8],
    window: &mut Vec<u8>,
    projection: &crate::batch::projection::Projection,
) -> u64 {
    let Some(input) = input.get_mut(..block.length() as usize) else {
        return 0;
    };
    if let Work::Read = work {
        return 0;
    }
    block.copy_to(input);
    let mut records = 0;
    match work {
        Work::Read => {}
        Work::Inflate { gzip, lines } => {
            let mut rest = &*input;
            if is_first {
                rest = rest.get(GZIP_MAGIC.len()..).unwrap_or_default();
            }
            while !rest.is_empty() {
                let held = lines.as_ref().map_or(0, Vec::len);
                window.resize(held + WINDOW_BYTES, 0);
                let (head, room) = window.split_at_mut(held);
                if let Some(carry) = lines {
                    head.copy_from_slice(carry);
                }
                let taken = gzip.step(rest, room);
                rest = rest.get(taken.used..).unwrap_or_default();
                if let Some(carry) = lines {
                    let made = window.get(..held + taken.made).unwrap_or_default();
                    let end = memchr::memrchr(b'\n', made).map_or(0, |at| at + 1);
                    let (complete, left) = made.split_at(end);
                    records += u64::from(simdutf8::basic::from_utf8(complete).is_ok())
                        * memchr::memchr_iter(b'\n', complete).count() as u64;
                    *carry = left.to_vec();
                }
                if taken.is_end != Ok(false) {
                    break;
                }
            }
        }
        Work::Project(reader, nobody) => {
            reader.feed(input, window, projection, nobody);
        }
        Work::Route(reader, router) => {
            let mut at = 0;
            while let Some(rest) = input.get(at..).filter(|rest| !rest.is_empty()) {
                at += reader.feed(rest, window, projection, router.as_mut());
                while router.is_full() && router.take_largest().is_some() {}
            }
        }
    }
    records
}
