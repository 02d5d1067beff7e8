//! What a session of somebody who watches is shown of a batch: lines up to a number of bytes, and how many there were
//! beyond. It is in no counter of a job, and nothing waits for it.

use super::filter::CompiledFilter;
use super::{Sample, Written};
use crate::batch::json;
use crate::batch::projection::Projection;
use crate::logpush::catalogue::Dataset;
use crate::logpush::filter::{Filter, FilterError};
use crate::logpush::instant_logs::{Session, SessionId};

/// A session, compiled for its dataset.
#[derive(Debug)]
pub struct TailRoute {
    /// Which one.
    pub session_id: SessionId,
    /// `None` selects every record.
    pub(super) filter: Option<CompiledFilter>,
    /// `None` keeps every record that the filter selects.
    pub(super) sample: Option<Sample>,
    written: Written,
    /// A record without members is written out as this.
    empty: Vec<u8>,
}

impl TailRoute {
    /// Compiles a session; fields that it needs are added to the projection.
    ///
    /// # Errors
    /// When its filter can not be read.
    pub fn compile(
        session: &Session,
        schema: Option<&Dataset>,
        projection: &mut Projection,
    ) -> Result<Self, FilterError> {
        let filter = Filter::parse_optional(&session.filter, schema)
            // A field may leave the catalogue after the session began.
            .or_else(|_| Filter::parse_optional(&session.filter, None))?;
        Ok(Self {
            session_id: session.session_id.clone(),
            filter: filter.map(|filter| CompiledFilter::compile(&filter, projection)),
            sample: Sample::one_of(session.sample),
            written: Written::compile(&session.output(), &session.dataset, schema, projection),
            empty: session.empty_record().into_bytes(),
        })
    }

    fn write(&self, line: &[u8], fields: &[Option<&[u8]>], out: &mut Vec<u8>) {
        match &self.written {
            Written::Shaped(shape) if shape.is_of_chosen_fields() || !is_empty(line) => {
                shape.write(line, fields, out);
            }
            // There is no member that the comma before `sampleInterval` could follow.
            _ => out.extend_from_slice(&self.empty),
        }
    }
}

fn is_empty(line: &[u8]) -> bool {
    json::inside(line).is_none_or(|inside| inside.trim_ascii().is_empty())
}

/// What one session is shown of one batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tailed {
    /// Records, each as a line.
    pub lines: Vec<u8>,
    /// How many lines that is.
    pub records: u64,
    /// Records that were selected and are not shown, because they are too many bytes.
    pub lost: u64,
    is_full: bool,
}

impl Tailed {
    /// Adds a record, or counts it as lost when there is no room. The first one without room is the last one that is looked
    /// at: from there on all are counted and none is written out.
    pub(super) fn take(
        &mut self,
        tail: &TailRoute,
        line: &[u8],
        fields: &[Option<&[u8]>],
        max_bytes: usize,
    ) {
        if self.is_full {
            self.lost += 1;
            return;
        }
        let before = self.lines.len();
        tail.write(line, fields, &mut self.lines);
        if self.lines.len() <= max_bytes {
            self.records += 1;
            return;
        }
        self.lines.truncate(before);
        self.lost += 1;
        self.is_full = true;
    }
}

#[cfg(test)]
mod tests {
    use crate::batch::projection::Projection;
    use crate::batch::reader::Reader;
    use crate::logpush::instant_logs::{Session, SessionId};
    use crate::logpush::scope::{Scope, ScopeKind};
    use crate::route::{JobRoute, Keep, Router, Routes, Selection, TailRoute, Tailed, Written};

    fn session(fields: &[&str], filter: &str, sample: u64) -> Session {
        Session {
            id: 1,
            session_id: SessionId::new(&[1; 16]),
            scope: Scope::new(ScopeKind::Zone, "z1").unwrap(),
            dataset: "dns_logs".into(),
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
            filter: filter.into(),
            sample,
            created_at_millis: 0,
            ends_at_millis: 1,
        }
    }

    fn routes(sessions: &[Session], keep: Keep) -> Routes {
        let mut projection = Projection::new();
        let tails = sessions
            .iter()
            .map(|session| TailRoute::compile(session, None, &mut projection).unwrap())
            .collect();
        let job = JobRoute {
            job_id: 1,
            filter: None,
            sample: None,
            written: Written::AsItCame,
            assembly: None,
            keep,
            segment_max_records: 100,
        };
        Routes::new(projection, Vec::new(), vec![job], Vec::new()).with_tails(tails)
    }

    fn routed(body: &str, routes: &Routes, tail_budget: usize) -> (Vec<Selection>, Vec<Tailed>) {
        let mut router = Router::new(routes, 1 << 20);
        router.tail_budget = tail_budget;
        let (mut reader, mut window) = (Reader::new(), Vec::new());
        reader.feed(
            body.as_bytes(),
            &mut window,
            &routes.projection,
            &mut router,
        );
        reader.finish(&mut window, &routes.projection, &mut router);
        let tailed = router.take_tailed();
        (router.selections, tailed)
    }

    const BODY: &str = "{\"A\":1,\"B\":\"x\"}\n{}\n{\"B\":\"y\"} \nbad\n{\"A\":2}\n";

    #[test]
    fn sessions_get_their_fields_of_what_their_filter_selects_and_each_says_its_interval() {
        let filter = r#"{"where":{"key":"B","operator":"eq","value":"x"}}"#;
        let sessions = [session(&[], "", 1), session(&["B", "A"], filter, 1)];
        let (_, tailed) = routed(BODY, &routes(&sessions, Keep::Copy), 1 << 20);
        let texts: Vec<_> = tailed
            .iter()
            .map(|one| String::from_utf8_lossy(&one.lines).into_owned())
            .collect();
        assert_eq!(
            texts,
            [
                "{\"A\":1,\"B\":\"x\",\"sampleInterval\":1}\n{\"sampleInterval\":1}\n{\"B\":\"y\",\"sampleInterval\":1}\n\
                 {\"A\":2,\"sampleInterval\":1}\n",
                "{\"B\":\"x\",\"A\":1,\"sampleInterval\":1}\n",
            ]
        );
        assert_eq!([tailed[0].records, tailed[1].records], [4, 1]);
        for line in texts.concat().lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
    }

    #[test]
    fn a_job_is_none_the_wiser() {
        let sessions = [session(&["A"], "", 1), session(&[], "", 3)];
        for keep in [Keep::Copy, Keep::Reference] {
            let alone = routed(BODY, &routes(&[], keep), 0).0;
            let watched = routed(BODY, &routes(&sessions, keep), 1 << 20).0;
            let figures = |selections: &[Selection]| -> Vec<_> {
                let bytes = |one: &Selection| one.payload.blocks().collect::<Vec<_>>().concat();
                let one = selections.iter();
                one.map(|one| (one.records, one.bytes, bytes(one)))
                    .collect()
            };
            assert_eq!(figures(&alone), figures(&watched));
        }
    }

    #[test]
    fn a_sample_is_a_part_of_what_there_is_and_the_interval_says_which() {
        let body: String = (0..2_000).map(|n| format!("{{\"A\":{n}}}\n")).collect();
        let (_, tailed) = routed(&body, &routes(&[session(&[], "", 10)], Keep::Copy), 1 << 20);
        // Five standard deviations around 200.
        assert!(
            (133..267).contains(&tailed[0].records),
            "{}",
            tailed[0].records
        );
        let text = String::from_utf8_lossy(&tailed[0].lines);
        assert!(
            text.lines()
                .all(|line| line.ends_with(",\"sampleInterval\":10}"))
        );
        assert_eq!(tailed[0].lost, 0);
    }

    #[test]
    fn what_does_not_fit_is_counted_to_the_last_record() {
        let body: String = (0..100)
            .map(|n| format!("{{\"A\":{}}}\n", n + 100))
            .collect();
        let line = "{\"A\":100,\"sampleInterval\":1}\n".len();
        let routes = routes(&[session(&[], "", 1)], Keep::Copy);
        for (budget, shown) in [
            (0, 0),
            (line - 1, 0),
            (line, 1),
            (10 * line + 3, 10),
            (1 << 20, 100),
        ] {
            let (selections, tailed) = routed(&body, &routes, budget);
            assert_eq!(
                (tailed[0].records, tailed[0].lost),
                (shown, 100 - shown),
                "{budget}"
            );
            assert_eq!(tailed[0].lines.len(), shown as usize * line);
            assert_eq!(selections[0].records, 100);
        }
    }
}
