//! Requests to addresses that clients of this server name: only by http and https, and never into the private network
//! unless that is allowed.
//!
//! [`address`] checks a URL before anything is sent, [`resolver`] every address that its host's name stands for; what was
//! checked is what is connected to. Redirects are followed here, by [`Outbound::get`], each checked like the first URL.

mod address;
mod collector;
mod headers;
mod ranges;
mod reply;
mod resolver;
mod tls;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::CONTENT_LENGTH;
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder};

pub use address::{Address, Refused};
pub use collector::Collector;
pub use headers::{RefusedHeader, check_header};
pub use reply::Reply;

/// The longest that finding and reaching a host may take.
const CONNECT: Duration = Duration::from_secs(10);

/// Connections to a host that are kept for the next request, and how long.
const IDLE: usize = 64;
const IDLE_TIME: Duration = Duration::from_secs(30);

/// Redirects that are followed in a row.
const REDIRECTS: usize = 10;

/// Sends requests. Clones share it.
#[derive(Clone, Debug)]
pub struct Outbound {
    /// Fetches files: a task that is paused or over holds no connection.
    fetching: Client,
    /// Sends many small requests, on connections that stay.
    sending: Client,
    allow_private: bool,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// The address, or one that it redirects to, may not be asked.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It was not reached, so nothing was sent: another try may go well.
    #[error("{0}")]
    Unreached(String),
    /// It broke off, and what was sent may have arrived: another try may go well.
    #[error("{0}")]
    Broken(String),
}

/// The client could not be made.
#[derive(Debug, thiserror::Error)]
#[error("requests to other servers: {0}")]
pub struct Unusable(String);

impl Outbound {
    /// A client that gives up on a server that says nothing for `silence`, and that reaches loopback, private and
    /// link-local addresses only with `allow_private`.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn new(allow_private: bool, silence: Duration) -> Result<Outbound, Unusable> {
        let tls = tls::config().map_err(|error| Unusable(error.to_string()))?;
        let client = || {
            Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .dns_resolver(Arc::new(resolver::Checked { allow_private }))
                .no_proxy()
                .redirect(Policy::none())
                .referer(false)
                .connect_timeout(CONNECT)
                .user_agent(concat!("pausa/", env!("CARGO_PKG_VERSION")))
        };
        let fetching = client().read_timeout(silence).pool_max_idle_per_host(0).build();
        let sending = client().pool_max_idle_per_host(IDLE).pool_idle_timeout(IDLE_TIME).tcp_nodelay(true).build();
        let unusable = |error: reqwest::Error| Unusable(error.to_string());
        Ok(Outbound { fetching: fetching.map_err(unusable)?, sending: sending.map_err(unusable)?, allow_private })
    }

    /// A URL that may be asked, as far as it tells itself: its host's addresses are checked as they are looked up.
    pub fn check(&self, url: &str) -> Result<Address, Refused> {
        Address::check(url, self.allow_private)
    }

    /// GET with `headers`, after at most ten redirects.
    ///
    /// # Errors
    /// Redirects to addresses that are refused or that never end; a server that cannot be reached.
    pub async fn get(&self, address: &Address, headers: &[(&str, &str)]) -> Result<Reply, Failed> {
        let mut address = address.clone();
        for _ in 0..=REDIRECTS {
            let request = with_headers(self.fetching.get(address.url()), headers);
            let reply = Reply::new(request.send().await.map_err(failed)?);
            match reply.location() {
                Some(location) => address = address.follow(location, self.allow_private)?,
                None => return Ok(reply),
            }
        }
        Err(Refused::Redirects(REDIRECTS).into())
    }

    /// POST of `body` with `headers`. A redirect is an answer like any other.
    ///
    /// # Errors
    /// A server that cannot be reached, or that breaks off.
    pub async fn post(&self, address: &Address, headers: &[(&str, &str)], body: Vec<u8>) -> Result<Reply, Failed> {
        let request = with_headers(self.sending.post(address.url()), headers);
        // RFC 9110, 8.6: a POST without a body says so.
        let request = if body.is_empty() { request.header(CONTENT_LENGTH, 0) } else { request.body(body) };
        Ok(Reply::new(request.send().await.map_err(failed)?))
    }
}

fn with_headers(request: RequestBuilder, headers: &[(&str, &str)]) -> RequestBuilder {
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

/// What went wrong, without the URL: it may hold a password.
fn failed(error: reqwest::Error) -> Failed {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    let mut last = String::new();
    while let Some(inner) = cause {
        if let Some(refused) = inner.downcast_ref::<Refused>() {
            return Failed::Refused(refused.clone());
        }
        last = inner.to_string();
        cause = inner.source();
    }
    let what = match () {
        () if error.is_timeout() && error.is_connect() => "it was not reached in time",
        () if error.is_timeout() => "it said nothing for too long",
        () if error.is_connect() => "it was not reached",
        () => "the connection broke off",
    };
    // The innermost cause is of the system or of TLS, which know no URL.
    let text = if error.source().is_some() { format!("{what}: {last}") } else { what.to_owned() };
    if error.is_connect() { Failed::Unreached(text) } else { Failed::Broken(text) }
}

#[cfg(test)]
mod tests;
