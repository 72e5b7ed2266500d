//! HTTP client that sends traces to the collector of the setting `otlp_endpoint`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use outbound::tls_config;
use reqwest::Client;
use reqwest::redirect::Policy;
use tokio::runtime::Handle;

/// Maximum duration of one request.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum length of a response body, in bytes.
const MAX_RESPONSE: usize = 64 * 1024;

/// HTTP client of the trace exporter. The exporter calls it on its own thread; requests run on the server's
/// runtime.
#[derive(Debug)]
pub struct Collector {
    client: Client,
    runtime: Handle,
    failing: AtomicBool,
}

impl Collector {
    /// Creates a client that sends from the current runtime.
    ///
    /// # Errors
    /// The reason if TLS cannot be set up.
    pub fn new() -> Result<Collector, String> {
        let tls = tls_config().map_err(|error| error.to_string())?;
        let client = Client::builder().tls_backend_preconfigured(tls).no_proxy().redirect(Policy::none());
        let client = client.timeout(TIMEOUT).build().map_err(|error| error.to_string())?;
        Ok(Collector { client, runtime: Handle::current(), failing: AtomicBool::new(false) })
    }

    /// Logs a warning when the collector starts to fail, and a message when it accepts traces again.
    fn log_change(&self, problem: Option<&str>) {
        match (self.failing.swap(problem.is_some(), Ordering::Relaxed), problem) {
            (false, Some(error)) => {
                tracing::warn!(error, "could not send traces; dropping them until the collector responds")
            }
            (true, None) => tracing::info!("the collector accepts traces again"),
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
            Ok(response) => Some(format!("the collector responded {}", response.status())),
            Err(error) => Some(error.to_string()),
        };
        self.log_change(problem.as_deref());
        sent
    }
}

async fn send(client: Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let mut response = client.execute(request.try_into()?).await.map_err(without_url)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(without_url)? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_RESPONSE {
            return Err("the response is too long".into());
        }
    }
    let mut taken = Response::builder().status(response.status());
    for (name, value) in response.headers() {
        taken = taken.header(name, value);
    }
    Ok(taken.body(body.into())?)
}

/// Removes the URL, which may contain a password.
fn without_url(error: reqwest::Error) -> reqwest::Error {
    error.without_url()
}
