//! The rejects file: records that are not rows, as CSV, with their lines, errors and original fields. It can be corrected and
//! imported: an import ignores its first three columns.

use std::io;

use csv::{ByteRecord, Terminator, Writer, WriterBuilder};
use tokio::fs;
use tokio::io::{AsyncWriteExt, BufWriter};

use super::row_schema::RowError;
use super::spec::{CsvFormat, RejectsFile};
use crate::datasets::{Column, DatasetName, Datasets};
use crate::runner::{Context, Failure};
use crate::task::ResultFile;

/// Name of the file in the task's folder.
const FILE: &str = "rejects.csv";

/// Columns before those of the imported file.
const REJECT_COLUMNS: [&str; 3] = ["pausa_line", "pausa_column", "pausa_reason"];

/// Returns the number of leading columns to ignore: those of a rejects file, or 0.
pub fn ignored_columns(header: &ByteRecord) -> usize {
    let mut names = header.iter().zip(REJECT_COLUMNS);
    let rejects = header.len() > REJECT_COLUMNS.len() && names.all(|(field, name)| field == name.as_bytes());
    if rejects { REJECT_COLUMNS.len() } else { 0 }
}

/// Returns the header line.
pub fn header(columns: &[Column], format: &CsvFormat) -> Vec<u8> {
    let names = columns.iter().map(|column| column.name.as_bytes());
    csv_line(REJECT_COLUMNS.iter().map(|name| name.as_bytes()).chain(names), format)
}

/// Returns the line for a rejected record of line `line` (from 1), without its first `ignored` fields.
pub fn reject(error: &RowError, line: u64, record: &ByteRecord, ignored: usize, format: &CsvFormat) -> Vec<u8> {
    let (line, column, reason) = (line.to_string(), error.column().unwrap_or_default(), error.reason());
    let details = [line.as_bytes(), column.as_bytes(), reason.as_bytes()];
    csv_line(details.into_iter().chain(record.iter().skip(ignored)), format)
}

/// Returns the error of an import with more than `limit` rejected rows. The last of them was `last`, of line `line`.
pub fn exceeded(limit: Option<u64>, rejected: u64, last: &RowError, line: u64) -> Option<String> {
    let limit = limit.filter(|limit| rejected > *limit)?;
    Some(format!("{rejected} rows are bad, but maxBadRows is {limit}. Last bad row: {}", last.at(line)))
}

/// Returns the rejects file of an import into `dataset`, as clients see it.
pub fn file(dataset: &DatasetName, rejects: RejectsFile) -> ResultFile {
    let (name, content_type) = (format!("{dataset}.rejects.csv"), "text/csv; charset=utf-8".to_owned());
    ResultFile { name, size: rejects.size, content_type, sha256: rejects.sha256 }
}

/// Writes the rejects file from all committed rejects, and stages it.
pub async fn stage(context: &Context, datasets: &dyn Datasets, header: Vec<u8>) -> Result<RejectsFile, Failure> {
    let lost = |error: io::Error| Failure::io("the rejected rows", &error);
    let scratch = context.scratch();
    let created = context.blocking(move || scratch.create(FILE)).await?.map_err(lost)?;
    let mut file = BufWriter::new(fs::File::from_std(created));
    let mut piece = Some((header, 0));
    while let Some((lines, next)) = piece {
        file.write_all(&lines).await.map_err(lost)?;
        piece = datasets.rejects(context.id(), next).await?;
    }
    file.flush().await.map_err(lost)?;
    let staged = crate::kinds::stage_result(context, FILE, None).await.map_err(lost)?;
    Ok(RejectsFile { size: staged.size, sha256: staged.sha256 })
}

/// Formats a line like the imported file, so that the same settings read it.
fn csv_line<'a>(cells: impl Iterator<Item = &'a [u8]>, format: &CsvFormat) -> Vec<u8> {
    let mut settings = WriterBuilder::new();
    settings.delimiter(format.delimiter).quote(format.quote).flexible(true).terminator(Terminator::CRLF);
    let mut writer: Writer<Vec<u8>> = settings.from_writer(Vec::new());
    // Writing to memory does not fail.
    let _ = writer.write_record(cells);
    writer.into_inner().unwrap_or_default()
}
