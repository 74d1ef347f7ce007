//! Any bytes are a message, and none makes the classifier panic or think for long: mails are cut, spliced and garbled by a
//! generator that begins the same each time. `AMPOUT_CORPUS` may name a folder whose mails are taken, too.

mod raw_mail;

use std::path::Path;
use std::time::{Duration, Instant};

use reply_classifier::classify;

const ROUNDS_A_MAIL: usize = 12;
const LONGEST_CALL: Duration = Duration::from_secs(2);

/// xorshift: good enough to choose places.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound.max(1) as u64).unwrap_or(0)
    }
}

#[test]
fn no_garbled_mail_makes_it_panic() {
    let mut mails = Vec::new();
    gather(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/labelled"), &mut mails);
    // An mbox is one long mail to the parser; its mails are taken one by one, too.
    let single: Vec<Vec<u8>> = mails.iter().flat_map(|mbox| split(mbox)).collect();
    mails.extend(single);
    if let Ok(folder) = std::env::var("AMPOUT_CORPUS") {
        gather(Path::new(&folder), &mut mails);
    }
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    for at in 0..mails.len() {
        for _ in 0..ROUNDS_A_MAIL {
            let other = dice.below(mails.len());
            let garbled = garble(&mails[at], &mails[other], &mut dice);
            let mut message = raw_mail::message_of(&garbled);
            match dice.below(4) {
                0 => message.text = String::from_utf8_lossy(&garbled).into_owned(),
                1 => message.subject = message.text.chars().take(200).collect(),
                _ => {}
            }
            let began = Instant::now();
            let _ = classify(message);
            assert!(began.elapsed() < LONGEST_CALL, "a call took {:?}", began.elapsed());
        }
    }
}

fn garble(mail: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = mail.to_vec();
    match dice.below(5) {
        0 => bytes.truncate(dice.below(mail.len())),
        1 => {
            for _ in 0..=dice.below(40) {
                let at = dice.below(bytes.len());
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = u8::try_from(dice.below(256)).unwrap_or(0);
                }
            }
        }
        2 => {
            bytes.truncate(dice.below(mail.len()));
            bytes.extend_from_slice(&other[dice.below(other.len())..]);
        }
        3 => {
            let at = dice.below(mail.len());
            let piece = mail[at..].to_vec();
            bytes.splice(at..at, piece);
        }
        _ => {
            let at = dice.below(mail.len());
            bytes.drain(at..(at + dice.below(200)).min(mail.len()));
        }
    }
    bytes
}

fn split(mbox: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(mbox);
    text.split("From fixture\n").filter(|mail| !mail.is_empty()).map(|mail| mail.as_bytes().to_vec()).collect()
}

fn gather(folder: &Path, mails: &mut Vec<Vec<u8>>) {
    for entry in std::fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("its entries can be read").path();
        if path.is_dir() {
            gather(&path, mails);
        } else {
            mails.push(std::fs::read(&path).expect("the mail can be read"));
        }
    }
}
