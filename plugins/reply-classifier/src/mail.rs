//! A message as the questions read it: each fact is read once, and only when a question needs it. A call has an instance
//! of its own and a few microseconds.

use std::cell::OnceCell;

use ampout_plugin::Message;
use ampout_plugin::text::fold;

use crate::headers::Headers;
use crate::own_words::{ReplyWords, SystemWords};
use crate::senders::{SenderKind, sender_kind};

/// A message and what was read of it.
pub(crate) struct Mail<'a> {
    pub(crate) message: &'a Message,
    pub(crate) headers: Headers<'a>,
    /// Folded.
    pub(crate) subject: String,
    sender: OnceCell<SenderKind>,
    system_words: OnceCell<SystemWords<'a>>,
    reply_words: OnceCell<ReplyWords>,
}

impl<'a> Mail<'a> {
    pub(crate) fn new(message: &'a Message) -> Self {
        Self {
            message,
            headers: Headers::of(message),
            subject: fold(&message.subject),
            sender: OnceCell::new(),
            system_words: OnceCell::new(),
            reply_words: OnceCell::new(),
        }
    }

    /// Who sent it, by its name.
    pub(crate) fn sender(&self) -> SenderKind {
        *self.sender.get_or_init(|| sender_kind(self))
    }

    /// What is written above a returned message, if a mail system wrote it.
    pub(crate) fn system_words(&self) -> &SystemWords<'a> {
        self.system_words.get_or_init(|| SystemWords::of(&self.message.text))
    }

    /// What is written above a quote, if a person or a person's machine wrote it.
    pub(crate) fn reply_words(&self) -> &ReplyWords {
        self.reply_words.get_or_init(|| ReplyWords::of(&self.message.text))
    }

    /// Whether it says what it answers.
    pub(crate) fn answers_something(&self) -> bool {
        self.headers.is_answer || self.has_null_path() || self.message.enrollment.is_some()
    }

    /// RFC 5321 section 4.5.5: notifications have an empty return path, and so have vacations; by itself it proves nothing.
    pub(crate) fn has_null_path(&self) -> bool {
        self.message.return_path.as_deref() == Some("")
    }
}
