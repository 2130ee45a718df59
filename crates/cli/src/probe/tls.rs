//! Whose certificates are believed: those of the system's authorities, of one that is named, or all.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::ProbeArgs;
use super::connector::Tls;
use crate::status::{Failure, Status};

/// The settings of TLS with this host.
pub(super) fn settings(host: &str, args: &ProbeArgs) -> Result<Tls, Failure> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Failure::new(Status::Usage, format!("error: {host:?} is no name of a host")))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::new(Status::Software, format!("error: TLS cannot be set up: {error}")))?;
    let config = match &args.ca {
        _ if args.insecure => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Credulous(provider)))
            .with_no_client_auth(),
        Some(file) => builder
            .with_root_certificates(of_file(file)?)
            .with_no_client_auth(),
        None => builder
            .with_root_certificates(of_the_system()?)
            .with_no_client_auth(),
    };
    Ok(Tls {
        name,
        config,
        is_authority_named: args.ca.is_some(),
    })
}

fn of_file(file: &Path) -> Result<RootCertStore, Failure> {
    let failed = |why: &dyn std::fmt::Display| {
        let message = format!("error: --ca {}: {why}", file.display());
        Failure::new(Status::InputOutput, message)
    };
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| failed(&error))? {
        let certificate = certificate.map_err(|error| failed(&error))?;
        store.add(certificate).map_err(|error| failed(&error))?;
    }
    match store.is_empty() {
        true => Err(failed(&"there is no certificate in it (PEM is expected)")),
        false => Ok(store),
    }
}

fn of_the_system() -> Result<RootCertStore, Failure> {
    let mut store = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    store.add_parsable_certificates(found.certs);
    match store.is_empty() {
        true => Err(Failure::new(
            Status::Config,
            "error: this system has no certificate authorities\n\
             help: install its package ca-certificates, or name one with --ca FILE",
        )),
        false => Ok(store),
    }
}

/// Believes every certificate: here it is the server that may be deceived, and nothing secret is sent.
#[derive(Debug)]
struct Credulous(Arc<CryptoProvider>);

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
