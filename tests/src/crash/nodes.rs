//! The processes that are killed: nodes of one installation on one database.

use std::os::unix::process::ExitStatusExt;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, ensure};

use crate::installation::{Installation, Serving};

/// Nodes that run, each with its place.
pub(super) struct Nodes {
    installation: Installation,
    running: Vec<Serving>,
    bases: Bases,
}

/// Where the nodes that run can be asked. Cheap to clone; clones know of restarts.
#[derive(Debug, Clone, Default)]
pub(super) struct Bases(Arc<Mutex<Vec<Option<String>>>>);

impl Nodes {
    /// Starts so many, one after another: the first makes the schema and the keys.
    pub(super) async fn start(installation: Installation, count: usize) -> anyhow::Result<Self> {
        let mut nodes = Self { installation, running: Vec::new(), bases: Bases::default() };
        for place in 0..count {
            let serving = nodes.installation.serve().await?;
            nodes.bases.set(place, Some(serving.base()));
            nodes.running.push(serving);
        }
        Ok(nodes)
    }

    pub(super) fn count(&self) -> usize {
        self.running.len()
    }

    pub(super) fn bases(&self) -> Bases {
        self.bases.clone()
    }

    /// Which node has this name in the ledger.
    pub(super) fn place_of(&self, name: &str) -> Option<usize> {
        self.running.iter().position(|serving| name_in(&serving.log()).as_deref() == Some(name))
    }

    /// Kills the node at this place; its name in the ledger, if it came so far as to have one.
    pub(super) async fn kill(&mut self, place: usize) -> anyhow::Result<Option<String>> {
        self.bases.set(place, None);
        let serving = self.running.get_mut(place).context("no node has this place")?;
        let status = serving.end_by("KILL").await?;
        let log = serving.log();
        ensure!(status.signal() == Some(9), "a node ended by itself before it was killed: {status}\n{log}");
        let panic = log.lines().find(|line| line.contains("panicked at") || line.contains("by a panic"));
        ensure!(panic.is_none(), "a node panicked: {}", panic.unwrap_or_default());
        Ok(name_in(&log))
    }

    /// Starts another node at the place of one that was killed.
    pub(super) async fn restart(&mut self, place: usize) -> anyhow::Result<()> {
        let serving = self.installation.serve().await?;
        self.bases.set(place, Some(serving.base()));
        *self.running.get_mut(place).context("no node has this place")? = serving;
        Ok(())
    }
}

/// The name under which a node holds its sends, as it logs it.
fn name_in(log: &str) -> Option<String> {
    log.split("node=").nth(1)?.split_whitespace().next().map(str::to_owned)
}

impl Bases {
    /// The address of the `turn`-th of those that run, if any does.
    pub(super) fn pick(&self, turn: usize) -> Option<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let up: Vec<&String> = all.iter().flatten().collect();
        up.get(turn.checked_rem(up.len())?).map(|base| (*base).clone())
    }

    fn set(&self, place: usize, base: Option<String>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() <= place {
            all.resize(place + 1, None);
        }
        all[place] = base;
    }
}
