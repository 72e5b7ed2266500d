//! Short tasks are claimed shortly before they are due, in the order of their due times, and many end at once.

use futures_util::future::join_all;
use jiff::Timestamp;
use pausa::access::Caller;
use pausa::store::{ClaimDecision, DueWindow};
use pausa::task::change::End;
use pausa::task::{Retry, State, TaskError, Verb};

use super::test_store::{
    LEASE, POLICY, TestStore, at, control, create, end, is_lease_lost, node, plain, profile, report, request, rescue,
    rows, short, take_short, task_with,
};
use crate::harness::caller;

pub async fn short_tasks_are_claimed_shortly_before_they_are_due(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    assert_eq!(store.next_short(&node("a")).await.unwrap(), None);
    let later = create(&store, short(20)).await;
    let sooner = create(&store, short(10)).await;
    let overdue = create(&store, short(-5)).await;
    let at_once = create(&store, task_with(|new| new.concurrency_key = Some("host".into()))).await;
    assert_eq!((sooner.state, overdue.state, at_once.due_at), (State::Scheduled, State::Queued, Some(at(0))));
    assert_eq!((overdue.due_at, overdue.start_at), (Some(at(-5)), None));
    assert_eq!(
        (sooner.due_since, overdue.due_since),
        (Some(at(10)), Some(at(0))),
        "no attempt is due before the task's start"
    );
    assert_eq!(store.next_short(&node("a")).await.unwrap(), Some(at(-5)));
    assert_eq!(store.next_due().await.unwrap(), None, "short tasks have their own queue");
    assert!(store.claim(&node("a"), at(60), 10).await.unwrap().is_empty(), "short tasks use no slot");
    assert!(store.process_due(at(60), 10).await.unwrap().is_empty());

    let taken = take_short(&store, "a", 9, 10).await;
    assert_eq!(taken.iter().map(|task| task.id).collect::<Vec<_>>(), [overdue.id, at_once.id, sooner.id]);
    for task in &taken {
        assert_eq!((task.state, task.owner.as_deref(), task.epoch), (State::Running, Some("a"), 1));
        assert_eq!(**task, *store.get(caller(), task.id).await.unwrap().unwrap());
    }
    assert_eq!(taken[2].due_at, Some(at(10)), "it is not due yet");
    assert!(take_short(&store, "nobody", 60, 60).await.is_empty(), "an unregistered node claims nothing");
    assert_eq!(store.next_short(&node("a")).await.unwrap(), Some(at(20)));
    assert_eq!(take_short(&store, "b", 20, 20).await[0].id, later.id);
}

pub async fn a_claim_of_short_tasks_examines_a_bounded_number(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    for due in 1..=9 {
        create(&store, short(due)).await;
    }
    let moments = DueWindow { after: at(2), until: at(8) };
    let second = |due: Option<Timestamp>| due.unwrap().duration_since(at(0)).as_secs();
    let a = node("a");
    let some = store.claim_short(&a, at(1), moments, 4, move |task| match second(task.due_at) {
        4 => ClaimDecision::Defer(at(50)),
        5 => ClaimDecision::Defer(at(1)),
        _ => ClaimDecision::Take,
    });
    let some = some.await.unwrap();
    assert_eq!(
        (second(some[1].due_at), second(some[1].due_since)),
        (50, 4),
        "deferring does not change when it became due"
    );
    let some: Vec<_> = some.iter().map(|task| (task.state, second(task.due_at))).collect();
    let (taken, waits) = (State::Running, State::Scheduled);
    assert_eq!(some, [(taken, 3), (waits, 50), (waits, 5), (taken, 6)], "no task is deferred to an earlier time");
    let rest: Vec<_> = take_short(&store, "a", 60, 60).await.iter().map(|task| second(task.due_at)).collect();
    assert_eq!(rest, [1, 2, 5, 7, 8, 9, 50]);
}

pub async fn a_short_task_claimed_early_and_paused_waits_for_its_due_time(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let task = create(&store, short(10)).await;
    let taken = take_short(&store, "a", 9, 10).await.remove(0);
    control(&store, &task, Verb::Pause).await;
    let paused = end(&store, &taken, End::Release).await;
    assert_eq!((paused.state, paused.due_at), (State::Paused, None));
    assert!(take_short(&store, "a", 60, 60).await.is_empty(), "a paused task does not fire");
    let resumed = control(&store, &task, Verb::Resume).await;
    assert_eq!((resumed.state, resumed.due_at), (State::Scheduled, Some(at(10))), "never early");
    assert_eq!(resumed.due_since, Some(at(10)));

    // If it is resumed after its due time, it is due at once.
    control(&store, &task, Verb::Pause).await;
    let late = store.control(caller(), task.id, Verb::Resume, Caller::anonymous().request(at(30))).await.unwrap();
    assert_eq!((late.state, late.due_at, late.due_since), (State::Queued, Some(at(30)), Some(at(30))));
    assert_eq!(take_short(&store, "a", 30, 30).await[0].id, task.id);
}

pub async fn a_death_and_a_failed_attempt_keep_the_order_of_due_times(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let (one, other) = (create(&store, short(5)).await, create(&store, short(6)).await);
    take_short(&store, "a", 5, 5).await;
    let died = rescue(test_store, &store, 60).await.remove(0);
    assert_eq!((died.state, died.due_at, died.crashes), (State::Queued, Some(at(5)), 1));
    assert_eq!(died.due_since, Some(at(5)), "a death does not change when it became due");
    store.join(&profile("a"), at(60), LEASE).await.unwrap();
    let taken = take_short(&store, "a", 60, 60).await;
    assert_eq!([taken[0].id, taken[1].id], [one.id, other.id]);

    let error = TaskError::new("UNAVAILABLE", "HTTP 503");
    let again = end(&store, &taken[0], End::Retry(error.clone(), Retry::At(at(70)), POLICY)).await;
    assert_eq!((again.state, again.due_at, again.error.as_ref()), (State::Scheduled, Some(at(70)), Some(&error)));
    assert_eq!((store.next_short(&node("a")).await.unwrap(), again.due_since), (Some(at(70)), Some(at(70))));
    let failed = end(&store, &taken[1], End::Fail(error)).await;
    assert_eq!((failed.state, failed.due_at), (State::Failed, None));
    let resumed = store.control(caller(), other.id, Verb::Resume, Caller::anonymous().request(at(80))).await.unwrap();
    assert_eq!((resumed.state, resumed.due_since), (State::Queued, Some(at(80))));
}

pub async fn many_short_tasks_end_at_once_each_with_its_own_outcome(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    join_all((0..90).map(|n| create(&store, short(1 + n % 7)))).await;
    let mut taken = take_short(&store, "a", 7, 7).await;
    assert_eq!(taken.len(), 90);
    let gone = taken.pop().unwrap();
    control(&store, &gone, Verb::Terminate).await;
    // One run has been replaced by a newer one. Another run has reported progress that its own copy does not contain.
    let old = pausa::task::Task { epoch: taken[7].epoch - 1, version: taken[7].version - 1, ..(*taken[7]).clone() };
    taken[7] = old.into();
    report(&store, &taken[8], None, rows(0)).await.unwrap();
    let last = |n: usize| Some((Some(n.to_string()), rows(1)));
    let ends = taken.iter().enumerate().map(|(n, task)| store.end(task, last(n), End::Done, request()));
    let late = store.end(&gone, None, End::Done, request());
    let (ended, late) = futures_util::join!(join_all(ends), late);
    for (n, outcome) in ended.into_iter().enumerate() {
        if n == 7 {
            assert!(is_lease_lost(&outcome), "{outcome:?}");
            continue;
        }
        let task = outcome.unwrap();
        assert_eq!((task.state, task.cursor.as_deref()), (State::Completed, Some(n.to_string().as_str())));
        assert_eq!(taken[n].id, task.id);
        assert_eq!(task, store.get(caller(), task.id).await.unwrap().unwrap());
    }
    assert!(matches!(late, Err(pausa::store::Error::Refused(_))), "the task must be rolled back: {late:?}");
    let history = store.history(caller(), taken[0].id).await.unwrap();
    let states: Vec<_> = history.iter().map(|line| line.to).collect();
    assert_eq!(states, [State::Scheduled, State::Running, State::Completed]);
}

pub async fn changes_since_a_known_version_are_found(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let known = join_all((0..5).map(|_| create(&store, plain()))).await;
    assert!(store.changed_since(&known).await.unwrap().is_empty());
    let paused = control(&store, &known[3], Verb::Pause).await;
    assert_eq!(store.changed_since(&known).await.unwrap(), [paused]);
}
