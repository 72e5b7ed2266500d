//! The spec of an import as clients see it: the fields of the input of startImport, as JSON.

use serde_json::{Value, json};

use super::spec::{BadRows, CsvFormat, FileSource, ImportSpec};
use crate::gql::secrets::masked_url;

/// Returns the fields that only imports have. `rate` is the limit in force.
pub fn fields(spec: ImportSpec, rate: Option<f64>) -> Value {
    let ImportSpec { source, dataset, mode, csv, columns, infer_types, bad_rows, max_rows_per_second: _ } = spec;
    let columns: Vec<_> =
        columns.into_iter().map(|column| json!({ "name": column.name, "type": column.kind })).collect();
    let (on_bad_row, max_bad_rows) = match bad_rows {
        BadRows::Fail => ("FAIL", None),
        BadRows::Skip(limit) => ("SKIP", limit),
    };
    json!({
        "source": source_field(source),
        "dataset": dataset.to_string(),
        "mode": mode,
        "csv": csv_field(csv),
        "columns": (!columns.is_empty()).then_some(columns),
        "inferTypes": infer_types,
        "onBadRow": on_bad_row,
        "maxBadRows": max_bad_rows,
        "maxRowsPerSecond": rate,
    })
}

fn source_field(source: FileSource) -> Value {
    match source {
        FileSource::Upload(id) => json!({ "uploadId": id }),
        FileSource::Path(path) => json!({ "path": path }),
        FileSource::Url(url) => json!({ "url": masked_url(&url) }),
    }
}

fn csv_field(format: CsvFormat) -> Value {
    let CsvFormat { delimiter, delimiter_given, quote, header, null_value, encoding } = format;
    let character = |byte: u8| char::from(byte).to_string();
    json!({
        "delimiter": delimiter_given.then(|| character(delimiter)),
        "quote": character(quote),
        "header": header,
        "nullValue": null_value,
        "encoding": encoding,
    })
}
