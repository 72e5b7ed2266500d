//! Records out of a CSV file, in batches, each with the cursor behind it.

#[cfg(any(test, fuzzing))]
pub mod splitting;

use std::io;

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::columns::Wanted;
use super::framed::{Framed, mark};
use super::infer::{Guess, SAMPLE_BYTES, SAMPLE_ROWS};
use super::lines::{Lines, Place};
use super::shape::{Bad, Shape};
use super::source::input::{Input, Reading};
use super::spec::{BadRows, Cursor, Format, Identity};
use super::{header, inspect, rejects, source};
use crate::datasets::{Batch, Column};
use crate::runner::{Failure, Stop};

/// Records of a batch where nothing else is said, and the bytes after which one of so many is full.
const RECORDS: usize = 8192;
const BYTES: usize = 1 << 20;

/// Records between two looks at whether the run is to stop: well under a millisecond.
const HEED_EVERY: usize = 256;

/// Bytes of a file that are read at once.
const BUFFER: usize = 256 * 1024;

/// A CSV file at some record.
pub struct Records {
    input: Input,
    reader: Reader<Framed<Reading>>,
    /// Bytes that are read at once.
    buffer: usize,
    /// Where the first record begins.
    start: Place,
    /// Where the reader began, and how many bytes its guard put before that.
    base: Place,
    guard: u64,
    record: ByteRecord,
    format: Format,
    shape: Shape,
    bad_rows: BadRows,
    cursor: Cursor,
    batch_records: usize,
    /// Batches grow up to so many records.
    most_records: usize,
    /// The byte at which the present piece begins.
    piece_start: u64,
}

/// Rows, where each begins, the lines of those that are none, and the cursor behind them.
pub struct Piece {
    /// The rows.
    pub batch: Batch,
    /// Where each row's record begins.
    pub starts: Vec<Place>,
    /// Lines for the file of rejects.
    pub rejects: Vec<u8>,
    /// What to commit with them.
    pub cursor: Cursor,
}

impl Records {
    /// Opens a file, whose first record begins at `start`, at its first row. Its columns are TEXT as yet, and the first bad row
    /// is an error.
    ///
    /// # Errors
    /// A file without a header, or one that cannot be read.
    pub fn open(input: Input, identity: Identity, format: Format, start: Place) -> Result<Records, Failure> {
        let cursor = Cursor { offset: start.offset, line: start.line, ..Cursor::start(identity) };
        let mut records = Records {
            reader: reader(&input, &cursor, &format, BUFFER),
            buffer: BUFFER,
            input,
            base: Place::from(&cursor),
            start,
            guard: u64::from(start.offset > 0),
            record: ByteRecord::new(),
            shape: Shape::new(Vec::new(), 0, format.null_value.clone()),
            format,
            bad_rows: BadRows::Fail,
            cursor: cursor.clone(),
            batch_records: RECORDS,
            most_records: RECORDS,
            piece_start: 0,
        };
        let Some(start) = records.read_record()? else {
            return Err(Failure::input("the file is empty: its first line must name the columns"));
        };
        records.shape = records.shape.out_of(records.input.encoding());
        let (ahead, columns) = records.name_columns(start)?;
        let shape = Shape::new(columns, ahead, records.format.null_value.clone());
        records.shape = shape.out_of(records.input.encoding());
        if records.format.header { Ok(records) } else { records.resume(cursor) }
    }

    /// Gives the columns their names and types; with `infer` a sample of the rows is read.
    ///
    /// # Errors
    /// Columns that the file does not have.
    pub fn lay_out(&mut self, wanted: &Wanted<'_>, infer: bool) -> Result<(), Failure> {
        let sample = if infer { self.sample()? } else { Vec::new() };
        let columns = match self.format.header {
            true => wanted.named(self.columns(), &sample)?,
            false => wanted.numbered(self.columns().len(), &sample)?,
        };
        self.shape = self.shape.clone().with(columns);
        Ok(())
    }

    /// What becomes of bad rows from here on.
    pub fn treat_bad_rows(&mut self, bad_rows: BadRows) {
        self.bad_rows = bad_rows;
    }

    /// At most so many records a batch.
    pub fn limit_batch(&mut self, records: usize) {
        self.batch_records = records.clamp(1, RECORDS);
        self.most_records = self.batch_records;
    }

    /// Each batch twice as large as the one before it, up to so many records: what is taken back at a stop is little at first,
    /// so that an import comes on however soon it is stopped again.
    pub fn grow_batches(&mut self, records: usize) {
        self.most_records = records.max(self.batch_records);
    }

    /// The columns.
    pub fn columns(&self) -> &[Column] {
        self.shape.columns()
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
        self.reader = reader(&self.input, &cursor, &self.format, self.buffer);
        self.base = Place::from(&cursor);
        self.guard = u64::from(cursor.offset > 0);
        self.cursor = cursor;
        Ok(self)
    }

    /// The next rows, into a batch that is empty; none at the end of the file.
    ///
    /// # Errors
    /// A row that is bad, with its line, where bad rows are not passed over; that the piece before had more of them than it
    /// may; or what `check_stop` says, which is asked now and then.
    pub fn next(&mut self, batch: Batch, check_stop: impl Fn() -> Result<(), Stop>) -> Result<Option<Piece>, Stop> {
        let mut piece = Piece { batch, starts: Vec::new(), rejects: Vec::new(), cursor: self.cursor.clone() };
        self.piece_start = self.cursor.offset;
        let (growing, mut records) = (self.input.size().is_none(), 0);
        let most_bytes = BYTES.max(BYTES / RECORDS * self.batch_records);
        if let Some(text) = &self.cursor.exceeded {
            return Err(Failure::input(text.clone()).into());
        }
        while self.cursor.exceeded.is_none()
            && records < self.batch_records
            && piece.batch.bytes() + piece.rejects.len() < most_bytes
        {
            if growing && records > 0 && self.is_scarce(records) {
                break;
            }
            if records % HEED_EVERY == 0 {
                check_stop()?;
            }
            let Some(start) = self.read_record()? else { break };
            records += 1;
            match self.shape.push(&self.record, &mut piece.batch) {
                Ok(()) => {
                    self.cursor.rows += 1;
                    piece.starts.push(start);
                }
                Err(bad) => piece.rejects.extend(self.reject(&bad, start)?),
            }
        }
        self.batch_records = self.batch_records.saturating_mul(2).min(self.most_records);
        self.cursor.expected = self.input.expected();
        piece.cursor = self.cursor.clone();
        Ok((records > 0).then_some(piece))
    }

    /// The lines of the file.
    pub fn lines(&self) -> Lines {
        Lines(self.input.clone())
    }

    /// What there is of a growing file may hold no whole record more: those that are read should not wait for it.
    fn is_scarce(&self, records: usize) -> bool {
        let read = self.cursor.offset.saturating_sub(self.piece_start);
        !self.input.is_ready(self.cursor.offset + 2 * read / records as u64)
    }

    /// Reads the next record and answers where it begins; none at the end.
    fn read_record(&mut self) -> Result<Option<Place>, Failure> {
        let start = Place::from(&self.cursor);
        let more = self.reader.read_byte_record(&mut self.record);
        if !more.map_err(|error| self.unreadable(&error))? {
            return Ok(None);
        }
        let position = self.reader.position();
        let end = (position.byte() + self.base.offset).saturating_sub(self.guard);
        // Behind the last byte the size is known.
        let size = self.input.size().unwrap_or(u64::MAX);
        if end > size.saturating_add(1) {
            let behind = self.record.len() == 1 && self.record.get(0) == Some(&[mark(&self.format)]);
            return if behind { Ok(None) } else { Err(self.unclosed(start)?) };
        }
        self.cursor.offset = end.min(size);
        self.cursor.line = (position.line() - 1 + self.base.line).saturating_sub(self.guard);
        self.reader.get_mut().record_ended();
        Ok(Some(start))
    }

    /// What the rejects get of a bad record.
    fn reject(&mut self, bad: &Bad, start: Place) -> Result<Vec<u8>, Failure> {
        let line = self.lines().at(start)?;
        let BadRows::Skip(most) = self.bad_rows else { return Err(self.hinted(bad.at(line))) };
        self.cursor.rejected += 1;
        let exceeded = rejects::exceeded(most, self.cursor.rejected, bad, line);
        self.cursor.exceeded = exceeded.map(|text| self.hinted(text).message);
        Ok(rejects::reject(bad, line, &self.record, self.shape.ahead(), &self.format))
    }

    /// Columns of text as the first record names them, and the cells before them that are passed over.
    fn name_columns(&self, start: Place) -> Result<(usize, Vec<Column>), Failure> {
        if !self.format.header {
            return Ok((0, header::numbered(self.record.len())));
        }
        let ahead = rejects::ahead(&self.record);
        let names: Result<Vec<_>, _> = self.record.iter().skip(ahead).map(std::str::from_utf8).collect();
        match names {
            Ok(names) => Ok((ahead, header::columns(names.into_iter()))),
            Err(_) => Err(self.hinted(self.shape.undecodable(&self.record).at(self.lines().at(start)?))),
        }
    }

    /// What the first rows allow each column to be. Those that are bad say nothing.
    fn sample(&self) -> Result<Vec<Guess>, Failure> {
        let mut records = Records::open(self.input.clone(), self.cursor.file.clone(), self.format.clone(), self.start)?;
        let mut guesses = vec![Guess::default(); self.columns().len()];
        let mut batch = Batch::new(guesses.len());
        for _ in 0..SAMPLE_ROWS {
            if batch.bytes() >= SAMPLE_BYTES || records.read_record()?.is_none() {
                break;
            }
            // A bad row is dealt with when it is imported.
            let _ = records.shape.push(&records.record, &mut batch);
        }
        for row in batch.rows() {
            guesses.iter_mut().zip(row).for_each(|(guess, cell)| guess.see(cell.unwrap_or_default()));
        }
        Ok(guesses)
    }

    fn unclosed(&self, start: Place) -> Result<Failure, Failure> {
        let line = self.lines().at(start)?;
        Ok(self.hinted(format!("line {line}: a quote is not closed before the end of the file: is the file cut off?")))
    }

    /// What is wrong with the present record, and what the file looks like.
    fn hinted(&self, text: String) -> Failure {
        match inspect::hint(&self.input, &self.format, &self.record) {
            Some(hint) => Failure::input(format!("{text}. {hint}")),
            None => Failure::input(text),
        }
    }

    fn unreadable(&self, error: &csv::Error) -> Failure {
        match error.kind() {
            csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                let line = self.lines().at(Place::from(&self.cursor)).unwrap_or(self.cursor.line);
                Failure::input(format!("line {line}: {error}"))
            }
            csv::ErrorKind::Io(error) => source::unreadable(error),
            _ => Failure::internal(error.to_string()),
        }
    }
}

fn reader(input: &Input, from: &Cursor, format: &Format, buffer: usize) -> Reader<Framed<Reading>> {
    ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(format.delimiter)
        .quote(format.quote)
        .buffer_capacity(buffer)
        .from_reader(Framed::new(input.from(from.offset), from.offset > 0, format))
}
