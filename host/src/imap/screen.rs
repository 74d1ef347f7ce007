//! What the library's parser gets to see. The parser calls itself for each bracket in a bracket, without a limit, and its
//! buffer grows at once to the size of whatever literal is announced; either is enough to end the process. So answers are
//! looked through before.
//!
//! What is let through can be read in one way alone. The parser tries hard to make sense of a FETCH: a value that it does
//! not know goes on to the next bracket, over quotes and line ends. If one of the two took for a literal what the other
//! takes for text, a server could hide anything in it. Hence the items of a FETCH must have the form of what we ask for, a
//! name and a value without brackets in its brackets, and no text may end like the announcement of a literal.

/// The longest response outside its literals. The UIDs that one search asks for need half of it.
const LONGEST_LINE: usize = 1 << 20;
/// The same for a FETCH, of which the parser makes a hundred times as much.
const LONGEST_FETCH: usize = 64 << 10;

/// Why an answer is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unacceptable {
    #[error("it is too long")]
    TooLong,
    #[error("it has a form that nothing was asked for in")]
    OtherForm,
}

/// Where in the answers of a connection we are, whatever pieces they come in.
#[derive(Debug)]
pub(super) struct Screen {
    at: At,
    line_bytes: usize,
    literal_bytes: u64,
    longest_literals: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    Star,
    StarSpace,
    /// In free text, or what leads to it: up to the line's end, and nothing in it means anything.
    Text(Brace),
    /// In other data than a FETCH. Where it has literals, they are at the ends of its lines.
    Data(Brace),
    /// After `* 1`: a FETCH if there is a bracket, something short if not.
    Number,
    Name {
        begun: bool,
    },
    Value,
    Atom,
    Quoted {
        escaped: bool,
    },
    Group,
    Announcement(Brace),
    AfterValue,
    End,
    Literal {
        left: u32,
        of_fetch: bool,
    },
}

/// How much of `{12}` and a line end was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Brace {
    No,
    Open(Option<u32>),
    Closed(u32),
    Return(u32),
    Complete(u32),
}

impl Screen {
    pub(super) fn new() -> Self {
        Self { at: At::Start, line_bytes: 0, literal_bytes: 0, longest_literals: 0 }
    }

    /// What the literals of one response may have together from now on. The parser makes many times as much of a response
    /// that it does not understand: it repeats it in its error, byte by byte.
    pub(super) fn allow_literals(&mut self, bytes: u64) {
        self.longest_literals = bytes;
    }

    /// Looks through the bytes that came next, where `allowed` more may come, they included.
    pub(super) fn look_through(&mut self, bytes: &[u8], allowed: u64) -> Result<(), Unacceptable> {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            if let At::Literal { left, of_fetch } = self.at {
                let skipped = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                rest = rest.get(skipped..).unwrap_or_default();
                let left = left.saturating_sub(u32::try_from(skipped).unwrap_or(u32::MAX));
                self.at = match (left, of_fetch) {
                    (0, true) => At::AfterValue,
                    (0, false) => At::Data(Brace::No),
                    _ => At::Literal { left, of_fetch },
                };
                continue;
            }
            rest = after;
            self.at = self.at.then(byte)?;
            self.line_bytes += 1;
            let longest = if self.at.is_in_fetch() { LONGEST_FETCH } else { LONGEST_LINE };
            match self.at {
                At::Start => (self.line_bytes, self.literal_bytes) = (0, 0),
                _ if self.line_bytes > longest => return Err(Unacceptable::TooLong),
                At::Literal { left, .. } => {
                    let seen = u64::try_from(bytes.len() - rest.len()).unwrap_or(u64::MAX);
                    self.literal_bytes = self.literal_bytes.saturating_add(u64::from(left));
                    if u64::from(left) > allowed.saturating_sub(seen) || self.literal_bytes > self.longest_literals {
                        return Err(Unacceptable::TooLong);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether the last response is complete.
    #[cfg(test)]
    pub(super) fn is_between_responses(&self) -> bool {
        self.at == At::Start
    }
}

impl At {
    fn is_in_fetch(self) -> bool {
        !matches!(self, Self::Text(_) | Self::Data(_) | Self::Literal { of_fetch: false, .. })
    }

    fn then(self, byte: u8) -> Result<Self, Unacceptable> {
        Ok(match (self, byte) {
            (Self::Start, b'*') => Self::Star,
            (Self::Star, b' ') => Self::StarSpace,
            (Self::Start | Self::Star, _) => text(Brace::No, byte)?,
            (Self::StarSpace, b'0'..=b'9') => Self::Number,
            // OK, NO, BAD, BYE and PREAUTH; no data that the parser knows begins like these.
            (Self::StarSpace, b'O' | b'N' | b'B' | b'P' | b'o' | b'n' | b'b' | b'p') => text(Brace::No, byte)?,
            (Self::StarSpace, _) => data(Brace::No, byte),
            (Self::Text(brace), _) => text(brace, byte)?,
            (Self::Data(brace), _) => data(brace, byte),

            (Self::Number, b'(') => Self::Name { begun: false },
            (Self::Number, _) => {
                if byte == b'\n' {
                    Self::Start
                } else {
                    Self::Number
                }
            }
            (Self::Name { begun: false }, b')') => Self::End,
            (Self::Name { begun: false }, b' ') => Self::Name { begun: false },
            (Self::Name { begun: true }, b' ') => Self::Value,
            (Self::Name { .. }, _) if is_plain(byte) => Self::Name { begun: true },
            (Self::Value | Self::Atom, _) if is_plain(byte) => Self::Atom,
            (Self::Value, b'"') => Self::Quoted { escaped: false },
            (Self::Value, b'(') => Self::Group,
            (Self::Value, b'{') => Self::Announcement(Brace::Open(None)),
            (Self::Group, b')') => Self::AfterValue,
            (Self::Group, _) if is_plain(byte) || byte == b' ' => Self::Group,
            (Self::Quoted { escaped: true }, b'"' | b'\\') => Self::Quoted { escaped: false },
            (Self::Quoted { escaped: false }, b'\\') => Self::Quoted { escaped: true },
            (Self::Quoted { escaped: false }, b'"') => Self::AfterValue,
            (Self::Quoted { escaped: false }, _) if !matches!(byte, 0 | b'\r' | b'\n') => self,
            (Self::Announcement(brace), _) if byte != b'{' => match brace.then(byte) {
                Brace::No => return Err(Unacceptable::OtherForm),
                Brace::Complete(left) => Self::Literal { left, of_fetch: true },
                brace => Self::Announcement(brace),
            },
            (Self::Atom | Self::AfterValue, b' ') => Self::Name { begun: false },
            (Self::Atom | Self::AfterValue, b')') => Self::End,
            (Self::End, b' ' | b'\r') => Self::End,
            (Self::End, b'\n') => Self::Start,
            _ => return Err(Unacceptable::OtherForm),
        })
    }
}

/// In text, the parser takes a literal for one behind some codes alone, and no honest server ends a sentence like that.
fn text(brace: Brace, byte: u8) -> Result<At, Unacceptable> {
    match brace.then(byte) {
        Brace::Complete(_) => Err(Unacceptable::OtherForm),
        _ if byte == b'\n' => Ok(At::Start),
        brace => Ok(At::Text(brace)),
    }
}

fn data(brace: Brace, byte: u8) -> At {
    match brace.then(byte) {
        Brace::Complete(left) => At::Literal { left, of_fetch: false },
        _ if byte == b'\n' => At::Start,
        brace => At::Data(brace),
    }
}

/// What has no meaning in a FETCH.
fn is_plain(byte: u8) -> bool {
    byte > b' ' && !matches!(byte, b'(' | b')' | b'"' | b'{')
}

impl Brace {
    fn then(self, byte: u8) -> Self {
        let digit = byte.wrapping_sub(b'0');
        match (self, byte) {
            (_, b'{') => Self::Open(None),
            (Self::Open(number), b'0'..=b'9') => {
                let number = number.unwrap_or(0).checked_mul(10).and_then(|ten| ten.checked_add(u32::from(digit)));
                number.map_or(Self::No, |number| Self::Open(Some(number)))
            }
            (Self::Open(Some(number)), b'}') => Self::Closed(number),
            (Self::Closed(number), b'\r') => Self::Return(number),
            (Self::Return(number), b'\n') => Self::Complete(number),
            _ => Self::No,
        }
    }
}
