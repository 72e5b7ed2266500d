//! The verbs of uploads: what clients sent, until it is deleted.

use jiff::Timestamp;
use sqlx::Row;

use super::{Error, Store, row, sql};

/// A file that a client sent, whole and on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Its id.
    pub id: String,
    /// The name that the client gave it.
    pub name: Option<String>,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the bytes, in lower-case hexadecimal.
    pub sha256: String,
    /// When it was complete.
    pub created_at: Timestamp,
}

impl Store {
    /// Notes a complete upload.
    pub async fn add_upload(&self, upload: &Upload) -> Result<(), Error> {
        let upload = upload.clone();
        self.write(Box::new(move |conn| {
            let query = sqlx::query(sql::ADD_UPLOAD)
                .bind(upload.id.clone())
                .bind(upload.name.clone())
                .bind(row::signed(upload.size))
                .bind(upload.sha256.clone())
                .bind(upload.created_at.as_microsecond());
            Box::pin(async move { query.execute(conn).await.map(drop) })
        }))
        .await
    }

    /// The upload of that id.
    pub async fn upload(&self, id: &str) -> Result<Option<Upload>, Error> {
        let row = sqlx::query(sql::UPLOAD).bind(id.to_owned()).fetch_optional(&self.pool).await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Upload {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            size: row::unsigned(row.try_get("size")?),
            sha256: row.try_get("sha256")?,
            created_at: row::moment(&row, "created_at")?,
        }))
    }

    /// Forgets an upload that no task reads. False where one does.
    pub async fn delete_upload(&self, id: &str) -> Result<bool, Error> {
        let id = id.to_owned();
        self.write(Box::new(move |conn| {
            let query = sqlx::query(sql::DELETE_UPLOAD).bind(id.clone());
            Box::pin(async move { Ok(query.execute(conn).await?.rows_affected() == 1) })
        }))
        .await
    }
}
