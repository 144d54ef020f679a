use proptest::prelude::*;

use super::super::json;
use super::*;

fn json_of(xml: &str) -> String {
    String::from_utf8(to_object(xml.as_bytes(), 10_000).unwrap().into()).unwrap()
}

fn refusal(xml: impl AsRef<[u8]>) -> String {
    to_object(xml.as_ref(), 10_000).unwrap_err().to_string()
}

#[test]
fn elements_are_objects_and_those_of_text_alone_strings() {
    for (xml, want) in [
        ("<a/>", r#"{"a":""}"#),
        ("<a>x</a>", r#"{"a":"x"}"#),
        ("<a> x\r\n</a>", r#"{"a":" x\n"}"#),
        ("<a b='1' c=\"\"/>", r#"{"a":{"@b":"1","@c":""}}"#),
        ("<a b='1'>x</a>", r##"{"a":{"@b":"1","#text":"x"}}"##),
        ("<a><b>1</b><c/></a>", r#"{"a":{"b":"1","c":""}}"#),
        ("<a><b>1</b><c/><b>2</b></a>", r#"{"a":{"b":["1","2"],"c":""}}"#),
        ("<a>\n  <b>1</b>\n  <b/>\n</a>\n", r#"{"a":{"b":["1",""]}}"#),
        ("<a>one <b>two</b> three</a>", r##"{"a":{"#text":"one  three","b":"two"}}"##),
        ("<s:a xmlns:s='urn:x'><s:b s:c='d'/></s:a>", r#"{"s:a":{"@xmlns:s":"urn:x","s:b":{"@s:c":"d"}}}"#),
        ("\u{feff}<?xml version='1.0' encoding='utf-8'?><!-- no --><a><?pi x?>x<!-- no -->y</a><!-- no -->", r#"{"a":"xy"}"#),
        ("<é>ü</é>", r#"{"é":"ü"}"#),
    ] {
        assert_eq!(json_of(xml), want, "{xml}");
    }
}

#[test]
fn entities_and_sections_are_text() {
    for (xml, want) in [
        ("<a>&lt;&amp;&gt;&quot;&apos;&#65;&#x1F600;</a>", r#"{"a":"<&>\"'A😀"}"#),
        ("<a b='&lt;&#10;&amp;lt;'/>", r#"{"a":{"@b":"<\n&lt;"}}"#),
        ("<a><![CDATA[<b>&amp;]]></a>", r#"{"a":"<b>&amp;"}"#),
        ("<a>x &amp; <![CDATA[y]]> z</a>", r#"{"a":"x & y z"}"#),
        ("<a><b/>&#32;&amp; x</a>", r##"{"a":{"#text":" & x","b":""}}"##),
    ] {
        assert_eq!(json_of(xml), want, "{xml}");
    }
}

#[test]
fn what_is_not_read_is_named_with_its_place() {
    for (xml, want) in [
        ("<!DOCTYPE a><a/>", "a document type (DOCTYPE), which is not read at line 1 column 1"),
        ("<!DOCTYPE a [<!ENTITY b 'bbb'>]>\n<a>&b;</a>", "a document type (DOCTYPE), which is not read at line 1 column 1"),
        ("<a>\n&b;</a>", "an entity other than &amp; &lt; &gt; &quot; &apos; and numbers at line 2 column 1"),
        ("<a b='&c;'/>", "an entity other than &amp; &lt; &gt; &quot; &apos; and numbers at line 1 column 1"),
        ("<a>&#0;</a>", "an entity other than &amp; &lt; &gt; &quot; &apos; and numbers at line 1 column 4"),
        ("<a>&#xD800;</a>", "an entity other than &amp; &lt; &gt; &quot; &apos; and numbers at line 1 column 4"),
        ("<?xml version='1.0' encoding='iso-8859-1'?><a/>", "XML in another encoding than UTF-8 at line 1 column 1"),
        ("<a></b>", "a tag that does not fit, or an entity that does not end at line 1 column 4"),
        ("</a>", "a tag that does not fit, or an entity that does not end at line 1 column 1"),
        ("<a>x & y</a>", "a tag that does not fit, or an entity that does not end at line 1 column 6"),
        ("<a", "a tag, comment or section that does not end at line 1 column 1"),
        ("<a><![CDATA[x</a>", "a tag, comment or section that does not end at line 1 column 4"),
        ("<a b='1' b='2'/>", "two attributes of the same name at line 1 column 1"),
        ("<a b=1/>", "an attribute that is none at line 1 column 1"),
        ("<a b/>", "an attribute that is none at line 1 column 1"),
        ("<a>", "the end inside an element at line 1 column 4"),
        ("<a/><b/>", "a second root element at line 1 column 5"),
        ("<>x</>", "a tag without a name at line 1 column 1"),
        ("<a/>x", "text outside the root element at line 1 column 5"),
        ("plain text", "text outside the root element at line 1 column 1"),
        ("<!-- only -->", "XML without an element at line 1 column 14"),
    ] {
        let refusal = refusal(xml);
        assert!(refusal.ends_with(&format!("in the XML: {want}")), "{xml}: {refusal}");
    }
    assert!(refusal(b"<a>\xe9</a>").ends_with("XML in another encoding than UTF-8"));
    assert!(refusal(b"\xff\xfe<\0a\0/\0>\0").ends_with("XML in another encoding than UTF-8"));
}

#[test]
fn depth_number_and_size_are_bounded() {
    let nested = |depth: usize| "<a>".repeat(depth) + &"</a>".repeat(depth);
    assert!(json::is_container(json_of(&nested(64)).as_bytes()));
    assert!(refusal(nested(65)).contains("nesting deeper than 64 levels"));
    let many = |count: usize| format!("<a>{}</a>", "<b/>".repeat(count - 1));
    assert!(to_object(many(50_000).as_bytes(), 1_000_000).is_ok());
    assert!(to_object(many(50_001).as_bytes(), 1_000_000).unwrap_err().to_string().contains("more than 50000 elements"));
    let attributes: String = (0..50_000).map(|number| format!(" a{number}=''")).collect();
    assert!(to_object(format!("<a{attributes}/>").as_bytes(), 1_000_000).is_err());
    assert_eq!(to_object(format!("<a>{}</a>", "\"".repeat(6_000)).as_bytes(), 10_000), Err(IntakeError::TooLarge));
}

fn xml() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(
        &[
            "<a>",
            "</a>",
            "<b c='d'>",
            "</b>",
            "<e/>",
            "x",
            " ",
            "&amp;",
            "&#65;",
            "&x;",
            "<![CDATA[",
            "]]>",
            "<!--",
            "-->",
            "<",
            ">",
            "&",
            "é",
            "<?p",
            "?>",
            "\r\n",
            "'",
        ][..],
    );
    prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn anything_is_refused_or_becomes_an_object(inside in xml(), is_wrapped: bool) {
        let document = if is_wrapped { format!("<r>{inside}</r>") } else { inside };
        match to_object(document.as_bytes(), 10_000) {
            Ok(json) => prop_assert!(json::is_container(&json)),
            Err(error) => {
                let line = error.to_string();
                prop_assert!(line.len() < 250 && line.is_ascii() && !line.contains('\n'), "{}", line);
            }
        }
    }

    #[test]
    fn text_comes_back(text in "[ -~é\n\t]{0,30}", value in "[ -~é]{0,30}") {
        let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&apos;");
        let document = format!("<a><b>{}</b><c d='{}'/></a>", escape(&text), escape(&value));
        let object: serde_json::Value = serde_json::from_str(&json_of(&document)).unwrap();
        prop_assert_eq!(&object["a"]["b"], &text);
        prop_assert_eq!(&object["a"]["c"]["@d"], &value);
    }
}
