//! Priorities decide the order of claims, however many tasks wait. Tags are found by an index that follows the tasks.

use jiff::Timestamp;
use pausa::store::{Filter, Page, QueuePlace, TimeRange, Total};
use pausa::task::change::End;
use pausa::task::{Task, Verb};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};

use super::test_store::{TestStore, at, control, create, end, node, plain, task_with};
use crate::harness::caller;

/// Tasks that wait while a plan is made.
const WAITING: u32 = 20_000;

pub async fn tasks_of_higher_priority_are_claimed_first_and_the_oldest_of_each(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let mut created = Vec::new();
    for priority in [0, -100, 5, 100, 5, 0] {
        created.push(create(&store, task_with(|new| new.priority = priority)).await.id);
    }
    let claimed = store.claim(&node("a"), at(1), 4).await.unwrap();
    let claimed =
        claimed.iter().chain(&store.claim(&node("b"), at(1), 4).await.unwrap()).map(|task| task.id).collect::<Vec<_>>();
    assert_eq!(claimed, [3, 2, 4, 0, 5, 1].map(|place: usize| created[place]));
}

pub async fn a_claim_reads_the_index_of_priorities_in_order(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let first = create(&store, task_with(|new| new.priority = 1)).await.id;
    let plans = async |moment: &str| {
        let plan = plan(test_store, store.claim_statement()).await;
        assert!(plan.contains("tasks_priority"), "{moment}: {plan}");
        assert!(!plan.contains("Sort") && !plan.contains("TEMP B-TREE"), "{moment}: {plan}");
    };
    plans("with an empty queue").await;
    test_store.execute(&fill(test_store)).await.unwrap();
    test_store.execute("ANALYZE tasks").await.unwrap();
    plans("with a full queue").await;
    assert_eq!(store.claim(&node("a"), at(1), 1).await.unwrap()[0].id, first);
}

pub async fn queue_positions_and_totals_read_a_bounded_number_of_tasks(test_store: &TestStore) {
    let store = test_store.open().await;
    let mut tasks = Vec::new();
    for priority in [1, 1, -100] {
        tasks.push(create(&store, task_with(|new| new.priority = priority)).await);
    }
    test_store.execute(&fill(test_store)).await.unwrap();
    let places: Vec<_> = tasks.iter().map(|task| QueuePlace::of(task).unwrap()).collect();
    let found = store.queue_positions(caller(), &places).await.unwrap();
    let positions: Vec<_> = places.iter().map(|place| found.get(place).copied()).collect();
    assert_eq!(positions, [Some(0), Some(1), None], "more than 10,000 tasks are before the last one");

    let all = u64::from(WAITING) + 3;
    let total = async |filter: Filter| store.count(caller(), &filter).await.unwrap();
    assert_eq!(total(Filter::default()).await, Total { count: all, exact: true });
    let created = TimeRange { after: None, before: Some(Timestamp::MAX) };
    assert_eq!(total(Filter { created, ..Filter::default() }).await, Total { count: 10_000, exact: false });
}

/// Statement that adds tasks of lower priority with older IDs.
fn fill(test_store: &TestStore) -> String {
    let (id, numbers) = match test_store.url.starts_with("postgres") {
        true => (
            "'00000000-0000-7000-8000-' || lpad(CAST(n AS TEXT), 12, '0')",
            format!("generate_series(1, {WAITING}) AS n"),
        ),
        false => {
            let series = format!("WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {WAITING})");
            ("printf('00000000-0000-7000-8000-%012d', n)", format!("({series} SELECT n FROM s)"))
        }
    };
    format!(
        "INSERT INTO tasks (id, kind, state, epoch, version, spec, phase, unit, done, active, progress_at, attempt, crashes, \
         failures, created_at, priority) \
         SELECT {id}, 'import', 'QUEUED', 0, 1, '{{}}', 'waiting', 'ROWS', 0, 0, 0, 0, 0, 0, 0, -(n % 101) FROM {numbers}"
    )
}

/// Returns how the database would run a claim.
async fn plan(test_store: &TestStore, statement: &str) -> String {
    let mut connection = AnyConnection::connect(&test_store.url).await.unwrap();
    let (explain, column) = match test_store.url.starts_with("postgres") {
        true => {
            for setting in ["search_path = pausa", "enable_seqscan = off", "enable_bitmapscan = off"] {
                let set = AssertSqlSafe(format!("SET {setting}"));
                sqlx::query(set).execute(&mut connection).await.unwrap();
            }
            ("EXPLAIN (COSTS OFF)", 0)
        }
        false => ("EXPLAIN QUERY PLAN", 3),
    };
    let query = sqlx::query(AssertSqlSafe(format!("{explain} {statement}"))).bind(10_i64).bind(r#"["import"]"#);
    let rows = query.fetch_all(&mut connection).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>(column)).collect::<Vec<_>>().join("\n")
}

/// Returns the rows of the index of tags: tag, state and ID, sorted.
async fn tags_of(test_store: &TestStore) -> Vec<(String, String, String)> {
    let mut connection = AnyConnection::connect(&test_store.url).await.unwrap();
    if test_store.url.starts_with("postgres") {
        sqlx::query("SET search_path = pausa").execute(&mut connection).await.unwrap();
    }
    let rows = sqlx::query("SELECT tag, state, task_id FROM task_tags").fetch_all(&mut connection).await.unwrap();
    let mut rows: Vec<_> = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    rows.sort();
    rows
}

fn tagged(task: &Task, tags: &[&str], state: &str) -> Vec<(String, String, String)> {
    tags.iter().map(|tag| ((*tag).to_owned(), state.to_owned(), task.id.to_string())).collect()
}

pub async fn the_index_of_tags_follows_every_change_of_a_task(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let some = ["nightly", "z\u{fc}rich's \"best\" \u{1f600}"];
    let task = create(&store, task_with(|new| new.tags = some.map(str::to_owned).to_vec())).await;
    create(&store, plain()).await;
    assert_eq!(store.get(caller(), task.id).await.unwrap().unwrap().tags, some);
    assert_eq!(tags_of(test_store).await, tagged(&task, &some, "QUEUED"));
    let claimed = store.claim(&node("a"), at(1), 1).await.unwrap().remove(0);
    assert_eq!(tags_of(test_store).await, tagged(&task, &some, "RUNNING"));
    control(&store, &task, Verb::Pause).await;
    end(&store, &claimed, End::Release).await;
    assert_eq!(tags_of(test_store).await, tagged(&task, &some, "PAUSED"));

    // A program of an earlier version knows no tags, and an update by hand is no exception.
    let changed = |tags: &str| format!("UPDATE tasks SET tags = {tags} WHERE id = '{}'", task.id);
    test_store.execute(&changed("'[\"weekly\"]'")).await.unwrap();
    assert_eq!(tags_of(test_store).await, tagged(&task, &["weekly"], "PAUSED"));
    for refused in ["'[]'", "'[\"\"]'", "'no list'", &format!("'[\"{}\"]'", "x".repeat(65))] {
        test_store.execute(&changed(refused)).await.unwrap_err();
    }
    test_store.execute(&changed("NULL")).await.unwrap();
    assert_eq!(tags_of(test_store).await, []);
    test_store.execute(&changed("'[\"weekly\"]'")).await.unwrap();
    test_store.execute(&format!("DELETE FROM tasks WHERE id = '{}'", task.id)).await.unwrap();
    assert_eq!(tags_of(test_store).await, []);
    assert_eq!(
        store.list(caller(), &Filter::default(), Page { limit: 9, ..Page::default() }).await.unwrap().0.len(),
        1
    );
}
