//! Changes of state since a moment, by the index of updates.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Error, Store, row};
use crate::bus::ChangePosition;

impl Store {
    /// Returns the next 1,000 tasks by the time of their last change of state, after `position`, with their versions.
    #[tracing::instrument(target = "otlp.store", name = "store.changes_after", skip_all)]
    pub async fn changes_after(&self, position: ChangePosition) -> Result<Vec<(ChangePosition, i64)>, Error> {
        let query = sqlx::query(self.sql.changes_after.clone());
        let query = query.bind(position.at.as_microsecond()).bind(position.id.to_string());
        let rows = self.read(query.fetch_all(&self.pool)).await?;
        Ok(rows.iter().map(change).collect::<sqlx::Result<_>>()?)
    }
}

fn change(row: &AnyRow) -> sqlx::Result<(ChangePosition, i64)> {
    Ok((ChangePosition { at: row::moment(row, "at")?, id: row::id(row)? }, row.try_get("version")?))
}
