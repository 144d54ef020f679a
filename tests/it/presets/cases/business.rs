//! What talks to customers.

use super::super::case::{Case, Proof, Spelling};
use super::super::request::Request;
use super::super::signing::{Scheme, hex};
use super::URL;

pub(super) fn customers() -> Vec<Case> {
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

pub(super) fn messengers() -> Vec<Case> {
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
