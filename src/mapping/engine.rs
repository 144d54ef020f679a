//! jaq, set up for events: its values are ours, each of its steps counts, and nothing reaches outside.

use jaq_core::load::parse::Def;
use jaq_core::{DataT, Lut, data, load};

pub(super) use super::functions::functions;
use super::meter;
use super::value::Value;

/// What every filter finds bound, in this order.
pub(super) const VARIABLES: [&str; 3] = ["$headers", "$query", "$body"];
/// Which of a map's filters is meant; bound last, and not for filters to look at.
pub(super) const SLOT: &str = "$__slot";

/// The kind of data that filters work on.
#[derive(Debug)]
pub(super) struct Jq;

impl DataT for Jq {
    type V<'a> = Value;
    type Data<'a> = Data<'a>;
}

/// The program that runs. jaq asks for it at each step.
#[derive(Clone, Copy)]
pub(super) struct Data<'a>(pub(super) &'a Lut<Jq>);

impl<'a> data::HasLut<'a, Jq> for Data<'a> {
    fn lut(&self) -> &'a Lut<Jq> {
        meter::step();
        self.0
    }
}

/// Regular expressions are paid for before they are tried; times are calculated with unless that would overflow.
const CHECKED: &str = "
    def matches(re; flags): re as $re | flags as $flags | unchecked_pattern($re; $flags) | unchecked_matches($re; $flags);
    def split_matches(re; flags): re as $re | flags as $flags | unchecked_pattern($re; $flags) | unchecked_split_matches($re; $flags);
    def split_(re; flags): re as $re | flags as $flags | unchecked_pattern($re; $flags) | unchecked_split_($re; $flags);
    def gmtime: unchecked_time | unchecked_gmtime;
    def mktime: unchecked_time | unchecked_mktime;
    def strftime(format): unchecked_time | unchecked_strftime(format);
";

/// What filters can call that is defined in jq.
pub(super) fn definitions() -> impl Iterator<Item = Def<&'static str>> {
    let checked = load::parse(CHECKED, |parser| parser.defs()).expect("the definitions above are jq");
    let theirs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    // They are made of functions that do not exist here.
    checked.into_iter().chain(theirs.filter(|def| !matches!(def.name, "stderr" | "debug" | "halt" | "halt_error")))
}
