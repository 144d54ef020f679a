//! From a path to the name of an instance.

use super::error::Refused;

const PREFIX: &str = "/instance/execute/";
/// What XSOAR's own front puts before the path; senders written for it keep working.
const XSOAR_PREFIX: &str = "/xsoar/instance/execute/";

/// Which listener a connection came in by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Door {
    /// A listener of the gateway: every instance, by path.
    Shared,
    /// An instance's own listener: `/` is this instance, and no other can be reached.
    Own(std::sync::Arc<str>),
}

/// The instance name in the path. It need not exist: whether it does is told to nobody before they are let in.
pub(super) fn instance_name<'a>(door: &'a Door, path: &'a str) -> Result<&'a str, Refused> {
    if let Door::Own(name) = door
        && path == "/"
    {
        return Ok(name);
    }
    let name = path.strip_prefix(PREFIX).or_else(|| path.strip_prefix(XSOAR_PREFIX)).ok_or(Refused::Path)?;
    if is_name(name) { Ok(name) } else { Err(Refused::Path) }
}

/// `[A-Za-z0-9][A-Za-z0-9_.-]{0,63}`
fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=64).contains(&bytes.len())
        && bytes[0].is_ascii_alphanumeric()
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_prefixes_lead_to_the_instance() {
        for path in ["/instance/execute/my_instance_01", "/xsoar/instance/execute/my_instance_01"] {
            assert_eq!(instance_name(&Door::Shared, path).unwrap(), "my_instance_01");
        }
    }

    #[test]
    fn the_root_belongs_to_an_own_door_alone() {
        assert!(instance_name(&Door::Shared, "/").is_err());
        assert_eq!(instance_name(&Door::Own("own".into()), "/").unwrap(), "own");
    }

    #[test]
    fn other_paths_are_not_found() {
        let long = format!("/instance/execute/{}", "a".repeat(65));
        for path in ["", "/instance/execute/", "/instance/execute/a/b", "/instance/execute/.a", "/instance/execute/a%20b", "/x", &long] {
            assert!(matches!(instance_name(&Door::Shared, path), Err(Refused::Path)), "{path}");
        }
    }
}
