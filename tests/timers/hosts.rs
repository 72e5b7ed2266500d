//! A receiver that does not answer, beside others.

use std::collections::HashSet;

use serde_json::json;

use super::{after, and, with};
use crate::harness::receiver::{Answer, Receiver};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_does_not_answer_delays_no_other() {
    let server = with(&[("PAUSA_TIMER_MAX_SENDING", "16"), ("PAUSA_TIMER_MAX_SENDING_PER_HOST", "8")]).await;
    let hanging = Receiver::start(|_, _| Answer::Never).await;
    let quick = futures_util::future::join_all((0..20).map(|_| Receiver::kind())).await;
    let stuck = and(after(&hanging.url, 0.0), json!({ "timeoutSeconds": 600, "label": "stuck" }));
    let stuck = futures_util::future::join_all((0..400).map(|_| server.timer(stuck.clone()))).await;
    hanging.until(8).await;
    for receiver in &quick {
        for _ in 0..5 {
            server.timer(after(&receiver.url, 0.05)).await;
        }
    }
    for receiver in &quick {
        receiver.until(5).await;
    }
    assert_eq!(hanging.count(), 8, "no more at once than the setting allows");
    // All waiting timers are terminated by one request.
    let query = "mutation { controlTasks(verb: TERMINATE, filter: { kinds: [TIMER], label: \"stuck\" })
        { matched changed } }";
    let summary = server.data(query, json!({})).await["controlTasks"].take();
    assert_eq!((&summary["matched"], &summary["changed"]), (&json!(400), &json!(400)));
    for id in &stuck {
        server.until(id, "TERMINATED").await;
    }
    let came = hanging.count();
    let later = server.timer(after(&quick[0].url, 0.1)).await;
    server.until(&later, "COMPLETED").await;
    assert_eq!(hanging.count(), came, "terminated timers are not sent");
}

/// More timers for one receiver than may be sent at once: each arrives once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_for_one_receiver_arrives_completely() {
    let server = with(&[("PAUSA_TIMER_MAX_SENDING", "8"), ("PAUSA_TIMER_MAX_SENDING_PER_HOST", "4")]).await;
    let receiver = Receiver::kind().await;
    let input = after(&receiver.url, 0.5);
    let ids = futures_util::future::join_all((0..1000).map(|_| server.timer(input.clone()))).await;
    let hooks = receiver.until(1000).await;
    for id in &ids {
        server.until(id, "COMPLETED").await;
    }
    let came: HashSet<_> = hooks.iter().map(|hook| hook.id()).collect();
    assert_eq!((came.len(), receiver.count()), (1000, 1000));
}
