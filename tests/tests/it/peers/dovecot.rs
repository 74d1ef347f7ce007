//! Dovecot over STARTTLS and IMAPS with certificates that rustls accepts, IDLE that wakes, flags that nobody touched.

use std::fmt::Debug;
use std::sync::Arc;

use ampout_tests::{CertificateAuthority, Dovecot, PATIENCE, eventually};
use anyhow::{Context, ensure};
use async_imap::extensions::idle::IdleResponse;
use async_imap::{Client, Session};
use futures_util::TryStreamExt;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

const ADA: &str = "ada@sender.test";
const MAIL: &str = "From: bo@there.test\nTo: ada@sender.test\nSubject: Hello\n\n.A line with a dot\n";

#[tokio::test]
async fn mail_is_read_over_imaps_and_no_flag_is_set() -> anyhow::Result<()> {
    let authority = CertificateAuthority::create()?;
    let dovecot = Dovecot::start(&authority).await?;
    dovecot.add_user(ADA, "secret")?;
    dovecot.deliver_from("bo@there.test", ADA, MAIL).await?;

    let mut session = login(imaps(&dovecot, &authority).await?, "secret").await?;
    session.select("INBOX").await?;
    let body = fetch_body(&mut session, "UID BODY.PEEK[]").await?;
    ensure!(body.contains("Return-Path: <bo@there.test>") && body.ends_with("\r\n.A line with a dot\r\n"), "{body}");
    assert_eq!(dovecot.flags(ADA, 1)?, [""; 0]);

    // The counter-proof: a reader that marks what it reads is seen.
    fetch_body(&mut session, "UID BODY[]").await?;
    assert_eq!(dovecot.flags(ADA, 1)?, ["\\Seen"]);
    assert!(dovecot.flags(ADA, 2).is_err());
    Ok(())
}

#[tokio::test]
async fn idle_over_starttls_wakes_when_mail_arrives_and_ends_when_the_server_hangs_up() -> anyhow::Result<()> {
    let authority = CertificateAuthority::create()?;
    let dovecot = Dovecot::start(&authority).await?;
    dovecot.add_user(ADA, "secret")?;
    let mut session = login(starttls(&dovecot, &authority).await?, "secret").await?;
    ensure!(session.capabilities().await?.has_str("IDLE"), "IDLE is not offered");
    session.select("INBOX").await?;

    let mut idle = session.idle();
    idle.init().await?;
    dovecot.deliver(ADA, MAIL).await?;
    let (woken, _stop) = idle.wait_with_timeout(PATIENCE);
    ensure!(matches!(woken.await?, IdleResponse::NewData(_)), "IDLE ended without news");
    let mut session = idle.done().await?;
    assert_eq!(session.uid_search("ALL").await?, [1].into());

    dovecot.disconnect(ADA)?;
    eventually("the connection to close", async || match session.noop().await {
        Ok(()) => Err("still open"),
        Err(_) => Ok(()),
    })
    .await
}

#[tokio::test]
async fn a_wrong_password_an_unknown_mailbox_and_a_strange_authority_are_refused() -> anyhow::Result<()> {
    let authority = CertificateAuthority::create()?;
    let dovecot = Dovecot::start(&authority).await?;
    dovecot.add_user(ADA, "secret")?;
    assert!(login(imaps(&dovecot, &authority).await?, "wrong").await.is_err());
    let unknown = dovecot.deliver("nobody@sender.test", MAIL).await.unwrap_err();
    assert!(format!("{unknown:#}").contains("550 5.1.1"), "{unknown:#}");
    let stranger = CertificateAuthority::create()?;
    assert!(imaps(&dovecot, &stranger).await.is_err());
    Ok(())
}

async fn imaps(dovecot: &Dovecot, authority: &CertificateAuthority) -> anyhow::Result<Client<TlsStream<TcpStream>>> {
    let stream = TcpStream::connect(("127.0.0.1", dovecot.imaps_port)).await?;
    let mut client = Client::new(encrypted(stream, authority).await?);
    client.read_response().await?.context("no greeting")?;
    Ok(client)
}

async fn starttls(dovecot: &Dovecot, authority: &CertificateAuthority) -> anyhow::Result<Client<TlsStream<TcpStream>>> {
    let mut plain = Client::new(TcpStream::connect(("127.0.0.1", dovecot.imap_port)).await?);
    plain.read_response().await?.context("no greeting")?;
    plain.run_command_and_check_ok("STARTTLS", None).await?;
    Ok(Client::new(encrypted(plain.into_inner(), authority).await?))
}

async fn encrypted(stream: TcpStream, authority: &CertificateAuthority) -> anyhow::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.pem_file())?)?;
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1")?;
    Ok(TlsConnector::from(Arc::new(config)).connect(name, stream).await?)
}

async fn login<S>(client: Client<S>, password: &str) -> anyhow::Result<Session<S>>
where
    S: AsyncRead + AsyncWrite + Unpin + Debug + Send,
{
    client.login(ADA, password).await.map_err(|(error, _)| error.into())
}

async fn fetch_body<S>(session: &mut Session<S>, items: &str) -> anyhow::Result<String>
where
    S: AsyncRead + AsyncWrite + Unpin + Debug + Send,
{
    let fetched: Vec<_> = session.uid_fetch("1", format!("({items})")).await?.try_collect().await?;
    let body = fetched.first().and_then(|message| message.body()).context("no body")?;
    Ok(String::from_utf8(body.to_vec())?)
}
