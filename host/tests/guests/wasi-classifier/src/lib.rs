//! A guest that has the whole standard library of `wasm32-wasip2`. The subject of the message says what it tries; what came
//! of it is the reason of its answer, or its end.

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime};

wit_bindgen::generate!({ path: "../../../../wit/v1", world: "reply-classifier" });

use exports::ampout::extension::reply_classification::{Classification, Guest, Message, Verdict};

struct Classifier;

impl Guest for Classifier {
    fn classify(message: Message) -> Classification {
        let reason = match message.subject.as_str() {
            "clock" => {
                let wall = SystemTime::UNIX_EPOCH.elapsed().map(|since| since.as_millis()).unwrap_or(0);
                let began = Instant::now();
                format!("{wall} {}", began.elapsed().as_nanos())
            }
            "random" => {
                let words: HashSet<String> = (0..8).map(|n| n.to_string()).collect();
                words.into_iter().collect::<Vec<_>>().join(" ")
            }
            "reach" => format!(
                "variables {} arguments {} file {} folder {} socket {} name {}",
                std::env::vars().count(),
                std::env::args().count(),
                std::fs::read("/etc/hostname").is_ok(),
                std::fs::read_dir("/").is_ok(),
                std::net::TcpStream::connect("127.0.0.1:22").is_ok(),
                std::net::ToSocketAddrs::to_socket_addrs("localhost:22").is_ok_and(|mut found| found.next().is_some()),
            ),
            "print" => {
                println!("to standard output");
                eprintln!("to standard error");
                "printed".to_owned()
            }
            "flood" => {
                for n in 0..10_000 {
                    println!("line {n} of a flood that nobody asked for");
                }
                "flooded".to_owned()
            }
            "sleep" => {
                std::thread::sleep(Duration::from_secs(60));
                "slept".to_owned()
            }
            "exit" => std::process::exit(7),
            "panic" => panic!("the guest gives up"),
            other => other.to_owned(),
        };
        Classification { verdict: Verdict::HumanReply, reason: Some(reason), extra: Vec::new() }
    }
}

export!(Classifier);
