//! Texts that PostgreSQL cannot store: what a run reports is made storable, and a spec stores any text as JSON.

use pausa::task::change::End;
use pausa::task::{ResultFile, Retry, State, TaskError};

use super::test_store::{POLICY, TestStore, at, create, end, request, running, task_with};
use crate::harness::caller;

pub async fn texts_of_a_run_are_made_storable(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let error = TaskError::new("UNAVAILABLE", format!("a\0b{}", "x".repeat(5_000)));
    let task = running(&store).await;
    let retried = end(&store, &task, End::Retry(error.clone(), Retry::At(at(9)), POLICY)).await;
    assert_eq!(retried.state, State::Scheduled);
    let task = running(&store).await;
    let failed = end(&store, &task, End::Fail(error)).await;
    for task in [&retried, &failed] {
        let message = &task.error.as_ref().unwrap().message;
        assert!(message.starts_with("a\u{fffd}bx") && message.ends_with("x…"), "{message}");
        assert_eq!(message.chars().count(), 4_000);
        assert_eq!(store.get(caller(), task.id).await.unwrap().as_ref(), Some(task));
        let history = store.history(caller(), task.id).await.unwrap();
        assert_eq!(history.last().unwrap().reason.as_ref().unwrap().chars().count(), 1_000);
    }
    let result = ResultFile { name: "a\0.csv".into(), size: 1, content_type: "text/csv".into(), sha256: "1f".into() };
    let task = running(&store).await;
    let finishing = end(&store, &task, End::Finish(Some(result))).await;
    assert_eq!(finishing.result.as_ref().unwrap().name, "a\u{fffd}.csv");
    assert_eq!(store.get(caller(), finishing.id).await.unwrap(), Some(finishing));
    assert_eq!(request().with_reason("why\0").reason.unwrap(), "why\u{fffd}");
}

pub async fn a_spec_stores_any_text_as_json(test_store: &TestStore) {
    let store = test_store.open().await;
    let spec = serde_json::json!({ "a\0": "\0 \u{fffd} \u{1f600}" }).to_string();
    let task = create(&store, task_with(|new| new.spec = spec.clone())).await;
    assert_eq!(store.get(caller(), task.id).await.unwrap().unwrap().spec, spec);
}
