//! What is written about senders is complete and works as pasted.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use hookgate::config::Config;
use tempfile::TempDir;

use super::cases;
use super::signing::Scheme;

const GUIDE: &str = include_str!("../../../docs/senders.md");

fn presets() -> Vec<(String, toml::Table)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/senders/presets");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut presets: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap().parse().unwrap()))
        .collect();
    presets.sort_by(|(one, _), (other, _)| one.cmp(other));
    presets
}

#[test]
fn every_preset_has_a_test_a_sample_and_its_row_in_the_guide() {
    let presets = presets();
    assert!(presets.len() >= 41, "{}", presets.len());
    let tested: BTreeSet<_> = cases::all().iter().map(|case| case.sender).collect();
    for (name, preset) in &presets {
        assert!(tested.contains(name.as_str()), "no case for {name}");
        let sample = format!("samples/senders/{name}.http");
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(&sample).is_file(), "no {sample}");
        let about = |key: &str| preset["sender"][key].as_str().unwrap();
        let handshakes = preset.get("handshake").and_then(toml::Value::as_array);
        let handshakes =
            handshakes.map_or_else(|| "–".to_owned(), |all| all.iter().map(|one| one.as_str().unwrap()).collect::<Vec<_>>().join(", "));
        let row = format!("| {} | {} | {handshakes} | {} |", about("verifies"), about("dedups"), about("confidence"));
        let found = GUIDE.lines().find(|line| line.starts_with(&format!("| [`{name}`](#"))).unwrap_or_else(|| panic!("no row for {name}"));
        assert!(found.ends_with(&row), "{name}:\n{found}\n{row}");
        assert!(GUIDE.contains(&format!("sender = \"{name}\"")), "no example for {name}");
    }
    let samples = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/senders")).unwrap().count();
    assert_eq!(samples, presets.len());
}

#[test]
fn links_within_the_guide_lead_somewhere() {
    let headings: BTreeSet<_> = GUIDE.lines().filter_map(|line| line.strip_prefix('#')).map(anchor).collect();
    for link in GUIDE.split("](#").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        assert!(headings.contains(link), "#{link}");
    }
}

/// As GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    kept.chars().filter(|char| char.is_alphanumeric() || " -".contains(*char)).map(|char| if char == ' ' { '-' } else { char }).collect()
}

#[test]
fn examples_of_the_guide_work_as_pasted() {
    let examples: Vec<_> = GUIDE.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(examples.len() >= 45, "{}", examples.len());
    for example in examples {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("senders")).unwrap();
        let path = folder.path().join("hookgate.toml");
        fs::write(&path, with_secrets(example)).unwrap();
        if let Err(errors) = Config::load(&path) {
            panic!("{errors}\nin\n{example}");
        }
    }
}

/// A secret of the environment becomes one that is there, of the kind that its name calls for.
fn with_secrets(example: &str) -> String {
    let unindented: String = example.lines().map(|line| format!("{}\n", line.trim_start())).collect();
    let public_key = Scheme::P256.configured("somebody's");
    let mut pieces = unindented.split("{ env = \"");
    let mut text = pieces.next().unwrap().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once("\" }").unwrap();
        let secret = match name {
            "CLERK_SIGNING_SECRET" | "SVIX_SIGNING_SECRET" => "whsec_c2VjcmV0LW9mLXNvbWVib2R5LWVsc2U=",
            "SENDGRID_PUBLIC_KEY" => public_key.as_str(),
            _ => "0123456789abcdef0123456789abcdef",
        };
        text.push_str(&format!("\"{secret}\"{rest}"));
    }
    text
}
