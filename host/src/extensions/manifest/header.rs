//! The leading `//!` lines of a script: `key: value`, one to a line. A line indented by two blanks or more continues the
//! one before it. `example:` may be there many times, any other key once; its value is JSON, as in a component's manifest.

use semver::Version;

use super::{AskedLimits, Example, Manifest, ManifestError, Setting, hook_words};
use crate::domain::status::Hook;

const KEYS: &str = "name, version, hooks, description, licence, settings, retry_status, example";

struct Entry {
    line: usize,
    key: String,
    value: String,
}

/// Reads the header of `source`. What the values mean together is not checked here.
pub(super) fn parse(source: &str) -> Result<Manifest, ManifestError> {
    let mut name = None;
    let mut version = None;
    let mut manifest = Manifest {
        name: String::new(),
        version: Version::new(0, 0, 0),
        hooks: Vec::new(),
        description: String::new(),
        licence: None,
        settings: Vec::new(),
        retry_status: None,
        hosts: Vec::new(),
        limits: AskedLimits::default(),
        examples: Vec::new(),
    };
    let entries = entries(source)?;
    check_given_once(&entries)?;
    for Entry { line, key, value } in entries {
        let wrong = |problem: String| ManifestError::new(format!("line {line}"), problem);
        match key.as_str() {
            "name" => name = Some(value),
            "version" => {
                let parsed = Version::parse(&value);
                version = Some(parsed.map_err(|_| wrong(format!("{value:?} is no semantic version, such as 1.2.0")))?);
            }
            "hooks" => {
                manifest.hooks = words(&value).map(|word| hook(word).map_err(wrong)).collect::<Result<_, _>>()?
            }
            "description" => manifest.description = value,
            "licence" | "license" => manifest.licence = Some(value),
            "settings" => manifest.settings = settings(&value).map_err(wrong)?,
            "retry_status" => {
                let status = value.parse().map_err(|_| wrong(format!("{value:?} is no HTTP status")))?;
                manifest.retry_status = Some(status);
            }
            "hosts" => return Err(wrong("a script has no network; only a component may ask for hosts".to_owned())),
            "example" => manifest.examples.push(example(&value).map_err(wrong)?),
            other => return Err(wrong(format!("unknown key {other:?}; the keys are {KEYS}"))),
        }
    }
    let missing = |key: &str, mend: &str| {
        ManifestError::new(key, format!("is missing; begin the script with a line such as //! {key}: {mend}"))
    };
    manifest.name = name.ok_or_else(|| missing("name", "my-filter"))?;
    manifest.version = version.ok_or_else(|| missing("version", "1.0.0"))?;
    if manifest.hooks.is_empty() {
        return Err(missing("hooks", "reply-classifier"));
    }
    Ok(manifest)
}

fn entries(source: &str) -> Result<Vec<Entry>, ManifestError> {
    let mut entries: Vec<Entry> = Vec::new();
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    for (index, line) in source.lines().enumerate() {
        let Some(text) = line.strip_prefix("//!") else { break };
        if text.trim().is_empty() {
            continue;
        }
        let continues = text.starts_with("  ") || text.starts_with('\t');
        match (entries.last_mut(), text.split_once(':')) {
            (Some(last), _) if continues => {
                last.value.push(' ');
                last.value.push_str(text.trim());
            }
            (_, Some((key, value))) => {
                entries.push(Entry { line: index + 1, key: key.trim().to_owned(), value: value.trim().to_owned() });
            }
            (_, None) => {
                let problem = format!("{:?} has no colon; write //! key: value", text.trim());
                return Err(ManifestError::new(format!("line {}", index + 1), problem));
            }
        }
    }
    Ok(entries)
}

/// Of a key that stands there twice one value would be lost without a word.
fn check_given_once(entries: &[Entry]) -> Result<(), ManifestError> {
    for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.key != "example") {
        let is_same = |before: &&Entry| one_spelling(&before.key) == one_spelling(&entry.key);
        if let Some(before) = entries[..index].iter().find(is_same) {
            let (key, before) = (&entry.key, before.line);
            let problem = format!("{key:?} stands in line {before} already; only example may be there again");
            return Err(ManifestError::new(format!("line {}", entry.line), problem));
        }
    }
    Ok(())
}

fn one_spelling(key: &str) -> &str {
    if key == "license" { "licence" } else { key }
}

fn words(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|word| !word.is_empty())
}

fn hook(word: &str) -> Result<Hook, String> {
    Hook::parse(word).ok_or_else(|| format!("{word:?} is no hook; expected some of {}", hook_words()))
}

/// `signing_secret (required, secret), region`.
fn settings(value: &str) -> Result<Vec<Setting>, String> {
    let mut found = Vec::new();
    let mut rest = value.trim();
    while !rest.is_empty() {
        let end = rest.find([',', '(']).unwrap_or(rest.len());
        let key = rest[..end].trim();
        if key.is_empty() {
            return Err(format!("{rest:?} names no setting; write key (required, secret), other_key"));
        }
        let mut setting = Setting { key: key.to_owned(), required: false, secret: false };
        rest = &rest[end..];
        if let Some(inside) = rest.strip_prefix('(') {
            let (flags, after) = inside.split_once(')').ok_or("a bracket is not closed")?;
            for flag in words(flags) {
                match flag {
                    "required" => setting.required = true,
                    "secret" => setting.secret = true,
                    other => return Err(format!("{other:?} says nothing of a setting; use required, secret")),
                }
            }
            rest = after.trim_start();
        }
        found.push(setting);
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    Ok(found)
}

fn example(value: &str) -> Result<Example, String> {
    let shape = r#"{ "input": { … }, "expect": { … } }"#;
    serde_json::from_str(value).map_err(|error| format!("the example can't be read as {shape}: {error}"))
}
