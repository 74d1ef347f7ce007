//! A message and its classification as they cross Extism's boundary: MessagePack, the quickest of its encodings. Plugin and
//! peer share this file.

use serde::{Deserialize, Serialize};

/// A name and a text.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Header {
    pub name: String,
    pub value: String,
}

/// A machine-readable part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Part {
    pub content_type: String,
    pub content: String,
}

/// What a classifier is told. The mail of the measurement matched no enrollment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Message {
    pub headers: Vec<Header>,
    pub raw_headers: String,
    pub sender: Option<String>,
    pub return_path: Option<String>,
    pub recipients: Vec<String>,
    pub subject: String,
    pub text: String,
    pub parts: Vec<Part>,
    pub our_message_ids: Vec<String>,
    pub received_at: String,
}

/// What it answers; the measurement looks at no more than the word.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answer {
    pub verdict: String,
    pub reason: Option<String>,
}
