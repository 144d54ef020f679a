//! What the gateway counts. A leaf: everybody may hold [`Metrics`], nobody is known here, nothing is global.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Labels of requests.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct RequestLabels {
    /// Empty where the caller named no instance that exists, so that strangers cannot make labels.
    pub instance: String,
    /// The HTTP status.
    pub status: u16,
}

/// Label of what belongs to one instance.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct InstanceLabel {
    /// As configured.
    pub instance: String,
}

/// Every reason of a refusal, as counted; explained in docs/operations.md.
pub const REASONS: [&str; 42] = [
    "address",
    "body_broken",
    "body_budget",
    "body_malformed",
    "body_overdue",
    "body_too_large",
    "body_too_slow",
    "client_certificate",
    "closing",
    "content_encoding",
    "credentials_malformed",
    "credentials_missing",
    "credentials_repeated",
    "credentials_wrong",
    "disk_full",
    "framing",
    "handshake",
    "headers_too_large",
    "hung_up",
    "internal",
    "method",
    "path",
    "path_token_missing",
    "path_token_wrong",
    "proxy_protocol",
    "queue_full",
    "queue_overdue",
    "signature_key",
    "signature_made_up",
    "signature_malformed",
    "signature_missing",
    "signature_stale",
    "signature_wrong",
    "store",
    "throttled",
    "too_many_connections",
    "too_many_connections_of_address",
    "too_many_incidents",
    "too_many_requests_of_address",
    "unknown_instance",
    "unsigned",
    "verification_busy",
];

/// Labels of refused requests.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct RejectionLabels {
    /// Empty where the caller named no instance that exists.
    pub instance: String,
    /// One of [`REASONS`].
    pub reason: &'static str,
}

/// Label of reloads.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ReloadLabel {
    /// `ok` or `failed`.
    pub result: &'static str,
}

/// Every metric, made once a gateway.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Answered requests.
    pub requests: Family<RequestLabels, Counter>,
    /// Incidents stored.
    pub incidents: Family<InstanceLabel, Counter>,
    /// Events that were already stored.
    pub duplicates: Family<InstanceLabel, Counter>,
    /// Events that the operator's filters left out.
    pub dropped: Family<InstanceLabel, Counter>,
    /// Filters of the operator that failed on an event.
    pub filter_failures: Family<InstanceLabel, Counter>,
    /// Refused requests, by the true reason.
    pub rejections: Family<RejectionLabels, Counter>,
    /// From BEGIN to the return of COMMIT.
    pub commit_duration: Histogram,
    /// Incidents and duplicates in one commit.
    pub commit_incidents: Histogram,
    /// Commits that failed.
    pub commit_failures: Counter,
    /// Requests waiting for the writer.
    pub queue_requests: Gauge,
    /// Body bytes of requests that are not answered yet.
    pub body_in_flight: Gauge,
    /// Open connections at the entrance.
    pub connections: Gauge,
    /// Database and write-ahead log together.
    pub store_size: Gauge,
    /// Incidents deleted because they were older than the retention.
    pub expired: Counter,
    /// Reloads of the configuration or of certificates.
    pub reloads: Family<ReloadLabel, Counter>,
    /// When the configuration was last read without a mistake, the start included.
    pub last_reload: Gauge,
    /// 1 for an instance that nothing has reached for longer than expected. Instances without an expectation have none.
    pub silent: Family<InstanceLabel, Gauge>,
    /// When the last event of an instance was accepted.
    pub last_event: Family<InstanceLabel, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Fresh metrics, all registered under the prefix `hookgate`.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("hookgate"),
            requests: Family::default(),
            incidents: Family::default(),
            duplicates: Family::default(),
            dropped: Family::default(),
            filter_failures: Family::default(),
            rejections: Family::default(),
            // 50 µs (page cache) to 10 s (a disk in trouble).
            commit_duration: Histogram::new([
                0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 10.0,
            ]),
            commit_incidents: Histogram::new([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0, 4096.0, 16_384.0]),
            commit_failures: Counter::default(),
            queue_requests: Gauge::default(),
            body_in_flight: Gauge::default(),
            connections: Gauge::default(),
            store_size: Gauge::default(),
            expired: Counter::default(),
            reloads: Family::default(),
            last_reload: Gauge::default(),
            silent: Family::default(),
            last_event: Family::default(),
        };
        // A counter that begins with its first failure would hide that failure from `increase()`.
        for result in ["ok", "failed"] {
            metrics.reloads.get_or_create(&ReloadLabel { result }).inc_by(0);
        }
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("requests", "Answered requests by instance and status", self.requests.clone());
        r.register("incidents", "Incidents stored", self.incidents.clone());
        r.register("duplicates", "Events that were already stored inside the window", self.duplicates.clone());
        r.register("dropped_incidents", "Events left out by a map", self.dropped.clone());
        r.register("map_failures", "Filters of a map that failed on an event", self.filter_failures.clone());
        r.register("rejections", "Refused requests by the true reason", self.rejections.clone());
        r.register_with_unit("commit_duration", "Time of one commit", Unit::Seconds, self.commit_duration.clone());
        r.register("commit_incidents", "Events in one commit", self.commit_incidents.clone());
        r.register("commit_failures", "Commits that failed", self.commit_failures.clone());
        r.register("queue_requests", "Requests waiting for the writer", self.queue_requests.clone());
        r.register_with_unit("body_in_flight", "Body bytes of unanswered requests", Unit::Bytes, self.body_in_flight.clone());
        r.register("connections", "Open connections at the entrance", self.connections.clone());
        r.register_with_unit("store_size", "Database and write-ahead log", Unit::Bytes, self.store_size.clone());
        r.register("expired_incidents", "Incidents deleted after the retention", self.expired.clone());
        r.register("reloads", "Reloads of the configuration or of certificates", self.reloads.clone());
        let help = "When the configuration was last read without a mistake";
        r.register_with_unit("last_reload_success_timestamp", help, Unit::Seconds, self.last_reload.clone());
        r.register("instance_silent", "1: nothing arrived for longer than expect_every", self.silent.clone());
        let help = "When the last event of an instance was accepted";
        r.register_with_unit("instance_last_event_timestamp", help, Unit::Seconds, self.last_event.clone());
    }

    /// The OpenMetrics text of everything.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("writing to a String does not fail");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reasons in the first column of the table, each in backquotes.
    fn documented() -> Vec<&'static str> {
        let guide = include_str!("../docs/operations.md");
        let table = guide.split_once("### Reasons of rejections\n").unwrap().1.split_once("\n### ").unwrap().0;
        let rows = table.lines().filter(|line| line.starts_with("| `"));
        rows.flat_map(|row| row[1..].split('|').next().unwrap().split('`').skip(1).step_by(2)).collect()
    }

    #[test]
    fn the_guide_explains_every_reason_and_no_other() {
        let mut documented = documented();
        documented.sort_unstable();
        assert_eq!(documented, REASONS);
    }

    #[test]
    fn names_carry_their_units() {
        let metrics = Metrics::new();
        metrics.requests.get_or_create(&RequestLabels { instance: "a".into(), status: 200 }).inc();
        let text = metrics.encode();
        assert!(text.contains("hookgate_requests_total{instance=\"a\",status=\"200\"} 1"), "{text}");
        assert!(text.contains("hookgate_commit_duration_seconds_bucket"), "{text}");
        assert!(text.contains("hookgate_store_size_bytes 0"), "{text}");
    }
}
