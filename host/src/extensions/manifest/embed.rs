//! Puts a manifest into a component: `plugin.toml` beside the source becomes the JSON of the custom section
//! `ampout:manifest`.
//!
//! This file is also included by `host/build.rs`, which embeds the manifests of the shipped plugins before the host
//! exists: it may name nothing of the host and no crate but `toml` and `serde_json`.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// The name of the custom section that holds the manifest as JSON.
pub const MANIFEST_SECTION: &str = "ampout:manifest";

/// Reads `plugin.toml` in `folder` and gives the JSON of the custom section. Beside the keys of a manifest it may have `examples_file`, the path of a JSON list of
/// examples, and an example may have `input_file` and `expect_file` instead of `input` and `expect`; paths are relative
/// to `folder`, and a file that is no JSON becomes a text. The error names the file and what is wrong with it.
pub fn read_plugin_manifest(folder: &Path) -> Result<String, String> {
    let path = folder.join("plugin.toml");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut manifest: Value = toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let Some(table) = manifest.as_object_mut() else { return Err(format!("{}: is no table", path.display())) };
    let mut examples = match table.remove("examples") {
        None => Vec::new(),
        Some(Value::Array(examples)) => examples,
        Some(_) => return Err(format!("{}: examples must be written as [[examples]]", path.display())),
    };
    if let Some(Value::String(name)) = table.remove("examples_file") {
        match read_value(folder, &name)? {
            Value::Array(more) => examples.extend(more),
            _ => return Err(format!("{}: must be a JSON list of examples", folder.join(name).display())),
        }
    }
    for example in examples.iter_mut().filter_map(Value::as_object_mut) {
        for (key, from) in [("input", "input_file"), ("expect", "expect_file")] {
            if let Some(Value::String(name)) = example.remove(from) {
                let value = read_value(folder, &name)?;
                example.insert(key.to_owned(), value);
            }
        }
    }
    if !examples.is_empty() {
        table.insert("examples".to_owned(), Value::Array(examples));
    }
    Ok(manifest.to_string())
}

/// Appends the manifest to a component's bytes as a custom section; they may stand anywhere (Component Model, binary
/// format), so the end is right.
pub fn with_manifest(component: Vec<u8>, json: &str) -> Vec<u8> {
    with_section(component, MANIFEST_SECTION, json.as_bytes())
}

/// Appends a custom section.
pub fn with_section(mut component: Vec<u8>, name: &str, data: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    push_leb128(&mut content, name.len());
    content.extend_from_slice(name.as_bytes());
    content.extend_from_slice(data);
    component.push(0);
    push_leb128(&mut component, content.len());
    component.extend_from_slice(&content);
    component
}

fn read_value(folder: &Path, name: &str) -> Result<Value, String> {
    let path = folder.join(name);
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display())),
        _ => Ok(Value::String(text)),
    }
}

fn push_leb128(bytes: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}
