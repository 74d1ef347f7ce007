//! The running server: everything started in order, everything stopped in order. Tests start it as the shell does.

mod http;
mod place;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::Config;
use crate::store::notices;
use crate::{api, deletions, dispatch, events, health, inbound, inbox, usage};
use place::Place;

/// How long a stop waits for what is on its way; then the leases tell the rest.
const STOP_PATIENCE: Duration = Duration::from_secs(60);
/// How long each of what comes then may take: a database that was cut off never answers.
const LAST_PATIENCE: Duration = Duration::from_secs(5);

/// A server that runs. Dropping it stops nothing: call [`Server::stop`].
pub struct Server {
    app: App,
    address: SocketAddr,
    metrics_address: Option<SocketAddr>,
    shutdown: CancellationToken,
    rooms: Vec<(&'static str, JoinHandle<()>)>,
    /// Stopped last: what the rooms still write may ring the events.
    doors: Vec<JoinHandle<()>>,
}

impl Server {
    /// Starts with the settings in force. Ports of 0 are given by the system; [`Server::address`] tells which.
    pub async fn start(config: Config, clock: Clock) -> anyhow::Result<Self> {
        // The addresses are ours from now on, and nobody is heard there before there is somebody to answer.
        let api_place = Place::take(config.listen, "listen")?;
        let metrics_place = config.metrics_listen.map(|listen| Place::take(listen, "metrics_listen")).transpose()?;
        let address = api_place.address();
        let metrics_address = metrics_place.as_ref().map(Place::address);

        let app = App::start(config, clock, &format!("http://{address}")).await?;
        // Before any room runs: a row's lease names a node, and the log has to say which that was.
        tracing::info!(node = %app.node, "Starting");
        let catalog = Catalog::start(&app).await?;
        let listener = api_place.listen()?;
        let metrics_listener = metrics_place.map(Place::listen).transpose()?;
        let shutdown = CancellationToken::new();
        let token = || shutdown.child_token();
        let rooms = vec![
            ("dispatch", tokio::spawn(dispatch::run(app.clone(), token()))),
            ("inbox", tokio::spawn(inbox::run(app.clone(), token()))),
            ("inbound", tokio::spawn(inbound::run(app.clone(), token()))),
            ("health", tokio::spawn(health::run(app.clone(), token()))),
            ("events", tokio::spawn(events::run(app.clone(), token()))),
            ("deletions", tokio::spawn(deletions::run(app.clone(), token()))),
            ("usage", tokio::spawn(usage::run(app.usage.clone(), app.clock.clone(), token()))),
            ("notices", tokio::spawn(notices::listen(app.store.clone(), app.config.database_url.clone(), token()))),
            ("catalog", tokio::spawn(crate::catalog::run(app.clone(), catalog.clone(), token()))),
        ];
        let patience = app.config.request_timeout;
        let router = api::router(app.clone(), catalog);
        let mut doors = vec![tokio::spawn(http::serve(listener, router, patience, token()))];
        if let Some(listener) = metrics_listener {
            doors.push(tokio::spawn(http::serve(listener, http::metrics_router(app.clone()), patience, token())));
        }
        Ok(Self { app, address, metrics_address, shutdown, rooms, doors })
    }

    /// Where the API listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where Prometheus reads.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// The engine's parts, for the shell and the tests.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Waits until a room ends by itself, which none does unless it panics, and names it. The others are then stopped:
    /// an engine that sends and does not see answers would mail people who have answered.
    pub async fn room_failed(&mut self) -> &'static str {
        let (_, place, _) = futures_util::future::select_all(self.rooms.iter_mut().map(|(_, task)| task)).await;
        self.rooms.remove(place).0
    }

    /// Takes no new work, finishes what is on its way, closes the database. Tells whether the database could be closed: it
    /// ends all the same, after 70 seconds at most.
    pub async fn stop(self) -> bool {
        self.shutdown.cancel();
        let deadline = tokio::time::Instant::now() + STOP_PATIENCE;
        for (room, task) in self.rooms {
            match tokio::time::timeout_at(deadline, task).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(room, %error, "A room ended by a panic"),
                Err(_) => tracing::warn!(room, "A room did not stop in time; its leases tell the rest"),
            }
        }
        for door in self.doors {
            // A client that keeps its connection open must not keep the server up.
            let _ = tokio::time::timeout_at(deadline, door).await;
        }
        match timeout(LAST_PATIENCE, self.app.usage.write()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "The last calls could not be counted");
            }
            Err(_) => tracing::warn!("The last calls could not be counted: the database is silent"),
        }
        let is_closed = timeout(LAST_PATIENCE, self.app.store.close()).await.is_ok();
        if !is_closed {
            tracing::error!("The database could not be closed in order: it is silent, or a room still uses it");
        }
        is_closed
    }
}
