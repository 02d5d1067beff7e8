use super::*;

const NOW: u64 = 1_800_000_000;
const TEAM: &str = "team.cloudflareaccess.com";
const ISSUER: &str = "https://team.cloudflareaccess.com";

fn settings(writers: &str) -> AccessSettings {
    AccessSettings::read(Some(TEAM), Some("aud-1, aud-2"), Some(writers), false)
        .unwrap()
        .unwrap()
}

fn token(header: &str, claims: &str) -> String {
    let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    format!(
        "{}.{}.{}",
        encode(header),
        encode(claims),
        encode("signature")
    )
}

fn claims(text: &str) -> AccessClaims {
    let token = token(r#"{"alg":"RS256","kid":"k"}"#, text);
    AccessToken::read(&token).unwrap().claims
}

#[test]
fn a_token_is_taken_apart_and_only_rs256_is_looked_at() {
    let body = r#"{"aud":["aud-1"],"iss":"i","exp":1,"nbf":0,"email":"a@example.com"}"#;
    let text = token(r#"{"alg":"RS256","kid":"k","typ":"JWT"}"#, body);
    let read = AccessToken::read(&text).unwrap();
    assert_eq!(
        (read.kid.as_str(), read.signature.as_slice()),
        ("k", &b"signature"[..])
    );
    assert_eq!(read.signed, text.rsplit_once('.').unwrap().0);
    assert_eq!(read.claims.email.as_deref(), Some("a@example.com"));
    for header in [
        r#"{"alg":"none","kid":"k"}"#,
        r#"{"alg":"HS256","kid":"k"}"#,
        r#"{"alg":"RS512","kid":"k"}"#,
        r#"{"alg":"rs256","kid":"k"}"#,
        r#"{"alg":"RS256","kid":"k","crit":["exp"]}"#,
    ] {
        let refused = AccessToken::read(&token(header, body)).unwrap_err();
        assert_eq!(refused, AccessRefusal::Algorithm, "{header}");
    }
}

#[test]
fn what_is_no_token_is_refused_without_a_word_of_it() {
    let header = r#"{"alg":"RS256","kid":"k"}"#;
    let long = format!(
        r#"{{"aud":"a","iss":"i","exp":1,"email":"{}"}}"#,
        "a".repeat(16_384)
    );
    for text in [
        String::new(),
        "a.b".to_owned(),
        "a.b.c".to_owned(),
        "..".to_owned(),
        token(r#"{"alg":"RS256"}"#, r#"{"aud":"a","iss":"i","exp":1}"#),
        token(
            r#"{"alg":"RS256","kid":""}"#,
            r#"{"aud":"a","iss":"i","exp":1}"#,
        ),
        token(header, r#"{"aud":"a","iss":"i"}"#),
        token(header, r#"{"aud":"a","exp":1}"#),
        token(header, r#"{"iss":"i","exp":1}"#),
        token(header, r#"{"aud":"a","iss":"i","exp":"soon"}"#),
        token(header, "[]"),
        format!("{}=", token(header, r#"{"aud":"a","iss":"i","exp":1}"#)),
        format!("{}.x", token(header, r#"{"aud":"a","iss":"i","exp":1}"#)),
        token(header, &long),
    ] {
        let refused = AccessToken::read(&text).unwrap_err();
        assert_eq!(refused, AccessRefusal::NoToken, "{text}");
        assert_eq!(
            refused.to_string(),
            "Cloudflare Access: Cf-Access-Jwt-Assertion is no JSON Web Token"
        );
    }
}

/// `aud`, `iss`, `exp`, how far `nbf` is from now, and what comes of it.
type Case = (
    &'static str,
    &'static str,
    u64,
    Option<i64>,
    Result<(), AccessRefusal>,
);

#[test]
fn a_token_must_be_for_us_from_our_team_and_valid_now_give_or_take_a_minute() {
    let table: [Case; 14] = [
        (r#"["aud-1"]"#, ISSUER, NOW + 1, Some(0), Ok(())),
        (r#""aud-2""#, ISSUER, NOW + 1, None, Ok(())),
        (r#"["x","aud-2"]"#, ISSUER, NOW + 1, None, Ok(())),
        (
            r#"["aud-1, aud-2"]"#,
            ISSUER,
            NOW + 1,
            None,
            Err(AccessRefusal::Audience),
        ),
        (
            r#"["aud"]"#,
            ISSUER,
            NOW + 1,
            None,
            Err(AccessRefusal::Audience),
        ),
        ("[]", ISSUER, NOW + 1, None, Err(AccessRefusal::Audience)),
        (
            r#""aud-1""#,
            "https://other.cloudflareaccess.com",
            NOW + 1,
            None,
            Err(AccessRefusal::Issuer),
        ),
        (
            r#""aud-1""#,
            "https://team.cloudflareaccess.com/",
            NOW + 1,
            None,
            Err(AccessRefusal::Issuer),
        ),
        (
            r#""aud-1""#,
            TEAM,
            NOW + 1,
            None,
            Err(AccessRefusal::Issuer),
        ),
        (r#""aud-1""#, ISSUER, NOW - 59, None, Ok(())),
        (
            r#""aud-1""#,
            ISSUER,
            NOW - 60,
            None,
            Err(AccessRefusal::Expired),
        ),
        (r#""aud-1""#, ISSUER, 0, None, Err(AccessRefusal::Expired)),
        (r#""aud-1""#, ISSUER, NOW + 100, Some(60), Ok(())),
        (
            r#""aud-1""#,
            ISSUER,
            NOW + 100,
            Some(61),
            Err(AccessRefusal::NotYet),
        ),
    ];
    for (aud, iss, exp, starts_in, expected) in table {
        let nbf = starts_in.map_or(String::new(), |secs| {
            format!(r#","nbf":{}"#, NOW as i64 + secs)
        });
        let text = format!(r#"{{"aud":{aud},"iss":"{iss}","exp":{exp}{nbf}}}"#);
        assert_eq!(settings("").check(&claims(&text), NOW), expected, "{text}");
    }
}

#[test]
fn who_is_not_named_may_only_read() {
    let of = |who: &str| claims(&format!(r#"{{"aud":"a","iss":"i","exp":1{who}}}"#));
    let anna = of(r#","email":"Anna@Example.com""#);
    let client = of(r#","common_name":"e36.access","sub":"""#);
    let nobody = of("");
    let table = [
        ("", &anna, Access::Read),
        ("anna@example.com", &anna, Access::Write),
        (" x@y.z , ANNA@example.COM ", &anna, Access::Write),
        ("@example.com", &anna, Access::Write),
        ("@ple.com", &anna, Access::Read),
        ("@other.com", &anna, Access::Read),
        ("example.com", &anna, Access::Read),
        ("*", &anna, Access::Write),
        ("e36.access", &client, Access::Write),
        ("E36.access", &client, Access::Read),
        ("@example.com", &client, Access::Read),
        ("*", &client, Access::Write),
        (",, ,", &nobody, Access::Read),
        ("@", &nobody, Access::Read),
    ];
    for (writers, who, expected) in table {
        assert_eq!(settings(writers).may(who), expected, "{writers:?} {who:?}");
    }
}

#[test]
fn the_variables_name_a_team_and_an_application_or_say_what_is_missing() {
    let read = |team: Option<&str>, aud: Option<&str>, private: bool| {
        AccessSettings::read(team, aud, None, private)
            .map(|settings| settings.map(|it| it.certs_url()))
            .map_err(|refusal| refusal.to_string())
    };
    assert_eq!(read(None, None, false), Ok(None));
    assert_eq!(read(Some(" "), Some(" , "), false), Ok(None));
    let certs = "https://team.cloudflareaccess.com/cdn-cgi/access/certs".to_owned();
    for team in [
        TEAM,
        ISSUER,
        "https://team.cloudflareaccess.com/",
        " TEAM.cloudflareaccess.com ",
    ] {
        assert_eq!(
            read(Some(team), Some("a"), false),
            Ok(Some(certs.clone())),
            "{team}"
        );
    }
    for (team, aud, private, says) in [
        (Some(TEAM), None, false, "ACCESS_AUD is not set"),
        (None, Some("a"), false, "ACCESS_TEAM_DOMAIN is not set"),
        (Some("team"), Some("a"), false, "must be a host"),
        (
            Some("http://team.cloudflareaccess.com"),
            Some("a"),
            true,
            "must be a host",
        ),
        (
            Some("https://team.cloudflareaccess.com/x"),
            Some("a"),
            false,
            "must be a host",
        ),
        (
            Some("https://team.cloudflareaccess.com:8443"),
            Some("a"),
            false,
            "must be a host",
        ),
        (
            Some("https://u@team.cloudflareaccess.com"),
            Some("a"),
            false,
            "must be a host",
        ),
        (Some("127.0.0.1"), Some("a"), true, "must be a host"),
        (
            Some("http://127.0.0.1:9000"),
            Some("a"),
            false,
            "must be a host",
        ),
        (
            Some("http://10.0.0.1:9000"),
            Some("a"),
            true,
            "must be a host",
        ),
    ] {
        let refused = read(team, aud, private).unwrap_err();
        assert!(refused.contains(says), "{team:?} {aud:?}: {refused}");
    }
    let here = read(Some("http://127.0.0.1:9000"), Some("a"), true).unwrap();
    assert_eq!(
        here.as_deref(),
        Some("http://127.0.0.1:9000/cdn-cgi/access/certs")
    );
}

#[test]
fn of_what_is_published_only_usable_keys_are_taken() {
    let n = BASE64_URL_SAFE_NO_PAD.encode([0xc5; 256]);
    let short = BASE64_URL_SAFE_NO_PAD.encode([0xc5; 128]);
    let body = format!(
        r#"{{"keys":[
            {{"kid":"one","kty":"RSA","alg":"RS256","use":"sig","e":"AQAB","n":"{n}"}},
            {{"kid":"two","kty":"RSA","e":"AQAB","n":"{n}"}},
            {{"kid":"weak","kty":"RSA","e":"AQAB","n":"{short}"}},
            {{"kid":"other","kty":"RSA","alg":"RS512","e":"AQAB","n":"{n}"}},
            {{"kid":"enc","kty":"RSA","use":"enc","e":"AQAB","n":"{n}"}},
            {{"kid":"oct","kty":"oct","k":"AAAA"}},
            {{"kid":"","kty":"RSA","e":"AQAB","n":"{n}"}},
            {{"kty":"RSA","e":"AQAB","n":"{n}"}}, 7
        ],"public_certs":[]}}"#
    );
    let keys = access_keys(body.as_bytes()).unwrap();
    let names: Vec<&str> = keys.iter().map(|key| key.kid.as_str()).collect();
    assert_eq!(names, ["one", "two"]);
    assert_eq!(
        (keys[0].n.as_str(), keys[0].e.as_str()),
        (n.as_str(), "AQAB")
    );
    for (body, says) in [
        ("<html>", "no set of keys"),
        ("{}", "no set of keys"),
        (r#"{"keys":[]}"#, "no RSA key"),
    ] {
        assert!(
            access_keys(body.as_bytes()).unwrap_err().contains(says),
            "{body}"
        );
    }
}

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

#[test]
fn keys_are_read_once_an_hour_and_anew_when_one_is_not_among_them() {
    let mut cache = KeyCache::default();
    assert_eq!(cache.plan("a", 0), KeyPlan::Read(None));
    cache.keep(vec![("a".to_owned(), 1)], 0);
    assert_eq!(cache.plan("a", HOUR - 1), KeyPlan::Use(1));
    assert_eq!(cache.plan("b", HOUR - 1), KeyPlan::Read(None));
    cache.keep(vec![("b".to_owned(), 2), ("a".to_owned(), 1)], HOUR - 1);
    assert_eq!(cache.plan("b", HOUR), KeyPlan::Use(2));
    assert_eq!(cache.plan("a", 2 * HOUR), KeyPlan::Read(Some(1)));
    cache.keep(vec![("b".to_owned(), 2)], 2 * HOUR);
    assert_eq!(
        cache.plan("a", 2 * HOUR),
        KeyPlan::Read(None),
        "a key that is gone is not used"
    );
}

#[test]
fn made_up_key_ids_cost_ten_reads_a_minute_and_do_not_keep_good_ones_out() {
    let mut cache = KeyCache::default();
    cache.keep(vec![("good".to_owned(), 1)], 0);
    let mut reads = 0;
    for n in 0..1_000 {
        match cache.plan(&format!("made-up-{n}"), n) {
            KeyPlan::Read(None) => reads += 1,
            plan => assert_eq!(plan, KeyPlan::Unknown),
        }
        assert_eq!(cache.plan("good", n), KeyPlan::Use(1));
    }
    assert_eq!(reads, 10);
    assert_eq!(
        cache.plan("made-up", MINUTE),
        KeyPlan::Read(None),
        "a minute later"
    );
}

#[test]
fn while_the_published_keys_can_not_be_read_known_ones_are_used_for_a_day() {
    let mut cache = KeyCache::default();
    cache.keep(vec![("a".to_owned(), 1)], 0);
    assert_eq!(cache.plan("a", HOUR), KeyPlan::Read(Some(1)));
    assert_eq!(
        cache.plan("a", HOUR + 1),
        KeyPlan::Use(1),
        "one try a minute"
    );
    assert_eq!(cache.plan("a", HOUR + MINUTE), KeyPlan::Read(Some(1)));
    assert_eq!(cache.plan("a", 24 * HOUR - 1), KeyPlan::Read(Some(1)));
    assert_eq!(cache.plan("a", 24 * HOUR + MINUTE), KeyPlan::Read(None));
    for _ in 1..10 {
        assert_eq!(cache.plan("a", 24 * HOUR + MINUTE), KeyPlan::Read(None));
    }
    assert_eq!(cache.plan("a", 24 * HOUR + MINUTE), KeyPlan::Wait);
}

#[test]
fn another_origins_page_can_neither_change_anything_nor_listen() {
    let own_origin = "https://logs.example.com";
    let table = [
        ("GET", false, Some("cross-site"), None, true),
        (
            "HEAD",
            false,
            Some("cross-site"),
            Some("https://evil.example"),
            true,
        ),
        (
            "GET",
            true,
            Some("cross-site"),
            Some("https://evil.example"),
            false,
        ),
        ("GET", true, None, Some("https://evil.example"), false),
        ("GET", true, None, Some(own_origin), true),
        ("GET", true, None, None, true),
        ("POST", false, Some("same-origin"), Some(own_origin), true),
        ("POST", false, Some("none"), None, true),
        (
            "POST",
            false,
            Some("same-site"),
            Some("https://other.example.com"),
            false,
        ),
        ("POST", false, Some("cross-site"), None, false),
        ("POST", false, Some("cross-site"), Some(own_origin), false),
        ("DELETE", false, None, Some("null"), false),
        (
            "PUT",
            false,
            None,
            Some("https://logs.example.com.evil.example"),
            false,
        ),
        ("PUT", false, None, Some("http://logs.example.com"), false),
        ("PUT", false, None, Some(own_origin), true),
        ("POST", false, None, None, true),
    ];
    for (method, is_web_socket, fetch_site, origin, expected) in table {
        let from = CameFrom {
            method,
            is_web_socket,
            fetch_site,
            origin,
            own_origin,
        };
        assert_eq!(from.is_meant(), expected, "{from:?}");
    }
}
