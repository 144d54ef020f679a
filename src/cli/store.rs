//! The store as the commands read it, beside a running gateway.

use std::path::Path;

use anyhow::bail;
use rustix::fs::{Access, access};
use rustix::io::Errno;

use crate::config::Config;
use crate::incident::Incident;
use crate::store::{Filter, Order, Reader};

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

/// All incidents that pass a filter, read page by page as they are asked for; ends after an error.
///
/// What comes in meanwhile is left out: oldest first, there would be no end on a busy gateway.
pub(super) fn stream(reader: Reader, mut filter: Filter) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Incident>>> {
    let newest = reader.page(&Filter { limit: 1, ..Filter::default() })?.incidents.first().map(|incident| incident.id.seq());
    let mut goes_on = newest.is_some();
    let pages = std::iter::from_fn(move || {
        let newest = newest.filter(|_| goes_on)?;
        goes_on = false;
        let page = match reader.page(&filter) {
            Ok(page) => page,
            Err(error) => return Some(vec![Err(error.into())]),
        };
        goes_on = page.next.is_some_and(|cursor| filter.order == Order::NewestFirst || cursor.seq() < newest);
        filter.cursor = page.next;
        Some(page.incidents.into_iter().filter(|incident| incident.id.seq() <= newest).map(Ok).collect())
    });
    Ok(pages.flatten())
}
