//! What goes into the Debian package, from the list in `Cargo.toml`.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// Where the package has its documentation; the rest of the path is the one here.
const DOC: &str = "usr/share/doc/hookgate/";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files that the package has beside each other as they are here.
fn packaged() -> BTreeSet<PathBuf> {
    let manifest: toml::Table = std::fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array().unwrap();
    let strings = |asset: &toml::Value| asset.as_array().unwrap().iter().map(|s| s.as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assets.iter().map(strings).filter(|asset| asset[1].starts_with(DOC)).flat_map(|asset| matching(&asset[0], &asset[1])).collect()
}

/// The files of one line of the list, which may have one `*` in the name.
fn matching(pattern: &str, to: &str) -> Vec<PathBuf> {
    let (folder, name) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    assert_eq!(to.trim_start_matches(DOC).trim_end_matches('/'), folder, "{pattern} is in the same place there");
    let (before, after) = name.split_once('*').unwrap_or((name, ""));
    let files = std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let names = files.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    let found: Vec<_> = names
        .filter(|file| if name.contains('*') { file.starts_with(before) && file.ends_with(after) } else { file == name })
        .map(|file| Path::new(folder).join(file))
        .collect();
    assert!(!found.is_empty(), "{pattern} is there");
    found
}

/// Links to other files in a page.
fn links(page: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(root().join(page)).unwrap();
    let targets = text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap().split('#').next().unwrap());
    let files = targets.filter(|target| !target.is_empty() && !target.contains([':', ' ', '\n']));
    files.map(|target| normal(&page.parent().unwrap().join(target))).collect()
}

/// Without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            normal.pop();
        } else {
            normal.push(part);
        }
    }
    normal
}

#[test]
fn no_link_leads_out_of_the_package() {
    let packaged = packaged();
    let pages: Vec<_> = packaged.iter().filter(|path| path.extension().is_some_and(|ext| ext == "md")).collect();
    assert!(pages.len() > 10);
    let mut dangling = Vec::new();
    let mut looked_at = 0;
    for page in pages {
        for target in links(page) {
            looked_at += 1;
            // A folder is there as soon as something in it is.
            if !packaged.iter().any(|file| file.starts_with(&target)) {
                dangling.push(format!("{} -> {}", page.display(), target.display()));
            }
        }
    }
    assert!(looked_at > 30, "{looked_at}");
    assert_eq!(dangling, Vec::<String>::new());
}
