//! Many small requests with little work for each: clients that start timers, and a receiver of what they send. Both speak as
//! much HTTP/1.1 as that takes, so that they leave the cores to what is measured.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use pausa::clock::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A connection on which one request follows the other.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    host: String,
}

impl Connection {
    /// To the server at `url`.
    pub async fn to(url: &str) -> Connection {
        let host = url.strip_prefix("http://").unwrap().to_owned();
        let stream = TcpStream::connect(&host).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Connection { stream, buffer: Vec::new(), host }
    }

    /// Posts a GraphQL operation and answers the body.
    pub async fn ask(&mut self, operation: &str) -> String {
        let Connection { stream, buffer, host } = self;
        let request = format!(
            "POST /graphql HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{operation}",
            operation.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        loop {
            if let Some((head, end)) = message(buffer) {
                assert!(buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(buffer));
                let body = String::from_utf8(buffer[head..end].to_vec()).unwrap();
                buffer.drain(..end);
                return body;
            }
            assert!(stream.read_buf(buffer).await.unwrap() > 0, "the server closed");
        }
    }
}

/// Where the body of the first whole message begins and ends.
fn message(buffer: &[u8]) -> Option<(usize, usize)> {
    let head = buffer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let lines = std::str::from_utf8(&buffer[..head]).unwrap().to_ascii_lowercase();
    let length = lines.lines().find_map(|line| line.strip_prefix("content-length:"));
    let end = head + length.map_or(0, |length| length.trim().parse().unwrap());
    (end <= buffer.len()).then_some((head, end))
}

/// What came, by the task's id: when.
type Came = Arc<Mutex<HashMap<String, Timestamp>>>;

/// A receiver of webhooks that takes everything at once.
#[derive(Clone)]
pub struct Receiver {
    pub url: String,
    came: Came,
    count: watch::Sender<usize>,
}

impl Receiver {
    pub async fn start() -> Receiver {
        let mut receiver = Receiver { url: String::new(), came: Came::default(), count: watch::Sender::new(0) };
        receiver.url = receiver.door().await;
        receiver
    }

    /// Another address, which counts as another host.
    pub async fn door(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let taking = self.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(taking.clone().take(stream));
            }
        });
        url
    }

    async fn take(self, mut stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        let (clock, mut buffer) = (Clock::system(), Vec::new());
        while stream.read_buf(&mut buffer).await.is_ok_and(|read| read > 0) {
            while let Some((head, end)) = message(&buffer) {
                let at = clock.now();
                let line = std::str::from_utf8(&buffer[..head]).unwrap().lines().next().unwrap();
                let id = line.split([' ', '/']).rfind(|part| part.len() == 36).unwrap().to_owned();
                buffer.drain(..end);
                self.came.lock().unwrap().entry(id).or_insert(at);
                self.count.send_modify(|count| *count += 1);
                if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.is_err() {
                    return;
                }
            }
        }
    }

    /// Waits until so many have come; answers the moments at which they came, by the tasks' ids.
    pub async fn until(&self, count: usize) -> HashMap<String, Timestamp> {
        self.count.subscribe().wait_for(|came| *came >= count).await.unwrap();
        self.came.lock().unwrap().clone()
    }

    /// How many came, doubled ones counted twice.
    pub fn count(&self) -> usize {
        *self.count.borrow()
    }
}

/// The address of a receiver that takes connections and never answers.
pub async fn hanging() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            held.push(listener.accept().await.unwrap());
        }
    });
    url
}

/// The operation that starts as many timers as `inputs` has.
pub fn operation(inputs: &[String]) -> String {
    let starts =
        inputs.iter().enumerate().map(|(n, input)| format!("t{n}: startTimer(input: {input}) {{ id firesAt }}"));
    let query = format!("mutation {{ {} }}", starts.collect::<Vec<_>>().join(" "));
    serde_json::json!({ "query": query }).to_string()
}

/// The operation that starts timers in one commit, as a client writes it that has their inputs as variables.
pub fn batch(inputs: &[serde_json::Value]) -> String {
    let query = "mutation($inputs: [StartTimerInput!]!) { startTimers(inputs: $inputs) { id } }";
    serde_json::json!({ "query": query, "variables": { "inputs": inputs } }).to_string()
}

/// What was started: the ids and when each fires.
pub fn started(answer: &str) -> Vec<(String, Timestamp)> {
    let answer: serde_json::Value = serde_json::from_str(answer).unwrap();
    let starts = answer["data"].as_object().unwrap_or_else(|| panic!("{answer}"));
    let text = |task: &serde_json::Value, field: &str| task[field].as_str().unwrap().to_owned();
    starts.values().map(|task| (text(task, "id"), text(task, "firesAt").parse().unwrap())).collect()
}

/// Clients that start timers, each one call after the other, until `end` says so: it is told how many calls came before.
/// Answers what was started and how long each call took.
pub async fn clients(
    url: &str,
    clients: usize,
    operation: impl Fn(usize) -> Option<String> + Send + Sync + 'static,
) -> (Vec<(String, Timestamp)>, Vec<(Instant, Duration)>) {
    let (operation, calls) = (Arc::new(operation), Arc::new(Mutex::new(0)));
    let running: Vec<_> = (0..clients)
        .map(|_| {
            let (url, operation, calls) = (url.to_owned(), Arc::clone(&operation), Arc::clone(&calls));
            tokio::spawn(async move {
                let mut connection = Connection::to(&url).await;
                let (mut all, mut times) = (Vec::new(), Vec::new());
                loop {
                    let call = {
                        let mut calls = calls.lock().unwrap();
                        *calls += 1;
                        *calls - 1
                    };
                    let Some(text) = operation(call) else { return (all, times) };
                    let begin = Clock::monotonic();
                    let answer = connection.ask(&text).await;
                    times.push((begin, begin.elapsed()));
                    all.extend(started(&answer));
                }
            })
        })
        .collect();
    let (mut all, mut times) = (Vec::new(), Vec::new());
    for client in running {
        let (more, took) = client.await.unwrap();
        all.extend(more);
        times.extend(took);
    }
    (all, times)
}
