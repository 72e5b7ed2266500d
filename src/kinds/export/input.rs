//! The spec of an export as clients see it: the fields of the input of startExport, as JSON.

use serde_json::{Value, json};

use super::spec::{ExportSpec, FileCompression};
use crate::datasets::ColumnFilter;

/// Returns the fields that only exports have. `rate` is the limit in force.
pub fn fields(spec: ExportSpec, rate: Option<f64>) -> Value {
    let ExportSpec { dataset, columns, filters, compression, guard_formulas, max_rows_per_second: _ } = spec;
    let filters: Vec<_> = filters.into_iter().map(filter_field).collect();
    let compression = match compression {
        FileCompression::None => "NONE",
        FileCompression::Gzip => "GZIP",
        FileCompression::Zip => "ZIP",
    };
    json!({
        "dataset": dataset.to_string(),
        "columns": columns,
        "where": (!filters.is_empty()).then_some(filters),
        "compression": compression,
        "guardFormulas": guard_formulas,
        "maxRowsPerSecond": rate,
    })
}

/// A filter is stored as clients write it, but for its nulls.
fn filter_field(filter: ColumnFilter) -> Value {
    let mut fields = json!(filter);
    if let Some(fields) = fields.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    fields
}
