//! Task lists are filtered and paged in both directions, and each task occurs once. Histories are complete.

use std::sync::Arc;

use pausa::store::{Filter, Page, Store};
use pausa::task::change::End;
use pausa::task::{State, Task, TaskId, Verb};

use super::test_store::{TestStore, at, control, create, end, node, plain, request, running, task_with};
use crate::harness::caller;

async fn listed(store: &Store, filter: &Filter) -> Vec<TaskId> {
    let tasks = store.list(caller(), filter, Page { limit: 1000, ..Page::default() }).await.unwrap().0;
    assert!(tasks.iter().all(|task| filter.matches(task)));
    assert_eq!(store.count(caller(), filter).await.unwrap(), tasks.len() as u64);
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
        assert_eq!(store.count(caller(), &filter).await.unwrap(), wanted.len() as u64, "{filter:?}");
    }
    let between = |after: usize, before: usize| Page {
        after: Some(newest_first[after].id),
        before: Some(newest_first[before].id),
        limit: 4,
        from_end: false,
    };
    let found = store.list(caller(), &Filter::default(), between(2, 9)).await.unwrap().0;
    assert_eq!(found, newest_first[3..7], "both bounds are exclusive, and the limit applies");
    assert_eq!(store.list(caller(), &Filter::default(), between(9, 2)).await.unwrap().0, []);
}

async fn forward(store: &Store, filter: &Filter, limit: u32) -> Vec<TaskId> {
    let (mut found, mut page) = (Vec::new(), Page { limit, ..Page::default() });
    loop {
        let tasks = store.list(caller(), filter, page).await.unwrap().0;
        assert!(tasks.len() <= limit as usize);
        let Some(last) = tasks.last() else { return found };
        page.after = Some(last.id);
        found.extend(ids(&tasks));
    }
}

async fn backward(store: &Store, filter: &Filter, limit: u32) -> Vec<TaskId> {
    let (mut found, mut page) = (Vec::new(), Page { limit, from_end: true, ..Page::default() });
    loop {
        let tasks = store.list(caller(), filter, page).await.unwrap().0;
        let Some(first) = tasks.first() else { return found };
        page.before = Some(first.id);
        found.splice(0..0, ids(&tasks));
    }
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
