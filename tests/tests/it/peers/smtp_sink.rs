//! The sink takes a message and shows it, or refuses as told.

use ampout_tests::{SinkBehaviour, SmtpSink, eventually};
use anyhow::ensure;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

const ENVELOPE: &[&str] = &["EHLO tests.invalid", "MAIL FROM:<ada@sender.test>", "RCPT TO:<bo@there.test>"];

#[tokio::test]
async fn a_message_is_taken_and_kept_with_its_envelope() -> anyhow::Result<()> {
    let sink = SmtpSink::start(SinkBehaviour { keep_messages: true, ..SinkBehaviour::default() }).await?;
    let message = ["DATA", "Subject: Hello\r\n\r\nBody\r\n.", "QUIT"];
    let replies = dialogue(&sink, &[ENVELOPE, &message].concat()).await?;
    assert_eq!(codes(&replies), "220 250 250 250 354 250 221");
    eventually("the message in its file", async || {
        let kept = sink.messages().map_err(|error| error.to_string())?;
        match kept.as_slice() {
            [one] if one.contains("bo@there.test") && one.contains("Subject: Hello") => Ok(()),
            _ => Err(format!("{kept:?}")),
        }
    })
    .await
}

#[tokio::test]
async fn commands_are_refused_softly_or_for_good() -> anyhow::Result<()> {
    let softly = SmtpSink::start(SinkBehaviour { refuse_softly: &["RCPT"], ..SinkBehaviour::default() }).await?;
    assert_eq!(codes(&dialogue(&softly, ENVELOPE).await?), "220 250 250 450");
    let for_good = SmtpSink::start(SinkBehaviour { refuse_for_good: &["RCPT"], ..SinkBehaviour::default() }).await?;
    assert_eq!(codes(&dialogue(&for_good, ENVELOPE).await?), "220 250 250 500");
    Ok(())
}

#[tokio::test]
async fn it_hangs_up_and_hides_pipelining_where_told() -> anyhow::Result<()> {
    let rude = SmtpSink::start(SinkBehaviour { hang_up_at: &["RCPT"], ..SinkBehaviour::default() }).await?;
    assert_eq!(codes(&dialogue(&rude, ENVELOPE).await?), "220 250 250 closed");
    let deaf = SmtpSink::start(SinkBehaviour { hang_up_at: &["CONNECT"], ..SinkBehaviour::default() }).await?;
    assert_eq!(codes(&dialogue(&deaf, &[]).await?), "closed");

    let offers = async |behaviour| -> anyhow::Result<bool> {
        let sink = SmtpSink::start(behaviour).await?;
        let replies = dialogue(&sink, &ENVELOPE[..1]).await?;
        ensure!(replies.len() == 2, "{replies:?}");
        Ok(replies[1].contains("PIPELINING"))
    };
    assert!(offers(SinkBehaviour::default()).await?);
    assert!(!offers(SinkBehaviour { without_pipelining: true, ..SinkBehaviour::default() }).await?);
    Ok(())
}

/// The greeting and the reply to each line, `closed` for a connection that ended.
async fn dialogue(sink: &SmtpSink, lines: &[&str]) -> anyhow::Result<Vec<String>> {
    let mut stream = BufReader::new(TcpStream::connect(sink.address).await?);
    let mut replies = vec![reply(&mut stream).await?];
    for line in lines {
        stream.write_all(format!("{line}\r\n").as_bytes()).await?;
        replies.push(reply(&mut stream).await?);
    }
    Ok(replies)
}

async fn reply(stream: &mut BufReader<TcpStream>) -> anyhow::Result<String> {
    let mut whole = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok("closed".to_owned());
        }
        whole.push_str(&line);
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(whole);
        }
    }
}

fn codes(replies: &[String]) -> String {
    let codes: Vec<&str> = replies.iter().map(|reply| reply.split([' ', '-']).next().unwrap_or_default()).collect();
    codes.join(" ")
}
