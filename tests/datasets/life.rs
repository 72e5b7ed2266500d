//! The life of an import: from the first staged row to a published dataset or a rollback.

use jiff::Timestamp;
use pausa::datasets::{DatasetName, Error, PublishMode, RowRequest};

use crate::datasets::database::{TestDatabase, batch, firsts, numbers, page, plan};
use crate::harness::caller;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn name(text: &str) -> DatasetName {
    text.parse().unwrap()
}

pub async fn rows_are_visible_when_they_are_published(database: &TestDatabase) {
    let (datasets, task) = (&database.datasets, crate::harness::task_id());
    let mut staging = datasets.stage(task, 1, &plan("sales", PublishMode::Create, 1)).await.unwrap();
    assert_eq!(staging.cursor(), None);
    let again = staging.write(numbers(1, 20), "at 20".into()).await.unwrap();
    assert_eq!(again.len(), 20, "the batch is returned");
    staging.write(numbers(21, 25), "at 25".into()).await.unwrap();
    staging.close().await.unwrap();
    assert_eq!(datasets.get(caller(), &name("sales")).await.unwrap(), None);
    assert_eq!(
        datasets.rows(caller(), &name("sales"), &RowRequest::default()).await,
        Err(Error::Missing(name("sales")))
    );

    assert_eq!(datasets.publish(task, 1, NOW).await.unwrap(), 25);
    let dataset = datasets.get(caller(), &name("sales")).await.unwrap().unwrap();
    assert_eq!((dataset.rows, dataset.created_at), (25, NOW));
    assert_eq!(dataset.columns, plan("sales", PublishMode::Create, 1).columns);
    assert_eq!(database.firsts("sales").await, firsts(&numbers(1, 25)));
    assert_eq!(datasets.count(caller()).await.unwrap(), 1);
}

pub async fn publishing_twice_changes_nothing(database: &TestDatabase) {
    database.import("sales", PublishMode::Create, &[&["a"]]).await;
    let task = database.import("sales", PublishMode::Append, &[&["b"], &["c"]]).await;
    let datasets = database.reconnect().await;
    assert_eq!(datasets.publish(task, 2, NOW).await.unwrap(), 2);
    assert_eq!(datasets.staged_cursor(task, 3).await.unwrap().as_deref(), Some("end"));
    let mut staging = datasets.stage(task, 4, &plan("sales", PublishMode::Append, 1)).await.unwrap();
    assert_eq!(staging.cursor(), Some("end"));
    assert!(staging.write(numbers(1, 1), "more".into()).await.is_err());
    datasets.discard(task, 4).await.unwrap();
    assert_eq!(database.firsts("sales").await, ["a", "b", "c"]);
    datasets.purge_import(task).await.unwrap();
    assert_eq!(datasets.staged_cursor(task, 5).await.unwrap(), None);
    assert!(matches!(datasets.publish(task, 5, NOW).await, Err(Error::Failed(_))));
    datasets.discard(task, 5).await.unwrap();
    assert_eq!(database.firsts("sales").await, ["a", "b", "c"]);
}

pub async fn append_continues_the_row_numbers_and_replace_restarts_them(database: &TestDatabase) {
    database.import("sales", PublishMode::Replace, &[&["a"], &["b"]]).await;
    database.import("sales", PublishMode::Append, &[&["c"]]).await;
    assert_eq!(database.firsts("sales").await, ["a", "b", "c"]);
    let rest = page(&database.datasets, &name("sales"), 2, 10).await;
    assert_eq!(firsts(&rest), ["c"]);
    database.import("sales", PublishMode::Replace, &[&["x", "y"]]).await;
    assert_eq!(database.firsts("sales").await, ["x"]);
    assert_eq!(database.files().await, 1, "the replaced data is deleted");
    assert!(database.datasets.drop_dataset(caller(), &name("sales")).await.unwrap());
    assert!(!database.datasets.drop_dataset(caller(), &name("sales")).await.unwrap());
    assert_eq!(database.files().await, 0);
}

pub async fn an_import_that_publish_would_refuse_is_refused_at_the_start(database: &TestDatabase) {
    database.import("sales", PublishMode::Create, &[&["a"]]).await;
    let refusal = async |plan| database.datasets.stage(crate::harness::task_id(), 1, &plan).await.err().unwrap();
    assert_eq!(refusal(plan("sales", PublishMode::Create, 1)).await, Error::Exists(name("sales")));
    assert_eq!(refusal(plan("other", PublishMode::Append, 1)).await, Error::Missing(name("other")));
    let columns =
        Error::Columns { dataset: name("sales"), expected: vec!["c1".into()], found: vec!["c1".into(), "c2".into()] };
    assert_eq!(refusal(plan("sales", PublishMode::Append, 2)).await, columns);
    assert!(matches!(refusal(plan("none", PublishMode::Create, 0)).await, Error::Failed(_)));
    assert_eq!(database.files().await, 1, "no staging was created");
}

pub async fn a_name_that_another_import_took_is_refused_at_publish(database: &TestDatabase) {
    let (datasets, task) = (&database.datasets, crate::harness::task_id());
    let mut staging = datasets.stage(task, 1, &plan("sales", PublishMode::Create, 1)).await.unwrap();
    staging.write(batch(&[&["mine"]]), "end".into()).await.unwrap();
    database.import("sales", PublishMode::Create, &[&["theirs"]]).await;
    assert_eq!(datasets.publish(task, 1, NOW).await, Err(Error::Exists(name("sales"))));
    assert_eq!(database.firsts("sales").await, ["theirs"]);
    datasets.discard(task, 1).await.unwrap();
    assert_eq!(database.firsts("sales").await, ["theirs"]);
}

pub async fn an_older_epoch_cannot_write(database: &TestDatabase) {
    let (datasets, task) = (&database.datasets, crate::harness::task_id());
    let plan = plan("sales", PublishMode::Create, 1);
    let mut zombie = datasets.stage(task, 1, &plan).await.unwrap();
    zombie.write(numbers(1, 2), "at 2".into()).await.unwrap();
    let mut heir = database.reconnect().await.stage(task, 2, &plan).await.unwrap();
    assert_eq!(heir.cursor(), Some("at 2"));
    assert_eq!(zombie.write(numbers(3, 3), "at 3".into()).await, Err(Error::LeaseLost));
    heir.write(numbers(3, 4), "at 4".into()).await.unwrap();
    assert_eq!(datasets.stage(task, 1, &plan).await.err(), Some(Error::LeaseLost));
    assert_eq!(datasets.staged_cursor(task, 1).await, Err(Error::LeaseLost));
    assert_eq!(datasets.publish(task, 1, NOW).await, Err(Error::LeaseLost));
    assert_eq!(datasets.discard(task, 1).await, Err(Error::LeaseLost));
    assert_eq!(datasets.staged_cursor(task, 3).await.unwrap().as_deref(), Some("at 4"));
    assert_eq!(heir.write(numbers(5, 5), "at 5".into()).await, Err(Error::LeaseLost));
    assert_eq!(datasets.publish(task, 3, NOW).await.unwrap(), 4);
    assert_eq!(database.firsts("sales").await, ["1", "2", "3", "4"]);
}

pub async fn a_run_that_crashed_is_resumed_at_its_cursor(database: &TestDatabase) {
    let (task, plan) = (crate::harness::task_id(), plan("sales", PublishMode::Create, 1));
    let mut staging = database.datasets.stage(task, 1, &plan).await.unwrap();
    staging.write(numbers(1, 3), "at 3".into()).await.unwrap();
    drop(staging);
    let datasets = database.reconnect().await;
    let other = crate::datasets::database::plan("other", PublishMode::Create, 1);
    assert!(matches!(datasets.stage(task, 2, &other).await.err(), Some(Error::Failed(_))));
    let mut staging = datasets.stage(task, 2, &plan).await.unwrap();
    assert_eq!(staging.cursor(), Some("at 3"));
    staging.write(numbers(4, 5), "at 5".into()).await.unwrap();
    staging.close().await.unwrap();
    assert_eq!(datasets.publish(task, 2, NOW).await.unwrap(), 5);
    assert_eq!(database.firsts("sales").await, firsts(&numbers(1, 5)));
}

pub async fn discard_leaves_nothing(database: &TestDatabase) {
    let (datasets, task) = (&database.datasets, crate::harness::task_id());
    let plan = plan("sales", PublishMode::Create, 1);
    let mut staging = datasets.stage(task, 1, &plan).await.unwrap();
    staging.write(numbers(1, 5000), "at 5000".into()).await.unwrap();
    datasets.discard(task, 2).await.unwrap();
    assert!(staging.write(numbers(5001, 5002), "late".into()).await.is_err());
    staging.close().await.unwrap();
    datasets.discard(task, 2).await.unwrap();
    assert_eq!(database.files().await, 0);
    assert_eq!(datasets.staged_cursor(task, 3).await.unwrap(), None);
    let fresh = datasets.stage(task, 3, &plan).await.unwrap();
    assert_eq!(fresh.cursor(), None);
}

/// The newest first. REPLACE begins anew.
pub async fn a_dataset_names_its_imports_and_its_size(database: &TestDatabase) {
    let (datasets, sales) = (&database.datasets, name("sales"));
    let first = database.import("sales", PublishMode::Create, &[&["a"]]).await;
    let second = database.import("sales", PublishMode::Append, &[&["b"]]).await;
    assert_eq!(datasets.importers(caller(), &sales, 10).await.unwrap(), [second, first]);
    assert_eq!(datasets.importers(caller(), &sales, 1).await.unwrap(), [second]);
    let sizes = datasets.sizes(caller(), &[sales.clone(), name("none")]).await.unwrap();
    assert!(sizes.len() == 1 && sizes[&sales] > 0, "{sizes:?}");
    let third = database.import("sales", PublishMode::Replace, &[&["c"]]).await;
    assert_eq!(datasets.importers(caller(), &sales, 10).await.unwrap(), [third]);
    assert_eq!(datasets.importers(caller(), &name("none"), 10).await.unwrap(), []);
}

pub async fn concurrent_imports_do_not_mix(database: &TestDatabase) {
    let imports = (0..6_u64).map(async |import| {
        let (task, dataset) = (crate::harness::task_id(), format!("d{import}"));
        let mut staging = database.datasets.stage(task, 1, &plan(&dataset, PublishMode::Create, 1)).await.unwrap();
        for part in 0..10 {
            let from = import * 1000 + part * 10;
            staging.write(numbers(from, from + 9), part.to_string().into()).await.unwrap();
        }
        staging.close().await.unwrap();
        assert_eq!(database.datasets.publish(task, 1, NOW).await.unwrap(), 100);
        assert_eq!(database.firsts(&dataset).await, firsts(&numbers(import * 1000, import * 1000 + 99)));
    });
    futures_util::future::join_all(imports).await;
    assert_eq!(database.datasets.count(caller()).await.unwrap(), 6);
}
