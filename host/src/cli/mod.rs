//! The shell: one file a subcommand. Exit codes: 0 done, 1 failed, 2 the words were wrong.

mod accounts;
mod classify;
mod config;
mod demo;
mod extension_file;
mod ingest;
pub(crate) mod keys;
mod migrate;
mod plugin;
mod print;
mod replay;
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, Sources};

/// How long what still runs when a command is done has to end.
const LAST_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Parser)]
#[command(
    name = "ampout",
    version,
    about = "A self-hosted cold-outreach email engine whose decisions are extensions",
    after_help = "To see everything at work on this machine alone: ampout demo\n\
                  To begin in earnest:\n  \
                  ampout keys create        the first account and its API key\n  \
                  ampout serve              the engine and its API on http://127.0.0.1:8025\n\
                  Settings come from the defaults, ampout.toml, AMPOUT_* and flags, each beating the one before; \
                  `ampout config` shows them."
)]
struct Cli {
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the engine: API, sending, mailboxes, webhooks
    Serve,
    /// Show a whole campaign on this machine: mailboxes, bounces, replies, a filter swapped half-way
    Demo(demo::DemoArgs),
    /// Bring the database up to date (serve does it by itself)
    Migrate(migrate::MigrateArgs),
    /// Print the settings in force and where each came from
    Config(config::ConfigArgs),
    /// Make, list and revoke API keys
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// List accounts and set what they may send in a month
    #[command(subcommand)]
    Accounts(accounts::AccountsCommand),
    /// Say what mails are: replies, vacations, bounces, complaints; one JSON line each
    Classify(classify::ClassifyArgs),
    /// Say which stored messages and requests an extension would decide otherwise
    Replay(replay::ReplayArgs),
    /// Say what a provider's captured request tells; one JSON line an event
    Ingest(ingest::IngestArgs),
    /// Make, build, check, try, sign, list, install and bind plugins (WebAssembly components)
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// Check, try, sign, list, install and bind scripts (Rhai)
    #[command(subcommand)]
    Script(plugin::ExtensionCommand),
}

/// Settings for every subcommand.
#[derive(Debug, Args)]
struct SettingsArgs {
    /// Read this file instead of ./ampout.toml
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set one setting, such as --set listen=127.0.0.1:9000; `ampout config` lists the names
    #[arg(long = "set", global = true, value_name = "NAME=VALUE", value_parser = name_and_value)]
    set: Vec<(String, String)>,
}

impl SettingsArgs {
    fn sources(&self) -> Sources {
        Sources { file: self.config.clone(), flags: self.set.clone() }
    }

    fn load(&self) -> anyhow::Result<Config> {
        Ok(Config::load(&self.sources())?)
    }
}

/// Runs the command of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return print::failed(&anyhow::anyhow!("the runtime can't be started: {error}")),
    };
    let ended = runtime.block_on(run(cli));
    // A name that is being looked up, of a database that was cut off, must not keep the process.
    runtime.shutdown_timeout(LAST_PATIENCE);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => print::failed(&error),
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve => serve::run(Config::load_for_operation(&cli.settings.sources())?).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Migrate(args) => migrate::run(&args, &cli.settings.load()?).await,
        Command::Config(args) => config::run(&args, &cli.settings.sources()),
        Command::Keys(command) => keys::run(command, &cli.settings.load()?).await,
        Command::Accounts(command) => accounts::run(command, &cli.settings.load()?).await,
        Command::Classify(args) => classify::run(&cli.settings.load()?, args).await,
        Command::Replay(args) => replay::run(&args, cli.settings.load()?).await,
        Command::Ingest(args) => ingest::run(&cli.settings.load()?, args).await,
        Command::Plugin(command) => plugin::run_plugin(command, || cli.settings.load()).await,
        Command::Script(command) => plugin::run(command, || cli.settings.load()).await,
    }
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("{text:?} has no =; write name=value"))?;
    Ok((name.trim().replace('-', "_"), value.to_owned()))
}
