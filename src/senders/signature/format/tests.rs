use proptest::prelude::*;

use super::*;

fn format(text: &str) -> Format {
    text.parse().unwrap()
}

fn signatures<'v>(format: &'v Format, value: &'v str) -> Option<Vec<&'v str>> {
    Some(format.read(value)?.found.iter().map(|found| found.signature).collect())
}

#[test]
fn a_prefix_is_demanded_to_the_letter() {
    let format = format("sha256={sig}");
    assert_eq!(signatures(&format, "sha256=ab"), Some(vec!["ab"]));
    for value in ["ab", "sha1=ab", "SHA256=ab", "sha256=", " sha256=ab", ""] {
        assert_eq!(signatures(&format, value), None, "{value}");
    }
}

#[test]
fn items_of_a_list_are_all_found_and_others_passed_over() {
    let spaced = Format::list(" ", "v1,{sig}").unwrap();
    assert_eq!(signatures(&spaced, "v1,aa= v2,bb v1,cc v1a,dd"), Some(vec!["aa=", "cc"]));
    assert_eq!(signatures(&spaced, "v2,bb"), None);
    let commas = Format::list(",", "v1={sig}").unwrap();
    assert_eq!(signatures(&commas, "v2=aa, v1=bb,v1=cc"), Some(vec!["bb", "cc"]));
    assert_eq!(signatures(&spaced.asymmetric(), "v1,aa v1a,dd"), Some(vec!["dd"]));
}

#[test]
fn named_parts_stand_beside_the_signatures() {
    let format = format("t={t},v1={sig}");
    let reading = format.read("t=17,v1=aa,v0=bb,v1=cc").unwrap();
    assert_eq!(reading.named, [("t", "17")]);
    assert_eq!(reading.found.iter().map(|found| found.signature).collect::<Vec<_>>(), ["aa", "cc"]);
    assert!(format.has("t") && !format.has("v1"));
    for value in ["v1=aa", "t=17", "t=17,t=18,v1=aa", "t=,v1=aa"] {
        assert_eq!(format.read(value), None, "{value}");
    }
}

#[test]
fn the_algorithm_may_be_named() {
    let format = format("{algorithm}={sig}");
    assert_eq!(format.read("sha256=YQ==").unwrap().found, [Found { signature: "YQ==", algorithm: Some("sha256") }]);
    assert_eq!(format.read("YQ"), None);
}

#[test]
fn more_signatures_than_anybody_sends_are_not_read() {
    let format = Format::list(",", "v1={sig}").unwrap();
    let of = |count| vec!["v1=aa"; count].join(",");
    assert!(format.read(&of(MAX_SIGNATURES)).is_some());
    assert_eq!(format.read(&of(MAX_SIGNATURES + 1)), None);
    assert_eq!(format.read(&"v1=aa,".repeat(10_000)), None);
}

#[test]
fn mistakes_are_told() {
    for (text, want) in [
        ("", InvalidNotation::Empty(EXAMPLE)),
        ("v1=", InvalidNotation::NoSignature),
        ("{sig},{sig}", InvalidNotation::NoSignature),
        ("{t}-{sig}", InvalidNotation::NoSeparator),
        ("{t},{t},{sig}", InvalidNotation::Twice("t".into())),
        ("{algorithm}{sig}", InvalidNotation::Adjacent),
    ] {
        assert_eq!(text.parse::<Format>(), Err(want), "{text}");
    }
    assert!("{sig:t}".parse::<Format>().is_err());
    assert!(Format::list("", "{sig}").is_err());
    assert!(Format::list(" ", "v1").is_err());
}

proptest! {
    #[test]
    fn what_is_written_is_read(signature in "[A-Za-z0-9+/]{1,40}=?", time in "[0-9]{1,12}", which in 0..5_usize) {
        let format = match which {
            0 => Format::plain(),
            1 => format("sha256={sig}"),
            2 => format("t={t},v1={sig}"),
            3 => Format::list(" ", "v1,{sig}").unwrap(),
            _ => format("{algorithm}={sig}"),
        };
        let value = format.write(&signature, "sha256", |_| time.clone());
        prop_assert_eq!(signatures(&format, &value), Some(vec![signature.as_str()]));
    }

    #[test]
    fn arbitrary_text_does_no_harm(text in "(\\{|\\}|sig|\\{sig\\}|\\{t\\}|t|=|,| |\\PC){0,12}", value in "(t=|v1=|,| |a|\\PC){0,12}", separator in "\\PC{0,2}") {
        for format in [text.parse::<Format>(), Format::list(&separator, &text)].into_iter().flatten() {
            if let Some(reading) = format.read(&value) {
                prop_assert!(!reading.found.is_empty());
                prop_assert!(reading.found.iter().all(|found| value.contains(found.signature)));
            }
        }
    }
}
