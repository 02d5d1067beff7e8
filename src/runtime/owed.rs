//! Making a selection again from the archived object, for a job whose outbox could not take it at once.

use super::config;
use super::jobs;
use super::js::BlockReader;
use super::objects::registry::{JobRow, JobsQuery};
use super::objects::{Class, REGISTRY_NAME, call, call_with_bytes};
use super::pipeline::Pipeline;
use crate::outbox::{Append, AppendAnswer, AppendResult, instance_name};
use crate::route::Keep;
use worker::Env;

/// A selection that is owed.
pub struct Debt {
    /// The batch.
    pub batch_id: String,
    /// Its archived object.
    pub object: String,
    /// The job.
    pub job_id: u64,
    /// When the batch was received, unix milliseconds.
    pub received_at_millis: u64,
}

/// Makes the selection and stores it; returns the records and bytes that the outbox holds of the batch. A job that was
/// deleted meanwhile selects nothing. May be repeated: the outbox knows the batch.
///
/// # Errors
/// Says what failed; the debt stays.
pub async fn settle(env: &Env, debt: &Debt) -> Result<(u64, u64), String> {
    let text = |e: worker::Error| e.to_string();
    let query = JobsQuery {
        id: Some(debt.job_id),
        ..JobsQuery::default()
    };
    let rows: Vec<JobRow> = call(env, Class::Registry, REGISTRY_NAME, "jobs", &query)
        .await
        .map_err(text)?;
    let Some(JobRow { job, .. }) = rows.into_iter().next() else {
        return Ok((0, 0));
    };
    let routes = jobs::compile(
        &job.scope,
        &job.dataset,
        std::slice::from_ref(&job),
        Keep::Copy,
    )
    .map_err(text)?;
    let bucket = env.bucket(config::ARCHIVE).map_err(text)?;
    let object = bucket.get(&debt.object).execute().await.map_err(text)?;
    let body = object
        .as_ref()
        .and_then(worker::Object::body)
        .ok_or_else(|| format!("{} is not in the archive", debt.object))?;
    let stream = match body.response_body().map_err(text)? {
        worker::ResponseBody::Stream(stream) => stream,
        _ => return Err("the archived object has no stream".to_owned()),
    };
    let mut pipeline = Pipeline::new(&routes, bucket);
    let read = async {
        let failed = |e| super::js::describe(&e);
        let mut reader = BlockReader::new(&stream).map_err(failed)?;
        while let Some(block) = reader.next().await.map_err(failed)? {
            pipeline.feed(&block).await?;
        }
        pipeline.finish().await?;
        let (records, bytes) = pipeline
            .router
            .selections()
            .first()
            .map_or((0, 0), |selection| (selection.records, selection.bytes));
        Ok::<_, String>((records, bytes, pipeline.ready(0).await?))
    }
    .await;
    let (records, bytes, ready) = match read {
        Ok(read) => read,
        Err(e) => {
            pipeline.clean_up().await;
            return Err(e);
        }
    };
    if records == 0 {
        return Ok((0, 0));
    }
    let append = Append {
        job_id: job.id,
        batch_id: debt.batch_id.clone(),
        received_at_millis: debt.received_at_millis,
        segments: ready.segments,
    };
    let name = instance_name(job.id);
    // After an error nobody knows whether the rows are there, so what they may refer to stays.
    let answer: AppendAnswer =
        call_with_bytes(env, Class::Outbox, &name, "append", &append, &ready.inline)
            .await
            .map_err(text)?;
    let bucket = env.bucket(config::ARCHIVE).map_err(text)?;
    match answer.result {
        AppendResult::Stored => Ok((records, bytes)),
        AppendResult::Duplicate => {
            super::archive::delete_all(&bucket, &ready.spooled).await;
            Ok((answer.records, answer.bytes))
        }
        AppendResult::Full => {
            super::archive::delete_all(&bucket, &ready.spooled).await;
            Err("the outbox is full".to_owned())
        }
    }
}
