//! Rows as RFC 4180 CSV: lines end in CRLF, quotes stand where they are needed.

use csv::{Terminator, Writer, WriterBuilder};

use crate::datasets::{Batch, Column};

/// The line that names the columns.
pub fn header(columns: &[Column]) -> Vec<u8> {
    let mut writer = writer(columns.len() * 16);
    write(&mut writer, columns.iter().map(|column| column.name.as_str()));
    writer.into_inner().unwrap_or_default()
}

/// The lines of rows; null is an empty cell.
pub fn rows(batch: &Batch) -> Vec<u8> {
    let mut writer = writer(batch.bytes() + batch.len() * (batch.width() + 2));
    for row in batch.rows() {
        write(&mut writer, row.map(Option::unwrap_or_default));
    }
    writer.into_inner().unwrap_or_default()
}

fn writer(capacity: usize) -> Writer<Vec<u8>> {
    WriterBuilder::new().flexible(true).terminator(Terminator::CRLF).from_writer(Vec::with_capacity(capacity))
}

fn write<'a>(writer: &mut Writer<Vec<u8>>, cells: impl Iterator<Item = &'a str>) {
    // Writing to memory does not fail, and a flexible writer takes rows of any width.
    let _ = writer.write_record(cells);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_come_back_as_they_went_in() {
        let mut batch = Batch::new(2);
        batch.push_row([Some("plain"), Some("a \"quote\"")]).unwrap();
        batch.push_row([Some("a,b"), Some("two\r\nlines")]).unwrap();
        batch.push_row([None, Some("")]).unwrap();
        let text = String::from_utf8(rows(&batch)).unwrap();
        assert_eq!(text, "plain,\"a \"\"quote\"\"\"\r\n\"a,b\",\"two\r\nlines\"\r\n,\r\n");
    }

    #[test]
    fn a_lone_empty_cell_is_no_empty_line() {
        let mut batch = Batch::new(1);
        batch.push_row([Some("")]).unwrap();
        assert_eq!(rows(&batch), b"\"\"\r\n");
    }
}
