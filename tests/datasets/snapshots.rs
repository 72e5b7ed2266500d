//! What exports read.

use jiff::Timestamp;
use pausa::datasets::{Batch, Error, Mode};

use crate::datasets::place::{Place, firsts, plan};

pub async fn a_pin_outlives_append_replace_and_drop(place: &Place) {
    let (datasets, name) = (&place.datasets, "sales".parse().unwrap());
    let (one, two) = (crate::harness::task_id(), crate::harness::task_id());
    assert_eq!(datasets.pin(one, &name).await, Err(Error::Missing("sales".parse().unwrap())));
    place.import("sales", Mode::Create, &[&["a"], &["b"], &["c"], &["d"]]).await;
    let first = datasets.pin(one, &name).await.unwrap();
    assert_eq!((first.rows, first.columns.len()), (4, 1));
    place.import("sales", Mode::Append, &[&["e"]]).await;
    let second = datasets.pin(two, &name).await.unwrap();
    assert_eq!(place.read(&first).await, ["a", "b", "c", "d"]);

    place.import("sales", Mode::Replace, &[&["x"]]).await;
    let again = place.reconnect().await.pin(one, &name).await.unwrap();
    assert_eq!(again, first, "a second pin is the same snapshot");
    assert_eq!(place.read(&again).await, ["a", "b", "c", "d"]);
    assert!(datasets.drop_dataset(&name).await.unwrap());
    datasets.unpin(one).await.unwrap();
    assert_eq!(place.read(&second).await, ["a", "b", "c", "d", "e"]);
    datasets.unpin(two).await.unwrap();
    datasets.unpin(two).await.unwrap();
    assert_eq!(place.files().await, 0, "nobody reads it any more");
}

pub async fn pages_lie_across_imports(place: &Place) {
    place.import("sales", Mode::Create, &[&["a"], &["b"]]).await;
    place.import("sales", Mode::Append, &[&["c"], &["d"], &["e"]]).await;
    place.import("sales", Mode::Append, &[&["f"]]).await;
    let (datasets, name) = (&place.datasets, "sales".parse().unwrap());
    let snapshot = datasets.pin(crate::harness::task_id(), &name).await.unwrap();
    assert_eq!(place.read(&snapshot).await, ["a", "b", "c", "d", "e", "f"]);
    for (after, limit, expected) in [(0, 3, "abc"), (1, 3, "bcd"), (4, 9, "ef"), (6, 9, ""), (99, 1, ""), (2, 0, "")] {
        let rows = datasets.rows(&name, after, limit).await.unwrap();
        assert_eq!(firsts(&rows).concat(), expected);
        let read = datasets.read(&snapshot, after, limit).await.unwrap();
        assert_eq!(firsts(&read).concat(), expected);
    }
    assert!(datasets.rows(&name, u64::MAX, 5).await.unwrap().is_empty());
}

pub async fn a_page_ends_where_its_bytes_do(place: &Place) {
    let (datasets, task) = (&place.datasets, crate::harness::task_id());
    let mut staging = datasets.stage(task, 1, &plan("large", Mode::Create, 1)).await.unwrap();
    let mut batch = Batch::new(1);
    for _ in 0..100 {
        batch.push_row([Some("x".repeat(100_000).as_str())]).unwrap();
    }
    staging.write(batch, "end".into()).await.unwrap();
    staging.close().await.unwrap();
    datasets.publish(task, 1, Timestamp::UNIX_EPOCH).await.unwrap();
    let snapshot = datasets.pin(crate::harness::task_id(), &"large".parse().unwrap()).await.unwrap();
    let mut after = 0;
    while after < 100 {
        let page = datasets.read(&snapshot, after, 1000).await.unwrap();
        assert!((1..=11).contains(&page.len()), "{} rows", page.len());
        after += page.len() as u64;
    }
    assert!(datasets.read(&snapshot, after, 1000).await.unwrap().is_empty());
}
