//! Any configuration file: no panic, every line named exists, and no message holds a secret of the environment.
#![no_main]

use std::path::Path;

use hookgate::config::Config;

const SECRET: &str = "s3cret-of-the-environment";

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let env = |name: &str| (name == "S").then(|| SECRET.to_owned());
    // No such folder, so that a file named in the text is not found.
    match Config::parse(text, Path::new("/nonexistent/hookgate.toml"), &env) {
        Ok(config) => {
            assert!(!config.instances.is_empty() && !config.server.listen.is_empty());
            assert!(config.server.max_body_in_flight >= config.server.max_body);
            assert!(!format!("{config:?}").contains(SECRET));
        }
        Err(errors) => {
            assert!(!errors.errors.is_empty());
            let lines = text.split('\n').count();
            let own = errors.errors.iter().filter(|error| error.file.is_none());
            assert!(own.clone().all(|error| error.line.is_none_or(|line| (1..=lines).contains(&line))), "{errors}");
            assert!(!errors.to_string().contains(SECRET));
        }
    }
});
