//! The log: one line for each change of a task's state, with the same fields in both formats.

use serde_json::{Value, json};

use crate::harness::csv;
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::s3::{Bucket, Fault};
use crate::harness::server::Server;

/// Runs an import that is paused, resumed and terminated, one that completes and one that fails. Returns the IDs in
/// this order.
async fn work(server: &Server) -> [String; 3] {
    let upload = server.upload(csv::people(50_000)).await;
    let terminated = server.import(&upload, json!({ "dataset": "slow", "maxRowsPerSecond": 2_000 })).await;
    server.until_done(&terminated, 1).await;
    assert_eq!(server.control("pause", &terminated).await, "PAUSED");
    server.control("resume", &terminated).await;
    server.until(&terminated, "RUNNING").await;
    server.control("terminate", &terminated).await;
    server.until(&terminated, "TERMINATED").await;

    let completed = server.import(&upload, json!({ "dataset": "people" })).await;
    server.until(&completed, "COMPLETED").await;
    let short = server.upload("a,b\n1\n").await;
    let failed = server.import(&short, json!({ "dataset": "short" })).await;
    server.until(&failed, "FAILED").await;
    [terminated, completed, failed]
}

/// Returns the log messages of a task, without the numbers of rows.
fn messages<'a>(lines: impl Iterator<Item = (&'a str, &'a str)>, id: &str) -> Vec<String> {
    let lines = lines.filter(|(task, _)| *task == id);
    lines.map(|(_, text)| text.split_inclusive(" at ").next().unwrap().to_owned()).collect()
}

const TERMINATED: [&str; 8] = [
    "import created",
    "import started",
    "import pause requested",
    "import paused at ",
    "import resume requested",
    "import resumed at ",
    "import termination requested",
    "import terminated",
];
const COMPLETED: [&str; 3] = ["import created", "import started", "import completed"];
const FAILED: [&str; 3] = ["import created", "import started", "import failed"];

#[tokio::test]
async fn each_transition_is_one_line_of_plain_text_in_a_pipe() {
    let (mut server, log) = Server::logging(&[("PAUSA_LOG", "info"), ("PAUSA_NODE", "night")]).await;
    let ids = work(&server).await;
    assert_eq!(server.terminate().await, Some(0));
    let log = log.await.unwrap();
    assert!(!log.contains('\u{1b}'), "{log}");
    for (id, expected) in ids.iter().zip([&TERMINATED[..], &COMPLETED, &FAILED]) {
        let texts = log.lines().filter_map(|line| {
            let (text, fields) = line.split_once("transitions: ")?.1.split_once(" task=")?;
            Some((fields.split_once(' ')?.0, text))
        });
        assert_eq!(messages(texts, id), expected, "{log}");
    }
    let completed = log.lines().find(|line| line.contains("import completed")).unwrap();
    for field in ["kind=\"import\"", "state=COMPLETED", "epoch=1", "node=\"night\"", "done=50000", "duration_ms="] {
        assert!(completed.contains(field), "{completed}");
    }
}

#[tokio::test]
async fn each_transition_is_one_line_of_json() {
    let settings = [("PAUSA_LOG", "info"), ("PAUSA_LOG_FORMAT", "json"), ("PAUSA_NODE", "night")];
    let (mut server, log) = Server::logging(&settings).await;
    let ids = work(&server).await;
    assert_eq!(server.terminate().await, Some(0));
    let log = log.await.unwrap();
    assert!(!log.contains("\\u001b"), "{log}");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (id, expected) in ids.iter().zip([&TERMINATED[..], &COMPLETED, &FAILED]) {
        let texts = lines.iter().filter_map(|line| Some((line["task"].as_str()?, line["message"].as_str()?)));
        assert_eq!(messages(texts, id), expected, "{log}");
    }
    let find = |text: &str| lines.iter().find(|line| line["message"].as_str().unwrap().starts_with(text)).unwrap();
    let completed = find("import completed");
    let fields = ["kind", "state", "epoch", "node", "by", "done"].map(|field| &completed[field]);
    assert_eq!(json!(fields), json!(["import", "COMPLETED", 1, "night", "node night", 50_000]));
    assert!(completed["duration_ms"].as_u64().is_some_and(|time| time > 0), "{completed}");
    let paused = find("import paused at");
    let (state, done) = (&paused["state"], paused["done"].as_u64().unwrap());
    assert_eq!(state, "PAUSED");
    let digits: String = paused["message"].as_str().unwrap().chars().filter(char::is_ascii_digit).collect();
    assert_eq!(digits, done.to_string());
    assert_eq!(find("import pause requested")["by"], "client");
    let failed = find("import failed");
    assert_eq!((&failed["level"], &failed["error_code"]), (&json!("WARN"), &json!("BAD_USER_INPUT")));
    assert!(failed["error"].is_string() && failed["reason"].is_null(), "{failed}");
}

#[tokio::test]
async fn a_timer_writes_one_line_for_each_attempt_and_no_secret() {
    let receiver = Receiver::start(|_, before| Answer::Status(if before == 0 { 500 } else { 200 })).await;
    let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let settings = [
        ("PAUSA_LOG", "info"),
        ("PAUSA_LOG_FORMAT", "json"),
        ("PAUSA_OUTBOUND_ALLOW_PRIVATE", "true"),
        ("PAUSA_WEBHOOK_SECRET", key),
        ("PAUSA_TIMER_BACKOFF_SECONDS", "0.001"),
    ];
    let (mut server, log) = Server::logging(&settings).await;
    let url = format!("{}/hook?token=hunter2", receiver.url);
    let id = server.timer(json!({ "url": url, "when": { "after": { "seconds": 0 } } })).await;
    server.until(&id, "COMPLETED").await;
    assert_eq!(server.terminate().await, Some(0));
    let log = log.await.unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_timer: Vec<_> = lines.iter().filter(|line| line["task"] == json!(id)).collect();
    let messages: Vec<_> =
        of_timer.iter().map(|line| json!([line["message"], line["attempt"], line["status"], line["epoch"]])).collect();
    let expected = [json!(["timer attempt failed; retrying", 1, 500, 1]), json!(["timer delivered", 2, 200, 2])];
    assert_eq!(messages, expected, "{log}");
    for secret in [&key[6..], "hunter2", "token"] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_to_s3_that_are_repeated_are_logged_only_if_the_filter_names_the_library() {
    for (filter, expected) in [("info", false), ("info,object_store=info", true)] {
        let bucket = Bucket::create().await;
        let mut settings = bucket.settings();
        settings.push(("PAUSA_LOG".to_owned(), filter.to_owned()));
        let settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let (mut server, log) = Server::logging(&settings).await;
        bucket.break_some(Fault::SlowDown, json!({ "method": "PUT", "times": 2 })).await;
        server.upload("a,b\n1,2\n").await;
        assert_eq!(server.terminate().await, Some(0));
        let log = log.await.unwrap();
        assert_eq!(log.contains("object_store"), expected, "{log}");
    }
}
