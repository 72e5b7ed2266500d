//! The verbs of uploads: what clients sent or are sending, until it is deleted.
//!
//! An upload stays as long as a task names it. Whether one does is decided in the transaction that deletes it, with the
//! row locked: a task that is started meanwhile either comes first and keeps it, or finds that it is gone.

use jiff::Timestamp;
use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, Row};

use super::sql::{self, Sql};
use super::{Error, Op, Store, row};

/// A file that a client sent, or is sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Its id.
    pub id: String,
    /// The name that the client gave it.
    pub name: Option<String>,
    /// What else the client said of it, as it said it (tus: Upload-Metadata).
    pub metadata: Option<String>,
    /// Bytes of the whole file; none where the client will say it later.
    pub size: Option<u64>,
    /// SHA-256 of all bytes, in lower-case hexadecimal; none until the file is whole and on disk.
    pub sha256: Option<String>,
    /// When it was begun, or came in one go.
    pub created_at: Timestamp,
    /// When it was last written to, or a task that read it was last deleted.
    pub used_at: Timestamp,
}

impl Upload {
    /// All of it is here: a task may read it.
    pub fn is_whole(&self) -> bool {
        self.sha256.is_some()
    }
}

impl Store {
    /// Notes an upload.
    #[tracing::instrument(target = "otlp.store", name = "store.add_upload", skip_all)]
    pub async fn add_upload(&self, upload: &Upload) -> Result<(), Error> {
        let upload = upload.clone();
        self.write(Op::transaction(move |conn| {
            let query = sqlx::query(sql::ADD_UPLOAD)
                .bind(upload.id.clone())
                .bind(upload.name.clone())
                .bind(upload.metadata.clone())
                .bind(upload.size.map(row::signed))
                .bind(upload.sha256.clone())
                .bind(upload.created_at.as_microsecond())
                .bind(upload.used_at.as_microsecond());
            Box::pin(async move { query.execute(conn).await.map(drop) })
        }))
        .await
    }

    /// The upload of that id.
    #[tracing::instrument(target = "otlp.store", name = "store.upload", skip_all)]
    pub async fn upload(&self, id: &str) -> Result<Option<Upload>, Error> {
        // No upload has such an ID, and PostgreSQL does not even compare it.
        if id.contains('\0') {
            return Ok(None);
        }
        let row = self.read(sqlx::query(sql::UPLOAD).bind(id.to_owned()).fetch_optional(&self.pool)).await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Upload {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            metadata: row.try_get("metadata")?,
            size: row.try_get::<Option<i64>, _>("size")?.map(row::unsigned),
            sha256: row.try_get("sha256")?,
            created_at: row::moment(&row, "created_at")?,
            used_at: row::moment(&row, "used_at")?,
        }))
    }

    /// Somebody writes to it. False where it is gone.
    #[tracing::instrument(target = "otlp.store", name = "store.use_upload", skip_all)]
    pub async fn use_upload(&self, id: &str, at: Timestamp) -> Result<bool, Error> {
        let id = id.to_owned();
        self.one_upload(move || used(Some(id.clone()), at)).await
    }

    /// Notes how many bytes it will have. False where that was said before, or it is gone.
    #[tracing::instrument(target = "otlp.store", name = "store.size_upload", skip_all)]
    pub async fn size_upload(&self, id: &str, size: u64) -> Result<bool, Error> {
        let id = id.to_owned();
        self.one_upload(move || sqlx::query(sql::SIZE_UPLOAD).bind(id.clone()).bind(row::signed(size))).await
    }

    /// It is whole and on disk. False where it is gone.
    #[tracing::instrument(target = "otlp.store", name = "store.complete_upload", skip_all)]
    pub async fn complete_upload(&self, id: &str, size: u64, sha256: &str, at: Timestamp) -> Result<bool, Error> {
        let (id, sha256) = (id.to_owned(), sha256.to_owned());
        self.one_upload(move || {
            let query = sqlx::query(sql::COMPLETE_UPLOAD).bind(id.clone()).bind(row::signed(size));
            query.bind(sha256.clone()).bind(at.as_microsecond())
        })
        .await
    }

    /// Forgets an upload that no task reads. False where one does, or it is gone.
    #[tracing::instrument(target = "otlp.store", name = "store.delete_upload", skip_all)]
    pub async fn delete_upload(&self, id: &str) -> Result<bool, Error> {
        let (id, lock) = (id.to_owned(), self.sql.upload_locked.clone());
        self.write(Op::transaction(move |conn| {
            let (id, lock) = (id.clone(), lock.clone());
            Box::pin(async move {
                sqlx::query(lock).bind(id.clone()).fetch_optional(&mut *conn).await?;
                delete(conn, &id, i64::MAX).await
            })
        }))
        .await
    }

    /// Forgets uploads, whole or not, that no task reads and nobody used since `before`: at most `limit` of them, the
    /// oldest first. Each is told to one caller only, who deletes its file.
    #[tracing::instrument(target = "otlp.store", name = "store.delete_unused", skip_all)]
    pub async fn delete_unused(&self, before: Timestamp, limit: u32) -> Result<Vec<String>, Error> {
        let (before, unused) = (before.as_microsecond(), self.sql.unused.clone());
        self.write(Op::transaction(move |conn| {
            let query = sqlx::query(unused.clone()).bind(before).bind(i64::from(limit));
            Box::pin(async move {
                let mut deleted = Vec::new();
                for row in query.fetch_all(&mut *conn).await? {
                    let id: String = row.try_get("id")?;
                    if delete(conn, &id, before).await? {
                        deleted.push(id);
                    }
                }
                Ok(deleted)
            })
        }))
        .await
    }

    /// When the upload was last used that no task reads and that nobody used for longest.
    #[tracing::instrument(target = "otlp.store", name = "store.next_unused", skip_all)]
    pub async fn next_unused(&self) -> Result<Option<Timestamp>, Error> {
        let row = self.read(sqlx::query(sql::NEXT_UNUSED).fetch_one(&self.pool)).await?;
        Ok(row::moment_if(&row, "used_at")?)
    }

    /// A statement that changes one upload, or none.
    async fn one_upload<F>(&self, query: F) -> Result<bool, Error>
    where
        F: Fn() -> Query<'static, Any, AnyArguments> + Send + Sync + 'static,
    {
        self.write(Op::transaction(move |conn| {
            let query = query();
            Box::pin(async move { Ok(query.execute(conn).await?.rows_affected() == 1) })
        }))
        .await
    }
}

/// Notes that an upload was used; where there is none, nothing.
pub(super) fn used(id: Option<String>, at: Timestamp) -> Query<'static, Any, AnyArguments> {
    sqlx::query(sql::USE_UPLOAD).bind(id).bind(at.as_microsecond())
}

/// The upload is whole, and stays until the transaction ends.
pub(super) async fn kept(conn: &mut AnyConnection, sql: &Sql, id: &str) -> sqlx::Result<bool> {
    let row = sqlx::query(sql.upload_kept.clone()).bind(id.to_owned()).fetch_optional(conn).await?;
    let Some(row) = row else { return Ok(false) };
    Ok(row.try_get::<Option<String>, _>("sha256")?.is_some())
}

/// Deletes a row that this transaction has locked, by a statement that sees every task that was written before the lock.
async fn delete(conn: &mut AnyConnection, id: &str, before: i64) -> sqlx::Result<bool> {
    let query = sqlx::query(sql::DELETE_UPLOAD).bind(id.to_owned()).bind(before);
    Ok(query.execute(conn).await?.rows_affected() == 1)
}
