//! The catalog of datasets.

use std::collections::HashMap;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::super::identifiers::quoted;
use super::super::model::{from_json, parse_task, update_time};
use super::super::publication::{NameUse, PublishStep};
use super::super::{Dataset, DatasetName, Error, ImportPlan};
use super::PgConnections;
use super::schema::MAX_COLUMNS;
use crate::task::TaskId;

const SELECT: &str =
    "SELECT name, columns, rows, created_at, place, relation, (SELECT max(at) FROM pausa_datasets.appended
    WHERE appended.relation = dataset.relation) AS appended_at FROM pausa_datasets.dataset";

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

/// Returns the tasks that imported the rows of the dataset, newest first.
pub(super) async fn importers(pool: &PgConnections, name: &DatasetName, limit: u32) -> Result<Vec<TaskId>, Error> {
    let sql = "SELECT task FROM (
            SELECT appended.task, appended.at FROM pausa_datasets.dataset JOIN pausa_datasets.appended USING (relation) WHERE name = $1
            UNION ALL SELECT relation, NULL FROM pausa_datasets.dataset WHERE name = $1
        ) AS importers ORDER BY at DESC NULLS LAST, task DESC LIMIT $2";
    let query = sqlx::query_scalar(sql).bind(name.as_str()).bind(i64::from(limit));
    let tasks: Vec<String> = query.fetch_all(pool).await?;
    tasks.iter().map(|task| parse_task(task)).collect()
}

/// Returns the bytes of the tables of these datasets, with their indexes.
pub(super) async fn sizes(pool: &PgConnections, names: &[DatasetName]) -> Result<HashMap<DatasetName, u64>, Error> {
    let sql =
        "SELECT name, pg_total_relation_size(to_regclass(quote_ident(place) || '.' || quote_ident(name))) AS bytes
        FROM pausa_datasets.dataset WHERE name = ANY ($1)";
    let names: Vec<&str> = names.iter().map(DatasetName::as_str).collect();
    let rows: Vec<(String, Option<i64>)> = sqlx::query_as(sql).bind(names).fetch_all(pool).await?;
    let sizes = rows.iter().filter_map(|(name, bytes)| Some((name, (*bytes)?.unsigned_abs())));
    sizes.map(|(name, bytes)| Ok((parse_name(name)?, bytes))).collect()
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
    let updated_at = update_time(created_at, row.try_get("appended_at")?)?;
    let dataset = Dataset { name, columns, rows, created_at, updated_at };
    Ok(CatalogEntry { dataset, place: text("place")?, relation: text("relation")? })
}
