//! The client side of TLS, for database sessions and for the documents of an issuer.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};

/// Returns the cryptography. It is explicit everywhere: with more than one in the process rustls
/// refuses to choose.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Creates the check of certificates against the root certificates of the platform.
///
/// # Errors
/// When the platform has none that can be read.
pub fn platform_verifier() -> Result<Arc<dyn ServerCertVerifier>, String> {
    rustls_platform_verifier::Verifier::new(provider())
        .map(|verifier| -> Arc<dyn ServerCertVerifier> { Arc::new(verifier) })
        .map_err(|error| error.to_string())
}

/// Creates the configuration of a client that checks certificates in this way.
///
/// # Errors
/// When the cryptography does not support the protocol versions.
pub fn client_config(verifier: Arc<dyn ServerCertVerifier>) -> Result<ClientConfig, String> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(config)
}
