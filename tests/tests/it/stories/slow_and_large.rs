//! Clients that take their time or send more than they may, on the wire: they are told, or their connection is closed, and
//! nobody else notices.

use std::time::Duration;

use ampout_tests::{Database, Engine};
use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

/// What the engine allows in these stories, and by when it must have acted.
const PATIENCE_SECONDS: u64 = 1;
const IN_TIME: Duration = Duration::from_secs(8);

async fn engine() -> anyhow::Result<Engine> {
    Engine::on(Database::Sqlite).set("request_timeout_seconds", PATIENCE_SECONDS).start().await
}

/// Sends `opening` and then `drip` again and again, until the other side answers and closes, or just closes.
async fn answer_to(engine: &Engine, opening: &str, drip: &[u8], every: Duration) -> anyhow::Result<String> {
    let address = engine.base().trim_start_matches("http://").to_owned();
    let (mut reading, mut writing) = TcpStream::connect(address).await?.into_split();
    writing.write_all(opening.as_bytes()).await?;
    let drip = drip.to_vec();
    let dripping = tokio::spawn(async move {
        let mut ticks = interval(every);
        while writing.write_all(&drip).await.is_ok() {
            ticks.tick().await;
        }
    });
    let mut answer = Vec::new();
    let read = timeout(IN_TIME, reading.read_to_end(&mut answer)).await;
    dripping.abort();
    // A reset, too, is an end: the other side closed while more was on its way.
    let _ = read.context("the connection is still open")?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn post(engine: &Engine, more: &str) -> String {
    let key = engine.api.key();
    format!(
        "POST /outreaches HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Authorization: Bearer {key}\r\n{more}\r\n\r\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_does_not_end_is_cut_off() -> anyhow::Result<()> {
    let engine = engine().await?;
    let opening = "GET /status HTTP/1.1\r\nHost: x\r\nX-Slow: ";
    let answer = answer_to(&engine, opening, b"a", Duration::from_millis(50)).await?;
    ensure!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    // Somebody who connects and says nothing is not kept either.
    let answer = answer_to(&engine, "", b"", Duration::from_millis(50)).await?;
    ensure!(answer.is_empty(), "{answer}");
    engine.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_does_not_end_is_told() -> anyhow::Result<()> {
    let engine = engine().await?;
    let whole = post(&engine, "Content-Length: 100000");
    let once = post(&engine, "Content-Length: 100000\r\nIdempotency-Key: slow");
    let chunked = post(&engine, "Transfer-Encoding: chunked");
    for (opening, drip) in [(&whole, &b" "[..]), (&once, b" "), (&chunked, b"1\r\n \r\n")] {
        let answer = answer_to(&engine, opening, drip, Duration::from_millis(50)).await?;
        ensure!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        ensure!(answer.contains("\"code\":\"request_timeout\""), "{answer}");
    }
    ensure!(engine.api.get("/outreaches").await? == serde_json::json!([]), "something was made");
    engine.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_without_a_length_has_a_limit_too() -> anyhow::Result<()> {
    let engine = engine().await?;
    let mut chunk = b"10000\r\n".to_vec();
    chunk.extend(std::iter::repeat_n(b' ', 0x10000));
    chunk.extend(b"\r\n");
    for more in ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nIdempotency-Key: large"] {
        let answer = answer_to(&engine, &post(&engine, more), &chunk, Duration::from_millis(1)).await?;
        ensure!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{answer}");
    }
    // One that ends is told: nothing is under way any more that could be reset.
    let mut whole = chunk.repeat(17);
    whole.extend(b"0\r\n\r\n");
    let opening = format!("{}{}", post(&engine, "Transfer-Encoding: chunked"), String::from_utf8(whole)?);
    let answer = answer_to(&engine, &opening, b"", Duration::from_millis(50)).await?;
    ensure!(answer.starts_with("HTTP/1.1 413") && answer.contains("payload_too_large"), "{answer}");
    engine.stop().await;
    Ok(())
}
