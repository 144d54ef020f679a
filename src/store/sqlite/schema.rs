//! The tables, and how a database gets from one version of them to the next.

use rusqlite::{Connection, TransactionBehavior};

/// `Hook` in ASCII; says to `file` and to us whose database this is.
const APPLICATION_ID: i32 = 0x486f_6f6b;

/// What makes version n + 1 out of version n, in order. Only ever appended to: a script that was released is never changed.
const MIGRATIONS: [&str; 2] = [include_str!("schema_1.sql"), include_str!("schema_2.sql")];

/// The version this program reads and writes.
const VERSION: i64 = MIGRATIONS.len() as i64;

/// A database this program must leave alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// It has tables, and they are not ours.
    #[error("is another program's database: correct [store] url")]
    Foreign,
    /// A later hookgate migrated it.
    #[error(
        "has schema version {found}, and this program knows versions up to {VERSION}: \
         run the newer hookgate that wrote it, or restore a backup from before the upgrade"
    )]
    Newer {
        /// Its version.
        found: i64,
    },
    /// An earlier hookgate wrote it, and only the gateway migrates.
    #[error("has schema version {found}, and this program reads {VERSION}: start this version of the gateway once, it migrates the store")]
    Older {
        /// Its version.
        found: i64,
    },
}

/// The version of a database that is ours; 0 for one without any table.
pub(super) fn version(db: &Connection) -> rusqlite::Result<Result<i64, SchemaError>> {
    let application: i32 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    Ok(match (application, found) {
        (0, 0) if tables == 0 => Ok(0),
        (APPLICATION_ID, found) if found > VERSION => Err(SchemaError::Newer { found }),
        (APPLICATION_ID, found) if found > 0 => Ok(found),
        _ => Err(SchemaError::Foreign),
    })
}

/// Whether this program can read the database as it is.
pub(super) fn check_readable(db: &Connection) -> rusqlite::Result<Result<(), SchemaError>> {
    Ok(match version(db)? {
        Ok(VERSION) => Ok(()),
        Ok(found) => Err(SchemaError::Older { found }),
        Err(error) => Err(error),
    })
}

/// Brings a database of `version` to the newest, all of it or nothing.
pub(super) fn migrate(db: &mut Connection, version: i64) -> rusqlite::Result<()> {
    let pending = usize::try_from(version).ok().and_then(|done| MIGRATIONS.get(done..)).unwrap_or_default();
    if pending.is_empty() {
        return Ok(());
    }
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for script in pending {
        tx.execute_batch(script)?;
    }
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", VERSION)?;
    tx.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_database_is_migrated_once() {
        let mut db = Connection::open_in_memory().unwrap();
        assert_eq!(version(&db).unwrap(), Ok(0));
        migrate(&mut db, 0).unwrap();
        assert_eq!(version(&db).unwrap(), Ok(VERSION));
        migrate(&mut db, VERSION).unwrap();
        assert_eq!(check_readable(&db).unwrap(), Ok(()));
    }

    #[test]
    fn every_earlier_version_is_brought_to_the_newest_with_all_that_is_in_it() {
        for version in 1..VERSION {
            let mut db = Connection::open_in_memory().unwrap();
            for script in &MIGRATIONS[..version as usize] {
                db.execute_batch(script).unwrap();
            }
            db.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
            db.pragma_update(None, "user_version", version).unwrap();
            db.execute_batch(
                "INSERT INTO instance VALUES (1, 'a');
                 INSERT INTO incident (seq, tail, checksum, instance, created, name, headers, raw) VALUES (1, 2, 3, 1, 4, 'n', '{}', x'7b7d')",
            )
            .unwrap();
            assert_eq!(check_readable(&db).unwrap(), Err(SchemaError::Older { found: version }));
            migrate(&mut db, version).unwrap();
            assert_eq!(check_readable(&db).unwrap(), Ok(()));
            let row: (String, String, String) =
                db.query_row("SELECT instance, raw, fields FROM incidents", (), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
            assert_eq!(row, ("a".into(), "{}".into(), "{}".into()));
        }
    }

    #[test]
    fn newer_and_foreign_databases_are_left_alone() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db, 0).unwrap();
        db.pragma_update(None, "user_version", VERSION + 1).unwrap();
        assert_eq!(version(&db).unwrap(), Err(SchemaError::Newer { found: VERSION + 1 }));

        let other = Connection::open_in_memory().unwrap();
        other.execute_batch("CREATE TABLE x (y)").unwrap();
        assert_eq!(version(&other).unwrap(), Err(SchemaError::Foreign));
    }

    #[test]
    fn a_database_without_tables_is_not_readable_yet() {
        let db = Connection::open_in_memory().unwrap();
        assert_eq!(check_readable(&db).unwrap(), Err(SchemaError::Older { found: 0 }));
    }
}
