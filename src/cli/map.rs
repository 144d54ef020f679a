//! `map`: what an instance's rules make of an event, storing nothing.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Serialize;
use serde_json::value::RawValue;

use super::output::{note, stdout};
use super::{body, entrance, store, terminal};
use crate::app::rules;
use crate::config::{Access, Config, Instance};
use crate::incident::{Draft, Incident, with_headers};
use crate::intake::{self, Body, Intake, Rules, headers_json};
use crate::mapping::{MapSpec, Mapping};

/// Show what an instance's map makes of a body, beside what the default rules make of it; stores nothing
///
/// The body is a file, standard input, or each kept sample of the instance. A sample is one event: where the map's `items` are
/// not found in it, it is taken for one of them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  hookgate map my_instance_01 body.json\n  \
                        hookgate map my_instance_01 --samples\n  \
                        hookgate map my_instance_01 body.json --header 'X-Event: push' --query 'env=prod' --json | jq '.[].after'")]
pub(super) struct Args {
    /// The instance
    name: String,
    /// The body; standard input when absent or -
    file: Option<PathBuf>,
    /// The kept samples of the instance instead
    #[arg(long, conflicts_with_all = ["file", "headers", "query"])]
    samples: bool,
    /// A header of the request, for filters that look at $headers
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header_line)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// What follows the ? of the address, for filters that look at $query
    #[arg(long)]
    query: Option<String>,
    /// One JSON array for programs
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(self, config_file: &Path) -> anyhow::Result<()> {
        let config = Config::load(config_file)?;
        let instance = entrance::find(&config, &self.name)?;
        if instance.map.is_empty() {
            note("this instance has no map: both sides are the default rules");
        }
        let rules = Rulebook::of(&config, instance)?;
        let compared = if self.samples {
            let samples = store::open(config_file)?.samples(&self.name)?;
            if samples.is_empty() {
                note("no samples are kept of this instance; give a file, or set store_samples = true and wait for an event");
            }
            samples.iter().map(|sample| rules.compare_sample(sample)).collect()
        } else {
            let headers = self.headers.iter().cloned().collect();
            vec![rules.compare(&body::read(self.file.as_deref())?.into(), &headers, self.query.as_deref())]
        };
        if self.json { print_json(&compared) } else { print_text(&compared) }
    }
}

fn header_line(line: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = line.split_once(':').ok_or("write NAME: VALUE")?;
    let name = name.trim().parse().map_err(|_| "not the name of a header")?;
    Ok((name, value.trim().parse().map_err(|_| "not the value of a header")?))
}

/// The rules of an instance, with and without its map.
struct Rulebook {
    with: Rules,
    /// With the map, but for its items.
    of_item: Rules,
    without: Rules,
    secret_header: Option<HeaderName>,
}

impl Rulebook {
    fn of(config: &Config, instance: &Instance) -> anyhow::Result<Self> {
        let with = rules(instance, &config.server).map_err(anyhow::Error::msg)?;
        let of_item = MapSpec { items: None, ..instance.map.clone() };
        let of_item = Mapping::compile(&of_item).ok().context("the map cannot be compiled")?;
        let secret_header = match &instance.access {
            Access::Header { name, .. } => Some(name.clone()),
            Access::Open | Access::Basic { .. } => None,
        };
        Ok(Self {
            of_item: Rules { mapping: Some(Arc::new(of_item)), ..with.clone() },
            without: Rules { mapping: None, ..with.clone() },
            with,
            secret_header,
        })
    }

    fn compare(&self, body: &Bytes, headers: &HeaderMap, query: Option<&str>) -> Compared {
        let made = |rules| self.make(body, headers, query, rules);
        Compared { sample: None, before: made(&self.without), after: made(&self.with) }
    }

    fn compare_sample(&self, sample: &Incident) -> Compared {
        let (body, headers) = (Bytes::from(sample.raw.clone()), headers_of(sample));
        let made = |rules| self.make(&body, &headers, None, rules);
        let mut after = made(&self.with);
        if after.incidents.iter().any(|made| made.warnings.iter().any(|warning| warning.contains("the body itself was taken"))) {
            after = made(&self.of_item);
        }
        Compared { sample: Some(sample.id.to_string()), before: made(&self.without), after }
    }

    fn make(&self, body: &Bytes, headers: &HeaderMap, query: Option<&str>, rules: &Rules) -> Made {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let (content_type, content_encoding) = (text(header::CONTENT_TYPE), text(header::CONTENT_ENCODING));
        let secret_header = self.secret_header.as_ref();
        let body = Body { content_type, content_encoding, bytes: body.clone(), query, headers, secret_header };
        match intake::read(body, rules) {
            Ok(intake) => Made::of(intake, &headers_json(headers, secret_header)),
            Err(error) => Made { error: Some(error.to_string()), ..Made::default() },
        }
    }
}

/// The headers that were stored with a sample.
fn headers_of(sample: &Incident) -> HeaderMap {
    let stored: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&sample.headers).unwrap_or_default();
    let pairs = stored.iter().filter_map(|(name, value)| Some((name.parse().ok()?, value.as_str()?.parse().ok()?)));
    // The body is decoded already.
    pairs.filter(|(name, _): &(HeaderName, HeaderValue)| ![header::CONTENT_ENCODING, header::CONTENT_TYPE].contains(name)).collect()
}

/// One body by both rules.
#[derive(Serialize)]
struct Compared {
    /// Its id, where the body is a sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    sample: Option<String>,
    before: Made,
    after: Made,
}

/// What rules make of a body.
#[derive(Default, Serialize)]
struct Made {
    incidents: Vec<IncidentJson>,
    dropped: usize,
    failures: Vec<FailureJson>,
    /// Why it would be refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IncidentJson {
    name: String,
    r#type: Option<String>,
    /// None: the time of arrival.
    occurred: Option<String>,
    /// What equal events have in common.
    duplication_key: Option<String>,
    fields: serde_json::Map<String, serde_json::Value>,
    warnings: Vec<String>,
    raw_json: Box<RawValue>,
}

#[derive(Serialize)]
struct FailureJson {
    filter: String,
    reason: String,
}

impl Made {
    fn of(intake: Intake, headers: &str) -> Self {
        Self {
            incidents: intake.drafts.into_iter().map(|draft| IncidentJson::of(draft, headers)).collect(),
            dropped: intake.dropped,
            failures: intake.failures.into_iter().map(|failure| FailureJson { filter: failure.key, reason: failure.text }).collect(),
            error: None,
        }
    }
}

impl IncidentJson {
    fn of(draft: Draft, headers: &str) -> Self {
        let raw = String::from_utf8_lossy(&with_headers(&draft.raw, headers)).into_owned();
        let hexadecimal = |key: [u8; 16]| key.iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            name: draft.name.to_string(),
            r#type: draft.kind.map(|kind| kind.to_string()),
            occurred: draft.occurred,
            duplication_key: draft.key.map(hexadecimal),
            fields: draft.fields.into_iter().map(|field| (field.name.to_string(), field.value.into())).collect(),
            warnings: draft.warnings.into_iter().map(Into::into).collect(),
            raw_json: RawValue::from_string(raw).expect("an incident is JSON"),
        }
    }
}

fn print_json(compared: &[Compared]) -> anyhow::Result<()> {
    let mut out = stdout();
    serde_json::to_writer(&mut out, compared)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

fn print_text(compared: &[Compared]) -> anyhow::Result<()> {
    let mut out = stdout();
    for (index, one) in compared.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        if let Some(id) = &one.sample {
            writeln!(out, "sample {id}")?;
        }
        describe(&mut out, "default rules", &one.before)?;
        describe(&mut out, "with the map", &one.after)?;
    }
    Ok(out.flush()?)
}

fn describe(out: &mut impl Write, rules: &str, made: &Made) -> io::Result<()> {
    if let Some(error) = &made.error {
        return writeln!(out, "{rules}: refused: {}", terminal::visible(error));
    }
    let count = made.incidents.len();
    let (incidents, dropped) = (if count == 1 { "incident" } else { "incidents" }, made.dropped);
    writeln!(out, "{rules}: {count} {incidents}{}", if dropped > 0 { format!(", {dropped} dropped") } else { String::new() })?;
    for (index, incident) in made.incidents.iter().enumerate() {
        let mut lead = format!("{:>5}", index + 1);
        let mut line = |label: &str, text: &str| {
            let written = writeln!(out, "{lead}  {label:<10}{}", terminal::visible(text));
            lead = " ".repeat(5);
            written
        };
        line("name", &incident.name)?;
        line("type", incident.r#type.as_deref().unwrap_or("-"))?;
        line("occurred", incident.occurred.as_deref().unwrap_or("the time of arrival"))?;
        line("key", incident.duplication_key.as_deref().unwrap_or("-"))?;
        for (name, value) in &incident.fields {
            line("field", &format!("{name}: {}", value.as_str().unwrap_or_default()))?;
        }
        for warning in &incident.warnings {
            line("warning", warning)?;
        }
    }
    for failure in &made.failures {
        writeln!(out, "       filter {}: {}", failure.filter, terminal::visible(&failure.reason))?;
    }
    Ok(())
}
