//! `ampout demo`: a whole campaign on this machine, with people, machines and a provider that answer. Everything but the
//! people is real: SMTP over TLS, IMAP, DNS, webhooks, the API; only the days pass faster.

mod client;
mod people;
mod story;
mod world;

use clap::Args;

use crate::telemetry;

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Leave the server up at the end, with the key to look around
    #[arg(long)]
    keep: bool,
    /// Where the API listens; a free port without it
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
}

pub(super) async fn run(args: DemoArgs) -> anyhow::Result<()> {
    telemetry::start_logging("error", crate::config::LogFormat::Human)?;
    let world = world::World::start(&args.listen).await?;
    let told = story::tell(&world).await;
    if told.is_ok() && args.keep {
        println!("\nThe server stays up until Ctrl-C. Look around:");
        println!("  curl -H 'Authorization: Bearer {}' {}/campaigns", world.key, world.base());
        println!("  curl {}/status", world.base());
        tokio::signal::ctrl_c().await?;
    }
    world.stop().await;
    told
}
