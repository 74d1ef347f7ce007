//! Imports of contacts: as JSON, all of it or nothing, and as a CSV file that streams in, of which the good rows are kept.

mod columns;
mod csv;
mod gathering;
mod json;
mod writing;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request, State};
use axum::http::{StatusCode, header};
use futures_util::{Stream, StreamExt};
use serde::Serialize;
use tokio::runtime::Handle;
use utoipa::ToSchema;

use super::LARGEST_UPLOAD;
use super::answer::Answer;
use super::auth::{Caller, MayRead, MayWrite};
use super::body::{self, Ids, Raw, too_large};
use super::contacts::{ContactShown, shown as contact_shown};
use super::deleted::Deleted;
use super::error::{ApiError, Code, Result};
use super::query::{Listed, PageParameters, Parameters};
use super::state::Api;
use super::values::check_line;
use crate::deletions::{finish_of, finish_soon};
use crate::domain::Timestamp;
use crate::domain::ids::{AccountId, ContactImportId};
use crate::store::Conn;
use crate::store::contacts::{self, ContactImport, NewContact};
use crate::store::deletions::{self, Doomed, Marked};
use csv::{File, FileError};
pub(super) use gathering::Room;
use gathering::{Gatherer, gathering};
use json::Stopped;
use writing::Import;

/// Rejected rows that are named; the others are counted.
const MOST_REJECTED_NAMED: usize = 100;

/// What came of an import.
#[derive(Serialize, ToSchema)]
pub(super) struct Imported {
    id: ContactImportId,
    name: String,
    /// Records of the list or rows of the file, the bad ones among them; blank rows are none.
    record_count: u64,
    /// Addresses that the list or the account has already; left out when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    skipped: Option<u64>,
    #[serde(flatten)]
    #[schema(nullable = false)]
    file: Option<OfFile>,
}

/// What is told of a CSV file beside. None of it is required in the document: the answer to JSON has the same shape.
#[derive(Default, Serialize, ToSchema)]
struct OfFile {
    /// Rows that were not taken: the first hundred.
    #[schema(required = false)]
    rejected: Vec<Rejected>,
    /// How many were not taken.
    #[schema(required = false)]
    rejected_count: u64,
    /// Columns that nothing was taken from.
    #[schema(required = false)]
    ignored_columns: Vec<String>,
}

/// A row that was not taken.
#[derive(Serialize, ToSchema)]
struct Rejected {
    /// The line of the file in which the row begins, from 1.
    line: u64,
    error: String,
}

/// An import of contacts.
#[derive(Serialize, ToSchema)]
pub(super) struct ImportShown {
    id: ContactImportId,
    name: String,
    /// What the list held.
    record_count: u64,
    /// How many contacts of it there are.
    contact_count: u64,
    created_at: Timestamp,
}

/// Why the body of a file ended early.
#[derive(Debug, PartialEq, Eq)]
enum BodyError {
    TooLarge,
    Broken,
}

/// People to write to.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape alone; `json` reads it")]
struct NewContactImport {
    contact_import: ContactImportFields,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape alone; `json` reads it")]
struct ContactImportFields {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    #[schema(min_items = 1)]
    contacts: Vec<ContactFields>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "the shape alone; `json` reads it")]
struct ContactFields {
    /// Trimmed; compared in lower case with its domain in ASCII.
    email: String,
    /// Trimmed; null where nothing is left of it, as the others are.
    #[schema(max_length = 200)]
    first_name: Option<String>,
    #[schema(max_length = 200)]
    last_name: Option<String>,
    #[schema(max_length = 200)]
    company: Option<String>,
}

/// Import contacts
///
/// As JSON, of which all is taken or nothing, or as a CSV file (RFC 4180, UTF-8), of which the good rows are taken as they
/// come. At most 32 MiB. Addresses that the list or the account has already are skipped.
///
/// A file needs a header with the column `email`; `first_name`, `last_name` and `company` are taken where they are there, in
/// any order and case, other columns are passed over and named. Also understood: `E-mail`, `Email address`, `Mail`;
/// `First name`, `Given name`, `Forename`; `Last name`, `Surname`, `Family name`; `Company name`, `Organisation`. Two columns
/// that may both be a field are refused, unless one of them is named as here. Columns are parted by commas, semicolons or
/// tabs, whichever gives the header its column `email`; a first line `sep=;` decides it. A row may have 64 KiB.
///
/// A call with an `Idempotency-Key` that was cut off goes on with the import that it had begun when it is made again.
#[utoipa::path(post, path = "/contact_imports", operation_id = "create_contact_import", tag = "Contacts",
    params(("name" = Option<String>, Query, min_length = 1, max_length = 200,
        description = "The name of the import, where it is a CSV file: it must be given then.")),
    request_body(content((NewContactImport = "application/json"), (String = "text/csv"))),
    responses((status = CREATED, description = "It is made. The fields of a file are left out for JSON.", body = Imported)))]
pub(super) async fn create(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    mut parameters: Parameters,
    request: Request,
) -> Result<Answer> {
    let name = |text: &str| check_line(text, 1, 200).is_ok().then(|| text.to_owned());
    let name = parameters.optional("name", name, "one line of 1 to 200 characters");
    parameters.finish()?;
    match body::media_type(request.headers()).as_str() {
        "text/csv" => Box::pin(import_csv(&api, &caller, name, request)).await,
        _ => Box::pin(import_json(&api, &caller, request)).await,
    }
}

/// All of it or nothing: the whole body is looked at before the first contact is written.
async fn import_json(api: &Api, caller: &Caller, request: Request) -> Result<Answer> {
    body::check_json(request.headers())?;
    let _place = api.place_for_large_body().await?;
    let Raw(body) = Raw::from_request(request, api).await?;
    let now = api.now();
    let (body, heading) = on_a_thread(move || json::check(&body).map(|heading| (body, heading))).await??;
    if heading.record_count == 0 {
        return Err(ApiError::new(Code::NoContactsProvided, "The import holds no contacts."));
    }
    finish_of(&api.app, caller.account).await?;
    let import = Import::begin(caller, heading.name, now);
    let (gatherer, batches) = gathering(&api.room_for_imports);
    let runtime = Handle::current();
    let reading = on_a_thread(move || read_json(&body, now, gatherer, &runtime));
    let (written, read) = tokio::join!(import.write(&api.app.store, batches), reading);
    written?;
    read?.map_err(|Stopped| ApiError::bad_request("The body could not be read to its end."))?;
    finish(api, caller, &import, heading.record_count, None).await
}

/// The good rows are kept as they come; what is wrong with the others is told by their lines.
async fn import_csv(api: &Api, caller: &Caller, name: Option<String>, request: Request) -> Result<Answer> {
    let name = name.ok_or_else(|| {
        let details = serde_json::json!({ "name": ["is required for a file: ?name=Spring"] });
        ApiError { details, ..ApiError::bad_request("The query parameter name is missing.") }
    })?;
    body::check_charset(request.headers())?;
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
    let import = Import::begin(caller, name, now);
    let (gatherer, batches) = gathering(&api.room_for_imports);
    let mut told = OfFile { ignored_columns: file.columns().ignored.clone(), ..OfFile::default() };
    let reading = read_csv(&mut file, gatherer, &mut told, now);
    let (written, read) = tokio::join!(import.write(&api.app.store, batches), reading);
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
    finish(api, caller, &import, records, Some(told)).await
}

async fn undo(api: &Api, caller: &Caller, id: ContactImportId) -> Result<()> {
    let mut tx = api.app.store.begin().await?;
    deletions::mark_import(tx.conn(), caller.account, id, api.now()).await?;
    tx.commit().await?;
    finish_soon(&api.app, Doomed::Import(id)).await;
    Ok(())
}

/// The last transaction of an import.
async fn finish(
    api: &Api,
    caller: &Caller,
    import: &Import<'_>,
    record_count: u64,
    file: Option<OfFile>,
) -> Result<Answer> {
    let mut tx = api.app.store.begin().await?;
    let made = import.finish(&mut tx, record_count).await?;
    let rejected = file.as_ref().map_or(0, |file| file.rejected_count);
    let skipped = Some(record_count.saturating_sub(made + rejected)).filter(|skipped| *skipped > 0);
    let imported = Imported { id: import.id, name: import.name().to_owned(), record_count, skipped, file };
    caller.commit(tx, StatusCode::CREATED, &imported).await
}

fn read_json(
    body: &Bytes,
    now: Timestamp,
    mut gatherer: Gatherer,
    runtime: &Handle,
) -> std::result::Result<(), Stopped> {
    let mut records = 0;
    json::each(body, now, &mut |contact: NewContact| {
        records += 1;
        if gatherer.take(contact, records) { runtime.block_on(gatherer.hand_over()) } else { Ok(()) }
    })?;
    runtime.block_on(gatherer.finish())
}

/// Hands the good rows on and notes the others; gives how many there were.
async fn read_csv<S>(
    file: &mut File<S>,
    mut gatherer: Gatherer,
    told: &mut OfFile,
    now: Timestamp,
) -> std::result::Result<u64, BodyError>
where
    S: Stream<Item = std::result::Result<Bytes, BodyError>> + Unpin,
{
    let mut records = 0;
    while let Some(row) = file.next(now).await? {
        records += 1;
        match row.contact {
            Ok(contact) => {
                if gatherer.take(contact, records) && gatherer.hand_over().await == Err(Stopped) {
                    // The writer has failed, and tells of it.
                    return Ok(records);
                }
            }
            Err(error) => {
                told.rejected_count += 1;
                if told.rejected.len() < MOST_REJECTED_NAMED {
                    told.rejected.push(Rejected { line: row.line, error });
                }
            }
        }
    }
    // As above: whoever writes tells of its failure.
    let _ = gatherer.finish().await;
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

/// Runs what needs a processor for long where it keeps no other request waiting.
async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(ApiError::internal)
}

/// List the imports
#[utoipa::path(get, path = "/contact_imports", operation_id = "list_contact_imports", tag = "Contacts",
    params(PageParameters), responses((status = OK, description = "Newest first.", body = [ImportShown])))]
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

/// Show an import
#[utoipa::path(get, path = "/contact_imports/{id}", operation_id = "show_contact_import", tag = "Contacts",
    responses((status = OK, description = "With its counts.", body = ImportShown)))]
pub(super) async fn show(
    State(api): State<Api>,
    MayRead(caller): MayRead,
    Ids(id): Ids<ContactImportId>,
) -> Result<Json<ImportShown>> {
    let mut conn = api.app.store.read().await?;
    found(&mut conn, caller.account, id).await.map(|import| Json(shown(import)))
}

/// Delete an import
///
/// With its contacts and their enrollments; nothing that is planned for them leaves any more. The addresses of those who had
/// unsubscribed stay suppressed. Totals of campaigns follow; their rates say what they did and stay.
#[utoipa::path(delete, path = "/contact_imports/{id}", operation_id = "delete_contact_import", tag = "Contacts",
    responses((status = OK, description = "It is deleted.", body = Deleted<ContactImportId>)))]
pub(super) async fn delete(
    State(api): State<Api>,
    MayWrite(caller): MayWrite,
    Ids(id): Ids<ContactImportId>,
) -> Result<Answer> {
    let mut tx = api.app.store.begin().await?;
    if deletions::mark_import(tx.conn(), caller.account, id, api.now()).await? == Marked::NotThere {
        return Err(ApiError::missing(Code::ContactImportNotFound));
    }
    let answer = caller.commit(tx, StatusCode::OK, &Deleted::new(id)).await?;
    finish_soon(&api.app, Doomed::Import(id)).await;
    Ok(answer)
}

/// List the contacts of an import
#[utoipa::path(get, path = "/contact_imports/{id}/contacts", operation_id = "list_contacts_of_import", tag = "Contacts",
    params(PageParameters), responses((status = OK, description = "Newest first.", body = [ContactShown])))]
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
