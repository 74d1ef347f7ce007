//! `ampout keys`: accounts and their API keys, made where the database is.

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::json;

use super::print;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::api_key::{NewApiKey, Scope};
use crate::domain::ids::{AccountId, ApiKeyId};
use crate::secrets::random_bytes;
use crate::store::accounts::{self, ApiKey};
use crate::store::{Page, Store, StoreOptions};
use crate::wake::Wakeups;

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
    /// Revoke a key
    Revoke {
        /// The key's id
        id: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// `new`, or an account's id; without it: the only account, made if there is none
    #[arg(long)]
    account: Option<String>,
    /// For people
    #[arg(long, default_value = "made from the shell")]
    label: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(command: KeysCommand, config: &Config) -> anyhow::Result<()> {
    std::fs::create_dir_all(&config.data_dir)?;
    let store = Store::open(&config.database_url, &StoreOptions::default(), Wakeups::default()).await?;
    store.migrate().await?;
    let done = match command {
        KeysCommand::Create(args) => create(&store, &args).await,
        KeysCommand::List { json } => list(&store, json).await,
        KeysCommand::Revoke { id } => revoke(&store, &id).await,
    };
    store.close().await;
    done
}

async fn create(store: &Store, args: &CreateArgs) -> anyhow::Result<()> {
    let (account, key) = make_key(store, args.account.as_deref(), &args.label, &Clock::system()).await?;
    if args.json {
        return print::json(&json!({ "account_id": account, "plaintext": key.reveal(), "prefix": key.prefix }));
    }
    print::line(format_args!("account  {account}"))?;
    print::line(format_args!("key      {}", key.reveal()))?;
    print::line(format_args!(
        "It is shown this once. Try it: curl -H 'Authorization: Bearer {}' …/campaigns",
        key.reveal()
    ))?;
    Ok(())
}

/// Makes a key, and an account where one is wanted.
pub(crate) async fn make_key(
    store: &Store,
    wanted: Option<&str>,
    label: &str,
    clock: &Clock,
) -> anyhow::Result<(AccountId, NewApiKey)> {
    let now = clock.now();
    let mut tx = store.begin().await?;
    let known = accounts::list(tx.conn()).await?;
    let account = match (wanted, known.as_slice()) {
        (Some("new"), _) | (None, []) => {
            let account = AccountId::new(now);
            accounts::insert(tx.conn(), account, None, None, now).await?;
            account
        }
        (None, [only]) => *only,
        (None, several) => bail!("there are {} accounts; name one with --account ID, or --account new", several.len()),
        (Some(id), _) => {
            let id: AccountId = id.parse().context("--account")?;
            if !known.contains(&id) {
                bail!("there is no account {id}; `ampout keys list` shows them");
            }
            id
        }
    };
    let key = NewApiKey::from_random(random_bytes());
    let row = ApiKey {
        id: ApiKeyId::new(now),
        account_id: account,
        prefix: key.prefix.clone(),
        label: label.to_owned(),
        client_kind: "direct".to_owned(),
        scopes: Scope::ALL.to_vec(),
        last_used_at: None,
        created_at: now,
    };
    accounts::insert_key(tx.conn(), &row, &key.hash).await?;
    tx.commit().await?;
    Ok((account, key))
}

async fn list(store: &Store, as_json: bool) -> anyhow::Result<()> {
    let mut conn = store.read().await?;
    for account in accounts::list(&mut conn).await? {
        for key in accounts::list_keys(&mut conn, account, &Page::first(1000)).await? {
            let used = key.last_used_at.map(|at| at.to_string());
            if as_json {
                print::json(&json!({ "account_id": account, "id": key.id, "prefix": key.prefix, "label": key.label,
                                     "scopes": key.scopes, "last_used_at": used, "created_at": key.created_at }))?;
            } else {
                print::line(format_args!(
                    "{}  {}…  {}  last used {}  account {account}",
                    key.id,
                    key.prefix,
                    key.label,
                    used.as_deref().unwrap_or("never")
                ))?;
            }
        }
    }
    Ok(())
}

async fn revoke(store: &Store, id: &str) -> anyhow::Result<()> {
    let id: ApiKeyId = id.parse()?;
    let mut tx = store.begin().await?;
    for account in accounts::list(tx.conn()).await? {
        if accounts::revoke_key(tx.conn(), account, id, Clock::system().now()).await? {
            tx.commit().await?;
            print::line(format_args!("{id} is revoked"))?;
            return Ok(());
        }
    }
    bail!("there is no active key {id}; `ampout keys list` shows them")
}
