//! The database against a model of it in plain collections, under random histories.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::{Database, Filter, Order, Prepared};
use crate::incident::{IncidentId, Timestamp};
use crate::store::testing::{Bench, DAY, NOON, draft, keyed, read_all, write};
use crate::store::{Outcome, Write};

const SAMPLES: usize = 3;
/// Shorter than the window of a day, so that incidents expire before their keys.
const RETENTION: i64 = DAY / 2;

#[derive(Clone, Debug)]
enum Step {
    /// One transaction: requests of an instance, each a list of events with a key or none.
    Store(Vec<(u8, Vec<Option<u8>>)>),
    /// The clock, which may run back.
    Wait(i64),
    Expire,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let events = prop::collection::vec(prop::option::of(0..3u8), 1..6);
    prop_oneof![
        6 => prop::collection::vec((0..2u8, events), 1..4).prop_map(Step::Store),
        3 => (-DAY..DAY).prop_map(Step::Wait),
        2 => Just(Step::Expire),
        1 => Just(Step::Restart),
    ]
}

/// What must be stored.
#[derive(Default)]
struct Model {
    rows: Vec<(IncidentId, u8, i64)>,
    keys: HashMap<(u8, u8), (IncidentId, i64)>,
    samples: HashMap<u8, Vec<IncidentId>>,
}

impl Model {
    /// Checks an outcome against what it had to be.
    fn event(&mut self, instance: u8, key: Option<u8>, outcome: Outcome, now: i64) {
        let known = key.and_then(|key| self.keys.get(&(instance, key))).filter(|(_, created)| (created - now).abs() < DAY);
        match (known, outcome) {
            (Some((first, created)), outcome) => {
                assert_eq!(outcome, Outcome::Duplicate { first: *first, created: Timestamp(*created) });
            }
            (None, Outcome::Stored(id)) => {
                assert!(self.rows.last().is_none_or(|(last, ..)| last.seq() < id.seq()));
                self.rows.push((id, instance, now));
                if let Some(key) = key {
                    self.keys.insert((instance, key), (id, now));
                }
                let samples = self.samples.entry(instance).or_default();
                samples.push(id);
                samples.drain(..samples.len().saturating_sub(SAMPLES));
            }
            (None, Outcome::Duplicate { .. }) => panic!("a duplicate of nothing"),
        }
    }

    fn expire(&mut self, now: i64) {
        self.rows.retain(|(.., created)| *created >= now - RETENTION);
        self.keys.retain(|_, (_, created)| *created + DAY > now);
        let kept: Vec<_> = self.rows.iter().map(|(id, ..)| *id).collect();
        self.samples.values_mut().for_each(|samples| samples.retain(|id| kept.contains(id)));
    }

    fn ids(&self, is_wanted: impl Fn(u8, i64) -> bool) -> Vec<IncidentId> {
        self.rows.iter().filter(|(_, instance, created)| is_wanted(*instance, *created)).map(|(id, ..)| *id).collect()
    }
}

fn store(database: &mut Database, model: &mut Model, requests: &[(u8, Vec<Option<u8>>)], now: i64) {
    let prepared: Vec<_> = requests
        .iter()
        .map(|(instance, keys)| {
            let drafts = keys.iter().map(|key| key.map_or_else(|| draft("{}"), keyed)).collect();
            let name: Arc<str> = instance.to_string().into();
            let write = Write { duplicates_of: Arc::clone(&name), instance: name, keep_samples: true, ..write(drafts) };
            Prepared::new(Arc::new(write))
        })
        .collect();
    let receipts = database.store(prepared.iter()).unwrap();
    for ((instance, keys), receipt) in requests.iter().zip(receipts) {
        assert_eq!((receipt.created, receipt.outcomes.len()), (Timestamp(now), keys.len()));
        for (key, outcome) in keys.iter().zip(receipt.outcomes) {
            model.event(*instance, *key, outcome, now);
        }
    }
}

fn expire(database: &mut Database) {
    while database.expire_incidents().unwrap().more {}
    while database.expire_keys().unwrap().more {}
}

fn compare(bench: &Bench, model: &Model, moment: i64) {
    let reader = bench.reader();
    let read = |filter: Filter| {
        let found = read_all(&reader, &Filter { order: Order::OldestFirst, limit: 4, ..filter.clone() });
        let mut back = read_all(&reader, &Filter { order: Order::NewestFirst, limit: 3, ..filter });
        back.reverse();
        let ids = |incidents: Vec<crate::incident::Incident>| incidents.iter().map(|incident| incident.id).collect::<Vec<_>>();
        let found = ids(found);
        assert_eq!(ids(back), found, "both orders tell the same");
        found
    };
    let at = Some(Timestamp(moment));
    assert_eq!(read(Filter::default()), model.ids(|_, _| true));
    assert_eq!(read(Filter { instance: Some("1".into()), ..Filter::default() }), model.ids(|instance, _| instance == 1));
    assert_eq!(read(Filter { since: at, ..Filter::default() }), model.ids(|_, created| created >= moment));
    assert_eq!(read(Filter { until: at, ..Filter::default() }), model.ids(|_, created| created < moment));
    for instance in 0..2 {
        let found: Vec<_> = reader.samples(&instance.to_string()).unwrap().iter().map(|sample| sample.id).collect();
        assert_eq!(&found, model.samples.get(&instance).unwrap_or(&Vec::new()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_database_does_what_the_model_does(steps in prop::collection::vec(step(), 1..25), moment in NOON - DAY..NOON + 3 * DAY) {
        let mut bench = Bench::new();
        bench.samples = SAMPLES as u32;
        bench.retention = Some(Duration::from_millis(RETENTION as u64));
        let mut database = bench.open();
        let (mut model, mut now) = (Model::default(), NOON);
        for step in steps {
            match step {
                Step::Store(requests) => store(&mut database, &mut model, &requests, now),
                Step::Wait(millis) => {
                    now += millis;
                    bench.set_time(now);
                }
                Step::Expire => {
                    expire(&mut database);
                    model.expire(now);
                }
                Step::Restart => {
                    drop(database);
                    database = bench.open();
                }
            }
        }
        compare(&bench, &model, moment);
    }
}
