//! The store as the commands read it, beside a running gateway.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;
use rustix::fs::{Access, access};
use rustix::io::Errno;

use crate::config::Config;
use crate::incident::Incident;
use crate::store::{Filter, Order, Reader};

/// Incidents read at a time, in some 0.5 ms: whoever has stepped back may be kept waiting for the processor while he has a snapshot
/// open, and the less often the fewer there are in one. The store ends a page earlier where they are large, so that memory stays flat.
pub(super) const PAGE: usize = 32;
/// After so much reading there is a break. A gateway's write-ahead log begins anew only when all of it was copied and nobody reads,
/// and one page right after the other would leave no such moment.
const BREAK_AFTER: Duration = Duration::from_millis(50);
const BREAK: Duration = Duration::from_millis(5);

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
#[expect(clippy::disallowed_methods, reason = "that time passes is all that is wanted")]
pub(super) fn stream(reader: Reader, mut filter: Filter) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Incident>>> {
    let newest = reader.page(&Filter { limit: 1, ..Filter::default() })?.incidents.first().map(|incident| incident.id.seq());
    let mut goes_on = newest.is_some();
    let mut reading = Duration::ZERO;
    let pages = std::iter::from_fn(move || {
        let newest = newest.filter(|_| goes_on)?;
        goes_on = false;
        if reading >= BREAK_AFTER {
            thread::sleep(BREAK);
            reading = Duration::ZERO;
        }
        let began = Instant::now();
        let page = match reader.page(&filter) {
            Ok(page) => page,
            Err(error) => return Some(vec![Err(error.into())]),
        };
        reading += began.elapsed();
        goes_on = page.next.is_some_and(|cursor| filter.order == Order::NewestFirst || cursor.seq() < newest);
        filter.cursor = page.next;
        Some(page.incidents.into_iter().filter(|incident| incident.id.seq() <= newest).map(Ok).collect())
    });
    Ok(pages.flatten())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::incident::Draft;
    use crate::metrics::Metrics;
    use crate::store::{Options, Store, Write};

    /// Stores so many incidents in one commit.
    async fn add(store: &Store, count: usize) {
        let draft = Draft {
            name: "n".into(),
            kind: Some("t".into()),
            occurred: None,
            raw: Bytes::from_static(b"{}"),
            key: None,
            fields: Vec::new(),
            warnings: Vec::new(),
        };
        let write = Write {
            instance: "a".into(),
            headers: "{}".into(),
            drafts: vec![draft; count],
            keep_samples: false,
            duplicates_of: "a".into(),
            duplication_window: Duration::from_secs(1),
            tally: Arc::default(),
        };
        store.lane().commit(Arc::new(write)).await.unwrap();
    }

    fn open(folder: &Path) -> Store {
        Store::open(Options { path: folder.join("x.db"), retention: None, samples: 0, metrics: Arc::new(Metrics::new()) }).unwrap()
    }

    fn filter(order: Order, instance: &str) -> Filter {
        Filter { order, instance: Some(instance.into()), kind: Some("t".into()), limit: 3, ..Filter::default() }
    }

    #[tokio::test]
    async fn a_stream_goes_over_every_page_and_ends_at_what_was_newest() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        add(&store, 10).await;
        for order in [Order::OldestFirst, Order::NewestFirst] {
            let before: Vec<_> = stream(store.reader(), filter(order, "a")).unwrap().map(|found| found.unwrap().id).collect();
            assert!(before.is_sorted_by_key(|id| if order == Order::OldestFirst { id.seq().0 } else { -id.seq().0 }));
            let mut found = stream(store.reader(), filter(order, "a")).unwrap();
            assert_eq!(found.next().unwrap().unwrap().id, before[0]);
            add(&store, 10).await;
            assert_eq!(found.map(|found| found.unwrap().id).collect::<Vec<_>>(), before[1..], "{order:?}");
        }
    }

    #[tokio::test]
    async fn a_stream_without_a_match_ends() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        assert_eq!(stream(store.reader(), filter(Order::OldestFirst, "a")).unwrap().count(), 0, "an empty store");
        add(&store, 10).await;
        assert_eq!(stream(store.reader(), filter(Order::OldestFirst, "other")).unwrap().count(), 0);
    }
}
