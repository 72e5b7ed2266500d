//! The client: connection settings, GET with redirects, POST.

use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Body, Client, ClientBuilder, RequestBuilder};

use crate::checked_url::PrivatePolicy;
use crate::error::from_reqwest;
use crate::resolver::PublicOnly;
use crate::withheld::WithheldBody;
use crate::{CheckedUrl, Reply, RequestError, SetupError, UrlError, tls_config};

/// Maximum time to resolve a host and connect to it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum number of idle connections per host.
const MAX_IDLE: usize = 64;

/// Time after which an idle connection is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum number of redirects that one GET follows.
const MAX_REDIRECTS: usize = 10;

/// Settings of [`Outbound`].
#[derive(Clone, Debug)]
pub struct Settings {
    /// Allows loopback, private and link-local addresses. Default: false.
    pub allow_private: bool,
    /// Sentence appended to [`UrlError::Private`], for example how an operator allows private addresses. Default: empty.
    pub private_hint: &'static str,
    /// Maximum time without a byte of the response to a GET. Default: 30 s.
    pub read_timeout: Duration,
    /// Value of the `User-Agent` header. Default: `outbound/VERSION`.
    pub user_agent: String,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            allow_private: false,
            private_hint: "",
            read_timeout: Duration::from_secs(30),
            user_agent: concat!("outbound/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// A client for URLs that others name. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Outbound {
    /// For GET. Keeps no idle connections: a caller that stops reading holds none.
    fetch: Client,
    /// For POST. Keeps idle connections, because many small requests go to the same host.
    send: Client,
    policy: PrivatePolicy,
}

impl Outbound {
    /// Creates a client.
    ///
    /// # Errors
    /// [`SetupError`] if TLS cannot be set up or the user agent is not a valid header value.
    pub fn new(settings: Settings) -> Result<Outbound, SetupError> {
        let policy = PrivatePolicy { allow: settings.allow_private, hint: settings.private_hint };
        let fetch = base(&settings, policy)?.read_timeout(settings.read_timeout).pool_max_idle_per_host(0).build();
        let send = base(&settings, policy)?.pool_max_idle_per_host(MAX_IDLE).pool_idle_timeout(IDLE_TIMEOUT);
        let send = send.tcp_nodelay(true).build();
        Ok(Outbound { fetch: fetch.map_err(SetupError::new)?, send: send.map_err(SetupError::new)?, policy })
    }

    /// Checks everything about a URL that is known without resolving its host.
    ///
    /// [`Outbound::get`] and [`Outbound::post`] check the resolved addresses.
    ///
    /// # Errors
    /// [`UrlError`] if the URL is malformed, not http or https, or names a private address.
    pub fn check_url(&self, url: &str) -> Result<CheckedUrl, UrlError> {
        CheckedUrl::parse(url, self.policy)
    }

    /// Sends a GET with `headers` and follows at most ten redirects. Each redirect is checked like the first URL.
    ///
    /// # Errors
    /// [`RequestError`] if a redirect is refused, there are too many, or the server cannot be reached.
    pub async fn get(&self, url: &CheckedUrl, headers: &[(&str, &str)]) -> Result<Reply, RequestError> {
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let request = with_headers(self.fetch.get(url.to_url()), headers);
            let reply = Reply::new(request.send().await.map_err(from_reqwest)?);
            match reply.redirect_location() {
                Some(location) => url = url.redirect(location, self.policy)?,
                None => return Ok(reply),
            }
        }
        Err(UrlError::TooManyRedirects(MAX_REDIRECTS).into())
    }

    /// Sends a POST of `body` with `headers`. Returns a redirect like any other reply.
    ///
    /// `allowed` is called right before the request is written to the connection. If it is false then, nothing is sent (by HTTP/2
    /// perhaps the headers, followed by a reset of the stream).
    ///
    /// # Errors
    /// [`RequestError`] if `allowed` is false, the server cannot be reached, or the connection breaks before the reply.
    pub async fn post(
        &self,
        url: &CheckedUrl,
        headers: &[(&str, &str)],
        body: Vec<u8>,
        allowed: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Result<Reply, RequestError> {
        let request = with_headers(self.send.post(url.to_url()), headers);
        let request = request.body(Body::wrap(WithheldBody::new(body, allowed)));
        Ok(Reply::new(request.send().await.map_err(from_reqwest)?))
    }
}

fn base(settings: &Settings, policy: PrivatePolicy) -> Result<ClientBuilder, SetupError> {
    let tls = tls_config()?;
    Ok(Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(Arc::new(PublicOnly(policy)))
        .no_proxy()
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(&settings.user_agent))
}

fn with_headers(request: RequestBuilder, headers: &[(&str, &str)]) -> RequestBuilder {
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

#[cfg(test)]
mod tests;
