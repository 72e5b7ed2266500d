//! Who hears of a change: each one once, with word of whether the state changed.

use std::sync::Arc;

use pausa::store::Store;
use pausa::task::change::End;
use pausa::task::{ControlRequest, PauseExpiry, State, Task, Verb};

use super::place::{
    DEATHS, Heard, LEASE, Place, ask, at, control, create, end, plain, report, rows, running, task_with,
};
use crate::harness::caller;
use crate::harness::server::PATIENCE;

fn told(heard: &Heard) -> Vec<(State, i64, bool)> {
    let mut heard = heard.lock().unwrap();
    heard.drain(..).map(|(task, changed)| (task.state, task.version, changed)).collect()
}

async fn claimed(store: &Store) -> Arc<Task> {
    store.claim("a", at(1), 1).await.unwrap().remove(0)
}

pub async fn each_change_is_heard_once(place: &Place) {
    let (store, heard) = place.heard().await;
    store.join("a", at(0), LEASE).await.unwrap();
    let task = create(&store, task_with(|new| new.start_at = Some(at(1)))).await;
    store.process_due(at(1), 10).await.unwrap();
    let run = claimed(&store).await;
    report(&store, &run, None, rows(1)).await.unwrap();
    control(&store, &task, Verb::Pause).await;
    assert_eq!(
        told(&heard),
        [
            (State::Scheduled, 1, true),
            (State::Queued, 2, true),
            (State::Running, 3, true),
            (State::Running, 4, false),
            (State::Pausing, 5, true),
        ]
    );
    // Its node dies, and another one says PAUSED for it: only that is a change of its state.
    store.rescue(at(60), DEATHS).await.unwrap();
    store.join("a", at(60), LEASE).await.unwrap();
    let settling = store.claim_ends("a", at(60), 10).await.unwrap().remove(0);
    end(&store, &settling, End::Release).await;
    assert_eq!(
        told(&heard),
        [(State::Pausing, 6, false), (State::Pausing, 7, false), (State::Paused, 8, true)],
        "a new owner is no new state"
    );
    control(&store, &task, Verb::Resume).await;
    let run = claimed(&store).await;
    end(&store, &run, End::Finish(None)).await;
    end(&store, &run, End::Complete).await;
    assert_eq!(
        told(&heard),
        [
            (State::Queued, 9, true),
            (State::Running, 10, true),
            (State::Finishing, 11, false),
            (State::Completed, 12, true),
        ],
        "publishing is a part of running to clients"
    );
}

pub async fn what_did_not_change_is_not_heard(place: &Place) {
    let (store, heard) = place.heard().await;
    store.join("a", at(0), LEASE).await.unwrap();
    let task = create(&store, plain()).await;
    claimed(&store).await;
    told(&heard);
    control(&store, &task, Verb::Resume).await;
    assert!(store.end(&task, None, End::Release, ask()).await.is_err());
    assert!(store.process_due(at(100), 10).await.unwrap().is_empty());
    let before = store.get(caller(), task.id).await.unwrap().unwrap();
    assert_eq!(told(&heard), []);
    assert_eq!(before.version, 2);
}

/// A client may hang up while its call is under way: what is written all the same is heard all the same.
pub async fn a_caller_that_goes_away_takes_no_word_with_it(place: &Place) {
    let (store, heard) = place.heard().await;
    let task = create(&store, plain()).await;
    told(&heard);
    {
        let mut asking = Box::pin(store.control(caller(), task.id, Verb::Pause, ask()));
        // Polled once, so that it is on its way, and then dropped.
        assert!(futures_util::poll!(asking.as_mut()).is_pending());
    }
    // No event of the store's tells of a call that came to nothing, so its row is looked at.
    let paused = async {
        while store.get(caller(), task.id).await.unwrap().unwrap().state != State::Paused {
            tokio::task::yield_now().await;
        }
        while heard.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, paused).await.expect("the change is heard of");
    assert_eq!(told(&heard), [(State::Paused, 2, true)]);
}

pub async fn a_run_hears_of_its_pause_first_and_what_waits_is_left_to_the_verb(place: &Place) {
    let (store, heard) = place.heard().await;
    store.join("a", at(0), LEASE).await.unwrap();
    let waiting = create(&store, task_with(|new| new.start_at = Some(at(500)))).await;
    assert_eq!(store.pause_running(caller(), waiting.id, ask()).await.unwrap(), None);
    assert_eq!(store.get(caller(), waiting.id).await.unwrap(), Some(waiting));

    let run = running(&store).await;
    told(&heard);
    let pausing = store.pause_running(caller(), run.id, ask()).await.unwrap().unwrap();
    assert_eq!(told(&heard), [(State::Pausing, run.version + 1, true)]);
    // Asked for once more it may be given another end.
    let expiry = Some(PauseExpiry { at: at(500), then: Verb::Resume });
    let again = store.pause_running(caller(), run.id, ControlRequest { expiry, ..ask() }).await.unwrap().unwrap();
    assert_eq!((again.expiry, again.version), (expiry, pausing.version + 1));
    store.sync_task(run.id).await.unwrap();
    assert_eq!(told(&heard)[1..], [(State::Pausing, again.version + 1, false)]);
    assert_eq!(end(&store, &run, End::Release).await.state, State::Paused);
    assert_eq!(store.pause_running(caller(), run.id, ask()).await.unwrap(), None);
    assert!(
        store
            .pause_running(caller(), crate::harness::task_id(), ask())
            .await
            .unwrap_err()
            .to_string()
            .contains("not found")
    );
}
