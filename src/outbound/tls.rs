//! TLS for requests: rustls over ring, with the certificate authorities that the system trusts.

use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, Error, RootCertStore};

/// What clients need. A system without certificate authorities is warned of; it can ask nothing by https.
pub fn config() -> Result<ClientConfig, Error> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        tracing::warn!(errors = ?found.errors, "no certificate authorities found: https requests will fail");
    }
    let config =
        ClientConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions()?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
