//! `ampout plugin` and `ampout script`: check, try and sign a file, see what is stored, store and bind one. Both work on
//! either kind of extension; the file's ending tells which it is. A plugin is also made and built, see `new` and `build`.

mod bind;
mod build;
mod fixtures;
mod new;
mod sign;
mod templates;
mod test;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{extension_file, print};
use crate::config::Config;
use crate::domain::ids::AccountId;
use crate::domain::status::Hook;
use crate::extensions::{ExtensionHost, HookInput, LoadedExtension, Mode};
use crate::store::extensions::{self, StoredBinding, StoredExtension};
use crate::store::{Page, accounts};

#[derive(Debug, Subcommand)]
pub(super) enum PluginCommand {
    /// Make a folder with a plugin that builds and passes its tests, to be changed from there
    New(new::NewArgs),
    /// Make the component: compile, put an interpreter around it where the language needs one, embed plugin.toml
    Build(build::BuildArgs),
    #[command(flatten)]
    Extension(ExtensionCommand),
}

#[derive(Debug, Subcommand)]
pub(super) enum ExtensionCommand {
    /// Check a file as an upload would: parse, types, an instance, its examples
    Check(CheckArgs),
    /// Run a file's examples, and more of them, and tell what each call takes
    Test(test::TestArgs),
    /// Make a pair of keys to sign extensions with
    Keygen(sign::KeygenArgs),
    /// Sign a file: its last bytes say who vouches for all the others
    Sign(sign::SignArgs),
    /// List the system's versions and where each is bound
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Store a file and bind it for the whole system, in the place of another version or before all others
    Install(InstallArgs),
    /// Bind a stored version for the whole system, in the place of another version or before all others
    Bind(bind::BindArgs),
    /// Bind the version that was bound before
    Rollback(bind::RollbackArgs),
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// A .wasm or .rhai file
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct InstallArgs {
    /// A .wasm or .rhai file
    file: PathBuf,
    /// Ask it beside the active version and record what it says, without obeying it
    #[arg(long)]
    shadow: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run_plugin(
    command: PluginCommand,
    config: impl FnOnce() -> anyhow::Result<Config>,
) -> anyhow::Result<()> {
    match command {
        PluginCommand::New(args) => new::run(&args),
        PluginCommand::Build(args) => build::run(&args),
        PluginCommand::Extension(command) => run(command, config).await,
    }
}

pub(super) async fn run(
    command: ExtensionCommand,
    config: impl FnOnce() -> anyhow::Result<Config>,
) -> anyhow::Result<()> {
    match command {
        ExtensionCommand::Check(args) => check(&args, &config()?).await,
        ExtensionCommand::Test(args) => test::run(&args, &config()?).await,
        ExtensionCommand::Keygen(args) => sign::keygen(&args),
        ExtensionCommand::Sign(args) => sign::sign(&args),
        ExtensionCommand::List { json } => list(config()?, json).await,
        ExtensionCommand::Install(args) => install(config()?, &args).await,
        ExtensionCommand::Bind(args) => bind::bind(config()?, &args).await,
        ExtensionCommand::Rollback(args) => bind::roll_back(config()?, &args).await,
    }
}

async fn check(args: &CheckArgs, config: &Config) -> anyhow::Result<()> {
    let host = extension_file::bare_host(config)?;
    let loaded = extension_file::check_by(config, &host, &args.file).await?;
    let hooks: Vec<&str> = loaded.hooks().iter().map(|hook| hook.as_str()).collect();
    if args.json {
        return print::json(&json!({ "name": loaded.name(), "version": loaded.version().to_string(), "hooks": hooks,
                                    "engine": loaded.engine(), "sha256": loaded.sha256(),
                                    "signed_by": loaded.signed_by(), "signature": loaded.signature(),
                                    "examples": { "passed": loaded.examples_passed() } }));
    }
    print::line(format_args!(
        "{}@{} is fine: {}, {} examples passed, {}",
        loaded.name(),
        loaded.version(),
        hooks.join(", "),
        loaded.examples_passed(),
        loaded.signature()
    ))?;
    untried(&host, &loaded).await
}

/// Where no example shows that it works, says what it makes of a question without facts: a mistyped name is found only when
/// the line is run. Adapters are left out, who may well refuse an empty request.
async fn untried(host: &ExtensionHost, loaded: &LoadedExtension) -> anyhow::Result<()> {
    if loaded.examples_passed() > 0 {
        return Ok(());
    }
    for hook in loaded.hooks().iter().filter(|hook| **hook != Hook::ProviderAdapter) {
        if let Err(error) = host.call(loaded, &HookInput::from_json(*hook, json!({}))?).await.answer {
            print::line(format_args!(
                "but asked without any facts it fails; give it an example that shows more\n  {error}"
            ))?;
        }
    }
    Ok(())
}

async fn list(config: Config, as_json: bool) -> anyhow::Result<()> {
    let (app, _catalog) = extension_file::open(config).await?;
    let mut conn = app.store.read().await?;
    // A listing of the system's own needs no account; any id that owns nothing will do.
    let nobody = accounts::list_after(&mut conn, None, 1)
        .await?
        .first()
        .copied()
        .unwrap_or_else(|| AccountId::new(app.clock.now()));
    let bindings = extensions::all_bindings(&mut conn).await?;
    for stored in extensions::list(&mut conn, nobody, &Page::first(1000)).await? {
        let places: Vec<String> = bindings.iter().filter(|b| b.extension_id == stored.id).map(place).collect();
        if as_json {
            print::json(
                &json!({ "id": stored.id, "name": stored.name, "version": stored.version, "engine": stored.engine,
                                 "hooks": stored.hooks, "origin": stored.origin, "status": stored.status, "bound": places }),
            )?;
        } else {
            let StoredExtension { name, version, origin, status, .. } = &stored;
            print::line(format_args!(
                "{:<32} {origin:<8} {status:<10} {}",
                format!("{name}@{version}"),
                places.join(", ")
            ))?;
        }
    }
    drop(conn);
    app.store.close().await;
    Ok(())
}

async fn install(config: Config, args: &InstallArgs) -> anyhow::Result<()> {
    let (bytes, engine) = extension_file::read(&args.file)?;
    let (app, catalog) = extension_file::open(config).await?;
    let stored = catalog.upload(None, bytes.into(), engine).await?.extension;
    let mode = if args.shadow { Mode::Shadow } else { Mode::Active };
    let displaced = catalog.bind_for_system(&stored, mode).await?;
    app.store.close().await;
    if args.json {
        return print::json(&bind::bound_as_json(&stored, mode, &displaced));
    }
    let hooks: Vec<&str> = stored.hooks.iter().copied().map(Hook::as_str).collect();
    print::line(format_args!(
        "{}@{} is bound for the whole system at {}",
        stored.name,
        stored.version,
        hooks.join(", ")
    ))?;
    bind::tell_displaced(&displaced)
}

fn place(binding: &StoredBinding) -> String {
    let StoredBinding { scope, scope_id, hook, mode, .. } = binding;
    let of = if scope_id.is_empty() { scope.clone() } else { format!("{scope} {scope_id}") };
    format!("{hook} of {of} ({mode})")
}
