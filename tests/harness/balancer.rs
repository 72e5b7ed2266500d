//! A load balancer for TCP connections: each new connection goes to the next node whose /readyz answers 200.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use reqwest::Client;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// A running balancer.
pub struct Balancer {
    /// Base URL.
    pub url: String,
    nodes: Arc<Nodes>,
}

struct Nodes {
    urls: Mutex<Vec<String>>,
    next: AtomicUsize,
    client: Client,
}

impl Balancer {
    /// Starts a balancer in front of nodes, by their base URLs.
    pub async fn start(urls: Vec<String>) -> Balancer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let nodes = Arc::new(Nodes { urls: Mutex::new(urls), next: AtomicUsize::new(0), client: super::client() });
        let serving = Arc::clone(&nodes);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(forward(stream, Arc::clone(&serving)));
            }
        });
        Balancer { url, nodes }
    }

    /// Replaces the URL of a node that was restarted.
    pub fn replace(&self, place: usize, url: &str) {
        self.nodes.urls.lock().unwrap()[place] = url.to_owned();
    }
}

/// Forwards a connection until one side closes it. If the node refuses it, so does the balancer.
async fn forward(mut client: TcpStream, nodes: Arc<Nodes>) {
    let address = nodes.ready().await;
    if let Ok(mut node) = TcpStream::connect(address).await {
        let _ = client.set_nodelay(true).and_then(|()| node.set_nodelay(true));
        let _ = copy_bidirectional(&mut client, &mut node).await;
    }
}

impl Nodes {
    /// Returns the address of the next node that says that it is ready.
    async fn ready(&self) -> String {
        loop {
            let url = {
                let urls = self.urls.lock().unwrap();
                urls[self.next.fetch_add(1, Ordering::Relaxed) % urls.len()].clone()
            };
            let answer = self.client.get(format!("{url}/readyz")).header("connection", "close").send().await;
            if answer.is_ok_and(|answer| answer.status() == 200) {
                return url.trim_start_matches("http://").to_owned();
            }
        }
    }
}
