//! Rules of the configuration as an operator meets them: text in, configuration or messages out.

use std::path::Path;

use super::{Config, ConfigErrors};

mod access;
mod documents;
mod files;
mod mistakes;
mod rules;
mod secrets;
mod senders;

/// Paths in tests are relative to this file, which does not exist.
const FILE: &str = "/etc/hookgate/hookgate.toml";

/// The smallest configuration there is, to be appended to.
const MINIMAL: &str = "[[instance]]\nname = \"a\"\nusername = \"u\"\npassword = \"s3cret\"\n";

fn env(name: &str) -> Option<String> {
    match name {
        "UNSET" => None,
        "EMPTY" => Some(String::new()),
        _ => Some(format!("value-of-{name}")),
    }
}

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse(text, Path::new(FILE), &env)
}

/// Parses what must be right.
fn good(text: &str) -> Config {
    parse(text).unwrap_or_else(|errors| panic!("{errors}\nin\n{text}"))
}

/// The messages of what must be wrong, without the path.
fn bad(text: &str) -> Vec<String> {
    let errors = parse(text).expect_err(text).to_string();
    errors.lines().map(|line| line.strip_prefix(FILE).unwrap_or_else(|| panic!("{line:?} names no file")).to_owned()).collect()
}

/// The one message of what must be wrong in one way.
#[track_caller]
fn one_mistake(text: &str) -> String {
    let mut messages = bad(text);
    assert_eq!(messages.len(), 1, "{messages:#?}\nin\n{text}");
    messages.remove(0)
}
