//! CSV files for stories.

use std::fmt::Write;

/// Returns a file with the header `n,name,note` and `rows` rows. The first cell is the row's number. Some other cells
/// contain quotes, commas and line ends.
pub fn people(rows: usize) -> String {
    let mut text = String::from("n,name,note\r\n");
    for n in 1..=rows {
        let note = match n % 50 {
            0 => "\"two\r\nlines\"",
            1 => "\"a, \"\"b\"\"\"",
            _ => "plain",
        };
        write!(text, "{n},name {n},{note}\r\n").unwrap();
    }
    text
}

/// Returns a file of `rows` x `columns` short cells.
pub fn wide(rows: usize, columns: usize) -> String {
    let header: Vec<_> = (1..=columns).map(|column| format!("c{column}")).collect();
    let mut text = header.join(",") + "\r\n";
    for row in 1..=rows {
        let cells: Vec<_> = (1..=columns).map(|column| format!("{row}-{column}")).collect();
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    text
}

/// Returns all cells of a file.
pub fn cells(text: &[u8]) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
    reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
}
