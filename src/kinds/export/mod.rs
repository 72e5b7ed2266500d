//! Exports: a dataset as it stood when the export started, as RFC 4180 CSV.

pub mod api;
mod encode;

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::datasets::{DatasetName, Datasets, Snapshot};
use crate::runner::{BadInput, Context, Failure, Kind, Plan, Report, Stop};
use crate::task::{ResultFile, Unit};

/// The kind's name in the store.
pub const NAME: &str = "export";

/// Rows that are read at once.
const ROWS: u32 = 8192;

/// The file in the task's folder.
const FILE: &str = "export.csv";

/// The kind `export`.
pub struct Export {
    /// Where the rows are.
    pub datasets: Arc<dyn Datasets>,
}

/// What an export is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The dataset.
    pub dataset: DatasetName,
}

/// How far an export came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    /// Rows in the file.
    rows: u64,
    /// The file's length with them; what lies behind is cut off.
    bytes: u64,
}

#[async_trait]
impl Kind for Export {
    fn name(&self) -> &'static str {
        NAME
    }

    fn plan(&self, spec: &serde_json::Value) -> Result<Plan, BadInput> {
        super::read_spec::<Spec>(spec)?;
        Ok(Plan { unit: Unit::Rows, total: None, exclusive: None, upload: None })
    }

    async fn run(&self, context: &Context) -> Result<Option<ResultFile>, Stop> {
        let spec: Spec = context.spec()?;
        let snapshot = self.datasets.pin(context.id(), &spec.dataset).await.map_err(Failure::from)?;
        let path = context.work().await?.join(FILE);
        self.write(context, &snapshot, &path).await?;
        let sealed = context.files().seal(context.id(), &path).await;
        let sealed = sealed.map_err(|error| Failure::io("the exported file", &error))?;
        Ok(Some(ResultFile {
            name: format!("{}.csv", spec.dataset),
            size: sealed.size,
            content_type: "text/csv; charset=utf-8".to_owned(),
            sha256: sealed.sha256,
        }))
    }

    async fn publish(&self, context: &Context, result: Option<&ResultFile>) -> Result<(), Failure> {
        super::publish_file(context, result).await?;
        Ok(self.datasets.unpin(context.id()).await?)
    }

    async fn undo(&self, context: &Context) -> Result<(), Failure> {
        super::delete_files(context).await?;
        Ok(self.datasets.unpin(context.id()).await?)
    }
}

impl Export {
    async fn write(&self, context: &Context, snapshot: &Snapshot, path: &Path) -> Result<(), Stop> {
        let report = |cursor: Cursor| Report { phase: "exporting", done: cursor.rows, total: Some(snapshot.rows) };
        let mut cursor: Cursor = context.cursor()?.unwrap_or_default();
        let kept = path.to_owned();
        let kept = context.blocking(move || std::fs::metadata(kept).map_or(0, |file| file.len())).await?;
        if kept < cursor.bytes {
            // A run that died as it finished has sealed the file under another name: it is written anew.
            cursor = Cursor::default();
        }
        let header = encode::header(&snapshot.columns);
        let (mut file, mut at) = append(context, path.to_owned(), None, cursor, header).await?;
        cursor.bytes = at;
        context.checkpoint(&cursor, report(cursor)).await?;
        while cursor.rows < snapshot.rows {
            let batch = self.datasets.read(snapshot, cursor.rows, ROWS).await.map_err(Failure::from)?;
            let rows = batch.len() as u64;
            if rows == 0 {
                return Err(Failure::internal("the dataset ended before its last row").into());
            }
            let bytes = context.blocking(move || encode::rows(&batch)).await?;
            (file, at) = append(context, path.to_owned(), Some(file), cursor, bytes).await?;
            cursor = Cursor { rows: cursor.rows + rows, bytes: at };
            context.checkpoint(&cursor, report(cursor)).await?;
        }
        Ok(())
    }
}

/// Puts bytes behind what the cursor knows of, on disk for good, and answers the file's new length. The first call opens
/// the file and cuts off what a crash left; the header goes only into an empty one.
async fn append(
    context: &Context,
    path: PathBuf,
    file: Option<File>,
    cursor: Cursor,
    bytes: Vec<u8>,
) -> Result<(File, u64), Failure> {
    let written = context.blocking(move || -> io::Result<(File, u64)> {
        let opening = file.is_none();
        let mut file = match file {
            Some(file) => file,
            None => OpenOptions::new().write(true).create(true).truncate(false).open(path)?,
        };
        if opening {
            file.set_len(cursor.bytes)?;
            file.seek(SeekFrom::Start(cursor.bytes))?;
        }
        if opening && cursor.bytes > 0 {
            return Ok((file, cursor.bytes));
        }
        file.write_all(&bytes)?;
        file.sync_data()?;
        Ok((file, cursor.bytes + bytes.len() as u64))
    });
    written.await?.map_err(|error| Failure::io("the exported file", &error))
}
