//! The task store that uses the datasets of a database. Only one may.

use super::super::Error;
use super::PgConnections;

/// SQL that forgets the store, for a database whose store no longer exists.
const FORGET: &str = "DELETE FROM pausa_datasets.used_by";

/// Records the task store that uses the datasets of the database, on the server called `server`. Fails if that is another one. Nodes
/// that start together record the same store.
pub(super) async fn assign(pool: &PgConnections, store: &str, server: &str) -> Result<(), Error> {
    let insert = sqlx::query("INSERT INTO pausa_datasets.used_by (store) VALUES ($1) ON CONFLICT DO NOTHING");
    insert.bind(store).execute(pool).await?;
    let select = sqlx::query_as("SELECT store, current_database()::text FROM pausa_datasets.used_by");
    let (user, database): (String, String) = select.fetch_one(pool).await?;
    if user == store {
        return Ok(());
    }
    let place = format!("database {database:?} at {server}");
    Err(Error::used_by_another(&place, &format!("psql --dbname {database} --command '{FORGET}'")))
}
