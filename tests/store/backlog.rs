//! The counts of waiting tasks.

use pausa::store::Backlog;
use pausa::task::change::End;
use pausa::task::{State, Verb};

use super::test_store::{TestStore, at, control, create, end, plain, running, short, take_short, task_with};
use crate::harness::caller;

pub async fn unfinished_tasks_are_counted_by_kind_and_state(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    assert_eq!(store.backlog(at(0)).await.unwrap(), Backlog::default());
    let paused = create(&store, plain()).await;
    control(&store, &paused, Verb::Pause).await;
    let over = running(&store).await;
    end(&store, &over, End::Finish(None)).await;
    end(&store, store.get(caller(), over.id).await.unwrap().as_ref().unwrap(), End::Complete).await;
    running(&store).await;
    for _ in 0..3 {
        create(&store, task_with(|new| new.kind = "pi".to_owned())).await;
    }
    create(&store, task_with(|new| new.start_at = Some(at(90)))).await;
    for due in [-5, 10, 20, 30] {
        create(&store, short(due)).await;
    }
    let mut seen = store.backlog(at(20)).await.unwrap();
    seen.counts.sort_by_key(|(kind, state, _)| (kind.clone(), state.as_str()));
    let import = |state, count| ("import".to_owned(), state, count);
    let expected = [
        import(State::Paused, 1),
        import(State::Queued, 1),
        import(State::Running, 1),
        import(State::Scheduled, 4),
        ("pi".to_owned(), State::Queued, 3),
    ];
    assert_eq!(seen.counts, expected);
    assert_eq!((seen.overdue, seen.oldest_overdue), (3, Some(at(-5))));
    assert_eq!(seen.oldest_queued, Some(at(0)));

    take_short(&store, "a", 20, 20).await;
    let seen = store.backlog(at(20)).await.unwrap();
    assert_eq!((seen.overdue, seen.oldest_overdue), (0, None), "a short task that runs is not overdue");
}

pub async fn the_age_of_a_queued_task_counts_from_its_last_entry_into_the_queue(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let task = create(&store, plain()).await;
    assert_eq!(store.backlog(at(9)).await.unwrap().oldest_queued, Some(at(0)));
    control(&store, &task, Verb::Pause).await;
    assert_eq!(store.backlog(at(9)).await.unwrap().oldest_queued, None);
    // `control` sends its request at second 1.
    control(&store, &task, Verb::Resume).await;
    assert_eq!(store.backlog(at(9)).await.unwrap().oldest_queued, Some(at(1)));
}
