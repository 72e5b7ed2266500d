//! Lists of uploads, the tasks that use one, and deletion by a client.

use jiff::Timestamp;
use sqlx::{AnyConnection, AssertSqlSafe, Row};
use std::sync::Arc;

use super::sql::{self, Sql};
use super::uploads::{Upload, upload};
use super::write::Write;
use super::{Error, Store, row};
use crate::access::Caller;
use crate::numbers::unsigned;
use crate::task::{Task, TaskId};

/// Maximum number of tasks of an upload that are returned.
const USERS: i64 = 100;

/// A place in the list of uploads: when one began, and its ID.
pub type UploadPlace = (Timestamp, String);

/// Part of the list of uploads.
#[derive(Clone, Debug, Default)]
pub struct UploadPage {
    /// Only uploads older than this place.
    pub after: Option<UploadPlace>,
    /// Only uploads newer than this place.
    pub before: Option<UploadPlace>,
    /// True to take the oldest of them instead of the newest.
    pub from_end: bool,
    /// Maximum number of uploads.
    pub limit: u32,
}

/// Outcome of a client's deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadRemoval {
    /// The upload is deleted. The caller deletes the file.
    Removed,
    /// There is no such upload.
    Missing,
    /// This unfinished task needs it.
    Needed(TaskId),
}

impl Store {
    /// Returns a page of the list, newest first.
    #[tracing::instrument(target = "otlp.store", name = "store.uploads", skip_all, fields(%caller))]
    pub async fn uploads(&self, caller: &Caller, page: UploadPage) -> Result<Vec<Upload>, Error> {
        let direction = if page.from_end { "ASC" } else { "DESC" };
        let (mut conditions, mut ids) = (Vec::new(), Vec::new());
        for (place, sign) in [(page.after, '<'), (page.before, '>')] {
            if let Some((at, id)) = place {
                ids.push(id);
                let at = at.as_microsecond();
                let id = ids.len();
                conditions.push(format!("created_at {sign}= {at} AND (created_at {sign} {at} OR id {sign} ${id})"));
            }
        }
        let text = format!(
            "{} {} ORDER BY created_at {direction}, id {direction} LIMIT {}",
            sql::UPLOADS,
            super::list_sql::where_all(&conditions),
            page.limit
        );
        let query = ids.into_iter().fold(sqlx::query(AssertSqlSafe(text)), |query, id| query.bind(id));
        let rows = self.read(query.fetch_all(&self.pool)).await?;
        let mut uploads = rows.iter().map(upload).collect::<sqlx::Result<Vec<_>>>()?;
        if page.from_end {
            uploads.reverse();
        }
        Ok(uploads)
    }

    /// Returns the number of uploads.
    #[tracing::instrument(target = "otlp.store", name = "store.count_uploads", skip_all, fields(%caller))]
    pub async fn count_uploads(&self, caller: &Caller) -> Result<u64, Error> {
        let row = self.read(sqlx::query(sql::COUNT_UPLOADS).fetch_one(&self.pool)).await?;
        Ok(unsigned(row.try_get("n")?))
    }

    /// Returns the newest 100 tasks that read the upload, newest first.
    #[tracing::instrument(target = "otlp.store", name = "store.upload_users", skip_all, fields(%caller))]
    pub async fn upload_users(&self, caller: &Caller, id: &str) -> Result<Vec<Arc<Task>>, Error> {
        let query = sqlx::query(self.sql.upload_users.clone()).bind(id.to_owned()).bind(USERS);
        let rows = self.read(query.fetch_all(&self.pool)).await?;
        Ok(rows.iter().map(|row| row::task(row).map(Arc::new)).collect::<sqlx::Result<_>>()?)
    }

    /// Deletes an upload unless an unfinished task needs it. Finished tasks no longer refer to it.
    #[tracing::instrument(target = "otlp.store", name = "store.remove_upload", skip_all, fields(%caller))]
    pub async fn remove_upload(&self, caller: &Caller, id: &str) -> Result<UploadRemoval, Error> {
        self.write(Write::transaction((id.to_owned(),), remove)).await
    }
}

async fn remove(conn: &mut AnyConnection, sql: &Sql, (id,): &(String,)) -> sqlx::Result<UploadRemoval> {
    let locked = sqlx::query(sql.upload_locked.clone()).bind(id.clone()).fetch_optional(&mut *conn).await?;
    if locked.is_none() {
        return Ok(UploadRemoval::Missing);
    }
    let needs = sqlx::query(sql::NEEDS_UPLOAD).bind(id.clone()).fetch_optional(&mut *conn).await?;
    if let Some(task) = needs {
        return Ok(UploadRemoval::Needed(row::id(&task)?));
    }
    sqlx::query(sql::FORGET_UPLOAD).bind(id.clone()).execute(&mut *conn).await?;
    sqlx::query(sql::REMOVE_UPLOAD).bind(id.clone()).execute(conn).await?;
    Ok(UploadRemoval::Removed)
}
