//! The staging of an import: a table named by its task, and a row that holds the cursor.

use async_trait::async_trait;
use sqlx::PgPool;

use super::super::model::to_json;
use super::super::{Batch, Error, Mark, Plan, Published, Staging};
use super::copy::Copy;
use super::schema::{create_table, own_table};
use super::{fence, listing, rejects};
use crate::task::TaskId;

/// Opens, takes over or makes the staging of a task.
pub(super) async fn stage(pool: &PgPool, task: TaskId, epoch: i64, plan: &Plan) -> Result<Box<dyn Staging>, Error> {
    let Some((mut transaction, held)) = fence::take_over(pool, task, epoch).await? else {
        create(pool, task, epoch, plan).await?;
        return Ok(Box::new(Writing::new(pool, task, epoch, plan, None)));
    };
    if held.published {
        transaction.commit().await?;
        return Ok(Box::new(Published { cursor: held.cursor }));
    }
    if held.plan != *plan {
        return Err(Error::Failed(format!("the staging of {task} was made for another plan: discard it first")));
    }
    listing::check(&mut transaction, plan).await?;
    transaction.commit().await?;
    Ok(Box::new(Writing::new(pool, task, epoch, plan, held.cursor)))
}

async fn create(pool: &PgPool, task: TaskId, epoch: i64, plan: &Plan) -> Result<(), Error> {
    let mut transaction = pool.begin().await?;
    listing::check(&mut transaction, plan).await?;
    let sql = "INSERT INTO pausa_datasets.staging (task, epoch, plan) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let insert = sqlx::query(sql).bind(task.to_string()).bind(epoch).bind(to_json(plan)?);
    if insert.execute(&mut *transaction).await?.rows_affected() == 0 {
        return Err(Error::Unavailable("another run opens the staging right now".into()));
    }
    let create = sqlx::AssertSqlSafe(create_table(task, &plan.columns));
    sqlx::raw_sql(create).execute(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}

/// Drops the staging of a task, unless it is published or there is none.
pub(super) async fn discard(pool: &PgPool, task: TaskId, epoch: i64) -> Result<(), Error> {
    let Some((mut transaction, held)) = fence::take_over(pool, task, epoch).await? else {
        return Ok(());
    };
    if !held.published {
        let drop = format!("DROP TABLE IF EXISTS {}", own_table(&task.to_string()));
        sqlx::raw_sql(sqlx::AssertSqlSafe(drop)).execute(&mut *transaction).await?;
        let delete = sqlx::query("DELETE FROM pausa_datasets.staging WHERE task = $1").bind(task.to_string());
        delete.execute(&mut *transaction).await?;
        rejects::drop_all(&mut transaction, task).await?;
    }
    Ok(transaction.commit().await?)
}

/// The staging of one run. It holds a connection only for the time of a write.
struct Writing {
    pool: PgPool,
    task: TaskId,
    epoch: i64,
    cursor: Option<String>,
    copy: Copy,
}

impl Writing {
    fn new(pool: &PgPool, task: TaskId, epoch: i64, plan: &Plan, cursor: Option<String>) -> Self {
        let copy = Copy::new(&own_table(&task.to_string()), &plan.columns);
        Self { pool: pool.clone(), task, epoch, cursor, copy }
    }
}

#[async_trait]
impl Staging for Writing {
    fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    async fn write(&mut self, batch: Batch, mark: Mark) -> Result<Batch, Error> {
        self.copy.check(&batch)?;
        let mut transaction = self.pool.begin().await?;
        let sql = "UPDATE pausa_datasets.staging SET cursor = $3, rows = rows + $4
            WHERE task = $1 AND epoch = $2 AND NOT published RETURNING rows - $4";
        let rows = i64::try_from(batch.len()).unwrap_or(i64::MAX);
        let fenced = sqlx::query_scalar::<_, i64>(sql).bind(self.task.to_string()).bind(self.epoch);
        let before = fenced.bind(mark.cursor).bind(rows).fetch_optional(&mut *transaction).await?;
        let before = before.ok_or(Error::LeaseLost)?;
        rejects::add(&mut transaction, self.task, mark.rejects).await?;
        self.copy.send(&mut transaction, before, &batch).await?;
        transaction.commit().await?;
        Ok(batch)
    }

    async fn close(self: Box<Self>) -> Result<(), Error> {
        Ok(())
    }
}
