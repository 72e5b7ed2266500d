//! Clients that start timers, and a receiver of webhooks. Both implement only the HTTP/1.1 that they need, so that they leave the cores
//! to what is measured.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use pausa::clock::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Connection for sequential requests.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    host: String,
}

impl Connection {
    /// Connects to the server at `url`.
    pub async fn to(url: &str) -> Connection {
        let host = url.strip_prefix("http://").unwrap().to_owned();
        let stream = TcpStream::connect(&host).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Connection { stream, buffer: Vec::new(), host }
    }

    /// Posts a GraphQL operation. Returns the response body.
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

/// Returns where the body of the first complete message begins and ends.
fn message(buffer: &[u8]) -> Option<(usize, usize)> {
    let head = buffer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let lines = std::str::from_utf8(&buffer[..head]).unwrap().to_ascii_lowercase();
    let length = lines.lines().find_map(|line| line.strip_prefix("content-length:"));
    let end = head + length.map_or(0, |length| length.trim().parse().unwrap());
    (end <= buffer.len()).then_some((head, end))
}

/// Times at which webhooks arrived, by task ID.
type Arrivals = Arc<Mutex<HashMap<String, Timestamp>>>;

/// Receiver that answers webhooks at once.
#[derive(Clone)]
pub struct Receiver {
    pub url: String,
    came: Arrivals,
    count: watch::Sender<usize>,
}

impl Receiver {
    pub async fn start() -> Receiver {
        let mut receiver = Receiver { url: String::new(), came: Arrivals::default(), count: watch::Sender::new(0) };
        receiver.url = receiver.open_port().await;
        receiver
    }

    /// Opens another port, which counts as another host.
    pub async fn open_port(&self) -> String {
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

    /// Waits until `count` webhooks arrived. Returns the times at which they did, by task ID.
    pub async fn until(&self, count: usize) -> HashMap<String, Timestamp> {
        self.count.subscribe().wait_for(|came| *came >= count).await.unwrap();
        self.came.lock().unwrap().clone()
    }

    /// Returns the number of webhooks, duplicates included.
    pub fn count(&self) -> usize {
        *self.count.borrow()
    }
}

/// Returns the address of a receiver that accepts connections and never answers.
pub async fn hanging() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            open.push(listener.accept().await.unwrap());
        }
    });
    url
}

/// Returns the operation that starts a timer for each input.
pub fn operation(inputs: &[String]) -> String {
    let starts =
        inputs.iter().enumerate().map(|(n, input)| format!("t{n}: startTimer(input: {input}) {{ id firesAt }}"));
    let query = format!("mutation {{ {} }}", starts.collect::<Vec<_>>().join(" "));
    serde_json::json!({ "query": query }).to_string()
}

/// Returns the operation that starts timers in one commit, with the inputs as variables.
pub fn batch(inputs: &[serde_json::Value]) -> String {
    let query = "mutation($inputs: [StartTimerInput!]!) { startTimers(inputs: $inputs) { id } }";
    serde_json::json!({ "query": query, "variables": { "inputs": inputs } }).to_string()
}

/// Returns the ID and due time of each started timer.
pub fn started(answer: &str) -> Vec<(String, Timestamp)> {
    let answer: serde_json::Value = serde_json::from_str(answer).unwrap();
    let starts = answer["data"].as_object().unwrap_or_else(|| panic!("{answer}"));
    let text = |task: &serde_json::Value, field: &str| task[field].as_str().unwrap().to_owned();
    starts.values().map(|task| (text(task, "id"), text(task, "firesAt").parse().unwrap())).collect()
}

/// Runs clients that start timers, each with sequential calls. `operation` returns that of the n-th call, or None to end. Returns
/// what was started, and begin and duration of each call.
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
