//! Records that are no rows, as CSV: where each stood, what is wrong, and its cells as they were. Mended, the file can be
//! imported again: its first three columns are passed over.

use std::io;

use csv::{ByteRecord, Terminator, Writer, WriterBuilder};
use tokio::fs;
use tokio::io::{AsyncWriteExt, BufWriter};

use super::shape::Bad;
use super::spec::{Format, Rejects};
use crate::datasets::{Column, DatasetName, Datasets};
use crate::runner::{Context, Failure};
use crate::task::ResultFile;

/// The file in the task's folder.
const FILE: &str = "rejects.csv";

/// What stands before the file's own columns.
const AHEAD: [&str; 3] = ["pausa_line", "pausa_column", "pausa_reason"];

/// The cells that a file of rejects has before the others; 0 in any other file.
pub fn ahead(header: &ByteRecord) -> usize {
    let ours = header.len() > AHEAD.len() && header.iter().zip(AHEAD).all(|(cell, name)| cell == name.as_bytes());
    if ours { AHEAD.len() } else { 0 }
}

/// The first line.
pub fn header(columns: &[Column], format: &Format) -> Vec<u8> {
    let names = columns.iter().map(|column| column.name.as_bytes());
    line(AHEAD.iter().map(|name| name.as_bytes()).chain(names), format)
}

/// The line of a bad record, which stood at `at` (from 1) in its file, without its first `ahead` cells.
pub fn reject(bad: &Bad, at: u64, record: &ByteRecord, ahead: usize, format: &Format) -> Vec<u8> {
    let (at, column) = (at.to_string(), bad.column.as_deref().unwrap_or_default());
    let told = [at.as_bytes(), column.as_bytes(), bad.reason.as_bytes()];
    line(told.into_iter().chain(record.iter().skip(ahead)), format)
}

/// The error of more bad rows than `most`, the last of which stood at line `at`.
pub fn exceeded(most: Option<u64>, rejected: u64, bad: &Bad, at: u64) -> Option<String> {
    let most = most.filter(|most| rejected > *most)?;
    Some(format!("{rejected} rows are bad, but maxBadRows is {most}; the last, {}", bad.at(at)))
}

/// The file of rejects of an import into `dataset`.
pub fn file(dataset: &DatasetName, rejects: Rejects) -> ResultFile {
    let (name, content_type) = (format!("{dataset}.rejects.csv"), "text/csv; charset=utf-8".to_owned());
    ResultFile { name, size: rejects.size, content_type, sha256: rejects.sha256 }
}

/// Makes the file of all that were committed: sealed in the task's folder.
pub async fn seal(context: &Context, datasets: &dyn Datasets, header: Vec<u8>) -> Result<Rejects, Failure> {
    let lost = |error: io::Error| Failure::io("the rejected rows", &error);
    let path = context.work().await?.join(FILE);
    let mut file = BufWriter::new(fs::File::create(&path).await.map_err(lost)?);
    let mut piece = Some((header, 0));
    while let Some((lines, next)) = piece {
        file.write_all(&lines).await.map_err(lost)?;
        piece = datasets.rejects(context.id(), next).await?;
    }
    file.flush().await.map_err(lost)?;
    let sealed = crate::kinds::seal(context, path, None).await.map_err(lost)?;
    Ok(Rejects { size: sealed.size, sha256: sealed.sha256 })
}

/// In the format of the file that is imported, so that the same settings read it.
fn line<'a>(cells: impl Iterator<Item = &'a [u8]>, format: &Format) -> Vec<u8> {
    let mut settings = WriterBuilder::new();
    settings.delimiter(format.delimiter).quote(format.quote).flexible(true).terminator(Terminator::CRLF);
    let mut writer: Writer<Vec<u8>> = settings.from_writer(Vec::new());
    // Writing to memory does not fail.
    let _ = writer.write_record(cells);
    writer.into_inner().unwrap_or_default()
}
