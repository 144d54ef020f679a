//! The store as the commands read it, beside a running gateway.

use std::path::Path;

use anyhow::bail;
use rustix::fs::{Access, access};
use rustix::io::Errno;

use crate::config::Config;
use crate::incident::Incident;
use crate::store::{Filter, Reader};

/// Incidents read at a time. The store ends a page earlier where they are large, so that memory stays flat.
pub(super) const PAGE: usize = 256;

/// Opens the store of a configuration for reading. Only `[store]` is looked at: the person at the shell may lack the
/// environment and the files that the gateway has its secrets from.
pub(super) fn open(config: &Path) -> anyhow::Result<Reader> {
    let file = Config::load_store(config)?.path;
    if access(&file, Access::READ_OK) == Err(Errno::ACCESS) {
        bail!(
            "no permission to read the store {}: run this as the user that the gateway runs as (sudo -u USER hookgate …)",
            file.display()
        );
    }
    Ok(Reader::open(&file)?)
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
