//! Who is let in, where, and what they are told.

use crate::harness::{ALICE, Answer, BASIC, Running};

const HEADER: &str = "[[instance]]\nname = \"key\"\nusername = \"_header:X-Api-Key\"\npassword = \"s3cret\"\n";

fn with_authorization(running: &Running, value: &str) -> Answer {
    running.request("POST", "/instance/execute/in", &[("Authorization", value)], b"{}")
}

#[test]
fn an_event_is_stored_and_named_in_the_answer() {
    let running = Running::start(BASIC);
    let answer = running.post(r#"{"name":"n","type":"t","occurred":"2026-01-31T10:00:00+02:00","rawJson":{"a":1}}"#);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let json = answer.json();
    assert_eq!(json.as_array().unwrap().len(), 1);
    let first = &json[0];
    assert_eq!(first["name"], "n");
    assert_eq!(first["type"], "t");
    assert_eq!(first["occurred"], "2026-01-31T08:00:00Z");
    assert_eq!(first["instance"], "in");
    let id = first["id"].as_str().unwrap();
    let stored = running.admin(&format!("/api/v1/incidents/{id}")).json();
    assert_eq!(stored["id"], id);
    assert_eq!(stored["created"], first["created"]);
    assert_eq!(stored["rawJson"]["a"], 1);
    assert_eq!(stored["rawJson"]["headers"]["host"], "test");
    assert!(stored["rawJson"]["headers"].get("authorization").is_none());
}

#[test]
fn the_alias_of_xsoar_works() {
    let running = Running::start(BASIC);
    assert_eq!(running.request("POST", "/xsoar/instance/execute/in", &[ALICE], b"{}").ids().len(), 1);
    assert_eq!(running.request("POST", "/instance/execute/in?a=b", &[ALICE], b"{}").ids().len(), 1);
}

#[test]
fn an_instance_of_its_own_port_is_reached_at_the_root_and_nothing_else_is() {
    let running = Running::start(&format!(
        "{BASIC}listen = \"127.0.0.1:0\"\n[[instance]]\nname = \"other\"\nusername = \"alice\"\npassword = \"secret\"\n"
    ));
    let own = running.own_address("in");
    let post = |path| crate::harness::request(own, "POST", path, &[ALICE], b"{}");
    assert_eq!(post("/").json()[0]["instance"], "in");
    assert_eq!(post("/instance/execute/in").status, 200);
    assert_eq!(post("/instance/execute/other").status, 401);
    assert_eq!(running.request("POST", "/", &[ALICE], b"{}").status, 404);
}

#[test]
fn a_wrong_password_and_an_unknown_instance_look_the_same() {
    let running = Running::start(BASIC);
    let wrong = with_authorization(&running, "Basic YWxpY2U6d3Jvbmc=");
    let unknown = running.request("POST", "/instance/execute/nobody", &[ALICE], b"{}");
    for answer in [&wrong, &unknown] {
        assert_eq!(answer.status, 401);
        assert_eq!(answer.text(), "Authorization failed.\n");
        assert!(answer.header("www-authenticate").unwrap().starts_with("Basic realm="));
    }
    let names = |answer: &Answer| answer.headers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&wrong), names(&unknown));
    assert!(running.incidents().is_empty());
}

#[test]
fn basic_credentials_in_all_their_corners() {
    let running = Running::start(BASIC);
    for good in ["Basic YWxpY2U6c2VjcmV0", "basic YWxpY2U6c2VjcmV0", "BASIC   YWxpY2U6c2VjcmV0"] {
        assert_eq!(with_authorization(&running, good).status, 200, "{good}");
    }
    let bad = [
        "",
        "Basic",
        "Basic ",
        "Basic !!!!",
        "Basic YWxpY2U6c2VjcmV0=",
        "Basic YWxpY2U6c2VjcmU",
        "Basic YWxpY2U=",
        "Basic /////w==",
        "Bearer YWxpY2U6c2VjcmV0",
        "YWxpY2U6c2VjcmV0",
        "Basic YWxpY2U6c2VjcmV0 x",
        "Basic YWxpY2U6c2VjcmV0Cg==",
        "Basic QWxpY2U6c2VjcmV0",
    ];
    for value in bad {
        let answer = with_authorization(&running, value);
        assert_eq!((answer.status, answer.text().as_str()), (401, "Authorization failed.\n"), "{value}");
    }
    let twice = running.request("POST", "/instance/execute/in", &[ALICE, ALICE], b"{}");
    assert_eq!(twice.status, 401);
    assert_eq!(running.request("POST", "/instance/execute/in", &[], b"{}").status, 401);
}

#[test]
fn a_password_may_hold_colons_and_any_utf8() {
    // alice:pä:ss:
    let running = Running::start("[[instance]]\nname = \"in\"\nusername = \"alice\"\npassword = \"pä:ss:\"\n");
    assert_eq!(with_authorization(&running, "Basic YWxpY2U6cMOkOnNzOg==").status, 200);
}

#[test]
fn a_secret_header_is_compared_as_sent() {
    let running = Running::start(HEADER);
    let post = |headers: &[(&str, &str)]| running.request("POST", "/instance/execute/key", headers, b"{}");
    assert_eq!(post(&[("x-api-KEY", "s3cret")]).status, 200);
    for headers in [&[][..], &[("X-Api-Key", "S3cret")], &[("X-Api-Key", "s3cret ,")], &[("X-Api-Key", "s3cret"), ("X-Api-Key", "s3cret")]]
    {
        let answer = post(headers);
        assert_eq!(answer.status, 401, "{headers:?}");
        assert_eq!(answer.header("www-authenticate"), None);
    }
    let stored = &running.incidents()[0]["rawJson"]["headers"];
    assert!(stored.get("x-api-key").is_none(), "{stored}");
}

#[test]
fn the_documented_authorization_headers_work() {
    for secret in ["Basic MYIvOkEyMw==", "Bearer XXX"] {
        let running =
            Running::start(&format!("[[instance]]\nname = \"in\"\nusername = \"_header:Authorization\"\npassword = \"{secret}\"\n"));
        assert_eq!(with_authorization(&running, secret).status, 200);
        assert_eq!(with_authorization(&running, "Bearer XXY").status, 401);
    }
}

#[test]
fn both_passwords_are_accepted_while_they_are_rotated() {
    let running = Running::start(&format!("{BASIC}password_next = \"newer\"\n"));
    assert_eq!(with_authorization(&running, "Basic YWxpY2U6c2VjcmV0").status, 200);
    assert_eq!(with_authorization(&running, "Basic YWxpY2U6bmV3ZXI=").status, 200);
    assert_eq!(with_authorization(&running, "Basic YWxpY2U6").status, 401);
}

#[test]
fn an_argon2_password_is_verified() {
    let hash = hookgate::auth::hash_password(&hookgate::secret::Secret::new("secret".into())).unwrap();
    let running = Running::start(&format!("[[instance]]\nname = \"in\"\nusername = \"alice\"\npassword = '{hash}'\n"));
    for _ in 0..3 {
        assert_eq!(running.post("{}").status, 200);
        assert_eq!(with_authorization(&running, "Basic YWxpY2U6d3Jvbmc=").status, 401);
    }
}

#[test]
fn an_open_instance_needs_no_credentials() {
    let running = Running::start("[[instance]]\nname = \"in\"\nallow_unauthenticated = true\n");
    assert_eq!(running.request("POST", "/instance/execute/in", &[], b"{}").status, 200);
}

#[test]
fn reachability_probes_need_credentials_and_store_nothing() {
    let running = Running::start(BASIC);
    for method in ["GET", "HEAD"] {
        let answer = running.request(method, "/instance/execute/in", &[ALICE], b"");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body.is_empty(), method == "HEAD");
        assert_eq!(running.request(method, "/instance/execute/in", &[], b"").status, 401);
    }
    assert!(running.incidents().is_empty());
}

#[test]
fn other_methods_and_paths_are_told_what_would_work() {
    let running = Running::start(BASIC);
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
        for name in ["in", "nobody"] {
            let answer = running.request(method, &format!("/instance/execute/{name}"), &[ALICE], b"");
            assert_eq!(answer.status, 405, "{method}");
            assert_eq!(answer.header("allow"), Some("GET, HEAD, POST"));
        }
    }
    for path in ["/", "/instance/execute/", "/instance/execute", "/instance/execute/in/and/more", "/instance/execute/in%20", "/favicon.ico"]
    {
        assert_eq!(running.request("POST", path, &[ALICE], b"{}").status, 404, "{path}");
    }
}

#[test]
fn errors_are_problem_details_for_those_who_ask() {
    let running = Running::start(BASIC);
    let answer = running.request("POST", "/instance/execute/in", &[("Accept", "application/json")], b"{}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let problem = answer.json();
    assert_eq!((problem["status"].as_u64(), problem["detail"].as_str()), (Some(401), Some("Authorization failed.")));
    let plain = running.request("POST", "/instance/execute/in", &[("Accept", "*/*")], b"{}");
    assert_eq!(plain.header("content-type"), Some("text/plain; charset=utf-8"));
}

#[test]
fn failed_logins_are_throttled_per_instance_before_anything_is_looked_at() {
    let two = format!("{BASIC}{HEADER}");
    let running = Running::start_with("failed_logins_per_minute = 3", &two);
    for _ in 0..3 {
        assert_eq!(with_authorization(&running, "Basic YWxpY2U6d3Jvbmc=").status, 401);
    }
    for _ in 0..2 {
        let throttled = running.post("{}");
        assert_eq!(throttled.status, 429);
        let wait: u64 = throttled.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
    }
    let other = running.request("POST", "/instance/execute/key", &[("X-Api-Key", "s3cret")], b"{}");
    assert_eq!(other.status, 200);
}

#[test]
fn behind_a_trusted_proxy_each_client_has_its_own_throttle() {
    let running = Running::start_with("failed_logins_per_minute = 1\ntrusted_proxies = [\"127.0.0.1\"]", BASIC);
    let from = |client, password| {
        let headers = [("x-forwarded-for", client), ("authorization", password)];
        running.request("POST", "/instance/execute/in", &headers, b"{}").status
    };
    assert_eq!(from("203.0.113.1", "Basic YWxpY2U6d3Jvbmc="), 401);
    assert_eq!(from("203.0.113.1", ALICE.1), 429);
    assert_eq!(from("203.0.113.2", ALICE.1), 200);
    assert_eq!(from("198.51.100.7, 203.0.113.1", ALICE.1), 429);
}

#[test]
fn the_operator_learns_the_true_reason() {
    let running = Running::start(BASIC);
    let refused = with_authorization(&running, "Bearer what-is-this-secret");
    let rejections = running.admin("/api/v1/instances/in/rejections").json();
    let text = rejections.to_string();
    assert!(text.contains(refused.header("x-request-id").unwrap()), "{text}");
    assert!(!text.contains("what-is-this-secret"), "{text}");
    assert_eq!(running.metric("hookgate_requests_total{instance=\"in\",status=\"401\"}"), 1.0);
}

#[test]
fn hanging_up_does_not_hide_a_failed_login() {
    let hash = hookgate::auth::hash_password(&hookgate::secret::Secret::new("secret".into())).unwrap();
    let running = Running::start(&format!("[[instance]]\nname = \"in\"\nusername = \"alice\"\npassword = '{hash}'\n"));
    let guess = "POST /instance/execute/in HTTP/1.1\r\nhost: a\r\nauthorization: Basic YWxpY2U6d3Jvbmc=\r\ncontent-length: 2\r\n\r\n{}";
    let mut streams: Vec<_> = (0..20).map(|_| crate::harness::connect(running.address)).collect();
    for stream in &mut streams {
        std::io::Write::write_all(stream, guess.as_bytes()).unwrap();
    }
    // Passwords are verified one or a few at a time: when the first is answered, the others wait for their turn.
    assert_eq!(crate::harness::read_answer(&mut streams[0], "POST").status, 401);
    drop(streams);
    let refused = || running.metric("hookgate_requests_total{instance=\"in\",status=\"401\"}");
    crate::harness::eventually("every guess that was begun is counted", || refused() >= 15.0);
}
