//! Parses the text format of COPY: cells separated by tabs, `\N` for null, a backslash before special bytes.

use super::super::{ColumnType, CsvLines, Error, value};

/// Adds the cells of a row. They are separated by tabs, without the line end.
pub(super) fn add_row(lines: &mut CsvLines, kinds: &[ColumnType], plain: bool, row: &[u8]) -> Result<(), Error> {
    let special = |byte: &u8| matches!(byte, b'\\' | b',' | b'"');
    if plain && !row.iter().any(special) && lines.plain_row(row) {
        return Ok(());
    }
    let mut cells = row.split(|byte| *byte == b'\t');
    for kind in kinds {
        let cell = cells.next().ok_or_else(|| Error::Failed("COPY sent a row with too few cells".into()))?;
        add_cell(lines, *kind, cell)?;
    }
    lines.end_row();
    Ok(())
}

/// Returns true if PostgreSQL's texts of this type are the canonical ones.
pub(super) fn is_plain(kind: ColumnType) -> bool {
    matches!(kind, ColumnType::Text | ColumnType::Integer | ColumnType::Date)
}

fn add_cell(lines: &mut CsvLines, kind: ColumnType, cell: &[u8]) -> Result<(), Error> {
    let odd =
        || Error::Failed(format!("PostgreSQL sent {:?}, which is not a valid {kind:?}", String::from_utf8_lossy(cell)));
    if cell == b"\\N" {
        lines.cell(None);
        return Ok(());
    }
    match kind {
        ColumnType::Text if cell.contains(&b'\\') => lines.cell(Some(&unescape(cell))),
        ColumnType::Text | ColumnType::Integer | ColumnType::Date => lines.cell(Some(cell)),
        ColumnType::Boolean => lines.cell(Some(if cell == b"t" { b"true" } else { b"false" })),
        ColumnType::Real => {
            let number = std::str::from_utf8(cell).ok().and_then(|text| text.parse().ok()).ok_or_else(odd)?;
            lines.cell(Some(value::real_text(number).as_bytes()));
        }
        ColumnType::Timestamp => {
            // The time zone of the session is UTC, and its date style is ISO: `2026-01-31 12:00:00.5+00`.
            let text = std::str::from_utf8(cell).ok().and_then(|text| text.strip_suffix("+00")).ok_or_else(odd)?;
            lines.cell(Some(format!("{}Z", text.replacen(' ', "T", 1)).as_bytes()));
        }
    }
    Ok(())
}

fn unescape(cell: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(cell.len());
    let mut bytes = cell.iter();
    while let Some(byte) = bytes.next() {
        text.push(match byte {
            b'\\' => match bytes.next() {
                Some(b'b') => 0x08,
                Some(b'f') => 0x0c,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'v') => 0x0b,
                Some(other) => *other,
                None => b'\\',
            },
            byte => *byte,
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(kinds: &[ColumnType], row: &str) -> String {
        let mut lines = CsvLines::new(false);
        let plain = kinds.iter().all(|kind| is_plain(*kind));
        add_row(&mut lines, kinds, plain, row.as_bytes()).unwrap();
        String::from_utf8(lines.into_bytes()).unwrap()
    }

    #[test]
    fn what_copy_escapes_comes_back() {
        let text = [ColumnType::Text; 3];
        assert_eq!(line(&text, "a\t\tc"), "a,,c\r\n");
        assert_eq!(line(&text, "\\N\ta\\\\N\t\\\\N"), ",a\\N,\\N\r\n");
        assert_eq!(line(&text, "a,b\t\"\tline\\r\\nend"), "\"a,b\",\"\"\"\",\"line\r\nend\"\r\n");
        assert_eq!(line(&text, "tab\\tend\t\\b\\f\\v\té"), "tab\tend,\u{8}\u{c}\u{b},é\r\n");
        assert_eq!(line(&text[..1], ""), "\"\"\r\n");
    }

    #[test]
    fn values_are_written_as_everywhere() {
        let kinds =
            [ColumnType::Integer, ColumnType::Real, ColumnType::Boolean, ColumnType::Date, ColumnType::Timestamp];
        let row = "-7\t1e+22\tt\t2026-01-31\t2026-01-31 12:00:00.5+00";
        assert_eq!(line(&kinds, row), "-7,1e22,true,2026-01-31,2026-01-31T12:00:00.5Z\r\n");
        assert_eq!(line(&kinds, "\\N\t-0\tf\t\\N\t\\N"), ",0,false,,\r\n");
    }
}
