//! Lanes on runtimes that come and go, and many senders at once.

use super::*;
use crate::incident::Incident;

#[test]
fn a_lane_outlives_its_runtime() {
    let bench = Bench::new();
    let store = open(&bench);
    let lane = store.lane();
    for _ in 0..2 {
        assert!(runtime().block_on(lane.commit(one("{}"))).is_ok());
    }
}

#[test]
fn an_answer_finds_its_way_when_the_pump_is_gone() {
    let bench = Bench::new();
    let (store, gate) = gated(&bench, |_| ());
    let lane = store.lane();
    let mut commit = Box::pin(lane.commit(one("{}")));
    let closed = gate.lock().unwrap();
    let first = runtime();
    assert!(first.block_on(async { poll(commit.as_mut()).is_pending() }));
    drop(first);
    drop(closed);
    // Its timer is gone with the first runtime, so the answer must be there when it is looked for.
    store.close();
    assert_eq!(stored(&runtime().block_on(commit).unwrap()).len(), 1);
}

/// Senders in two lanes and on a multi-threaded runtime, while a consumer follows the stream and a backup is made.
#[test]
fn a_consumer_sees_everything_once_and_in_order_while_senders_send() {
    const SENDERS: u8 = 16;
    const EACH: usize = 50;
    let bench = Bench::new();
    let store = open(&bench);
    let senders: Vec<_> = (0..3)
        .map(|kind| {
            let lane = store.lane();
            let runtime =
                if kind < 2 { runtime() } else { runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build().unwrap() };
            std::thread::spawn(move || runtime.block_on(send(lane, SENDERS, EACH)))
        })
        .collect();

    let copy = bench.folder().join("copy.db");
    let mut filter = Filter { order: Order::OldestFirst, limit: 7, ..Filter::default() };
    let mut seen: Vec<Incident> = Vec::new();
    while seen.len() < 3 * SENDERS as usize * EACH {
        let page = store.reader().page(&filter).unwrap();
        seen.extend(page.incidents);
        filter.cursor = page.next.or(filter.cursor);
        if seen.len() > 100 && !copy.exists() {
            store.reader().backup(&copy).unwrap();
        }
    }
    let mut acknowledged: Vec<_> = senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect();
    acknowledged.sort_by_key(|id| id.seq());
    assert_eq!(seen.iter().map(|incident| incident.id).collect::<Vec<_>>(), acknowledged);

    let copied: Vec<_> = read_all(&Reader::open(&copy).unwrap(), &Filter { order: Order::OldestFirst, ..Filter::default() });
    let copied: Vec<_> = copied.iter().map(|incident| incident.id).collect();
    assert!(copied.len() > 100);
    assert_eq!(copied, acknowledged[..copied.len()], "the copy is of one moment");
}

async fn send(lane: Lane, senders: u8, each: usize) -> Vec<IncidentId> {
    let tasks: Vec<_> = (0..senders)
        .map(|_| {
            let lane = lane.clone();
            tokio::spawn(async move {
                let mut ids = Vec::new();
                for _ in 0..each {
                    ids.extend(stored(&lane.commit(one("{\"x\":1}")).await.unwrap()));
                }
                ids
            })
        })
        .collect();
    let mut ids = Vec::new();
    for task in tasks {
        ids.extend(task.await.unwrap());
    }
    ids
}
