//! The broker's side of TLS: who may connect, and what is offered.
//!
//! A certificate that a client shows must be one of the authority's. One that shows none gets a session, as at AWS, and is
//! sent away later: at its CONNECT, or with an HTTP request that is not signed. Which thing a certificate acts for is bound to
//! it only where there are policies.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};

/// What clients offer by ALPN on port 443. If a server has a list, it must hold what the client offers; a client
/// that offers nothing is let in as well.
const ALPN: [&[u8]; 4] = [b"x-amzn-mqtt-ca", b"x-amzn-http-ca", b"http/1.1", b"mqtt"];

/// Those of them that mean HTTP.
pub(crate) const HTTP: [&[u8]; 2] = [b"x-amzn-http-ca", b"http/1.1"];

/// Why there is no TLS server.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate of the authority, or that of the server, is no PEM.
    #[error("a certificate cannot be read")]
    Certificate(#[source] pem::Error),
    /// The server's private key is no PEM.
    #[error("the server's private key cannot be read")]
    Key(#[source] pem::Error),
    /// The authority's certificate is not fit to check others.
    #[error("the certificate authority is not usable")]
    Authority(#[source] VerifierBuilderError),
    /// Certificate and key do not go together, or are of no use to TLS.
    #[error("the server's certificate and key are not usable")]
    Server(#[source] rustls::Error),
}

/// TLS 1.2 and 1.3, with client certificates of `authority`; all three in PEM.
pub(crate) fn server_config(
    authority: &[u8],
    certificate: &[u8],
    key: &[u8],
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(authority) {
        roots.add(root.map_err(TlsError::Certificate)?).map_err(TlsError::Server)?;
    }
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(TlsError::Authority)?;
    let chain = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<Vec<_>, _>>()
        .map_err(TlsError::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsError::Key)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Server)?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, key)
        .map_err(TlsError::Server)?;
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
    Ok(Arc::new(config))
}
