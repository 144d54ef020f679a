//! The operator's jq filters, compiled once: what a body holds, and what is made of each event in it.
//!
//! Filters come from the configuration and may be wrong; events come from anybody and may be hostile. Neither costs more than
//! a bounded time and memory, and a filter that fails loses no event: whoever asks for a value then goes by the default rule.
//!
//! This module knows nobody but the leaves.

mod compile;
mod engine;
mod functions;
mod meter;
mod pattern;
mod read;
mod spec;
mod update;
mod value;
mod write;

pub use self::compile::MapError;
pub use self::spec::{MapSpec, is_field_name};

use std::collections::BTreeMap;
use std::fmt;

use self::compile::Program;

/// The filters of an instance, ready to run; shared by all threads.
pub struct Mapping {
    items: Option<Program>,
    name: Option<Program>,
    kind: Option<Program>,
    occurred: Option<Program>,
    duplication_key: Option<Program>,
    drop: Option<Program>,
    fields: BTreeMap<String, Program>,
}

impl Mapping {
    /// Compiles the filters of `spec`.
    ///
    /// # Errors
    /// One for each filter that is no jq, and for each field that has no name.
    pub fn compile(spec: &MapSpec) -> Result<Self, Vec<MapError>> {
        compile::with_room(|| {
            let mut errors: Vec<_> = spec.wrong_fields().map(|(name, text)| MapError::new(format!("fields.{name}"), text)).collect();
            let mut program = |key: &str, filter: &Option<String>| {
                let program = filter.as_deref().map(|filter| Program::compile(key, filter)).transpose();
                program.map_err(|error| errors.push(error)).ok().flatten()
            };
            let mapping = Self {
                items: program("items", &spec.items),
                name: program("name", &spec.name),
                kind: program("type", &spec.kind),
                occurred: program("occurred", &spec.occurred),
                duplication_key: program("duplication_key", &spec.duplication_key),
                drop: program("drop", &spec.drop),
                fields: BTreeMap::new(),
            };
            let mut fields = BTreeMap::new();
            for (name, filter) in &spec.fields {
                match Program::compile(&format!("fields.{name}"), filter) {
                    Ok(program) => drop(fields.insert(name.clone(), program)),
                    Err(error) => errors.push(error),
                }
            }
            if errors.is_empty() { Ok(Self { fields, ..mapping }) } else { Err(errors) }
        })
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping").finish_non_exhaustive()
    }
}
