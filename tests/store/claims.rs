//! Claims, and what a run may write while it owns its task.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use pausa::store::{Error, Filter, Page};
use pausa::task::change::End;
use pausa::task::{Refusal, Retry, RetryPolicy, State, TaskError, Verb};

use super::test_store::{
    LEASE, POLICY, TestStore, at, control, create, end, is_lease_lost, node, plain, profile, report, request, rescue,
    rows, running,
};
use crate::harness::caller;

const SECOND: Duration = Duration::from_secs(1);

pub async fn the_oldest_tasks_are_claimed_first_up_to_the_limit(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let mut created = Vec::new();
    for _ in 0..5 {
        created.push(create(&store, plain()).await.id);
    }
    let first = store.claim(&node("a"), at(1), 2).await.unwrap();
    let second = store.claim(&node("b"), at(2), 2).await.unwrap();
    assert_eq!(first.iter().chain(&second).map(|task| task.id).collect::<Vec<_>>(), created[..4]);
    for task in &first {
        assert_eq!((task.state, task.owner.as_deref(), task.epoch), (State::Running, Some("a"), 1));
        assert_eq!(task.started_at, Some(at(1)));
        assert_eq!(**task, *store.get(caller(), task.id).await.unwrap().unwrap());
    }
    assert!(store.claim(&node("a"), at(1), 0).await.unwrap().is_empty());

    // Each claim raises the epoch. Only the first claim sets the start time.
    end(&store, &first[0], End::Release).await;
    let again = store.claim(&node("b"), at(3), 1).await.unwrap().remove(0);
    assert_eq!((again.id, again.epoch, again.started_at), (first[0].id, 2, Some(at(1))));
}

pub async fn two_nodes_never_claim_the_same_task(test_store: &TestStore) {
    let (one, other) = (test_store.with_nodes().await, test_store.open().await);
    join_all((0..200).map(|_| create(&one, plain()))).await;
    let claims = (0..60).map(|n| {
        let (store, name) = if n % 2 == 0 { (&one, "a") } else { (&other, "b") };
        async move { store.claim(&node(name), at(1), 7).await.unwrap() }
    });
    let taken: Vec<_> = join_all(claims).await.into_iter().flatten().collect();
    let ids: HashSet<_> = taken.iter().map(|task| task.id).collect();
    assert_eq!(ids.len(), taken.len(), "a task was claimed twice");
    assert!(taken.iter().all(|task| task.epoch == 1));
    let left = one.claim(&node("a"), at(1), 1000).await.unwrap();
    assert_eq!(taken.len() + left.len(), 200);
    let page = Page { limit: 1000, ..Page::default() };
    for task in one.list(caller(), &Filter::default(), page).await.unwrap().0 {
        assert_eq!((task.state, task.epoch), (State::Running, 1));
    }
}

pub async fn a_run_with_an_old_epoch_writes_nothing(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let old = running(&store).await;
    report(&store, &old, Some("{\"n\":1}".into()), rows(1)).await.unwrap();
    end(&store, &old, End::Release).await;
    let released = store.get(caller(), old.id).await.unwrap();
    assert!(is_lease_lost(&report(&store, &old, None, rows(5)).await), "no node owns it");
    assert_eq!(store.get(caller(), old.id).await.unwrap(), released);

    let new = store.claim(&node("b"), at(3), 1).await.unwrap().remove(0);
    let error = TaskError::new("INTERNAL", "late");
    let ends = [
        End::Finish(None),
        End::Complete,
        End::Fail(error.clone()),
        End::Retry(error, Retry::At(at(9)), POLICY),
        End::Release,
        End::RolledBack,
    ];
    assert!(is_lease_lost(&report(&store, &old, Some("late".into()), rows(50)).await));
    for late in ends {
        let last = Some((Some("late".into()), rows(60)));
        assert!(is_lease_lost(&store.end(&old, last, late.clone(), request()).await), "{late:?}");
    }
    assert_eq!(store.get(caller(), old.id).await.unwrap().unwrap(), new);
    assert_eq!(store.history(caller(), old.id).await.unwrap().len(), 4, "created, claimed, released, claimed");
    report(&store, &new, None, rows(2)).await.unwrap();

    let missing = store.control(caller(), crate::harness::task_id(), Verb::Pause, request()).await;
    assert!(matches!(missing, Err(pausa::store::Error::Refused(Refusal::NotFound(_)))));
}

pub async fn progress_never_decreases(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let task = running(&store).await;
    report(&store, &task, Some("forty".into()), rows(40)).await.unwrap();
    let lower = report(&store, &task, None, rows(30)).await.unwrap();
    assert_eq!((lower.progress.done, lower.progress.active.as_secs()), (40, 40));
    assert_eq!(lower.cursor.as_deref(), Some("forty"), "a report without a cursor keeps the last one");
    // An estimate that turns out too low is raised to the number of rows done.
    let mut over = rows(120);
    over.total = Some(110);
    let over = report(&store, &task, None, over).await.unwrap();
    assert_eq!((over.progress.done, over.progress.total), (120, Some(120)));

    control(&store, &task, Verb::Pause).await;
    let last = Some((Some("old".to_owned()), rows(7)));
    let paused = store.end(&task, last, End::Release, request()).await.unwrap();
    assert_eq!((paused.state, paused.progress.done), (State::Paused, 120));
    assert_eq!(*store.get(caller(), task.id).await.unwrap().unwrap(), *paused);
}

pub async fn progress_since_the_claim_counts_when_the_limit_of_attempts_is_reached(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let limited = RetryPolicy { backoff: SECOND, limit: 2 };
    let error = TaskError::new("UNAVAILABLE", "away");
    let task = running(&store).await;
    let waits = end(&store, &task, End::Retry(error.clone(), Retry::Limited, limited)).await;
    assert_eq!((waits.state, waits.due_at), (State::Scheduled, Some(at(2))), "a second after it failed");
    let again = async |now| {
        store.process_due(at(now), 10).await.unwrap();
        store.claim(&node("a"), at(now), 1).await.unwrap().remove(0)
    };
    // The run was claimed after one failure, has made progress since, and fails again: the first failure in a row.
    let claimed = again(2).await;
    report(&store, &claimed, None, rows(1)).await.unwrap();
    let waits = end(&store, &claimed, End::Retry(error.clone(), Retry::Limited, limited)).await;
    assert_eq!((waits.state, waits.failures, waits.due_at), (State::Scheduled, 1, Some(at(2))));
    // The same with progress that is written in the same commit as the end.
    let claimed = again(3).await;
    let last = Some((None, rows(2)));
    let waits = store.end(&claimed, last, End::Retry(error.clone(), Retry::Limited, limited), request()).await.unwrap();
    assert_eq!((waits.state, waits.failures), (State::Scheduled, 1));
    let claimed = again(4).await;
    let refused = store.end(&claimed, None, End::Retry(error.clone(), Retry::Limited, limited), request()).await;
    let refused = refused.expect_err("the second without progress");
    assert!(matches!(refused, Error::Refused(Refusal::NoAttemptLeft)), "{refused}");
    let unchanged = store.get(caller(), task.id).await.unwrap().unwrap();
    assert_eq!((unchanged.state, unchanged.failures), (State::Running, 1), "it is rolled back before it fails");
    let failed = end(&store, &claimed, End::Fail(error.clone())).await;
    assert_eq!((failed.state, failed.error.as_ref()), (State::Failed, Some(&error)));
}

pub async fn progress_resets_the_count_of_failures(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let task = running(&store).await;
    let error = TaskError::new("UNAVAILABLE", "away");
    let waits = end(&store, &task, End::Retry(error, Retry::At(at(5)), POLICY)).await;
    assert_eq!((waits.failures, waits.attempt, waits.owner.as_deref()), (1, 1, None));
    store.process_due(at(5), 10).await.unwrap();
    store.claim(&node("b"), at(5), 1).await.unwrap();
    let died = rescue(test_store, &store, 60).await.remove(0);
    assert_eq!((died.failures, died.crashes, died.attempt), (1, 1, 2));

    store.join(&profile("a"), at(60), LEASE).await.unwrap();
    let again = store.claim(&node("a"), at(61), 1).await.unwrap().remove(0);
    let same = report(&store, &again, None, rows(0)).await.unwrap();
    assert_eq!((same.failures, same.crashes), (1, 1), "no progress yet");
    let better = report(&store, &again, None, rows(1)).await.unwrap();
    assert_eq!((better.failures, better.crashes, better.attempt), (0, 0, 2));
}
