//! One connection to the IMAP server: commands of bounded length in, responses out.

use std::io;
use std::num::NonZeroU32;
use std::time::Duration;

use imap_codec::encode::Encoder as _;
use imap_codec::fragmentizer::{FragmentInfo, Fragmentizer, LiteralAnnouncement};
use imap_codec::imap_types::IntoStatic as _;
use imap_codec::imap_types::auth::{AuthMechanism, AuthenticateData};
use imap_codec::imap_types::command::{Command, CommandBody};
use imap_codec::imap_types::core::{LiteralMode, Tag, Vec1};
use imap_codec::imap_types::fetch::{MacroOrMessageDataItemNames, MessageDataItemName};
use imap_codec::imap_types::mailbox::Mailbox as MailboxName;
use imap_codec::imap_types::response::{
    Capability, Code, CodeOther, CommandContinuationRequest, Data, Greeting, Response, Status, StatusKind,
};
use imap_codec::imap_types::search::SearchKey;
use imap_codec::imap_types::sequence::SequenceSet;
use imap_codec::{AuthenticateDataCodec, CommandCodec, GreetingCodec, IdleDoneCodec, ResponseCodec};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::search::{Candidate, contains, matches};
use super::{Shared, fetch, lock};
use crate::demo::stream::ServerStream;
use crate::secrets::ExposeSecret;

/// RFC 3501 §5.4: no less than half an hour.
const IDLE_LIMIT: Duration = Duration::from_secs(31 * 60);
const MAX_COMMAND_BYTES: u32 = 64 << 10;
const READ_BYTES: usize = 8 << 10;
/// What is gathered before it is written, so that a long FETCH is not held in memory as a whole.
const WRITE_BYTES: usize = 256 << 10;

pub(super) async fn serve_connection(tcp: TcpStream, shared: &Shared) {
    // That it can't be set harms nothing but speed.
    let _best_effort = tcp.set_nodelay(true);
    let mut stream = ServerStream::Plain(tcp);
    if shared.options.tls {
        match timeout(IDLE_LIMIT, stream.encrypt(shared.certificates.server())).await {
            Ok(Ok(encrypted)) => stream = encrypted,
            _ => return,
        }
    }
    // A client that goes away is no error of ours.
    let _gone = Session::new(shared, stream).run().await;
}

struct Session<'a> {
    shared: &'a Shared,
    stream: ServerStream,
    output: Vec<u8>,
    user: Option<String>,
    selected: Option<Selected>,
    expecting: Expecting,
}

struct Selected {
    read_only: bool,
    /// How many messages the client was told of.
    told: usize,
    changed: watch::Receiver<()>,
}

/// What the next line is.
enum Expecting {
    Command,
    AuthenticateData(Tag<'static>),
    IdleDone(Tag<'static>),
    Nothing,
}

impl<'a> Session<'a> {
    fn new(shared: &'a Shared, stream: ServerStream) -> Self {
        Self { shared, stream, output: Vec::new(), user: None, selected: None, expecting: Expecting::Command }
    }

    async fn run(mut self) -> io::Result<()> {
        if let Ok(greeting) = Greeting::ok(None, "ampout demo mailbox") {
            self.output.extend(GreetingCodec::default().encode(&greeting).dump());
        }
        let mut input = Fragmentizer::new(MAX_COMMAND_BYTES);
        let mut chunk = [0; READ_BYTES];
        loop {
            while let Some(fragment) = input.progress() {
                self.fragment(&mut input, fragment).await?;
            }
            self.flush().await?;
            if matches!(self.expecting, Expecting::Nothing) {
                return self.stream.shutdown().await;
            }
            let idling = matches!(self.expecting, Expecting::IdleDone(_));
            let read = match &mut self.selected {
                Some(selected) if idling => tokio::select! {
                    read = timeout(IDLE_LIMIT, self.stream.read(&mut chunk)) => Some(read??),
                    Ok(()) = selected.changed.changed() => None,
                },
                _ => Some(timeout(IDLE_LIMIT, self.stream.read(&mut chunk)).await??),
            };
            match read {
                Some(0) => return Ok(()),
                Some(length) => input.enqueue_bytes(&chunk[..length]),
                None => self.tell_of_new_messages(),
            }
        }
    }

    async fn fragment(&mut self, input: &mut Fragmentizer, fragment: FragmentInfo) -> io::Result<()> {
        if let FragmentInfo::Line {
            announcement: Some(LiteralAnnouncement { mode: LiteralMode::Sync, length }), ..
        } = fragment
        {
            if length <= MAX_COMMAND_BYTES {
                self.continue_with("go ahead");
                return self.flush().await;
            }
            let tag = input.decode_tag().map(Tag::into_static);
            self.status(tag, StatusKind::Bad, None, "the literal is too long");
            input.skip_message();
            return Ok(());
        }
        if !input.is_message_complete() {
            return Ok(());
        }
        match std::mem::replace(&mut self.expecting, Expecting::Command) {
            Expecting::Command => match input.decode_message(&CommandCodec::default()) {
                Ok(command) => self.command(command.into_static()).await,
                Err(_) => {
                    let tag = input.decode_tag().map(Tag::into_static);
                    self.status(tag, StatusKind::Bad, None, "that is no command");
                    Ok(())
                }
            },
            Expecting::AuthenticateData(tag) => {
                match input.decode_message(&AuthenticateDataCodec::default()) {
                    Ok(AuthenticateData::Continue(data)) => self.authenticate_plain(tag, data.declassify()),
                    _ => self.status(Some(tag), StatusKind::Bad, None, "authentication was cancelled"),
                }
                Ok(())
            }
            Expecting::IdleDone(tag) => {
                match input.decode_message(&IdleDoneCodec::default()) {
                    Ok(_) => self.ok(tag, "idle is over"),
                    Err(_) => self.status(Some(tag), StatusKind::Bad, None, "only DONE ends IDLE"),
                }
                Ok(())
            }
            Expecting::Nothing => Ok(()),
        }
    }

    async fn command(&mut self, command: Command<'static>) -> io::Result<()> {
        let Command { tag, body } = command;
        match (body, self.user.is_some(), self.selected.is_some()) {
            (CommandBody::Capability, ..) => {
                self.capability();
                self.ok(tag, "done");
            }
            (CommandBody::Noop | CommandBody::Check, ..) => {
                self.tell_of_new_messages();
                self.ok(tag, "done");
            }
            (CommandBody::Logout, ..) => {
                if let Ok(bye) = Status::bye(None, "goodbye") {
                    self.respond(&Response::Status(bye));
                }
                self.ok(tag, "done");
                self.expecting = Expecting::Nothing;
            }
            (CommandBody::Login { username, password }, false, _) => {
                self.log_in(tag, username.as_ref(), password.declassify().as_ref());
            }
            (CommandBody::Authenticate { mechanism: AuthMechanism::Plain, initial_response }, false, _) => {
                match initial_response {
                    Some(data) => self.authenticate_plain(tag, data.declassify()),
                    None => {
                        let empty = CommandContinuationRequest::base64(Vec::new());
                        self.respond(&Response::CommandContinuationRequest(empty));
                        self.expecting = Expecting::AuthenticateData(tag);
                    }
                }
            }
            (CommandBody::Select { mailbox, .. }, true, _) => self.select(tag, &mailbox, false),
            (CommandBody::Examine { mailbox, .. }, true, _) => self.select(tag, &mailbox, true),
            (CommandBody::Close | CommandBody::Unselect, true, true) => {
                self.selected = None;
                self.ok(tag, "done");
            }
            (CommandBody::Search { criteria, uid, .. }, true, true) => self.search(tag, &criteria, uid),
            (CommandBody::Fetch { sequence_set, macro_or_item_names, uid, .. }, true, true) => {
                let names = match &macro_or_item_names {
                    MacroOrMessageDataItemNames::Macro(short) => short.expand(),
                    MacroOrMessageDataItemNames::MessageDataItemNames(names) => names.clone(),
                };
                return self.fetch(tag, &sequence_set, names, uid).await;
            }
            (CommandBody::Idle, true, true) if self.shared.options.idle => {
                self.continue_with("idling");
                self.tell_of_new_messages();
                self.expecting = Expecting::IdleDone(tag);
            }
            _ => self.status(Some(tag), StatusKind::Bad, None, "not here, or not now"),
        }
        Ok(())
    }

    fn capability(&mut self) {
        let mut capabilities = vec![Capability::Imap4Rev1, Capability::Auth(AuthMechanism::Plain), Capability::SaslIr];
        if self.shared.options.idle {
            capabilities.push(Capability::Idle);
        }
        if let Ok(data) = Data::capability(capabilities) {
            self.respond(&Response::Data(data));
        }
    }

    fn authenticate_plain(&mut self, tag: Tag<'static>, data: &[u8]) {
        match data.split(|byte| *byte == 0).collect::<Vec<_>>()[..] {
            [_, username, password] => self.log_in(tag, username, password),
            _ => self.status(Some(tag), StatusKind::Bad, None, "the response is not identity, user, password"),
        }
    }

    fn log_in(&mut self, tag: Tag<'static>, username: &[u8], password: &[u8]) {
        let known =
            self.shared.options.users.iter().find(|user| {
                user.username.as_bytes() == username && user.password.expose_secret().as_bytes() == password
            });
        let Some(known) = known else {
            let code = Code::Other(CodeOther::unvalidated(&b"AUTHENTICATIONFAILED"[..]));
            return self.status(Some(tag), StatusKind::No, Some(code), "wrong user or password");
        };
        self.user = Some(known.username.clone());
        self.ok(tag, "welcome");
    }

    fn select(&mut self, tag: Tag<'static>, name: &MailboxName<'_>, read_only: bool) {
        self.selected = None;
        let shared = self.user.as_ref().and_then(|user| self.shared.mailboxes.get(user));
        let (MailboxName::Inbox, Some(shared)) = (name, shared) else {
            return self.status(Some(tag), StatusKind::No, None, "there is only INBOX");
        };
        // Subscribed before it is counted: what comes between is told twice rather than never.
        let changed = shared.changed.subscribe();
        let (told, uid_validity, uid_next) = {
            let mailbox = lock(&shared.mailbox);
            (mailbox.messages().len(), mailbox.uid_validity(), mailbox.next_uid())
        };
        self.respond(&Response::Data(Data::Flags(vec![imap_codec::imap_types::flag::Flag::Seen])));
        self.respond(&Response::Data(Data::Exists(u32::try_from(told).unwrap_or(u32::MAX))));
        self.respond(&Response::Data(Data::Recent(0)));
        self.status(None, StatusKind::Ok, Code::uidvalidity(uid_validity).ok(), "validity");
        self.status(None, StatusKind::Ok, Code::uidnext(uid_next).ok(), "the next one");
        self.selected = Some(Selected { read_only, told, changed });
        let code = if read_only { Code::ReadOnly } else { Code::ReadWrite };
        self.status(Some(tag), StatusKind::Ok, Some(code), "open");
    }

    fn search(&mut self, tag: Tag<'static>, criteria: &Vec1<SearchKey<'_>>, by_uid: bool) {
        let Some(shared) = self.user.as_ref().and_then(|user| self.shared.mailboxes.get(user)) else { return };
        let found = {
            let mailbox = lock(&shared.mailbox);
            let last_uid = mailbox.messages().last().map_or(0, |message| message.uid);
            let last_sequence = u32::try_from(mailbox.messages().len()).unwrap_or(u32::MAX);
            let numbered = (1..=last_sequence).zip(mailbox.messages());
            let mut found = Some(Vec::new());
            for (sequence, message) in numbered {
                let candidate = Candidate { sequence, uid: message.uid, seen: message.seen, last_sequence, last_uid };
                let fits = criteria.as_ref().iter().try_fold(true, |all, key| Some(all & matches(key, candidate)?));
                match (&mut found, fits) {
                    (Some(found), Some(true)) => {
                        found.extend(NonZeroU32::new(if by_uid { message.uid } else { sequence }));
                    }
                    (_, Some(_)) => {}
                    (_, None) => found = None,
                }
            }
            found
        };
        match found {
            Some(found) => {
                self.respond(&Response::Data(Data::Search(found)));
                self.ok(tag, "done");
            }
            None => self.status(Some(tag), StatusKind::No, None, "this server can't search by that"),
        }
    }

    async fn fetch(
        &mut self,
        tag: Tag<'static>,
        set: &SequenceSet,
        mut names: Vec<MessageDataItemName<'_>>,
        by_uid: bool,
    ) -> io::Result<()> {
        if by_uid && !names.contains(&MessageDataItemName::Uid) {
            names.insert(0, MessageDataItemName::Uid);
        }
        let read_only = self.selected.as_ref().is_none_or(|selected| selected.read_only);
        let marks_seen = !read_only && names.iter().any(fetch::marks_seen);
        let Some(shared) = self.user.as_ref().and_then(|user| self.shared.mailboxes.get(user)) else { return Ok(()) };
        let count = lock(&shared.mailbox).messages().len();
        for position in 0..count {
            let data = {
                let mut mailbox = lock(&shared.mailbox);
                let last_uid = mailbox.messages().last().map_or(0, |message| message.uid);
                let Some(message) = mailbox.messages().get(position) else { break };
                let sequence = u32::try_from(position + 1).unwrap_or(u32::MAX);
                let last_sequence = u32::try_from(count).unwrap_or(u32::MAX);
                let wanted =
                    if by_uid { contains(set, message.uid, last_uid) } else { contains(set, sequence, last_sequence) };
                if !wanted {
                    continue;
                }
                let items: Option<Vec<_>> = names.iter().map(|name| fetch::item(message, name)).collect();
                if marks_seen {
                    mailbox.mark_seen(position);
                }
                items.and_then(|items| Data::fetch(sequence, items).ok())
            };
            let Some(data) = data else {
                self.status(Some(tag), StatusKind::No, None, "this server can't fetch that");
                return Ok(());
            };
            self.respond(&Response::Data(data));
            if self.output.len() > WRITE_BYTES {
                self.flush().await?;
            }
        }
        self.ok(tag, "done");
        Ok(())
    }

    fn tell_of_new_messages(&mut self) {
        let Some(shared) = self.user.as_ref().and_then(|user| self.shared.mailboxes.get(user)) else { return };
        let Some(selected) = &mut self.selected else { return };
        selected.changed.mark_unchanged();
        let count = lock(&shared.mailbox).messages().len();
        if count > selected.told {
            selected.told = count;
            self.respond(&Response::Data(Data::Exists(u32::try_from(count).unwrap_or(u32::MAX))));
        }
    }

    fn continue_with(&mut self, text: &'static str) {
        if let Ok(request) = CommandContinuationRequest::basic(None, text) {
            self.respond(&Response::CommandContinuationRequest(request));
        }
    }

    fn ok(&mut self, tag: Tag<'static>, text: &'static str) {
        self.status(Some(tag), StatusKind::Ok, None, text);
    }

    fn status(&mut self, tag: Option<Tag<'static>>, kind: StatusKind, code: Option<Code<'_>>, text: &'static str) {
        if let Ok(status) = Status::new(tag, kind, code, text) {
            self.respond(&Response::Status(status));
        }
    }

    fn respond(&mut self, response: &Response<'_>) {
        self.output.extend(ResponseCodec::default().encode(response).dump());
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.output).await?;
        self.output.clear();
        self.stream.flush().await
    }
}
