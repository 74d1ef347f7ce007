//! An SMTP server far away: every reply arrives a round trip after what it answers, however many commands came at once.
//! It offers what it is told to, throws messages away and counts them by their Message-ID, so that one that came twice is
//! seen. For benchmarks alone: it believes what it reads.
//!
//!     ampout-bench-sink PORT [--round-trip MILLISECONDS] [--without-pipelining] [--chunking] [--keep-each NTH FOLDER]
//!
//! Each NTH message is kept as a file in FOLDER, `.eml` once it is whole.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// What the server offers, and what it has seen.
struct Sink {
    round_trip: Duration,
    pipelining: bool,
    chunking: bool,
    /// One of so many messages is kept in a folder.
    kept: Option<(u32, PathBuf)>,
    arrived: Cell<u32>,
    /// How often each Message-ID has come, by its hash.
    seen: RefCell<HashMap<u64, u32>>,
}

/// What the next bytes of a connection are.
enum Expecting {
    Command,
    /// Everything up to a line with a dot alone.
    Data,
    Chunk {
        left: usize,
        is_last: bool,
    },
}

struct Session {
    sink: Rc<Sink>,
    input: Vec<u8>,
    expecting: Expecting,
    message: Vec<u8>,
    /// Where the search for the final dot goes on.
    searched: usize,
    replies: Vec<u8>,
    is_over: bool,
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let number = |text: Option<&String>| text.and_then(|text| text.parse::<u16>().ok());
    let after = |flag: &str, nth: usize| arguments.iter().skip_while(|argument| *argument != flag).nth(nth);
    let port = number(arguments.first()).ok_or_else(|| io::Error::other("no port is given"))?;
    let kept = number(after("--keep-each", 1)).filter(|nth| *nth > 0).zip(after("--keep-each", 2));
    let sink = Sink {
        round_trip: Duration::from_millis(number(after("--round-trip", 1)).unwrap_or_default().into()),
        pipelining: !has("--without-pipelining"),
        chunking: has("--chunking"),
        kept: kept.map(|(nth, folder)| (nth.into(), PathBuf::from(folder))),
        arrived: Cell::default(),
        seen: RefCell::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, serve(port, Rc::new(sink)))
}

async fn serve(port: u16, sink: Rc<Sink>) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let sink = sink.clone();
        // A connection that breaks is its client's matter.
        tokio::task::spawn_local(async move { Session::new(sink).run(stream).await });
    }
}

/// Writes each reply when its time has come, in their order.
async fn write_later(mut stream: OwnedWriteHalf, mut replies: mpsc::Receiver<(Instant, Vec<u8>)>) -> io::Result<()> {
    while let Some((at, reply)) = replies.recv().await {
        tokio::time::sleep_until(at).await;
        stream.write_all(&reply).await?;
    }
    stream.shutdown().await
}

impl Session {
    fn new(sink: Rc<Sink>) -> Self {
        let replies = b"220 sink ESMTP\r\n".to_vec();
        let (input, message) = (Vec::new(), Vec::new());
        Self { sink, input, expecting: Expecting::Command, message, searched: 0, replies, is_over: false }
    }

    async fn run(mut self, stream: TcpStream) -> io::Result<()> {
        let (mut incoming, outgoing) = stream.into_split();
        let (later, replies) = mpsc::channel(64);
        let writer = tokio::task::spawn_local(write_later(outgoing, replies));
        let mut buffer = vec![0; 64 << 10];
        loop {
            if !self.replies.is_empty() {
                let reply = (Instant::now() + self.sink.round_trip, std::mem::take(&mut self.replies));
                if later.send(reply).await.is_err() {
                    break;
                }
            }
            let length = if self.is_over { 0 } else { incoming.read(&mut buffer).await? };
            if length == 0 {
                break;
            }
            self.input.extend_from_slice(&buffer[..length]);
            while self.step() {}
        }
        drop(later);
        writer.await.map_err(io::Error::other)?
    }

    /// Takes one thing from the input; false when it is not there in full.
    fn step(&mut self) -> bool {
        match self.expecting {
            Expecting::Command => {
                let Some(end) = self.input.windows(2).position(|two| two == b"\r\n") else { return false };
                let line = String::from_utf8_lossy(&self.input[..end]).into_owned();
                self.input.drain(..end + 2);
                self.command(&line);
            }
            Expecting::Data => {
                let end = self.input[self.searched..].windows(5).position(|five| five == b"\r\n.\r\n");
                let Some(end) = end else {
                    self.searched = self.input.len().saturating_sub(4);
                    return false;
                };
                self.message.extend(self.input.drain(..self.searched + end + 5));
                self.accept();
            }
            Expecting::Chunk { left, is_last } => {
                let here = left.min(self.input.len());
                self.message.extend(self.input.drain(..here));
                if here < left {
                    self.expecting = Expecting::Chunk { left: left - here, is_last };
                    return false;
                }
                self.expecting = Expecting::Command;
                if is_last { self.accept() } else { self.say("250 2.0.0 chunk ok") }
            }
        }
        true
    }

    fn command(&mut self, line: &str) {
        let words: Vec<String> = line.split_whitespace().map(str::to_ascii_uppercase).collect();
        match words.first().map_or("", String::as_str) {
            "EHLO" => {
                let offers = [("PIPELINING", self.sink.pipelining), ("CHUNKING", self.sink.chunking)];
                self.say("250-sink");
                for (name, _) in offers.iter().filter(|(_, is_offered)| *is_offered) {
                    self.say(&format!("250-{name}"));
                }
                self.say("250-AUTH PLAIN");
                self.say("250 ENHANCEDSTATUSCODES");
            }
            "AUTH" => self.say("235 2.7.0 welcome"),
            "MAIL" | "RCPT" | "RSET" | "NOOP" | "HELO" => self.say("250 2.1.0 ok"),
            "DATA" => {
                self.say("354 go ahead");
                self.expecting = Expecting::Data;
            }
            "BDAT" => {
                let left = words.get(1).and_then(|size| size.parse().ok()).unwrap_or_default();
                self.expecting = Expecting::Chunk { left, is_last: words.len() > 2 };
            }
            "XCOUNT" => {
                let (messages, distinct) = self.counted();
                self.say(&format!("250 {messages} {distinct}"));
            }
            "QUIT" => {
                self.say("221 2.0.0 bye");
                self.is_over = true;
            }
            _ => self.say("500 5.5.1 what?"),
        }
    }

    fn accept(&mut self) {
        let id = self.message.split(|byte| *byte == b'\n').find(|line| starts_like(line, b"message-id:"));
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        *self.sink.seen.borrow_mut().entry(hasher.finish()).or_default() += 1;
        let arrived = self.sink.arrived.get() + 1;
        self.sink.arrived.set(arrived);
        if let Some((nth, folder)) = &self.sink.kept
            && arrived.is_multiple_of(*nth)
        {
            let (begun, whole) = (folder.join("begun"), folder.join(format!("{arrived}.eml")));
            // Who reads them counts what there is.
            let _ = std::fs::write(&begun, &self.message).and_then(|()| std::fs::rename(begun, whole));
        }
        self.message.clear();
        self.searched = 0;
        self.expecting = Expecting::Command;
        self.say("250 2.0.0 taken");
    }

    /// How many messages came, and how many different ones.
    fn counted(&self) -> (u32, usize) {
        let seen = self.sink.seen.borrow();
        (seen.values().sum(), seen.len())
    }

    fn say(&mut self, reply: &str) {
        self.replies.extend_from_slice(reply.as_bytes());
        self.replies.extend_from_slice(b"\r\n");
    }
}

fn starts_like(line: &[u8], start: &[u8]) -> bool {
    line.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}
