//! What is known about senders, as data: one file each, embedded. `config::Preset` reads them.

macro_rules! presets {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("presets/", $name, ".toml")))),+]
    };
}

/// Name and text of every built-in preset, by name.
pub const BUILT_IN: &[(&str, &str)] = presets!["github", "slack", "standard-webhooks", "xsoar"];
