//! `ampout keys`: accounts and their API keys, made where the database is.

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::print;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::Timestamp;
use crate::domain::api_key::{ClientKind, NewApiKey, Scope};
use crate::domain::ids::{AccountId, ApiKeyId};
use crate::secrets::random_bytes;
use crate::store::accounts::{self, ApiKey, Revocation};
use crate::store::{Page, Store, StoreOptions, Tx};
use crate::wake::Wakeups;

/// Rows that are read at once.
const CHUNK: i64 = 1_000;

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Make a key; the first one makes the first account
    Create(CreateArgs),
    /// List the active keys of all accounts
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Revoke a key; an account keeps its last one
    Revoke {
        /// The key's id
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// `new`, or an account's id; without it: the only account, made if there is none
    #[arg(long)]
    account: Option<String>,
    /// For people
    #[arg(long, default_value = "made from the shell", value_parser = label)]
    label: String,
    /// Through what it will be used: direct, mcp or sdk
    #[arg(long, default_value = "direct", value_parser = client_kind)]
    client_kind: ClientKind,
    /// What it may do, separated by commas: read, write, send, extensions, admin; without it: everything
    #[arg(long, value_delimiter = ',', value_parser = scope)]
    scopes: Vec<Scope>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(command: KeysCommand, config: &Config) -> anyhow::Result<()> {
    crate::data_folder::make(&config.data_dir)?;
    let store = Store::open(&config.database_url, &StoreOptions::default(), Wakeups::default()).await?;
    store.migrate().await?;
    let done = match command {
        KeysCommand::Create(args) => create(&store, args).await,
        KeysCommand::List { json } => list(&store, json).await,
        KeysCommand::Revoke { id, json } => revoke(&store, &id, json).await,
    };
    store.close().await;
    done
}

async fn create(store: &Store, args: CreateArgs) -> anyhow::Result<()> {
    let now = Clock::system().now();
    let new = NewApiKey::from_random(random_bytes());
    let mut scopes: Vec<Scope> = Scope::ALL.to_vec();
    scopes.retain(|scope| args.scopes.is_empty() || args.scopes.contains(scope));
    let mut tx = store.begin().await?;
    let account = account_for(&mut tx, args.account.as_deref(), now).await?;
    let key = ApiKey::of(&new, account, &args.label, args.client_kind, scopes, now);
    accounts::insert_key(tx.conn(), &key, &new.hash).await?;
    tx.commit().await?;
    if args.json {
        let mut shown = shown(&key);
        shown["plaintext"] = new.reveal().into();
        return print::json(&shown);
    }
    print::line(format_args!("account  {account}"))?;
    print::line(format_args!("key      {}", new.reveal()))?;
    print::line(format_args!(
        "It is shown this once. Try it: curl -H 'Authorization: Bearer {}' …/campaigns",
        new.reveal()
    ))?;
    Ok(())
}

/// A key that may do all, and the first account where there is none.
pub(crate) async fn make_key(store: &Store, label: &str, clock: &Clock) -> anyhow::Result<NewApiKey> {
    let now = clock.now();
    let new = NewApiKey::from_random(random_bytes());
    let mut tx = store.begin().await?;
    let account = account_for(&mut tx, None, now).await?;
    let key = ApiKey::of(&new, account, label, ClientKind::Direct, Scope::ALL.to_vec(), now);
    accounts::insert_key(tx.conn(), &key, &new.hash).await?;
    tx.commit().await?;
    Ok(new)
}

/// The account that is wanted, made where a new one is.
async fn account_for(tx: &mut Tx, wanted: Option<&str>, now: Timestamp) -> anyhow::Result<AccountId> {
    let known = accounts::list_after(tx.conn(), None, 2).await?;
    match (wanted, known.as_slice()) {
        (Some("new"), _) | (None, []) => {
            let account = AccountId::new(now);
            accounts::insert(tx.conn(), account, None, None, now).await?;
            Ok(account)
        }
        (None, [only]) => Ok(*only),
        (None, _) => bail!("there are several accounts; name one with --account ID, or --account new"),
        (Some(id), _) => {
            let id: AccountId = id.parse().context("--account")?;
            if !accounts::exists(tx.conn(), id).await? {
                bail!("there is no account {id}; `ampout keys list` shows them");
            }
            Ok(id)
        }
    }
}

async fn list(store: &Store, as_json: bool) -> anyhow::Result<()> {
    let mut conn = store.read().await?;
    let mut last_account = None;
    loop {
        let chunk = accounts::list_after(&mut conn, last_account, CHUNK).await?;
        let Some(last) = chunk.last() else { return Ok(()) };
        last_account = Some(*last);
        for account in chunk {
            let mut page = Page::first(CHUNK);
            loop {
                let keys = accounts::list_keys(&mut conn, account, &page).await?;
                let Some(last) = keys.last() else { break };
                page.after = Some(last.id.to_string());
                keys.iter().try_for_each(|key| print_key(key, as_json))?;
            }
        }
    }
}

async fn revoke(store: &Store, id: &str, as_json: bool) -> anyhow::Result<()> {
    let id: ApiKeyId = id.parse()?;
    let mut tx = store.begin().await?;
    let revocation = match accounts::owner_of_key(tx.conn(), id).await? {
        None => Revocation::Missing,
        Some(account) => accounts::revoke_key(&mut tx, account, id, Clock::system().now()).await?,
    };
    match revocation {
        Revocation::Revoked => tx.commit().await?,
        Revocation::Missing => bail!("there is no active key {id}; `ampout keys list` shows them"),
        Revocation::Last => bail!("{id} is its account's last key; make another one first: `ampout keys create`"),
    }
    match as_json {
        true => print::json(&json!({ "id": id, "status": "revoked" })),
        false => print::line(format_args!("{id} is revoked")),
    }
}

fn print_key(key: &ApiKey, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return print::json(&shown(key));
    }
    let used = key.last_used_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
    let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    let (id, prefix, label, kind, account) = (key.id, &key.prefix, &key.label, key.client_kind, key.account_id);
    let scopes = scopes.join(",");
    print::line(format_args!("{id}  {prefix}…  {label}  {kind}  {scopes}  last used {used}  account {account}"))
}

fn shown(key: &ApiKey) -> Value {
    json!({ "account_id": key.account_id, "id": key.id, "prefix": key.prefix, "label": key.label,
            "client_kind": key.client_kind, "scopes": key.scopes, "last_used_at": key.last_used_at,
            "created_at": key.created_at })
}

fn scope(word: &str) -> Result<Scope, String> {
    Scope::parse(word.trim()).ok_or_else(|| one_of(Scope::ALL))
}

fn client_kind(word: &str) -> Result<ClientKind, String> {
    ClientKind::parse(word.trim()).ok_or_else(|| one_of(ClientKind::ALL))
}

fn label(text: &str) -> Result<String, String> {
    let is_line = !text.trim().is_empty() && text.chars().count() <= 200 && !text.chars().any(char::is_control);
    if is_line { Ok(text.to_owned()) } else { Err("must be one line of 1 to 200 characters".to_owned()) }
}

fn one_of(words: &[impl ToString]) -> String {
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    format!("must be one of {}", words.join(", "))
}
