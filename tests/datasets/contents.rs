//! Cells, columns and names of every kind.

use jiff::Timestamp;
use pausa::datasets::{Batch, Column, Dataset, Error, ImportPlan, PublishMode};

use crate::datasets::database::{TestDatabase, batch, numbers, page, plan};
use crate::harness::caller;

async fn import(database: &TestDatabase, plan: &ImportPlan, batch: Batch) {
    let task = crate::harness::task_id();
    let mut staging = database.datasets.stage(task, 1, plan).await.unwrap();
    staging.write(batch, "end".into()).await.unwrap();
    staging.close().await.unwrap();
    database.datasets.publish(task, 1, Timestamp::UNIX_EPOCH).await.unwrap();
}

pub async fn odd_cells_are_preserved(database: &TestDatabase) {
    let large = "é\\\t\"".repeat(1 << 18);
    let cells = [
        "",
        "NULL",
        "\\N",
        "\\.",
        "a\"b",
        "'",
        "a,b;c",
        "line\nbreak",
        "\r\n",
        "\t",
        "\\",
        "\\\\n",
        "😀",
        " x ",
        "\u{feff}",
        "\u{1}\u{7f}",
        "e\u{301}",
        "1e5",
        "007",
        &large,
    ];
    let mut odd = Batch::new(2);
    for cell in cells {
        odd.push_row([Some(cell), None]).unwrap();
        odd.push_row([None, Some(cell)]).unwrap();
    }
    import(database, &plan("odd", PublishMode::Create, 2), odd.clone()).await;
    assert!(page(&database.datasets, &"odd".parse().unwrap(), 0, 100).await == odd);
}

pub async fn odd_columns_keep_their_names(database: &TestDatabase) {
    let long = "a very long name of a column that goes on and on and on and on, ";
    let names = [
        "a",
        "A",
        "",
        "a\"b",
        "a'b",
        "select",
        "rowid",
        "_rowid_",
        "oid",
        "pausa_row",
        "ctid",
        "x;--",
        "é😀",
        "a\nb",
        "n\0l",
        &format!("{long}1"),
        &format!("{long}2"),
        " ",
        "?1",
        "$1",
    ];
    let columns: Vec<_> = names.iter().map(|name| Column::text(*name)).collect();
    let first: Vec<_> = (0..names.len()).map(|cell| cell.to_string()).collect();
    let mut row = Batch::new(names.len());
    row.push_row(first.iter().map(|cell| Some(cell.as_str()))).unwrap();
    for mode in [PublishMode::Create, PublishMode::Append] {
        let plan = ImportPlan { dataset: "odd".parse().unwrap(), mode, columns: columns.clone() };
        import(database, &plan, row.clone()).await;
    }
    let name = "odd".parse().unwrap();
    let dataset = database.datasets.get(caller(), &name).await.unwrap().unwrap();
    assert_eq!((dataset.columns, dataset.rows), (columns, 2));
    assert_eq!(page(&database.datasets, &name, 1, 5).await, row);
    database.import("sqlite_odd", PublishMode::Create, &[&["x"]]).await;
    assert_eq!(database.firsts("sqlite_odd").await, ["x"]);
}

pub async fn fifteen_hundred_columns(database: &TestDatabase) {
    let mut wide = Batch::new(1500);
    for row in 0..20 {
        let cells: Vec<_> = (0..1500).map(|cell| ((row + cell) % 100).to_string()).collect();
        wide.push_row(cells.iter().map(|cell| Some(cell.as_str()))).unwrap();
    }
    import(database, &plan("wide", PublishMode::Create, 1500), wide.clone()).await;
    assert!(page(&database.datasets, &"wide".parse().unwrap(), 0, 100).await == wide);
}

pub async fn too_many_columns(database: &TestDatabase) {
    let refused =
        database.datasets.stage(crate::harness::task_id(), 1, &plan("wide", PublishMode::Create, 2001)).await.err();
    assert!(matches!(refused, Some(Error::TooManyColumns { found: 2001, limit: 1599 | 2000 })), "{refused:?}");
}

pub async fn a_batch_of_another_width_is_refused(database: &TestDatabase) {
    let task = crate::harness::task_id();
    let mut staging = database.datasets.stage(task, 1, &plan("sales", PublishMode::Create, 1)).await.unwrap();
    assert!(matches!(staging.write(batch(&[&["a", "b"]]), "x".into()).await, Err(Error::Failed(_))));
    staging.write(numbers(1, 1), "at 1".into()).await.unwrap();
    staging.write(Batch::new(1), "at the end".into()).await.unwrap();
    assert_eq!(database.datasets.staged_cursor(task, 1).await.unwrap().as_deref(), Some("at the end"));
    assert_eq!(database.datasets.publish(task, 1, Timestamp::UNIX_EPOCH).await.unwrap(), 1);
}

pub async fn datasets_are_listed_by_name(database: &TestDatabase) {
    for name in ["b", "B", "a_1", "c", "a"] {
        database.import(name, PublishMode::Create, &[&["x"]]).await;
    }
    let list = async |after, before, limit, from_end| {
        let found: Vec<Dataset> = database.datasets.list(caller(), after, before, limit, from_end).await.unwrap();
        found.iter().map(|dataset| dataset.name.to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(list(None, None, 10, false).await, "B a a_1 b c");
    assert_eq!(list(None, None, 2, false).await, "B a");
    assert_eq!(list(Some("a"), None, 2, false).await, "a_1 b");
    assert_eq!(list(None, None, 2, true).await, "b c");
    assert_eq!(list(None, Some("b"), 2, true).await, "a a_1");
    assert_eq!(list(Some("B"), Some("b"), 10, false).await, "a a_1");
    assert_eq!(database.datasets.count(caller()).await.unwrap(), 5);
}
