//! The store as the commands read it, beside a running gateway.

use std::path::Path;

use anyhow::{Context, bail};

use crate::config::Config;
use crate::incident::Incident;
use crate::store::{Filter, Reader};

/// Incidents read at a time. Each may be as large as a request may be, and memory is to stay flat.
pub(super) const PAGE: usize = 32;

/// Opens the store of a configuration for reading. Only `[store]` is looked at: the person at the shell may lack the
/// environment and the files that the gateway has its secrets from.
pub(super) fn open(config: &Path) -> anyhow::Result<Reader> {
    let file = &Config::load_store(config)?.path;
    if !file.exists() {
        bail!("there is no store at {} yet: the gateway creates it when it first starts (hookgate serve)", file.display());
    }
    Reader::open(file).with_context(|| format!("cannot read the store {}", file.display()))
}

/// All incidents that pass a filter, read page by page as they are asked for. Ends after an error.
pub(super) fn stream(reader: Reader, filter: Filter) -> impl Iterator<Item = anyhow::Result<Incident>> {
    let mut next = Some(filter);
    let pages = std::iter::from_fn(move || {
        let mut filter = next.take()?;
        let page = match reader.page(&filter) {
            Ok(page) => page,
            Err(error) => return Some(vec![Err(error.into())]),
        };
        if page.next.is_some() {
            filter.cursor = page.next;
            next = Some(filter);
        }
        Some(page.incidents.into_iter().map(Ok).collect())
    });
    pages.flatten()
}
