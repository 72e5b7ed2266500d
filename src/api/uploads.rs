//! Uploads: their fields, list and deletion.

use async_graphql::connection::{Connection, ConnectionNameType, Edge, EdgeNameType, EmptyFields};
use async_graphql::{Context, ID, Object, OutputType};

use super::kinds::TaskObject;
use crate::access::Caller;
use crate::gql::error::{self, Result};
use crate::gql::paging::PageArguments;
use crate::gql::scalars::{Count, DateTime};
use crate::runner::BadInput;
use crate::state::AppState;
use crate::store::{Upload, UploadPage, UploadPlace, UploadRemoval};
use crate::task::Code;

/// A page of the list of uploads.
pub type UploadConnection = Connection<String, UploadObject, UploadTotal, EmptyFields, UploadListName, UploadListName>;

/// Names of the types of the list. They do not follow from that of its nodes.
pub struct UploadListName;

impl ConnectionNameType for UploadListName {
    fn type_name<T: OutputType>() -> String {
        "UploadConnection".to_owned()
    }
}

impl EdgeNameType for UploadListName {
    fn type_name<T: OutputType>() -> String {
        "UploadEdge".to_owned()
    }
}

/// An upload, for its type in the API.
pub struct UploadObject(pub Upload);

/// File that a client sent or is sending.
#[Object(name = "UploadedFile")]
impl UploadObject {
    /// Unique ID of the upload: the one that POST /uploads answers, and that `source.uploadId` of an import takes. Never reused.
    pub async fn id(&self) -> ID {
        ID(self.0.id.clone())
    }

    /// File name given by the client. Null if it gave none.
    async fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// Size of the complete file, in bytes. Null until the client has told it.
    async fn size(&self) -> Option<Count> {
        self.0.size.map(Count)
    }

    /// Bytes received.
    async fn received_bytes(&self, ctx: &Context<'_>) -> Result<Count> {
        let blobs = &ctx.data_unchecked::<AppState>().files.blobs;
        match self.0.size.filter(|_| self.0.is_complete()) {
            Some(size) => Ok(Count(size)),
            None => blobs.received_bytes(&self.0.id).await.map(Count).map_err(error::from_blobs),
        }
    }

    /// SHA-256 of the file, lowercase hex. Null until the file is complete.
    async fn sha256(&self) -> Option<&str> {
        self.0.sha256.as_deref()
    }

    /// Time at which the upload began.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// Time at which the upload is deleted if no task uses it until then. Null while a task refers to it, and if uploads are kept.
    async fn expires_at(&self, ctx: &Context<'_>) -> Result<Option<DateTime>> {
        let app = ctx.data_unchecked::<AppState>();
        let Some(life) = app.runner.settings().upload_life else { return Ok(None) };
        let is_used = !self.used_by(ctx).await?.is_empty();
        Ok(self.0.used_at.checked_add(life).ok().filter(|_| !is_used).map(DateTime))
    }

    /// Tasks that read the file: the newest 100, newest first.
    #[graphql(complexity = "20 + child_complexity")]
    async fn used_by(&self, ctx: &Context<'_>) -> Result<Vec<TaskObject>> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        let tasks = app.store.upload_users(caller, &self.0.id).await.map_err(error::from_store)?;
        Ok(tasks.into_iter().map(TaskObject::from).collect())
    }
}

/// Counts the uploads if the client selects the field.
pub struct UploadTotal;

#[Object]
impl UploadTotal {
    /// Number of uploads, on all pages.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<Count> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        app.store.count_uploads(caller).await.map(Count).map_err(error::from_store)
    }
}

/// The mutations of uploads.
#[derive(Default)]
pub struct UploadMutation;

#[Object]
impl UploadMutation {
    /// Deletes an upload, complete or not. Returns its ID. Refused with CONFLICT and the task's ID while an unfinished task needs it. A
    /// FAILED task that needs it cannot continue afterwards.
    async fn delete_upload(&self, ctx: &Context<'_>, #[graphql(desc = "ID of the upload.")] id: ID) -> Result<ID> {
        let (app, caller) = (ctx.data_unchecked::<AppState>(), ctx.data_unchecked::<Caller>());
        BadInput::check_text("id", Some(&id), usize::MAX).map_err(error::from_input)?;
        // A request that still sends the file is interrupted.
        let _lock = app.upload_locks.take(&id).await;
        match app.store.remove_upload(caller, &id).await.map_err(error::from_store)? {
            UploadRemoval::Removed => {
                app.files.blobs.delete_upload(&id).await.map_err(error::from_blobs)?;
                Ok(id)
            }
            UploadRemoval::Missing => Err(error::coded(Code::NotFound, format!("Upload {:?} not found.", id.as_str()))),
            UploadRemoval::Needed(task) => {
                let text = format!("Unfinished task {task} needs the upload. Wait for it, or terminate it.");
                Err(error::conflict(task, text))
            }
        }
    }
}

/// Reads a page of the list of uploads.
pub async fn list(app: &AppState, caller: &Caller, page: &PageArguments) -> Result<UploadConnection> {
    let (limit, from_end) = page.limit()?;
    let (after, before) = (place("after", page.after.as_deref())?, place("before", page.before.as_deref())?);
    let wanted = UploadPage { after, before, from_end, limit: limit + 1 };
    let mut uploads = app.store.uploads(caller, wanted).await.map_err(error::from_store)?;
    let (has_previous, has_next) = page.trim(&mut uploads, limit, from_end);
    let mut connection = Connection::with_additional_fields(has_previous, has_next, UploadTotal);
    connection.edges.extend(uploads.into_iter().map(|upload| Edge::new(cursor(&upload), UploadObject(upload))));
    Ok(connection)
}

fn cursor(upload: &Upload) -> String {
    format!("{}:{}", upload.created_at.as_microsecond(), upload.id)
}

fn place(field: &str, cursor: Option<&str>) -> Result<Option<UploadPlace>> {
    let Some(cursor) = cursor else { return Ok(None) };
    BadInput::check_text(field, Some(cursor), usize::MAX).map_err(error::from_input)?;
    let place = cursor.split_once(':').and_then(|(at, id)| {
        let at = jiff::Timestamp::from_microsecond(at.parse().ok()?).ok()?;
        Some((at, id.to_owned()))
    });
    place.map(Some).ok_or_else(|| error::bad_input(field, format!("{field} must be a cursor of this list.")))
}
