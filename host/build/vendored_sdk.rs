//! The SDK's source and the interfaces, as `ampout plugin new` writes them into a plugin's folder: with them beside it, a
//! plugin builds without this repository, and goes on building when the SDK changes.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// Where the SDK stands in a plugin's folder. It reads the interfaces at `../../wit/v1`, here as there.
const FOLDER: &str = "vendor/ampout-plugin";

/// Writes the list that `src/cli/plugin/new.rs` includes: paths in the plugin's folder with their contents.
pub(crate) fn write_list(workspace: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    let manifest = out.join("sdk-Cargo.toml");
    fs::write(&manifest, standalone_manifest(workspace)?)?;
    let mut files = vec![
        (format!("{FOLDER}/Cargo.toml"), manifest),
        (format!("{FOLDER}/LICENSE"), workspace.join("LICENSE")),
        // With it a plugin begins with the versions that were tested here; cargo drops what it doesn't need.
        ("Cargo.lock".to_owned(), workspace.join("Cargo.lock")),
    ];
    collect(&workspace.join("plugins/sdk/src"), &format!("{FOLDER}/src"), &mut files)?;
    collect(&workspace.join("wit/v1"), "wit/v1", &mut files)?;
    files.sort();

    let mut list = String::from("&[\n");
    for (name, path) in files {
        writeln!(list, "    ({name:?}, include_bytes!({path:?})),")?;
    }
    list.push_str("]\n");
    fs::write(out.join("vendored_sdk.rs"), list)?;
    Ok(())
}

fn collect(folder: &Path, name: &str, files: &mut Vec<(String, PathBuf)>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &name, files)?;
        } else {
            files.push((name, entry.path()));
        }
    }
    Ok(())
}

/// The SDK's `Cargo.toml` with what it takes from the workspace written out.
fn standalone_manifest(workspace: &Path) -> Result<String, Box<dyn Error>> {
    let mut sdk: Table = fs::read_to_string(workspace.join("plugins/sdk/Cargo.toml"))?.parse()?;
    let root: Table = fs::read_to_string(workspace.join("Cargo.toml"))?.parse()?;
    let shared = root.get("workspace").and_then(Value::as_table).ok_or("Cargo.toml has no [workspace]")?;
    sdk.remove("lints");
    if let Some(package) = sdk.get_mut("package").and_then(Value::as_table_mut) {
        write_out(package, table(shared, "package"));
    }
    dependencies_written_out(&mut sdk, shared);
    for (_, platform) in sdk.get_mut("target").and_then(Value::as_table_mut).into_iter().flatten() {
        if let Some(platform) = platform.as_table_mut() {
            dependencies_written_out(platform, shared);
        }
    }
    Ok(toml::to_string(&sdk)?)
}

fn dependencies_written_out(of: &mut Table, shared: &Table) {
    for kind in ["dependencies", "dev-dependencies"] {
        if let Some(dependencies) = of.get_mut(kind).and_then(Value::as_table_mut) {
            write_out(dependencies, table(shared, "dependencies"));
        }
    }
}

/// `key.workspace = true` becomes what the workspace says of `key`.
fn write_out(entries: &mut Table, shared: Option<&Table>) {
    for (key, value) in entries.iter_mut() {
        let is_shared = value.get("workspace").and_then(Value::as_bool) == Some(true);
        if let (true, Some(found)) = (is_shared, shared.and_then(|shared| shared.get(key))) {
            *value = found.clone();
        }
    }
}

fn table<'a>(of: &'a Table, key: &str) -> Option<&'a Table> {
    of.get(key).and_then(Value::as_table)
}
