//! The values that filters work on: jaq's own, and beside each what it costs to look at all of it.
//!
//! jaq's values share their parts, so a few steps can make one that is small in memory and endless to write, compare or drop.
//! Here each value knows upper bounds of its size and nesting, and whatever makes or walks through one pays for it.

use std::fmt;

use jaq_core::box_iter::box_once;
use jaq_core::path::Opt;
use jaq_core::val::Range;
use jaq_core::{Error, ValR, ValT, ValX};
use jaq_json::{Map, Num, Val};

use super::meter;
use super::update::Through;

/// Containers in one another. Bodies have 64 at most; dropping, comparing and writing recurse as deep.
pub(super) const MAX_DEPTH: u16 = 256;
/// Steps down into a value that keep it a path. A list of them is dropped by recursion.
const MAX_HOPS: u16 = 1_000;
/// Bytes of a value that is no text: jaq's own size and some for the container.
pub(super) const CELL: usize = 32;

#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) val: Val,
    /// Bytes of it and all that is in it, shared or not.
    weight: u32,
    /// Containers in one another.
    depth: u16,
    /// Steps down since it was made or read.
    hops: u16,
}

impl Value {
    /// A value that was read from so many bytes of JSON, with so many containers in one another.
    pub(super) fn read(val: Val, bytes: usize, depth: u16) -> Self {
        Self::new(val, bytes.saturating_mul(4), depth)
    }

    /// Neither array nor object.
    pub(super) fn scalar(val: Val) -> Self {
        let weight = weight(&val).unwrap_or(CELL);
        Self::new(val, weight, 0)
    }

    pub(super) fn new(val: Val, weight: usize, depth: u16) -> Self {
        if depth > MAX_DEPTH {
            meter::run_away();
        }
        Self { val, weight: u32::try_from(weight).unwrap_or(u32::MAX), depth, hops: 0 }
    }

    /// Something in this value: no heavier and less deep.
    fn child(&self, val: Val) -> Self {
        Child::of(self).wrap(val)
    }

    pub(super) fn weight(&self) -> usize {
        self.weight as usize
    }

    pub(super) fn depth(&self) -> u16 {
        self.depth
    }

    /// Elements or members.
    pub(super) fn len(&self) -> usize {
        match &self.val {
            Val::Arr(array) => array.len(),
            Val::Obj(object) => object.len(),
            _ => 0,
        }
    }

    /// Pays for looking at all of it.
    pub(super) fn walked(&self) {
        meter::bytes(self.weight());
    }

    /// Pays for making this value's container anew, if something else holds it too.
    pub(super) fn parted(&self) {
        meter::steps(self.len() / 4);
    }
}

/// What the parts of a value inherit.
#[derive(Clone, Copy)]
pub(super) struct Child {
    weight: u32,
    depth: u16,
    hops: u16,
}

impl Child {
    pub(super) fn of(parent: &Value) -> Self {
        if parent.hops >= MAX_HOPS {
            meter::run_away();
        }
        Self { weight: parent.weight, depth: parent.depth.saturating_sub(1), hops: parent.hops + 1 }
    }

    /// Pays for handing on one of the parts, from iterator to iterator as deep as it lies.
    fn passed(self) {
        meter::steps(1 + usize::from(self.hops) / 8);
    }

    pub(super) fn wrap(self, val: Val) -> Value {
        match weight(&val) {
            Some(weight) => Value { hops: self.hops, ..Value::new(val, weight, 0) },
            None => Value { val, weight: self.weight, depth: self.depth, hops: self.hops },
        }
    }
}

/// Of a value that has no parts.
fn weight(val: &Val) -> Option<usize> {
    match val {
        Val::Null | Val::Bool(_) => Some(CELL),
        Val::Num(Num::BigInt(number)) => Some(CELL + usize::try_from(number.bits() / 8).unwrap_or(usize::MAX)),
        Val::Num(Num::Dec(digits)) => Some(CELL + digits.len()),
        Val::Num(_) => Some(CELL),
        Val::BStr(text) | Val::TStr(text) => Some(CELL + text.len()),
        Val::Arr(_) | Val::Obj(_) => None,
    }
}

fn iterable(value: Value) -> Error<Value> {
    Error::typ(value, "iterable (array or object)")
}

impl ValT for Value {
    fn from_num(number: &str) -> ValR<Self> {
        Val::from_num(number).map(Self::scalar).map_err(|_| Error::str("not a number"))
    }

    fn from_map<I: IntoIterator<Item = (Self, Self)>>(members: I) -> ValR<Self> {
        let (mut map, mut weight, mut depth) = (Map::default(), 2 * CELL, 0);
        for (key, value) in members {
            meter::steps(1);
            key.walked();
            weight += key.weight() + value.weight() + CELL;
            depth = depth.max(key.depth).max(value.depth);
            map.insert(key.val, value.val);
        }
        Ok(Self::new(Val::obj(map), weight, depth + 1))
    }

    fn key_values(self) -> Box<dyn Iterator<Item = ValR<(Self, Self), Self>>> {
        if !matches!(self.val, Val::Arr(_) | Val::Obj(_)) {
            return box_once(Err(iterable(self)));
        }
        self.parted();
        let child = Child::of(&self);
        Box::new(self.val.key_values().map(move |pair| {
            child.passed();
            pair.map(|(key, value)| (Self::scalar(key), child.wrap(value))).map_err(|_| Error::str("cannot iterate"))
        }))
    }

    fn values(self) -> Box<dyn Iterator<Item = ValR<Self>>> {
        if !matches!(self.val, Val::Arr(_) | Val::Obj(_)) {
            return box_once(Err(iterable(self)));
        }
        self.parted();
        let child = Child::of(&self);
        Box::new(self.val.values().map(move |value| {
            child.passed();
            value.map(|value| child.wrap(value)).map_err(|_| Error::str("cannot iterate"))
        }))
    }

    fn index(self, index: &Self) -> ValR<Self> {
        match (&self.val, &index.val) {
            // Looks for the one array in the other.
            (Val::Arr(_), Val::Arr(_)) => meter::steps(self.len().saturating_mul(1 + index.weight() / 64)),
            _ => index.walked(),
        }
        let child = Child::of(&self);
        match self.val.clone().index(&index.val) {
            Ok(found) => Ok(child.wrap(found)),
            Err(_) => Err(Error::index(self, index.clone())),
        }
    }

    fn range(self, range: Range<&Self>) -> ValR<Self> {
        // Characters have to be counted.
        self.walked();
        self.parted();
        match self.val.clone().range(range.start.map(|start| &start.val)..range.end.map(|end| &end.val)) {
            Ok(part) => Ok(Self { depth: self.depth, ..self.child(part) }),
            Err(_) => Err(Error::typ(self, "rangeable (array or string)")),
        }
    }

    fn map_values<'a, I: Iterator<Item = ValX<'a, Self>>>(self, opt: Opt, f: impl Fn(Self) -> I) -> ValX<'a, Self> {
        if !matches!(self.val, Val::Arr(_) | Val::Obj(_)) {
            return opt.fail(self, |value| iterable(value).into());
        }
        self.parted();
        let through = Through::new(&self);
        let outcome = self.val.map_values(opt, |value| through.outputs(f(through.part(value))));
        through.finish(outcome)
    }

    fn map_index<'a, I: Iterator<Item = ValX<'a, Self>>>(self, index: &Self, opt: Opt, f: impl Fn(Self) -> I) -> ValX<'a, Self> {
        index.walked();
        self.parted();
        let through = Through::new(&self);
        through.add(index.weight());
        let outcome = self.val.map_index(&index.val, opt, |value| through.outputs(f(through.part(value))));
        through.finish(outcome)
    }

    fn map_range<'a, I: Iterator<Item = ValX<'a, Self>>>(self, range: Range<&Self>, opt: Opt, f: impl Fn(Self) -> I) -> ValX<'a, Self> {
        self.walked();
        self.parted();
        let through = Through::new(&self);
        let range = range.start.map(|start| &start.val)..range.end.map(|end| &end.val);
        let outcome = self.val.map_range(range, opt, |value| through.outputs(f(through.slice(value))));
        through.finish(outcome)
    }

    fn as_bool(&self) -> bool {
        self.val.as_bool()
    }

    fn into_string(self) -> Self {
        if let Val::TStr(_) = self.val {
            return self;
        }
        self.walked();
        super::write::text(&self).into()
    }
}

impl jaq_std::ValT for Value {
    fn into_seq<S: FromIterator<Self>>(self) -> Result<S, Self> {
        let Val::Arr(array) = &self.val else { return Err(self) };
        meter::steps(array.len());
        let child = Child::of(&self);
        Ok(array.iter().map(|value| child.wrap(value.clone())).collect())
    }

    fn is_int(&self) -> bool {
        self.val.is_int()
    }

    fn as_isize(&self) -> Option<isize> {
        self.val.as_isize()
    }

    fn as_f64(&self) -> Option<f64> {
        self.walked();
        self.val.as_f64()
    }

    fn is_utf8_str(&self) -> bool {
        self.val.is_utf8_str()
    }

    fn as_bytes(&self) -> Option<&[u8]> {
        let bytes = self.val.as_bytes()?;
        meter::bytes(bytes.len());
        Some(bytes)
    }

    fn as_sub_str(&self, sub: &[u8]) -> Self {
        Self::scalar(self.val.as_sub_str(sub))
    }

    fn from_utf8_bytes(bytes: impl AsRef<[u8]> + Send + 'static) -> Self {
        meter::bytes(bytes.as_ref().len());
        Self::scalar(Val::from_utf8_bytes(bytes))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::scalar(value.into())
    }
}

impl From<isize> for Value {
    fn from(value: isize) -> Self {
        Self::scalar(value.into())
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::scalar(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::scalar(value.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        meter::bytes(text.len());
        Self::scalar(text.into())
    }
}

impl From<Range<Self>> for Value {
    fn from(range: Range<Self>) -> Self {
        let bounds = [("start", range.start), ("end", range.end)];
        let members = bounds.into_iter().filter_map(|(key, bound)| Some((Self::from(key.to_owned()), bound?)));
        Self::from_map(members).unwrap_or_else(|_| Self::scalar(Val::Null))
    }
}

impl FromIterator<Self> for Value {
    fn from_iter<T: IntoIterator<Item = Self>>(values: T) -> Self {
        let (mut array, mut weight, mut depth) = (Vec::new(), CELL, 0_u16);
        for value in values {
            meter::steps(1);
            weight = weight.saturating_add(value.weight());
            depth = depth.max(value.depth);
            array.push(value.val);
        }
        Self::new(array.into_iter().collect(), weight, depth + 1)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.walked();
        f.write_str(&super::write::text(self))
    }
}
