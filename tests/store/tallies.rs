//! Numbers of tasks by kind and state.

use std::collections::BTreeMap;

use pausa::store::{Filter, Store};
use pausa::task::State;

use super::lists::{filters, varied};
use super::test_store::{MANY, TestStore, plain};
use crate::harness::caller;

type Counts = BTreeMap<(String, State), (u64, bool)>;

async fn counts(store: &Store, filter: &Filter) -> Counts {
    let tallies = store.tallies(caller(), filter).await.unwrap();
    let counts = tallies.iter().map(|tally| ((tally.kind.clone(), tally.state), (tally.count, tally.exact)));
    let counts: Counts = counts.collect();
    assert_eq!(counts.len(), tallies.len(), "each kind and state once");
    counts
}

pub async fn matching_tasks_are_counted_by_kind_and_state(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    assert_eq!(counts(&store, &Filter::default()).await, Counts::new());
    let tasks = varied(&store, 70).await;
    for filter in filters(&tasks) {
        let mut wanted = Counts::new();
        for task in tasks.iter().filter(|task| filter.matches(task)) {
            wanted.entry((task.kind.clone(), task.state)).or_insert((0, true)).0 += 1;
        }
        assert_eq!(counts(&store, &filter).await, wanted, "{filter:?}");
    }
}

pub async fn a_count_of_many_tasks_says_that_it_is_not_exact(test_store: &TestStore) {
    let store = test_store.open().await;
    for _ in 0..11 {
        let tasks = std::iter::repeat_with(plain).take(1000).collect();
        store.create_batch(caller(), tasks, MANY).await.unwrap();
    }
    let queued = ("import".to_owned(), State::Queued);
    assert_eq!(counts(&store, &Filter::default()).await, Counts::from([(queued.clone(), (11_000, true))]));
    let by_creator = Filter { created_by: Some("anonymous".into()), ..Filter::default() };
    assert_eq!(counts(&store, &by_creator).await, Counts::from([(queued, (10_000, false))]));
}
