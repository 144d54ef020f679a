//! Calculating with values and comparing them: what it gives is jaq's, what it costs is paid for before.

use std::cmp::Ordering;
use std::iter;

use jaq_core::ops::Math;
use jaq_core::{Error, ValR};
use jaq_json::{Num, Val};

use super::meter;
use super::value::{CELL, Value};

/// Bits of a number. Multiplying and printing are quadratic.
const MAX_BITS: u64 = 4_096;

/// Whether calculating with it is quick.
fn is_short(number: &Num) -> bool {
    !matches!(number, Num::BigInt(number) if number.bits() > MAX_BITS)
}

/// What two values of these kinds give, where they give something.
fn calculated(left: Value, operator: Math, right: Value, calculate: fn(Val, Val) -> jaq_json::ValR, weight: usize) -> ValR<Value> {
    let depth = left.depth().max(right.depth());
    // Only these can be wrong about the values and not just about their kinds, and they are cheap to keep.
    let numbers = matches!((&left.val, &right.val), (Val::Num(_), Val::Num(_))).then(|| (left.clone(), right.clone()));
    match calculate(left.val, right.val) {
        Ok(val @ (Val::Arr(_) | Val::Obj(_))) => Ok(Value::new(val, weight, depth.max(1))),
        Ok(val) => Ok(Value::scalar(val)),
        Err(_) => Err(numbers.map_or_else(|| Error::str("cannot calculate this"), |(left, right)| Error::math(left, operator, right))),
    }
}

impl std::ops::Add for Value {
    type Output = ValR<Self>;

    fn add(self, right: Self) -> ValR<Self> {
        match (&self.val, &right.val) {
            (Val::Null, _) => return Ok(right),
            (_, Val::Null) => return Ok(self),
            (Val::Num(x), Val::Num(y)) if is_short(x) && is_short(y) => {}
            (Val::TStr(_), Val::TStr(_)) | (Val::BStr(_), Val::BStr(_)) => meter::bytes(self.weight() + right.weight()),
            (Val::Arr(_), Val::Arr(_)) | (Val::Obj(_), Val::Obj(_)) => {
                self.parted();
                meter::steps(right.len());
            }
            _ => return Err(Error::math(self, Math::Add, right)),
        }
        let weight = self.weight() + right.weight();
        calculated(self, Math::Add, right, |x, y| x + y, weight)
    }
}

impl std::ops::Sub for Value {
    type Output = ValR<Self>;

    fn sub(self, right: Self) -> ValR<Self> {
        match (&self.val, &right.val) {
            (Val::Num(x), Val::Num(y)) if is_short(x) && is_short(y) => {}
            // Sorted, then looked up: each compared some times.
            (Val::Arr(_), Val::Arr(_)) => {
                meter::steps((self.len() + right.len()) * 4);
                (0..16).for_each(|_| meter::bytes(self.weight() + right.weight()));
            }
            _ => return Err(Error::math(self, Math::Sub, right)),
        }
        let weight = self.weight();
        calculated(self, Math::Sub, right, |x, y| x - y, weight)
    }
}

impl std::ops::Mul for Value {
    type Output = ValR<Self>;

    fn mul(self, right: Self) -> ValR<Self> {
        match (&self.val, &right.val) {
            (Val::Num(x), Val::Num(y)) if is_short(x) && is_short(y) => {}
            (Val::TStr(text) | Val::BStr(text), Val::Num(times @ (Num::Int(_) | Num::BigInt(_))))
            | (Val::Num(times @ (Num::Int(_) | Num::BigInt(_))), Val::TStr(text) | Val::BStr(text)) => {
                let times = usize::try_from(times.as_isize().unwrap_or(isize::MAX)).unwrap_or(0);
                meter::bytes(text.len().max(1).saturating_mul(times));
            }
            // Goes into both.
            (Val::Obj(_), Val::Obj(_)) => {
                self.walked();
                right.walked();
                meter::steps(self.len() + right.len());
            }
            _ => return Err(Error::math(self, Math::Mul, right)),
        }
        let weight = self.weight() + right.weight();
        calculated(self, Math::Mul, right, |x, y| x * y, weight)
    }
}

impl std::ops::Div for Value {
    type Output = ValR<Self>;

    fn div(self, right: Self) -> ValR<Self> {
        let mut weight = CELL;
        match (&self.val, &right.val) {
            (Val::Num(x), Val::Num(y)) if is_short(x) && is_short(y) => {}
            // Splits.
            (Val::TStr(text), Val::TStr(separator)) | (Val::BStr(text), Val::BStr(separator)) => {
                let pieces = text.len() / separator.len().max(1) + 1;
                meter::bytes(text.len());
                meter::steps(pieces);
                weight = text.len() + pieces * CELL;
            }
            _ => return Err(Error::math(self, Math::Div, right)),
        }
        calculated(self, Math::Div, right, |x, y| x / y, weight)
    }
}

impl std::ops::Rem for Value {
    type Output = ValR<Self>;

    fn rem(self, right: Self) -> ValR<Self> {
        match (&self.val, &right.val) {
            (Val::Num(x), Val::Num(y)) if is_short(x) && is_short(y) => calculated(self, Math::Rem, right, |x, y| x % y, CELL),
            _ => Err(Error::math(self, Math::Rem, right)),
        }
    }
}

impl std::ops::Neg for Value {
    type Output = ValR<Self>;

    fn neg(self) -> ValR<Self> {
        match self.val {
            Val::Num(_) => (-self.val).map(Self::scalar).map_err(|_| Error::str("not a number")),
            _ => Err(Error::typ(self, "number")),
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        compared(self, other);
        self.val == other.val
    }
}

impl Eq for Value {}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        compared(self, other);
        self.val.cmp(&other.val)
    }
}

/// Objects are sorted for it, which takes some passes.
fn compared(one: &Value, other: &Value) {
    let passes = if one.depth() > 0 && other.depth() > 0 { 4 } else { 1 };
    iter::repeat_n(one.weight().min(other.weight()), passes).for_each(meter::bytes);
}
