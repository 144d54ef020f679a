//! One incident as it is read back, with its checksum verified.

use rusqlite::{Connection, Row};

use super::checksum::{Content, Place};
use super::fields;
use crate::incident::{Incident, IncidentId, Repeats, Seq, Timestamp};
use crate::store::error::ReadError;

const INCIDENT: &str = "
    SELECT i.tail, i.checksum, n.name, i.created, i.request, i.type, i.occurred, i.name, coalesce(i.headers, h.headers), i.raw,
           r.count, r.last_seen
    FROM incident i
    LEFT JOIN instance n ON n.id = i.instance
    LEFT JOIN incident h ON h.seq = i.request
    LEFT JOIN repeat r ON r.seq = i.seq
    WHERE i.seq = ?1";

/// The incident at `seq`, if there is one.
pub(super) fn load(db: &Connection, seq: Seq) -> Result<Option<Incident>, ReadError> {
    let mut statement = db.prepare_cached(INCIDENT)?;
    let mut rows = statement.query([seq.0])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let id = IncidentId::new(seq, row.get::<_, i64>(0)?.cast_unsigned());
    match verified(db, row, id) {
        Ok(Some(incident)) => Ok(Some(incident)),
        // A checksum that does not match, or a value of the wrong type, or text that is not UTF-8.
        Ok(None) => Err(ReadError::Damaged { id }),
        Err(error) if error.sqlite_error().is_none() => Err(ReadError::Damaged { id }),
        Err(error) => Err(error.into()),
    }
}

/// None if the checksum does not match.
fn verified(db: &Connection, row: &Row<'_>, id: IncidentId) -> rusqlite::Result<Option<Incident>> {
    let checksum: u32 = row.get(1)?;
    let created = Timestamp(row.get(3)?);
    let place = Place { seq: id.seq(), tail: row.get(0)?, created: created.0, request: row.get::<_, Option<i64>>(4)?.map(Seq) };
    let occurred: Option<String> = row.get(6)?;
    let repeats = match row.get::<_, Option<i64>>(10)? {
        Some(count) => Some(Repeats { count: count.cast_unsigned(), last_seen: Timestamp(row.get(11)?) }),
        None => None,
    };
    let incident = Incident {
        id,
        instance: row.get(2)?,
        name: row.get(7)?,
        kind: row.get(5)?,
        occurred: occurred.clone().unwrap_or_else(|| created.to_string()),
        created,
        raw: row.get(9)?,
        headers: row.get(8)?,
        repeats,
        // Of the same snapshot: the row's own statement is still open.
        fields: fields::load(db, id.seq())?,
    };
    let content = Content::of_request(&incident.instance, &incident.headers).of_incident(
        incident.kind.as_deref(),
        occurred.as_deref(),
        &incident.name,
        &incident.raw,
    );
    let content = content.with_fields(&incident.fields);
    Ok((content.stored_at(place) == checksum).then_some(incident))
}
