//! Plugins in JavaScript and Python: programs from npm and PyPI put the source and its interpreter into a component.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use tempfile::TempDir;

use super::super::templates::{COMPONENTIZE_PY, COMPONENTIZE_QJS, Language, VENDORED_SDK};
use crate::domain::status::Hook;

/// A world of our own making, for a plugin that answers several hooks.
const SEVERAL: &str = "several-hooks";

pub(super) fn javascript(folder: &Path, hooks: &[Hook]) -> anyhow::Result<Vec<u8>> {
    let tool = find(folder, "node_modules/.bin", "componentize-qjs", || {
        format!("npm install --prefix {} componentize-qjs@{COMPONENTIZE_QJS}", folder.display())
    })?;
    let job = Job::prepare(folder, hooks)?;
    let mut command = Command::new(tool);
    // `--sync`: the other runtime is made for asynchronous components, which no host of today has to know.
    command.arg("--wit").arg(job.interfaces()).args(["--world", &job.world, "--sync", "--js"]);
    command.arg(folder.join(Language::Javascript.source_file())).arg("--output").arg(job.component());
    job.finish(command)
}

pub(super) fn python(folder: &Path, hooks: &[Hook]) -> anyhow::Result<Vec<u8>> {
    let tool = find(folder, ".venv/bin", "componentize-py", || {
        let venv = folder.join(".venv");
        let venv = venv.display();
        format!("python3 -m venv {venv} && {venv}/bin/pip install componentize-py=={COMPONENTIZE_PY}")
    })?;
    let job = Job::prepare(folder, hooks)?;
    let mut command = Command::new(tool);
    command.arg("--quiet").arg("--wit-path").arg(job.interfaces()).args(["--world", &job.world]);
    command.args(["componentize", "plugin", "--python-path"]).arg(folder).arg("--output").arg(job.component());
    job.finish(command)
}

/// What one run of a program is given, and where its output goes.
struct Job {
    folder: TempDir,
    world: String,
}

impl Job {
    /// Copies the interfaces: those of the plugin's folder, or, where it has none, those that this host has.
    fn prepare(plugin: &Path, hooks: &[Hook]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let job = |world: &str| Self { folder, world: world.to_owned() };
        let (job, several) = match hooks {
            [one] => (job(one.as_str()), None),
            several => (job(SEVERAL), Some(several)),
        };
        let interfaces = job.interfaces();
        fs::create_dir(&interfaces)?;
        let own = plugin.join("wit/v1");
        if own.is_dir() {
            for entry in fs::read_dir(&own).with_context(|| own.display().to_string())? {
                let entry = entry?;
                fs::copy(entry.path(), interfaces.join(entry.file_name()))?;
            }
        } else {
            let files = VENDORED_SDK.iter().filter_map(|(path, text)| Some((path.strip_prefix("wit/v1/")?, text)));
            for (name, text) in files {
                fs::write(interfaces.join(name), text)?;
            }
        }
        if let Some(hooks) = several {
            let included: String = hooks.iter().map(|hook| format!("    include {hook};\n")).collect();
            fs::write(interfaces.join("several-hooks.wit"), format!("world {SEVERAL} {{\n{included}}}\n"))?;
        }
        Ok(job)
    }

    fn interfaces(&self) -> PathBuf {
        self.folder.path().join("wit")
    }

    fn component(&self) -> PathBuf {
        self.folder.path().join("plugin.wasm")
    }

    fn finish(&self, mut command: Command) -> anyhow::Result<Vec<u8>> {
        let ended = command.stdin(Stdio::null()).output();
        let ended = ended.with_context(|| command.get_program().display().to_string())?;
        if !ended.status.success() {
            let said = [ended.stdout, ended.stderr].concat();
            bail!(
                "{} ended with {}\n{}",
                command.get_program().display(),
                ended.status,
                String::from_utf8_lossy(&said).trim()
            );
        }
        fs::read(self.component()).with_context(|| format!("{} made nothing", command.get_program().display()))
    }
}

/// A program in the plugin's own folder, otherwise in the PATH.
fn find(folder: &Path, own: &str, name: &str, install: impl FnOnce() -> String) -> anyhow::Result<PathBuf> {
    let own = folder.join(own).join(name);
    if own.is_file() {
        // A relative path would be looked for from elsewhere.
        return own.canonicalize().with_context(|| own.display().to_string());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(AsRef::<OsStr>::as_ref(&path))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file());
    found.with_context(|| format!("{name} is not installed; install it with\n\n    {}\n", install()))
}
