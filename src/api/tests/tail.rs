//! Instant Logs, over sessions in memory.

use super::*;
use crate::logpush::instant_logs::{Session, SessionId};
use crate::logpush::scope::ScopeKind;

const ZONE: &str = "/client/v4/zones/z1/logpush/edge";
const MOST: usize = 2;

#[derive(Default)]
struct Sessions {
    open: RefCell<Vec<Session>>,
    is_broken: Cell<bool>,
}

impl Sessions {
    fn check(&self) -> Result<(), StoreError> {
        let text = "gone".to_owned();
        if self.is_broken.get() {
            Err(StoreError { text })
        } else {
            Ok(())
        }
    }
}

impl SessionStore for Sessions {
    async fn list(&self, scope: &Scope) -> Result<Vec<Session>, StoreError> {
        self.check()?;
        let open = self.open.borrow();
        Ok(open
            .iter()
            .filter(|one| one.scope == *scope)
            .cloned()
            .collect())
    }

    async fn open(&self, session: Session) -> Result<Opened, StoreError> {
        self.check()?;
        let mut open = self.open.borrow_mut();
        if open.len() >= MOST {
            return Ok(Opened::DatasetFull(MOST));
        }
        let id = open.len() as u64 + 1;
        let session = Session { id, ..session };
        open.push(session.clone());
        Ok(Opened::Open(session))
    }

    async fn end(&self, scope: &Scope, id: u64) -> Result<bool, StoreError> {
        self.check()?;
        let mut open = self.open.borrow_mut();
        let before = open.len();
        open.retain(|one| one.scope != *scope || one.id != id);
        Ok(open.len() < before)
    }
}

fn asked(store: &Sessions, access: Access, method: &str, path: &str, body: Value) -> ApiResponse {
    let route = match EdgeRoute::parse(method, path).expect("a path of Instant Logs") {
        Ok(route) => route,
        Err(error) => return error.into(),
    };
    let services = EdgeServices {
        store,
        rules: &Rules,
        session_id: SessionId::new(&[7; 16]),
        base: "wss://edge.example.com".to_owned(),
        now_millis: 1_800_000_000_000,
        session_secs: 3_600,
    };
    now(handle_edge(
        &route,
        access,
        body.to_string().as_bytes(),
        &services,
    ))
}

#[test]
fn both_spellings_of_the_path_mean_the_same_for_zones_and_accounts() {
    let table = [
        ("GET", "", EdgeCall::List),
        ("POST", "", EdgeCall::Create),
        ("DELETE", "/7", EdgeCall::End(7)),
    ];
    for (method, rest, call) in table {
        for (kind, base) in [(ScopeKind::Zone, "zones"), (ScopeKind::Account, "accounts")] {
            for spelling in ["edge", "edge/jobs"] {
                let path = format!("/client/v4/{base}/x1/logpush/{spelling}{rest}");
                let scope = Scope::new(kind, "x1").unwrap();
                assert_eq!(
                    EdgeRoute::parse(method, &path),
                    Some(Ok(EdgeRoute { scope, call })),
                    "{path}"
                );
            }
        }
    }
}

#[test]
fn a_path_that_is_near_is_no_route_and_a_wrong_method_says_which_are_right() {
    for (method, rest, allowed) in [
        ("PUT", "", "GET, POST"),
        ("DELETE", "/jobs", "GET, POST"),
        ("GET", "/jobs/7", "DELETE"),
    ] {
        let answer = EdgeRoute::parse(method, &format!("{ZONE}{rest}"));
        assert_eq!(
            answer,
            Some(Err(ApiError::MethodNotAllowed { allowed })),
            "{method} {rest}"
        );
    }
    for rest in [
        "/",
        "/jobs/",
        "/jobs/x",
        "/jobs/+7",
        "/jobs/7/x",
        "/x",
        "/jobs/99999999999999999999",
    ] {
        let answer = EdgeRoute::parse("DELETE", &format!("{ZONE}{rest}"));
        assert_eq!(answer, Some(Err(ApiError::NoRoute)), "{rest}");
    }
    for path in [
        "/client/v4/zones/z1/logpush/jobs",
        "/client/v4/users/z1/logpush/edge",
        "/client/v4/zones/z%201/logpush/edge",
        "/x",
    ] {
        assert_eq!(EdgeRoute::parse("GET", path), None, "{path}");
    }
}

#[test]
fn a_session_is_opened_listed_and_ended_with_a_read_token() {
    let store = Sessions::default();
    let body =
        json!({"dataset": "dns_logs", "fields": "QueryName", "sample": 5, "kind": "instant-logs"});
    let opened = asked(&store, Access::Read, "POST", ZONE, body);
    assert_eq!(opened.status, 200);
    let session = &opened.body["result"];
    let url = "wss://edge.example.com/instant-logs/ws/sessions/07070707070707070707070707070707";
    assert_eq!(
        (
            &session["id"],
            &session["sample"],
            &session["destination_conf"]
        ),
        (&json!(1), &json!(5), &json!(url))
    );
    assert_eq!(
        asked(&store, Access::Read, "GET", ZONE, json!({})).body["result"],
        json!([session])
    );
    let elsewhere = "/client/v4/zones/z2/logpush/edge/jobs";
    assert_eq!(
        asked(&store, Access::Read, "GET", elsewhere, json!({})).body["result"],
        json!([])
    );
    assert_eq!(
        asked(
            &store,
            Access::Read,
            "DELETE",
            &format!("{elsewhere}/1"),
            json!({})
        )
        .status,
        404
    );
    assert_eq!(
        asked(
            &store,
            Access::Read,
            "DELETE",
            &format!("{ZONE}/1"),
            json!({})
        )
        .body["result"],
        json!({"id": 1})
    );
    assert_eq!(
        asked(
            &store,
            Access::Read,
            "DELETE",
            &format!("{ZONE}/1"),
            json!({})
        )
        .body["errors"][0]["code"],
        1006
    );
}

#[test]
fn what_can_not_be_opened_is_refused_with_what_to_do() {
    let store = Sessions::default();
    let refused = |body: Value| {
        let answer = asked(&store, Access::Write, "POST", ZONE, body);
        let error = answer.body["errors"][0].clone();
        (
            answer.status,
            error["code"].as_u64().unwrap(),
            error["message"].as_str().unwrap().to_owned(),
        )
    };
    for (body, beginning) in [
        (json!({"dataset": "nope"}), "dataset: "),
        (json!({"filter": "forbidden"}), "filter: "),
        (
            json!({"fields": "RayId"}),
            "fields: http_requests has no field `RayId`; did you mean `RayID`?",
        ),
        (json!({"sample": 0}), "sample: "),
        (json!(7), "body: "),
    ] {
        let (status, code, text) = refused(body.clone());
        assert_eq!((status, code), (400, 1002), "{body}");
        assert!(text.starts_with(beginning), "{body}: {text}");
    }
    assert!(store.open.borrow().is_empty());
    for _ in 0..MOST {
        assert_eq!(
            asked(&store, Access::Write, "POST", ZONE, json!({})).status,
            200
        );
    }
    let (status, code, text) = refused(json!({}));
    assert_eq!((status, code), (400, 1010));
    assert!(text.contains("this dataset has 2 sessions"), "{text}");
    assert_eq!(
        asked(&store, Access::None, "GET", ZONE, json!({})).status,
        401
    );
    store.is_broken.set(true);
    assert_eq!(
        asked(&store, Access::Write, "POST", ZONE, json!({})).status,
        503
    );
}
