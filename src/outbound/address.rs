//! URLs that may be asked, and why others may not.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

use super::ranges::is_public;

/// A URL that was checked. It may hold a password, and its query a key: neither is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Url);

/// Why a URL is not asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no URL.
    #[error("it is no URL: {0}")]
    Malformed(String),
    /// It is of another scheme.
    #[error("{0}: is not asked: only http and https are")]
    Scheme(String),
    /// It leads into the private network.
    #[error(
        "{address}, the address of {host}, is in a private or reserved range: \
         it is not asked unless PAUSA_OUTBOUND_ALLOW_PRIVATE is true"
    )]
    Private {
        /// The host, as the URL names it, or the URL itself.
        host: String,
        /// Its address.
        address: IpAddr,
    },
    /// A redirect would send a password unencrypted.
    #[error("it redirects from https to http, and would send its password unencrypted")]
    Unencrypted,
    /// It redirects over and over.
    #[error("it redirects more than {0} times")]
    Redirects(usize),
}

impl Address {
    pub(super) fn check(text: &str, allow_private: bool) -> Result<Address, Refused> {
        let url = Url::parse(text).map_err(|error| Refused::Malformed(error.to_string()))?;
        Address::checked(url, allow_private)
    }

    fn checked(url: Url, allow_private: bool) -> Result<Address, Refused> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refused::Scheme(url.scheme().to_owned()));
        }
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) => None,
            None => return Err(Refused::Malformed("it has no host".to_owned())),
        };
        match literal.filter(|address| !allow_private && !is_public(*address)) {
            Some(address) => Err(Refused::Private { host: "the URL".to_owned(), address }),
            None => Ok(Address(url)),
        }
    }

    /// Where a redirect leads. The password goes along to the same scheme, host and port only.
    pub(super) fn follow(&self, location: &str, allow_private: bool) -> Result<Address, Refused> {
        let mut next = self.0.join(location).map_err(|error| Refused::Malformed(error.to_string()))?;
        if self.0.scheme() == "https" && next.scheme() == "http" && self.has_password() {
            return Err(Refused::Unencrypted);
        }
        let own = !next.username().is_empty() || next.password().is_some();
        if !own && next.origin() == self.0.origin() {
            // A URL of http or https has a host, so neither can fail.
            let _ = next.set_username(self.0.username());
            let _ = next.set_password(self.0.password());
        }
        Address::checked(next, allow_private)
    }

    /// The same with `segment` at the end of its path: one slash before it, whatever the path ends in, and the query kept.
    pub fn below(&self, segment: &str) -> Address {
        let mut url = self.0.clone();
        url.set_fragment(None);
        // A URL of http or https has a path.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(segment);
        }
        Address(url)
    }

    /// Host and port, as they are connected to.
    pub fn authority(&self) -> String {
        let port = self.0.port_or_known_default().unwrap_or_default();
        format!("{}:{port}", self.0.host_str().unwrap_or_default())
    }

    fn has_password(&self) -> bool {
        !self.0.username().is_empty() || self.0.password().is_some()
    }

    pub(super) fn url(&self) -> Url {
        self.0.clone()
    }

    /// The whole URL, as the server that is asked must have it: to be kept, never to be shown.
    pub fn secret(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for Address {
    /// Scheme, host, port and path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.0.port().map(|port| format!(":{port}")).unwrap_or_default();
        write!(f, "{}://{}{port}{}", self.0.scheme(), self.0.host_str().unwrap_or_default(), self.0.path())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
