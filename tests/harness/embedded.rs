//! The server in the test process, with kinds defined by the story and a clock that the story controls.

use std::sync::Arc;

use pausa::app::App;
use pausa::clock::Clock;
use pausa::config::Config;
use pausa::runner::Kind;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::watch::Watch;

/// A server in this process. Its data is deleted when it stops.
pub struct Embedded {
    url: String,
    client: Client,
    ending: CancellationToken,
    served: JoinHandle<std::io::Result<bool>>,
}

impl Embedded {
    /// Starts a server with these PAUSA_* variables.
    pub async fn start(settings: &[(&str, &str)], kinds: Vec<Arc<dyn Kind>>, clock: Clock) -> Embedded {
        let settings = [&[("PAUSA_EPHEMERAL", "true")], settings].concat();
        let settings = settings.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = Config::load(None, settings, &[]).unwrap();
        let client = super::client();
        let app = App::start(config, kinds, clock).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let ending = CancellationToken::new();
        let served = tokio::spawn(app.serve(listener, ending.clone().cancelled_owned()));
        Embedded { url, client, ending, served }
    }

    /// Sends a GraphQL operation and returns the complete response.
    pub async fn ask(&self, query: &str) -> Value {
        let body = json!({ "query": query });
        self.client.post(format!("{}/graphql", self.url)).json(&body).send().await.unwrap().json().await.unwrap()
    }

    /// Watches a task by subscription until it is in `state`, and returns it.
    pub async fn until(&self, id: &str, state: &str) -> Value {
        Watch::progress(&self.url, id).await.until(|task| task["state"] == state).await
    }

    /// Watches a task with the story's own subscription.
    pub async fn watch(&self, query: &str, id: &str) -> Watch {
        Watch::open(&self.url, "taskProgress", query, json!({ "id": id })).await
    }

    /// Shuts the server down as SIGTERM does. Returns true if all tasks stopped in time.
    pub async fn end(self) -> bool {
        self.ending.cancel();
        self.served.await.unwrap().unwrap()
    }
}
