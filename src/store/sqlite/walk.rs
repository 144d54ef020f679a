//! The part of the store that a page is looked for in: a range of one index.

use rusqlite::{Connection, OptionalExtension};

use super::filter::{Cursor, Filter, Order};
use super::{MAX_SKEW, Marks, meta, search};
use crate::incident::{Seq, Timestamp};
use crate::store::error::ReadError;

/// A range of one index, and what the index does not tell.
pub(super) struct Walk<'f> {
    order: Order,
    /// Row id of the wanted instance.
    instance: Option<i64>,
    kind: Option<&'f str>,
    /// Name and value.
    pub(super) field: Option<(&'f str, &'f str)>,
    /// Both exclusive.
    pub(super) lower: Seq,
    pub(super) upper: Seq,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl<'f> Walk<'f> {
    /// None if nothing can match: the instance never stored anything.
    pub(super) fn new(db: &Connection, filter: &'f Filter) -> Result<Option<Self>, ReadError> {
        if filter.cursor.is_some_and(|cursor| cursor.order != filter.order) {
            return Err(ReadError::WrongOrder);
        }
        let mut instance = None;
        if let Some(name) = &filter.instance {
            instance = db.query_row("SELECT id FROM instance WHERE name = ?1", [name], |row| row.get(0)).optional()?;
            if instance.is_none() {
                return Ok(None);
            }
        }
        let skew = meta(db, MAX_SKEW)?.unwrap_or(0);
        let mut lower = filter.since.map_or(Seq(-1), |since| Seq(Seq::first_of(since).0 - 1));
        let mut upper = filter.until.map_or(Seq(i64::MAX), |until| Marks { last: Seq(0), skew }.end_of(until));
        match filter.cursor {
            Some(Cursor { order: Order::OldestFirst, seq }) => lower = lower.max(seq),
            Some(Cursor { order: Order::NewestFirst, seq }) => upper = upper.min(seq),
            None => {}
        }
        let kind = filter.kind.as_deref();
        let field = filter.fields.first().map(|(name, value)| (name.as_str(), value.as_str()));
        Ok(Some(Self { order: filter.order, instance, kind, field, lower, upper, since: filter.since, until: filter.until }))
    }

    /// The index is chosen here and not by SQLite, which knows nothing of how the rows are spread. Where both an instance and a
    /// type are wanted, the type is usually the rarer; own fields are there to be looked for. SQLite reads whatever is selected,
    /// so what is searched in is only where there is something to search for.
    pub(super) fn sql(&self, is_search: bool) -> String {
        let searched = if is_search { search::COLUMNS } else { "" };
        let direction = match self.order {
            Order::NewestFirst => "DESC",
            Order::OldestFirst => "ASC",
        };
        if self.field.is_some() {
            return format!(
                "SELECT f.seq, i.instance, i.created{searched}
                 FROM field f INDEXED BY field_by_value CROSS JOIN incident i NOT INDEXED ON i.seq = f.seq
                 WHERE f.name = ?3 AND f.value = ?4 AND f.seq > ?1 AND f.seq < ?2 ORDER BY f.seq {direction}"
            );
        }
        let (index, condition) = match (self.kind, self.instance) {
            (Some(_), _) => ("INDEXED BY incident_by_type", "i.type = ?3 AND"),
            (None, Some(_)) => ("INDEXED BY incident_by_instance", "i.instance = ?3 AND"),
            (None, None) => ("NOT INDEXED", "?3 IS NULL AND"),
        };
        format!(
            "SELECT i.seq, i.instance, i.created{searched} FROM incident i {index}
             WHERE {condition} i.seq > ?1 AND i.seq < ?2 ORDER BY i.seq {direction}"
        )
    }

    /// What [`Self::sql`] compares with.
    pub(super) fn key(&self) -> rusqlite::types::Value {
        match (self.kind, self.instance) {
            (Some(kind), _) => kind.to_owned().into(),
            (None, instance) => instance.into(),
        }
    }

    pub(super) fn wants(&self, instance: i64, created: Timestamp) -> bool {
        self.instance.is_none_or(|wanted| wanted == instance)
            && self.since.is_none_or(|since| created >= since)
            && self.until.is_none_or(|until| created < until)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rusqlite::params;

    use super::*;
    use crate::incident::Draft;
    use crate::store::sqlite::Prepared;
    use crate::store::testing::{Bench, draft, write};

    #[test]
    fn a_field_is_a_range_of_its_index() {
        let bench = Bench::new();
        let database = bench.open();
        for order in [Order::NewestFirst, Order::OldestFirst] {
            let filter = Filter { fields: vec![("a".into(), "b".into())], order, ..Filter::default() };
            let sql = Walk::new(&database.db, &filter).unwrap().unwrap().sql(true);
            let mut statement = database.db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let plan: Vec<String> =
                statement.query_map(params![0, 0, "a", "b"], |row| row.get(3)).unwrap().collect::<Result<_, _>>().unwrap();
            assert_eq!(
                plan,
                [
                    "SEARCH f USING COVERING INDEX field_by_value (name=? AND value=? AND seq>? AND seq<?)",
                    "SEARCH i USING INTEGER PRIMARY KEY (rowid=?)",
                ]
            );
        }
    }

    #[test]
    fn each_filter_is_a_range_of_an_index() {
        let bench = Bench::new();
        let mut database = bench.open();
        let drafts = vec![Draft { kind: Some("X".into()), ..draft("{}") }];
        database.store([&Prepared::new(Arc::new(write(drafts)))].into_iter()).unwrap();
        for (instance, kind, plan_begins) in [
            (None, None, "SEARCH i USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
            (Some("a"), None, "SEARCH i USING INDEX incident_by_instance (instance=? AND rowid>? AND rowid<?)"),
            (Some("a"), Some("X"), "SEARCH i USING INDEX incident_by_type (type=? AND rowid>? AND rowid<?)"),
        ] {
            for order in [Order::NewestFirst, Order::OldestFirst] {
                let filter = Filter { instance: instance.map(str::to_owned), kind: kind.map(str::to_owned), order, ..Filter::default() };
                let sql = Walk::new(&database.db, &filter).unwrap().unwrap().sql(true);
                let mut statement = database.db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
                let plan: Vec<String> =
                    statement.query_map(params![0, 0, "x"], |row| row.get(3)).unwrap().collect::<Result<_, _>>().unwrap();
                assert_eq!(plan, [plan_begins], "{sql}");
            }
        }
    }
}
