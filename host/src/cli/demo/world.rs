//! The demo's surroundings, all on 127.0.0.1 and in a temporary folder: two SMTP providers, a mailbox, a name server, the
//! customer's app that takes webhooks, and the engine itself as `ampout serve` would start it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::client::Client;
use crate::clock::Clock;
use crate::config::Config;
use crate::demo::certificates::Certificates;
use crate::demo::imap_server::{ImapServer, ImapServerOptions, ImapUser};
use crate::demo::smtp_receiver::{Moment, ReceiverLogin, ReceiverTls, Reply, SmtpReceiver, SmtpReceiverOptions};
use crate::dns::local_server::LocalNameServer;
use crate::secrets::SecretString;
use crate::server::Server;

/// The two senders of the demo's company.
pub(super) const ADA: &str = "ada@lovelace.example";
pub(super) const GRACE: &str = "grace@hopper.example";
pub(super) const PASSWORD: &str = "for the demo alone";
/// Domains that take mail.
pub(super) const MAIL_DOMAINS: [&str; 3] = ["acme.example", "globex.example", "initech.example"];

/// Everything that runs.
pub(super) struct World {
    pub(super) clock: Clock,
    pub(super) ada: SmtpReceiver,
    pub(super) grace: SmtpReceiver,
    pub(super) mailbox: ImapServer,
    pub(super) client: Client,
    pub(super) key: String,
    pub(super) webhook_url: String,
    delivered: Arc<AtomicU64>,
    server: Server,
    _names: LocalNameServer,
    _customer: AbortOnDropHandle<()>,
    _folder: tempfile::TempDir,
}

impl World {
    pub(super) async fn start(listen: &str) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("ampout-demo-").tempdir()?;
        let clock = Clock::movable();
        let certificates = Certificates::generate()?;
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, certificates.ca_pem())?;
        let ada = receiver(ADA, ReceiverTls::StarttlsRequired, &certificates).await?;
        let grace = receiver(GRACE, ReceiverTls::Implicit, &certificates).await?;
        let user = ImapUser { username: ADA.to_owned(), password: SecretString::from(PASSWORD) };
        let options = ImapServerOptions {
            tls: true,
            certificates: Some(certificates),
            users: vec![user],
            clock: clock.clone(),
            ..ImapServerOptions::default()
        };
        let mailbox = ImapServer::start(options).await?;
        let names = LocalNameServer::start(&MAIL_DOMAINS).await?;
        let delivered = Arc::new(AtomicU64::new(0));
        let (webhook_url, customer) = customer(Arc::clone(&delivered)).await?;

        let config = Config::from_settings(&[
            ("listen", listen.to_owned()),
            ("metrics_listen", String::new()),
            ("data_dir", folder.path().join("data").display().to_string()),
            ("egress_allow", "127.0.0.0/8".to_owned()),
            ("allow_plaintext", "true".to_owned()),
            ("extra_ca", ca_file.display().to_string()),
            ("dns_servers", names.address().to_string()),
            ("rate_limit_per_minute", "100000".to_owned()),
        ])?;
        let server = Server::start(config, clock.clone()).await?;
        let key = crate::cli::keys::make_key(&server.app().store, "demo", &clock).await?;
        let key = key.reveal().to_owned();
        let client = Client::new(server.app().http.clone(), format!("http://{}", server.address()), key.clone());
        Ok(Self {
            clock,
            ada,
            grace,
            mailbox,
            client,
            key,
            webhook_url,
            delivered,
            server,
            _names: names,
            _customer: customer,
            _folder: folder,
        })
    }

    pub(super) fn base(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// How many webhooks the customer's app has taken.
    pub(super) fn webhooks_taken(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    pub(super) async fn stop(self) {
        self.server.stop().await;
    }
}

/// A provider's SMTP server. It knows who is gone: addresses that begin with `gone`.
async fn receiver(username: &str, tls: ReceiverTls, certificates: &Certificates) -> anyhow::Result<SmtpReceiver> {
    let login = ReceiverLogin { username: username.to_owned(), password: SecretString::from(PASSWORD) };
    let options = SmtpReceiverOptions {
        tls,
        certificates: Some(certificates.clone()),
        login: Some(login),
        ..SmtpReceiverOptions::default()
    };
    let receiver = SmtpReceiver::start(options).await?;
    receiver.set_rule(|moment| match moment {
        Moment::Recipient { address } if address.starts_with("gone") => {
            Some(Reply::refuse(550, "5.1.1", "The email account that you tried to reach does not exist"))
        }
        _ => None,
    });
    Ok(receiver)
}

/// The customer's app: it takes every webhook and counts.
async fn customer(delivered: Arc<AtomicU64>) -> anyhow::Result<(String, AbortOnDropHandle<()>)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}/hook", listener.local_addr()?);
    let router = Router::new().route("/hook", post(count)).with_state(delivered);
    let serving = tokio::spawn(async move {
        // It ends with the demo.
        let _ = axum::serve(listener, router).await;
    });
    Ok((url, AbortOnDropHandle::new(serving)))
}

async fn count(State(delivered): State<Arc<AtomicU64>>) {
    delivered.fetch_add(1, Ordering::Relaxed);
}
