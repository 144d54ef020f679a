//! What watches and runs machines.

use super::super::case::{Again, Case, Proof, Spelling, now};
use super::super::signing::Scheme;
use super::{ACCOUNT, AUDIENCE, claims};

pub(super) fn monitors() -> Vec<Case> {
    let grafana = Proof::signature(Scheme::Sha256Hex, "x-grafana-alerting-signature", |request, _| {
        format!("{}:{}", request.header("x-grafana-alerting-timestamp"), request.body)
    })
    .at(Spelling::Seconds, &["x-grafana-alerting-timestamp"]);
    let grafanas = |case: Case| {
        case.becomes("DiskFull on db-1", "critical", "2026-02-11T13:38:20Z").becomes(
            "resolved: HighLoad on web-3",
            "warning",
            "2026-02-11T13:37:40Z",
        )
    };
    let crowdstrike = Proof::signature(Scheme::Sha256Base64, "x-cs-primary-signature", |request, _| {
        format!("{}{}", request.body, request.header("x-cs-delivery-timestamp"))
    })
    .at(Spelling::Rfc3339, &["x-cs-delivery-timestamp"]);
    vec![
        grafanas(Case::of("grafana", Proof::Signature(grafana))),
        grafanas(
            Case::of("grafana", Proof::of_body(Scheme::Sha256Hex, "x-grafana-alerting-signature"))
                .called("grafana-without-time", |request| request.remove("x-grafana-alerting-timestamp")),
        ),
        Case::of("alertmanager", Proof::Header("authorization"))
            .called("alertmanager", |request| request.replace("Bearer {secret}", "{secret}"))
            .becomes("TargetDown on 192.0.2.17:9100", "critical", "2026-02-11T13:42:05.331Z"),
        Case::of("crowdstrike", Proof::Signature(crowdstrike))
            // Whether it stamps a second attempt anew is unknown; here it does.
            .repeats_as(Again::Another)
            .becomes("Credential dumping: ACCT-LT-0412", "Detection > EPP Detection", "2026-02-11T13:45:33Z"),
        Case::of("okta", Proof::Header("authorization")).becomes(
            "Max sign in attempts exceeded: alex@example.com",
            "user.account.lock",
            "2026-02-11T13:48:19.642Z",
        ),
        Case::of("splunk", Proof::Path).becomes("Many failed logins on vpn-2", "Many failed logins", "2026-02-11T13:59:55Z"),
        Case::of("elastic", Proof::Basic).becomes("Too many 5xx: web-3", "logs.alert.document.count", "2026-02-11T14:03:26.904Z"),
    ]
}

pub(super) fn clouds() -> Vec<Case> {
    let sns = Proof::signature(Scheme::Rsa, "", |request, _| {
        let message: serde_json::Value = serde_json::from_str(&request.body).unwrap();
        let fields = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"];
        fields.iter().map(|name| format!("{name}\n{}\n", message[*name].as_str().unwrap())).collect()
    })
    .in_body(&[
        "Threshold crossed",
        "6c2f1a7e-90b4-5d38-8e61-4a7c3b9d0f52",
        "EU (Ireland)",
        "41.870Z",
        "billing-alarms\"",
        "Notification\"",
    ]);
    let pubsub = Proof::signature(Scheme::Jwt, "authorization", |_, _| claims(AUDIENCE, ACCOUNT, now() + 3540)).without_body();
    vec![
        Case::of("microsoft-graph", Proof::Equal).becomes("updated: Users/3d9c0a1e/Messages/AAMkExample", "Message.updated", None),
        Case::of("azure-event-grid", Proof::Path).becomes(
            "Microsoft.Storage.BlobCreated: /blobServices/default/containers/inbox/blobs/report.pdf",
            "Microsoft.Storage.BlobCreated",
            "2026-02-11T13:51:47.384219600Z",
        ),
        Case::of("azure-monitor", Proof::Path).becomes("Fired: CPU above 90 % on vm-billing-1", "Sev2", "2026-02-11T13:54:30.112943Z"),
        Case::of("cloudevents", Proof::Basic).becomes(
            "com.example.scan.finished: 198.51.100.0/24",
            "com.example.scan.finished",
            "2026-02-11T13:58:12Z",
        ),
        Case::of("aws-sns", Proof::Signature(sns)).with_keys("keys = \"sns.pem\"").becomes(
            "ALARM: \"queue-depth\" in EU (Ireland)",
            "billing-alarms",
            "2026-02-11T14:06:41.870Z",
        ),
        Case::of("pubsub", Proof::Signature(pubsub))
            .with_keys(&format!("keys = \"google.json\"\naudience = \"{AUDIENCE}\"\nservice_accounts = [\"{ACCOUNT}\"]"))
            .becomes("hookgate-push: Latency is above 2 s", "hookgate-push", "2026-02-11T14:16:08.251Z"),
    ]
}
