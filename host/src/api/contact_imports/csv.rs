//! CSV (RFC 4180) as it streams in: one row at a time, with the line that it begins in, in memory that does not grow with
//! the file. A row that can't be read is told and passed over; the ones around it are kept.
//!
//! The parser is csv-core, which never holds more than it is given room for. It copies fields and finds their ends; lines
//! are counted here, because it counts them where a row ends.

use bytes::Bytes;
use csv_core::ReadRecordResult;
use futures_util::{Stream, StreamExt};

use super::columns::{BadHeader, Columns, Field, MOST_COLUMNS};
use crate::api::contacts::LONGEST_NAME;
use crate::api::values::check_line;
use crate::domain::ids::ContactId;
use crate::domain::{EmailAddress, Timestamp};
use crate::store::contacts::NewContact;

/// The longest row: one that is longer is mostly one whose quote is never closed.
const MOST_ROW_BYTES: usize = 64 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Tried in this order: the first by which the header has the column of the address.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

/// A file that streams in.
pub(super) struct File<S> {
    body: S,
    /// What has come in and is not yet read.
    waiting: Bytes,
    is_at_end: bool,
    parser: csv_core::Reader,
    /// The fields of the last row, one after another, and where each ends.
    fields: Vec<u8>,
    ends: Vec<usize>,
    length: usize,
    count: usize,
    /// The line that is being read, from 1.
    line: u64,
    last_byte_was_cr: bool,
    /// How many quotes the last row has.
    quotes: u64,
    columns: Columns,
}

/// A row of the file.
#[derive(Debug)]
pub(super) struct Row {
    /// The line that it begins in.
    pub(super) line: u64,
    /// Who is in it, or what is wrong.
    pub(super) contact: Result<NewContact, String>,
}

/// Why a file can't be read at all.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FileError<E> {
    /// The body broke off.
    Body(E),
    /// The header.
    Header(BadHeader),
}

/// How reading a row's fields ended.
enum Taken {
    Row,
    TooLong,
    End,
}

impl<S, E> File<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    /// Reads the header.
    pub(super) async fn open(body: S) -> Result<Self, FileError<E>> {
        let mut file = Self {
            body,
            waiting: Bytes::new(),
            is_at_end: false,
            parser: csv_core::Reader::new(),
            fields: vec![0; MOST_ROW_BYTES],
            ends: vec![0; MOST_COLUMNS + 1],
            length: 0,
            count: 0,
            line: 1,
            last_byte_was_cr: false,
            quotes: 0,
            columns: Columns::default(),
        };
        file.read_header().await?;
        Ok(file)
    }

    /// What the header says.
    pub(super) fn columns(&self) -> &Columns {
        &self.columns
    }

    /// The next row that is not blank; `None` at the end.
    pub(super) async fn next(&mut self, now: Timestamp) -> Result<Option<Row>, E> {
        loop {
            self.skip_line_ends().await?;
            let line = self.line;
            let contact = match self.take().await? {
                Taken::End => return Ok(None),
                Taken::TooLong => Err(self.too_long()),
                Taken::Row if self.is_blank() => continue,
                Taken::Row => self.contact(now),
            };
            return Ok(Some(Row { line, contact }));
        }
    }

    /// Finds the delimiter by which the header can be used, and reads it with that.
    async fn read_header(&mut self) -> Result<(), FileError<E>> {
        let mut head = Vec::new();
        loop {
            let is_whole = !self.fill().await.map_err(FileError::Body)?;
            head.extend_from_slice(&std::mem::take(&mut self.waiting));
            let is_whole = is_whole || head.len() >= MOST_ROW_BYTES;
            if head.len() < BYTE_ORDER_MARK.len() && !is_whole {
                continue;
            }
            let text = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&head);
            let (delimiters, said) = match declared_delimiter(text) {
                Some((delimiter, length)) => (vec![delimiter], length),
                None => (DELIMITERS.to_vec(), 0),
            };
            let headers: Vec<_> = delimiters
                .iter()
                .map(|delimiter| (*delimiter, header_by(&text[said..], *delimiter, is_whole)))
                .collect();
            let mut wrong = None;
            for (delimiter, header) in &headers {
                let Some(header) = header else { continue };
                match Columns::of_header(header) {
                    Ok(columns) => {
                        self.columns = columns;
                        let begin = head.len() - text.len();
                        self.waiting = Bytes::from(head).slice(begin..);
                        self.advance(said);
                        self.parser = csv_core::ReaderBuilder::new().delimiter(*delimiter).build();
                        self.skip_line_ends().await.map_err(FileError::Body)?;
                        return self.take().await.map(drop).map_err(FileError::Body);
                    }
                    // The delimiter that parts it into most columns is the one that was meant.
                    Err(bad) if wrong.as_ref().is_none_or(|(count, _)| *count < header.len()) => {
                        wrong = Some((header.len(), bad));
                    }
                    Err(_) => {}
                }
            }
            let is_known = is_whole || headers.iter().all(|(_, header)| header.is_some());
            if is_known {
                let none = BadHeader::NoEmail { columns: Vec::new() };
                return Err(FileError::Header(wrong.map_or(none, |(_, bad)| bad)));
            }
        }
    }

    /// Takes the fields of one row.
    async fn take(&mut self) -> Result<Taken, E> {
        (self.length, self.count, self.quotes) = (0, 0, 0);
        loop {
            if self.waiting.is_empty() && !self.is_at_end {
                self.fill().await?;
            }
            let room = (&mut self.fields[self.length..], &mut self.ends[self.count..]);
            let (result, read, written, ended) = self.parser.read_record(&self.waiting, room.0, room.1);
            self.length += written;
            self.count += ended;
            self.advance(read);
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::Record => return Ok(Taken::Row),
                ReadRecordResult::End => return Ok(Taken::End),
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    // Its end can't be known: what follows is read from the next line on, whatever it belonged to.
                    self.parser.reset();
                    self.skip_rest_of_line().await?;
                    return Ok(Taken::TooLong);
                }
            }
        }
    }

    /// Who is in the row that was taken.
    fn contact(&self, now: Timestamp) -> Result<NewContact, String> {
        let fields = (0..self.count).map(|n| std::str::from_utf8(self.bytes(n)).ok());
        let Some(fields) = fields.collect::<Option<Vec<&str>>>() else {
            return Err("the row is not UTF-8".to_owned());
        };
        if self.is_at_end && self.quotes % 2 == 1 && fields.iter().any(|field| field.contains('\n')) {
            return Err("a quote is opened and not closed before the file ends".to_owned());
        }
        let columns = self.columns.count;
        if fields.iter().skip(columns).any(|field| !field.trim().is_empty()) {
            return Err(format!("the row has {} fields where the header has {columns}", fields.len()));
        }
        let field = |field: Field| self.columns.place(field).and_then(|n| fields.get(n)).copied().unwrap_or_default();
        let email = EmailAddress::parse(field(Field::Email)).map_err(|error| format!("email: {error}"))?;
        let name = |which: Field| one_line(field(which)).map_err(|problem| format!("{}: {problem}", which.name()));
        Ok(NewContact {
            id: ContactId::new(now),
            email,
            first_name: name(Field::FirstName)?,
            last_name: name(Field::LastName)?,
            company: name(Field::Company)?,
        })
    }

    /// Spreadsheets leave rows of nothing but delimiters.
    fn is_blank(&self) -> bool {
        self.fields[..self.length].iter().all(u8::is_ascii_whitespace)
    }

    fn bytes(&self, field: usize) -> &[u8] {
        let begin = field.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.fields[begin..self.ends[field]]
    }

    fn too_long(&self) -> String {
        let until = self.line.saturating_sub(1);
        format!(
            "the row is longer than {} KiB or has more than {MOST_COLUMNS} fields; is a quote not closed? \
             It was passed over up to line {until}",
            MOST_ROW_BYTES / 1024
        )
    }

    /// Waits for more of the body; false when it has ended, after which it must not be asked again.
    async fn fill(&mut self) -> Result<bool, E> {
        while self.waiting.is_empty() {
            if self.is_at_end {
                return Ok(false);
            }
            match self.body.next().await {
                Some(more) => self.waiting = more?,
                None => {
                    self.is_at_end = true;
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    async fn skip_line_ends(&mut self) -> Result<(), E> {
        while self.fill().await? {
            let ends = self.waiting.iter().take_while(|byte| is_line_end(**byte)).count();
            self.advance(ends);
            if !self.waiting.is_empty() {
                break;
            }
        }
        Ok(())
    }

    async fn skip_rest_of_line(&mut self) -> Result<(), E> {
        while self.fill().await? {
            let rest = self.waiting.iter().take_while(|byte| !is_line_end(**byte)).count();
            self.advance(rest);
            if !self.waiting.is_empty() {
                break;
            }
        }
        self.skip_line_ends().await
    }

    /// Leaves `count` bytes behind, and counts their lines: LF, CR LF and a lone CR end one.
    fn advance(&mut self, count: usize) {
        let passed = self.waiting.split_to(count);
        for byte in &passed {
            match byte {
                b'\n' if self.last_byte_was_cr => {}
                b'\n' | b'\r' => self.line += 1,
                b'"' => self.quotes += 1,
                _ => {}
            }
            self.last_byte_was_cr = *byte == b'\r';
        }
    }
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// `sep=;` on the first line, which spreadsheets write for each other: the delimiter, and the length of the line.
fn declared_delimiter(text: &[u8]) -> Option<(u8, usize)> {
    match text {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', delimiter, end, ..] => {
            let is_declared =
                delimiter.is_ascii() && *delimiter != b'"' && !is_line_end(*delimiter) && is_line_end(*end);
            is_declared.then_some((*delimiter, 5))
        }
        _ => None,
    }
}

/// The header's names by a delimiter; none when its end has not come in yet.
fn header_by(text: &[u8], delimiter: u8, is_whole: bool) -> Option<Vec<String>> {
    if text.is_empty() && !is_whole {
        // To the parser no input is the end of it.
        return None;
    }
    let mut parser = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
    let mut fields = vec![0; text.len() + 1];
    let mut ends = vec![0; MOST_COLUMNS + 1];
    let (mut result, _, length, mut count) = parser.read_record(text, &mut fields, &mut ends);
    if result == ReadRecordResult::InputEmpty && is_whole {
        let (last, _, _, ended) = parser.read_record(&[], &mut fields[length..], &mut ends[count..]);
        (result, count) = (last, count + ended);
    }
    let names = || {
        let begins = std::iter::once(0).chain(ends.iter().copied());
        let fields = begins.zip(&ends).take(count).map(|(begin, end)| &fields[begin..*end]);
        fields.map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect()
    };
    match result {
        ReadRecordResult::Record | ReadRecordResult::OutputEndsFull => Some(names()),
        ReadRecordResult::End => Some(Vec::new()),
        ReadRecordResult::InputEmpty | ReadRecordResult::OutputFull => None,
    }
}

/// A name as it is kept: trimmed, its line breaks made blanks, absent where it is empty.
fn one_line(text: &str) -> Result<Option<Box<str>>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let text = match text.contains(['\n', '\r', '\t']) {
        true => {
            text.split(['\n', '\r', '\t']).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
        }
        false => text.to_owned(),
    };
    check_line(&text, 0, LONGEST_NAME).map(|()| Some(text.into()))
}

#[cfg(test)]
#[path = "csv_tests.rs"]
mod tests;
