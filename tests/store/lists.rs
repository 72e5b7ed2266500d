//! Task lists are filtered and paged in both directions, and each task occurs once. Histories are complete.

use std::sync::Arc;

use pausa::store::{Claimant, Filter, ListOrder, Page, SearchText, Store, TimeRange};
use pausa::task::change::End;
use pausa::task::{ControlRequest, State, Task, TaskError, TaskId, Verb};

use super::test_store::{TestStore, at, control, create, end, node, plain, request, running, task_with};
use crate::harness::caller;

async fn listed(store: &Store, filter: &Filter) -> Vec<TaskId> {
    let tasks = store.list(caller(), filter, Page { limit: 1000, ..Page::default() }).await.unwrap().0;
    assert!(tasks.iter().all(|task| filter.matches(task)));
    assert_eq!(store.count(caller(), filter).await.unwrap().count, tasks.len() as u64);
    ids(&tasks)
}

fn ids(tasks: &[Arc<Task>]) -> Vec<TaskId> {
    tasks.iter().map(|task| task.id).collect()
}

pub async fn each_condition_of_a_filter_narrows_the_list(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let finishing = end(&store, &*running(&store).await, End::Finish(None)).await.id;
    let run = running(&store).await.id;
    let pi = create(&store, task_with(|new| new.kind = "pi".into())).await.id;
    let named = create(&store, task_with(|new| new.label = Some("it's 100%".into()))).await.id;

    assert_eq!(listed(&store, &Filter::default()).await, [named, pi, run, finishing], "newest first");
    let of = |ids: &[TaskId]| Filter { ids: Some(ids.to_vec()), ..Filter::default() };
    assert_eq!(listed(&store, &of(&[run, pi, crate::harness::task_id()])).await, [pi, run]);
    assert_eq!(listed(&store, &of(&[])).await, [], "an empty list of IDs matches nothing");
    let kinds = |kinds: &[&str]| Some(kinds.iter().map(|kind| (*kind).to_owned()).collect());
    assert_eq!(listed(&store, &Filter { kinds: kinds(&["pi"]), ..Filter::default() }).await, [pi]);
    assert_eq!(listed(&store, &Filter { kinds: kinds(&["pi", "import"]), ..Filter::default() }).await.len(), 4);
    let states = |states: &[State]| Filter { states: Some(states.to_vec()), ..Filter::default() };
    // Clients see publishing as RUNNING.
    assert_eq!(listed(&store, &states(&[State::Running])).await, [run, finishing]);
    assert_eq!(listed(&store, &states(&[State::Queued])).await, [named, pi]);
    assert_eq!(listed(&store, &states(&[State::Paused, State::Failed])).await, []);
    let label = |label: &str| Filter { label: Some(label.into()), ..Filter::default() };
    assert_eq!(listed(&store, &label("it's 100%")).await, [named]);
    assert_eq!(listed(&store, &label("it's")).await, []);
    let both = Filter { kinds: kinds(&["import"]), ..states(&[State::Queued]) };
    assert_eq!(listed(&store, &both).await, [named]);
}

pub async fn pages_contain_each_task_once_in_both_directions(test_store: &TestStore) {
    let store = test_store.open().await;
    let mut newest_first = Vec::new();
    for n in 0..23 {
        let kind = if n % 3 == 0 { "pi" } else { "import" };
        let label = (n % 4 == 0).then(|| "some".to_owned());
        let task = task_with(|new| (new.kind, new.label) = (kind.into(), label));
        newest_first.insert(0, create(&store, task).await);
    }
    for n in [0, 5, 7, 12, 17] {
        newest_first[n] = control(&store, &newest_first[n], Verb::Pause).await;
    }
    let (kinds, label) =
        (|kinds: &[&str]| Some(kinds.iter().map(|kind| (*kind).to_owned()).collect()), || Some("some".to_owned()));
    let filters = [
        Filter::default(),
        Filter { kinds: kinds(&["pi"]), ..Filter::default() },
        Filter { kinds: kinds(&["import", "pi", "import"]), ..Filter::default() },
        Filter { kinds: kinds(&["pi"]), states: Some(vec![State::Paused, State::Running]), ..Filter::default() },
        Filter { label: label(), ..Filter::default() },
        Filter { label: label(), kinds: kinds(&["pi"]), states: Some(vec![State::Queued]), ..Filter::default() },
        Filter { label: label(), kinds: kinds(&[]), states: Some(Vec::new()), ..Filter::default() },
    ];
    for filter in filters {
        let wanted: Vec<_> = newest_first.iter().filter(|task| filter.matches(task)).map(|task| task.id).collect();
        for limit in [1, 4, 23, 100] {
            assert_eq!(forward(&store, &filter, limit).await, wanted, "{filter:?} forward by {limit}");
            assert_eq!(backward(&store, &filter, limit).await, wanted, "{filter:?} backward by {limit}");
        }
        assert_eq!(store.count(caller(), &filter).await.unwrap().count, wanted.len() as u64, "{filter:?}");
    }
    let between = |after: usize, before: usize| Page {
        order: ListOrder::CreatedDesc,
        after: Some(newest_first[after].id.into()),
        before: Some(newest_first[before].id.into()),
        limit: 4,
        from_end: false,
    };
    let found = store.list(caller(), &Filter::default(), between(2, 9)).await.unwrap().0;
    assert_eq!(found, newest_first[3..7], "both bounds are exclusive, and the limit applies");
    assert_eq!(store.list(caller(), &Filter::default(), between(9, 2)).await.unwrap().0, []);
}

async fn forward(store: &Store, filter: &Filter, limit: u32) -> Vec<TaskId> {
    forward_in(store, filter, ListOrder::CreatedDesc, limit).await
}

async fn backward(store: &Store, filter: &Filter, limit: u32) -> Vec<TaskId> {
    backward_in(store, filter, ListOrder::CreatedDesc, limit).await
}

async fn forward_in(store: &Store, filter: &Filter, order: ListOrder, limit: u32) -> Vec<TaskId> {
    let (mut found, mut page) = (Vec::new(), Page { limit, order, ..Page::default() });
    loop {
        let tasks = store.list(caller(), filter, page).await.unwrap().0;
        assert!(tasks.len() <= limit as usize);
        let Some(last) = tasks.last() else { return found };
        page.after = Some(order.cursor(last));
        found.extend(ids(&tasks));
    }
}

async fn backward_in(store: &Store, filter: &Filter, order: ListOrder, limit: u32) -> Vec<TaskId> {
    let (mut found, mut page) = (Vec::new(), Page { limit, order, from_end: true, ..Page::default() });
    loop {
        let tasks = store.list(caller(), filter, page).await.unwrap().0;
        let Some(first) = tasks.first() else { return found };
        page.before = Some(order.cursor(first));
        found.splice(0..0, ids(&tasks));
    }
}

/// The orders of lists.
pub const ORDERS: [ListOrder; 5] = [
    ListOrder::CreatedDesc,
    ListOrder::CreatedAsc,
    ListOrder::FinishedDesc,
    ListOrder::UpdatedDesc,
    ListOrder::PriorityDesc,
];

/// Returns filters of each kind, alone and together.
pub fn filters(tasks: &[Arc<Task>]) -> Vec<Filter> {
    let texts = |texts: &[&str]| Some(texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
    let search = |text: &str| Filter { search: Some(SearchText::new(text)), ..Filter::default() };
    let between = |after, before| TimeRange { after: Some(at(after)), before: Some(at(before)) };
    let states = Some(vec![State::Failed, State::Running]);
    let id = tasks[3].id.to_string();
    vec![
        Filter::default(),
        Filter { ids: Some(tasks.iter().step_by(5).map(|task| task.id).collect()), ..Filter::default() },
        Filter { kinds: texts(&["pi", "import"]), ..Filter::default() },
        Filter { states: states.clone(), ..Filter::default() },
        Filter { label: Some("Invoice 7".into()), ..Filter::default() },
        Filter { datasets: texts(&["people", "sales"]), ..Filter::default() },
        Filter { datasets: texts(&["people"]), states: states.clone(), kinds: texts(&["pi"]), ..Filter::default() },
        Filter { tags: texts(&["red", "blue"]), ..Filter::default() },
        Filter { tags: texts(&["red"]), states: states.clone(), datasets: texts(&["people"]), ..Filter::default() },
        Filter { created_by: Some("alice".into()), ..Filter::default() },
        Filter { error_codes: texts(&["INTERNAL", "OUT_OF_PAPER"]), ..Filter::default() },
        Filter { created: between(20, 70), ..Filter::default() },
        Filter { finished: between(110, 160), kinds: texts(&["import"]), ..Filter::default() },
        search("INVOICE"),
        search("voice 7"),
        search("7"),
        search("Z\u{fc}rich"),
        search("blu"),
        search("p\"le' %_"),
        search(&id[..30]),
        search(&id[..3]),
        Filter { states, datasets: texts(&["people"]), ..search("nvoic") },
        Filter { kinds: texts(&["pi"]), ..search("no such text") },
    ]
}

/// Creates tasks that differ in all that filters ask for.
pub async fn varied(store: &Store, count: i64) -> Vec<Arc<Task>> {
    let mut tasks = Vec::new();
    for n in 0..count {
        let task = task_with(|new| {
            new.kind = if n % 3 == 0 { "pi" } else { "import" }.into();
            new.label = (n % 4 != 0).then(|| format!("Invoice {}", n % 9));
            new.dataset =
                (n % 5 == 0).then(|| ["people", "sales", "Z\u{fc}rich"][usize::try_from(n).unwrap() % 3].into());
            new.tags =
                [(2, "blue"), (3, "red")].into_iter().filter(|(m, _)| n % m == 0).map(|tag| tag.1.into()).collect();
            new.created_by = ["alice", "bob"][usize::from(n % 11 != 0)].into();
            new.priority = [0, 0, 0, 50, -7][usize::try_from(n).unwrap() % 5];
            new.file_name = (n % 7 == 0).then(|| "peop\"le' %_.csv".into());
        });
        // An ID begins with the time of the creation.
        let millis = u64::try_from(at(n).as_millisecond()).unwrap();
        let rest = task.id.as_uuid().into_bytes()[6..].try_into().unwrap();
        let id = TaskId::from(uuid::Builder::from_unix_timestamp_millis(millis, &rest).into_uuid());
        let at_its_time = Task { id, created_at: at(n), updated_at: at(n), ..task };
        tasks.push(create(store, at_its_time).await);
    }
    let claimant = Claimant::new(node("a").node, ["import", "pi"]);
    for task in store.claim(&claimant, at(100), usize::try_from(count).unwrap() * 3 / 4).await.unwrap() {
        let error = |code: &str| TaskError::new(code, "it failed");
        let end = match tasks.iter().position(|other| other.id == task.id).unwrap() % 6 {
            0 => End::Fail(error("INTERNAL")),
            1 => End::Fail(error("OUT_OF_PAPER")),
            2 => continue,
            _ => End::Done,
        };
        let second = 100 + i64::try_from(task.id.as_uuid().as_u128() % 97).unwrap();
        store.end(&task, None, end, ControlRequest { at: at(second), ..request() }).await.unwrap();
    }
    for task in &mut tasks {
        *task = store.get(caller(), task.id).await.unwrap().unwrap();
    }
    tasks
}

/// Returns the matching tasks in the order, as the program compares them.
fn wanted(tasks: &[Arc<Task>], filter: &Filter, order: ListOrder) -> Vec<TaskId> {
    let mut matching: Vec<_> = tasks.iter().filter(|task| filter.matches(task)).collect();
    matching.sort_by_key(|task| (order.cursor(task).key, task.id));
    if order.is_descending() {
        matching.reverse();
    }
    matching.into_iter().map(|task| task.id).collect()
}

pub async fn each_filter_finds_its_tasks_in_each_order(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let tasks = varied(&store, 90).await;
    for filter in filters(&tasks) {
        for order in ORDERS {
            let wanted = wanted(&tasks, &filter, order);
            for limit in [7, 100] {
                assert_eq!(forward_in(&store, &filter, order, limit).await, wanted, "{filter:?} {order:?} forward");
                assert_eq!(backward_in(&store, &filter, order, limit).await, wanted, "{filter:?} {order:?} backward");
            }
            assert_eq!(store.count(caller(), &filter).await.unwrap().count, wanted.len() as u64, "{filter:?}");
        }
    }
}

/// Among more tasks than a search reads in the order of the list, the index of texts finds the old ones.
pub async fn a_search_finds_old_tasks_by_the_index_of_texts(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let tasks = varied(&store, 30).await;
    let newer = std::iter::repeat_with(|| task_with(|new| new.label = Some("other".into()))).take(2500).collect();
    store.create_batch(caller(), newer, super::test_store::MANY).await.unwrap();
    for text in ["INVOICE", "voice 7", "Z\u{fc}rich", "p\"le' %_", &tasks[3].id.to_string()[..30], "no such text", "e"]
    {
        let filter = Filter { search: Some(SearchText::new(text)), ..Filter::default() };
        for order in ORDERS {
            let found = forward_in(&store, &filter, order, 1000).await;
            let old: Vec<_> = found.into_iter().filter(|id| tasks.iter().any(|task| task.id == *id)).collect();
            assert_eq!(old, wanted(&tasks, &filter, order), "{text} {order:?}");
        }
    }
    let finished = tasks.iter().find(|task| task.state == State::Completed && task.label.is_some()).unwrap();
    let filter = Filter { search: Some(SearchText::new("invoice")), ..Filter::default() };
    assert!(forward(&store, &filter, 1000).await.contains(&finished.id));
    store.delete(caller(), finished, at(300)).await.unwrap();
    assert!(!forward(&store, &filter, 1000).await.contains(&finished.id));
}

pub async fn the_history_records_who_changed_a_task_and_why(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let task = create(&store, plain()).await;
    store.control(caller(), task.id, Verb::Pause, request().with_reason("lunch; it's noon")).await.unwrap();
    control(&store, &task, Verb::Pause).await;
    control(&store, &task, Verb::Resume).await;
    let claimed = store.claim(&node("a"), at(3), 1).await.unwrap().remove(0);
    end(&store, &claimed, End::Finish(None)).await;
    end(&store, &claimed, End::Complete).await;

    let history = store.history(caller(), task.id).await.unwrap();
    let actual: Vec<_> =
        history.iter().map(|change| (change.from, change.to, change.by.as_str(), change.reason.as_deref())).collect();
    let (queued, paused, running) = (State::Queued, State::Paused, State::Running);
    let wanted = [
        (None, queued, "client", None),
        (Some(queued), paused, "client", Some("lunch; it's noon")),
        (Some(paused), queued, "client", None),
        (Some(queued), running, "node a", None),
        (Some(running), State::Completed, "client", None),
    ];
    assert_eq!(actual, wanted);
    assert_eq!(history[3].at, at(3));
    assert_eq!(store.history(caller(), crate::harness::task_id()).await.unwrap(), []);
}
