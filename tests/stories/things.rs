//! Uploads, server nodes and whatever has a global ID.

use serde_json::{Value, json};

use crate::harness::csv;
use crate::harness::server::Server;

const NODE: &str = "query($id: ID!) { node(id: $id) { __typename id ... on Task { state } ... on Dataset { name }
    ... on UploadedFile { size } ... on ServerNode { name } } }";

const UPLOADS: &str = "query($first: Int, $after: String, $last: Int, $before: String) {
    uploads(first: $first, after: $after, last: $last, before: $before) { totalCount pageInfo { hasNextPage hasPreviousPage }
        edges { cursor node { id name size receivedBytes sha256 createdAt expiresAt usedBy { id } } } } }";

const DELETE: &str = "mutation($id: ID!) { deleteUpload(id: $id) }";

async fn uploads(server: &Server, variables: Value) -> (Vec<String>, Value) {
    let mut list = server.data(UPLOADS, variables).await["uploads"].take();
    let ids = list["edges"].as_array().unwrap().iter().map(|edge| edge["node"]["id"].as_str().unwrap().to_owned());
    (ids.collect(), list.take())
}

async fn node(server: &Server, id: &str) -> Value {
    server.data(NODE, json!({ "id": id })).await["node"].take()
}

#[tokio::test]
async fn uploads_are_listed_with_the_tasks_that_use_them() {
    let server = Server::start().await;
    let mut newest_first = Vec::new();
    for rows in 1..=3 {
        newest_first.insert(0, server.upload(csv::people(rows)).await);
    }
    let import = server.import(&newest_first[1], json!({ "dataset": "people" })).await;
    server.until(&import, "COMPLETED").await;

    let (ids, list) = uploads(&server, json!({})).await;
    assert_eq!((ids, &list["totalCount"]), (newest_first.clone(), &json!(3)));
    let of = |n: usize| &list["edges"][n]["node"];
    assert_eq!(of(0)["size"], csv::people(3).len());
    assert_eq!((&of(0)["receivedBytes"], &of(0)["usedBy"]), (&of(0)["size"], &json!([])));
    assert_eq!((&of(1)["usedBy"], &of(1)["expiresAt"]), (&json!([{ "id": import }]), &Value::Null));
    assert!(of(0)["expiresAt"].is_string() && of(0)["sha256"].as_str().unwrap().len() == 64, "{list}");

    let (first, page) = uploads(&server, json!({ "first": 1 })).await;
    assert_eq!((first, &page["pageInfo"]["hasNextPage"]), (newest_first[..1].to_vec(), &json!(true)));
    let cursor = &page["edges"][0]["cursor"];
    assert_eq!(uploads(&server, json!({ "first": 9, "after": cursor })).await.0, newest_first[1..]);
    let (last, page) = uploads(&server, json!({ "last": 1 })).await;
    assert_eq!((last, &page["pageInfo"]["hasPreviousPage"]), (newest_first[2..].to_vec(), &json!(true)));
    let cursor = &page["edges"][0]["cursor"];
    assert_eq!(uploads(&server, json!({ "last": 1, "before": cursor })).await.0, newest_first[1..2]);
    let error = server.refusal(UPLOADS, json!({ "after": "x" })).await;
    assert_eq!(error["extensions"]["field"], "after");
}

#[tokio::test]
async fn a_dataset_shows_its_imports_its_size_and_its_last_change() {
    let server = Server::start().await;
    let mut imports = Vec::new();
    for mode in ["CREATE", "APPEND"] {
        let upload = server.upload(csv::people(3)).await;
        imports.insert(0, server.import(&upload, json!({ "dataset": "people", "mode": mode })).await);
        server.until(&imports[0], "COMPLETED").await;
    }
    let query = r#"{ dataset(name: "people") { rowCount createdAt updatedAt sizeBytes importedBy { id } } }"#;
    let dataset = server.data(query, json!({})).await["dataset"].take();
    assert_eq!(
        (&dataset["rowCount"], &dataset["importedBy"]),
        (&json!(6), &json!([{ "id": imports[0] }, { "id": imports[1] }]))
    );
    assert!(dataset["updatedAt"].as_str() > dataset["createdAt"].as_str(), "{dataset}");
    assert!(dataset["sizeBytes"].as_u64() > Some(0), "{dataset}");
}

#[tokio::test]
async fn an_upload_is_deleted_unless_an_unfinished_task_needs_it() {
    let server = Server::start().await;
    let upload = server.upload(csv::people(3)).await;
    let later = json!({ "dataset": "people", "startAt": "2999-01-01T00:00:00Z" });
    let import = server.import(&upload, later).await;
    let error = server.refusal(DELETE, json!({ "id": upload })).await;
    assert_eq!(error["extensions"], json!({ "code": "CONFLICT", "taskId": import }));
    assert_eq!(node(&server, &upload).await["__typename"], "UploadedFile");

    server.control("terminate", &import).await;
    assert_eq!(server.data(DELETE, json!({ "id": upload })).await["deleteUpload"], *upload);
    assert_eq!(uploads(&server, json!({})).await.0, [""; 0]);
    assert_eq!(server.task(&import).await["state"], "TERMINATED", "the task is kept");
    let error = server.refusal(DELETE, json!({ "id": upload })).await;
    assert_eq!(error["extensions"]["code"], "NOT_FOUND");
}

#[tokio::test]
async fn each_thing_is_found_by_its_id() {
    let server = Server::with(&[("PAUSA_NODE", "first")]).await;
    let upload = server.upload("a\n1\n").await;
    let import = server.import(&upload, json!({ "dataset": "people" })).await;
    server.until(&import, "COMPLETED").await;

    let fields = "{ serverNodes { id name role version startedAt lastHeartbeatAt state running maxRunning }
        dataset(name: \"people\") { id } }";
    let data = server.data(fields, json!({})).await;
    let nodes = data["serverNodes"].as_array().unwrap();
    let first = &nodes[0];
    assert_eq!(
        (nodes.len(), &first["name"], &first["state"], &first["role"]),
        (1, &json!("first"), &json!("UP"), &json!("all"))
    );
    assert!(first["maxRunning"].as_u64().unwrap() > 0 && first["lastHeartbeatAt"].is_string(), "{first}");

    let (dataset, process) = (data["dataset"]["id"].as_str().unwrap(), first["id"].as_str().unwrap());
    assert_eq!(dataset, "dataset:people");
    let wanted = [
        json!({ "__typename": "ImportTask", "id": import, "state": "COMPLETED" }),
        json!({ "__typename": "Dataset", "id": dataset, "name": "people" }),
        json!({ "__typename": "UploadedFile", "id": upload, "size": 4 }),
        json!({ "__typename": "ServerNode", "id": process, "name": "first" }),
    ];
    for thing in &wanted {
        assert_eq!(node(&server, thing["id"].as_str().unwrap()).await, *thing);
    }
    let (running, query) =
        (server.pi(5_000_000).await, "query($nodes: [String!]) { tasks(filter: { nodes: $nodes }) { nodes { id } } }");
    server.until(&running, "RUNNING").await;
    for (names, wanted) in [(json!(["first", "other"]), json!([{ "id": running }])), (json!(["other"]), json!([]))] {
        assert_eq!(server.data(query, json!({ "nodes": names })).await["tasks"]["nodes"], wanted);
    }
    let unknown = "01890000-0000-7000-8000-000000000000";
    for id in [unknown, "dataset:none", "dataset:no name", "node:none", "x"] {
        assert_eq!(node(&server, id).await, Value::Null, "{id}");
    }
    let query = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }";
    let found = server.data(query, json!({ "ids": [process, unknown, import] })).await["nodes"].take();
    assert_eq!(found, json!([{ "id": process }, null, { "id": import }]));
    let error = server.refusal(query, json!({ "ids": vec![unknown; 501] })).await;
    assert_eq!(error["extensions"]["field"], "ids");
}

#[tokio::test]
async fn a_queued_task_knows_how_many_are_claimed_before_it() {
    let server = Server::with(&[("PAUSA_ROLE", "api")]).await;
    let start = "mutation($input: StartPiJobInput!) { startPiJob(input: $input) { id } }";
    let mut ids = Vec::new();
    for priority in [0, 0, 5, -1, 5] {
        let data = server.data(start, json!({ "input": { "digits": 10, "priority": priority } })).await;
        ids.push(data["startPiJob"]["id"].as_str().unwrap().to_owned());
    }
    let query = "query($ids: [ID!]) { tasks(filter: { ids: $ids }, orderBy: CREATED_ASC) { nodes { queuePosition } } }";
    let tasks = server.data(query, json!({ "ids": ids })).await["tasks"]["nodes"].take();
    let positions: Vec<_> =
        tasks.as_array().unwrap().iter().map(|task| task["queuePosition"].as_u64().unwrap()).collect();
    assert_eq!(positions, [2, 3, 0, 4, 1]);
    let by_priority = "{ tasks(orderBy: PRIORITY_DESC) { nodes { queuePosition } } }";
    let tasks = server.data(by_priority, json!({})).await["tasks"]["nodes"].take();
    let positions: Vec<_> =
        tasks.as_array().unwrap().iter().map(|task| task["queuePosition"].as_u64().unwrap()).collect();
    assert_eq!(positions, [0, 1, 2, 3, 4], "the order of the claims");
    server.control("pause", &ids[0]).await;
    let tasks = server.data(query, json!({ "ids": [ids[0]] })).await["tasks"]["nodes"].take();
    assert_eq!(tasks, json!([{ "queuePosition": null }]));
}
