//! `ampout plugin new`: a folder with a plugin that builds and passes its tests, to be changed from there. All of it is
//! inside the binary, the SDK's source included, so that nothing but the language's own registry is needed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use serde_json::{Map, Value, json};

use super::templates::{self, HookExamples, Language};
use crate::cli::print;
use crate::domain::status::Hook;
use crate::extensions::manifest::{Manifest, Setting};

const VERSION: &str = "0.1.0";
const IGNORED: &str = "target/\nnode_modules/\n.venv/\n__pycache__/\n*.wasm\n";

#[derive(Debug, Args)]
pub(in crate::cli) struct NewArgs {
    /// The folder to make; its last part is the plugin's name, and an adapter's name is its provider
    folder: PathBuf,
    /// What the plugin is asked
    #[arg(long, value_parser = PossibleValuesParser::new(Hook::ALL.iter().map(|hook| hook.as_str()))
        .try_map(|word| Hook::parse(&word).ok_or("is no hook")))]
    hook: Hook,
    /// What it is written in
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    lang: Language,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

struct Project<'a> {
    name: &'a str,
    hook: Hook,
    language: Language,
    examples: HookExamples,
}

pub(super) fn run(args: &NewArgs) -> anyhow::Result<()> {
    let folder = &args.folder;
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let manifest = json!({ "name": name, "version": VERSION, "hooks": [args.hook] });
    Manifest::from_json(manifest.to_string().as_bytes())?;
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{}: there is something in it already; choose another name", folder.display());
    }
    let project = Project { name, hook: args.hook, language: args.lang, examples: templates::examples(args.hook)? };
    let files = project.files()?;
    for (path, content) in &files {
        write(&folder.join(path), content).with_context(|| folder.join(path).display().to_string())?;
    }
    if args.json {
        let names: Vec<&String> = files.iter().map(|(path, _)| path).collect();
        return print::json(
            &json!({ "folder": folder, "name": name, "hook": args.hook, "lang": args.lang, "files": names }),
        );
    }
    print::line(format_args!("{} is there: {} files. Next:", folder.display(), files.len()))?;
    print::line(format_args!("\n  cd {}\n  {}", folder.display(), args.lang.prepared_by()))?;
    print::line(format_args!("  ampout plugin build\n  ampout plugin test {name}.wasm fixtures"))
}

impl Project<'_> {
    /// Paths in the folder with their contents.
    fn files(&self) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        let mut files: Vec<(String, Vec<u8>)> = vec![
            ("plugin.toml".to_owned(), self.manifest()?.into()),
            ("README.md".to_owned(), self.filled(templates::README).into()),
            (".gitignore".to_owned(), IGNORED.into()),
            (self.language.source_file().to_owned(), self.filled(templates::source(self.language, self.hook)).into()),
        ];
        match self.language {
            Language::Rust => files.push(("Cargo.toml".to_owned(), self.filled(templates::CARGO_TOML).into())),
            Language::Javascript => {
                files.push(("package.json".to_owned(), self.filled(templates::PACKAGE_JSON).into()))
            }
            Language::Python => {
                files.push(("requirements.txt".to_owned(), self.filled(templates::REQUIREMENTS).into()))
            }
        }
        let needed = |path: &str| self.language == Language::Rust || path.starts_with("wit/");
        let vendored = templates::VENDORED_SDK.iter().filter(|(path, _)| needed(path));
        files.extend(vendored.map(|(path, content)| ((*path).to_owned(), content.to_vec())));
        for (name, fixture) in &self.examples.fixtures {
            let file = |name: &str, file: &str| format!("fixtures/{name}/{file}");
            if let Some(input) = &fixture.input {
                files.push((file(name, "input.json"), pretty(input)?));
            }
            if let Some(mail) = &fixture.mail {
                files.push((file(name, "input.eml"), mail.clone().into()));
            }
            files.push((file(name, "expected.json"), pretty(&fixture.expected)?));
        }
        Ok(files)
    }

    fn filled(&self, template: &str) -> String {
        let underscored = self.hook.as_str().replace('-', "_");
        // A test is a template inside a template, and an early one.
        template
            .replace("@TEST@\n", templates::RUST_TEST)
            .replace("@NAME@", self.name)
            .replace("@HOOK@", self.hook.as_str())
            .replace("@HOOK_UNDERSCORED@", &underscored)
            .replace("@FUNCTION@", function_of(self.hook))
            .replace("@LANGUAGE@", self.language.name())
            .replace("@SOURCE@", self.language.source_file())
            .replace("@PREPARE@", self.language.prepared_by())
            .replace("@COMPONENTIZE_QJS@", templates::COMPONENTIZE_QJS)
            .replace("@COMPONENTIZE_PY@", templates::COMPONENTIZE_PY)
    }

    fn manifest(&self) -> anyhow::Result<String> {
        let HookExamples { description, settings, example, .. } = &self.examples;
        let mut text = format!(
            "name = {}\nversion = {}\nhooks = {}\ndescription = {}\n",
            inline(&self.name.into()),
            inline(&VERSION.into()),
            inline(&json!([self.hook])),
            inline(&description.as_str().into())
        );
        if !settings.is_empty() {
            let settings: Vec<Value> = settings.iter().map(setting).collect();
            text += &format!(
                "\n# What an endpoint of this adapter has to be given.\nsettings = {}\n",
                inline(&settings.into())
            );
        }
        if let Some(mib) = self.language.memory_mib() {
            text += &format!("\n# It brings its interpreter along.\n[limits]\nmemory_mib = {mib}\n");
        }
        text +=
            "\n# Run each time the plugin is loaded; one that comes out otherwise refuses the load.\n[[examples]]\n";
        for key in ["name", "input", "expect"] {
            let value = example.get(key).with_context(|| format!("the example has no {key}"))?;
            text += &format!("{key} = {}\n", inline(value));
        }
        Ok(text)
    }
}

fn function_of(hook: Hook) -> &'static str {
    match hook {
        Hook::ReplyClassifier => "classify",
        Hook::ProviderAdapter => "ingest",
        Hook::BouncePolicy => "judge",
        Hook::SendGate => "admit",
    }
}

fn setting(setting: &Setting) -> Value {
    json!({ "key": setting.key, "required": setting.required, "secret": setting.secret })
}

fn pretty(value: &Value) -> anyhow::Result<Vec<u8>> {
    Ok((serde_json::to_string_pretty(value)? + "\n").into())
}

/// A value as TOML writes it within one line. JSON's texts and numbers are TOML's as well.
fn inline(value: &Value) -> String {
    let table = |map: &Map<String, Value>| {
        let entries: Vec<String> = map.iter().map(|(key, value)| format!("{key} = {}", inline(value))).collect();
        format!("{{ {} }}", entries.join(", "))
    };
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => table(map),
        other => other.to_string(),
    }
}

fn write(path: &Path, content: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, content)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;
    use crate::extensions::manifest::embed::read_plugin_manifest;

    #[test]
    fn every_language_and_hook_has_a_folder_with_a_manifest_that_can_be_read() {
        let parent = tempfile::tempdir().unwrap();
        for hook in Hook::ALL {
            for lang in Language::value_variants() {
                let folder = parent.path().join(format!("{}-{hook}", lang.name().to_lowercase()));
                let args = NewArgs { folder: folder.clone(), hook: *hook, lang: *lang, json: false };
                run(&args).unwrap();
                let manifest = read_plugin_manifest(&folder).unwrap();
                let manifest = Manifest::from_json(manifest.as_bytes()).unwrap();
                assert_eq!((manifest.hooks.as_slice(), manifest.examples.len()), ([*hook].as_slice(), 1));
                assert!(folder.join("wit/v1/types.wit").is_file() && folder.join(lang.marked_by()).is_file());
                assert_eq!(folder.join("vendor").exists(), *lang == Language::Rust);
                let readme = fs::read_to_string(folder.join("README.md")).unwrap();
                assert!(!readme.contains('@') && readme.contains(lang.prepared_by()), "{readme}");
                assert!(run(&args).unwrap_err().to_string().contains("there is something in it already"));
            }
        }
    }

    #[test]
    fn a_name_that_no_manifest_may_have_is_refused_before_anything_is_written() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("My Filter");
        let args = NewArgs { folder: folder.clone(), hook: Hook::SendGate, lang: Language::Rust, json: false };
        let error = run(&args).unwrap_err().to_string();
        assert!(error.contains("\"My Filter\" is no name; use lower-case letters"), "{error}");
        assert!(!folder.exists());
    }
}
