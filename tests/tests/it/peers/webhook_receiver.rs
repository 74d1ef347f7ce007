//! The receiver keeps what it gets, answers as told and wakes those who wait.

use std::time::Duration;

use ampout_tests::{Answer, WebhookReceiver};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

#[tokio::test]
async fn answers_follow_the_list_and_then_the_rule() -> anyhow::Result<()> {
    let receiver = WebhookReceiver::start().await?;
    receiver.answer(Answer::Status(410));
    receiver.answer_next([Answer::Status(503), Answer::Redirect]);
    assert!(post(&receiver, "{}").await?.starts_with("HTTP/1.1 503"));
    assert!(post(&receiver, "{}").await?.contains("location: /redirected"));
    assert!(post(&receiver, "{}").await?.starts_with("HTTP/1.1 410"));
    assert_eq!(receiver.requests().len(), 3);
    Ok(())
}

#[tokio::test]
async fn who_waits_is_woken_by_the_request_or_event() -> anyhow::Result<()> {
    let receiver = WebhookReceiver::start().await?;
    let (second, event, posts) = tokio::join!(receiver.nth(2), receiver.event("enrollment.replied"), async {
        post(&receiver, r#"{"type":"enrollment.sent"}"#).await?;
        post(&receiver, r#"{"type":"enrollment.replied"}"#).await
    });
    posts?;
    assert_eq!(second?.json()?["type"], "enrollment.replied");
    let event = event?;
    assert_eq!((event.path.as_str(), event.header("content-type")?), ("/hook", "application/json"));
    Ok(())
}

#[tokio::test]
async fn a_hanging_receiver_has_the_request_and_gives_no_answer() -> anyhow::Result<()> {
    let receiver = WebhookReceiver::start().await?;
    receiver.answer_next([Answer::Hang]);
    assert!(timeout(Duration::from_millis(200), post(&receiver, "{}")).await.is_err());
    assert_eq!(receiver.nth(1).await?.body.as_ref(), b"{}");
    Ok(())
}

/// The whole answer to one POST, by hand, so that nothing but the receiver is under test.
async fn post(receiver: &WebhookReceiver, body: &str) -> anyhow::Result<String> {
    let url = receiver.url();
    let address = url.trim_start_matches("http://").trim_end_matches("/hook");
    let mut stream = TcpStream::connect(address).await?;
    let length = body.len();
    let head = format!("POST /hook HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n");
    stream.write_all(format!("{head}content-length: {length}\r\nconnection: close\r\n\r\n{body}").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
