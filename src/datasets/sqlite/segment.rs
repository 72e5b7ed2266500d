//! The file of one import: a table named like the dataset, and a table with one row of bookkeeping.

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, params};

use super::super::identifiers::{Rules, quoted};
use super::super::model::{from_json, to_json};
use super::super::{Batch, Checkpoint, Column, ColumnType, DatasetName, Error, ImportPlan};
use super::catalog::BUSY;
use super::inserting::insert;
use super::listing::unsigned;
use super::segment_folder::SegmentFolder;
use super::stored::declared;
use crate::numbers::signed;
use crate::task::TaskId;

/// `_rowid_` stays reserved for the row number.
const RULES: Rules = Rules { max_bytes: 1 << 20, fold_case: true, reserved: &["_rowid_"] };

/// A rollback journal writes added pages once; a WAL writes them twice. Truncating the journal is faster than unlinking
/// it. With FULL, a commit survives a power loss. The cache is limited to 4 MiB per open staging.
const PRAGMAS: &str = "PRAGMA page_size = 16384; PRAGMA journal_mode = TRUNCATE; PRAGMA synchronous = FULL;
    PRAGMA cache_size = -4096;";

/// The bookkeeping of an import. No dataset can have its name. Publishing drops the rejects.
const KEPT: &str =
    "CREATE TABLE _pausa (epoch INTEGER NOT NULL, cursor TEXT, rows INTEGER NOT NULL, plan TEXT NOT NULL);
    CREATE TABLE _pausa_rejects (number INTEGER PRIMARY KEY, lines BLOB NOT NULL)";

/// State after the last commit.
pub(super) struct Bookkeeping {
    pub(super) cursor: Option<String>,
    pub(super) rows: u64,
    pub(super) plan: ImportPlan,
}

/// The file of an import, open for the run of one epoch.
pub(super) struct Segment {
    pub(super) kept: Bookkeeping,
    connection: Connection,
    kinds: Vec<ColumnType>,
    epoch: i64,
}

impl Segment {
    /// Takes over the staging of a task, or creates it.
    pub(super) fn stage(files: &SegmentFolder, task: TaskId, epoch: i64, plan: &ImportPlan) -> Result<Self, Error> {
        let segment = match Self::take_over(files, task, epoch)? {
            Some(segment) => segment,
            None => Self::create(files, task, epoch, plan)?,
        };
        if segment.kept.plan == *plan {
            return Ok(segment);
        }
        Err(Error::Failed(format!("the staging of task {task} has another plan; discard it first")))
    }

    fn create(files: &SegmentFolder, task: TaskId, epoch: i64, plan: &ImportPlan) -> Result<Self, Error> {
        files.remove(&task.to_string())?;
        let mut connection = Connection::open(files.path(&task.to_string()))?;
        configure(&connection)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(&create_table(plan))?;
        transaction.execute_batch(KEPT)?;
        let kept = params![epoch, to_json(plan)?];
        transaction.execute("INSERT INTO _pausa (epoch, cursor, rows, plan) VALUES (?1, NULL, 0, ?2)", kept)?;
        transaction.commit()?;
        files.sync()?;
        let kept = Bookkeeping { cursor: None, rows: 0, plan: plan.clone() };
        Ok(Self::of(kept, connection, epoch))
    }

    /// Opens the staging of a task and fences off older epochs. `None` if there is none, or if a crash left an
    /// incomplete one.
    pub(super) fn take_over(files: &SegmentFolder, task: TaskId, epoch: i64) -> Result<Option<Self>, Error> {
        let path = files.path(&task.to_string());
        if !path.exists() {
            return Ok(None);
        }
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        configure(&connection)?;
        let sql = "SELECT 1 FROM sqlite_schema WHERE name = '_pausa'";
        if connection.query_row(sql, [], |_| Ok(())).optional()?.is_none() {
            return Ok(None);
        }
        if connection.execute("UPDATE _pausa SET epoch = ?1 WHERE epoch <= ?1", [epoch])? == 0 {
            return Err(Error::LeaseLost);
        }
        let kept = kept(&connection)?;
        Ok(Some(Self::of(kept, connection, epoch)))
    }

    fn of(kept: Bookkeeping, connection: Connection, epoch: i64) -> Self {
        let kinds = kept.plan.columns.iter().map(|column| column.kind).collect();
        Self { kept, connection, kinds, epoch }
    }

    /// Checks the epoch, and writes the rows and the checkpoint, in one transaction.
    pub(super) fn write(&mut self, batch: &Batch, checkpoint: &Checkpoint) -> Result<(), Error> {
        let width = self.kept.plan.columns.len();
        if batch.width() != width {
            return Err(Error::Failed(format!("the batch has {} columns, expected {width}", batch.width())));
        }
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let fenced = transaction
            .prepare_cached("UPDATE _pausa SET cursor = ?1, rows = rows + ?2 WHERE epoch = ?3")?
            .execute(params![checkpoint.cursor, i64::try_from(batch.len()).unwrap_or(i64::MAX), self.epoch])?;
        if fenced == 0 {
            return Err(Error::LeaseLost);
        }
        if !checkpoint.rejects.is_empty() {
            transaction.execute("INSERT INTO _pausa_rejects (lines) VALUES (?1)", [&checkpoint.rejects])?;
        }
        insert(&transaction, &table(&self.kept.plan.dataset), &self.kinds, batch)?;
        Ok(transaction.commit()?)
    }

    /// Returns the first piece of the rejects with at least this number, and the number after it.
    pub(super) fn rejects(files: &SegmentFolder, task: TaskId, from: u64) -> Result<Option<(Vec<u8>, u64)>, Error> {
        let connection = Connection::open_with_flags(files.path(&task.to_string()), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(BUSY)?;
        let sql = "SELECT lines, number + 1 FROM _pausa_rejects WHERE number >= ?1 ORDER BY number LIMIT 1";
        let piece = |row: &rusqlite::Row| Ok((row.get(0)?, unsigned(row, 1)?));
        Ok(connection.query_row(sql, [signed(from)], piece).optional()?)
    }

    /// Counts the rows, drops the rejects and ends the journal.
    pub(super) fn seal(&self) -> Result<(), Error> {
        let table = quoted(&table(&self.kept.plan.dataset));
        let sql = format!("SELECT count(*), coalesce(max(_rowid_), 0) FROM {table}");
        let counts = |row: &rusqlite::Row| Ok((unsigned(row, 0)?, unsigned(row, 1)?));
        let (count, last) = self.connection.query_row(&sql, [], counts)?;
        if count != self.kept.rows || last != count {
            return Err(Error::row_count_mismatch(count, self.kept.rows));
        }
        Ok(self.connection.execute_batch("DROP TABLE IF EXISTS _pausa_rejects; PRAGMA journal_mode = DELETE")?)
    }

    /// Returns true if no newer epoch took over, and nothing was written, since the segment was opened.
    pub(super) fn confirm(&self) -> Result<(), Error> {
        let sql = "SELECT epoch, rows FROM _pausa";
        let now = self.connection.query_row(sql, [], |row| Ok((row.get::<_, i64>(0)?, unsigned(row, 1)?)))?;
        if now == (self.epoch, self.kept.rows) { Ok(()) } else { Err(Error::LeaseLost) }
    }
}

/// Returns the name of a dataset's table. SQLite reserves names that start with `sqlite_`.
pub(super) fn table(name: &DatasetName) -> String {
    match name.as_str().to_ascii_lowercase().starts_with("sqlite_") {
        true => format!("_{name}"),
        false => name.to_string(),
    }
}

fn configure(connection: &Connection) -> Result<(), Error> {
    connection.busy_timeout(BUSY)?;
    Ok(connection.execute_batch(PRAGMAS)?)
}

/// Returns the column names in the table, quoted.
pub(super) fn names(columns: &[Column]) -> Vec<String> {
    RULES.identifiers(columns).iter().map(|name| quoted(name)).collect()
}

fn create_table(plan: &ImportPlan) -> String {
    let columns = names(&plan.columns).into_iter().zip(&plan.columns);
    let columns: Vec<_> = columns.map(|(name, column)| format!("{name} {}", declared(column.kind))).collect();
    format!("CREATE TABLE {} ({})", quoted(&table(&plan.dataset)), columns.join(", "))
}

fn kept(connection: &Connection) -> Result<Bookkeeping, Error> {
    let fields = |row: &rusqlite::Row| Ok((row.get(0)?, unsigned(row, 1)?, row.get::<_, String>(2)?));
    let (cursor, rows, plan) = connection.query_row("SELECT cursor, rows, plan FROM _pausa", [], fields)?;
    Ok(Bookkeeping { cursor, rows, plan: from_json(&plan)? })
}
