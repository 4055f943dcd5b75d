//! Certificates and key: from files to what a TLS handshake needs, with errors that name the file and the mend.
//! What the server presents is judged by rustls; how that is told to an operator is `error`'s business.

use std::env;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, ClientConfig, InconsistentKeys, RootCertStore};

/// The longest certificate or key file that is read, in bytes (4 MiB).
const MAX_FILE: u64 = 4 * 1024 * 1024;
/// Where distributions keep the certificate authorities that they trust.
const SYSTEM_STORES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Whom to trust and who we are. Clones share the key.
#[derive(Debug, Clone)]
pub struct TlsMaterial {
    config: Arc<ClientConfig>,
}

/// Why certificates and key cannot be used. Each names the file, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsMaterialError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        #[expect(missing_docs, reason = "the cause")]
        source: io::Error,
    },
    /// The file is far longer than any certificate or key.
    #[error("{} is longer than {MAX_FILE} bytes and cannot be a certificate or a key", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// There is no PEM block in the file.
    #[error("{} is not a PEM file (no `-----BEGIN`); convert a DER file with openssl", path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
    },
    /// A PEM block is cut off or not base64.
    #[error("{} is a damaged PEM file; copy it again", path.display())]
    DamagedPem {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: rustls::pki_types::pem::Error,
    },
    /// PEM, but no certificate.
    #[error("there is no certificate in {}; it must have a `BEGIN CERTIFICATE` block", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A certificate in the file is not one that can be used.
    #[error("a certificate in {} cannot be used", path.display())]
    BadCertificate {
        /// The file.
        path: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
    /// PEM, but no private key.
    #[error("there is no private key in {}; it must have a `BEGIN ... PRIVATE KEY` block", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// Which one belongs to the certificate is not for us to guess.
    #[error("there are several private keys in {}; leave only the one of the certificate", path.display())]
    SeveralKeys {
        /// The file.
        path: PathBuf,
    },
    /// A key with a pass phrase: nobody is there to enter it.
    #[error("the private key in {} is encrypted; write one without a pass phrase (openssl pkey)", path.display())]
    EncryptedKey {
        /// The file.
        path: PathBuf,
    },
    /// Not an RSA, ECDSA or Ed25519 key as a TLS client can use it.
    #[error("the private key in {} is of a kind that cannot be used; use RSA or EC P-256", path.display())]
    UnusableKey {
        /// The file.
        path: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
    /// Somebody else than the owner could take the device's identity.
    #[error("the private key {} can be read or changed by others (mode {mode:04o}); chmod 600 it", path.display())]
    KeyOpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Key and certificate are not a pair.
    #[error("the private key {} does not belong to the certificate {}", key.display(), certificate.display())]
    KeyOfAnotherCertificate {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// No CA file was named and the system has none where it is looked for.
    #[error("no root CA is configured and the system has no certificate store (looked for {}); name a root CA file", tried.join(", "))]
    NoSystemStore {
        /// The files that were looked for.
        tried: Vec<String>,
    },
    /// The TLS library cannot be set up with its own defaults.
    #[error("cannot set up TLS")]
    Setup(#[source] rustls::Error),
}

impl TlsMaterial {
    /// Reads the trusted root CA (`None`: those of the system), the device certificate with its chain, and the
    /// private key (PKCS#8, PKCS#1 or SEC1), all PEM.
    pub fn load(ca: Option<&Path>, certificate: &Path, key: &Path) -> Result<Self, TlsMaterialError> {
        let roots = match ca {
            Some(path) => roots_from(path)?,
            None => system_roots()?,
        };
        let chain = certificates_in(certificate, &read(certificate)?)?;
        let private_key = private_key_from(key)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        // Judged apart from the certificate, so that the message names the right file.
        let signing_key = provider
            .key_provider
            .load_private_key(private_key)
            .map_err(|source| TlsMaterialError::UnusableKey { path: key.to_owned(), source })?;
        let pair = CertifiedKey::new(chain, signing_key);
        must_be_a_pair(&pair, certificate, key)?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsMaterialError::Setup)?
            .with_root_certificates(roots)
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
        Ok(Self { config: Arc::new(config) })
    }

    /// The configuration for a handshake that asks for this protocol.
    pub(crate) fn config(&self, alpn: Option<&str>) -> Arc<ClientConfig> {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = alpn.map(|name| name.as_bytes().to_vec()).into_iter().collect();
        Arc::new(config)
    }

    /// Trusts nobody and is nobody.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        Self { config: Arc::new(config) }
    }
}

/// The device's own certificate is for the server to judge. That of an operator's own authority is often one of X.509
/// version 1 (as `openssl x509 -req` writes it if it is given no extensions, and the guide of AWS IoT says so), which the TLS
/// library would refuse; so all that is asked of it here is that it holds the public half of the key.
fn must_be_a_pair(pair: &CertifiedKey, certificate: &Path, key: &Path) -> Result<(), TlsMaterialError> {
    let other = || TlsMaterialError::KeyOfAnotherCertificate {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
    };
    match pair.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(()),
        Err(rustls::Error::InconsistentKeys(_)) => Err(other()),
        Err(rustls::Error::InvalidCertificate(error)) if error != CertificateError::BadEncoding => {
            if holds_public_half(pair) {
                Ok(())
            } else {
                Err(other())
            }
        }
        Err(source) => Err(TlsMaterialError::BadCertificate { path: certificate.to_owned(), source }),
    }
}

/// Looks for the key's SubjectPublicKeyInfo, which stands in a certificate byte for byte (RFC 5280, section 4.1).
fn holds_public_half(pair: &CertifiedKey) -> bool {
    let Some(public) = pair.key.public_key() else { return true };
    pair.cert.first().is_some_and(|certificate| contains(certificate, &public))
}

fn roots_from(path: &Path) -> Result<RootCertStore, TlsMaterialError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates_in(path, &read(path)?)? {
        roots
            .add(certificate)
            .map_err(|source| TlsMaterialError::BadCertificate { path: path.to_owned(), source })?;
    }
    Ok(roots)
}

/// One odd certificate among the hundred of a distribution is no reason to trust none of them.
fn system_roots() -> Result<RootCertStore, TlsMaterialError> {
    let named = env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let places: Vec<PathBuf> = named.into_iter().chain(SYSTEM_STORES.map(PathBuf::from)).collect();
    for path in &places {
        let Ok(bytes) = read(path) else { continue };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&bytes).flatten());
        if !roots.is_empty() {
            return Ok(roots);
        }
    }
    let tried = places.iter().map(|path| path.display().to_string()).collect();
    Err(TlsMaterialError::NoSystemStore { tried })
}

fn certificates_in(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsMaterialError> {
    must_be_pem(path, pem)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|source| TlsMaterialError::DamagedPem { path: path.to_owned(), source })?;
    if certificates.is_empty() {
        return Err(TlsMaterialError::NoCertificate { path: path.to_owned() });
    }
    Ok(certificates)
}

fn private_key_from(path: &Path) -> Result<PrivateKeyDer<'static>, TlsMaterialError> {
    let file = open(path)?;
    let mode = file.metadata().map_err(|source| unread(path, source))?.permissions().mode() & 0o7777;
    // A group may read: systemd hands credentials over as 0440 and narrows them by other means.
    if mode & 0o037 != 0 {
        return Err(TlsMaterialError::KeyOpenToOthers { path: path.to_owned(), mode });
    }
    let pem = read_open(path, file)?;
    must_be_pem(path, &pem)?;
    if contains(&pem, b"BEGIN ENCRYPTED PRIVATE KEY") || contains(&pem, b"Proc-Type: 4,ENCRYPTED") {
        return Err(TlsMaterialError::EncryptedKey { path: path.to_owned() });
    }
    let mut keys = PrivateKeyDer::pem_slice_iter(&pem);
    let key = match keys.next() {
        None => return Err(TlsMaterialError::NoKey { path: path.to_owned() }),
        Some(key) => key.map_err(|source| TlsMaterialError::DamagedPem { path: path.to_owned(), source })?,
    };
    if keys.next().is_some() {
        return Err(TlsMaterialError::SeveralKeys { path: path.to_owned() });
    }
    Ok(key)
}

fn must_be_pem(path: &Path, bytes: &[u8]) -> Result<(), TlsMaterialError> {
    if contains(bytes, b"-----BEGIN ") {
        Ok(())
    } else {
        Err(TlsMaterialError::NotPem { path: path.to_owned() })
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsMaterialError> {
    read_open(path, open(path)?)
}

fn open(path: &Path) -> Result<File, TlsMaterialError> {
    File::open(path).map_err(|source| unread(path, source))
}

fn read_open(path: &Path, file: File) -> Result<Vec<u8>, TlsMaterialError> {
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|source| unread(path, source))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(TlsMaterialError::TooLong { path: path.to_owned() });
    }
    Ok(bytes)
}

fn unread(path: &Path, source: io::Error) -> TlsMaterialError {
    TlsMaterialError::Read { path: path.to_owned(), source }
}
