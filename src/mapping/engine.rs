//! jaq, set up for events: its values are ours, each of its steps counts, and nothing reaches outside.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::path::{Part, Path};
use jaq_core::{DataT, Lut, data, load};

use super::functions::UNCHECKED;
pub(super) use super::functions::functions;
use super::meter;
use super::value::Value;

/// What every filter finds bound, in this order.
pub(super) const VARIABLES: [&str; 3] = ["$headers", "$query", "$body"];

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

/// Regular expressions are paid for before they are tried.
const CHECKED: &str = "
    def matches(re; flags): re as $re | flags as $flags | unchecked_pattern($re; $flags) | unchecked_matches($re; $flags);
    def split_matches(re; flags): re as $re | flags as $flags | unchecked_pattern($re; $flags) | unchecked_split_matches($re; $flags);
    def split_(re; flags): re as $re | flags as $flags | unchecked_pattern($re; $flags) | unchecked_split_($re; $flags);
";

/// What filters can call that is defined in jq.
pub(super) fn definitions() -> impl Iterator<Item = Def<&'static str>> {
    let checked = load::parse(CHECKED, |parser| parser.defs()).expect("the definitions above are jq");
    let theirs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    // They are made of functions that do not exist here.
    checked.into_iter().chain(theirs.filter(|def| !matches!(def.name, "stderr" | "debug" | "halt" | "halt_error")))
}

/// What must not be called, with what is wrong about it.
///
/// A definition that calls itself may hand itself ever longer chains of closures, which are dropped by recursion: no bound on
/// the stack helps there. What comes with jq in place of it does not do that.
pub(super) fn forbidden<'s>(term: &Term<&'s str>) -> Option<(&'s str, String)> {
    walk(term, &mut Vec::new()).err()
}

struct Known<'s> {
    name: &'s str,
    arguments: usize,
    /// We are inside its definition.
    is_open: bool,
}

type Walked<'s> = Result<(), (&'s str, String)>;

fn walk<'s>(term: &Term<&'s str>, known: &mut Vec<Known<'s>>) -> Walked<'s> {
    match term {
        Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) | Term::Var(_) | Term::Arr(None) => Ok(()),
        Term::Str(_, parts) => parts.iter().try_for_each(|part| match part {
            StrPart::Term(term) => walk(term, known),
            StrPart::Str(_) | StrPart::Char(_) => Ok(()),
        }),
        Term::Arr(Some(term)) | Term::Neg(term) | Term::Label(_, term) => walk(term, known),
        Term::Obj(members) => members.iter().try_for_each(|(name, value)| {
            walk(name, known)?;
            value.iter().try_for_each(|value| walk(value, known))
        }),
        Term::BinOp(left, operator, right) => {
            walk(left, known)?;
            if let BinaryOp::Pipe(Some(pattern)) = operator {
                walk_pattern(pattern, known)?;
            }
            walk(right, known)
        }
        Term::Fold(_, over, pattern, terms) => {
            walk(over, known)?;
            walk_pattern(pattern, known)?;
            terms.iter().try_for_each(|term| walk(term, known))
        }
        Term::TryCatch(body, catch) => {
            walk(body, known)?;
            catch.iter().try_for_each(|term| walk(term, known))
        }
        Term::IfThenElse(branches, otherwise) => {
            branches.iter().try_for_each(|(condition, then)| walk(condition, known).and_then(|()| walk(then, known)))?;
            otherwise.iter().try_for_each(|term| walk(term, known))
        }
        Term::Def(definitions, rest) => walk_definitions(definitions, rest, known),
        Term::Call(name, arguments) => {
            let callee = known.iter().rev().find(|known| known.name == *name && known.arguments == arguments.len());
            if callee.is_some_and(|callee| callee.is_open) {
                let text = format!("{name} calls itself: use recurse, repeat, until, while or reduce instead");
                return Err((name, text));
            }
            if callee.is_none() && name.starts_with(UNCHECKED) {
                return Err((name, format!("there is no function {name}")));
            }
            arguments.iter().try_for_each(|term| walk(term, known))
        }
        Term::Path(term, Path(parts)) => {
            walk(term, known)?;
            parts.iter().try_for_each(|(part, _)| match part {
                Part::Index(index) => walk(index, known),
                Part::Range(from, to) => from.iter().chain(to).try_for_each(|term| walk(term, known)),
            })
        }
    }
}

fn walk_pattern<'s>(pattern: &Pattern<&'s str>, known: &mut Vec<Known<'s>>) -> Walked<'s> {
    match pattern {
        Pattern::Var(_) => Ok(()),
        Pattern::Arr(patterns) => patterns.iter().try_for_each(|pattern| walk_pattern(pattern, known)),
        Pattern::Obj(members) => {
            members.iter().try_for_each(|(name, pattern)| walk(name, known).and_then(|()| walk_pattern(pattern, known)))
        }
    }
}

fn walk_definitions<'s>(definitions: &[Def<&'s str>], rest: &Term<&'s str>, known: &mut Vec<Known<'s>>) -> Walked<'s> {
    let before = known.len();
    for Def { name, args, body } in definitions {
        let own = known.len();
        known.push(Known { name, arguments: args.len(), is_open: true });
        known.extend(args.iter().map(|name| Known { name: name.trim_start_matches('$'), arguments: 0, is_open: false }));
        walk(body, known)?;
        known.truncate(own + 1);
        known[own].is_open = false;
    }
    walk(rest, known)?;
    known.truncate(before);
    Ok(())
}
