//! Nodes that stop sending heartbeats: other nodes take over their tasks, and the silent nodes cannot write when they
//! resume.

use pausa::task::change::End;
use pausa::task::{State, TaskError, Verb};

use super::place::{
    DEATHS, LEASE, Place, at, control, create, end, is_lease_lost, plain, report, request, rows, running,
};
use crate::harness::caller;

pub async fn the_tasks_of_a_silent_node_are_released(place: &Place) {
    let store = place.with_nodes().await;
    let runs = running(&store).await;
    let pausing = control(&store, &*running(&store).await, Verb::Pause).await;
    let terminating = control(&store, &*running(&store).await, Verb::Terminate).await;
    let finishing = end(&store, &*running(&store).await, End::Finish(None)).await;

    assert!(store.rescue(at(9), DEATHS).await.unwrap().is_empty(), "the lease lasts ten seconds");
    assert!(store.heartbeat("b", at(9), LEASE).await.unwrap());
    assert_eq!(store.rescue(at(11), DEATHS).await.unwrap().len(), 4);
    assert!(store.rescue(at(11), DEATHS).await.unwrap().is_empty());
    for (task, state) in [
        (&runs, State::Queued),
        (&pausing, State::Pausing),
        (&terminating, State::Terminating),
        (&finishing, State::Finishing),
    ] {
        let now = store.get(caller(), task.id).await.unwrap().unwrap();
        assert_eq!((now.state, now.owner.as_deref(), now.attempt, now.crashes), (state, None, 1, 1));
        assert!(is_lease_lost(&report(&store, task, None, rows(1)).await), "{state}");
    }
    let why = store.history(caller(), runs.id).await.unwrap().pop().unwrap();
    assert_eq!((why.by.as_str(), why.reason.as_deref()), ("system", Some("the lease of node a expired")));

    // Tasks that only need to end are claimed separately from tasks that are to run.
    let mut ends = store.claim_ends("b", at(11), 2).await.unwrap();
    assert_eq!(ends.len(), 2);
    ends.extend(store.claim_ends("b", at(11), 10).await.unwrap());
    let states: Vec<_> = ends.iter().map(|task| (task.id, task.state, task.epoch, task.owner.as_deref())).collect();
    let wanted = [(&pausing, State::Pausing), (&terminating, State::Terminating), (&finishing, State::Finishing)];
    assert_eq!(states, wanted.map(|(task, state)| (task.id, state, 2, Some("b"))));
    assert_eq!(end(&store, &ends[0], End::Release).await.state, State::Paused);
    assert_eq!(end(&store, &ends[1], End::RolledBack).await.state, State::Terminated);
    assert_eq!(end(&store, &ends[2], End::Complete).await.state, State::Completed);
}

pub async fn a_node_whose_lease_expired_is_notified_and_owns_nothing(place: &Place) {
    let store = place.with_nodes().await;
    let task = running(&store).await;
    assert!(store.heartbeat("a", at(5), LEASE).await.unwrap());
    assert_eq!(store.next_lease_end("b").await.unwrap(), Some(at(5) + LEASE), "the lease of a");
    assert_eq!(store.next_lease_end("a").await.unwrap(), Some(at(0) + LEASE), "the lease of b");
    store.rescue(at(30), DEATHS).await.unwrap();
    assert_eq!(store.next_lease_end("b").await.unwrap(), None);
    assert!(!store.heartbeat("a", at(31), LEASE).await.unwrap());
    assert!(!store.heartbeat("never seen", at(31), LEASE).await.unwrap());
    assert!(is_lease_lost(&store.end(&task, None, End::Release, request()).await));
    store.join("a", at(32), LEASE).await.unwrap();
    assert!(store.heartbeat("a", at(33), LEASE).await.unwrap());
    store.leave("a").await.unwrap();
    assert!(!store.heartbeat("a", at(34), LEASE).await.unwrap());
}

pub async fn a_task_fails_after_too_many_deaths(place: &Place) {
    let store = place.open().await;
    let task = create(&store, plain()).await;
    for death in 1..=3_u32 {
        let now = i64::from(death) * 100;
        store.join("a", at(now), LEASE).await.unwrap();
        store.claim("a", at(now), 1).await.unwrap();
        let freed = store.rescue(at(now + 50), DEATHS).await.unwrap().remove(0);
        let wanted = if death > DEATHS { State::Failed } else { State::Queued };
        assert_eq!((freed.state, freed.crashes, freed.attempt), (wanted, death, death));
    }
    let failed = store.get(caller(), task.id).await.unwrap().unwrap();
    let text = "the node that ran the task died 3 times in a row";
    assert_eq!(failed.error, Some(TaskError { code: "INTERNAL".into(), message: text.into() }));
    assert_eq!(failed.finished_at, Some(at(350)));

    let resumed = control(&store, &task, Verb::Resume).await;
    assert_eq!((resumed.state, resumed.crashes, resumed.error.as_ref()), (State::Queued, 0, None));
}

pub async fn a_new_process_recovers_the_tasks_of_its_own_node_name(place: &Place) {
    let store = place.with_nodes().await;
    let task = running(&store).await;
    // The lease has not expired, but a new process with this node name has started, so the earlier process is dead.
    assert_eq!(store.rescue_own("a", at(2), DEATHS).await.unwrap().remove(0).id, task.id);
    assert!(!store.heartbeat("a", at(2), LEASE).await.unwrap());
    assert!(store.heartbeat("b", at(2), LEASE).await.unwrap());

    store.claim("b", at(3), 1).await.unwrap();
    assert_eq!(store.rescue_all(at(3), DEATHS).await.unwrap().remove(0).id, task.id);
    assert!(!store.heartbeat("b", at(3), LEASE).await.unwrap());
}

/// A node that resumes after its lease expired must not claim any task before it has joined again. No other node
/// watches its lease, so a task that it claimed could never be rescued.
pub async fn an_unregistered_node_claims_no_task(place: &Place) {
    let store = place.with_nodes().await;
    create(&store, plain()).await;
    control(&store, &*create(&store, plain()).await, Verb::Terminate).await;
    store.rescue(at(11), DEATHS).await.unwrap();
    assert!(store.claim("a", at(12), 10).await.unwrap().is_empty());
    assert!(store.claim_ends("a", at(12), 10).await.unwrap().is_empty());
    store.join("a", at(12), LEASE).await.unwrap();
    assert_eq!(store.claim("a", at(12), 10).await.unwrap().len(), 1);
    assert_eq!(store.claim_ends("a", at(12), 10).await.unwrap().len(), 1);
}
