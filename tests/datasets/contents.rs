//! Cells, columns and names of every kind.

use jiff::Timestamp;
use pausa::datasets::{Batch, Column, Dataset, Error, Mode, Plan};

use crate::datasets::place::{Place, batch, numbers, plan};

async fn import(place: &Place, plan: &Plan, batch: Batch) {
    let task = crate::harness::task_id();
    let mut staging = place.datasets.stage(task, 1, plan).await.unwrap();
    staging.write(batch, "end".into()).await.unwrap();
    staging.close().await.unwrap();
    place.datasets.publish(task, 1, Timestamp::UNIX_EPOCH).await.unwrap();
}

pub async fn odd_cells_come_back_as_they_were(place: &Place) {
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
    import(place, &plan("odd", Mode::Create, 2), odd.clone()).await;
    assert!(place.datasets.rows(&"odd".parse().unwrap(), 0, 100).await.unwrap() == odd);
}

pub async fn odd_columns_keep_their_names(place: &Place) {
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
    for mode in [Mode::Create, Mode::Append] {
        let plan = Plan { dataset: "odd".parse().unwrap(), mode, columns: columns.clone() };
        import(place, &plan, row.clone()).await;
    }
    let name = "odd".parse().unwrap();
    let dataset = place.datasets.get(&name).await.unwrap().unwrap();
    assert_eq!((dataset.columns, dataset.rows), (columns, 2));
    assert_eq!(place.datasets.rows(&name, 1, 5).await.unwrap(), row);
    place.import("sqlite_odd", Mode::Create, &[&["x"]]).await;
    assert_eq!(place.firsts("sqlite_odd").await, ["x"]);
}

pub async fn fifteen_hundred_columns(place: &Place) {
    let mut wide = Batch::new(1500);
    for row in 0..20 {
        let cells: Vec<_> = (0..1500).map(|cell| ((row + cell) % 100).to_string()).collect();
        wide.push_row(cells.iter().map(|cell| Some(cell.as_str()))).unwrap();
    }
    import(place, &plan("wide", Mode::Create, 1500), wide.clone()).await;
    assert!(place.datasets.rows(&"wide".parse().unwrap(), 0, 100).await.unwrap() == wide);
}

pub async fn too_many_columns(place: &Place) {
    let refused = place.datasets.stage(crate::harness::task_id(), 1, &plan("wide", Mode::Create, 2001)).await.err();
    assert!(matches!(refused, Some(Error::TooManyColumns { found: 2001, limit: 1599 | 2000 })), "{refused:?}");
}

pub async fn a_batch_of_another_width_is_refused(place: &Place) {
    let task = crate::harness::task_id();
    let mut staging = place.datasets.stage(task, 1, &plan("sales", Mode::Create, 1)).await.unwrap();
    assert!(matches!(staging.write(batch(&[&["a", "b"]]), "x".into()).await, Err(Error::Failed(_))));
    staging.write(numbers(1, 1), "at 1".into()).await.unwrap();
    staging.write(Batch::new(1), "at the end".into()).await.unwrap();
    assert_eq!(place.datasets.staged(task, 1).await.unwrap().as_deref(), Some("at the end"));
    assert_eq!(place.datasets.publish(task, 1, Timestamp::UNIX_EPOCH).await.unwrap(), 1);
}

pub async fn datasets_are_listed_by_name(place: &Place) {
    for name in ["b", "B", "a_1", "c", "a"] {
        place.import(name, Mode::Create, &[&["x"]]).await;
    }
    let list = async |after, before, limit, from_end| {
        let found: Vec<Dataset> = place.datasets.list(after, before, limit, from_end).await.unwrap();
        found.iter().map(|dataset| dataset.name.to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(list(None, None, 10, false).await, "B a a_1 b c");
    assert_eq!(list(None, None, 2, false).await, "B a");
    assert_eq!(list(Some("a"), None, 2, false).await, "a_1 b");
    assert_eq!(list(None, None, 2, true).await, "b c");
    assert_eq!(list(None, Some("b"), 2, true).await, "a a_1");
    assert_eq!(list(Some("B"), Some("b"), 10, false).await, "a a_1");
    assert_eq!(place.datasets.count().await.unwrap(), 5);
}
