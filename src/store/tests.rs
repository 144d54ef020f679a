//! The store as the rest of the house sees it: lanes, the writer thread, its end.

mod lanes;

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use rusqlite::limits::Limit;
use tokio::runtime;

use super::sqlite::Database;
use super::testing::{Bench, draft, keyed, read_all, stored, write};
use super::*;

fn open(bench: &Bench) -> Store {
    Store::start(bench.open(), bench.options()).unwrap()
}

fn runtime() -> runtime::Runtime {
    runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn one(raw: &str) -> Arc<Write> {
    Arc::new(write(vec![draft(raw)]))
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// A store whose writer begins no transaction while the gate is held.
fn gated(bench: &Bench, prepare: impl FnOnce(&Database)) -> (Store, Arc<Mutex<()>>) {
    let gate = Arc::new(Mutex::new(()));
    let (clock, passage) = (bench.clock(), Arc::clone(&gate));
    let wait = move || {
        drop(passage.lock().unwrap());
        clock()
    };
    let database = Database::open(&bench.options(), Box::new(wait)).unwrap();
    prepare(&database);
    (Store::start(database, bench.options()).unwrap(), gate)
}

/// Keeps the writer busy with one request, so that what follows waits together.
fn occupy(lane: &Lane, _closed: &MutexGuard<'_, ()>) {
    let mut first = Box::pin(lane.commit(one("{\"first\":1}")));
    assert!(poll(first.as_mut()).is_pending());
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let bench = Bench::new();
    let store = open(&bench);
    let receipt = store.lane().commit(one("{\"a\":1}")).await.unwrap();
    assert_eq!(store.reader().incident(stored(&receipt)[0]).unwrap().unwrap().raw, b"{\"a\":1}");
    store.close();
    let mut left: Vec<_> = std::fs::read_dir(bench.folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["x.db", "x.db.ballast", "x.db.lock"], "the write-ahead log is cleared away");
    let store = open(&bench);
    assert_eq!(store.reader().incident(stored(&receipt)[0]).unwrap().unwrap().raw, b"{\"a\":1}");
}

#[tokio::test]
async fn a_write_of_nothing_is_done_at_once() {
    let bench = Bench::new();
    assert_eq!(open(&bench).lane().commit(Arc::new(write(Vec::new()))).await.unwrap().outcomes, []);
}

#[test]
fn a_caller_that_hangs_up_does_not_cancel_the_commit() {
    let bench = Bench::new();
    let write = one("{}");
    let (store, gate) = gated(&bench, |_| ());
    runtime().block_on(async {
        let closed = gate.lock().unwrap();
        let lane = store.lane();
        let mut commit = Box::pin(lane.commit(Arc::clone(&write)));
        assert!(poll(commit.as_mut()).is_pending());
        drop(commit);
        drop(closed);
    });
    store.close();
    assert_eq!(bench.all().len(), 1);
    assert_eq!(write.tally.incidents.get(), 1, "it counts although nobody waits for it");
    assert!(write.tally.activity.last_event.get().is_some());
}

#[test]
fn closing_commits_what_waits_and_refuses_the_rest() {
    let bench = Bench::new();
    let (store, gate) = gated(&bench, |_| ());
    let lane = store.lane();
    runtime().block_on(async {
        let closed = gate.lock().unwrap();
        let mut waiting = pin!(lane.commit(one("{}")));
        assert!(poll(waiting.as_mut()).is_pending());
        store.queue.close();
        let late = poll(Box::pin(lane.commit(one("{}"))).as_mut());
        assert_eq!(late, Poll::Ready(Err(WriteError::Closing)));
        drop(closed);
        assert_eq!(stored(&waiting.await.unwrap()).len(), 1);
        store.close();
        assert_eq!(lane.commit(one("{}")).await, Err(WriteError::Closing));
    });
    assert_eq!(bench.all().len(), 1);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let bench = Bench::new();
    let (store, gate) = gated(&bench, |_| ());
    let lane = store.lane();
    let write = one("{}");
    let mut taken = 1;
    let refused = {
        let closed = gate.lock().unwrap();
        occupy(&lane, &closed);
        // The writer holds at most one batch, so twice the queue is more than enough to fill it.
        (0..2 * queue::CAPACITY).find_map(|_| match poll(Box::pin(lane.commit(Arc::clone(&write))).as_mut()) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => {
                taken += 1;
                None
            }
        })
    };
    assert_eq!(refused, Some(Err(WriteError::QueueFull)));
    store.close();
    assert!(taken >= queue::CAPACITY);
    assert_eq!(bench.all().len(), taken, "all that were taken are stored");
}

#[tokio::test]
async fn only_the_guilty_request_of_a_batch_fails() {
    let bench = Bench::new();
    let (store, gate) = gated(&bench, |database| {
        database.db.set_limit(Limit::SQLITE_LIMIT_LENGTH, 1000).unwrap();
    });
    let lane = store.lane();
    let poison = "x".repeat(1001);
    let (good, bad, after) = (lane.commit(one("{}")), lane.commit(one(&poison)), lane.commit(one("{}")));
    let (mut good, mut bad, mut after) = (pin!(good), pin!(bad), pin!(after));
    {
        let closed = gate.lock().unwrap();
        occupy(&lane, &closed);
        assert!(poll(good.as_mut()).is_pending() && poll(bad.as_mut()).is_pending() && poll(after.as_mut()).is_pending());
    }
    assert!(matches!(bad.await, Err(WriteError::Io(_))));
    assert_eq!((stored(&good.await.unwrap()).len(), stored(&after.await.unwrap()).len()), (1, 1));
}

#[test]
fn a_commit_that_does_not_begin_in_time_is_called_off_and_one_that_has_begun_is_not() {
    let bench = Bench::new();
    let (store, gate) = gated(&bench, |_| ());
    let (lane, runtime) = (store.lane(), runtime());
    let closed = gate.lock().unwrap();
    let mut begun = Box::pin(lane.commit(one("{\"begun\":1}")));
    runtime.block_on(async {
        assert!(poll(begun.as_mut()).is_pending());
        while !store.queue.is_empty() {
            std::thread::yield_now();
        }
        let mut waiting = pin!(lane.commit(one("{\"waiting\":1}")));
        assert!(poll(waiting.as_mut()).is_pending());
        store.queue.age(queue::MOST_WAIT);
        assert_eq!(poll(pin!(lane.commit(one("{}"))).as_mut()), Poll::Ready(Err(WriteError::QueueFull)), "turned away at the door");
        // As its own timer would have it.
        writer::refuse(store.queue.take_overdue(), &WriteError::Overdue);
        assert_eq!(waiting.await, Err(WriteError::Overdue));
        assert!(poll(begun.as_mut()).is_pending());
    });
    drop(closed);
    assert_eq!(stored(&runtime.block_on(begun).unwrap()).len(), 1);
    assert_eq!(store.queue.waiting(), 0);
    store.close();
    assert_eq!(bench.all().len(), 1, "what was refused is not stored");
}

#[test]
fn rows_that_wait_are_bounded_too() {
    let bench = Bench::new();
    let (store, gate) = gated(&bench, |_| ());
    let lane = store.lane();
    let many = Arc::new(write(vec![draft("{}"); 10_000]));
    runtime().block_on(async {
        let closed = gate.lock().unwrap();
        occupy(&lane, &closed);
        let refused = (0..9).filter(|_| poll(Box::pin(lane.commit(Arc::clone(&many))).as_mut()).is_ready()).count();
        assert!((2..=3).contains(&refused), "{refused} of 9: six fit, and the writer may have taken one");
    });
}

#[tokio::test]
async fn a_full_disk_is_not_ready_and_heals_by_itself() {
    let bench = Bench::new();
    let database = bench.open();
    let pages: i64 = database.db.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    // Room for the first one of 25 pages, and not for the second one of 22 beside it.
    database.db.pragma_update(None, "max_page_count", pages + 35).unwrap();
    let store = Store::start(database, bench.options()).unwrap();
    let lane = store.lane();
    store.readiness().check().await.unwrap();
    let filler = stored(&lane.commit(one(&"x".repeat(100_000))).await.unwrap())[0];
    let large = one(&"y".repeat(90_000));
    assert_eq!(lane.commit(Arc::clone(&large)).await, Err(WriteError::DiskFull));
    assert_eq!(store.readiness().check().await, Err(WriteError::DiskFull));

    bench.shell().execute("DELETE FROM incident WHERE seq = ?1", [filler.seq().0]).unwrap();
    assert_eq!(stored(&lane.commit(large).await.unwrap()).len(), 1);
    store.readiness().check().await.unwrap();
}

#[tokio::test]
async fn being_ready_takes_a_real_commit() {
    let bench = Bench::new();
    let store = open(&bench);
    assert_eq!(bench.count("SELECT count(*) FROM meta WHERE name = 'probed'"), 0);
    let readiness = store.readiness();
    let (a, b) = tokio::join!(readiness.check(), readiness.check());
    assert_eq!((a, b), (Ok(()), Ok(())));
    assert_eq!(bench.count("SELECT count(*) FROM meta WHERE name = 'probed'"), 1);
    bench.set_time(0);
    store.readiness().check().await.unwrap();
    assert_ne!(bench.count("SELECT value FROM meta WHERE name = 'probed'"), 0, "not a second one within a second");
    store.queue.close();
}

#[tokio::test]
async fn a_panic_of_the_writer_is_fatal_and_acknowledges_nothing() {
    let bench = Bench::new();
    let broken = Arc::new(AtomicBool::new(false));
    let (clock, breaks) = (bench.clock(), Arc::clone(&broken));
    let clock = Box::new(move || if breaks.load(Ordering::SeqCst) { panic!("a test breaks the writer") } else { clock() });
    let store = Store::start(Database::open(&bench.options(), clock).unwrap(), bench.options()).unwrap();
    let lane = store.lane();
    lane.commit(one("{}")).await.unwrap();
    broken.store(true, Ordering::SeqCst);
    assert!(matches!(lane.commit(one("{}")).await, Err(WriteError::Io(_))));
    assert!(store.fatal().await.contains("panicked"));
    assert!(matches!(lane.commit(one("{}")).await, Err(WriteError::Io(_))), "nothing more is taken");
    assert!(store.readiness().check().await.is_err());
    store.close();
    assert_eq!(bench.all().len(), 1);
}

#[tokio::test]
async fn commits_are_counted() {
    let bench = Bench::new();
    let options = bench.options();
    let metrics = Arc::clone(&options.metrics);
    let store = Store::start(bench.open(), options).unwrap();
    store.lane().commit(Arc::new(write(vec![keyed(1), keyed(1)]))).await.unwrap();
    store.close();
    let text = metrics.encode();
    for line in ["hookgate_commit_incidents_sum 2.0", "hookgate_commit_duration_seconds_count 1", "hookgate_queue_requests 0"] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(metrics.store_size.get() > 0);
}

#[tokio::test]
async fn everything_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    fn sent<T: Send>(_: &T) {}
    let bench = Bench::new();
    let store = open(&bench);
    let lane = store.lane();
    shared(&store);
    shared(&store.reader());
    shared(&lane);
    let readiness = store.readiness();
    shared(&readiness);
    sent(&readiness.check());
    sent(&store.fatal());
    sent(&lane.commit(one("{}")));
}
