//! Checks of the files that a server keeps on disk.

use std::path::Path;

use crate::harness::csv;
use crate::harness::server::Server;

/// Returns the names in a folder of the server's data folder.
pub fn names(server: &Server, folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(server.folder().join(Path::new(folder))).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn sorted<T: std::fmt::Display>(names: &[T], end: &str) -> Vec<String> {
    let mut names: Vec<_> = names.iter().map(|name| format!("{name}{end}")).collect();
    names.sort();
    names
}

/// Checks that only the segments of published imports and the results of finished tasks are left.
pub fn is_tidy(server: &Server, imports: &[&str], results: &[&str]) {
    assert_eq!(names(server, "datasets.db-segments"), sorted(imports, ".db"), "segments");
    has_only_results(server, results);
}

/// Checks that the files have no more than these results and complete uploads.
pub fn has_only_results<T: std::fmt::Display>(server: &Server, results: &[T]) {
    assert_eq!(names(server, "files/work"), [] as [&str; 0], "work in progress");
    assert_eq!(names(server, "files/results"), sorted(results, ""), "results");
    assert!(!names(server, "files/uploads").iter().any(|name| name.contains("part")), "unfinished uploads");
}

/// Checks that the dataset has the cells of the file, in order.
pub async fn is_exact(server: &Server, dataset: &str, file: &str) {
    same_cells(&server.exported(dataset).await, file);
    assert_eq!(server.rows(dataset).await, Some(csv::cells(file.as_bytes()).len() as u64 - 1));
}

/// Checks that both texts have the same cells. Shows the first difference.
pub fn same_cells(found: &[u8], file: &str) {
    let (found, expected) = (csv::cells(found), csv::cells(file.as_bytes()));
    let differs = found.iter().zip(&expected).position(|(found, expected)| found != expected);
    if let Some(row) = differs {
        panic!("row {row} is {:?} where {:?} belongs", found[row], expected[row]);
    }
    assert_eq!(found.len(), expected.len(), "rows with the header");
}
