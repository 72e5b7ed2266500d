//! Lists of tasks in each order, what a search finds, and counts of tasks.

use serde_json::{Value, json};

use crate::harness::csv;
use crate::harness::server::Server;
use crate::harness::watch::Watch;

const LIST: &str =
    "query($filter: TaskFilter, $by: TaskOrder, $first: Int, $after: String, $last: Int, $before: String) {
    tasks(filter: $filter, orderBy: $by, first: $first, after: $after, last: $last, before: $before) {
        edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage } } }";

/// Returns the IDs of a list.
async fn ids(server: &Server, variables: Value) -> Vec<String> {
    let list = server.data(LIST, variables).await;
    let edges = list["tasks"]["edges"].as_array().unwrap();
    edges.iter().map(|edge| edge["node"]["id"].as_str().unwrap().to_owned()).collect()
}

/// Uploads a file with a name. Returns the ID of the upload.
async fn upload_named(server: &Server, name: &str, text: &str) -> String {
    let head = format!("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n");
    let body = format!("{head}{text}\r\n--b--\r\n");
    let sent = server
        .client()
        .post(format!("{}/uploads", server.url))
        .header("content-type", "multipart/form-data; boundary=b");
    let answer: Value = sent.body(body).send().await.unwrap().json().await.unwrap();
    answer["id"].as_str().unwrap().to_owned()
}

async fn found(server: &Server, text: &str) -> Vec<String> {
    ids(server, json!({ "filter": { "search": text } })).await
}

#[tokio::test]
async fn a_search_finds_labels_datasets_files_tags_and_ids() {
    let server = Server::start().await;
    let upload = upload_named(&server, "Q3 Report.csv", &csv::people(3)).await;
    let import = server
        .import(&upload, json!({ "dataset": "Sales", "label": "Monthly IMPORT \u{fc}bersicht", "tags": ["Finance"] }))
        .await;
    server.until(&import, "COMPLETED").await;
    let export = server.export("Sales").await;
    let pi = server.pi(10).await;
    for text in ["monthly", "LY IMP", "\u{dc}BERS", "report.csv", "finance", &import, &import[..24].to_uppercase()] {
        assert_eq!(found(&server, text).await, [import.as_str()], "{text}");
    }
    assert_eq!(found(&server, "SALE").await, [export.as_str(), &import]);
    assert_eq!(found(&server, "").await, [pi.as_str(), &export, &import], "an empty text is no condition");
    assert_eq!(found(&server, "no such text").await, [""; 0]);
    let filters = [
        json!({ "tags": ["Finance", "other"] }),
        json!({ "datasets": ["Sales"], "kinds": ["IMPORT"] }),
        json!({ "datasets": ["Sales"], "createdBy": "anonymous", "states": ["COMPLETED"], "search": "month" }),
    ];
    for filter in filters {
        assert_eq!(ids(&server, json!({ "filter": filter })).await, [import.as_str()], "{filter}");
    }
    let at = server.task(&import).await["finishedAt"].as_str().unwrap().to_owned();
    assert!(!ids(&server, json!({ "filter": { "finishedAfter": at } })).await.contains(&import));
    assert_eq!(ids(&server, json!({ "filter": { "finishedBefore": at } })).await, [""; 0]);
    let error = server.refusal(LIST, json!({ "filter": { "search": "x".repeat(201) } })).await;
    assert_eq!(error["extensions"]["field"], "filter.search");
    let error = server.refusal(LIST, json!({ "filter": { "tags": vec!["x"; 101] } })).await;
    assert_eq!(error["extensions"]["field"], "filter.tags");
}

#[tokio::test]
async fn cursors_belong_to_one_order() {
    let server = Server::start().await;
    let mut created = Vec::new();
    for digits in [10, 11, 12] {
        let id = server.pi(digits).await;
        server.until(&id, "COMPLETED").await;
        created.push(id);
    }
    for (order, newest_first) in
        [("CREATED_ASC", false), ("CREATED_DESC", true), ("FINISHED_DESC", true), ("UPDATED_DESC", true)]
    {
        let mut wanted = created.clone();
        if newest_first {
            wanted.reverse();
        }
        assert_eq!(ids(&server, json!({ "by": order })).await, wanted, "{order}");
        let first = server.data(LIST, json!({ "by": order, "first": 1 })).await["tasks"].take();
        assert_eq!(first["pageInfo"], json!({ "hasNextPage": true, "hasPreviousPage": false }));
        let cursor = &first["edges"][0]["cursor"];
        assert_eq!(ids(&server, json!({ "by": order, "first": 5, "after": cursor })).await, wanted[1..], "{order}");
        let last = server.data(LIST, json!({ "by": order, "last": 1 })).await["tasks"]["edges"][0].take();
        assert_eq!(last["node"]["id"], *wanted[2]);
        assert_eq!(
            ids(&server, json!({ "by": order, "last": 1, "before": last["cursor"] })).await,
            wanted[1..2],
            "{order}"
        );
        let error = server.refusal(LIST, json!({ "by": "PRIORITY_DESC", "after": cursor })).await;
        assert_eq!(
            (&error["extensions"]["code"], &error["extensions"]["field"]),
            (&json!("BAD_USER_INPUT"), &json!("after"))
        );
    }
}

#[tokio::test]
async fn tasks_are_counted_by_kind_and_state_and_subscribers_get_new_counts() {
    let server = Server::start().await;
    let fields = "taskCounts(filter: { kinds: [PI] }) { kind state count exact }";
    let mut watch = Watch::open(&server.url, "taskCounts", &format!("subscription {{ {fields} }}"), json!({})).await;
    assert_eq!(watch.next().await.unwrap(), json!([]));
    for digits in [10, 11] {
        server.until(&server.pi(digits).await, "COMPLETED").await;
    }
    let upload = server.upload("a\n1\n").await;
    server.import(&upload, json!({ "dataset": "other" })).await;
    let wanted = json!([{ "kind": "PI", "state": "COMPLETED", "count": 2, "exact": true }]);
    watch.until(|counts| *counts == wanted).await;
    let asked = server.data(&format!("{{ {fields} }}"), json!({})).await;
    assert_eq!(asked["taskCounts"], wanted);
    assert_eq!(server.data("{ taskCounts { count } }", json!({})).await["taskCounts"].as_array().unwrap().len(), 2);
}
