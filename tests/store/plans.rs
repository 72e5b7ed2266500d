//! The databases read lists by an index, whatever the filter and the order.

use pausa::store::Page;

use super::lists::{ORDERS, filters, varied};
use super::test_store::TestStore;

/// Returns the steps that read all tasks, without an index.
fn scans(plan: &str) -> Vec<&str> {
    let scans = |step: &&str| {
        let sqlite = step.starts_with("SCAN tasks") && !step.contains(" USING ");
        sqlite || step.contains("Seq Scan on tasks") || step.contains("Seq Scan on task_texts")
    };
    plan.lines().filter(scans).collect()
}

pub async fn each_list_is_read_by_an_index(test_store: &TestStore) {
    let store = test_store.with_nodes().await;
    let tasks = varied(&store, 60).await;
    if test_store.url.starts_with("postgres") {
        test_store.execute("ANALYZE tasks").await.unwrap();
    }
    for filter in filters(&tasks) {
        for order in ORDERS {
            let plan = store.explain(&filter, Page { limit: 50, order, ..Page::default() }).await.unwrap();
            assert_eq!(scans(&plan), [""; 0], "{filter:?} {order:?}:\n{plan}");
            let by_text = plan.contains("task_texts") || plan.contains("tasks_with");
            let searched = filter.search.as_ref().is_some_and(|text| !text.trigrams().is_empty());
            assert!(!searched || by_text, "{filter:?} {order:?}:\n{plan}");
        }
    }
}
