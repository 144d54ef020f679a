//! What a filter must not call.

use std::iter;

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::path::{Part, Path};

use super::engine::SLOT;
use super::functions::UNCHECKED;

/// What must not be called, with what is wrong about it.
///
/// A definition that calls itself may hand itself ever longer chains of closures, which are dropped by recursion: no bound on
/// the stack helps there. What comes with jq in place of it does not do that.
pub(super) fn find<'s>(term: &Term<&'s str>) -> Option<(&'s str, String)> {
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
        Term::Def(definitions, rest) => walk_definitions(definitions, rest, known),
        Term::Call(name, arguments) => {
            check_call(name, arguments.len(), known)?;
            arguments.iter().try_for_each(|term| walk(term, known))
        }
        Term::Var(name) if *name == SLOT => Err((name, format!("there is no variable {name}"))),
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
        other => parts(other).into_iter().try_for_each(|term| walk(term, known)),
    }
}

fn check_call<'s>(name: &'s str, arguments: usize, known: &[Known<'s>]) -> Walked<'s> {
    let callee = known.iter().rev().find(|known| known.name == name && known.arguments == arguments);
    match callee {
        Some(callee) if callee.is_open => Err((name, format!("{name} calls itself: use recurse, repeat, until, while or reduce instead"))),
        None if name.starts_with(UNCHECKED) => Err((name, format!("there is no function {name}"))),
        _ => Ok(()),
    }
}

/// The terms that one is made of, where there is nothing else to them.
fn parts<'t, 's>(term: &'t Term<&'s str>) -> Vec<&'t Term<&'s str>> {
    match term {
        Term::Str(_, parts) => {
            let term = |part: &'t StrPart<&'s str, Term<&'s str>>| if let StrPart::Term(term) = part { Some(term) } else { None };
            parts.iter().filter_map(term).collect()
        }
        Term::Arr(term) => term.iter().map(|term| &**term).collect(),
        Term::Neg(term) | Term::Label(_, term) => vec![term],
        Term::Obj(members) => members.iter().flat_map(|(name, value)| iter::once(name).chain(value)).collect(),
        Term::TryCatch(body, catch) => iter::once(body).chain(catch).map(|term| &**term).collect(),
        Term::IfThenElse(branches, otherwise) => {
            branches.iter().flat_map(|(condition, then)| [condition, then]).chain(otherwise.as_deref()).collect()
        }
        Term::Path(term, Path(parts)) => {
            let terms = parts.iter().flat_map(|(part, _)| match part {
                Part::Index(index) => [Some(index), None],
                Part::Range(from, to) => [from.as_ref(), to.as_ref()],
            });
            iter::once(&**term).chain(terms.flatten()).collect()
        }
        Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) | Term::Var(_) => Vec::new(),
        // Above.
        Term::Def(..) | Term::Call(..) | Term::BinOp(..) | Term::Fold(..) => Vec::new(),
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
