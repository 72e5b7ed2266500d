//! Behavior of a store that several nodes share.

use std::sync::Arc;

use pausa::bus::postgres::PostgresChannel;
use pausa::bus::{ChangeEvent, Received, listener};
use pausa::clock::Clock;
use pausa::metrics::Events;
use pausa::store::Store;
use pausa::task::{Task, TaskChange, Verb};
use tokio::sync::mpsc::Receiver;

use super::test_store::{TestStore, at, control, create, node, plain, report, rows, running, short};
use crate::harness::caller;
use crate::harness::server::PATIENCE;

async fn listen(store: &Store) -> Receiver<Received<ChangeEvent>> {
    let channel = PostgresChannel::new(store.gate().unwrap());
    listener::listen(Arc::new(channel), store.event_source().unwrap(), Events::default(), &Clock::system()).await
}

async fn next(events: &mut Receiver<Received<ChangeEvent>>) -> ChangeEvent {
    match tokio::time::timeout(PATIENCE, events.recv()).await.unwrap().unwrap() {
        Received::Delivered(event) => event,
        Received::Gap { .. } => panic!("the connection was lost"),
    }
}

/// Returns the event of the change that led to this task.
fn event(task: &Arc<Task>, state_changed: bool) -> ChangeEvent {
    let event = ChangeEvent::from(&TaskChange { task: Arc::clone(task), transition: None });
    ChangeEvent { state_changed, report: event.report.clone().filter(|_| !state_changed), ..event }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_receives_the_events_of_another() {
    let test_store = TestStore::postgres().await;
    let (first, second) = (test_store.open().await, test_store.with_nodes().await);
    assert!(!first.is_single_process());
    let mut events = listen(&first).await;
    let task = create(&second, plain()).await;
    assert_eq!(next(&mut events).await, event(&task, true));
    assert_eq!(first.get(caller(), task.id).await.unwrap().unwrap(), task, "an event is sent with the commit");

    let claimed = second.claim(&node("a"), at(1), 1).await.unwrap().remove(0);
    let reported = report(&second, &claimed, None, rows(3)).await.unwrap();
    let large = report(&second, &claimed, Some("x".repeat(7999)), rows(4)).await.unwrap();
    let pausing = control(&second, &task, Verb::Pause).await;
    assert_eq!(next(&mut events).await, event(&claimed, true));
    let progress = next(&mut events).await;
    assert_eq!(progress, event(&reported, false));
    assert!(progress.report.is_some(), "watchers need not read it");
    let without = ChangeEvent { report: None, ..event(&large, false) };
    assert_eq!(next(&mut events).await, without, "a cursor that is too large for a notification is not sent");
    assert_eq!(next(&mut events).await, event(&pausing, true));
    let short = create(&second, short(60)).await;
    assert_eq!(next(&mut events).await, event(&short, true), "the event contains the due time");
}

/// A node handles its own changes directly. Events are for other nodes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_does_not_receive_its_own_events() {
    let test_store = TestStore::postgres().await;
    let (first, second) = (test_store.open().await, test_store.open().await);
    let mut events = listen(&first).await;
    create(&first, plain()).await;
    let theirs = create(&second, plain()).await;
    assert_eq!(next(&mut events).await.id, theirs.id);
}

/// Two stores that open an empty database at the same time both find their tables.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stores_that_open_at_once_create_the_tables_once() {
    let test_store = Arc::new(TestStore::postgres().await);
    let opening: Vec<_> = (0..6)
        .map(|_| {
            let test_store = Arc::clone(&test_store);
            tokio::spawn(async move { test_store.open().await })
        })
        .collect();
    for opened in opening {
        create(&opened.await.unwrap(), plain()).await;
    }
}

/// Many clients send different verbs to one task at once. Each verb is applied completely, one after another.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_verbs_are_applied_one_after_another() {
    let test_store = TestStore::postgres().await;
    let (one, other) = (test_store.with_nodes().await, test_store.open().await);
    let task = running(&one).await;
    let calls = (0..40).map(|n| {
        let store = if n % 2 == 0 { one.clone() } else { other.clone() };
        let verb = if n % 3 == 0 { Verb::Pause } else { Verb::Resume };
        let task = Arc::clone(&task);
        tokio::spawn(async move { control(&store, &task, verb).await })
    });
    let calls: Vec<_> = calls.collect();
    for call in calls {
        call.await.unwrap();
    }
    let history = one.history(caller(), task.id).await.unwrap();
    assert!(history.windows(2).all(|pair| pair[1].from == Some(pair[0].to)), "{history:#?}");
    assert_eq!(one.get(caller(), task.id).await.unwrap().unwrap().state, history.last().unwrap().to);
}
