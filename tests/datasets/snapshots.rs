//! Snapshots that exports read.

use jiff::Timestamp;
use pausa::datasets::{
    Batch, Column, ColumnFilter, ColumnType, Error, ImportPlan, PageLimit, PinHolder, PublishMode, RowWindow, Selection,
};

use crate::datasets::database::{TestDatabase, every, firsts, page, plan};
use crate::harness::caller;

pub async fn a_pinned_snapshot_survives_append_replace_and_drop(database: &TestDatabase) {
    let (datasets, name) = (&database.datasets, "sales".parse().unwrap());
    let (one, two) = (crate::harness::task_id(), crate::harness::task_id());
    assert_eq!(datasets.pin(caller(), one.into(), &name).await, Err(Error::Missing("sales".parse().unwrap())));
    database.import("sales", PublishMode::Create, &[&["a"], &["b"], &["c"], &["d"]]).await;
    let first = datasets.pin(caller(), one.into(), &name).await.unwrap();
    assert_eq!((first.rows, first.columns.len()), (4, 1));
    database.import("sales", PublishMode::Append, &[&["e"]]).await;
    let second = datasets.pin(caller(), two.into(), &name).await.unwrap();
    assert_eq!(database.read(&first).await, ["a", "b", "c", "d"]);

    database.import("sales", PublishMode::Replace, &[&["x"]]).await;
    let again = database.reconnect().await.pin(caller(), one.into(), &name).await.unwrap();
    assert_eq!(again, first, "a second pin is the same snapshot");
    assert_eq!(database.read(&again).await, ["a", "b", "c", "d"]);
    assert!(datasets.drop_dataset(caller(), &name).await.unwrap());
    datasets.unpin(one.into()).await.unwrap();
    assert_eq!(database.read(&second).await, ["a", "b", "c", "d", "e"]);
    datasets.unpin(two.into()).await.unwrap();
    datasets.unpin(two.into()).await.unwrap();
    assert_eq!(database.files().await, 0, "nothing reads it anymore");
}

pub async fn pages_span_several_imports(database: &TestDatabase) {
    database.import("sales", PublishMode::Create, &[&["a"], &["b"]]).await;
    database.import("sales", PublishMode::Append, &[&["c"], &["d"], &["e"]]).await;
    database.import("sales", PublishMode::Append, &[&["f"]]).await;
    let (datasets, name) = (&database.datasets, "sales".parse().unwrap());
    let snapshot = datasets.pin(caller(), crate::harness::task_id().into(), &name).await.unwrap();
    assert_eq!(database.read(&snapshot).await, ["a", "b", "c", "d", "e", "f"]);
    for (after, limit, expected) in [(0, 3, "abc"), (1, 3, "bcd"), (4, 9, "ef"), (6, 9, ""), (99, 1, ""), (2, 0, "")] {
        let rows = page(datasets, &name, after, limit).await;
        assert_eq!(firsts(&rows).concat(), expected);
        let window = RowWindow { after, last: snapshot.rows.min(after + u64::from(limit)) };
        let all = PageLimit { rows: 100, bytes: 100, guard: false };
        let page = datasets.reader(&snapshot, &every(&snapshot)).read(window, all).await;
        let lines = if window.after < window.last { page.unwrap().lines.into_bytes() } else { Vec::new() };
        assert_eq!(String::from_utf8(lines).unwrap().replace("\r\n", ""), expected);
    }
    assert!(page(datasets, &name, u64::MAX, 5).await.is_empty());
}

pub async fn a_page_ends_at_its_limit_of_bytes(database: &TestDatabase) {
    let (datasets, task) = (&database.datasets, crate::harness::task_id());
    let mut staging = datasets.stage(task, 1, &plan("large", PublishMode::Create, 1)).await.unwrap();
    let mut batch = Batch::new(1);
    for _ in 0..100 {
        batch.push_row([Some("x".repeat(100_000).as_str())]).unwrap();
    }
    staging.write(batch, "end".into()).await.unwrap();
    staging.close().await.unwrap();
    datasets.publish(task, 1, Timestamp::UNIX_EPOCH).await.unwrap();
    let snapshot = datasets.pin(caller(), crate::harness::task_id().into(), &"large".parse().unwrap()).await.unwrap();
    let (reader, mut after) = (datasets.reader(&snapshot, &every(&snapshot)), 0);
    while after < 100 {
        let limit = PageLimit { rows: 1000, bytes: 1 << 20, guard: false };
        let page = reader.read(RowWindow { after, last: 100 }, limit).await.unwrap();
        assert!((1..=11).contains(&page.rows), "{} rows", page.rows);
        assert_eq!(page.last, after + page.rows);
        after += page.rows;
    }
}

pub async fn a_stream_keeps_its_snapshot_until_it_is_released_or_its_process_ends(database: &TestDatabase) {
    let (datasets, name) = (&database.datasets, "sales".parse().unwrap());
    let (one, two) = (PinHolder::Stream(crate::harness::task_id()), PinHolder::Stream(crate::harness::task_id()));
    database.import("sales", PublishMode::Create, &[&["a"], &["b"]]).await;
    let snapshot = datasets.pin(caller(), one, &name).await.unwrap();
    datasets.pin(caller(), two, &name).await.unwrap();
    assert!(datasets.drop_dataset(caller(), &name).await.unwrap());
    datasets.renew(one).await.unwrap();
    assert_eq!(database.read(&snapshot).await, ["a", "b"]);
    datasets.unpin(one).await.unwrap();
    assert!(datasets.renew(one).await.is_err());
    assert_eq!(database.files().await, 1, "the other stream reads it");
    // Data left by a crash is removed.
    database.expire().await;
    database.import("other", PublishMode::Create, &[&["x"]]).await;
    let task = PinHolder::Task(crate::harness::task_id());
    database.reconnect().await.pin(caller(), task, &"other".parse().unwrap()).await.unwrap();
    assert_eq!(database.files().await, 1, "the dropped dataset is deleted");
}

pub async fn a_page_is_found_by_its_key_alone(database: &TestDatabase) {
    database.import("sales", PublishMode::Create, &[&["x"], &["y"], &["z"]]).await;
    let (datasets, name) = (&database.datasets, "sales".parse().unwrap());
    let snapshot = datasets.pin(caller(), crate::harness::task_id().into(), &name).await.unwrap();
    let chosen = |column: &str, from: &str| {
        let filter = ColumnFilter { column: column.to_owned(), from: Some(from.to_owned()), ..ColumnFilter::default() };
        Selection::of(&snapshot.columns, None, &[filter]).unwrap()
    };
    let reader = datasets.reader(&snapshot, &chosen("c1", "y"));
    assert_eq!(reader.count(RowWindow { after: 0, last: 3 }).await.unwrap(), 2);
    let limit = PageLimit { rows: 1, bytes: 1000, guard: false };
    let pages = [(0, 2, "y\r\n"), (2, 3, "z\r\n")];
    for (after, last, lines) in pages {
        let page = reader.read(RowWindow { after, last: 3 }, limit).await.unwrap();
        assert_eq!((page.last, page.rows), (last, 1));
        assert_eq!(page.lines.into_bytes(), lines.as_bytes());
    }
    let none = reader.read(RowWindow { after: 0, last: 1 }, limit).await.unwrap();
    assert_eq!((none.last, none.rows), (1, 0), "a window without a match still advances the cursor");
    reader.stop();
    assert_eq!(reader.count(RowWindow { after: 0, last: 3 }).await.unwrap(), 0);
    assert_eq!(reader.read(RowWindow { after: 0, last: 3 }, limit).await.unwrap().rows, 0);
}

pub async fn typed_columns_are_filtered_by_value_and_written_in_one_notation(database: &TestDatabase) {
    let kinds = [
        ("t", ColumnType::Text),
        ("i", ColumnType::Integer),
        ("r", ColumnType::Real),
        ("b", ColumnType::Boolean),
        ("d", ColumnType::Date),
        ("at", ColumnType::Timestamp),
    ];
    let columns: Vec<_> = kinds.map(|(name, kind)| Column { name: name.to_owned(), kind }).into();
    let rows = [
        [Some("B"), Some("9"), Some("0.1"), Some("true"), Some("2024-02-29"), Some("2024-02-29T10:11:12Z")],
        [
            Some("a\\,\t\"x"),
            Some("10"),
            Some("1e22"),
            Some("false"),
            Some("0001-01-01"),
            Some("2024-02-29T10:11:12.5Z"),
        ],
        [Some("é"), Some("-9223372036854775808"), Some("-5e-324"), None, Some("9999-12-31"), None],
        [None, None, None, Some("false"), None, Some("0001-01-01T00:00:00.000001Z")],
    ];
    let mut batch = Batch::new(6);
    rows.iter().for_each(|row| batch.push_row(row.iter().copied()).unwrap());
    let plan = ImportPlan { dataset: "typed".parse().unwrap(), mode: PublishMode::Create, columns: columns.clone() };
    let (datasets, task) = (&database.datasets, crate::harness::task_id());
    let mut staging = datasets.stage(task, 1, &plan).await.unwrap();
    staging.write(batch, "end".into()).await.unwrap();
    staging.close().await.unwrap();
    datasets.publish(task, 1, Timestamp::UNIX_EPOCH).await.unwrap();
    let snapshot = datasets.pin(caller(), crate::harness::task_id().into(), &plan.dataset).await.unwrap();
    let written: Vec<_> = rows.iter().map(|row| row.map(|cell| cell.unwrap_or_default().to_owned()).to_vec()).collect();
    let lines = database.lines(&snapshot, &every(&snapshot), 100).await;
    assert_eq!(crate::harness::csv::cells(lines.as_bytes()), written);

    let table = [
        ("t", "", "B", "a", "B"),
        ("t", "", "b", "", "é"),
        ("i", "", "9", "10", "B"),
        ("i", "-9223372036854775808", "", "", "é"),
        ("r", "1E22", "", "", "a\\,\t\"x"),
        ("r", "", "-1", "0", "é"),
        ("b", "yes", "", "", "B"),
        ("d", "", "2024-01-01", "", "B|é"),
        ("at", "2024-02-29 12:11:12+02:00", "", "", "B"),
        ("at", "", "2024-02-29T10:11:12Z", "2024-02-29T10:11:12.5Z", "B"),
    ];
    for (column, equals, from, to, expected) in table {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let filter = ColumnFilter {
            column: column.to_owned(),
            equals: given(equals),
            from: given(from),
            to: given(to),
            ..ColumnFilter::default()
        };
        let selection = Selection::of(&columns, Some(&["t".to_owned(), "i".to_owned()]), &[filter]).unwrap();
        let lines = database.lines(&snapshot, &selection, 1).await;
        let cells: Vec<_> =
            crate::harness::csv::cells(lines.as_bytes()).into_iter().map(|row| row[0].clone()).collect();
        assert_eq!(cells.join("|"), expected, "{column} {equals} {from} {to}");
    }
}
