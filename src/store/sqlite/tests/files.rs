//! The files: what is opened, who may read them, how they are copied.

use super::*;
use crate::store::sqlite::{LOOK, check, file};

#[test]
fn what_must_not_be_opened_is_refused_with_advice() {
    let bench = Bench::new();
    let refused = |bench: &Bench| Database::open(&bench.options(), bench.clock()).err().unwrap();
    let first = bench.open();
    assert!(matches!(refused(&bench), OpenError::InUse { .. }));
    drop(first);
    bench.shell().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(refused(&bench), OpenError::Schema { reason: SchemaError::Newer { found: 99 }, .. }));
    assert!(matches!(Reader::open(&bench.path()), Err(ReadError::Schema { .. })));
    assert!(matches!(check(&bench.path()), Err(OpenError::Schema { .. })));

    let other = Bench::new();
    other.shell().execute_batch("CREATE TABLE x (y)").unwrap();
    assert!(matches!(refused(&other), OpenError::Schema { reason: SchemaError::Foreign, .. }));
    assert_eq!(other.shell().pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0)).unwrap(), "delete");

    let text = Bench::new();
    fs::write(text.path(), "this is not a database, only some text that is long enough").unwrap();
    assert!(matches!(refused(&text), OpenError::Damaged { .. }));
    assert!(matches!(check(&text.path()), Err(OpenError::Damaged { .. })));

    let mut options = bench.options();
    options.path = bench.folder().join("missing").join("x.db");
    assert!(matches!(Database::open(&options, bench.clock()), Err(OpenError::NoFolder { .. })));
    assert!(matches!(check(&options.path), Err(OpenError::NoFolder { .. })));
    assert!(matches!(Reader::open(&options.path), Err(ReadError::Missing { .. })));
    options.path = bench.folder().to_owned();
    assert!(Database::open(&options, bench.clock()).is_err(), "a folder is no database");
}

#[test]
fn checking_changes_nothing() {
    let bench = Bench::new();
    check(&bench.path()).unwrap();
    assert_eq!(fs::read_dir(bench.folder()).unwrap().count(), 0);
    let mut database = bench.open();
    store_one(&mut database, write(vec![draft("{}")]));
    check(&bench.path()).unwrap();
    assert_eq!(bench.all().len(), 1);
    database.close().unwrap();
    let files = || fs::read_dir(bench.folder()).unwrap().count();
    let before = files();
    check(&bench.path()).unwrap();
    assert_eq!(files(), before);
}

#[test]
fn files_are_private_and_commits_are_synced() {
    let bench = Bench::new();
    let mut database = bench.open();
    store_one(&mut database, write(vec![draft("{}")]));
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let path = file::with_suffix(&bench.path(), suffix);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
    for (pragma, wanted) in [("synchronous", 2), ("mmap_size", 0), ("trusted_schema", 0), ("cell_size_check", 1), ("wal_autocheckpoint", 0)]
    {
        let found: Option<i64> = database.db.query_row(&format!("PRAGMA {pragma}"), (), |row| row.get(0)).ok();
        assert_eq!(found.unwrap_or(0), wanted, "{pragma}");
    }
    database.close().unwrap();
    assert!(!file::with_suffix(&bench.path(), "-wal").exists(), "closing leaves one file");
}

#[test]
fn the_write_ahead_log_is_copied_once_it_is_long() {
    let bench = Bench::new();
    let mut database = bench.open();
    let backlog = |database: &mut Database, bytes: usize| {
        store_one(database, write(vec![draft(&"x".repeat(bytes))]));
        database.checkpoint().unwrap();
        let (frames, copied) = database.wal(LOOK).unwrap().unwrap();
        (frames > 0, frames - copied)
    };
    assert!(backlog(&mut database, 4096).1 > 0, "a few frames wait");
    assert_eq!(backlog(&mut database, 5 << 20), (true, 0));
}

#[test]
fn a_log_that_readers_kept_is_copied_more_often_until_it_begins_anew() {
    let bench = Bench::new();
    let mut database = bench.open();
    store_one(&mut database, write(vec![draft(&"x".repeat(20 << 20))]));
    let reader = bench.shell();
    reader.execute_batch("BEGIN; SELECT count(*) FROM incident").unwrap();
    database.checkpoint().unwrap();
    store_one(&mut database, write(vec![draft(&"x".repeat(600 << 10))]));
    let (frames, copied) = database.wal(LOOK).unwrap().unwrap();
    assert!(frames > 5000 && (1..1000).contains(&(frames - copied)), "the reader keeps it: {frames}, {copied}");
    reader.execute_batch("COMMIT").unwrap();
    database.checkpoint().unwrap();
    store_one(&mut database, write(vec![draft("{}")]));
    let (frames, _) = database.wal(LOOK).unwrap().unwrap();
    assert!(frames < 100, "begun anew: {frames}");
}

#[test]
fn a_copy_is_private_consistent_and_never_overwrites() {
    let bench = Bench::new();
    let mut database = bench.open();
    store_one(&mut database, write(vec![draft("{}"); 3]));
    let to = bench.folder().join("copy.db");
    bench.reader().backup(&to).unwrap();
    assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(bench.reader().backup(&to), Err(ReadError::BackupExists { .. })));
    let mut names: Vec<_> = fs::read_dir(bench.folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["copy.db", "x.db", "x.db-shm", "x.db-wal", "x.db.lock"], "nothing else is left");

    let ids = |reader: &Reader| read_all(reader, &Filter::default()).into_iter().map(|i| i.id).collect::<Vec<_>>();
    assert_eq!(ids(&Reader::open(&to).unwrap()), ids(&bench.reader()));
    let mut options = bench.options();
    options.path = to;
    let mut restored = Database::open(&options, bench.clock()).unwrap();
    store_one(&mut restored, write(vec![draft("{}")]));
}
