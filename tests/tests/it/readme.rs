//! The README's tour, run as it stands there, by the shell, against the real binary and a real SMTP receiver.

use std::process::{Command, Stdio};

use ampout::demo::smtp_receiver::{ReceiverLogin, ReceiverTls, SmtpReceiver, SmtpReceiverOptions};
use ampout::secrets::SecretString;
use ampout_tests::{PATIENCE, binary, free_port};

const README: &str = include_str!("../../../README.md");

/// All blocks that are marked as shell, in order: together they are one session.
fn tour() -> String {
    let blocks = README.split("```sh\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    blocks.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn the_readmes_tour_sends_a_mail() -> anyhow::Result<()> {
    let login = ReceiverLogin { username: "you".to_owned(), password: SecretString::from("secret") };
    let options = SmtpReceiverOptions { tls: ReceiverTls::StarttlsRequired, login: Some(login), ..Default::default() };
    let receiver = SmtpReceiver::start(options).await?;
    let folder = tempfile::tempdir()?;
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, receiver.ca_pem())?;
    let address = format!("127.0.0.1:{}", free_port()?);
    let binary = binary::path()?;
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH")?);

    let script = format!(
        "trap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n{}\nkill %1\nwait %1",
        tour().replace("127.0.0.1:8025", &address)
    );
    let mut shell = Command::new("timeout");
    shell
        .args([&PATIENCE.as_secs().saturating_mul(2).to_string(), "bash"])
        .args(["-euo", "pipefail", "-c", &script])
        .current_dir(folder.path())
        .env("PATH", path)
        .env("SMTP_HOST", "localhost")
        .env("SMTP_PORT", receiver.address().port().to_string())
        .env("SMTP_USERNAME", "you")
        .env("SMTP_PASSWORD", "secret")
        .env("FROM", "you@sender.example")
        .env("TO", "somebody@recipient.example")
        .env("AMPOUT_LISTEN", &address)
        .env("AMPOUT_METRICS_LISTEN", "")
        .env("AMPOUT_EGRESS_ALLOW", "127.0.0.0/8")
        .env("AMPOUT_EXTRA_CA", &ca)
        .env("AMPOUT_DNS_SERVERS", "127.0.0.1:9")
        .stdin(Stdio::null());
    let told = tokio::task::spawn_blocking(move || shell.output()).await??;

    let (out, err) = (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    assert!(told.status.success(), "the tour ends with {}\n{out}\n{err}", told.status);
    let messages = receiver.messages();
    assert_eq!(messages.len(), 1, "{out}\n{err}");
    let text = String::from_utf8_lossy(&messages[0].raw);
    assert!(text.contains("Subject: Hello Somebody"), "{text}");
    assert!(text.contains("Hello Somebody of Acme"), "{text}");
    assert!(
        out.contains("\"type\":\"transaction\"") || out.contains("accepted"),
        "the timeline tells the transaction: {out}"
    );
    Ok(())
}
