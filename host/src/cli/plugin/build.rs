//! `ampout plugin build`: a folder with `plugin.toml` and a source becomes one `.wasm` that can be uploaded. The compilers are
//! the author's own; one that is missing is told with the command that installs it, and nothing is installed unasked.

mod componentize;
mod rust;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, ValueEnum as _};
use serde_json::json;

use super::templates::Language;
use crate::cli::print;
use crate::extensions::Manifest;
use crate::extensions::manifest::embed;

/// Keys that plugin.toml may have and the component's manifest has not, as they name files that are put into it; each stands
/// behind the last of the keys beside it.
const KEYS_OF_FILES: [(&str, &str); 2] =
    [("`examples`", ", `examples_file`"), ("`fetches`", ", `input_file`, `expect_file`")];

#[derive(Debug, Args)]
pub(in crate::cli) struct BuildArgs {
    /// The plugin's folder
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// Where the component goes [default: NAME.wasm in the folder]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// What a plugin in Rust is compiled for; wasm32-wasip2 for one whose crates ask for a system
    #[arg(long, value_parser = rust::TARGETS, default_value = rust::TARGETS[0])]
    target: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &BuildArgs) -> anyhow::Result<()> {
    let (embedded, manifest) = manifest_of(&args.folder)?;
    let language = language_of(&args.folder)?;
    let component = match language {
        Language::Rust => rust::component(&args.folder, &args.target)?,
        Language::Javascript => componentize::javascript(&args.folder, &manifest.hooks)?,
        Language::Python => componentize::python(&args.folder, &manifest.hooks)?,
    };
    let bytes = embed::with_manifest(component, &embedded);
    let out = args.out.clone().unwrap_or_else(|| args.folder.join(&manifest.name).with_extension("wasm"));
    fs::write(&out, &bytes).with_context(|| out.display().to_string())?;
    if args.json {
        return print::json(&json!({ "file": out, "name": manifest.name, "version": manifest.version.to_string(),
                                    "hooks": manifest.hooks, "lang": language, "bytes": bytes.len() }));
    }
    let (name, version) = (&manifest.name, &manifest.version);
    print::line(format_args!(
        "{} is {name}@{version} in {}, {} KiB",
        out.display(),
        language.name(),
        bytes.len() / 1024
    ))
}

/// The manifest as it is embedded, and as it is understood.
fn manifest_of(folder: &Path) -> anyhow::Result<(String, Manifest)> {
    let embedded = embed::read_plugin_manifest(folder).map_err(anyhow::Error::msg)?;
    match Manifest::from_json(embedded.as_bytes()) {
        Ok(manifest) => Ok((embedded, manifest)),
        Err(error) => {
            // The place is one in the JSON, which nobody sees; what it is about stands in the TOML.
            let path = folder.join("plugin.toml");
            let about = error.problem.split('`').nth(1).unwrap_or(&error.place);
            let text = fs::read_to_string(&path).unwrap_or_default();
            let line = text
                .lines()
                .position(|line| line.trim_start().starts_with(about))
                .map(|index| format!(":{}", index + 1));
            let problem = error.problem.rsplit_once(" at line ").map_or(error.problem.as_str(), |(problem, _)| problem);
            let is_unknown_key = problem.starts_with("unknown field");
            let more = KEYS_OF_FILES.iter().find(|(last, _)| is_unknown_key && problem.ends_with(last));
            let more = more.map_or("", |(_, more)| *more);
            let about = if error.problem.contains('`') || error.place.starts_with("line ") { "" } else { about };
            let colon = if about.is_empty() { "" } else { ": " };
            Err(anyhow!("{}{}: {about}{colon}{problem}{more}", path.display(), line.unwrap_or_default()))
        }
    }
}

fn language_of(folder: &Path) -> anyhow::Result<Language> {
    let mut found = Language::value_variants().iter().filter(|language| folder.join(language.marked_by()).is_file());
    match (found.next(), found.next()) {
        (Some(language), None) => Ok(*language),
        (None, _) => {
            let marks: Vec<&str> = Language::value_variants().iter().map(|language| language.marked_by()).collect();
            bail!(
                "{}: has none of {}; `ampout plugin new` makes a folder that can be built",
                folder.display(),
                marks.join(", ")
            )
        }
        (Some(one), Some(other)) => bail!(
            "{}: has both {} and {}, and one plugin has one language",
            folder.display(),
            one.marked_by(),
            other.marked_by()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(manifest: &str, files: &[&str], expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("plugin.toml"), manifest).unwrap();
        for file in files {
            fs::write(folder.path().join(file), "").unwrap();
        }
        let args = BuildArgs { folder: folder.path().to_owned(), out: None, target: String::new(), json: false };
        let error = format!("{:#}", run(&args).unwrap_err());
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn what_is_wrong_in_plugin_toml_is_told_with_its_line() {
        let plain = "name = \"x\"\nversion = \"1.0.0\"\nhooks = [\"send-gate\"]\n";
        refused(
            &format!("{plain}descripton = \"\"\n"),
            &[],
            "plugin.toml:4: unknown field `descripton`, expected one of",
        );
        refused(&format!("{plain}example_file = \"\"\n"), &[], "`examples`, `examples_file`");
        refused(
            &format!("{plain}[[examples]]\ninput = {{}}\nexpected = {{}}\n"),
            &[],
            "plugin.toml:6: unknown field `expected`, expected one of `name`, `hook`, `input`, `expect`, `fetches`, \
             `input_file`, `expect_file`",
        );
        refused(
            &format!("{plain}[limits]\nmemory_mib = 0\n"),
            &[],
            "plugin.toml:5: memory_mib: 0 is out of range; ask for 1 to 1024",
        );
        refused(&plain.replace("\"x\"", "\"X\""), &[], "plugin.toml:1: name: \"X\" is no name");
        refused(&plain.replace("\"1.0.0\"", "\"1\""), &[], "is no semantic version, such as 1.2.0");
        refused("name = ", &[], "plugin.toml: TOML parse error at line 1");
        refused(plain, &[], "has none of Cargo.toml, plugin.js, plugin.py");
        refused(plain, &["plugin.js", "plugin.py"], "has both plugin.js and plugin.py");
    }
}
