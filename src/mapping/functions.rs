//! The functions that are not jaq's own: those it has for its values alone, and those that do not count what they cost.

use std::cmp::Ordering;
use std::iter;
use std::ops::RangeInclusive;

use jaq_core::native::{Filter, bome, run, unary, v};
use jaq_core::{Error, Exn, RunPtr, ValT as _, ValX, native};
use jaq_json::Val;
use jaq_std::ValT as _;

use super::engine::Jq;
use super::value::Value;
use super::{meter, pattern, read, write};

/// All that filters can call beside what is defined in jq.
pub(super) fn functions() -> impl Iterator<Item = native::Fun<Jq>> {
    let theirs = jaq_core::funs::<Jq>().chain(jaq_std::funs()).filter_map(renamed);
    theirs.chain(own().into_iter().map(run::<Jq>))
}

/// Names that are not for filters, only for the definitions in [`super::engine`].
pub(super) const UNCHECKED: &str = "unchecked_";

fn renamed((name, arguments, function): native::Fun<Jq>) -> Option<native::Fun<Jq>> {
    let name = match name {
        // They reach outside, or end the process.
        "env" | "halt" | "debug_empty" | "stderr_empty" | "localtime" | "strflocaltime" => return None,
        // Ours counts.
        "range" => return None,
        "matches" => "unchecked_matches",
        "split_matches" => "unchecked_split_matches",
        "split_" => "unchecked_split_",
        "gmtime" => "unchecked_gmtime",
        "mktime" => "unchecked_mktime",
        "strftime" => "unchecked_strftime",
        other => other,
    };
    Some((name, arguments, function))
}

fn own() -> [Filter<RunPtr<Jq>>; 10] {
    [
        ("range", v(3), |mut cv| {
            let (by, to, from) = (cv.0.pop_var(), cv.0.pop_var(), cv.0.pop_var());
            Box::new(range(from, to, by))
        }),
        ("fromjson", v(0), |cv| bome(from_json(&cv.1))),
        ("tojson", v(0), |cv| bome(Ok(write::text(&cv.1).into()))),
        ("length", v(0), |cv| bome(length(cv.1))),
        ("contains", v(1), |cv| {
            unary(cv, |whole, part| {
                meter::steps((1 + whole.weight() / 64).saturating_mul(1 + part.weight() / 64));
                Ok(contains(&whole.val, &part.val).into())
            })
        }),
        ("has", v(1), |cv| unary(cv, has)),
        ("indices", v(1), |cv| unary(cv, indices)),
        ("bsearch", v(1), |cv| unary(cv, search)),
        ("unchecked_pattern", v(2), |mut cv| {
            let (flags, pattern) = (cv.0.pop_var(), cv.0.pop_var());
            if let (Val::TStr(text), Val::TStr(pattern), Val::TStr(flags)) = (&cv.1.val, &pattern.val, &flags.val) {
                meter::steps(pattern::cost(text.len(), pattern, flags.contains(&b'g')));
            }
            bome(Ok(cv.1))
        }),
        ("unchecked_time", v(0), |cv| bome(time(cv.1))),
    ]
}

/// Seconds since 1970 that jaq can calculate with, about the years -9999 to 9999.
const TIMES: RangeInclusive<f64> = -377_705_023_201.0..=253_402_207_200.0;

/// Refuses what jaq's functions of time would overflow at: they multiply seconds by a million, and count months from one.
fn time(value: Value) -> Result<Value, Error<Value>> {
    match &value.val {
        Val::Num(_) if value.as_f64().is_some_and(|seconds| !TIMES.contains(&seconds)) => {
            Err(Error::str("a time outside the years -9999 to 9999"))
        }
        Val::Arr(parts) if parts.get(1).is_some_and(|month| *month > Val::from(11_isize)) => Err(Error::str("a month outside 0 to 11")),
        _ => Ok(value),
    }
}

/// As jaq's, each number a step.
fn range<'a>(from: Value, to: Value, by: Value) -> impl Iterator<Item = ValX<'a, Value>> {
    let direction = by.partial_cmp(&0_isize.into()).unwrap_or(Ordering::Equal);
    let mut next = Some(Ok(from));
    iter::from_fn(move || {
        meter::steps(1);
        let current: Value = match next.take()? {
            Ok(current) => current,
            Err(error) => return Some(Err(Exn::from(error))),
        };
        let goes_on = match direction {
            Ordering::Greater => current < to,
            Ordering::Less => current > to,
            Ordering::Equal => current != to,
        };
        if goes_on {
            next = Some(current.clone() + by.clone());
            return Some(Ok(current));
        }
        None
    })
}

fn from_json(value: &Value) -> Result<Value, Error<Value>> {
    let Val::TStr(text) = &value.val else { return Err(Error::typ(value.clone(), "string")) };
    // Every few bytes may become a value.
    meter::steps(text.len() / 4);
    if text.trim_ascii().is_empty() {
        return Err(Error::str("an empty string is no JSON"));
    }
    read::read(text).ok_or_else(|| Error::str("the string is no JSON, nested too deeply, or too large"))
}

fn length(value: Value) -> Result<Value, Error<Value>> {
    Ok(match &value.val {
        Val::Null => 0_usize.into(),
        Val::Num(_) if value < Value::from(0_isize) => return -value,
        Val::Num(_) => value,
        Val::TStr(text) => {
            value.walked();
            String::from_utf8_lossy(text).chars().count().into()
        }
        Val::BStr(bytes) => bytes.len().into(),
        Val::Arr(_) | Val::Obj(_) => value.len().into(),
        Val::Bool(_) => return Err(Error::str("a boolean has no length")),
    })
}

/// Paid for by the product of both: arrays look for each element among all.
fn contains(whole: &Val, part: &Val) -> bool {
    match (whole, part) {
        (Val::TStr(whole) | Val::BStr(whole), Val::TStr(part) | Val::BStr(part)) => part.is_empty() || find(whole, part).next().is_some(),
        (Val::Arr(whole), Val::Arr(part)) => part.iter().all(|part| whole.iter().any(|whole| contains(whole, part))),
        (Val::Obj(whole), Val::Obj(part)) => part.iter().all(|(name, part)| whole.get(name).is_some_and(|whole| contains(whole, part))),
        _ => whole == part,
    }
}

/// Where `part`, which is not empty, begins in `whole`, in bytes.
fn find<'a>(whole: &'a [u8], part: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    whole.windows(part.len()).enumerate().filter(move |(_, window)| *window == part).map(|(at, _)| at)
}

fn has(value: Value, key: Value) -> Result<Value, Error<Value>> {
    key.walked();
    match (&value.val, &key.val) {
        (Val::Obj(object), name) => Ok(object.contains_key(name).into()),
        (Val::Arr(array), Val::Num(_)) => {
            Ok(key.as_isize().is_some_and(|index| usize::try_from(index).is_ok_and(|index| index < array.len())).into())
        }
        _ => Err(Error::index(value, key)),
    }
}

fn indices(value: Value, part: Value) -> Result<Value, Error<Value>> {
    meter::steps((1 + value.weight() / 64).saturating_mul(1 + part.weight() / 64));
    Ok(match (&value.val, &part.val) {
        (Val::TStr(_), Val::TStr(part)) if part.is_empty() => iter::empty::<Value>().collect(),
        (Val::TStr(whole), Val::TStr(part)) => {
            // In characters.
            let (mut chars, mut from) = (0, 0);
            let places = find(whole, part).map(|at| {
                chars += String::from_utf8_lossy(&whole[from..at]).chars().count();
                from = at;
                Value::from(chars)
            });
            places.collect()
        }
        (Val::Arr(_), Val::Arr(part)) if part.is_empty() => iter::empty::<Value>().collect(),
        (Val::Arr(_), Val::Arr(_)) => return value.index(&part),
        (Val::Arr(whole), part) => {
            whole.iter().enumerate().filter(|(_, element)| *element == part).map(|(at, _)| Value::from(at)).collect()
        }
        _ => return Err(Error::index(value, part)),
    })
}

fn search(value: Value, wanted: Value) -> Result<Value, Error<Value>> {
    let Val::Arr(array) = &value.val else { return Err(Error::typ(value, "array")) };
    (0..24).for_each(|_| meter::bytes(wanted.weight()));
    let to_isize = |index: usize| isize::try_from(index).unwrap_or(isize::MAX);
    Ok(array.binary_search(&wanted.val).map_or_else(|index| -1 - to_isize(index), to_isize).into())
}
