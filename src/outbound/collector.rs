//! Sends traces to the collector that the settings name.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use reqwest::Client;
use reqwest::redirect::Policy;
use tokio::runtime::Handle;

use super::{Unusable, failed, tls};

/// The longest that one request may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of a response that are read.
const READ: usize = 64 * 1024;

/// The client of a collector. Traces come from a thread of their own, and the requests run on the server's runtime.
#[derive(Debug)]
pub struct Collector {
    client: Client,
    runtime: Handle,
    failing: AtomicBool,
}

impl Collector {
    /// A client that sends from the current runtime.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn new() -> Result<Collector, Unusable> {
        let tls = tls::config().map_err(|error| Unusable(error.to_string()))?;
        let client = Client::builder().tls_backend_preconfigured(tls).no_proxy().redirect(Policy::none());
        let client = client.timeout(PATIENCE).build().map_err(|error| Unusable(error.to_string()))?;
        Ok(Collector { client, runtime: Handle::current(), failing: AtomicBool::new(false) })
    }

    /// Warns when the collector stops taking traces, and not again until it has taken some.
    fn note(&self, problem: Option<&str>) {
        match (self.failing.swap(problem.is_some(), Ordering::Relaxed), problem) {
            (false, Some(error)) => {
                tracing::warn!(error, "could not send traces; dropping them until the collector answers")
            }
            (true, None) => tracing::info!("traces are sent again"),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.runtime.spawn(send(self.client.clone(), request)).await?;
        let problem = match &sent {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("the collector answered {}", response.status())),
            Err(error) => Some(error.to_string()),
        };
        self.note(problem.as_deref());
        sent
    }
}

async fn send(client: Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let mut response = client.execute(request.try_into()?).await.map_err(failed)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        body.extend_from_slice(&chunk);
        if body.len() > READ {
            return Err("its response is too long".into());
        }
    }
    let mut taken = Response::builder().status(response.status());
    for (name, value) in response.headers() {
        taken = taken.header(name, value);
    }
    Ok(taken.body(body.into())?)
}
