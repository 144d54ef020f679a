//! `samples`: the kept events of an instance, for people who write a mapping.

use std::path::Path;

use super::output::{note, print_array};
use super::{entrance, store};
use crate::config::Config;

/// Print the kept samples of an instance as a JSON array, oldest first
///
/// Samples are the last normalised incidents of an instance that has `store_samples = true`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hookgate samples my_instance_01 | jq '.[-1].rawJson'")]
pub(super) struct Args {
    /// The instance
    name: String,
}

impl Args {
    pub(super) fn run(self, config: &Path) -> anyhow::Result<()> {
        let samples = store::open(config)?.samples(&self.name)?;
        if samples.is_empty() {
            // Asked only now: an instance that was taken out of the configuration may still have samples.
            let config = Config::load(config)?;
            note(if entrance::find(&config, &self.name)?.store_samples {
                "no samples yet: nothing came in since store_samples was switched on"
            } else {
                "no samples: this instance does not keep them; set store_samples = true"
            });
        }
        print_array(samples.into_iter().map(Ok::<_, std::io::Error>))
    }
}
