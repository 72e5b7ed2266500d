//! TLS: rustls with ring, and the certificate authorities that the operating system trusts.

use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, RootCertStore};

use crate::SetupError;

/// Returns the TLS settings of a client. Logs a warning if the system has no certificate authorities: then every https
/// request fails.
///
/// # Errors
/// [`SetupError`] if the TLS library refuses its own defaults.
pub fn tls_config() -> Result<ClientConfig, SetupError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        tracing::warn!(errors = ?found.errors, "no certificate authorities found: https requests will fail");
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().map_err(SetupError::new)?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
