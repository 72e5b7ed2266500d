//! Verbs of uploads: files that clients sent or are sending.
//!
//! An upload stays as long as a task refers to it. The transaction that deletes an upload locks its row and then checks that. So
//! a task that is started meanwhile either keeps the upload or finds that it does not exist.

use jiff::Timestamp;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Row};

use super::sql::{self, Sql};
use super::write::Write;
use super::{Error, Store, row};
use crate::access::Caller;
use crate::numbers::{signed, unsigned};

/// A file that a client sent or is sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// ID of the upload.
    pub id: String,
    /// File name given by the client.
    pub name: Option<String>,
    /// Upload-Metadata of the tus protocol, as the client sent it.
    pub metadata: Option<String>,
    /// Size of the complete file, in bytes. None if the client has not sent it yet.
    pub size: Option<u64>,
    /// SHA-256 of the file, lowercase hex. None until the file is complete and on disk.
    pub sha256: Option<String>,
    /// Time at which the upload began.
    pub created_at: Timestamp,
    /// Time of the last write, or of the deletion of the last task that read it.
    pub used_at: Timestamp,
}

impl Upload {
    /// Returns true if the file is complete, so that tasks may read it.
    pub fn is_complete(&self) -> bool {
        self.sha256.is_some()
    }
}

impl Store {
    /// Adds an upload.
    #[tracing::instrument(target = "otlp.store", name = "store.add_upload", skip_all, fields(%caller))]
    pub async fn add_upload(&self, caller: &Caller, upload: &Upload) -> Result<(), Error> {
        let upload = upload.clone();
        let add = move || {
            sqlx::query(sql::ADD_UPLOAD)
                .bind(upload.id.clone())
                .bind(upload.name.clone())
                .bind(upload.metadata.clone())
                .bind(upload.size.map(signed))
                .bind(upload.sha256.clone())
                .bind(upload.created_at.as_microsecond())
                .bind(upload.used_at.as_microsecond())
        };
        self.execute(add).await.map(drop)
    }

    /// Returns the upload, or None if it does not exist.
    #[tracing::instrument(target = "otlp.store", name = "store.upload", skip_all, fields(%caller))]
    pub async fn upload(&self, caller: &Caller, id: &str) -> Result<Option<Upload>, Error> {
        // No upload has such an ID, and PostgreSQL rejects it.
        if id.contains('\0') {
            return Ok(None);
        }
        let query = format!("{} WHERE id = $1", sql::UPLOADS);
        let query = sqlx::query(AssertSqlSafe(query)).bind(id.to_owned());
        let row = self.read(query.fetch_optional(&self.pool)).await?;
        Ok(row.as_ref().map(upload).transpose()?)
    }

    /// Records that the upload is used. False if it does not exist.
    #[tracing::instrument(target = "otlp.store", name = "store.use_upload", skip_all, fields(%caller))]
    pub async fn use_upload(&self, caller: &Caller, id: &str, at: Timestamp) -> Result<bool, Error> {
        let id = id.to_owned();
        Ok(self.execute(move || used(Some(id.clone()), at)).await? == 1)
    }

    /// Records the size of the complete file. False if the size is known already, or the upload does not exist.
    #[tracing::instrument(target = "otlp.store", name = "store.size_upload", skip_all, fields(%caller))]
    pub async fn size_upload(&self, caller: &Caller, id: &str, size: u64) -> Result<bool, Error> {
        let id = id.to_owned();
        let set_size = move || sqlx::query(sql::SIZE_UPLOAD).bind(id.clone()).bind(signed(size));
        Ok(self.execute(set_size).await? == 1)
    }

    /// Records that the file is complete and on disk. False if the upload does not exist.
    #[tracing::instrument(target = "otlp.store", name = "store.complete_upload", skip_all, fields(%caller))]
    pub async fn complete_upload(
        &self,
        caller: &Caller,
        id: &str,
        size: u64,
        sha256: &str,
        at: Timestamp,
    ) -> Result<bool, Error> {
        let (id, sha256) = (id.to_owned(), sha256.to_owned());
        let complete = move || {
            let query = sqlx::query(sql::COMPLETE_UPLOAD).bind(id.clone()).bind(signed(size));
            query.bind(sha256.clone()).bind(at.as_microsecond())
        };
        Ok(self.execute(complete).await? == 1)
    }

    /// Deletes an upload. False if a task refers to it, or it does not exist.
    #[tracing::instrument(target = "otlp.store", name = "store.delete_upload", skip_all, fields(%caller))]
    pub async fn delete_upload(&self, caller: &Caller, id: &str) -> Result<bool, Error> {
        self.write(Write::transaction((id.to_owned(), i64::MAX), delete_one)).await
    }

    /// Deletes at most `limit` uploads, complete or not, that no task refers to and that were not used since `before`, oldest
    /// first. Returns their IDs. Each ID is returned to one caller only, who deletes the file.
    #[tracing::instrument(target = "otlp.store", name = "store.delete_unused", skip_all)]
    pub async fn delete_unused(&self, before: Timestamp, limit: u32) -> Result<Vec<String>, Error> {
        self.write(Write::transaction((before.as_microsecond(), i64::from(limit)), delete_unused)).await
    }

    /// Returns when the least recently used upload that no task refers to was last used.
    #[tracing::instrument(target = "otlp.store", name = "store.next_unused", skip_all)]
    pub async fn next_unused(&self) -> Result<Option<Timestamp>, Error> {
        let row = self.read(sqlx::query(sql::NEXT_UNUSED).fetch_one(&self.pool)).await?;
        Ok(row::moment_if(&row, "used_at")?)
    }
}

/// Reads the upload of a row of [`sql::UPLOADS`].
pub(super) fn upload(row: &AnyRow) -> sqlx::Result<Upload> {
    Ok(Upload {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        metadata: row.try_get("metadata")?,
        size: row.try_get::<Option<i64>, _>("size")?.map(unsigned),
        sha256: row.try_get("sha256")?,
        created_at: row::moment(row, "created_at")?,
        used_at: row::moment(row, "used_at")?,
    })
}

/// Statement that records that an upload was used. Has no effect without an ID.
pub(super) fn used(id: Option<String>, at: Timestamp) -> Query<'static, Any, AnyArguments> {
    sqlx::query(sql::USE_UPLOAD).bind(id).bind(at.as_microsecond())
}

/// Returns true if the upload is complete. It stays until the transaction ends.
pub(super) async fn lock_complete(conn: &mut AnyConnection, sql: &Sql, id: &str) -> sqlx::Result<bool> {
    let row = sqlx::query(sql.complete_upload_locked.clone()).bind(id.to_owned()).fetch_optional(conn).await?;
    let Some(row) = row else { return Ok(false) };
    Ok(row.try_get::<Option<String>, _>("sha256")?.is_some())
}

async fn delete_one(conn: &mut AnyConnection, sql: &Sql, (id, before): &(String, i64)) -> sqlx::Result<bool> {
    sqlx::query(sql.upload_locked.clone()).bind(id.clone()).fetch_optional(&mut *conn).await?;
    delete(conn, id, *before).await
}

async fn delete_unused(conn: &mut AnyConnection, sql: &Sql, (before, limit): &(i64, i64)) -> sqlx::Result<Vec<String>> {
    let unused = sqlx::query(sql.unused.clone()).bind(*before).bind(*limit).fetch_all(&mut *conn).await?;
    let mut deleted = Vec::new();
    for row in unused {
        let id: String = row.try_get("id")?;
        if delete(conn, &id, *before).await? {
            deleted.push(id);
        }
    }
    Ok(deleted)
}

/// Deletes an upload whose row this transaction has locked. The statement sees every task that was written before the lock.
async fn delete(conn: &mut AnyConnection, id: &str, before: i64) -> sqlx::Result<bool> {
    let query = sqlx::query(sql::DELETE_UPLOAD).bind(id.to_owned()).bind(before);
    Ok(query.execute(conn).await?.rows_affected() == 1)
}
