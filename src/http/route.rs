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

/// What a path names. It need not exist: whether it does is told to nobody before they are let in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Address<'a> {
    /// An instance.
    pub(super) name: &'a str,
    /// What stands behind the name. It may be a secret, so this is not `Debug`.
    pub(super) token: Option<&'a str>,
}

/// Takes a path apart.
pub(super) fn address<'a>(door: &'a Door, path: &'a str) -> Result<Address<'a>, Refused> {
    if let Door::Own(name) = door
        && path == "/"
    {
        return Ok(Address { name, token: None });
    }
    let rest = path.strip_prefix(PREFIX).or_else(|| path.strip_prefix(XSOAR_PREFIX)).ok_or(Refused::Path)?;
    let (name, token) = rest.split_once('/').map_or((rest, None), |(name, token)| (name, Some(token)));
    let is_one_segment = |token: &str| !token.is_empty() && !token.contains('/');
    if is_name(name) && token.is_none_or(is_one_segment) { Ok(Address { name, token }) } else { Err(Refused::Path) }
}

/// The path as it may be shown: what stands behind the name may be a secret, even where it is none of this gateway's.
pub(super) fn shown(path: &str) -> String {
    let Some(prefix) = [PREFIX, XSOAR_PREFIX].into_iter().find(|prefix| path.starts_with(prefix)) else { return path.to_owned() };
    match path[prefix.len()..].find('/') {
        Some(end) => format!("{}/…", &path[..prefix.len() + end]),
        None => path.to_owned(),
    }
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

    fn taken_apart<'a>(door: &'a Door, path: &'a str) -> Option<(&'a str, Option<&'a str>)> {
        address(door, path).ok().map(|address| (address.name, address.token))
    }

    #[test]
    fn both_prefixes_lead_to_the_instance() {
        for prefix in ["", "/xsoar"] {
            let path = format!("{prefix}/instance/execute/my_instance_01");
            assert_eq!(taken_apart(&Door::Shared, &path), Some(("my_instance_01", None)));
            assert_eq!(shown(&path), path);
            let path = format!("{path}/s3cret");
            assert_eq!(taken_apart(&Door::Shared, &path), Some(("my_instance_01", Some("s3cret"))));
            assert_eq!(shown(&path), format!("{prefix}/instance/execute/my_instance_01/…"));
        }
    }

    #[test]
    fn the_root_belongs_to_an_own_door_alone() {
        assert_eq!(taken_apart(&Door::Shared, "/"), None);
        assert_eq!(taken_apart(&Door::Own("own".into()), "/"), Some(("own", None)));
    }

    #[test]
    fn other_paths_are_not_found() {
        let long = format!("/instance/execute/{}", "a".repeat(65));
        for path in [
            "",
            "/instance/execute/",
            "/instance/execute/a/",
            "/instance/execute/a/b/c",
            "/instance/execute/.a",
            "/instance/execute/a%20b",
            "/x",
            &long,
        ] {
            assert!(matches!(address(&Door::Shared, path), Err(Refused::Path)), "{path}");
        }
    }
}
