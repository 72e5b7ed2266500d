//! URLs that passed the checks, and why others do not.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

use crate::is_public;

/// A URL that passed [`Outbound::check_url`](crate::Outbound::check_url).
///
/// `Display` and `Debug` show scheme, host, port and path only: the rest can contain a password or a key.
#[derive(Clone, PartialEq, Eq)]
pub struct CheckedUrl(Url);

/// Reason for which a URL is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// The text is not a URL.
    #[error("invalid URL: {0}")]
    Malformed(String),
    /// The URL has another scheme than http and https.
    #[error("unsupported URL scheme {0:?}: only http and https are supported")]
    Scheme(String),
    /// The host is a private or reserved address, or resolves to such addresses only.
    #[error("{host} resolves to {address}, which is private.{hint}")]
    Private {
        /// The host name, or `URL` if the URL contains the address itself.
        host: String,
        /// One of the addresses.
        address: IpAddr,
        /// [`Settings::private_hint`](crate::Settings::private_hint) after a space, or empty.
        hint: String,
    },
    /// A redirect would send the password of the URL unencrypted.
    #[error("refusing a redirect from https to http: it would send the password unencrypted")]
    Unencrypted,
    /// The server redirects too often. Contains the limit.
    #[error("too many redirects: at most {0} are followed")]
    TooManyRedirects(usize),
}

/// Decides about addresses that are not public.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PrivatePolicy {
    pub allow: bool,
    pub hint: &'static str,
}

impl PrivatePolicy {
    pub fn allows(self, address: IpAddr) -> bool {
        self.allow || is_public(address)
    }

    pub fn refusal(self, host: &str, address: IpAddr) -> UrlError {
        let hint = if self.hint.is_empty() { String::new() } else { format!(" {}", self.hint) };
        UrlError::Private { host: host.to_owned(), address, hint }
    }
}

impl CheckedUrl {
    pub(crate) fn parse(text: &str, policy: PrivatePolicy) -> Result<CheckedUrl, UrlError> {
        let url = Url::parse(text).map_err(|error| UrlError::Malformed(error.to_string()))?;
        CheckedUrl::check(url, policy)
    }

    fn check(url: Url, policy: PrivatePolicy) -> Result<CheckedUrl, UrlError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(UrlError::Scheme(url.scheme().to_owned()));
        }
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) => None,
            None => return Err(UrlError::Malformed("it has no host".to_owned())),
        };
        match literal.filter(|address| !policy.allows(*address)) {
            Some(address) => Err(policy.refusal("URL", address)),
            None => Ok(CheckedUrl(url)),
        }
    }

    /// Returns the target of a redirect. The password is kept only for the same scheme, host and port.
    pub(crate) fn redirect(&self, location: &str, policy: PrivatePolicy) -> Result<CheckedUrl, UrlError> {
        let mut next = self.0.join(location).map_err(|error| UrlError::Malformed(error.to_string()))?;
        if self.0.scheme() == "https" && next.scheme() == "http" && has_password(&self.0) {
            return Err(UrlError::Unencrypted);
        }
        if !has_password(&next) && next.origin() == self.0.origin() {
            // Neither can fail: a URL of http or https has a host.
            let _ = next.set_username(self.0.username());
            let _ = next.set_password(self.0.password());
        }
        CheckedUrl::check(next, policy)
    }

    /// Returns this URL with `segment` appended to its path. Keeps the query and removes the fragment.
    pub fn with_segment(&self, segment: &str) -> CheckedUrl {
        let mut url = self.0.clone();
        url.set_fragment(None);
        // A URL of http or https has a path.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(segment);
        }
        CheckedUrl(url)
    }

    /// Returns host and port, such as `example.org:443`.
    pub fn authority(&self) -> String {
        let port = self.0.port_or_known_default().unwrap_or_default();
        format!("{}:{port}", self.0.host_str().unwrap_or_default())
    }

    /// Returns the complete URL with its password and query. Never show or log it.
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }

    pub(crate) fn to_url(&self) -> Url {
        self.0.clone()
    }
}

fn has_password(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

impl fmt::Display for CheckedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.0.port().map(|port| format!(":{port}")).unwrap_or_default();
        write!(f, "{}://{}{port}{}", self.0.scheme(), self.0.host_str().unwrap_or_default(), self.0.path())
    }
}

impl fmt::Debug for CheckedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
