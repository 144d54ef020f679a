//! A request of samples/senders, as a file and on its way.

use std::fs;

use crate::harness::{Answer, Running};

/// A request whose placeholders may still stand in it.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: String,
    /// With its query.
    pub(super) path: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Request {
    /// The sample of a sender, addressed to `instance`.
    pub(super) fn sample(sender: &str, instance: &str) -> Self {
        let file = format!("{}/samples/senders/{sender}.http", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
        let (head, body) = text.split_once("\n\n").unwrap_or_else(|| panic!("{file}: no empty line"));
        let mut lines = head.lines();
        let first: Vec<_> = lines.next().unwrap().split(' ').collect();
        let [method, path, "HTTP/1.1"] = first[..] else { panic!("{file}: {first:?}") };
        let in_address = format!("/instance/execute/{sender}");
        assert!(path.contains(&in_address), "{file}: {path}");
        Self {
            method: method.to_owned(),
            path: path.replace(&in_address, &format!("/instance/execute/{instance}")),
            headers: lines.map(header).filter(|(name, _)| name != "host").collect(),
            body: body.strip_suffix('\n').unwrap_or(body).to_owned(),
        }
    }

    pub(super) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(header, _)| header == name);
        &found.unwrap_or_else(|| panic!("no {name} in {self:?}")).1
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.headers.retain(|(header, _)| header != name);
    }

    /// Gives a header another name.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        let value = self.header(from).to_owned();
        self.remove(from);
        self.set(to, &value);
    }

    /// Puts `value` wherever `{placeholder}` stands.
    pub(super) fn fill(&mut self, placeholder: &str, value: &str) {
        let placeholder = format!("{{{placeholder}}}");
        for text in self.texts() {
            *text = text.replace(&placeholder, value);
        }
    }

    /// Replaces text that must be there, the first time it occurs.
    pub(super) fn replace(&mut self, from: &str, to: &str) {
        let found = self.texts().find(|text| text.contains(from)).unwrap_or_else(|| panic!("no {from:?}"));
        *found = found.replacen(from, to, 1);
    }

    fn texts(&mut self) -> impl Iterator<Item = &mut String> {
        let values = self.headers.iter_mut().map(|(_, value)| value);
        [&mut self.path, &mut self.body].into_iter().chain(values)
    }

    pub(super) fn post(&self, gateway: &Running) -> Answer {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        gateway.request(&self.method, &self.path, &headers, self.body.as_bytes())
    }
}

fn header(line: &str) -> (String, String) {
    let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("no header: {line:?}"));
    (name.to_ascii_lowercase(), value.to_owned())
}
