//! The peers: `extension-bench-peers MESSAGE.json PLUGIN.wasm`, then a line `ROW CALLS` for each round; a line of
//! nanoseconds comes back.

mod extism_rows;
mod lua_rows;
#[path = "../../guest/src/wire.rs"]
mod wire;

use std::io::BufRead as _;

use anyhow::{Context as _, bail};

fn main() -> anyhow::Result<()> {
    let mut words = std::env::args().skip(1);
    let (message, plugin) = (words.next().context("no message")?, words.next().context("no plugin")?);
    let message = read(&std::fs::read_to_string(message)?)?;
    let extism = extism_rows::Rows::new(&std::fs::read(plugin)?, &message)?;
    let lua = lua_rows::Rows::new(&message)?;
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (row, calls) = line.split_once(' ').context("a line is ROW CALLS")?;
        let calls: usize = calls.parse()?;
        let nanos = match row.split_once('-') {
            Some(("extism", row)) => extism.round(row, calls)?,
            Some(("lua", row)) => lua.round(row, calls)?,
            _ => bail!("there is no row {row}"),
        };
        println!("{}", nanos.iter().map(u64::to_string).collect::<Vec<_>>().join(" "));
    }
    Ok(())
}

/// Of the host's form of a message, what the peers are told.
fn read(text: &str) -> anyhow::Result<wire::Message> {
    let mut form: serde_json::Value = serde_json::from_str(text)?;
    let map = form.as_object_mut().context("the message is no map")?;
    anyhow::ensure!(map.remove("enrollment").is_none_or(|found| found.is_null()), "the message matched an enrollment");
    map.remove("extra");
    Ok(serde_json::from_value(form)?)
}

/// Times so many calls.
fn timed(calls: usize, mut call: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Vec<u64>> {
    let mut nanos = Vec::with_capacity(calls);
    for _ in 0..calls {
        let began = std::time::Instant::now();
        call()?;
        nanos.push(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    Ok(nanos)
}
