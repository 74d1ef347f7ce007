//! `ampout plugin test`: an extension's examples one by one, and those of fixtures: what it decides, what it logs, and
//! what that takes. Instructions and operations are the same figure on every machine; the time is not.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use serde_json::json;

use super::fixtures;
use crate::cli::{extension_file, print};
use crate::config::Config;
use crate::extensions::{CallRecord, EngineKind, Tried};

#[derive(Debug, Args)]
pub(in crate::cli) struct TestArgs {
    /// A .wasm or .rhai file
    file: PathBuf,
    /// More examples: folders of fixtures (input.json or input.eml, and expected.json), or JSON files with a list of
    /// {"name", "hook", "input", "expect", "fetches"}
    fixtures: Vec<PathBuf>,
    /// Print one JSON object an example
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &TestArgs, config: &Config) -> anyhow::Result<()> {
    let host = extension_file::bare_host(config)?;
    let (bytes, engine) = extension_file::read(&args.file)?;
    let file = args.file.display().to_string();
    let trial = host.trial_of_file(bytes.into(), engine, &file).await?;
    extension_file::require_signature(config, &trial.extension)?;
    let mut examples = trial.extension.manifest().examples.clone();
    for fixture in &args.fixtures {
        examples.extend(fixtures::read(fixture)?);
    }
    if examples.is_empty() {
        bail!("{file}: there is nothing to test; add examples to its manifest, or name a file of them");
    }
    let tried = trial.examples(&host, &examples).await;
    for one in &tried {
        if args.json { print_json(one)? } else { print_lines(one, engine)? }
    }
    let wrong = tried.iter().filter(|one| one.wrong.is_some()).count();
    if wrong > 0 {
        bail!("{file}: {wrong} of {} examples did not come out as they say", tried.len());
    }
    if !args.json {
        print::line(format_args!("{file}: {} examples passed", tried.len()))?;
    }
    Ok(())
}

fn print_json(one: &Tried) -> anyhow::Result<()> {
    let empty = CallRecord::default();
    let record = one.called.as_ref().map_or(&empty, |called| &called.record);
    print::json(&json!({
        "example": one.name,
        "ok": one.wrong.is_none(),
        "wrong": one.wrong,
        "decision": one.called.as_ref().and_then(|called| called.answer.as_ref().ok()).map(|answer| answer.to_json()),
        "logs": record.logs,
        "micros": record.micros,
        "instructions": record.instructions,
        "operations": record.operations,
        "memory_bytes": record.memory_bytes,
    }))
}

fn print_lines(one: &Tried, engine: EngineKind) -> anyhow::Result<()> {
    let verdict = if one.wrong.is_none() { "ok    " } else { "FAILED" };
    let Some(called) = &one.called else {
        return print::line(format_args!("{verdict} {}: {}", one.name, one.wrong.as_deref().unwrap_or_default()));
    };
    let record = &called.record;
    let work = match engine {
        EngineKind::Component => format!(
            "{} instructions, {} KiB",
            record.instructions.unwrap_or_default(),
            record.memory_bytes.unwrap_or_default() / 1024
        ),
        EngineKind::Script => format!("{} operations", record.operations.unwrap_or_default()),
    };
    let said = match &called.answer {
        Ok(answer) => answer.to_json().to_string(),
        Err(error) => error.to_string(),
    };
    print::line(format_args!("{verdict} {} ({} µs, {work}): {said}", one.name, record.micros))?;
    if let Some(wrong) = &one.wrong {
        print::line(format_args!("       {wrong}"))?;
    }
    for line in &record.logs {
        print::line(format_args!("       {}: {}", line.level, line.message))?;
    }
    Ok(())
}
