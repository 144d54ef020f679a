//! From the text of a filter to a program, or to what is wrong with it and where.

use std::fmt;
use std::ops::Range;
use std::thread;

use jaq_core::load::{Arena, File, Loader, lex, parse};
use jaq_core::{Compiler, Filter, compile};

use super::engine::{self, Jq, SLOT, VARIABLES};
use super::forbidden;

/// Bytes of a filter: pages of jq. Also bounds how deep the parser recurses.
const MAX_FILTER: usize = 8 << 10;
/// The parser and the compiler recurse once for each bracket or operator; in a build without optimisation that takes some KiB.
/// Only what is used of it becomes memory.
const STACK: usize = 256 << 20;
/// Characters shown of a filter's line that is wrong.
const SHOWN: usize = 60;

/// A filter that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct MapError {
    key: String,
    text: String,
}

impl MapError {
    pub(super) fn new(key: impl Into<String>, text: impl Into<String>) -> Self {
        Self { key: key.into(), text: text.into() }
    }

    /// The key of the map, such as `occurred` or `fields.severity`.
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// Runs `work` on a stack on which compiling any filter has room.
pub(super) fn with_room<T: Send>(work: impl FnOnce() -> Result<T, Vec<MapError>> + Send) -> Result<T, Vec<MapError>> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("mapping".into()).stack_size(STACK).spawn_scoped(scope, work);
        let outcome = thread.map(|thread| thread.join());
        match outcome {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(vec![MapError::new("", "the jq compiler failed on one of the filters")]),
            Err(error) => Err(vec![MapError::new("", format!("no thread to compile it on: {error}"))]),
        }
    })
}

/// Compiles the filters of one map into one program, since the library that comes with each takes 100 KiB; [`SLOT`] says which of
/// them to run, by its place in `filters`. To be called with room on the stack, see [`with_room`].
///
/// # Errors
/// One for each that is wrong.
pub(super) fn program(filters: &[(String, &str)]) -> Result<Filter<Jq>, Vec<MapError>> {
    let mistakes = filters.iter().filter_map(|(key, filter)| Some(MapError::new(key, check(filter).err()?)));
    let mistakes: Vec<_> = mistakes.collect();
    if !mistakes.is_empty() {
        // Those that are jq may call what there is not.
        let (good, _): (Vec<_>, Vec<_>) = filters.iter().cloned().partition(|(key, _)| mistakes.iter().all(|mistake| mistake.key != *key));
        return Err(mistakes.into_iter().chain(link(&good).err().unwrap_or_default()).collect());
    }
    link(filters)
}

/// Whether it is jq, and calls nothing that is forbidden.
fn check(filter: &str) -> Result<(), String> {
    let problem = |at, text| Problem { filter, at, text }.to_string();
    if filter.len() > MAX_FILTER {
        return Err(problem(None, format!("is longer than {MAX_FILTER} bytes: not a filter for events")));
    }
    let term = parsed(filter).map_err(|problem| problem.to_string())?;
    forbidden::find(&term).map_or(Ok(()), |(name, text)| Err(problem(Some(name), text)))
}

/// Compiles filters that were checked.
fn link(filters: &[(String, &str)]) -> Result<Filter<Jq>, Vec<MapError>> {
    let mut code = Code::default();
    code.choose(filters);
    let Code { text: code, places } = code;
    let arena = Arena::default();
    let modules = Loader::new(engine::definitions()).load(&arena, File { code: &*code, path: () });
    // Each of them was parsed before.
    let modules = modules.map_err(|_| vec![MapError::new("", "the filters cannot be compiled together")])?;
    let compiler = Compiler::default().with_funs(engine::functions()).with_global_vars(VARIABLES.into_iter().chain([SLOT]));
    compiler.compile(modules).map_err(|errors| {
        let mut mistakes: Vec<MapError> = Vec::new();
        for (name, kind) in errors.into_iter().flat_map(|(_, errors)| errors) {
            let at = (name.as_ptr() as usize).wrapping_sub(code.as_ptr() as usize);
            let Some(index) = places.iter().position(|place| place.contains(&at)) else { continue };
            let key = &filters[index].0;
            if mistakes.iter().all(|mistake| mistake.key != *key) {
                let problem = Problem { filter: &code[places[index].clone()], at: Some(name), text: undefined(name, &kind) };
                mistakes.push(MapError::new(key, problem.to_string()));
            }
        }
        mistakes
    })
}

fn undefined(name: &str, kind: &compile::Undefined) -> String {
    match kind {
        compile::Undefined::Filter(0) => format!("there is no function {name}"),
        compile::Undefined::Filter(arguments) => format!("there is no function {name} with {arguments} argument(s)"),
        kind => format!("there is no {} {name}", kind.as_str()),
    }
}

/// The text of a program, and where in it each filter stands.
#[derive(Default)]
struct Code {
    text: String,
    places: Vec<Range<usize>>,
}

impl Code {
    /// Appends a choice among some filters: a few comparisons, whichever it is.
    fn choose(&mut self, filters: &[(String, &str)]) {
        match filters {
            [] => self.text.push('.'),
            [(_, filter)] => {
                self.text.push('(');
                let start = self.text.len();
                self.text.push_str(filter);
                self.places.push(start..self.text.len());
                // It may end with a comment.
                self.text.push_str("\n)");
            }
            _ => {
                let (left, right) = filters.split_at(filters.len() / 2);
                self.text.push_str(&format!("if {SLOT} < {} then ", self.places.len() + left.len()));
                self.choose(left);
                self.text.push_str(" else ");
                self.choose(right);
                self.text.push_str(" end");
            }
        }
    }
}

fn parsed(filter: &str) -> Result<parse::Term<&str>, Problem<'_>> {
    let tokens = lex::Lexer::new(filter).lex().map_err(|errors| {
        let first = errors.into_iter().next();
        let (expected, found) = first.map_or(("a filter", ""), |(expected, found)| (expected.as_str(), found));
        Problem::expected(filter, expected, found)
    })?;
    parse::Parser::new(&tokens).parse(|parser| parser.term()).map_err(|errors| {
        let first = errors.into_iter().next();
        let (expected, found) = first.map_or(("a filter", None), |(expected, found)| (expected.as_str(), found));
        Problem::expected(filter, expected, lex::Token::opt_as_str(found, filter))
    })
}

/// What is wrong with a filter. Displayed as one line: what, where, and the place itself.
struct Problem<'a> {
    filter: &'a str,
    /// A slice of the filter that begins at the place.
    at: Option<&'a str>,
    text: String,
}

impl<'a> Problem<'a> {
    fn expected(filter: &'a str, expected: &str, found: &'a str) -> Self {
        let first = found.split_whitespace().next().unwrap_or_default();
        let found_text = if first.is_empty() { "the end".to_owned() } else { format!("{:?}", first.chars().take(20).collect::<String>()) };
        Self { filter, at: Some(found), text: format!("expected {expected}, found {found_text}") }
    }

    /// Where the place is in the filter, in bytes.
    fn offset(&self) -> Option<usize> {
        let at = self.at?;
        let offset = (at.as_ptr() as usize).checked_sub(self.filter.as_ptr() as usize)?;
        self.filter.is_char_boundary(offset).then_some(offset)
    }
}

impl fmt::Display for Problem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(offset) = self.offset() else { return f.write_str(&self.text) };
        let (before, after) = self.filter.split_at(offset);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let (line, column) = (before.matches('\n').count() + 1, before[line_start..].chars().count());
        let shown = |char: char| if char.is_control() { ' ' } else { char };
        let rest: String = after.lines().next().unwrap_or_default().chars().take(SHOWN / 2).map(shown).collect();
        let skipped = column.saturating_sub(SHOWN / 2);
        let lead: String = before[line_start..].chars().skip(skipped).map(shown).collect();
        write!(f, "{} at line {line} column {} of the filter, here: {lead} >>> {rest}", self.text, column + 1)
    }
}
