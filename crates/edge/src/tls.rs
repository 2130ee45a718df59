//! TLS of a listener: rustls with aws-lc-rs, from two PEM files.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::config::{BadConfig, Key, TlsConfig};

pub(crate) fn acceptor(config: &TlsConfig, at: &[Key]) -> Result<TlsAcceptor, BadConfig> {
    let bad = |key, path: &Path, why: String| {
        BadConfig::new(
            &[at, &[Key::Name("tls"), Key::Name(key)]].concat(),
            format!("cannot use {}: {why}", path.display()),
            "write the path of a PEM file that this user may read",
        )
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&config.cert)
        .and_then(Iterator::collect)
        .map_err(|error| bad("cert", &config.cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(bad("cert", &config.cert, "it holds no certificate".into()));
    }
    let key = PrivateKeyDer::from_pem_file(&config.key)
        .map_err(|error| bad("key", &config.key, error.to_string()))?;
    let server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| bad("cert", &config.cert, error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| bad("key", &config.key, error.to_string()))?;
    Ok(TlsAcceptor::from(Arc::new(server)))
}
