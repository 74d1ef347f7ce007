//! What a decision costs: native Rust, this host (components and scripts), Extism and Lua, side by side in one run. Each row
//! is asked in rounds of a thousand, the rows in turn, so that what else the machine does falls on all of them.
//!
//! `extension-bench [--rounds N] [--only WORD] [--with PLUGIN.wasm]…`; the peers are a process of their own, see `peers/`.

mod ours;
mod peers;
mod table;

use anyhow::Context as _;
use tokio::runtime::Runtime;

const CALLS_A_ROUND: usize = 1000;
const ROUNDS: usize = 20;

/// Something that is asked again and again.
trait Asked {
    /// Asks so often and gives the nanoseconds of each call.
    fn round(&mut self, calls: usize) -> anyhow::Result<Vec<u64>>;
}

/// A row of the table.
struct Row {
    /// Rows with the same question are compared.
    question: &'static str,
    name: String,
    /// The one that others of its question are told in multiples of.
    is_yardstick: bool,
    /// In microseconds.
    goal: Option<f64>,
    asked: Box<dyn Asked>,
    nanos: Vec<u64>,
}

fn main() -> anyhow::Result<()> {
    let (mut rounds, mut only, mut with) = (ROUNDS, None, Vec::new());
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().with_context(|| format!("{word} needs a value"))?;
        match word.as_str() {
            "--rounds" => rounds = value.parse()?,
            "--only" => only = Some(value),
            "--with" => with.push(value),
            _ => anyhow::bail!("there are --rounds, --only and --with, no {word}"),
        }
    }
    let runtime = Runtime::new()?;
    let facts = ours::Facts::read()?;
    let mut rows = ours::rows(&runtime, &facts, &with)?;
    rows.extend(peers::rows(&facts)?);
    if let Some(word) = &only {
        rows.retain(|row| row.name.contains(word.as_str()) || row.question.contains(word.as_str()));
    }
    for row in &mut rows {
        row.asked.round(2 * CALLS_A_ROUND).with_context(|| row.name.clone())?;
    }
    for _ in 0..rounds {
        for row in &mut rows {
            row.nanos.extend(row.asked.round(CALLS_A_ROUND)?);
        }
    }
    table::print(&mut rows);
    ours::at_once(&runtime, &facts)
}
