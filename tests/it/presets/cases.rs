//! Every preset, and the ways its sender has.

use super::case::{Again, Case, Proof, Signature, Spelling, now};
use super::request::Request;
use super::signing::{Scheme, hex};

/// What senders that sign their address were told to post to.
pub(super) const URL: &str = "https://hooks.example.com/gate";
pub(super) const AUDIENCE: &str = "https://hooks.example.com/push";
pub(super) const ACCOUNT: &str = "push@example-project.iam.gserviceaccount.com";

pub(super) fn all() -> Vec<Case> {
    [unsigned(), standard(), forges(), services(), customers(), monitors(), clouds(), messengers()].concat()
}

fn unsigned() -> Vec<Case> {
    vec![
        Case::of("xsoar", Proof::Basic).with_keys("duplication_key = [\"incidentId\"]").becomes(
            "Suspicious sign-in",
            "Access",
            "2026-02-11T08:14:03Z",
        ),
        Case::of("d3", Proof::Header("d3key")).with_keys("duplication_key = [\"incidentNumber\"]").becomes(
            "Playbook finished: isolate host",
            "Playbook result",
            "2026-02-11T11:30:09Z",
        ),
        Case::of("responsys", Proof::Basic)
            .becomes("EMAIL_BOUNCED: Winter_Newsletter: ines.moreau@mail.example", "EMAIL_BOUNCED", None)
            .becomes("EMAIL_CLICKED: Winter_Newsletter: 90177", "EMAIL_CLICKED", None),
        Case::of("adobe-reactor", Proof::Path).becomes(
            "rule.created: Checkout: purchase event",
            "rule.created",
            "2026-02-11T10:16:02.583Z",
        ),
        Case::of("defensx", Proof::Path).becomes("Agent.Create: ACCT-LT-0412", "Agent.Create", "2026-02-11T10:15:30Z"),
        Case::of("google-forms", Proof::Basic).becomes("Lost laptop at Lyon airport", "Lost device", "2026-02-11T13:21:47.930Z"),
    ]
}

fn standard() -> Vec<Case> {
    let by_webhook_id =
        |request: &Request, _: &str| format!("{}.{}.{}", request.header("webhook-id"), request.header("webhook-timestamp"), request.body);
    let by_svix_id =
        |request: &Request, _: &str| format!("{}.{}.{}", request.header("svix-id"), request.header("svix-timestamp"), request.body);
    let webhook =
        Proof::signature(Scheme::Whsec, "webhook-signature", by_webhook_id).at(Spelling::Seconds, &["webhook-id", "webhook-timestamp"]);
    let svix = Proof::signature(Scheme::Whsec, "svix-signature", by_svix_id).at(Spelling::Seconds, &["svix-id", "svix-timestamp"]);
    let public = Signature { scheme: Scheme::Ed25519, key: "ours", other_key: "another's", ..webhook.clone() };
    vec![
        Case::of("standard-webhooks", Proof::Signature(webhook.clone())).becomes(
            "invoice.paid: inv_48210",
            "invoice.paid",
            "2026-02-11T12:40:17.204Z",
        ),
        Case::of("standard-webhooks", Proof::Signature(public))
            .called("standard-webhooks-ed25519", |request| request.replace("v1,{signature}", "v1a,{signature}"))
            .becomes("invoice.paid: inv_48210", "invoice.paid", "2026-02-11T12:40:17.204Z"),
        Case::of("standard-webhooks", Proof::Signature(webhook.clone()))
            .called("standard-webhooks-rotating", |request| request.replace("v1,{signature}", "v2,AAAA v1,AAAA v1,{signature}"))
            .becomes("invoice.paid: inv_48210", "invoice.paid", "2026-02-11T12:40:17.204Z"),
        Case::of("standard-webhooks", Proof::Signature(webhook.clone()))
            .called("standard-webhooks-array", |request| {
                request.body = r#"[{"type":"a.b","timestamp":1770804930},{"type":"a.b","timestamp":1770804931}]"#.into()
            })
            .becomes("a.b", "a.b", "2026-02-11T10:15:30Z")
            .becomes("a.b", "a.b", "2026-02-11T10:15:31Z"),
        Case::of("svix", Proof::Signature(svix)).becomes("user.created: user_9f27", "user.created", "2026-02-11T12:41:55Z"),
        Case::of("svix", Proof::Signature(webhook.clone()))
            .called("svix-white-label", |request| {
                for part in ["id", "timestamp", "signature"] {
                    request.rename(&format!("svix-{part}"), &format!("webhook-{part}"));
                }
            })
            .becomes("user.created: user_9f27", "user.created", "2026-02-11T12:41:55Z"),
        Case::of("gitlab", Proof::Signature(webhook))
            .called("gitlab-signing-token", |request| {
                request.remove("x-gitlab-token");
                request.set("webhook-id", "2f9a4be1-6d03-4b7a-8a52-0c3c9a1f7e44");
                request.set("webhook-timestamp", "{timestamp}");
                request.set("webhook-signature", "v1,{signature}");
            })
            .becomes("merge_request.open: platform/billing: Fix the rounding of refunds", "merge_request.open", "2026-02-11T12:55:08Z"),
    ]
}

fn forges() -> Vec<Case> {
    let linear = Proof::signature(Scheme::Sha256Hex, "linear-signature", |request, _| request.body.clone()).at(Spelling::Milliseconds, &[]);
    vec![
        Case::of("github", Proof::of_body(Scheme::Sha256Hex, "x-hub-signature-256")).becomes(
            "issues.opened: octo-example/facilities: The printer is on fire",
            "issues.opened",
            "2026-02-11T12:50:31Z",
        ),
        Case::of("github", Proof::of_body(Scheme::Sha256Hex, "x-hub-signature-256"))
            .called("github-form", |request| {
                request.set("content-type", "application/x-www-form-urlencoded");
                request.body = form_urlencoded::Serializer::new(String::new()).append_pair("payload", &request.body).finish();
            })
            .becomes("issues.opened: octo-example/facilities: The printer is on fire", "issues.opened", "2026-02-11T12:50:31Z"),
        Case::of("github", Proof::of_body(Scheme::Sha256Hex, "x-hub-signature-256"))
            .called("github-ping", |request| {
                request.set("x-github-event", "ping");
                request.body =
                    r#"{"zen":"Design for failure.","hook_id":401928374,"repository":{"full_name":"octo-example/facilities"}}"#.into();
            })
            .becomes("ping: octo-example/facilities", "ping", None),
        Case::of("gitlab", Proof::Equal).becomes(
            "merge_request.open: platform/billing: Fix the rounding of refunds",
            "merge_request.open",
            "2026-02-11T12:55:08Z",
        ),
        Case::of("bitbucket", Proof::of_body(Scheme::Sha256Hex, "x-hub-signature")).becomes(
            "pullrequest:created: billing-team/invoices: Add the invoice export",
            "pullrequest:created",
            "2026-02-11T13:02:44.108392Z",
        ),
        Case::of("jira", Proof::of_body(Scheme::Sha256Hex, "x-hub-signature")).becomes(
            "jira:issue_updated: OPS-12: Certificate expires next week",
            "jira:issue_updated",
            "2026-02-11T13:06:03.874Z",
        ),
        Case::of("jira", Proof::of_body(Scheme::Sha512Hex, "x-hub-signature"))
            .called("jira-sha512", |request| request.replace("sha256=", "sha512="))
            .becomes("jira:issue_updated: OPS-12: Certificate expires next week", "jira:issue_updated", "2026-02-11T13:06:03.874Z"),
        Case::of("linear", Proof::Signature(linear)).becomes(
            "Issue.create: OPS-57: Rotate the signing keys",
            "Issue.create",
            "2026-02-11T13:24:18.733Z",
        ),
    ]
}

fn services() -> Vec<Case> {
    let slack = Proof::signature(Scheme::Sha256Hex, "x-slack-signature", |request, _| {
        format!("v0:{}:{}", request.header("x-slack-request-timestamp"), request.body)
    })
    .at(Spelling::Seconds, &["x-slack-request-timestamp"]);
    let zoom = Proof::signature(Scheme::Sha256Hex, "x-zm-signature", |request, _| {
        format!("v0:{}:{}", request.header("x-zm-request-timestamp"), request.body)
    })
    .at(Spelling::Seconds, &["x-zm-request-timestamp"]);
    let stripe = Proof::signature(Scheme::Sha256Hex, "stripe-signature", |request, _| {
        let time = request.header("stripe-signature").strip_prefix("t=").unwrap().split(',').next().unwrap();
        format!("{time}.{}", request.body)
    })
    .at(Spelling::Seconds, &[]);
    let mailgun = Proof::signature(Scheme::Sha256Hex, "", |request, _| {
        let member = |name: &str| request.body.split(&format!("\"{name}\":\"")).nth(1).unwrap().split('"').next().unwrap().to_owned();
        format!("{}{}", member("timestamp"), member("token"))
    })
    .at(Spelling::Seconds, &[])
    .in_body(&["3f9c1b7a0d24e6852b6d0f4a7c1e4a938d5f9e3c1b7a0d24aa"]);
    vec![
        Case::of("slack", Proof::Signature(slack.clone())).becomes(
            "app_mention: Where is the runbook?",
            "app_mention",
            "2026-02-11T13:08:21Z",
        ),
        Case::of("slack", Proof::Signature(slack))
            .called("slack-command", |request| {
                request.set("content-type", "application/x-www-form-urlencoded");
                request.body =
                    "command=%2Fincident&text=printer+on+fire&user_name=sam&trigger_id=13345224609.738474920.8088930838d8".into();
            })
            .becomes("/incident: printer on fire", "/incident", None),
        Case::of("stripe", Proof::Signature(stripe)).becomes(
            "charge.dispute.created: du_1QexampleEf56",
            "charge.dispute.created",
            "2026-02-11T13:10:20Z",
        ),
        Case::of("pagerduty", Proof::of_body(Scheme::Sha256Hex, "x-pagerduty-signature")).becomes(
            "incident.triggered: Disk almost full on db-1",
            "incident.triggered",
            "2026-02-11T13:16:02.519Z",
        ),
        Case::of("typeform", Proof::of_body(Scheme::Sha256Base64, "typeform-signature")).becomes(
            "form_response: Report a lost badge",
            "form_response",
            "2026-02-11T13:20:55Z",
        ),
        Case::of("zoom", Proof::Signature(zoom)).becomes(
            "meeting.started: Weekly security review",
            "meeting.started",
            "2026-02-11T13:25:04.218Z",
        ),
        Case::of("dropbox", Proof::of_body(Scheme::Sha256Hex, "x-dropbox-signature"))
            .becomes("Dropbox: files changed in 2 account(s)", "list_folder", None)
            .repeats_as(Again::Another),
        Case::of("mailgun", Proof::Signature(mailgun)).becomes("failed: ines@example.com", "failed", "2026-02-11T14:12:33.418812Z"),
    ]
}

fn customers() -> Vec<Case> {
    let zendesk = Proof::signature(Scheme::Sha256Base64, "x-zendesk-webhook-signature", |request, _| {
        format!("{}{}", request.header("x-zendesk-webhook-signature-timestamp"), request.body)
    })
    .at(Spelling::Rfc3339, &["x-zendesk-webhook-signature-timestamp"]);
    let hubspot = Proof::signature(Scheme::Sha256Base64, "x-hubspot-signature-v3", |request, _| {
        format!("POST{URL}{}{}", request.body, request.header("x-hubspot-request-timestamp"))
    })
    .at(Spelling::Milliseconds, &["x-hubspot-request-timestamp"])
    .with_url();
    let v1 = Proof::signature(Scheme::PlainSha256, "x-hubspot-signature", |request, key| format!("{key}{}", request.body));
    let v2 =
        Proof::signature(Scheme::PlainSha256, "x-hubspot-signature", |request, key| format!("{key}POST{URL}{}", request.body)).with_url();
    let hubspots = |case: Case| {
        case.with_keys(&format!("public_url = \"{URL}\""))
            .becomes("contact.propertyChange: 512: lifecyclestage", "contact.propertyChange", "2026-02-11T13:32:40.123Z")
            .becomes("deal.creation: 7781", "deal.creation", "2026-02-11T13:32:41.890Z")
    };
    let older = |request: &mut Request| {
        request.remove("x-hubspot-request-timestamp");
        request.rename("x-hubspot-signature-v3", "x-hubspot-signature");
    };
    vec![
        Case::of("shopify", Proof::of_body(Scheme::Sha256Base64, "x-shopify-hmac-sha256")).becomes(
            "orders/create: #1042: teapots.example.com",
            "orders/create",
            "2026-02-11T13:12:29.482160371Z",
        ),
        Case::of("zendesk", Proof::Signature(zendesk.clone())).becomes(
            "ticket.created: Cannot open the vault",
            "ticket.created",
            "2026-02-11T13:28:40.167Z",
        ),
        Case::of("zendesk", Proof::Signature(zendesk))
            .called("zendesk-trigger", |request| {
                request.method = "PUT".into();
                request.body = r#"{"name":"VIP waits","type":"ticket","occurred":"2026-02-11T13:30:00Z"}"#.into();
            })
            .becomes("VIP waits", "ticket", "2026-02-11T13:30:00Z"),
        Case::of("intercom", Proof::of_body(Scheme::Sha1Hex, "x-hub-signature")).becomes(
            "contact.user.created: Sam Okoye",
            "contact.user.created",
            "2026-02-11T13:30:17Z",
        ),
        hubspots(Case::of("hubspot", Proof::Signature(hubspot))),
        hubspots(Case::of("hubspot", Proof::Signature(v1)).called("hubspot-v1", older)),
        hubspots(Case::of("hubspot", Proof::Signature(v2)).called("hubspot-v2", older)),
        Case::of("salesforce-ens", Proof::of_body(Scheme::Sha256Base64, "x-sfmc-ens-signature")).becomes(
            "TransactionalSendEvents.EmailSent: password-reset",
            "TransactionalSendEvents.EmailSent",
            "2026-02-11T14:16:42.877Z",
        ),
    ]
}

fn monitors() -> Vec<Case> {
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

fn clouds() -> Vec<Case> {
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

/// What a token of Google's says.
pub(super) fn claims(audience: &str, account: &str, expires: i64) -> String {
    serde_json::json!({ "iss": "https://accounts.google.com", "aud": audience, "azp": "104", "sub": "104", "email": account,
                        "email_verified": true, "iat": expires - 3600, "exp": expires })
    .to_string()
}

fn messengers() -> Vec<Case> {
    let sendgrid = Proof::signature(Scheme::P256, "x-twilio-email-event-webhook-signature", |request, _| {
        format!("{}{}", request.header("x-twilio-email-event-webhook-timestamp"), request.body)
    })
    .at(Spelling::Seconds, &["x-twilio-email-event-webhook-timestamp"]);
    let twilio = Proof::signature(Scheme::Sha1Base64, "x-twilio-signature", |request, _| {
        let mut fields: Vec<_> = form_urlencoded::parse(request.body.as_bytes()).collect();
        fields.sort();
        URL.to_owned() + &fields.iter().map(|(name, value)| format!("{name}{value}")).collect::<String>()
    })
    .with_url();
    let twilio_json = Proof::signature(Scheme::Sha1Base64, "x-twilio-signature", |request, _| {
        format!("{URL}?{}", request.path.split_once('?').unwrap().1)
    })
    .with_url();
    vec![
        Case::of("meta", Proof::of_body(Scheme::Sha256Hex, "x-hub-signature-256"))
            .with_keys("verify_token = \"meta-verifies-with-this\"")
            .becomes("page.feed: 104523000000001", "page.feed", "2026-02-11T13:35:02Z"),
        Case::of("x", Proof::of_body(Scheme::Sha256Base64, "x-twitter-webhooks-signature")).becomes(
            "tweet_create_events: alex_example",
            "tweet_create_events",
            "2026-02-11T13:36:52.345Z",
        ),
        Case::of("sendgrid", Proof::Signature(sendgrid)).becomes("bounce: ines@example.com", "bounce", "2026-02-11T14:08:55Z").becomes(
            "delivered: lee@example.com",
            "delivered",
            "2026-02-11T14:08:56Z",
        ),
        Case::of("twilio", Proof::Signature(twilio)).with_keys(&format!("public_url = \"{URL}\"")).becomes(
            "message delivered: +15550100100 to +15550100199",
            "message.delivered",
            None,
        ),
        Case::of("twilio", Proof::Signature(twilio_json))
            .called("twilio-json", |request| {
                use sha2::Digest;
                request.set("content-type", "application/json");
                request.body = r#"{"MessageSid":"SM43","MessageStatus":"sent","From":"+15550100100","To":"+15550100199"}"#.into();
                request.path = format!("{}?bodySHA256={}", request.path, hex(&sha2::Sha256::digest(&request.body)));
            })
            .with_keys(&format!("public_url = \"{URL}\""))
            .becomes("message sent: +15550100100 to +15550100199", "message.sent", None),
    ]
}
