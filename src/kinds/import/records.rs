//! Records out of a CSV file, in batches, each with the cursor behind it.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::framed::{Framed, mark};
use super::header;
use super::spec::{Cursor, Format, Identity};
use crate::datasets::{Batch, Column};
use crate::runner::Failure;

/// The most rows of a batch, and the bytes after which one is full.
const ROWS: usize = 8192;
const BYTES: usize = 1 << 20;

/// Bytes that are read at once.
const BUFFER: usize = 256 * 1024;

/// A CSV file at some record.
pub struct Records {
    file: File,
    reader: Reader<Framed<File>>,
    /// Where the reader began, and how many bytes its guard put before that.
    base: u64,
    guard: u64,
    record: ByteRecord,
    format: Format,
    columns: Vec<Column>,
    cursor: Cursor,
    batch_rows: usize,
}

/// Rows, where each begins, and the cursor behind them.
pub struct Piece {
    /// The rows.
    pub batch: Batch,
    /// The byte at which each row's record begins.
    pub starts: Vec<u64>,
    /// What to commit with them.
    pub cursor: Cursor,
}

impl Records {
    /// Opens a file at its first row.
    ///
    /// # Errors
    /// A file without a header, or one that cannot be read.
    pub fn open(file: File, identity: Identity, format: Format) -> Result<Records, Failure> {
        let cursor = Cursor { file: identity, offset: 0, rows: 0 };
        let mut records = Records {
            reader: reader(&file, &cursor, &format)?,
            file,
            base: 0,
            guard: 0,
            record: ByteRecord::new(),
            format,
            columns: Vec::new(),
            cursor: cursor.clone(),
            batch_rows: ROWS,
        };
        let Some(start) = records.read_record()? else {
            return Err(Failure::input("the file is empty: its first line must name the columns"));
        };
        records.columns = records.name_columns(start)?;
        if records.format.header { Ok(records) } else { records.resume(cursor) }
    }

    /// At most so many rows a batch.
    pub fn limit_batch(&mut self, rows: usize) {
        self.batch_rows = rows.clamp(1, ROWS);
    }

    /// The columns, as the header names them.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// What to commit before the first row.
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// Goes on where an earlier run committed.
    ///
    /// # Errors
    /// A file that is not the one of the cursor.
    pub fn resume(mut self, cursor: Cursor) -> Result<Records, Failure> {
        if cursor.file != self.cursor.file {
            return Err(Failure::input(
                "its file changed since the import began: terminate it and start a new one with the new file",
            ));
        }
        self.reader = reader(&self.file, &cursor, &self.format)?;
        self.base = cursor.offset;
        self.guard = u64::from(cursor.offset > 0);
        self.cursor = cursor;
        Ok(self)
    }

    /// The next rows, into a batch that is empty; none at the end of the file.
    ///
    /// # Errors
    /// A row that is bad, with its line.
    pub fn next(&mut self, mut batch: Batch) -> Result<Option<Piece>, Failure> {
        let mut starts = Vec::with_capacity(self.batch_rows);
        while batch.len() < self.batch_rows && batch.bytes() < BYTES {
            let Some(start) = self.read_record()? else { break };
            self.push_row(&mut batch, start)?;
            starts.push(start);
        }
        let cursor = self.cursor.clone();
        Ok((!batch.is_empty()).then_some(Piece { batch, starts, cursor }))
    }

    /// The line, from 1, of the record that begins at byte `start` or after the line ends there.
    pub fn line_of(&self, start: u64) -> Result<u64, Failure> {
        line_of(&self.file, start).map_err(|error| Failure::io("its file", &error))
    }

    /// Reads the next record and answers the byte at which it begins; none at the end.
    fn read_record(&mut self) -> Result<Option<u64>, Failure> {
        let start = self.cursor.offset;
        let more = self.reader.read_byte_record(&mut self.record);
        if !more.map_err(|error| self.unreadable(&error))? {
            return Ok(None);
        }
        let end = (self.reader.position().byte() + self.base).saturating_sub(self.guard);
        if end > self.cursor.file.size + 1 {
            let behind = self.record.len() == 1 && self.record.get(0) == Some(&[mark(&self.format)]);
            return if behind { Ok(None) } else { Err(self.unclosed(start)?) };
        }
        self.cursor.offset = end.min(self.cursor.file.size);
        self.reader.get_mut().record_ended();
        Ok(Some(start))
    }

    fn push_row(&mut self, batch: &mut Batch, start: u64) -> Result<(), Failure> {
        let (found, expected) = (self.record.len(), self.columns.len());
        if found != expected {
            let line = self.line_of(start)?;
            let cells = if found == 1 { "1 cell".to_owned() } else { format!("{found} cells") };
            return Err(Failure::input(format!("line {line}: {cells} where the header has {expected}")));
        }
        let Ok(row) = std::str::from_utf8(self.record.as_slice()) else { return Err(self.undecodable(start)?) };
        let null = self.format.null_value.as_deref();
        let cells = (0..found).map(|n| self.record.range(n).and_then(|range| row.get(range)));
        if cells.clone().any(|cell| cell.is_none()) {
            return Err(self.undecodable(start)?);
        }
        let cells = cells.map(|cell| cell.filter(|cell| Some(*cell) != null));
        batch.push_row(cells).map_err(|error| Failure::internal(error.to_string()))?;
        self.cursor.rows += 1;
        Ok(())
    }

    fn name_columns(&self, start: u64) -> Result<Vec<Column>, Failure> {
        if !self.format.header {
            return Ok(header::numbered(self.record.len()));
        }
        let names: Result<Vec<_>, _> = self.record.iter().map(std::str::from_utf8).collect();
        match names {
            Ok(names) => Ok(header::columns(names.into_iter())),
            Err(_) => Err(self.undecodable(start)?),
        }
    }

    fn undecodable(&self, start: u64) -> Result<Failure, Failure> {
        let line = self.line_of(start)?;
        let bad = self.record.iter().enumerate().find_map(|(n, cell)| Some((n, std::str::from_utf8(cell).err()?)));
        let (n, byte) = bad.map_or((0, 0), |(n, error)| (n, error.valid_up_to()));
        let name = self.columns.get(n).map_or_else(|| format!("{}", n + 1), |column| format!("{:?}", column.name));
        Ok(Failure::input(format!("line {line}, column {name}: byte {} of the cell is not UTF-8", byte + 1)))
    }

    fn unclosed(&self, start: u64) -> Result<Failure, Failure> {
        let line = self.line_of(start)?;
        Ok(Failure::input(format!(
            "line {line}: a quote is not closed before the end of the file: is the file cut off?"
        )))
    }

    fn unreadable(&self, error: &csv::Error) -> Failure {
        match error.kind() {
            csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                let line = self.line_of(self.cursor.offset).unwrap_or(0);
                Failure::input(format!("line {line}: {error}"))
            }
            csv::ErrorKind::Io(error) => Failure::io("its file", error),
            _ => Failure::internal(error.to_string()),
        }
    }
}

fn reader(file: &File, from: &Cursor, format: &Format) -> Result<Reader<Framed<File>>, Failure> {
    let positioned = file.try_clone().and_then(|mut file| {
        file.seek(SeekFrom::Start(from.offset))?;
        Ok(file)
    });
    let file = positioned.map_err(|error| Failure::io("its file", &error))?;
    Ok(ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(format.delimiter)
        .quote(format.quote)
        .buffer_capacity(BUFFER)
        .from_reader(Framed::new(file, from.offset > 0, format)))
}

/// Reads by position: the file's own place is the reader's.
fn line_of(file: &File, start: u64) -> io::Result<u64> {
    let mut chunk = vec![0; BUFFER];
    let (mut at, mut line) = (0, 1);
    loop {
        let read = file.read_at(&mut chunk, at)?;
        for &byte in &chunk[..read] {
            if at >= start && !matches!(byte, b'\r' | b'\n') {
                return Ok(line);
            }
            line += u64::from(byte == b'\n');
            at += 1;
        }
        if read == 0 {
            return Ok(line);
        }
    }
}
