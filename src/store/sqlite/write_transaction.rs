//! Transactions whose statements stay prepared: compiling BEGIN and COMMIT anew costs as much as storing a row.

use rusqlite::Connection;

/// An open transaction; rolled back when dropped.
pub(super) struct WriteTransaction<'d> {
    db: &'d Connection,
}

impl<'d> WriteTransaction<'d> {
    /// Begins one that will write.
    pub(super) fn begin(db: &'d Connection) -> rusqlite::Result<Self> {
        db.prepare_cached("BEGIN IMMEDIATE")?.execute(())?;
        Ok(Self { db })
    }

    /// When this returns without an error, what was written is on stable storage.
    pub(super) fn commit(self) -> rusqlite::Result<()> {
        self.db.prepare_cached("COMMIT")?.execute(()).map(drop)
    }
}

impl std::ops::Deref for WriteTransaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.db
    }
}

impl Drop for WriteTransaction<'_> {
    fn drop(&mut self) {
        if !self.db.is_autocommit() {
            // Whether it went well is seen by who asks whether the transaction is still open.
            let _ = self.db.execute_batch("ROLLBACK");
        }
    }
}
