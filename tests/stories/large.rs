//! Rows, tasks and histories of any size: responses stay small, and no page loses or repeats anything.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::postgres::Postgres;
use crate::harness::server::{PATIENCE, Server};

/// Maximum bytes of the cells of a page.
const PAGE: usize = 4 << 20;

async fn filled(server: &Server, sizes: &[usize]) {
    let lines: String = sizes.iter().map(|size| "x".repeat(*size) + "\n").collect();
    let upload = server.upload("cell\n".to_owned() + &lines).await;
    let id = server.import(&upload, json!({ "dataset": "large" })).await;
    server.until(&id, "COMPLETED").await;
}

async fn pages_end_at_their_limit_of_bytes(server: &Server) {
    let sizes = [&[10][..], &[1 << 20; 9], &[6 << 20], &[1 << 19; 9], &[3]].concat();
    filled(server, &sizes).await;
    let query = "query($after: String) { dataset(name: \"large\") { rows(first: 400, after: $after) {
        totalCount nodes { number cells } pageInfo { hasNextPage endCursor } } } }";
    let (mut after, mut seen) = (Value::Null, Vec::new());
    loop {
        let mut page = server.data(query, json!({ "after": after })).await["dataset"]["rows"].take();
        assert_eq!(page["totalCount"], sizes.len());
        let nodes = page["nodes"].as_array().unwrap();
        let cells: Vec<_> = nodes.iter().map(|row| row["cells"][0].as_str().unwrap().len()).collect();
        assert!(cells.len() == 1 || cells.iter().sum::<usize>() <= PAGE, "{cells:?}");
        seen.extend(nodes.iter().map(|row| row["number"].as_u64().unwrap()).zip(cells));
        after = page["pageInfo"]["endCursor"].take();
        assert_eq!(after, json!(seen.len().to_string()), "a cursor is a row number");
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
    }
    assert!(seen.into_iter().eq((1..).zip(sizes)));
    // A query that ended early must not affect the next one on the same connection.
    let answers = (0..20).map(|_| server.data(query, json!({ "after": "19" })));
    for answer in futures_util::future::join_all(answers).await {
        assert_eq!(answer["dataset"]["rows"]["nodes"].as_array().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn pages_of_large_rows_in_sqlite() {
    pages_end_at_their_limit_of_bytes(&Server::start().await).await;
}

#[tokio::test]
async fn pages_of_large_rows_in_postgresql() {
    let postgres = tokio::task::spawn_blocking(Postgres::start).await.unwrap();
    pages_end_at_their_limit_of_bytes(&Server::with(&[("PAUSA_DATABASE_URL", &postgres.url())]).await).await;
}

#[tokio::test]
async fn aliases_share_the_limits_of_a_request() {
    let server = Server::start().await;
    filled(&server, &[1 << 20; 30]).await;
    let alias = |n: usize| format!("a{n}: dataset(name: \"large\") {{ rows(first: 400) {{ nodes {{ cells }} }} }} ");
    let answer = server.ask(&format!("{{ {} }}", (0..40).map(alias).collect::<String>()), json!({})).await;
    let error = &answer["errors"][0];
    assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT");
    assert!(error["message"].as_str().unwrap().contains("16777216 bytes of rows"), "{error}");
    assert!(answer.to_string().len() < 24 << 20);
}

#[tokio::test]
async fn ordinary_pages_are_allowed_and_multiplied_ones_are_refused() {
    let server = Server::start().await;
    filled(&server, &[1; 500]).await;
    let plain = "{ tasks(first: 500) { totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor
        node { id kind state label attempt createdAt startAt startedAt finishedAt pausedAt pauseExpiresAt error { code message }
        progress { phase unit done total fraction } result { name size contentType url sha256 }
        history { from to at by reason }
        ... on ImportTask { dataset rowsImported rowsRejected } ... on TimerTask { url firesAt secondsLeft delivery } } } } }";
    assert_eq!(server.data(plain, json!({})).await["tasks"]["totalCount"], 1);
    let rows = "{ dataset(name: \"large\") { columns { name type } rows(first: 500) { edges { cursor node { number cells } } } } }";
    let data = server.data(rows, json!({})).await;
    assert_eq!(data["dataset"]["rows"]["edges"].as_array().unwrap().len(), 500);
    let each = |n: usize| format!("a{n}: tasks(first: 500) {{ nodes {{ id state }} }} ");
    for refused in [
        "{ datasets(first: 500) { nodes { rows(first: 500) { nodes { number cells } } } } }".to_owned(),
        format!("{{ {} }}", (0..200).map(each).collect::<String>()),
        "query($n: Int = 500) { datasets(last: $n) { nodes { rows(first: $n) { nodes { number } } } } }".to_owned(),
    ] {
        let error = server.refusal(&refused, json!({})).await;
        assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT");
        assert!(error["message"].as_str().unwrap().contains("100000 are allowed"), "{error}");
    }
}

#[tokio::test]
async fn a_page_of_tasks_with_large_inputs_ends_early() {
    let server = Server::start().await;
    let body = "x".repeat(250_000);
    let mut ids = Vec::new();
    for _ in 0..40 {
        let input = json!({ "url": "https://example.com/", "body": body, "when": { "after": { "hours": 1 } } });
        ids.push(server.timer(input).await);
    }
    for (query, more) in [
        (
            "query($at: String) { tasks(first: 500, after: $at) { nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }",
            ("hasNextPage", "endCursor"),
        ),
        (
            "query($at: String) { tasks(last: 500, before: $at) { nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }",
            ("hasPreviousPage", "startCursor"),
        ),
    ] {
        let (mut at, mut seen) = (Value::Null, Vec::new());
        loop {
            let mut page = server.data(query, json!({ "at": at })).await["tasks"].take();
            let nodes = page["nodes"].as_array().unwrap();
            assert!((1..=16).contains(&nodes.len()), "{} tasks", nodes.len());
            seen.extend(nodes.iter().map(|task| task["id"].as_str().unwrap().to_owned()));
            if page["pageInfo"][more.0] == false {
                break;
            }
            at = page["pageInfo"][more.1].take();
        }
        seen.sort();
        assert_eq!(seen, ids, "each task occurs once");
    }
}

#[tokio::test]
async fn a_history_contains_the_newest_changes() {
    let server = Server::start().await;
    let id = server.timer(json!({ "url": "https://example.com/", "when": { "after": { "hours": 1 } } })).await;
    for _ in 0..251 {
        server.control("pause", &id).await;
        server.control("resume", &id).await;
    }
    let history = server.task(&id).await["history"].take();
    let history = history.as_array().unwrap();
    assert_eq!((history.len(), &history[499]["from"]), (500, &json!("PAUSED")));
}

#[tokio::test]
async fn one_stream_too_many_is_refused_with_retry_after() {
    let server = Server::with(&[("PAUSA_HTTP_MAX_STREAMS", "1")]).await;
    filled(&server, &[1 << 20; 40]).await;
    let mut socket = tokio::net::TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    socket.write_all(b"GET /datasets/large.csv HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert_eq!(socket.read_u8().await.unwrap(), b'H');
    let refused = server.get("/datasets/large.csv").await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"5".parse().unwrap()));
    let refused: Value = refused.json().await.unwrap();
    assert_eq!(refused["errors"][0]["extensions"]["code"], "TOO_BUSY");
    drop(socket);
    let again = async {
        // The server sends no event when the other stream ends, so the story polls.
        while server.get("/datasets/large.csv").await.status() != 200 {}
    };
    tokio::time::timeout(PATIENCE, again).await.unwrap();
}

#[tokio::test]
async fn rows_are_filtered_ordered_and_paged_in_both_directions() {
    let server = Server::start().await;
    let file = "name,born\nAda,1815-12-10\nGrace,1906-12-09\nEdsger,1930-05-11\nBarbara,\nAlan,1912-06-23\n";
    let upload = server.upload(file).await;
    let columns = json!([{ "name": "born", "type": "DATE" }]);
    let import = server.import(&upload, json!({ "dataset": "people", "columns": columns })).await;
    server.until(&import, "COMPLETED").await;
    let query = "query($first: Int, $after: String, $last: Int, $before: String, $where: [ColumnFilterInput!], $by: [ColumnOrderInput!]) {
        dataset(name: \"people\") { rows(first: $first, after: $after, last: $last, before: $before, where: $where, orderBy: $by) {
            totalCount nodes { number cells } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }";
    let by = json!([{ "column": "born", "descending": true }]);
    let names = |page: &serde_json::Value| -> Vec<String> {
        let nodes = page["nodes"].as_array().unwrap().iter();
        nodes.map(|node| node["cells"][0].as_str().unwrap().to_owned()).collect()
    };
    let page = server.data(query, json!({ "first": 3, "by": by })).await["dataset"]["rows"].clone();
    assert_eq!(names(&page), ["Barbara", "Edsger", "Alan"], "null is greater than every value");
    assert_eq!((page["totalCount"].as_u64(), page["pageInfo"]["hasNextPage"].as_bool()), (Some(5), Some(true)));
    let after = page["pageInfo"]["endCursor"].clone();
    let page = server.data(query, json!({ "first": 3, "after": after, "by": by })).await["dataset"]["rows"].clone();
    assert_eq!(names(&page), ["Grace", "Ada"]);
    let filter = json!([{ "column": "born", "isNull": true, "not": true }, { "column": "name", "contains": "a" }]);
    let page = server.data(query, json!({ "last": 2, "where": filter })).await["dataset"]["rows"].clone();
    assert_eq!(names(&page), ["Grace", "Alan"]);
    assert_eq!((page["totalCount"].as_u64(), page["pageInfo"]["hasPreviousPage"].as_bool()), (Some(3), Some(true)));
    let before = page["pageInfo"]["startCursor"].clone();
    let page =
        server.data(query, json!({ "last": 2, "before": before, "where": filter })).await["dataset"]["rows"].clone();
    assert_eq!(names(&page), ["Ada"]);
    for (variables, field) in [
        (json!({ "by": [{ "column": "age" }] }), "orderBy"),
        (json!({ "where": [{ "column": "born", "contains": "1" }] }), "where"),
        (json!({ "after": "first" }), "after"),
    ] {
        let error = server.refusal(query, variables).await;
        assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT");
        assert_eq!(error["extensions"]["field"], field, "{error}");
    }
}
