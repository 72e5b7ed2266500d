//! Facts about the store as a whole: each has a name and is recorded once.

use sqlx::{AnyConnection, Row};

use super::sql::{self, Sql};
use super::write::Write;
use super::{Error, Store};

impl Store {
    /// Returns the value of a fact. None if it was not recorded.
    #[tracing::instrument(target = "otlp.store", name = "store.fact", skip_all)]
    pub async fn fact(&self, name: &str) -> Result<Option<String>, Error> {
        let row = self.read(sqlx::query(sql::FACT).bind(name.to_owned()).fetch_optional(&self.pool)).await?;
        Ok(row.map(|row| row.try_get("value")).transpose()?)
    }

    /// Records a fact, unless it is recorded already. Returns the value that the store has then.
    #[tracing::instrument(target = "otlp.store", name = "store.record_fact", skip_all)]
    pub async fn record_fact(&self, name: &str, value: &str) -> Result<String, Error> {
        self.write(Write::transaction((name.to_owned(), value.to_owned()), record)).await
    }

    /// Returns true if the store has no task.
    #[tracing::instrument(target = "otlp.store", name = "store.is_empty", skip_all)]
    pub async fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.read(sqlx::query(sql::ANY_TASK).fetch_optional(&self.pool)).await?.is_none())
    }
}

async fn record(conn: &mut AnyConnection, _: &Sql, (name, value): &(String, String)) -> sqlx::Result<String> {
    sqlx::query(sql::ADD_FACT).bind(name.clone()).bind(value.clone()).execute(&mut *conn).await?;
    sqlx::query(sql::FACT).bind(name.clone()).fetch_one(conn).await?.try_get("value")
}
