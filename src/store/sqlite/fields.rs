//! Own fields of incidents. Incidents without any have no rows.

use rusqlite::{CachedStatement, Connection, params};

use crate::incident::{Field, Seq};

pub(super) const INSERT: &str = "INSERT INTO field (seq, name, value) VALUES (?1, ?2, ?3)";
/// Sorted as they were made, which the checksum rests on.
const OF_INCIDENT: &str = "SELECT name, value FROM field WHERE seq = ?1 ORDER BY name";

/// `statement` is [`INSERT`].
pub(super) fn insert(statement: &mut CachedStatement<'_>, seq: Seq, fields: &[Field]) -> rusqlite::Result<()> {
    fields.iter().try_for_each(|field| statement.execute(params![seq.0, &*field.name, field.value]).map(drop))
}

pub(super) fn load(db: &Connection, seq: Seq) -> rusqlite::Result<Vec<Field>> {
    let mut statement = db.prepare_cached(OF_INCIDENT)?;
    let fields = statement.query_map([seq.0], |row| Ok(Field { name: row.get(0)?, value: row.get(1)? }))?;
    fields.collect()
}
