//! What is known about senders, as data: one file each, embedded. `config::Preset` reads them.

macro_rules! presets {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("presets/", $name, ".toml")))),+]
    };
}

/// Name and text of every built-in preset, by name.
pub const BUILT_IN: &[(&str, &str)] = presets![
    "adobe-reactor",
    "alertmanager",
    "aws-sns",
    "azure-event-grid",
    "azure-monitor",
    "bitbucket",
    "cloudevents",
    "crowdstrike",
    "d3",
    "defensx",
    "dropbox",
    "elastic",
    "github",
    "gitlab",
    "google-forms",
    "grafana",
    "hubspot",
    "intercom",
    "jira",
    "linear",
    "mailgun",
    "meta",
    "microsoft-graph",
    "okta",
    "pagerduty",
    "pubsub",
    "responsys",
    "salesforce-ens",
    "sendgrid",
    "shopify",
    "slack",
    "splunk",
    "standard-webhooks",
    "stripe",
    "svix",
    "twilio",
    "typeform",
    "x",
    "xsoar",
    "zendesk",
    "zoom",
];

#[cfg(test)]
mod tests {
    use super::BUILT_IN;

    #[test]
    fn the_list_and_the_folder_agree() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/senders/presets");
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        let listed: Vec<_> = BUILT_IN.iter().map(|(name, _)| format!("{name}.toml")).collect();
        assert_eq!(listed, files);
    }
}
