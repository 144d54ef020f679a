use proptest::prelude::*;

use super::super::json;
use super::*;

const TYPE: &str = "multipart/form-data; boundary=\"xYz\"";

fn read(body: &str) -> Result<String, String> {
    let json = to_json(Bytes::copy_from_slice(body.as_bytes()), Some(TYPE), 100_000);
    json.map(|json| String::from_utf8(json.into()).unwrap()).map_err(|error| error.to_string())
}

/// Parts as written here, line breaks as on the wire.
fn wire(body: &str) -> String {
    body.replace('\n', "\r\n")
}

#[test]
fn the_content_type_is_compared_without_its_parameters() {
    for yes in [TYPE, "Multipart/Form-Data", " multipart/form-data ;boundary=x"] {
        assert!(is_multipart(Some(yes)), "{yes}");
    }
    for no in [None, Some(""), Some("multipart/mixed; boundary=x"), Some("multipart/form-data2")] {
        assert!(!is_multipart(no), "{no:?}");
    }
}

#[test]
fn fields_become_members_and_files_are_described() {
    let body = "--xYz\nContent-Disposition: form-data; name=\"a\"\n\n1\n2 é\n--xYz\n\
                content-type: text/csv\ncontent-disposition: form-data; name=f; filename=\"x \\\"1\\\".csv\"\n\na,b\n\n--xYz\n\
                Content-Disposition: form-data; name=a\n\n\n--xYz--\nepilogue";
    let want = |breaks: &str| {
        format!(r#"{{"a":["1{breaks}2 é",""],"f":{{"filename":"x \"1\".csv","content_type":"text/csv","size":{}}}}}"#, 3 + breaks.len() / 2)
    };
    assert_eq!(read(&wire(body)).unwrap(), want("\\r\\n"));
    assert_eq!(read(body).unwrap(), want("\\n"), "bare line feeds");
    assert_eq!(read(&wire(&format!("preamble --xYz\n{body}"))).unwrap(), want("\\r\\n"));
}

#[test]
fn only_a_whole_line_parts_two_parts() {
    let body = "--xYz  \nContent-Disposition: form-data; name=a\n\n--xYzz\n x--xYz\n--xYz.\n--xY\n--xYz--";
    assert_eq!(read(&wire(body)).unwrap(), r#"{"a":"--xYzz\r\n x--xYz\r\n--xYz.\r\n--xY"}"#);
}

#[test]
fn odd_parts_are_kept() {
    for (part, want) in [
        ("\nno headers", r#"{"":"no headers"}"#),
        ("Content-Type: text/plain\n\nno name", r#"{"":"no name"}"#),
        ("Content-Disposition: form-data; name=a", r#"{"a":""}"#),
        ("Content-Disposition: form-data; name=a\n", r#"{"a":""}"#),
        ("nonsense\nContent-Disposition: form-data; name=a\n\nx", r#"{"a":"x"}"#),
    ] {
        assert_eq!(read(&wire(&format!("--xYz\n{part}\n--xYz--\n"))).unwrap(), want, "{part}");
    }
    assert_eq!(read("--xYz\r\n--xYz--").unwrap(), r#"{"":""}"#);
    let latin: Bytes = [b"--xYz\r\n\r\n".as_slice(), b"\xe9\r\n--xYz--"].concat().into();
    assert_eq!(to_json(latin, Some(TYPE), 1_000).unwrap(), "{\"\":\"\u{fffd}\"}");
}

#[test]
fn a_payload_that_is_json_is_the_body() {
    let form = |payload: &str| {
        format!(
            "--xYz\r\nContent-Disposition: form-data; name=payload\r\n\r\n{payload}\r\n--xYz\r\nContent-Disposition: form-data; name=thumb; filename=t.jpg\r\n\r\n\r\n--xYz--\r\n"
        )
    };
    let body = Bytes::from(form("{\"a\": 1e400}"));
    let json = to_json(body.clone(), Some(TYPE), 10).unwrap();
    assert_eq!(json, "{\"a\": 1e400}");
    assert!(body.as_ptr_range().contains(&json.as_ptr()), "a slice of the body, not a copy");
    assert_eq!(read(&form("5")).unwrap(), r#"{"payload":"5","thumb":{"filename":"t.jpg","size":0}}"#);
}

#[test]
fn json_is_json_and_nothing_is_nothing() {
    assert_eq!(read(" {\"a\":").unwrap(), " {\"a\":");
    assert!(read(" \r\n").unwrap_err().ends_with("the body is empty"));
}

#[test]
fn parts_that_cannot_be_told_apart_are_refused() {
    for (body, want) in [
        ("a=1", "a multipart body without its boundary"),
        ("x--xYz\r\n\r\n1\r\n", "a multipart body without its boundary"),
        ("--xYz", "a multipart body without its boundary"),
        ("--xYz--", "a form without fields"),
        ("--xYz\r\n\r\n1\r\n--xYz\r\n\r\n2", "element 1 (counted from 0): a multipart body that ends within a part"),
    ] {
        let error = read(body).unwrap_err();
        assert!(error.ends_with(want), "{body:?}: {error}");
    }
    for content_type in
        ["multipart/form-data", "multipart/form-data; boundary=", &format!("multipart/form-data; boundary={}", "x".repeat(71))]
    {
        let error = to_json(Bytes::from_static(b"--x\r\n\r\n--x--"), Some(content_type), 1_000).unwrap_err();
        assert!(error.to_string().ends_with("without a boundary in the Content-Type"), "{content_type}");
    }
}

#[test]
fn parts_headers_and_the_object_are_bounded() {
    let parts = |count: usize| "--xYz\r\n\r\n\r\n".repeat(count) + "--xYz--";
    assert!(read(&parts(1_000)).is_ok());
    assert!(read(&parts(1_001)).unwrap_err().contains("more than 1000 parts"));
    let header = |length: usize| format!("--xYz\r\nX: {}\r\n\r\n1\r\n--xYz--", "a".repeat(length));
    assert!(read(&header(8_000)).is_ok());
    assert!(read(&header(9_000)).unwrap_err().ends_with("element 0 (counted from 0): a part with headers of more than 8192 bytes"));
    let controls: Bytes = [b"--xYz\r\n\r\n".to_vec(), vec![1; 1_000], b"\r\n--xYz--".to_vec()].concat().into();
    assert_eq!(to_json(controls.clone(), Some(TYPE), 6_000), Err(IntakeError::TooLarge));
    assert!(to_json(controls, Some(TYPE), 6_020).is_ok());
}

proptest! {
    #[test]
    fn what_was_sent_comes_back(fields in prop::collection::vec(("[a-c]{0,2}", "[ -~é\r\n]{0,20}"), 1..6)) {
        prop_assume!(fields.iter().all(|(_, value)| !value.contains("--xYz")));
        let mut body = String::new();
        for (name, value) in &fields {
            body += &format!("--xYz\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        }
        let json = read(&(body + "--xYz--\r\n")).unwrap();
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&json).unwrap();
        for (name, value) in &object {
            let values: Vec<&str> = fields.iter().filter(|field| field.0 == *name).map(|field| field.1.as_str()).collect();
            let want = if let [one] = values[..] { serde_json::Value::from(one) } else { serde_json::Value::from(values) };
            prop_assert_eq!(value, &want);
        }
    }

    #[test]
    fn arbitrary_bodies_do_no_harm(pieces in prop::collection::vec(prop::sample::select(&["--xYz", "--", "\r\n", "\n", "\r", "a", ": ", "Content-Disposition: form-data; name=\"", "\"", "; filename=", "{", "\\", " "][..]), 0..30)) {
        if let Ok(json) = read(&pieces.concat()) {
            prop_assert!(json::is_container(json.as_bytes()) || begins_like_json(json.as_bytes()));
        }
    }
}
