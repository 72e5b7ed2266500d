//! Reads records from a CSV file, in batches, each with the cursor after it.

mod errors;
#[cfg(any(test, fuzzing))]
pub mod splitting;

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::columns::KnownColumns;
use super::infer::{SAMPLE_BYTES, SAMPLE_ROWS, TypeInference};
use super::position::{FilePosition, LineNumbers};
use super::row_schema::{RowError, RowSchema};
use super::sentinel::{SentinelReader, sentinel};
use super::source::growing::{GrowingFile, GrowingFileReader};
use super::spec::{BadRows, CsvFormat, FileIdentity, ImportCursor};
use super::{header, rejects};
use crate::datasets::{Batch, Column};
use crate::runner::{Failure, StopReason};

/// Default number of records in a batch, and the size in bytes at which such a batch is full.
const BATCH_RECORDS: usize = 8192;
const BATCH_BYTES: usize = 1 << 20;

/// Number of records between two checks for a stop: well under a millisecond.
const CHECK_INTERVAL: usize = 256;

/// Size of a read, in bytes.
const READ_BYTES: usize = 256 * 1024;

/// Reader of a CSV file, at some record.
pub struct RecordReader {
    input: GrowingFile,
    reader: Reader<SentinelReader<GrowingFileReader>>,
    /// Size of a read, in bytes.
    buffer: usize,
    /// Position of the first record.
    start: FilePosition,
    /// Position at which the reader began, and the number of bytes that were inserted before it.
    base: FilePosition,
    inserted: u64,
    record: ByteRecord,
    format: CsvFormat,
    schema: RowSchema,
    bad_rows: BadRows,
    cursor: ImportCursor,
    batch_records: usize,
    /// Maximum number of records of a growing batch.
    max_batch_records: usize,
    /// Byte at which the current batch begins.
    batch_start: u64,
}

/// Batch of records: rows with their positions, lines of the rejects file, and the cursor after them.
pub struct RecordBatch {
    /// The rows.
    pub rows: Batch,
    /// Position of each row's record.
    pub starts: Vec<FilePosition>,
    /// Lines for the rejects file.
    pub rejects: Vec<u8>,
    /// Cursor to commit with them.
    pub cursor: ImportCursor,
}

impl RecordBatch {
    /// Keeps the first `rows` rows, and returns the others. A batch with rejects is not cut: their lines belong to the whole.
    pub fn cut(&mut self, rows: usize) -> Option<RecordBatch> {
        let end = *self.starts.get(rows).filter(|_| rows > 0 && self.rejects.is_empty())?;
        let (rest, starts) = (self.rows.split_off(rows), self.starts.split_off(rows));
        let cursor = self.cursor.clone();
        let written = cursor.rows.saturating_sub(starts.len() as u64);
        self.cursor = ImportCursor { offset: end.offset, line: end.line, rows: written, ..self.cursor.clone() };
        Some(RecordBatch { rows: rest, starts, rejects: Vec::new(), cursor })
    }
}

impl RecordReader {
    /// Opens a file at its first row. The first record begins at `start`. Until the columns are laid out, all are TEXT, and the
    /// first bad row is an error.
    ///
    /// # Errors
    /// A file without a header, or one that cannot be read.
    pub fn open(
        input: GrowingFile,
        identity: FileIdentity,
        format: CsvFormat,
        start: FilePosition,
    ) -> Result<RecordReader, Failure> {
        let cursor = ImportCursor { offset: start.offset, line: start.line, ..ImportCursor::start(identity) };
        let mut records = RecordReader {
            reader: reader(&input, &cursor, &format, READ_BYTES),
            buffer: READ_BYTES,
            input,
            base: FilePosition::from(&cursor),
            start,
            inserted: u64::from(start.offset > 0),
            record: ByteRecord::new(),
            schema: RowSchema::new(Vec::new(), 0, format.null_value.clone()),
            format,
            bad_rows: BadRows::Fail,
            cursor: cursor.clone(),
            batch_records: BATCH_RECORDS,
            max_batch_records: BATCH_RECORDS,
            batch_start: 0,
        };
        let Some(start) = records.read_record()? else {
            return Err(Failure::input("The file is empty. The first line must name the columns."));
        };
        records.schema = records.schema.with_encoding(records.input.encoding());
        let (ignored, columns) = records.name_columns(start)?;
        let schema = RowSchema::new(columns, ignored, records.format.null_value.clone());
        records.schema = schema.with_encoding(records.input.encoding());
        if records.format.header { Ok(records) } else { records.resume(cursor) }
    }

    /// Sets the names and types of the columns. `infer`: infers types from a sample of the rows.
    ///
    /// # Errors
    /// Columns that the file does not have.
    pub fn set_columns(&mut self, known: &KnownColumns<'_>, infer: bool) -> Result<(), Failure> {
        let sample = if infer { self.sample()? } else { Vec::new() };
        let columns = match self.format.header {
            true => known.named(self.columns(), &sample)?,
            false => known.numbered(self.columns().len(), &sample)?,
        };
        self.schema = self.schema.clone().with_columns(columns);
        Ok(())
    }

    /// Sets what happens to bad rows.
    pub fn set_bad_rows(&mut self, bad_rows: BadRows) {
        self.bad_rows = bad_rows;
    }

    /// Limits batches to this number of records.
    pub fn limit_batch(&mut self, records: usize) {
        self.batch_records = records.clamp(1, BATCH_RECORDS);
        self.max_batch_records = self.batch_records;
    }

    /// Doubles the size of each batch, up to this number of records or the default. A stop rolls back little at first, so that an import
    /// progresses however soon it is stopped again.
    pub fn grow_batches(&mut self, records: usize) {
        self.max_batch_records = records.max(BATCH_RECORDS);
    }

    /// Returns the columns.
    pub fn columns(&self) -> &[Column] {
        self.schema.columns()
    }

    /// Returns the cursor before the next row.
    pub fn cursor(&self) -> &ImportCursor {
        &self.cursor
    }

    /// Resumes at the cursor of an earlier run.
    ///
    /// # Errors
    /// A file that changed since.
    pub fn resume(mut self, cursor: ImportCursor) -> Result<RecordReader, Failure> {
        if cursor.file != self.cursor.file {
            return Err(Failure::input(
                "The file changed since the import began. Terminate the import and start a new one with the new file.",
            ));
        }
        self.reader = reader(&self.input, &cursor, &self.format, self.buffer);
        self.base = FilePosition::from(&cursor);
        self.inserted = u64::from(cursor.offset > 0);
        self.cursor = cursor;
        Ok(self)
    }

    /// Reads the next rows into an empty batch. None at the end of the file.
    ///
    /// # Errors
    /// A bad row, with its line, if bad rows are not skipped. Too many bad rows in the batch before. An error of `check_stop`, which
    /// is called now and then.
    pub fn next(
        &mut self,
        rows: Batch,
        check_stop: impl Fn() -> Result<(), StopReason>,
    ) -> Result<Option<RecordBatch>, StopReason> {
        let mut batch = RecordBatch { rows, starts: Vec::new(), rejects: Vec::new(), cursor: self.cursor.clone() };
        self.batch_start = self.cursor.offset;
        let (growing, mut records) = (self.input.size().is_none(), 0);
        let max_bytes = BATCH_BYTES.max(BATCH_BYTES / BATCH_RECORDS * self.batch_records);
        if let Some(text) = &self.cursor.exceeded {
            return Err(Failure::input(text.clone()).into());
        }
        while self.cursor.exceeded.is_none()
            && records < self.batch_records
            && batch.rows.bytes() + batch.rejects.len() < max_bytes
        {
            if growing && records > 0 && self.would_wait(records) {
                break;
            }
            if records % CHECK_INTERVAL == 0 {
                check_stop()?;
            }
            let Some(start) = self.read_record()? else { break };
            records += 1;
            match self.schema.push(&self.record, &mut batch.rows) {
                Ok(()) => {
                    self.cursor.rows += 1;
                    batch.starts.push(start);
                }
                Err(error) => batch.rejects.extend(self.reject(&error, start)?),
            }
        }
        self.batch_records = self.batch_records.saturating_mul(2).min(self.max_batch_records);
        self.cursor.expected = self.input.expected();
        batch.cursor = self.cursor.clone();
        Ok((records > 0).then_some(batch))
    }

    /// Returns the lines of the file.
    pub fn lines(&self) -> LineNumbers {
        LineNumbers(self.input.clone())
    }

    /// Returns true if a growing file may not hold another complete record yet: those that are read should not wait for it.
    fn would_wait(&self, records: usize) -> bool {
        let read = self.cursor.offset.saturating_sub(self.batch_start);
        !self.input.is_ready(self.cursor.offset + 2 * read / records as u64)
    }

    /// Reads the next record. Returns its position, or None at the end of the file.
    fn read_record(&mut self) -> Result<Option<FilePosition>, Failure> {
        let start = FilePosition::from(&self.cursor);
        let more = self.reader.read_byte_record(&mut self.record);
        if !more.map_err(|error| self.unreadable(&error))? {
            return Ok(None);
        }
        let position = self.reader.position();
        let end = (position.byte() + self.base.offset).saturating_sub(self.inserted);
        // After the last byte, the size is known.
        let size = self.input.size().unwrap_or(u64::MAX);
        if end > size.saturating_add(1) {
            let at_end = self.record.len() == 1 && self.record.get(0) == Some(&[sentinel(&self.format)]);
            return if at_end { Ok(None) } else { Err(self.unclosed(start)?) };
        }
        self.cursor.offset = end.min(size);
        self.cursor.line = (position.line() - 1 + self.base.line).saturating_sub(self.inserted);
        self.reader.get_mut().record_ended();
        Ok(Some(start))
    }

    /// Returns the line of a bad record for the rejects file.
    fn reject(&mut self, error: &RowError, start: FilePosition) -> Result<Vec<u8>, Failure> {
        let line = self.lines().at(start)?;
        let BadRows::Skip(limit) = self.bad_rows else {
            return Err(self.with_hint(error.at(line)).at_place(error.place(line, self.columns())));
        };
        self.cursor.rejected += 1;
        let exceeded = rejects::exceeded(limit, self.cursor.rejected, error, line);
        self.cursor.exceeded = exceeded.map(|text| self.with_hint(text).message);
        Ok(rejects::reject(error, line, &self.record, self.schema.ignored(), &self.format))
    }

    /// Returns the number of leading fields to ignore, and TEXT columns as the first record names them.
    fn name_columns(&self, start: FilePosition) -> Result<(usize, Vec<Column>), Failure> {
        if !self.format.header {
            return Ok((0, header::numbered(self.record.len())));
        }
        let ignored = rejects::ignored_columns(&self.record);
        let names: Result<Vec<_>, _> = self.record.iter().skip(ignored).map(std::str::from_utf8).collect();
        match names {
            Ok(names) => Ok((ignored, header::columns(names.into_iter()))),
            Err(_) => Err(self.with_hint(self.schema.undecodable(&self.record).at(self.lines().at(start)?))),
        }
    }

    /// Infers the type of each column from the first rows. Bad rows are ignored.
    fn sample(&self) -> Result<Vec<TypeInference>, Failure> {
        let mut records =
            RecordReader::open(self.input.clone(), self.cursor.file.clone(), self.format.clone(), self.start)?;
        let mut inferred = vec![TypeInference::default(); self.columns().len()];
        let mut batch = Batch::new(inferred.len());
        for _ in 0..SAMPLE_ROWS {
            if batch.bytes() >= SAMPLE_BYTES || records.read_record()?.is_none() {
                break;
            }
            // A bad row is handled when it is imported.
            let _ = records.schema.push(&records.record, &mut batch);
        }
        for row in batch.rows() {
            inferred.iter_mut().zip(row).for_each(|(inference, cell)| inference.observe(cell.unwrap_or_default()));
        }
        Ok(inferred)
    }
}

fn reader(
    input: &GrowingFile,
    from: &ImportCursor,
    format: &CsvFormat,
    buffer: usize,
) -> Reader<SentinelReader<GrowingFileReader>> {
    ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(format.delimiter)
        .quote(format.quote)
        .buffer_capacity(buffer)
        .from_reader(SentinelReader::new(input.reader_at(from.offset), from.offset > 0, format))
}
