//! Nodes that stop sending heartbeats: other nodes take over their tasks, and the silent nodes cannot write when they
//! resume.

use std::sync::Arc;

use jiff::Timestamp;
use pausa::store::{Claimant, NodeProfile, NodeStatus, Store};
use pausa::task::change::End;
use pausa::task::{Author, ControlRequest, NodeIdentity, State, Task, TaskError, Verb};

use super::test_store::{
    DEATHS, LEASE, TestStore, at, control, create, end, is_lease_lost, node, plain, profile, report, request, rescue,
    rows, running, short, take_short,
};
use crate::harness::{self, caller};

pub async fn the_tasks_of_a_silent_node_are_released(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let runs = running(&store).await;
    let pausing = control(&store, &*running(&store).await, Verb::Pause).await;
    let terminating = control(&store, &*running(&store).await, Verb::Terminate).await;
    let finishing = end(&store, &*running(&store).await, End::Finish(None)).await;

    assert!(store.rescue(at(9), DEATHS).await.unwrap().is_empty(), "the lease lasts ten seconds");
    assert!(store.heartbeat("b", NodeStatus::default(), at(9), LEASE).await.unwrap());
    silence(test_store, "a").await;
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
    let mut ends = store.claim_ends(&node("b"), at(11), 2).await.unwrap();
    assert_eq!(ends.len(), 2);
    ends.extend(store.claim_ends(&node("b"), at(11), 10).await.unwrap());
    let states: Vec<_> = ends.iter().map(|task| (task.id, task.state, task.epoch, task.owner.as_deref())).collect();
    let wanted = [(&pausing, State::Pausing), (&terminating, State::Terminating), (&finishing, State::Finishing)];
    assert_eq!(states, wanted.map(|(task, state)| (task.id, state, 2, Some("b"))));
    assert_eq!(end(&store, &ends[0], End::Release).await.state, State::Paused);
    assert_eq!(end(&store, &ends[1], End::RolledBack).await.state, State::Terminated);
    assert_eq!(end(&store, &ends[2], End::Complete).await.state, State::Completed);
}

pub async fn a_node_whose_lease_expired_is_notified_and_owns_nothing(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let task = running(&store).await;
    assert!(store.heartbeat("a", NodeStatus::default(), at(5), LEASE).await.unwrap());
    let (a, b) = (lease_end(&store, "b").await.unwrap(), lease_end(&store, "a").await.unwrap());
    assert!(a > b, "each sees the lease of the other one, which was renewed");
    silence(test_store, "a").await;
    store.rescue(at(8), DEATHS).await.unwrap();
    assert_eq!(lease_end(&store, "b").await, None);
    assert!(!store.heartbeat("a", NodeStatus::default(), at(8), LEASE).await.unwrap());
    assert!(!store.heartbeat("never seen", NodeStatus::default(), at(8), LEASE).await.unwrap());
    assert!(is_lease_lost(&store.end(&task, None, End::Release, request()).await));
    store.join(&profile("a"), at(9), LEASE).await.unwrap();
    assert!(store.heartbeat("a", NodeStatus::default(), at(9), LEASE).await.unwrap());
    store.leave("a").await.unwrap();
    assert!(!store.heartbeat("a", NodeStatus::default(), at(9), LEASE).await.unwrap());
}

pub async fn a_node_that_ends_before_its_runs_releases_their_tasks_and_counts_no_attempt(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let runs = running(&store).await;
    let pausing = control(&store, &*running(&store).await, Verb::Pause).await;
    let terminating = control(&store, &*running(&store).await, Verb::Terminate).await;
    let finishing = end(&store, &*running(&store).await, End::Finish(None)).await;
    let request = || ControlRequest::by(Author::node("a"), at(5)).with_reason("the node shuts down");
    assert!(store.hand_over("b", request()).await.unwrap().is_empty(), "another node owns them");
    assert_eq!(store.hand_over("a", request()).await.unwrap().len(), 2);
    for (task, state, owner) in [
        (&runs, State::Queued, None),
        (&finishing, State::Finishing, None),
        // These are true only once the run has ended.
        (&pausing, State::Pausing, Some("a")),
        (&terminating, State::Terminating, Some("a")),
    ] {
        let now = store.get(caller(), task.id).await.unwrap().unwrap();
        assert_eq!((now.state, now.owner.as_deref(), now.attempt, now.crashes), (state, owner, 0, 0));
    }
    for task in [&runs, &finishing] {
        assert!(is_lease_lost(&report(&store, task, None, rows(1)).await), "its run writes nothing more");
    }
    let why = store.history(caller(), runs.id).await.unwrap().pop().unwrap();
    assert_eq!((why.by.as_str(), why.reason.as_deref()), ("node a", Some("the node shuts down")));
    assert_eq!(store.claim(&node("b"), at(6), 10).await.unwrap().remove(0).epoch, 2);
    let ends = store.claim_ends(&node("b"), at(6), 10).await.unwrap();
    assert_eq!(ends.iter().map(|task| task.id).collect::<Vec<_>>(), [finishing.id]);

    // The node stays listed until its lease ends, because it still owns tasks.
    store.leave("a").await.unwrap();
    assert!(store.heartbeat("a", NodeStatus::default(), at(7), LEASE).await.unwrap());
}

/// Ends the lease of a node, as if its time had passed.
async fn silence(test_store: &TestStore, id: &str) {
    test_store.execute(&format!("UPDATE nodes SET lease_until = 0 WHERE name = '{id}'")).await.unwrap();
}

/// Returns when the lease of another node than this one ends.
async fn lease_end(store: &Store, name: &str) -> Option<Timestamp> {
    store.other_nodes(&profile(name), at(8)).await.unwrap().next_lease_end
}

/// Above the limit its runs only roll it back. They have as many attempts.
pub async fn a_task_fails_after_too_many_deaths(test_store: &TestStore) {
    let store = test_store.open().await;
    let task = create(&store, plain()).await;
    let last = 2 * (DEATHS + 1);
    for death in 1..=last {
        let now = i64::from(death) * 100;
        store.join(&profile("a"), at(now), LEASE).await.unwrap();
        store.claim(&node("a"), at(now), 1).await.unwrap();
        let freed = rescue(test_store, &store, now + 50).await.remove(0);
        let wanted = if death == last { State::Failed } else { State::Queued };
        assert_eq!((freed.state, freed.crashes, freed.attempt), (wanted, death, death));
    }
    let failed = store.get(caller(), task.id).await.unwrap().unwrap();
    let text = "the node that ran the task died 6 times in a row";
    assert_eq!(failed.error, Some(TaskError::new("INTERNAL", text)));
    assert_eq!(failed.finished_at, Some(at(650)));

    let resumed = control(&store, &task, Verb::Resume).await;
    assert_eq!((resumed.state, resumed.crashes, resumed.error.as_ref()), (State::Queued, 0, None));
}

/// Only for a store that no other process can use: all listed nodes are dead.
pub async fn a_new_process_recovers_the_tasks_of_all_nodes(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let task = running(&store).await;
    assert_eq!(store.rescue_all(at(2), DEATHS).await.unwrap().remove(0).id, task.id);
    assert!(!store.heartbeat("a", NodeStatus::default(), at(2), LEASE).await.unwrap());
    assert!(!store.heartbeat("b", NodeStatus::default(), at(2), LEASE).await.unwrap());
}

/// Two processes are called `web`. Each has its own tasks and its own lease, and sees that the other one lives.
pub async fn nodes_with_one_name_are_different_nodes(test_store: &TestStore) {
    let store = test_store.open().await;
    let web = |id: &str| NodeProfile {
        node: NodeIdentity { id: id.to_owned(), name: "web".to_owned() },
        started_at: harness::now(),
        ..profile(id)
    };
    let (first, second) = (web("1"), web("2"));
    let (now, claimant) = (harness::now(), Claimant::new(first.node.clone(), ["import"]));
    store.join(&first, now, LEASE).await.unwrap();
    let task = create(&store, plain()).await;
    store.claim(&claimant, now, 1).await.unwrap();
    let second = NodeProfile { started_at: harness::now() + LEASE, ..second };
    store.join(&second, now, LEASE).await.unwrap();
    let namesakes = async |profile: &NodeProfile| store.other_nodes(profile, now).await.unwrap().namesakes;
    assert_eq!(namesakes(&second).await, 0, "the other one has been silent since this one started");
    assert_eq!(namesakes(&NodeProfile { started_at: now - LEASE, ..second.clone() }).await, 1, "it lives");
    assert_eq!(namesakes(&NodeProfile { started_at: now - LEASE, ..profile("3") }).await, 0, "another name");

    silence(test_store, "1").await;
    let released = store.rescue(now, DEATHS).await.unwrap().remove(0);
    assert_eq!((released.id, released.state, released.owner.as_deref()), (task.id, State::Queued, None));
    let history = store.history(caller(), task.id).await.unwrap();
    assert_eq!(history[1].by, "node web");
    assert_eq!(history[2].reason.as_deref(), Some("the lease of node web expired"));
    assert!(store.heartbeat("2", NodeStatus::default(), now, LEASE).await.unwrap());
}

/// A node of an earlier version has its name as its ID, and knows nothing of the newer columns.
pub async fn a_node_of_an_earlier_version_is_a_node(test_store: &TestStore) {
    let store = test_store.open().await;
    let task = create(&store, plain()).await;
    let until = harness::now().as_microsecond() + 60_000_000;
    let join = format!(
        "INSERT INTO nodes (name, lease_until) VALUES ('old', {until}) \
         ON CONFLICT (name) DO UPDATE SET lease_until = excluded.lease_until"
    );
    test_store.execute(&join).await.unwrap();
    store.claim(&node("old"), at(1), 1).await.unwrap();
    assert_eq!(lease_end(&store, "new").await.unwrap().as_microsecond(), until);
    silence(test_store, "old").await;
    assert_eq!(store.rescue(at(2), DEATHS).await.unwrap()[0].id, task.id);
    let history = store.history(caller(), task.id).await.unwrap();
    assert_eq!(history[2].reason.as_deref(), Some("the lease of node old expired"));
}

/// During a rolling update, tasks of a new kind wait for the nodes that know it.
pub async fn a_node_claims_only_kinds_that_it_knows(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let of_kind = |mut task: Task, kind: &str| {
        task.kind = kind.to_owned();
        task
    };
    let new = create(&store, of_kind(plain(), "new")).await;
    let ending = control(&store, &*create(&store, of_kind(plain(), "new")).await, Verb::Terminate).await;
    let due = create(&store, of_kind(short(1), "new")).await;
    let known = create(&store, plain()).await;
    let only = |tasks: Vec<Arc<Task>>| tasks.iter().map(|task| task.id).collect::<Vec<_>>();
    assert_eq!(only(store.claim(&node("a"), at(1), 10).await.unwrap()), [known.id]);
    assert!(store.claim_ends(&node("a"), at(1), 10).await.unwrap().is_empty());
    assert!(take_short(&store, "a", 9, 9).await.is_empty());
    assert_eq!(store.next_short(&node("a")).await.unwrap(), None);

    let both = Claimant::new(node("b").node, ["import", "new"]);
    assert_eq!(only(store.claim(&both, at(1), 10).await.unwrap()), [new.id]);
    assert_eq!(only(store.claim_ends(&both, at(1), 10).await.unwrap()), [ending.id]);
    assert_eq!(store.next_short(&both).await.unwrap(), due.due_at);

    let ended = end(&store, &store.get(caller(), new.id).await.unwrap().unwrap(), End::Done).await;
    assert!(store.delete(caller(), &ended, at(2)).await.unwrap());
    assert!(store.claim_purges(&node("a"), at(99), 10).await.unwrap().is_empty());
    assert_eq!(store.next_purge(&node("a")).await.unwrap(), None);
    assert_eq!(only(store.claim_purges(&both, at(99), 10).await.unwrap()), [new.id]);
}

/// A node that resumes after its lease expired must not claim any task before it has joined again. No other node
/// watches its lease, so a task that it claimed could never be rescued.
pub async fn an_unregistered_node_claims_no_task(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    create(&store, plain()).await;
    control(&store, &*create(&store, plain()).await, Verb::Terminate).await;
    rescue(test_store, &store, 11).await;
    assert!(store.claim(&node("a"), at(12), 10).await.unwrap().is_empty());
    assert!(store.claim_ends(&node("a"), at(12), 10).await.unwrap().is_empty());
    store.join(&profile("a"), at(12), LEASE).await.unwrap();
    assert_eq!(store.claim(&node("a"), at(12), 10).await.unwrap().len(), 1);
    assert_eq!(store.claim_ends(&node("a"), at(12), 10).await.unwrap().len(), 1);
}
