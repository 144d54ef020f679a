//! `incidents`: what is in the store, while the gateway runs or not.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use clap::{Subcommand, value_parser};

use super::output::{note, print_array, print_lines, stdout};
use super::{background, pretty, store, table, terminal, times};
use crate::incident::{Incident, IncidentId, Timestamp};
use crate::mapping::is_field_name;
use crate::store::{Filter, Order, Reader};

/// As many as a person looks through.
const DEFAULT_LIST: u64 = 50;

/// List, show and export stored incidents, while the gateway runs or not
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  hookgate incidents list --instance my_instance_01 --since 2h\n  \
                        hookgate incidents export --since 2026-01-01 > incidents.ndjson")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Show(Show),
    Export(Export),
}

impl Args {
    pub(super) fn run(self, config: &Path) -> anyhow::Result<()> {
        let reader = store::open(config)?;
        match self.command {
            Command::List(args) => args.run(reader),
            Command::Show(args) => args.run(&reader),
            Command::Export(args) => args.run(reader),
        }
    }
}

#[derive(Debug, clap::Args)]
struct Filters {
    /// Only those of this instance
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// Only those of this type
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only those stored at or after this moment: RFC 3339, a date (UTC), or 90s, 30m, 2h, 7d, 4w ago
    #[arg(long, value_name = "TIME", value_parser = times::moment)]
    since: Option<Timestamp>,
    /// Only those stored before this moment
    #[arg(long, value_name = "TIME", value_parser = times::moment)]
    until: Option<Timestamp>,
    /// Only those whose field has this value; several must hold together
    #[arg(long = "field", value_name = "NAME=VALUE", value_parser = field)]
    fields: Vec<(String, String)>,
    /// Only those with this text in their name, type, id or JSON (not in the headers); ASCII letters match in both cases
    #[arg(long, value_name = "TEXT")]
    q: Option<String>,
}

impl Filters {
    /// `wanted` incidents at a time, unless that is more than a page.
    fn in_order(self, order: Order, wanted: usize) -> Filter {
        Filter {
            instance: self.instance,
            kind: self.kind,
            since: self.since,
            until: self.until,
            fields: self.fields,
            q: self.q,
            order,
            limit: wanted.min(store::PAGE),
            cursor: None,
        }
    }
}

/// `severity=high`, or `severity:high` as the admin API has it: no name has either sign.
fn field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(['=', ':']).ok_or("write NAME=VALUE, such as severity=high")?;
    if !is_field_name(name) {
        return Err(format!("{name:?} is no name of a field: letters, digits and _ only"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// List incidents, newest first
///
/// A terminal too narrow for all columns leaves out OCCURRED, TYPE and INSTANCE, in this order; a pipe gets them all.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  hookgate incidents list --type Phishing --since 7d --limit 20\n  hookgate incidents list --field severity=high\n  \
                        hookgate incidents list --q 203.0.113.9 --since 24h\n  \
                        hookgate incidents list --json | jq -r '.[].id'"
)]
struct List {
    #[command(flatten)]
    filters: Filters,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = DEFAULT_LIST, value_parser = value_parser!(u64).range(1..))]
    limit: u64,
    /// A JSON array instead of a table
    #[arg(long)]
    json: bool,
}

impl List {
    fn run(self, reader: Reader) -> anyhow::Result<()> {
        if self.filters.q.is_some() {
            background::step_back();
        }
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        // One more tells whether there are more.
        let mut found = store::stream(reader, self.filters.in_order(Order::NewestFirst, limit.saturating_add(1)))?;
        if self.json {
            return print_array(found.take(limit));
        }
        let rows = found.by_ref().take(limit).map(|incident| incident.map(row)).collect::<Result<Vec<_>, _>>()?;
        if rows.is_empty() {
            note("no incidents match");
            return Ok(());
        }
        let header = ["created", "id", "instance", "type", "occurred", "name"];
        let mut out = stdout();
        out.write_all(table::render(header, &rows, terminal::width(), &MAY_GO).as_bytes())?;
        out.flush()?;
        if found.next().is_some() {
            note(&format!("only the newest {limit}; --limit shows more"));
        }
        Ok(())
    }
}

/// Columns a narrow terminal leaves out, first to last: occurred, type, instance.
const MAY_GO: [usize; 3] = [4, 3, 2];

fn row(incident: Incident) -> [String; 6] {
    let mut created = incident.created.to_string();
    if let Some(millis) = created.find('.') {
        // To the second, for the width; the id holds the milliseconds.
        created.replace_range(millis.., "Z");
    }
    let kind = incident.kind.unwrap_or_else(|| "-".to_owned());
    [created, incident.id.to_string(), incident.instance, kind, incident.occurred, incident.name]
}

/// Show one incident in full
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  hookgate incidents show 0190b6c1-8f2a-7000-8000-0123456789ab")]
struct Show {
    /// The incident's id
    id: IncidentId,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

impl Show {
    fn run(self, reader: &Reader) -> anyhow::Result<()> {
        let incident = reader.incident(self.id)?;
        let incident = incident.with_context(|| format!("no incident {} is in the store", self.id))?;
        if self.json {
            return print_lines(std::iter::once(Ok::<_, io::Error>(incident)));
        }
        let mut out = stdout();
        describe(&mut out, &incident)?;
        Ok(out.flush()?)
    }
}

fn describe(out: &mut impl Write, incident: &Incident) -> io::Result<()> {
    let repeats = match incident.repeats {
        Some(repeats) => format!("{}, the last at {}", repeats.count, repeats.last_seen),
        None => "none".to_owned(),
    };
    for (label, text) in [
        ("id", incident.id.to_string().as_str()),
        ("instance", &incident.instance),
        ("name", &incident.name),
        ("type", incident.kind.as_deref().unwrap_or("-")),
        ("occurred", &incident.occurred),
        ("created", &incident.created.to_string()),
        ("repeats", &repeats),
    ] {
        writeln!(out, "{label:<10}{}", terminal::visible(text))?;
    }
    for (index, field) in incident.fields.iter().enumerate() {
        let label = if index == 0 { "fields" } else { "" };
        writeln!(out, "{label:<10}{}: {}", field.name, terminal::visible(&field.value))?;
    }
    writeln!(out, "rawJson")?;
    pretty::write(out, &String::from_utf8_lossy(&incident.raw_json()))?;
    writeln!(out)
}

/// Write incidents as NDJSON, oldest first: one JSON object a line
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  hookgate incidents export > incidents.ndjson\n  \
                        hookgate incidents export --instance my_instance_01 --since 24h | jq -c .rawJson")]
struct Export {
    #[command(flatten)]
    filters: Filters,
    /// At most this many (all when absent)
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

impl Export {
    fn run(self, reader: Reader) -> anyhow::Result<()> {
        background::step_back();
        let limit = self.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        print_lines(store::stream(reader, self.filters.in_order(Order::OldestFirst, limit))?.take(limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::{Field, Repeats, Seq};

    fn incident() -> Incident {
        Incident {
            id: IncidentId::new(Seq::first_of(Timestamp(1_769_846_400_123)), 1),
            instance: "soc".into(),
            name: "Phishing \u{1b}[31mred".into(),
            kind: None,
            occurred: "2026-01-31T07:00:00Z".into(),
            created: Timestamp(1_769_846_400_123),
            raw: br#"{"n":1e400}"#.to_vec(),
            headers: r#"{"host":"h"}"#.into(),
            repeats: Some(Repeats { count: 2, last_seen: Timestamp(1_769_846_400_123) }),
            fields: vec![Field { name: "severity".into(), value: "high".into() }],
        }
    }

    #[test]
    fn a_row_has_the_second_it_was_stored_in() {
        let row = row(incident());
        assert_eq!(row[0], "2026-01-31T08:00:00Z");
        assert_eq!(row[3], "-");
    }

    #[test]
    fn an_incident_is_described_in_full() {
        let mut out = Vec::new();
        describe(&mut out, &incident()).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("name      Phishing \\u{1b}[31mred\n"), "{text}");
        assert!(text.contains("repeats   2, the last at 2026-01-31T08:00:00.123Z\n"), "{text}");
        assert!(text.contains("fields    severity: high\n"), "{text}");
        assert!(text.ends_with("rawJson\n{\n  \"n\": 1e400,\n  \"headers\": {\n    \"host\": \"h\"\n  }\n}\n"), "{text}");
    }
}
