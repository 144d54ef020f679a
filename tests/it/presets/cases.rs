//! Every preset, and the ways its sender has.

mod business;
mod operations;

use super::case::{Again, Case, Proof, Signature, Spelling};
use super::request::Request;
use super::signing::Scheme;

/// What senders that sign their address were told to post to.
pub(super) const URL: &str = "https://hooks.example.com/gate";
pub(super) const AUDIENCE: &str = "https://hooks.example.com/push";
pub(super) const ACCOUNT: &str = "push@example-project.iam.gserviceaccount.com";

pub(super) fn all() -> Vec<Case> {
    [
        unsigned(),
        standard(),
        forges(),
        services(),
        business::customers(),
        business::messengers(),
        operations::monitors(),
        operations::clouds(),
    ]
    .concat()
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

/// What a token of Google's says.
pub(super) fn claims(audience: &str, account: &str, expires: i64) -> String {
    serde_json::json!({ "iss": "https://accounts.google.com", "aud": audience, "azp": "104", "sub": "104", "email": account,
                        "email_verified": true, "iat": expires - 3600, "exp": expires })
    .to_string()
}
