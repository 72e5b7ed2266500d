//! Rejected rows of imports, in pieces.

use sqlx::PgConnection;

use super::super::Error;
use super::PgConnections;
use crate::task::TaskId;

/// Adds a piece. Ignores an empty one.
pub(super) async fn add(transaction: &mut PgConnection, task: TaskId, lines: &[u8]) -> Result<(), Error> {
    if !lines.is_empty() {
        let insert = sqlx::query("INSERT INTO pausa_datasets.reject (task, lines) VALUES ($1, $2)");
        insert.bind(task.to_string()).bind(lines).execute(transaction).await?;
    }
    Ok(())
}

/// Returns the first piece with at least this number, and the number after it.
pub(super) async fn next(pool: &PgConnections, task: TaskId, from: u64) -> Result<Option<(Vec<u8>, u64)>, Error> {
    let sql = "SELECT lines, number + 1 FROM pausa_datasets.reject WHERE task = $1 AND number >= $2
        ORDER BY number LIMIT 1";
    let query = sqlx::query_as::<_, (Vec<u8>, i64)>(sql).bind(task.to_string());
    let piece = query.bind(i64::try_from(from).unwrap_or(i64::MAX)).fetch_optional(pool).await?;
    Ok(piece.map(|(lines, next)| (lines, next.unsigned_abs())))
}

/// Deletes all rejects of a task.
pub(super) async fn drop_all(transaction: &mut PgConnection, task: TaskId) -> Result<(), Error> {
    let delete = sqlx::query("DELETE FROM pausa_datasets.reject WHERE task = $1").bind(task.to_string());
    delete.execute(transaction).await?;
    Ok(())
}
