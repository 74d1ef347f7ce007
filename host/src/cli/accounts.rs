//! `ampout accounts`: what each account may send in a month, set where the database is.

use std::num::ParseIntError;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::print;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::ids::AccountId;
use crate::domain::plan::Plan;
use crate::store::{Store, StoreOptions, account_months, accounts};
use crate::wake::Wakeups;

#[derive(Debug, Subcommand)]
pub(super) enum AccountsCommand {
    /// List the accounts with their plans and what they have sent this month
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Set how many messages an account may send in a calendar month (UTC); every step counts
    Limit(LimitArgs),
}

#[derive(Debug, Args)]
pub(super) struct LimitArgs {
    /// The account's id
    account: String,
    /// A number, or `none`
    #[arg(value_parser = limit)]
    messages: MonthlyLimit,
    /// The plan's name, too
    #[arg(long, value_name = "NAME")]
    plan: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// None: as many as it likes.
#[derive(Debug, Clone, Copy)]
struct MonthlyLimit(Option<u64>);

pub(super) async fn run(command: AccountsCommand, config: &Config) -> anyhow::Result<()> {
    crate::data_folder::make(&config.data_dir)?;
    let store = Store::open(&config.database_url, &StoreOptions::default(), Wakeups::default()).await?;
    store.migrate().await?;
    let done = match command {
        AccountsCommand::List { json } => list(&store, json).await,
        AccountsCommand::Limit(args) => set_limit(&store, &args).await,
    };
    store.close().await;
    done
}

async fn list(store: &Store, as_json: bool) -> anyhow::Result<()> {
    let month = Clock::system().now().utc_month();
    let mut conn = store.read().await?;
    for account in accounts::list(&mut conn).await? {
        let plan = account_months::plan(&mut conn, account, month).await?;
        if as_json {
            print::json(&shown(account, &plan))?;
        } else {
            let limit = plan.monthly_limit.map_or("no limit".to_owned(), |limit| format!("{limit} a month"));
            let Plan { slug, current_period_sends: sent, .. } = &plan;
            print::line(format_args!("{account}  {slug}  {limit}  {sent} sent this month"))?;
        }
    }
    Ok(())
}

async fn set_limit(store: &Store, args: &LimitArgs) -> anyhow::Result<()> {
    let id: AccountId = args.account.parse().context("the account")?;
    let mut tx = store.begin().await?;
    if !accounts::set_plan(tx.conn(), id, args.messages.0, args.plan.as_deref()).await? {
        bail!("there is no account {id}; `ampout accounts list` shows them");
    }
    tx.commit().await?;
    if args.json {
        let mut conn = store.read().await?;
        let plan = account_months::plan(&mut conn, id, Clock::system().now().utc_month()).await?;
        return print::json(&shown(id, &plan));
    }
    let limit = args.messages.0.map_or("as many messages as it likes".to_owned(), |limit| format!("{limit} messages"));
    print::line(format_args!("{id} may send {limit} a month"))
}

fn shown(account: AccountId, plan: &Plan) -> Value {
    json!({ "account_id": account, "plan_slug": plan.slug, "monthly_limit": plan.monthly_limit,
            "current_period_sends": plan.current_period_sends })
}

fn limit(text: &str) -> Result<MonthlyLimit, ParseIntError> {
    match text {
        "none" => Ok(MonthlyLimit(None)),
        number => number.parse::<u32>().map(|limit| MonthlyLimit(Some(u64::from(limit)))),
    }
}
