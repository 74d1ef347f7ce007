//! `ampout config`: what is in force, and where it came from.

use clap::Args;

use super::print;
use crate::config::{DEFAULTS, Sources, settings};

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Print the documented defaults: the beginning of an ampout.toml
    #[arg(long)]
    defaults: bool,
}

pub(super) fn run(args: &ConfigArgs, sources: &Sources) -> anyhow::Result<()> {
    if args.defaults {
        print::line(DEFAULTS.trim_end())?;
        return Ok(());
    }
    for setting in settings(sources)? {
        if args.json {
            print::json(&setting)?;
        } else {
            print::line(format_args!(
                "{:<32} {:<36} # {}",
                setting.name,
                format!("{:?}", setting.value),
                setting.source
            ))?;
        }
    }
    Ok(())
}
