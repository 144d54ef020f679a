//! Plain paths: filters that only walk down, so that what they find can be taken as it was sent.

/// One step down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// To a member of an object.
    Member(String),
    /// To each element of an array, or each member of an object.
    Each,
}

/// A filter such as `.`, `.[]`, `.alerts[]`, `.data.events[]` or `.["a b"].c[]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainPath {
    /// From the body down.
    pub steps: Vec<Step>,
    /// Ends in `?`: that there is nothing at the path is no mistake.
    pub is_optional: bool,
}

impl PlainPath {
    /// None if the filter is anything else.
    pub(super) fn parse(filter: &str) -> Option<Self> {
        let filter = filter.trim();
        let (path, is_optional) = filter.strip_suffix('?').map_or((filter, false), |path| (path, true));
        let mut rest = path.strip_prefix('.')?;
        let mut steps = Vec::new();
        // After the first dot a name may stand at once; before later names a dot is needed.
        let mut may_be_name = true;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix("[]") {
                steps.push(Step::Each);
                rest = after;
            } else if let Some(after) = rest.strip_prefix("[\"") {
                let (name, after) = after.split_once("\"]")?;
                steps.push(Step::Member(verbatim(name)?));
                rest = after;
            } else {
                let after = if may_be_name { rest } else { rest.strip_prefix('.')? };
                let (name, after) = name(after)?;
                steps.push(Step::Member(name));
                rest = after;
            }
            may_be_name = false;
        }
        Some(Self { steps, is_optional })
    }
}

/// A name without quotes, or with.
fn name(text: &str) -> Option<(String, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (name, after) = quoted.split_once('"')?;
        return Some((verbatim(name)?, after));
    }
    let length = text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    let (name, after) = text.split_at(length);
    let is_name = name.starts_with(|first: char| !first.is_ascii_digit());
    is_name.then(|| (name.to_owned(), after))
}

/// Without escapes and quotes, a string says what it is.
fn verbatim(text: &str) -> Option<String> {
    (!text.contains(['\\', '"'])).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::Step::{Each, Member};
    use super::*;

    #[test]
    fn paths_are_told_from_other_filters() {
        let member = |name: &str| Member(name.to_owned());
        for (filter, steps) in [
            (".", vec![]),
            (" .[] ", vec![Each]),
            (".alerts[]", vec![member("alerts"), Each]),
            (".data.events[]", vec![member("data"), member("events"), Each]),
            (".a", vec![member("a")]),
            (".[][]", vec![Each, Each]),
            (r#".["a b"][].c_1"#, vec![member("a b"), Each, member("c_1")]),
            (r#"."é.x"."y"[]"#, vec![member("é.x"), member("y"), Each]),
        ] {
            assert_eq!(PlainPath::parse(filter), Some(PlainPath { steps: steps.clone(), is_optional: false }), "{filter}");
            let optional = format!("{}?", filter.trim());
            assert_eq!(PlainPath::parse(&optional), Some(PlainPath { steps, is_optional: true }), "{filter}");
        }
        for other in [
            "",
            "..",
            ".a | .b",
            ".a,.b",
            ".[0]",
            ".a.[1:]",
            ".a b",
            ".1a",
            "a",
            ".a.",
            ".a[",
            ".[\"a\\n\"]",
            ".\"a\\(1)\"",
            ".a?.b",
            ".é",
            "[.a]",
        ] {
            assert_eq!(PlainPath::parse(other), None, "{other}");
        }
    }
}
