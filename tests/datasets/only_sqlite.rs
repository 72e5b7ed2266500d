//! Behavior of SQLite only: files.

use jiff::Timestamp;
use pausa::datasets::{Error, PublishMode, connect};
use rustix::fs::inotify;

use crate::datasets::database::{TestDatabase, numbers, plan};
use crate::harness::caller;

#[tokio::test]
async fn unused_files_are_removed_at_the_next_start_and_stagings_remain() {
    let database = TestDatabase::sqlite().await;
    let (task, plan) = (crate::harness::task_id(), plan("sales", PublishMode::Create, 1));
    let mut staging = database.datasets.stage(task, 1, &plan).await.unwrap();
    staging.write(numbers(1, 3), "at 3".into()).await.unwrap();
    staging.close().await.unwrap();
    let published = database.import("other", PublishMode::Create, &[&["a"]]).await;
    let file = database.segments().join(format!("{published}.db"));
    let copy = std::fs::read(&file).unwrap();
    let catalog = rusqlite::Connection::open(database.url.trim_start_matches("sqlite:")).unwrap();
    let unlisted =
        "INSERT INTO garbage SELECT segment FROM dataset_part; DELETE FROM dataset_part; DELETE FROM dataset";
    catalog.execute_batch(unlisted).unwrap();
    std::fs::write(&file, copy).unwrap();

    let datasets = database.reconnect().await;
    assert!(!file.exists());
    assert_eq!(datasets.staged_cursor(task, 2).await.unwrap().as_deref(), Some("at 3"));
}

#[tokio::test]
async fn a_staging_left_incomplete_by_a_crash_is_created_again() {
    let database = TestDatabase::sqlite().await;
    let (task, plan) = (crate::harness::task_id(), plan("sales", PublishMode::Create, 1));
    std::fs::write(database.segments().join(format!("{task}.db")), b"").unwrap();
    assert_eq!(database.datasets.staged_cursor(task, 1).await.unwrap(), None);
    let staging = database.datasets.stage(task, 1, &plan).await.unwrap();
    assert_eq!(staging.cursor(), None);
}

#[tokio::test]
async fn a_table_that_lost_rows_is_not_published() {
    let database = TestDatabase::sqlite().await;
    let (task, plan) = (crate::harness::task_id(), plan("sales", PublishMode::Create, 1));
    let mut staging = database.datasets.stage(task, 1, &plan).await.unwrap();
    staging.write(numbers(1, 3), "at 3".into()).await.unwrap();
    staging.close().await.unwrap();
    let file = rusqlite::Connection::open(database.segments().join(format!("{task}.db"))).unwrap();
    file.execute("DELETE FROM sales WHERE rowid = 2", []).unwrap();
    let refused = database.datasets.publish(task, 1, Timestamp::UNIX_EPOCH).await;
    assert!(matches!(refused, Err(Error::Failed(_))));
    assert_eq!(database.datasets.count(caller()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_closed_staging_keeps_no_file_open() {
    let database = TestDatabase::sqlite().await;
    let task = crate::harness::task_id();
    let open = || {
        let files = std::fs::read_dir("/proc/self/fd").unwrap();
        let links = files.filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok());
        links.filter(|link| link.to_string_lossy().contains(&task.to_string())).count()
    };
    let staging = database.datasets.stage(task, 1, &plan("sales", PublishMode::Create, 1)).await.unwrap();
    assert!(open() > 0);
    staging.close().await.unwrap();
    assert_eq!(open(), 0, "no file of the staging is open");
}

#[tokio::test]
async fn an_unsupported_url_is_refused() {
    for url in ["mysql://h/d", "sqlite::memory:", "sqlite:", "nonsense"] {
        assert!(matches!(connect(url).await.err(), Some(Error::Failed(_))), "{url}");
    }
}

/// The last process to close an unlinked file waits until its space is freed, which takes longer for larger files.
#[tokio::test]
async fn a_staging_is_closed_before_it_is_unlinked() {
    let database = TestDatabase::sqlite().await;
    let task = crate::harness::task_id();
    let mut staging = database.datasets.stage(task, 1, &plan("sales", PublishMode::Create, 1)).await.unwrap();
    staging.write(numbers(1, 3), "at 3".into()).await.unwrap();
    staging.close().await.unwrap();
    let events = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
    let watched = inotify::WatchFlags::CLOSE_WRITE | inotify::WatchFlags::DELETE;
    inotify::add_watch(&events, database.segments(), watched).unwrap();

    database.datasets.discard(task, 2).await.unwrap();
    let mut space = [std::mem::MaybeUninit::uninit(); 4096];
    let mut reader = inotify::Reader::new(&events, &mut space);
    let mut seen = Vec::new();
    while let Ok(event) = reader.next() {
        if event.file_name().is_some_and(|name| name.to_string_lossy() == format!("{task}.db")) {
            seen.push(event.events());
        }
    }
    assert_eq!(seen, [inotify::ReadFlags::CLOSE_WRITE, inotify::ReadFlags::DELETE]);
}
