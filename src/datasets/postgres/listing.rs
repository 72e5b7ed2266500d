//! Which datasets there are.

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row};

use super::super::identifiers::quoted;
use super::super::model::from_json;
use super::super::{Dataset, DatasetName, Error, ImportPlan, PublishMode};
use super::schema::MAX_COLUMNS;

const SELECT: &str = "SELECT name, columns, rows, created_at, place, relation FROM pausa_datasets.dataset";

/// A dataset and its table.
pub(super) struct CatalogEntry {
    pub(super) dataset: Dataset,
    pub(super) place: String,
    pub(super) relation: String,
}

impl CatalogEntry {
    /// The table's name, quoted.
    pub(super) fn table(&self) -> String {
        table(&self.place, &self.dataset.name)
    }
}

/// The name of a dataset's table in the schema `place`, quoted.
pub(super) fn table(place: &str, name: &DatasetName) -> String {
    format!("{}.{}", quoted(place), quoted(name.as_str()))
}

/// The dataset of that name.
pub(super) async fn get(pool: &PgPool, name: &DatasetName) -> Result<Option<Dataset>, Error> {
    let mut connection = pool.acquire().await?;
    Ok(find(&mut connection, name, "").await?.map(|entry| entry.dataset))
}

/// The dataset, which stays what and where it is until the transaction ends.
pub(super) async fn shared(transaction: &mut PgConnection, name: &DatasetName) -> Result<Option<CatalogEntry>, Error> {
    find(transaction, name, "FOR SHARE").await
}

/// The dataset, which nobody else reads or changes until the transaction ends; nor is one of that name made.
pub(super) async fn locked(transaction: &mut PgConnection, name: &DatasetName) -> Result<Option<CatalogEntry>, Error> {
    let lock = sqlx::query("SELECT pg_advisory_xact_lock(hashtext('pausa_datasets'), hashtext($1))");
    lock.bind(name.as_str()).execute(&mut *transaction).await?;
    find(transaction, name, "FOR UPDATE").await
}

async fn find(connection: &mut PgConnection, name: &DatasetName, lock: &str) -> Result<Option<CatalogEntry>, Error> {
    let query = sqlx::query(AssertSqlSafe(format!("{SELECT} WHERE name = $1 {lock}"))).bind(name.as_str());
    query.fetch_optional(connection).await?.map(|row| entry(&row)).transpose()
}

/// Those between the two names, by name ascending.
pub(super) async fn list(
    pool: &PgPool,
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
    let mut datasets = rows.iter().map(|row| Ok(entry(row)?.dataset)).collect::<Result<Vec<_>, Error>>()?;
    if from_end {
        datasets.reverse();
    }
    Ok(datasets)
}

/// How many there are.
pub(super) async fn count(pool: &PgPool) -> Result<u64, Error> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM pausa_datasets.dataset").fetch_one(pool).await?;
    Ok(count.unsigned_abs())
}

/// Refuses a plan that could not be published as things stand.
pub(super) async fn check(connection: &mut PgConnection, plan: &ImportPlan) -> Result<(), Error> {
    let existing = find(connection, &plan.dataset, "").await?;
    check_beside(connection, plan, existing.as_ref()).await
}

/// Refuses a plan that cannot be published beside `existing`, or whose name a table has that is not ours.
pub(super) async fn check_beside(
    connection: &mut PgConnection,
    plan: &ImportPlan,
    existing: Option<&CatalogEntry>,
) -> Result<(), Error> {
    if existing.is_none() && is_taken(connection, &plan.dataset).await? {
        return Err(match plan.mode {
            PublishMode::Create => Error::Exists(plan.dataset.clone()),
            PublishMode::Replace | PublishMode::Append => foreign(&plan.dataset),
        });
    }
    plan.check(existing.map(|entry| &entry.dataset), MAX_COLUMNS)
}

/// Whether there is a table, view or the like of that name where datasets are made.
async fn is_taken(connection: &mut PgConnection, name: &DatasetName) -> Result<bool, Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = current_schema() AND c.relname = $1)";
    Ok(sqlx::query_scalar(sql).bind(name.as_str()).fetch_one(connection).await?)
}

fn foreign(name: &DatasetName) -> Error {
    Error::Failed(format!("the table {name} is not one that an import made: choose another name"))
}

/// A name out of the catalog.
pub(super) fn named(text: &str) -> Result<DatasetName, Error> {
    text.parse().map_err(|error| Error::Failed(format!("the catalog: {error}")))
}

fn entry(row: &PgRow) -> Result<CatalogEntry, Error> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let name = named(&text("name")?)?;
    let created_at = text("created_at")?.parse().map_err(|error| Error::Failed(format!("the catalog: {error}")))?;
    let columns = from_json(&text("columns")?)?;
    let rows = row.try_get::<i64, _>("rows")?.unsigned_abs();
    let dataset = Dataset { name, columns, rows, created_at };
    Ok(CatalogEntry { dataset, place: text("place")?, relation: text("relation")? })
}
