//! The file that `quickstart` writes.

use super::Config;

const PASSWORD: &str = "\"@PASSWORD@\"";
const TOKEN: &str = "\"@TOKEN@\"";

/// The template with an instance `my_instance_01`, whose user is `my_user`, and an admin listener, both on this machine only.
///
/// `password` and `token` are random text, which the caller has made; the file that this is written to must be mode 0600.
pub fn quickstart(password: &str, token: &str) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    // The token first: it stands first in the template, and what is filled in is not looked at again.
    let (before, rest) = Config::TEMPLATE.split_once(TOKEN).expect("the template has a token");
    let (between, after) = rest.split_once(PASSWORD).expect("the template has a password after the token");
    [before, &quoted(token), between, &quoted(password), after].concat()
}
