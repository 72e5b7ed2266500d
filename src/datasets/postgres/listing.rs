//! The catalog of datasets.

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::super::identifiers::quoted;
use super::super::model::from_json;
use super::super::publication::{NameUse, PublishStep};
use super::super::{Dataset, DatasetName, Error, ImportPlan};
use super::PgConnections;
use super::schema::MAX_COLUMNS;

const SELECT: &str = "SELECT name, columns, rows, created_at, place, relation FROM pausa_datasets.dataset";

/// A dataset and its table.
pub(super) struct CatalogEntry {
    pub(super) dataset: Dataset,
    pub(super) place: String,
    pub(super) relation: String,
}

impl CatalogEntry {
    /// Returns the name of the table, quoted.
    pub(super) fn table(&self) -> String {
        table(&self.place, &self.dataset.name)
    }
}

/// Returns the name of a dataset's table in the schema `place`, quoted.
pub(super) fn table(place: &str, name: &DatasetName) -> String {
    format!("{}.{}", quoted(place), quoted(name.as_str()))
}

/// Returns the dataset.
pub(super) async fn get(pool: &PgConnections, name: &DatasetName) -> Result<Option<Dataset>, Error> {
    let mut connection = pool.acquire().await?;
    let entry = find(&mut connection, name, "").await?;
    connection.release();
    Ok(entry.map(|entry| entry.dataset))
}

/// Returns the dataset, locked against changes until the transaction ends.
pub(super) async fn find_for_share(
    transaction: &mut PgConnection,
    name: &DatasetName,
) -> Result<Option<CatalogEntry>, Error> {
    find(transaction, name, "FOR SHARE").await
}

/// Returns the dataset, locked against reads and changes until the transaction ends. The name is locked too: no one
/// creates a dataset with it meanwhile.
pub(super) async fn find_for_update(
    transaction: &mut PgConnection,
    name: &DatasetName,
) -> Result<Option<CatalogEntry>, Error> {
    let lock = sqlx::query("SELECT pg_advisory_xact_lock(hashtext('pausa_datasets'), hashtext($1))");
    lock.bind(name.as_str()).execute(&mut *transaction).await?;
    find(transaction, name, "FOR UPDATE").await
}

async fn find(connection: &mut PgConnection, name: &DatasetName, lock: &str) -> Result<Option<CatalogEntry>, Error> {
    let query = sqlx::query(AssertSqlSafe(format!("{SELECT} WHERE name = $1 {lock}"))).bind(name.as_str());
    query.fetch_optional(connection).await?.map(|row| read_entry(&row)).transpose()
}

/// Returns the datasets between two names, by name ascending.
pub(super) async fn list(
    pool: &PgConnections,
    (after, before): (Option<&str>, Option<&str>),
    limit: u32,
    from_end: bool,
) -> Result<Vec<Dataset>, Error> {
    let order = if from_end { "DESC" } else { "ASC" };
    let sql = format!(
        "{SELECT} WHERE name > coalesce($1, '') AND ($2::text IS NULL OR name < $2) ORDER BY name {order} LIMIT $3"
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(after).bind(before).bind(i64::from(limit));
    let rows = query.fetch_all(pool).await?;
    let mut datasets = rows.iter().map(|row| Ok(read_entry(row)?.dataset)).collect::<Result<Vec<_>, Error>>()?;
    if from_end {
        datasets.reverse();
    }
    Ok(datasets)
}

/// Returns the number of datasets.
pub(super) async fn count(pool: &PgConnections) -> Result<u64, Error> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM pausa_datasets.dataset").fetch_one(pool).await?;
    Ok(count.unsigned_abs())
}

/// Refuses an import that could not be published now.
pub(super) async fn check(connection: &mut PgConnection, plan: &ImportPlan) -> Result<(), Error> {
    let existing = find(connection, &plan.dataset, "").await?;
    steps(connection, plan, existing.as_ref()).await.map(drop)
}

/// Returns the steps that publish an import beside `existing`, or the refusal.
pub(super) async fn steps(
    connection: &mut PgConnection,
    plan: &ImportPlan,
    existing: Option<&CatalogEntry>,
) -> Result<Vec<PublishStep>, Error> {
    let name_use = match existing {
        Some(entry) => NameUse::Dataset(&entry.dataset),
        None if is_taken(connection, &plan.dataset).await? => NameUse::OtherTable,
        None => NameUse::Free,
    };
    plan.publish_steps(name_use, MAX_COLUMNS)
}

/// Returns true if a table, view or similar has the name, in the schema for datasets.
async fn is_taken(connection: &mut PgConnection, name: &DatasetName) -> Result<bool, Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = current_schema() AND c.relname = $1)";
    Ok(sqlx::query_scalar(sql).bind(name.as_str()).fetch_one(connection).await?)
}

/// Parses a name in the catalog.
pub(super) fn parse_name(text: &str) -> Result<DatasetName, Error> {
    text.parse().map_err(|error| Error::Failed(format!("the catalog: {error}")))
}

fn read_entry(row: &PgRow) -> Result<CatalogEntry, Error> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let name = parse_name(&text("name")?)?;
    let created_at = text("created_at")?.parse().map_err(|error| Error::Failed(format!("the catalog: {error}")))?;
    let columns = from_json(&text("columns")?)?;
    let rows = row.try_get::<i64, _>("rows")?.unsigned_abs();
    let dataset = Dataset { name, columns, rows, created_at };
    Ok(CatalogEntry { dataset, place: text("place")?, relation: text("relation")? })
}
