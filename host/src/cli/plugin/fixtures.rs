//! Fixtures: examples that stay with the author. A fixture is a folder of `expected.json` and an input, `input.json` (the
//! hook's facts) or `input.eml` (a mail, read as the inbox reads it); `fetches.json` may answer `http.fetch`. A JSON file is a
//! list of examples, as in a manifest. Of an extension that serves several hooks, a fixture lies below a folder that has the
//! hook's name.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::de::DeserializeOwned;

use crate::domain::Timestamp;
use crate::domain::status::Hook;
use crate::extensions::manifest::Example;
use crate::inbox::parse::parse;

const DEEPEST: usize = 8;
const MOST_FIXTURES: usize = 10_000;
/// When mails of fixtures arrive: the standstill clock of the SDK's own tests.
const ARRIVES_AT: &str = "2026-11-23T08:00:00Z";

/// The examples at `path`: a list in a file, a fixture, or a folder of them.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Example>> {
    if !path.is_dir() {
        return from_json(path).context("a file of examples is a JSON list of {\"name\", \"input\", \"expect\"}");
    }
    let mut found = Vec::new();
    collect(path, path, DEEPEST, &mut found)?;
    if found.is_empty() {
        bail!(
            "{}: there is no fixture in it; one is a folder of input.json or input.eml, and expected.json",
            path.display()
        );
    }
    Ok(found)
}

fn collect(root: &Path, folder: &Path, depth: usize, found: &mut Vec<Example>) -> anyhow::Result<()> {
    if folder.join("expected.json").is_file() {
        if found.len() >= MOST_FIXTURES {
            bail!("{}: there are over {MOST_FIXTURES} fixtures", root.display());
        }
        found.push(fixture(root, folder)?);
        return Ok(());
    }
    let Some(depth) = depth.checked_sub(1) else { return Ok(()) };
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut folders: Vec<_> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders.iter().try_for_each(|folder| collect(root, folder, depth, found))
}

fn fixture(root: &Path, folder: &Path) -> anyhow::Result<Example> {
    let (json, mail) = (folder.join("input.json"), folder.join("input.eml"));
    let input = match (json.is_file(), mail.is_file()) {
        (true, false) => from_json(&json)?,
        (false, true) => {
            let raw = fs::read(&mail).with_context(|| mail.display().to_string())?;
            let at: Timestamp = ARRIVES_AT.parse().context("the time at which fixtures arrive")?;
            serde_json::to_value(parse(&raw, at).message)?
        }
        _ => bail!("{}: has to have one of input.json and input.eml", folder.display()),
    };
    let fetches = folder.join("fetches.json");
    let inside = folder.strip_prefix(root).unwrap_or(folder);
    let hook = inside.iter().filter_map(|part| Hook::parse(part.to_str()?)).next();
    Ok(Example {
        name: Some(if inside.as_os_str().is_empty() { folder } else { inside }.display().to_string()),
        hook: if mail.is_file() { Some(Hook::ReplyClassifier) } else { hook },
        input,
        expect: from_json(&folder.join("expected.json"))?,
        fetches: if fetches.is_file() { from_json(&fetches)? } else { Vec::new() },
    })
}

fn from_json<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixtures_are_found_below_a_folder_with_the_hook_that_it_names() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let error = read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("there is no fixture in it"), "{error}");
        write("b/input.eml", "Subject: Hi\r\n\r\nYes.\r\n");
        write("b/expected.json", r#"{ "verdict": "pass" }"#);
        write("a/send-gate/night/input.json", "{}");
        write("a/send-gate/night/expected.json", r#"{ "decision": "admit" }"#);
        let found = read(folder.path()).unwrap();
        let names: Vec<_> = found.iter().map(|one| (one.name.as_deref().unwrap(), one.hook)).collect();
        assert_eq!(names, [("a/send-gate/night", Some(Hook::SendGate)), ("b", Some(Hook::ReplyClassifier))]);
        assert_eq!(found[1].input["subject"], "Hi");
        write("b/input.json", "{}");
        assert!(read(folder.path()).unwrap_err().to_string().contains("one of input.json and input.eml"));
        write("a/send-gate/night/input.json", "{");
        let error = format!("{:#}", read(folder.path()).unwrap_err());
        assert!(error.contains("night/input.json") && error.contains("line 1"), "{error}");
    }
}
