//! Samples: which of the stored incidents are the last N of an instance. References, not copies.

use rusqlite::{Connection, params};

use crate::incident::Seq;

/// Adds `stored` (in order, of one transaction) to the samples of an instance and lets go of all but the last `limit`.
pub(super) fn keep(tx: &Connection, instance: i64, stored: &[Seq], limit: u32) -> rusqlite::Result<()> {
    let newest = stored.len().saturating_sub(limit as usize);
    let mut add = tx.prepare_cached("INSERT INTO sample (instance, seq) VALUES (?1, ?2)")?;
    for seq in &stored[newest..] {
        add.execute(params![instance, seq.0])?;
    }
    let mut trim = tx.prepare_cached(
        "DELETE FROM sample WHERE instance = ?1 AND seq <=
            (SELECT seq FROM sample WHERE instance = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
    )?;
    trim.execute(params![instance, limit]).map(drop)
}

/// The samples of an instance, oldest first.
pub(super) fn of_instance(db: &Connection, instance: &str) -> rusqlite::Result<Vec<Seq>> {
    let mut statement =
        db.prepare_cached("SELECT seq FROM sample WHERE instance = (SELECT id FROM instance WHERE name = ?1) ORDER BY seq")?;
    statement.query_map([instance], |row| row.get(0).map(Seq))?.collect()
}
