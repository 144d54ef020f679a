//! Bits flipped and files cut, on real files: whatever is read afterwards is what was stored, or it is said that it is not.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::incident::{Draft, Field, Incident, IncidentId};
use crate::store::Write;
use crate::store::sqlite::{Database, Filter, Order, Prepared, Reader};
use crate::store::testing::{Bench, draft, keyed, write};

/// Changes made to the files: a few in every run, many with `HOOKGATE_FULL=1`.
fn damages() -> u64 {
    if std::env::var_os("HOOKGATE_FULL").is_some() { 500 } else { 50 }
}

fn store(database: &mut Database, drafts: Vec<Draft>) {
    let write = Write { keep_samples: true, ..write(drafts) };
    database.store([&Prepared::new(Arc::new(write))].into_iter()).unwrap();
}

/// A store with small and large rows, shared headers, duplicates and samples. What was copied into the database is in there, and
/// half of it waits in the write-ahead log.
fn filled(bench: &Bench) -> HashMap<IncidentId, Incident> {
    let mut database = bench.open();
    let field = |name: &str, n: u8| Field { name: name.into(), value: format!("value {}", n % 5) };
    let fields = |n: u8| vec![field("host", n), field("severity", n / 2)];
    let kind = |n: u8| Draft { kind: Some(format!("type {}", n % 3).into()), fields: fields(n), ..keyed(n) };
    for n in 0..60 {
        store(&mut database, vec![kind(n), draft(&format!("{{\"pad\":\"{}\"}}", "p".repeat(usize::from(n) * 50))), keyed(n / 2)]);
    }
    store(&mut database, vec![draft(&"x".repeat(300_000)), draft("{}")]);
    database.wal(super::super::COPY).unwrap();
    for n in 60..120 {
        store(&mut database, vec![kind(n), keyed(n - 60), draft("{\"late\":true}")]);
    }
    // As after a crash: the log stays.
    drop(database);
    bench.all().into_iter().map(|incident| (incident.id, incident)).collect()
}

fn files(bench: &Bench) -> [PathBuf; 2] {
    [bench.path(), file::with_suffix(&bench.path(), "-wal")]
}

/// The contents of the database and its log, to begin every damage from.
struct Image([Vec<u8>; 2]);

impl Image {
    fn of(bench: &Bench) -> Self {
        Self(files(bench).map(|path| fs::read(path).unwrap()))
    }

    fn put(&self, bench: &Bench) {
        let _ = fs::remove_file(file::with_suffix(&bench.path(), "-shm"));
        for (path, bytes) in files(bench).iter().zip(&self.0) {
            fs::write(path, bytes).unwrap();
        }
    }
}

/// Reads as readers do, one by one and page by page, and returns what could be read. All of it must be as it was stored.
fn read_what_can_be_read(reader: &Reader, truth: &HashMap<IncidentId, Incident>, seed: u64) -> usize {
    let same = |found: &Incident| {
        let known = truth.get(&found.id).unwrap_or_else(|| panic!("seed {seed}: {} was never stored", found.id));
        let fields = |i: &Incident| {
            (i.instance.clone(), i.name.clone(), i.kind.clone(), i.occurred.clone(), i.created, i.headers.clone(), i.fields.clone())
        };
        assert!(fields(known) == fields(found) && known.raw == found.raw, "seed {seed}: a silently wrong incident {found:?}");
    };
    let mut whole = 0;
    for id in truth.keys() {
        if let Ok(Some(found)) = reader.incident(*id) {
            same(&found);
            whole += 1;
        }
    }
    let mut filter = Filter { order: Order::OldestFirst, limit: 10, ..Filter::default() };
    while let Ok(page) = reader.page(&filter) {
        page.incidents.iter().for_each(same);
        if page.next.is_none() {
            break;
        }
        filter.cursor = page.next;
    }
    let _ = reader.samples("a").map(|samples| samples.iter().for_each(same));
    whole
}

/// Whether anybody is told about the damage: at start, by `check` or by `verify`.
fn is_told(bench: &Bench, reader: Option<&Reader>) -> bool {
    let Some(reader) = reader else { return true };
    super::super::check(&bench.path()).is_err() || !reader.verify().is_ok_and(|found| found.is_clean())
}

#[test]
fn a_flipped_bit_in_the_database_is_harmless_or_told() {
    let bench = Bench::new();
    let truth = filled(&bench);
    bench.open().wal(super::super::COPY_AND_EMPTY).unwrap();
    assert!(bench.reader().verify().unwrap().is_clean());
    let image = Image::of(&bench);
    let (mut told, mut harmless) = (0, 0);
    for seed in 0..damages() {
        image.put(&bench);
        flip(&files(&bench)[0], &mut fastrand::Rng::with_seed(seed));
        let reader = Reader::open(&bench.path()).ok();
        let whole = reader.as_ref().map_or(0, |reader| read_what_can_be_read(reader, &truth, seed));
        if is_told(&bench, reader.as_ref()) {
            told += 1;
        } else {
            assert_eq!(whole, truth.len(), "seed {seed}: incidents are missing and nobody is told");
            harmless += 1;
        }
    }
    println!("{told} flipped bits were told, {harmless} were harmless");
    assert!(told > 0, "a test that damages nothing shows nothing");
}

/// SQLite takes a frame that does not match its checksum for the torn end of the log: what comes before it is there.
#[test]
fn a_flipped_bit_in_the_log_never_makes_a_wrong_incident() {
    let bench = Bench::new();
    let truth = filled(&bench);
    let image = Image::of(&bench);
    assert!(image.0[1].len() > 100_000, "the log is there");
    let mut cut = 0;
    for seed in 0..damages() {
        image.put(&bench);
        flip(&files(&bench)[1], &mut fastrand::Rng::with_seed(seed));
        let reader = bench.reader();
        let whole = read_what_can_be_read(&reader, &truth, seed);
        cut += u32::from(whole < truth.len());
        let found = reader.verify().unwrap();
        assert!(found.is_clean() && found.whole == whole as u64, "seed {seed}: {found:?}");
    }
    println!("{cut} of {} flipped bits shortened the log", damages());
}

#[test]
fn a_shortened_file_is_told_or_whole() {
    let bench = Bench::new();
    let truth = filled(&bench);
    let image = Image::of(&bench);
    for seed in 0..damages() {
        image.put(&bench);
        let mut random = fastrand::Rng::with_seed(seed);
        let victim = usize::from(random.bool());
        let path = &files(&bench)[victim];
        let length = random.u64(..fs::metadata(path).unwrap().len());
        fs::OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
        let reader = Reader::open(&bench.path()).ok();
        let whole = reader.as_ref().map_or(0, |reader| read_what_can_be_read(reader, &truth, seed));
        // A log that is cut is a shorter log, as above. A database that is cut may be made whole by its log.
        if victim == 0 && whole < truth.len() {
            assert!(is_told(&bench, reader.as_ref()), "seed {seed}: cut to {length}, and nobody is told");
        }
    }
}

#[test]
fn garbage_is_refused_with_advice() {
    let bench = Bench::new();
    filled(&bench);
    bench.open().close().unwrap();
    let database = fs::read(bench.path()).unwrap();
    let pages = |range: std::ops::Range<usize>| {
        let mut bytes = database.clone();
        bytes[range].fill(0xa5);
        bytes
    };
    let half = database.len() / 2 / 4096 * 4096;
    for (what, bytes) in [
        ("garbage in the header", pages(0..100)),
        ("a file cut in half", database[..half].to_vec()),
        ("garbage in the first page", pages(100..4096)),
        ("garbage in the middle", pages(half..half + 40_960)),
    ] {
        fs::write(bench.path(), &bytes).unwrap();
        for refused in [super::super::check(&bench.path()).err(), Database::open(&bench.options(), bench.clock()).err()] {
            let message = refused.unwrap_or_else(|| panic!("{what} is not noticed")).to_string();
            assert!(message.contains("damaged") && message.contains("restore a backup"), "{what}: {message}");
        }
        assert_eq!(fs::read(bench.path()).unwrap(), bytes, "{what}: the evidence is left alone");
    }
}

#[test]
fn a_field_that_was_changed_is_told() {
    let bench = Bench::new();
    filled(&bench);
    for change in [
        "UPDATE field SET value = 'x' WHERE seq = (SELECT min(seq) FROM field) AND name = 'host'",
        "DELETE FROM field WHERE seq = (SELECT max(seq) FROM field) AND name = 'severity'",
        "INSERT INTO field (seq, name, value) SELECT seq, 'new', 'x' FROM incident WHERE name = 'n' AND seq NOT IN (SELECT seq FROM field) LIMIT 1",
    ] {
        let before = bench.reader().verify().unwrap().damaged;
        assert_eq!(bench.shell().execute(change, ()).unwrap(), 1);
        assert_eq!(bench.reader().verify().unwrap().damaged, before + 1, "{change}");
    }
}

#[test]
fn references_that_lead_nowhere_are_told() {
    let bench = Bench::new();
    filled(&bench);
    for (change, fault) in [
        ("UPDATE duplicate SET tail = tail + 1 WHERE seq = (SELECT min(seq) FROM duplicate)", "1 duplication keys"),
        ("INSERT INTO repeat (seq, count, last_seen) VALUES (1, 1, 1)", "1 repeat counts"),
        ("INSERT INTO field (seq, name, value) VALUES (1, 'a', 'b')", "1 fields"),
        ("INSERT INTO sample (instance, seq) VALUES (1, 1)", "1 samples"),
    ] {
        bench.shell().execute(change, ()).unwrap();
        let found = bench.reader().verify().unwrap();
        assert!(found.faults.iter().any(|found| found.contains(fault)), "{change}: {found:?}");
    }
}

fn flip(path: &Path, random: &mut fastrand::Rng) {
    let mut bytes = fs::read(path).unwrap();
    let at = random.usize(..bytes.len());
    bytes[at] ^= 1 << random.u8(..8);
    fs::write(path, bytes).unwrap();
}
