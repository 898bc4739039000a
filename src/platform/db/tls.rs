//! TLS of database sessions: the meaning of `sslmode` and `sslrootcert` in a database URL.
//!
//! | `sslmode` | encrypted | server's certificate |
//! | --- | --- | --- |
//! | `disable` | never | – |
//! | `prefer`, or none | if the server offers it | not checked, as with libpq |
//! | `require`, `verify-ca`, `verify-full` | always | checked, name included |
//!
//! libpq's `require` checks nothing unless it finds a root certificate; here it always checks. The
//! roots are those of the platform (`sslrootcert=system`, or none given), or exactly those in the
//! PEM file that `sslrootcert` names. Managed databases with an authority of their own need such a
//! file. A Unix socket is never encrypted.
//!
//! The driver knows neither `verify-*` nor `sslrootcert`, so both are removed from the URL before
//! the driver reads it.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::platform::tls;

/// The encryption of sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tls {
    Never,
    IfOffered,
    /// Always encrypted and checked, against the roots in this file or else those of the platform.
    Checked {
        roots: Option<String>,
    },
}

impl Tls {
    /// Removes the encryption parameters from the URL and returns the rest, which is for the
    /// driver. A text that is no URL stays unchanged.
    pub(super) fn take_from(url: &str) -> Result<(String, Self), String> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut roots, mut rest) = (None, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = Some(percent_decode(value)?),
                Some(("sslrootcert", value)) => roots = Some(percent_decode(value)?),
                _ => rest.push(pair),
            }
        }
        let tls = match mode.as_deref() {
            Some("require" | "verify-ca" | "verify-full") => {
                Self::Checked { roots: roots.filter(|file| file != "system") }
            }
            _ if roots.is_some() => {
                return Err("sslrootcert needs sslmode=require or stricter".to_owned());
            }
            Some("disable") => Self::Never,
            None | Some("prefer") => Self::IfOffered,
            Some(other) => return Err(format!("there is no sslmode {other}")),
        };
        let rest =
            if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
        Ok((rest, tls))
    }

    /// Returns the mode for the driver.
    pub(super) fn mode(&self) -> SslMode {
        match self {
            Self::Never => SslMode::Disable,
            Self::IfOffered => SslMode::Prefer,
            Self::Checked { .. } => SslMode::Require,
        }
    }

    /// Returns the factory of encrypted connections. The roots are read only once, here, because a
    /// platform has hundreds.
    pub(super) fn connector(&self) -> Result<MakeRustlsConnect, String> {
        let provider = tls::provider();
        let verifier: Arc<dyn ServerCertVerifier> = match self {
            Self::Never | Self::IfOffered => Arc::new(Unchecked(Arc::clone(&provider))),
            Self::Checked { roots: None } => tls::platform_verifier()?,
            Self::Checked { roots: Some(file) } => WebPkiServerVerifier::builder_with_provider(
                Arc::new(roots_in(file)?),
                Arc::clone(&provider),
            )
            .build()
            .map_err(|error| format!("{file}: {error}"))?,
        };
        Ok(MakeRustlsConnect::new(tls::client_config(verifier)?))
    }
}

fn roots_in(file: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(Path::new(file))
        .map_err(|error| format!("sslrootcert {file}: {error}"))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| format!("sslrootcert {file}: {error}"))?;
        roots.add(certificate).map_err(|error| format!("sslrootcert {file}: {error}"))?;
    }
    if roots.is_empty() {
        return Err(format!("sslrootcert {file} holds no certificate"));
    }
    Ok(roots)
}

/// Decodes percent-encoding.
pub(super) fn percent_decode(text: &str) -> Result<String, String> {
    let wrong = || format!("{text} is not percent-encoded text");
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).ok_or_else(wrong)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

/// Accepts any certificate, for `prefer`. An attacker who can change the traffic could also answer
/// "no encryption". So a check would refuse honest servers with certificates of their own and stop
/// no attacker. Encryption still protects against eavesdropping.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        let checked = |roots: Option<&str>| Tls::Checked { roots: roots.map(str::to_owned) };
        for (query, rest, expected) in [
            ("", "", Tls::IfOffered),
            ("?sslmode=prefer", "", Tls::IfOffered),
            ("?sslmode=disable&connect_timeout=2", "?connect_timeout=2", Tls::Never),
            ("?a=1&sslmode=require&b=2", "?a=1&b=2", checked(None)),
            ("?sslmode=verify-ca", "", checked(None)),
            ("?sslmode=verify-full&sslrootcert=system", "", checked(None)),
            ("?sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem", "", checked(Some("/etc/ca.pem"))),
        ] {
            let (url, tls) = Tls::take_from(&format!("postgres://u@h/d{query}")).unwrap();
            assert_eq!((url, tls), (format!("postgres://u@h/d{rest}"), expected), "{query}");
        }
    }

    #[test]
    fn unknown_mode_and_unused_roots_are_refused() {
        for query in [
            "sslmode=allow",
            "sslmode=%zz",
            "sslrootcert=/ca.pem",
            "sslmode=prefer&sslrootcert=/ca.pem",
        ] {
            assert!(Tls::take_from(&format!("postgres://h/d?{query}")).is_err(), "{query}");
        }
    }

    #[test]
    fn file_without_certificates_is_refused() {
        for file in ["/nowhere/ca.pem", "/dev/null"] {
            let error = Tls::Checked { roots: Some(file.to_owned()) }.connector().err().unwrap();
            assert!(error.contains(file), "{error}");
        }
    }

    #[test]
    fn platform_has_roots() {
        Tls::Checked { roots: None }.connector().unwrap();
    }
}
