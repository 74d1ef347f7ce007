//! The pages of `docs/`, done as they say: blocks named after a file become that file, shell blocks are run in order by one
//! shell in an empty folder, and text blocks are lines that it prints, in order. How long a call takes is not compared.

use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use ampout_tests::binary;

use super::{in_the_tree, target_of_plugins};

/// Cargo compiles a plugin's dependencies the first time.
const PATIENCE: Duration = Duration::from_secs(600);

#[tokio::test]
async fn a_reply_filter_in_ten_lines() -> anyhow::Result<()> {
    does_as_it_says("reply-filter.md").await
}

#[tokio::test]
async fn a_bounce_policy() -> anyhow::Result<()> {
    does_as_it_says("bounce-policy.md").await
}

/// In Rust, from `ampout plugin new` to a component that is bound.
#[tokio::test]
async fn a_provider_adapter() -> anyhow::Result<()> {
    does_as_it_says("provider-adapter.md").await
}

#[tokio::test]
async fn the_reference() -> anyhow::Result<()> {
    does_as_it_says("extensions.md").await
}

async fn does_as_it_says(page: &str) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(in_the_tree("docs").join(page))?;
    let (script, expected) = session(&text);
    let folder = tempfile::tempdir()?;
    let binary = binary::path()?;
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH")?);
    let mut shell = Command::new("timeout");
    shell
        .args([&PATIENCE.as_secs().to_string(), "bash", "-euo", "pipefail", "-c", &script])
        .current_dir(folder.path())
        .env("PATH", path)
        .env("CARGO_TARGET_DIR", target_of_plugins()?)
        .stdin(Stdio::null());
    let told = tokio::task::spawn_blocking(move || shell.output()).await??;
    let printed = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.status.success(), "{page} ends with {}\n{printed}", told.status);
    let mut lines = printed.lines().map(comparable);
    for line in expected {
        assert!(
            lines.any(|printed| printed == comparable(&line)),
            "{page} tells of {line:?}, which was not printed in its place\n{printed}"
        );
    }
    Ok(())
}

/// What the shell has to do, and the lines that it prints.
fn session(page: &str) -> (String, Vec<String>) {
    let mut script = "exec 2>&1\n".to_owned();
    let mut expected = Vec::new();
    for block in page.split("\n```").skip(1).step_by(2) {
        let (info, content) = block.split_once('\n').unwrap_or((block, ""));
        match info.split(' ').collect::<Vec<_>>()[..] {
            ["sh"] => writeln!(script, "{content}").unwrap(),
            ["text"] => expected.extend(content.lines().map(str::to_owned)),
            [_, file] => writeln!(script, "cat > {file} <<'END OF {file}'\n{content}\nEND OF {file}").unwrap(),
            // Answers, which the reference's own test reads, and what takes too long to be done each time.
            _ => {}
        }
    }
    (script, expected)
}

/// A line without the figures that differ from one machine or build to another.
fn comparable(line: &str) -> String {
    match line.split_once(" (") {
        Some((before, rest)) if rest.contains(" µs, ") => {
            let after = rest.split_once("): ").map_or("", |(_, after)| after);
            format!("{before}: {after}")
        }
        _ => line.to_owned(),
    }
}
