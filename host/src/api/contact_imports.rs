//! Imports of contacts: as JSON, all of it or nothing, and as a CSV file that streams in, of which the good rows are kept.

mod columns;
mod csv;
mod json;
mod writing;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::{Stream, StreamExt};
use serde::Serialize;
use tokio::sync::mpsc;

use super::LARGEST_UPLOAD;
use super::auth::{Caller, MayRead, MayWrite};
use super::body::{self, Ids, Raw, too_large};
use super::contacts::shown as contact_shown;
use super::deleted::Deleted;
use super::error::{ApiError, Code, Result};
use super::query::{Listed, Parameters};
use super::state::Api;
use super::values::check_line;
use crate::deletions::{finish_of, finish_soon};
use crate::domain::Timestamp;
use crate::domain::ids::{AccountId, ContactImportId};
use crate::store::Conn;
use crate::store::contacts::{self, ContactImport, NewContact};
use crate::store::deletions::{self, Doomed, Marked};
use csv::{File, FileError};
use json::Stopped;
use writing::{CHUNK, CHUNKS_WAITING, Chunk, Import};

/// Rejected rows that are named; the others are counted.
const MOST_REJECTED_NAMED: usize = 100;

#[derive(Serialize)]
pub(super) struct Imported {
    id: ContactImportId,
    name: String,
    record_count: u64,
    /// Addresses that the list or the account has already.
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<u64>,
    #[serde(flatten)]
    file: Option<OfFile>,
}

/// What is told of a CSV file beside.
#[derive(Default, Serialize)]
struct OfFile {
    rejected: Vec<Rejected>,
    rejected_count: u64,
    ignored_columns: Vec<String>,
}

/// A row that was not taken.
#[derive(Serialize)]
struct Rejected {
    line: u64,
    error: String,
}

#[derive(Serialize)]
pub(super) struct ImportShown {
    id: ContactImportId,
    name: String,
    record_count: u64,
    contact_count: u64,
    created_at: Timestamp,
}

/// Why the body of a file ended early.
#[derive(Debug, PartialEq, Eq)]
enum BodyError {
    TooLarge,
    Broken,
}

pub(super) async fn create(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    parameters: Parameters,
    request: Request,
) -> Result<(StatusCode, Json<Imported>)> {
    let imported = match body::media_type(request.headers()).as_str() {
        "text/csv" => Box::pin(import_csv(&api, &caller, parameters, request)).await?,
        _ => Box::pin(import_json(&api, &caller, request)).await?,
    };
    Ok((StatusCode::CREATED, Json(imported)))
}

/// All of it or nothing: the whole body is looked at before the first contact is written.
async fn import_json(api: &Api, caller: &Caller, request: Request) -> Result<Imported> {
    body::check_media_type(request.headers())?;
    // The body is read under the permit: it is what needs the memory.
    let _permit = api.large_bodies.acquire().await.map_err(ApiError::internal)?;
    let Raw(body) = Raw::from_request(request, api).await?;
    let now = api.now();
    let (body, heading) = on_a_thread(move || json::check(&body).map(|heading| (body, heading))).await??;
    if heading.record_count == 0 {
        return Err(ApiError::new(Code::NoContactsProvided, "The import holds no contacts."));
    }
    finish_of(&api.app, caller.account).await?;
    let import = Import::begin(caller.account, heading.name, None, now);
    let (chunks, written) = mpsc::channel(CHUNKS_WAITING);
    let reading = on_a_thread(move || send_json(&body, now, &chunks));
    let (read, written) = tokio::join!(reading, import.write(&api.app.store, written));
    written?;
    read?.map_err(|Stopped| ApiError::bad_request("The body could not be read to its end."))?;
    finish(api, &import, heading.record_count, None).await
}

/// The good rows are kept as they come; what is wrong with the others is told by their lines.
async fn import_csv(api: &Api, caller: &Caller, mut parameters: Parameters, request: Request) -> Result<Imported> {
    let name = |text: &str| check_line(text, 1, 200).is_ok().then(|| text.to_owned());
    let name = parameters.required("name", name, "one line of 1 to 200 characters");
    parameters.finish()?;
    // A missing one has just been told.
    let name = name.unwrap_or_default();
    check_charset(request.headers())?;
    let now = api.now();
    let body = Box::pin(limited(request)?);
    let mut file = File::open(body).await.map_err(|error| match error {
        FileError::Body(error) => body_error(&error),
        FileError::Header(bad) => {
            let (field, problem) = bad.told();
            ApiError::invalid_field(field, problem)
        }
    })?;
    finish_of(&api.app, caller.account).await?;
    let import = Import::begin(caller.account, name, None, now);
    let (chunks, written) = mpsc::channel(CHUNKS_WAITING);
    let mut told = OfFile { ignored_columns: file.columns().ignored.clone(), ..OfFile::default() };
    let reading = async {
        let read = read_csv(&mut file, &chunks, &mut told, now).await;
        // The writer ends when nothing can come any more.
        drop(chunks);
        read
    };
    let (read, written) = tokio::join!(reading, import.write(&api.app.store, written));
    let chunks = written?;
    if read == Err(BodyError::TooLarge) && chunks > 0 {
        // It is refused as a whole, and what has come in of it before that was known goes again.
        undo(api, caller, import.id).await?;
    }
    let records = read.map_err(|error| body_error(&error))?;
    if chunks == 0 {
        let OfFile { rejected, rejected_count, .. } = told;
        let details = serde_json::json!({ "rejected": rejected, "rejected_count": rejected_count });
        let error = ApiError::new(Code::NoContactsProvided, "The file holds no row that could be taken.");
        return Err(ApiError { details, ..error });
    }
    finish(api, &import, records, Some(told)).await
}

async fn undo(api: &Api, caller: &Caller, id: ContactImportId) -> Result<()> {
    let mut tx = api.app.store.begin().await?;
    deletions::mark_import(tx.conn(), caller.account, id, api.now()).await?;
    tx.commit().await?;
    finish_soon(&api.app, Doomed::Import(id)).await;
    Ok(())
}

/// The last transaction of an import.
async fn finish(api: &Api, import: &Import, record_count: u64, file: Option<OfFile>) -> Result<Imported> {
    let mut tx = api.app.store.begin().await?;
    let made = import.finish(&mut tx, record_count).await?;
    tx.commit().await?;
    let rejected = file.as_ref().map_or(0, |file| file.rejected_count);
    let skipped = Some(record_count.saturating_sub(made + rejected)).filter(|skipped| *skipped > 0);
    Ok(Imported { id: import.id, name: import.name().to_owned(), record_count, skipped, file })
}

fn send_json(body: &Bytes, now: Timestamp, chunks: &mpsc::Sender<Chunk>) -> std::result::Result<(), Stopped> {
    let mut chunk = Chunk::default();
    let send = |chunk: &mut Chunk| {
        let records = chunk.records;
        let full = std::mem::replace(chunk, Chunk { contacts: Vec::new(), records });
        chunks.blocking_send(full).map_err(|_| Stopped)
    };
    json::each(body, now, &mut |contact: NewContact| {
        chunk.contacts.push(contact);
        chunk.records += 1;
        if chunk.contacts.len() < CHUNK { Ok(()) } else { send(&mut chunk) }
    })?;
    if chunk.contacts.is_empty() { Ok(()) } else { send(&mut chunk) }
}

/// Sends the good rows on and notes the others; gives how many there were.
async fn read_csv<S>(
    file: &mut File<S>,
    chunks: &mpsc::Sender<Chunk>,
    told: &mut OfFile,
    now: Timestamp,
) -> std::result::Result<u64, BodyError>
where
    S: Stream<Item = std::result::Result<Bytes, BodyError>> + Unpin,
{
    let mut contacts = Vec::with_capacity(CHUNK);
    let mut records = 0;
    while let Some(row) = file.next(now).await? {
        records += 1;
        match row.contact {
            Ok(contact) => contacts.push(contact),
            Err(error) => {
                told.rejected_count += 1;
                if told.rejected.len() < MOST_REJECTED_NAMED {
                    told.rejected.push(Rejected { line: row.line, error });
                }
            }
        }
        if contacts.len() >= CHUNK {
            let contacts = std::mem::replace(&mut contacts, Vec::with_capacity(CHUNK));
            if chunks.send(Chunk { contacts, records }).await.is_err() {
                // The writer has failed, and tells of it.
                return Ok(records);
            }
        }
    }
    if !contacts.is_empty() {
        let _ = chunks.send(Chunk { contacts, records }).await;
    }
    Ok(records)
}

/// A body that ends with an error once it is larger than it may be.
fn limited(request: Request) -> Result<impl Stream<Item = std::result::Result<Bytes, BodyError>>> {
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if announced.and_then(|length| length.parse::<usize>().ok()).is_some_and(|length| length > LARGEST_UPLOAD) {
        return Err(too_large());
    }
    let mut left = LARGEST_UPLOAD;
    let body: Body = request.into_body();
    Ok(body.into_data_stream().map(move |bytes| {
        let bytes = bytes.map_err(|_| BodyError::Broken)?;
        left = left.checked_sub(bytes.len()).ok_or(BodyError::TooLarge)?;
        Ok(bytes)
    }))
}

fn body_error(error: &BodyError) -> ApiError {
    match error {
        BodyError::TooLarge => too_large(),
        BodyError::Broken => ApiError::bad_request("The body could not be read to its end."),
    }
}

fn check_charset(headers: &HeaderMap) -> Result<()> {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let charset = value.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"').to_ascii_lowercase())
    });
    match charset.as_deref() {
        None | Some("utf-8" | "utf8" | "us-ascii") => Ok(()),
        Some(_) => {
            Err(ApiError::bad_request("The file must be UTF-8: save it as that, and send it without a charset."))
        }
    }
}

/// Runs what needs a processor for long where it keeps no other request waiting.
async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(ApiError::internal)
}

pub(super) async fn list(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    mut parameters: Parameters,
) -> Result<Listed> {
    let asked = parameters.page();
    parameters.finish()?;
    let mut conn = api.app.store.read().await?;
    let rows = contacts::list_imports(&mut conn, caller.account, &asked.page()).await?;
    Ok(asked.answer(rows, |import| import.id, shown))
}

pub(super) async fn show(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    Ids(id): Ids<ContactImportId>,
) -> Result<Json<ImportShown>> {
    let mut conn = api.app.store.read().await?;
    found(&mut conn, caller.account, id).await.map(|import| Json(shown(import)))
}

/// Takes its contacts and their enrollments. A call that broke off may be made again.
pub(super) async fn delete(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids(id): Ids<ContactImportId>,
) -> Result<Json<Deleted<ContactImportId>>> {
    let mut tx = api.app.store.begin().await?;
    if deletions::mark_import(tx.conn(), caller.account, id, api.now()).await? == Marked::NotThere {
        return Err(ApiError::missing(Code::ContactImportNotFound));
    }
    tx.commit().await?;
    finish_soon(&api.app, Doomed::Import(id)).await;
    Ok(Json(Deleted::new(id)))
}

pub(super) async fn contacts(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    Ids(id): Ids<ContactImportId>,
    mut parameters: Parameters,
) -> Result<Listed> {
    let asked = parameters.page();
    parameters.finish()?;
    let mut conn = api.app.store.read().await?;
    found(&mut conn, caller.account, id).await?;
    let rows = contacts::of_import(&mut conn, id, &asked.page()).await?;
    Ok(asked.answer(rows, |contact| contact.id, contact_shown))
}

pub(super) async fn found(conn: &mut Conn, account: AccountId, id: ContactImportId) -> Result<ContactImport> {
    contacts::find_import(conn, account, id).await?.ok_or_else(|| ApiError::missing(Code::ContactImportNotFound))
}

fn shown(import: ContactImport) -> ImportShown {
    let ContactImport { id, name, record_count, contact_count, created_at } = import;
    ImportShown { id, name, record_count, contact_count, created_at }
}
