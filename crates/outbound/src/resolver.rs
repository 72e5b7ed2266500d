//! A DNS resolver that returns only allowed addresses. The client connects to exactly these.

use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::UrlError;
use crate::checked_url::PrivatePolicy;

/// The resolver of the operating system, without the addresses that are not allowed.
#[derive(Clone, Copy, Debug)]
pub struct PublicOnly(pub PrivatePolicy);

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(Box::new(allowed(name.as_str(), found, policy)?.into_iter()) as Addrs)
        })
    }
}

/// Returns the allowed addresses, or an error if there are addresses but none is allowed.
fn allowed(
    host: &str,
    found: impl Iterator<Item = SocketAddr>,
    policy: PrivatePolicy,
) -> Result<Vec<SocketAddr>, UrlError> {
    let (allowed, refused): (Vec<_>, Vec<_>) = found.partition(|address| policy.allows(address.ip()));
    match refused.first().filter(|_| allowed.is_empty()) {
        Some(address) => Err(policy.refusal(host, address.ip())),
        None => Ok(allowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn returns_only_the_public_addresses_of_a_host_that_has_both() {
        let mixed = || addresses(&["10.0.0.1:0", "1.1.1.1:0", "[::1]:0"]).into_iter();
        let policy = |allow| PrivatePolicy { allow, hint: "" };
        assert_eq!(allowed("both.test", mixed(), policy(false)), Ok(addresses(&["1.1.1.1:0"])));
        assert_eq!(allowed("both.test", mixed(), policy(true)), Ok(mixed().collect()));
        let refused = allowed("inner.test", addresses(&["10.0.0.1:0"]).into_iter(), policy(false));
        assert!(matches!(refused, Err(UrlError::Private { .. })), "{refused:?}");
    }
}
