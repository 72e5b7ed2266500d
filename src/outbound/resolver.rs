//! Looking up hosts: only addresses that may be asked come out, and exactly those are connected to.

use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::Refused;
use super::ranges::is_public;

/// The system's own resolver, with private addresses taken out unless they are allowed.
#[derive(Clone, Copy, Debug)]
pub struct Checked {
    pub allow_private: bool,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(Box::new(allowed(name.as_str(), found, allow_private)?.into_iter()) as Addrs)
        })
    }
}

/// Those of the addresses that may be asked.
fn allowed(
    host: &str,
    found: impl Iterator<Item = SocketAddr>,
    allow_private: bool,
) -> Result<Vec<SocketAddr>, Refused> {
    let (public, private): (Vec<_>, Vec<_>) = found.partition(|address| allow_private || is_public(address.ip()));
    match private.first().filter(|_| public.is_empty()) {
        Some(address) => Err(Refused::Private { host: host.to_owned(), address: address.ip() }),
        None => Ok(public),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn of_a_host_with_public_and_private_addresses_only_the_public_ones_are_asked() {
        let mixed = addresses(&["10.0.0.1:0", "1.1.1.1:0", "[::1]:0"]);
        let found = allowed("both.test", mixed.clone().into_iter(), false);
        assert_eq!(found, Ok(addresses(&["1.1.1.1:0"])));
        assert_eq!(allowed("both.test", mixed.clone().into_iter(), true), Ok(mixed));
        let refused = allowed("inner.test", addresses(&["10.0.0.1:0"]).into_iter(), false);
        assert!(matches!(refused, Err(Refused::Private { .. })), "{refused:?}");
    }
}
