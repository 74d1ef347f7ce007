//! Plugins in JavaScript and Python, with the programs that `tests/setup` has put into the target folder: what
//! `ampout plugin new` writes builds and holds, and so do SMTP2GO's adapter in either language and a plugin of several
//! hooks. And one in Rust that is built for a target with a system.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use ampout_tests::{binary, python_tool};
use anyhow::{Context as _, ensure};
use serde_json::json;

use super::{in_the_tree, target_of_plugins};

#[tokio::test]
async fn a_plugin_in_javascript_is_made_built_and_checked() -> anyhow::Result<()> {
    makes_builds_and_checks("javascript").await
}

#[tokio::test]
async fn a_plugin_in_python_is_made_built_and_checked() -> anyhow::Result<()> {
    makes_builds_and_checks("python").await
}

#[tokio::test]
async fn the_adapter_in_javascript_decides_the_components_examples_alike() -> anyhow::Result<()> {
    decides_alike("smtp2go-javascript").await
}

#[tokio::test]
async fn the_adapter_in_python_decides_the_components_examples_alike() -> anyhow::Result<()> {
    decides_alike("smtp2go-python").await
}

#[tokio::test]
async fn a_plugin_in_javascript_answers_several_hooks() -> anyhow::Result<()> {
    answers_several_hooks("javascript", "plugin.js").await
}

#[tokio::test]
async fn a_plugin_in_python_answers_several_hooks() -> anyhow::Result<()> {
    answers_several_hooks("python", "plugin.py").await
}

/// It imports WASI, as its standard library does; the host gives it nothing of it. Built for either target its last words
/// are logged when it panics.
#[tokio::test]
async fn a_plugin_in_rust_is_built_for_wasip2() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    for words in [
        ["plugin", "new", "mine", "--hook", "send-gate"].as_slice(),
        &["plugin", "build", "mine", "--target", "wasm32-wasip2"],
        &["plugin", "test", "mine/mine.wasm", "mine/fixtures"],
    ] {
        let told = ampout(folder.path(), words, &std::env::var("PATH")?).await?;
        ensure!(told.status.success(), "{words:?}: {}", said(&told));
    }
    let component = std::fs::read(folder.path().join("mine/mine.wasm"))?;
    let wasi = b"wasi:cli/environment@0.2";
    ensure!(component.windows(wasi.len()).any(|bytes| bytes == wasi), "it imports nothing of WASI");

    let (file, path) = (folder.path().join("mine/src/lib.rs"), std::env::var("PATH")?);
    let source = std::fs::read_to_string(&file)?;
    let line = 1 + source.lines().position(|line| line.trim() == "Admission::Admit").context("what it ends with")?;
    let panics = source.replace("Admission::Admit\n", "panic!(\"nobody is left for {}\", send.contact.domain)\n");
    std::fs::write(&file, panics)?;
    for target in ["wasm32-wasip2", "wasm32-unknown-unknown"] {
        let built = ampout(folder.path(), &["plugin", "build", "mine", "--target", target], &path).await?;
        ensure!(built.status.success(), "{}", said(&built));
        let told = ampout(folder.path(), &["plugin", "test", "mine/mine.wasm", "mine/fixtures"], &path).await?;
        let text = said(&told);
        ensure!(told.status.code() == Some(1) && text.contains("nobody is left for acme.example"), "{target}: {text}");
        ensure!(text.contains(&format!("panicked at src/lib.rs:{line}:")), "{target}: {text}");
    }
    Ok(())
}

/// Many have one folder for whatever cargo makes, and plugins of an earlier version call their library all the same.
#[tokio::test]
async fn plugins_that_share_a_target_folder_keep_their_own_code() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = std::env::var("PATH")?;
    for name in ["alpha", "bravo"] {
        let source = folder.path().join(name).join("src");
        std::fs::create_dir_all(&source)?;
        let file = |name: &str| source.with_file_name(name);
        std::fs::write(
            file("plugin.toml"),
            format!("name = \"{name}\"\nversion = \"1.0.0\"\nhooks = [\"send-gate\"]\n"),
        )?;
        std::fs::write(
            file("Cargo.toml"),
            format!(
                "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
                 [lib]\nname = \"plugin\"\ncrate-type = [\"cdylib\"]\n[workspace]\n"
            ),
        )?;
        let code = format!("#[unsafe(no_mangle)]\npub static CODE: [u8; 13] = *b\"code of {name}\";\n");
        std::fs::write(source.join("lib.rs"), code)?;
    }
    for name in ["alpha", "bravo", "alpha"] {
        let built = ampout(folder.path(), &["plugin", "build", name], &path).await?;
        ensure!(built.status.success(), "{}", said(&built));
        let component = std::fs::read(folder.path().join(name).join(name).with_extension("wasm"))?;
        let code = format!("code of {name}").into_bytes();
        ensure!(component.windows(code.len()).any(|bytes| bytes == code), "{name} has another one's code");
    }
    Ok(())
}

#[tokio::test]
async fn a_tool_that_is_missing_is_named_with_the_command_that_installs_it() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    for (lang, command) in
        [("javascript", "npm install --prefix mine componentize-qjs@"), ("python", "pip install componentize-py==")]
    {
        let parent = folder.path().join(lang);
        std::fs::create_dir(&parent)?;
        let made = ampout(&parent, &["plugin", "new", "mine", "--hook", "send-gate", "--lang", lang], "").await?;
        ensure!(made.status.success(), "{}", said(&made));
        let built = ampout(&parent, &["plugin", "build", "mine"], "").await?;
        assert_eq!(built.status.code(), Some(1));
        assert!(
            said(&built).contains("is not installed; install it with") && said(&built).contains(command),
            "{}",
            said(&built)
        );
    }
    Ok(())
}

async fn makes_builds_and_checks(lang: &str) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = tools()?;
    for words in [
        ["plugin", "new", "mine", "--hook", "provider-adapter", "--lang", lang].as_slice(),
        &["plugin", "build", "mine"],
        &["plugin", "check", "mine/mine.wasm"],
        &["plugin", "test", "mine/mine.wasm", "mine/fixtures"],
    ] {
        let told = ampout(folder.path(), words, &path).await?;
        ensure!(told.status.success(), "{words:?}: {}", said(&told));
    }
    Ok(())
}

/// One plugin made of the two that `plugin new` writes for a gate and a policy: their sources one after the other, with
/// the manifest of both.
async fn answers_several_hooks(lang: &str, source: &str) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = tools()?;
    let mut sources = Vec::new();
    for hook in ["bounce-policy", "send-gate"] {
        let words = ["plugin", "new", hook, "--hook", hook, "--lang", lang];
        let told = ampout(folder.path(), &words, &path).await?;
        ensure!(told.status.success(), "{words:?}: {}", said(&told));
        sources.push(std::fs::read_to_string(folder.path().join(hook).join(source))?);
    }
    let both = folder.path().join("send-gate");
    std::fs::write(both.join(source), sources.join("\n"))?;
    std::fs::write(both.join("plugin.toml"), BOTH)?;
    for words in
        [["plugin", "build", "send-gate"].as_slice(), &["plugin", "check", "send-gate/send-gate.wasm", "--json"]]
    {
        let told = ampout(folder.path(), words, &path).await?;
        ensure!(told.status.success(), "{words:?}: {}", said(&told));
        if words.contains(&"check") {
            let told: serde_json::Value = serde_json::from_slice(&told.stdout)?;
            assert_eq!(
                (&told["hooks"], &told["examples"]["passed"]),
                (&json!(["bounce-policy", "send-gate"]), &json!(2))
            );
        }
    }
    Ok(())
}

const BOTH: &str = r#"
name = "send-gate"
version = "1.0.0"
hooks = ["bounce-policy", "send-gate"]
limits = { memory_mib = 64 }

[[examples]]
hook = "bounce-policy"
input = { last_day = { complaints = 3 } }
expect = { decision = "disable" }

[[examples]]
hook = "send-gate"
input = { contact = { domain = "example.com" } }
expect = { decision = "skip" }
"#;

/// The example is built in a copy, as Python leaves its traces in a source's folder.
async fn decides_alike(example: &str) -> anyhow::Result<()> {
    let copy = tempfile::tempdir()?;
    for folder in [format!("plugins/examples/{example}"), "plugins/smtp2go/fixtures".to_owned()] {
        let to = copy.path().join(&folder);
        std::fs::create_dir_all(&to)?;
        for entry in std::fs::read_dir(in_the_tree(&folder))? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                std::fs::copy(entry.path(), to.join(entry.file_name()))?;
            }
        }
    }
    let folder = format!("plugins/examples/{example}");
    let path = tools()?;
    for words in
        [["plugin", "build", &folder, "--out", "built.wasm"].as_slice(), &["plugin", "check", "built.wasm", "--json"]]
    {
        let told = ampout(copy.path(), words, &path).await?;
        ensure!(told.status.success(), "{words:?}: {}", said(&told));
        if words.contains(&"check") {
            let told: serde_json::Value = serde_json::from_slice(&told.stdout)?;
            ensure!(told["examples"]["passed"].as_u64() > Some(10), "{told}");
        }
    }
    Ok(())
}

/// The folders of the programs, as a PATH.
fn tools() -> anyhow::Result<String> {
    let python = python_tool("componentize-py")?;
    let python = python.parent().context("a program lies in a folder")?;
    let binary = binary::path()?;
    let node =
        binary.ancestors().nth(2).context("the binary is not in a target folder")?.join("tools/node/node_modules/.bin");
    ensure!(node.join("componentize-qjs").exists(), "{} has no componentize-qjs; run tests/setup", node.display());
    Ok(format!("{}:{}", node.display(), python.display()))
}

/// Runs the binary in `folder`, with programs from `tools` alone and those of the system.
async fn ampout(folder: &Path, words: &[&str], tools: &str) -> anyhow::Result<Output> {
    let system = std::env::var("PATH")?;
    let path = if tools.is_empty() { "/nowhere".to_owned() } else { format!("{tools}:{system}") };
    let mut command = Command::new(binary::path()?);
    command.args(words).current_dir(folder).env("PATH", path);
    command.env("CARGO_TARGET_DIR", target_of_plugins()?).stdin(Stdio::null());
    Ok(tokio::task::spawn_blocking(move || command.output()).await??)
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
