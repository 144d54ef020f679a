//! What each key may be, and what it is where nothing is written.

use std::time::Duration;

use super::{MINIMAL, good, one_mistake};
use crate::config::LogFormat;

#[test]
fn defaults() {
    let config = good(MINIMAL);
    let server = config.server;
    assert_eq!(server.listen, ["127.0.0.1:8080".parse().unwrap()]);
    assert!(server.tls.is_none() && server.public_url.is_none() && server.trusted_proxies.is_empty());
    assert_eq!((server.max_body, server.max_incidents), (10 << 20, 10_000));
    assert_eq!((server.max_connections, server.max_connections_per_address, server.proxy_protocol), (10_000, 1_000, false));
    assert_eq!((server.max_body_in_flight, server.failed_logins_per_minute), (128 << 20, 60));
    let times = [server.header_timeout, server.body_timeout, server.handshake_timeout, server.shutdown_grace];
    assert_eq!(times.map(|time| time.as_secs()), [10, 30, 10, 10]);
    assert!(config.admin.is_none());
    assert_eq!(config.store.path.to_str(), Some("/etc/hookgate/hookgate.db"));
    assert_eq!((config.store.retention, config.store.samples), (None, 20));
    assert_eq!((config.log.format, config.log.level.as_str()), (LogFormat::Auto, "info"));
    let instance = &config.instances[0];
    assert!(instance.allow_from.is_none() && instance.proxy_protocol.is_none());
    assert!(!instance.store_samples && instance.incident_type.is_none() && instance.duplication_key.is_empty());
    assert_eq!((instance.duplication_window, instance.listen), (Duration::from_secs(7 * 86_400), None));
    assert_eq!(config.warnings, [""; 0]);
}

#[test]
fn numbers_durations_and_sizes_have_bounds() {
    for (section, line) in [
        ("server", "max_body = 1023"),
        ("server", "max_body = \"513MiB\""),
        ("server", "max_body = -1"),
        ("server", "max_body = true"),
        ("server", "max_incidents = 0"),
        ("server", "max_incidents = 1000001"),
        ("server", "max_incidents = \"5\""),
        ("server", "max_connections = 0"),
        ("server", "max_connections = 99999999999999999999"),
        ("server", "max_connections_per_address = 0"),
        ("server", "proxy_protocol = \"yes\""),
        ("server", "max_body_in_flight = 0"),
        ("server", "max_body_in_flight = \"1025GiB\""),
        ("server", "failed_logins_per_minute = -1"),
        ("server", "failed_logins_per_minute = 1000001"),
        ("server", "header_timeout = \"0s\""),
        ("server", "header_timeout = \"61m\""),
        ("server", "body_timeout = \"0s\""),
        ("server", "body_timeout = \"5\""),
        ("server", "handshake_timeout = \"0s\""),
        ("server", "shutdown_grace = \"61m\""),
        ("store", "retention = \"0s\""),
        ("store", "retention = \"36501d\""),
        ("store", "retention = 365"),
        ("store", "samples = -1"),
        ("store", "samples = 1001"),
        ("log", "format = \"xml\""),
        ("log", "level = \"INFO\""),
        ("log", "level = 3"),
    ] {
        let message = one_mistake(&format!("[{section}]\n{line}\n{MINIMAL}"));
        let key = line.split(' ').next().unwrap();
        assert!(message.starts_with(&format!(":2: {section}.{key}: ")), "{message}");
    }
    for line in ["duplication_window = \"0s\"", "duplication_window = \"36501d\"", "duplication_window = 7"] {
        assert!(one_mistake(&format!("{MINIMAL}duplication_key = \"id\"\n{line}\n")).starts_with(":6: instance[0].duplication_window: "));
    }
}

#[test]
fn what_is_written_counts() {
    let text = "[server]\nlisten = \"127.0.0.1:0\"\nmax_body = 2048\nfailed_logins_per_minute = 0\nshutdown_grace = \"0s\"\n\
                [store]\nretention = \"1d12h\"\nsamples = 0\n[log]\nformat = \"json\"\nlevel = \"debug\"\n";
    let config = good(&format!("{text}{MINIMAL}"));
    assert_eq!(config.server.listen, ["127.0.0.1:0".parse().unwrap()]);
    assert_eq!((config.server.max_body, config.server.failed_logins_per_minute), (2048, 0));
    assert_eq!(config.server.shutdown_grace, Duration::ZERO);
    assert_eq!((config.store.retention, config.store.samples), (Some(Duration::from_secs(36 * 3600)), 0));
    assert_eq!((config.log.format, config.log.level.as_str()), (LogFormat::Json, "debug"));
}

#[test]
fn the_spellings_of_toml_are_the_same() {
    let text = "server.max_body = 0x800\nstore = { samples = 1_0 }\n\
                instance = [{ name = 'a', username = 'u', password = 'x' }, { name = 'b', allow_unauthenticated = true }]\r\n";
    let config = good(&format!("\u{feff}{text}"));
    assert_eq!((config.server.max_body, config.store.samples, config.instances.len()), (2048, 10, 2));
}

#[test]
fn the_body_budget_holds_one_body() {
    assert_eq!(good(&format!("[server]\nmax_body = \"500MiB\"\n{MINIMAL}")).server.max_body_in_flight, 500 << 20);
    let message = one_mistake(&format!("[server]\nmax_body_in_flight = \"9MiB\"\n{MINIMAL}"));
    assert_eq!(message, ":2: server.max_body_in_flight: must be at least max_body (10MiB)");
}

#[test]
fn allow_from_names_networks_and_lets_somebody_in() {
    let config = good(&format!("{MINIMAL}allow_from = [\"203.0.113.7/24\", \"2001:db8::1\"]\n"));
    let networks: Vec<_> = config.instances[0].allow_from.iter().flatten().map(ToString::to_string).collect();
    assert_eq!(networks, ["203.0.113.0/24", "2001:db8::1/128"]);
    assert!(one_mistake(&format!("{MINIMAL}allow_from = []\n")).starts_with(":5: instance[0].allow_from: lets nobody in"));
    assert!(one_mistake(&format!("{MINIMAL}allow_from = \"example.com\"\n")).starts_with(":5: instance[0].allow_from: "));
}

#[test]
fn the_proxy_protocol_needs_proxies_that_are_trusted() {
    let own = "listen = \"127.0.0.1:1\"\nproxy_protocol = true\n";
    assert!(one_mistake(&format!("[server]\nproxy_protocol = true\n{MINIMAL}")).starts_with(":2: server.proxy_protocol: needs "));
    assert!(one_mistake(&format!("{MINIMAL}{own}")).starts_with(":6: instance[0].proxy_protocol: needs "));
    let config = good(&format!("[server]\ntrusted_proxies = \"10.0.0.7\"\nproxy_protocol = true\n{MINIMAL}{own}"));
    assert!(config.server.proxy_protocol && config.instances[0].proxy_protocol == Some(true));
    let idle = good(&format!("{MINIMAL}proxy_protocol = false\n"));
    assert!(idle.warnings.join("").contains("has no effect without listen"), "{:?}", idle.warnings);
}

#[test]
fn tls_needs_both_files() {
    let text = |keys: &[&str]| {
        let lines: String = keys.iter().map(|key| format!("{key} = \"certs/{key}.pem\"\n")).collect();
        format!("[server]\n{lines}{MINIMAL}")
    };
    for (keys, want) in [
        (&["certificate"][..], ":1: server.private_key: is missing: certificate needs it"),
        (&["private_key"], ":1: server.certificate: is missing: private_key needs it"),
        (&["certificate", "client_ca"], ":1: server.private_key: is missing: certificate needs it"),
        (&["client_ca"], ":1: server.certificate: is missing: client_ca (client certificates belong to TLS) needs it"),
    ] {
        assert_eq!(one_mistake(&text(keys)), want);
    }
    let tls = good(&text(&["certificate", "private_key", "client_ca"])).server.tls.unwrap();
    assert_eq!(tls.certificate.to_str(), Some("/etc/hookgate/certs/certificate.pem"));
    assert_eq!(tls.client_ca.unwrap().to_str(), Some("/etc/hookgate/certs/client_ca.pem"));
    let empty = format!("[server]\ncertificate = \"\"\nprivate_key = \"/k\"\n{MINIMAL}");
    assert_eq!(one_mistake(&empty), ":2: server.certificate: must not be empty");
}

#[test]
fn an_address_of_an_instances_own_may_have_a_certificate_of_its_own() {
    let pair = "certificate = \"own.crt\"\nprivate_key = \"own.key\"\n";
    let own = good(&format!("{MINIMAL}listen = \"0.0.0.0:1\"\n{pair}"));
    let tls = own.instances[0].tls.as_ref().unwrap();
    assert_eq!((tls.certificate.to_str(), tls.client_ca.as_ref()), (Some("/etc/hookgate/own.crt"), None));
    assert_eq!(own.warnings, [""; 0], "its passwords are encrypted");
    let tables: Vec<_> = own.certificates().map(|(table, _)| table).collect();
    assert_eq!(tables, ["instance[0]"]);
    assert_eq!(own.line("instance[0].private_key"), Some(7));
    assert_eq!(
        one_mistake(&format!("{MINIMAL}{pair}")),
        ":1: instance[0].listen: is missing: certificate is for an address of the instance's own"
    );
    assert_eq!(
        one_mistake(&format!("{MINIMAL}listen = \"0.0.0.0:1\"\ncertificate = \"own.crt\"\n")),
        ":1: instance[0].private_key: is missing: certificate needs it"
    );
}

#[test]
fn no_address_is_used_twice() {
    let instance = |listen: &str| format!("{MINIMAL}listen = \"{listen}\"\n");
    let admin = |listen: &str| format!("[admin]\ntoken = \"t\"\nlisten = \"{listen}\"\n");
    for (text, want) in [
        (
            format!("[server]\nlisten = [\"127.0.0.1:1\",\n \"127.0.0.1:1\"]\n{MINIMAL}"),
            ":3: server.listen[1]: 127.0.0.1:1 is already taken by server.listen[0] (127.0.0.1:1)",
        ),
        (instance("127.0.0.1:8080"), ":5: instance[0].listen: 127.0.0.1:8080 is already taken by server.listen (127.0.0.1:8080)"),
        (instance("0.0.0.0:8080"), ":5: instance[0].listen: 0.0.0.0:8080 is already taken by server.listen (127.0.0.1:8080)"),
        (admin("127.0.0.1:8080") + MINIMAL, ":3: admin.listen: 127.0.0.1:8080 is already taken by server.listen (127.0.0.1:8080)"),
        (
            admin("127.0.0.1:7") + &instance("127.0.0.1:7"),
            ":8: instance[0].listen: 127.0.0.1:7 is already taken by admin.listen (127.0.0.1:7)",
        ),
        (
            instance("127.0.0.1:7") + &admin("127.0.0.1:7"),
            ":8: admin.listen: 127.0.0.1:7 is already taken by instance[0].listen (127.0.0.1:7)",
        ),
    ] {
        assert_eq!(one_mistake(&text), want);
    }
    good(&format!("[server]\nlisten = [\"127.0.0.1:0\", \"127.0.0.1:0\"]\n{}", admin("127.0.0.1:0") + &instance("127.0.0.1:0")));
    assert_eq!(one_mistake(&format!("[server]\nlisten = []\n{MINIMAL}")), ":2: server.listen: must name at least one address");
}

#[test]
fn names_are_needed_and_unique() {
    let nameless = MINIMAL.replace("name = \"a\"\n", "");
    assert_eq!(one_mistake(&nameless), ":1: instance[0].name: is missing");
    let twice = format!("{MINIMAL}{MINIMAL}");
    assert_eq!(one_mistake(&twice), ":6: instance[1].name: \"a\" is already the name of instance[0] (line 1)");
    let other_case = MINIMAL.replace("\"a\"", "\"A\"");
    assert_eq!(good(&format!("{MINIMAL}{other_case}")).instances.len(), 2, "names are compared exactly");
}

#[test]
fn duplication_keys_are_dotted_paths() {
    let config = good(&format!("{MINIMAL}duplication_key = [\"incidentId\", \"alert.id\", \"a b.ä\"]\nduplication_window = \"1h\"\n"));
    assert_eq!(config.instances[0].duplication_key, ["incidentId", "alert.id", "a b.ä"]);
    assert_eq!(good(&format!("{MINIMAL}duplication_key = \"id\"\n")).instances[0].duplication_key, ["id"]);
    for path in ["", ".", ".a", "a.", "a..b"] {
        let message = one_mistake(&format!("{MINIMAL}duplication_key = [\"id\",\n\"{path}\"]\n"));
        assert!(message.starts_with(":6: instance[0].duplication_key[1]: "), "{message}");
    }
    let message = one_mistake(&format!("{MINIMAL}duplication_key = [\"headers.X-Id\"]\n"));
    assert!(message.ends_with("write \"headers.x-id\""), "{message}");
    let unused = good(&format!("{MINIMAL}duplication_window = \"1h\"\n"));
    assert_eq!(unused.warnings, ["/etc/hookgate/hookgate.toml:5: instance[0].duplication_window: has no effect without duplication_key"]);
}

#[test]
fn a_memory_of_incidents_that_are_gone_is_warned_of() {
    let warnings = |retention: &str, more: &str| good(&format!("{MINIMAL}{more}[store]\nretention = \"{retention}\"\n")).warnings;
    for key in ["duplication_key = \"id\"\n", "map = { duplication_key = \".id\" }\n"] {
        assert_eq!(warnings("7d", key), [""; 0]);
        let [warning] = &warnings("6d", key)[..] else { panic!("{key}") };
        assert!(warning.contains(":7: store.retention: is shorter than the duplication_window of \"a\": "), "{warning}");
    }
    assert_eq!(warnings("6d", ""), [""; 0]);
}

#[test]
fn plain_text_outside_this_machine_is_warned_of() {
    let server = |lines: &str| format!("[server]\nlisten = [\"127.0.0.1:1\", \"0.0.0.0:2\"]\n{lines}{MINIMAL}");
    let warnings = good(&server("")).warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("/etc/hookgate/hookgate.toml:2: server.listen[1]: passwords cross the network unencrypted"));
    assert_eq!(good(&server("certificate = \"c\"\nprivate_key = \"k\"\n")).warnings, [""; 0]);
    assert_eq!(good(&server("public_url = \"https://h.example.com\"\n")).warnings, [""; 0]);
    assert_eq!(good(&server("public_url = \"http://h.example.com\"\n")).warnings.len(), 1);
    let own = good(&format!("{MINIMAL}listen = \"[::]:1\"\n")).warnings;
    assert!(own.len() == 1 && own[0].contains(":5: instance[0].listen: passwords cross the network unencrypted"), "{own:?}");
    let open = "[[instance]]\nname = \"b\"\nallow_unauthenticated = true\nlisten = \"0.0.0.0:9\"\n";
    let warnings = good(&format!("{MINIMAL}{open}")).warnings;
    assert!(warnings.len() == 1 && warnings[0].contains("allow_unauthenticated"), "nobody sends a password there: {warnings:?}");
    let admin = good(&format!("[admin]\nlisten = \"0.0.0.0:8081\"\ntoken = \"t\"\n{MINIMAL}")).warnings;
    assert!(admin.len() == 1 && admin[0].contains(":2: admin.listen: tokens and incidents cross"), "{admin:?}");
}

#[test]
fn trusting_everybody_is_warned_of() {
    let warnings = good(&format!("[server]\ntrusted_proxies = [\"10.0.0.1\", \"::/0\"]\n{MINIMAL}")).warnings;
    assert!(warnings.len() == 1 && warnings[0].contains("server.trusted_proxies[1]: trusts everybody"), "{warnings:?}");
}

#[test]
fn nothing_is_compared_with_a_default_that_a_mistake_hides() {
    let text = format!("[server]\nmax_body = \"?\"\nmax_body_in_flight = \"1MiB\"\n{MINIMAL}");
    assert!(one_mistake(&text).starts_with(":2: server.max_body: "));
    let text = format!("[admin]\ntoken = \"t\"\nlisten = \"?\"\n{MINIMAL}listen = \"127.0.0.1:8081\"\n");
    assert!(one_mistake(&text).starts_with(":3: admin.listen: "));
}

#[test]
fn a_map_is_filters_by_name() {
    let config = good(&format!("{MINIMAL}[instance.map]\nname = \".a\"\ntype = \".b\"\nfields = {{ x = \".c\" }}\n"));
    let map = &config.instances[0].map;
    assert_eq!((map.name.as_deref(), map.kind.as_deref(), map.fields["x"].as_str()), (Some(".a"), Some(".b"), ".c"));
    assert!(good(MINIMAL).instances[0].map.is_empty());
    for (map, want) in [
        ("map = \".a\"", ":5: instance[0].map: must be a table"),
        ("map.name = 5", ":5: instance[0].map.name: must be a string"),
        ("map.name = \" \"", ":5: instance[0].map.name: must not be empty"),
        ("map.nam = \".\"", ":5: instance[0].map.nam: unknown key; did you mean name?"),
        ("map.fields = \".a\"", ":5: instance[0].map.fields: must be a table"),
        ("map.fields.x = [\".a\"]", ":5: instance[0].map.fields.x: must be a string"),
        ("map.fields.\"a b\" = \".a\"", ":5: instance[0].map.fields.\"a b\": is no name for a field"),
        ("map.drop = \"drop\"", ":5: instance[0].map.drop: there is no function drop at line 1 column 1 of the filter"),
    ] {
        let said = one_mistake(&format!("{MINIMAL}{map}\n"));
        assert!(said.starts_with(want), "{map}: {said}");
    }
    // A key that is made by a map has a window, too.
    let text = format!("{MINIMAL}duplication_window = \"1d\"\nmap.duplication_key = \".a\"\n");
    assert_eq!(good(&text).warnings, [""; 0]);
}
