//! Columns of a task: name, type, when it is written, and the place of its value in [`Task`].
//!
//! The statements, the rows that are written and the tasks that are read follow from [`TASK_COLUMNS`]. A new column is a line
//! here and a migration.

mod lists;
mod options;
mod values;

use self::WrittenAt::{Change, Start, StartAndChange};
pub use self::values::{Cell, Value, decode};
use crate::numbers::{signed, unsigned};
use crate::task::{IdempotencyKey, PauseExpiry, ResultFile, Task, TaskError, Unit, Verb};

/// Name and type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnDef {
    /// Name of the column.
    pub name: &'static str,
    /// SQL type of the column.
    pub sql_type: &'static str,
}

/// Occasion on which a column of a task is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrittenAt {
    /// Only when the task starts.
    Start,
    /// At the start of the task and at each change.
    StartAndChange,
    /// At each change. Null until the first one.
    Change,
}

/// A column of the table `tasks`.
pub struct TaskColumn {
    /// Name and type.
    pub def: ColumnDef,
    /// Occasion on which the column is written.
    pub written: WrittenAt,
    /// Takes the value from a task.
    pub get: fn(&Task) -> Value<'_>,
    /// Puts the value into a task. Columns are read in their order here.
    pub set: fn(&mut Task, Cell<'_>) -> sqlx::Result<()>,
}

const fn text(
    name: &'static str,
    written: WrittenAt,
    get: fn(&Task) -> Value<'_>,
    set: fn(&mut Task, Cell<'_>) -> sqlx::Result<()>,
) -> TaskColumn {
    TaskColumn { def: ColumnDef { name, sql_type: "TEXT" }, written, get, set }
}

const fn integer(
    name: &'static str,
    written: WrittenAt,
    get: fn(&Task) -> Value<'_>,
    set: fn(&mut Task, Cell<'_>) -> sqlx::Result<()>,
) -> TaskColumn {
    TaskColumn { def: ColumnDef { name, sql_type: "BIGINT" }, written, get, set }
}

/// Every column of the table `tasks`.
pub static TASK_COLUMNS: [TaskColumn; 54] = [
    text("id", Start, |task| task.id.to_string().into(), |task, cell| cell.parsed().map(|id| task.id = id)),
    text("kind", Start, |task| (&*task.kind).into(), |task, cell| cell.text().map(|kind| task.kind = kind)),
    options::LABEL,
    lists::DATASET,
    lists::FILE_NAME,
    lists::SEARCH_TEXT,
    text("spec", Start, |task| (&*task.spec).into(), |task, cell| cell.text().map(|spec| task.spec = spec)),
    text(
        "unit",
        Start,
        |task| stored_unit(&task.progress.unit).into(),
        |task, cell| cell.text().map(|unit| task.progress.unit = Unit::from(&*unit)),
    ),
    // The CHECK of the column `unit` allows only the units of the first version.
    text(
        "unit_name",
        Start,
        |task| unit_name(&task.progress.unit).into(),
        |task, cell| cell.text_if().map(|name| name.iter().for_each(|name| task.progress.unit = Unit::from(&**name))),
    ),
    integer(
        "created_at",
        Start,
        |task| task.created_at.into(),
        |task, cell| cell.moment().map(|at| task.created_at = at),
    ),
    integer(
        "start_at",
        StartAndChange,
        |task| task.start_at.into(),
        |task, cell| cell.moment_if().map(|at| task.start_at = at),
    ),
    text(
        "exclusive",
        Start,
        |task| task.unique_key.as_deref().into(),
        |task, cell| cell.text_if().map(|key| task.unique_key = key),
    ),
    text(
        "idempotency_key",
        Start,
        |task| task.idempotency_key.as_ref().map(|key| &*key.text).into(),
        |task, cell| {
            let key = |text| IdempotencyKey { text, input_sha256: None };
            cell.text_if().map(|text| task.idempotency_key = text.map(key))
        },
    ),
    text("input_sha256", Start, input_sha256, |task, cell| {
        let sha256 = cell.text_if()?;
        task.idempotency_key.iter_mut().for_each(|key| key.input_sha256.clone_from(&sha256));
        Ok(())
    }),
    text(
        "upload_id",
        Start,
        |task| task.upload.as_deref().into(),
        |task, cell| cell.text_if().map(|upload| task.upload = upload),
    ),
    text(
        "lane",
        Start,
        |task| task.concurrency_key.as_deref().into(),
        |task, cell| cell.text_if().map(|key| task.concurrency_key = key),
    ),
    text(
        "trace_parent",
        Start,
        |task| task.trace_parent.as_deref().into(),
        |task, cell| cell.text_if().map(|parent| task.trace_parent = parent),
    ),
    integer(
        "version",
        StartAndChange,
        |task| task.version.into(),
        |task, cell| cell.integer().map(|version| task.version = version),
    ),
    text(
        "state",
        StartAndChange,
        |task| task.state.as_str().into(),
        |task, cell| cell.parsed().map(|state| task.state = state),
    ),
    integer(
        "epoch",
        StartAndChange,
        |task| task.epoch.into(),
        |task, cell| cell.integer().map(|epoch| task.epoch = epoch),
    ),
    text(
        "owner",
        Change,
        |task| task.owner.as_deref().into(),
        |task, cell| cell.text_if().map(|owner| task.owner = owner),
    ),
    text(
        "cursor",
        Change,
        |task| task.cursor.as_deref().into(),
        |task, cell| cell.text_if().map(|cursor| task.cursor = cursor),
    ),
    text(
        "phase",
        StartAndChange,
        |task| (&*task.progress.phase).into(),
        |task, cell| cell.text().map(|phase| task.progress.phase = phase),
    ),
    integer(
        "done",
        StartAndChange,
        |task| signed(task.progress.done).into(),
        |task, cell| cell.integer().map(|done| task.progress.done = unsigned(done)),
    ),
    integer(
        "total",
        StartAndChange,
        |task| task.progress.total.map(signed).into(),
        |task, cell| cell.integer_if().map(|total| task.progress.total = total.map(unsigned)),
    ),
    integer("active", StartAndChange, active, |task, cell| {
        cell.integer().map(|active| task.progress.active = std::time::Duration::from_micros(unsigned(active)))
    }),
    integer(
        "progress_at",
        StartAndChange,
        |task| task.progress.updated_at.into(),
        |task, cell| cell.moment().map(|at| task.progress.updated_at = at),
    ),
    integer(
        "attempt",
        StartAndChange,
        |task| i64::from(task.attempt).into(),
        |task, cell| cell.count().map(|attempt| task.attempt = attempt),
    ),
    integer(
        "crashes",
        StartAndChange,
        |task| i64::from(task.crashes).into(),
        |task, cell| cell.count().map(|crashes| task.crashes = crashes),
    ),
    integer(
        "failures",
        StartAndChange,
        |task| i64::from(task.failures).into(),
        |task, cell| cell.count().map(|failures| task.failures = failures),
    ),
    integer(
        "waits",
        StartAndChange,
        |task| i64::from(task.waits).into(),
        |task, cell| cell.count().map(|waits| task.waits = waits),
    ),
    text(
        "error_code",
        Change,
        |task| task.error.as_ref().map(|error| error.code.as_str()).into(),
        |task, cell| {
            let error = |code: String| TaskError::new(code.as_str(), "");
            cell.text_if().map(|code| task.error = code.map(error))
        },
    ),
    text(
        "error_message",
        Change,
        |task| task.error.as_ref().map(|error| &*error.message).into(),
        |task, cell| {
            cell.text_if().map(|text| task.error.iter_mut().zip(text).for_each(|(error, text)| error.message = text))
        },
    ),
    text(
        "result_name",
        Change,
        |task| task.result.as_ref().map(|file| &*file.name).into(),
        |task, cell| {
            let file = |name| ResultFile { name, size: 0, content_type: String::new(), sha256: String::new() };
            cell.text_if().map(|name| task.result = name.map(file))
        },
    ),
    integer(
        "result_size",
        Change,
        |task| task.result.as_ref().map(|file| signed(file.size)).into(),
        |task, cell| {
            let size = cell.integer_if()?;
            task.result.iter_mut().zip(size).for_each(|(file, size)| file.size = unsigned(size));
            Ok(())
        },
    ),
    text(
        "result_type",
        Change,
        |task| task.result.as_ref().map(|file| &*file.content_type).into(),
        |task, cell| {
            cell.text_if()
                .map(|text| task.result.iter_mut().zip(text).for_each(|(file, text)| file.content_type = text))
        },
    ),
    text(
        "result_sha256",
        Change,
        |task| task.result.as_ref().map(|file| &*file.sha256).into(),
        |task, cell| {
            cell.text_if().map(|text| task.result.iter_mut().zip(text).for_each(|(file, text)| file.sha256 = text))
        },
    ),
    integer(
        "started_at",
        Change,
        |task| task.started_at.into(),
        |task, cell| cell.moment_if().map(|at| task.started_at = at),
    ),
    integer(
        "finished_at",
        Change,
        |task| task.finished_at.into(),
        |task, cell| cell.moment_if().map(|at| task.finished_at = at),
    ),
    integer(
        "paused_at",
        Change,
        |task| task.paused_at.into(),
        |task, cell| cell.moment_if().map(|at| task.paused_at = at),
    ),
    lists::UPDATED_AT,
    integer(
        "due_at",
        StartAndChange,
        |task| task.due_at.into(),
        |task, cell| cell.moment_if().map(|at| task.due_at = at),
    ),
    integer(
        "due_since",
        StartAndChange,
        |task| task.due_since.into(),
        |task, cell| cell.moment_if().map(|at| task.due_since = at),
    ),
    integer(
        "expires_at",
        Change,
        |task| task.expiry.map(|expiry| expiry.at).into(),
        |task, cell| {
            let expiry = |at| PauseExpiry { at, then: Verb::Resume };
            cell.moment_if().map(|at| task.expiry = at.map(expiry))
        },
    ),
    text(
        "expire_then",
        Change,
        |task| task.expiry.map(|expiry| expiry.then.as_str()).into(),
        |task, cell| {
            let name = cell.text_if()?;
            let then = Verb::ALL.into_iter().find(|verb| Some(verb.as_str()) == name.as_deref());
            task.expiry = task.expiry.zip(then).map(|(expiry, then)| PauseExpiry { then, ..expiry });
            Ok(())
        },
    ),
    options::TAGS,
    options::PRIORITY,
    options::NOTIFY_URL,
    options::CREATED_BY,
    options::MAX_ROWS_PER_SECOND,
    options::ERROR_LINE,
    options::ERROR_COLUMN,
    options::ERROR_COLUMN_NAME,
    options::ERROR_RETRYABLE,
];

/// Columns of the table `task_changes`, the histories of tasks.
pub const HISTORY_COLUMNS: [ColumnDef; 7] = [
    ColumnDef { name: "task_id", sql_type: "TEXT" },
    ColumnDef { name: "version", sql_type: "BIGINT" },
    ColumnDef { name: "from_state", sql_type: "TEXT" },
    ColumnDef { name: "to_state", sql_type: "TEXT" },
    ColumnDef { name: "at", sql_type: "BIGINT" },
    ColumnDef { name: "by_whom", sql_type: "TEXT" },
    ColumnDef { name: "reason", sql_type: "TEXT" },
];

fn input_sha256(task: &Task) -> Value<'_> {
    task.idempotency_key.as_ref().and_then(|key| key.input_sha256.as_deref()).into()
}

fn active(task: &Task) -> Value<'_> {
    Value::Integer(i64::try_from(task.progress.active.as_micros()).unwrap_or(i64::MAX))
}

/// The unit as the column `unit` can hold it: TERMS if the embedding program defined it.
fn stored_unit(unit: &Unit) -> &str {
    if Unit::KNOWN.contains(unit) { unit.as_str() } else { Unit::Terms.as_str() }
}

/// Name of a unit that the embedding program defined.
fn unit_name(unit: &Unit) -> Option<&str> {
    match unit {
        Unit::Custom(name) => Some(name),
        _ => None,
    }
}
