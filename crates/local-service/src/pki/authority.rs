//! A certificate authority and what it signs, in memory.

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use sha2::{Digest, Sha256};

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The authority's key is not one of those that were written by [`Authority::new`].
    #[error("the authority's private key cannot be used")]
    AuthorityKey(#[source] rcgen::Error),
    /// A host name is not one that can stand in a certificate.
    #[error("`{host}` cannot stand in a certificate")]
    Host {
        /// As it was given.
        host: String,
        /// What is wrong with it.
        #[source]
        source: rcgen::Error,
    },
    /// Making the key or the signature failed.
    #[error("cannot make a certificate")]
    Sign(#[source] rcgen::Error),
}

/// How long a certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// From 1975, so that a board without a clock may use it, to the end of the century.
    Long,
    /// Over since 2001: for tests of what a client says about it.
    Expired,
}

/// A certificate and its private key, both in PEM (the key in PKCS#8, EC P-256).
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate alone; the authority's is not part of it.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

/// A certificate authority that signs for servers and devices.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    /// A new authority with a key of its own.
    pub fn new() -> Result<Self, PkiError> {
        let key = KeyPair::generate().map_err(PkiError::Sign)?;
        let certificate = params().self_signed(&key).map_err(PkiError::Sign)?.pem();
        Ok(Self { issuer: Issuer::new(params(), key), certificate })
    }

    /// The authority that once gave out `identity`, from its certificate and key in PEM.
    pub fn load(identity: Identity) -> Result<Self, PkiError> {
        let key = KeyPair::from_pem(&identity.key).map_err(PkiError::AuthorityKey)?;
        Ok(Self { issuer: Issuer::new(params(), key), certificate: identity.certificate })
    }

    /// The authority's certificate in PEM: what a client has as its root.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Certificate and key of the authority itself.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity { certificate: self.certificate.clone(), key: self.issuer.key().serialize_pem() }
    }

    /// A certificate for a server that is reached by `hosts`: names or literal addresses.
    pub fn server(&self, hosts: &[&str], validity: Validity) -> Result<Identity, PkiError> {
        let mut params = CertificateParams::default();
        for &host in hosts {
            let single = CertificateParams::new(vec![host.to_owned()])
                .map_err(|source| PkiError::Host { host: host.to_owned(), source })?;
            params.subject_alt_names.extend(single.subject_alt_names);
        }
        self.sign(params, "Fleethand local service", ExtendedKeyUsagePurpose::ServerAuth, validity)
    }

    /// A certificate for a device.
    pub fn device(&self, thing: &str, validity: Validity) -> Result<Identity, PkiError> {
        self.sign(CertificateParams::default(), thing, ExtendedKeyUsagePurpose::ClientAuth, validity)
    }

    /// A certificate as CreateKeysAndCertificate gives out: it names no thing.
    pub(crate) fn issue(&self) -> Result<Issued, PkiError> {
        let usage = ExtendedKeyUsagePurpose::ClientAuth;
        let (certificate, key) =
            self.signed(CertificateParams::default(), ISSUED_NAME, usage, Validity::Long)?;
        let identity = Identity { certificate: certificate.pem(), key: key.serialize_pem() };
        Ok(Issued { id: certificate_id(certificate.der()), identity, public_key: key.public_key_pem() })
    }

    fn sign(
        &self,
        params: CertificateParams,
        name: &str,
        usage: ExtendedKeyUsagePurpose,
        validity: Validity,
    ) -> Result<Identity, PkiError> {
        let (certificate, key) = self.signed(params, name, usage, validity)?;
        Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    fn signed(
        &self,
        mut params: CertificateParams,
        name: &str,
        usage: ExtendedKeyUsagePurpose,
        validity: Validity,
    ) -> Result<(Certificate, KeyPair), PkiError> {
        params.distinguished_name = common_name(name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = match validity {
            Validity::Long => (date_time_ymd(1975, 1, 1), date_time_ymd(2099, 12, 31)),
            Validity::Expired => (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1)),
        };
        let key = KeyPair::generate().map_err(PkiError::Sign)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(PkiError::Sign)?;
        Ok((certificate, key))
    }
}

/// The common name of every certificate of CreateKeysAndCertificate, as AWS has it.
pub(crate) const ISSUED_NAME: &str = "AWS IoT Certificate";

/// What CreateKeysAndCertificate gives out.
#[derive(Debug)]
pub(crate) struct Issued {
    /// See [`certificate_id`].
    pub(crate) id: String,
    pub(crate) identity: Identity,
    /// In PEM.
    pub(crate) public_key: String,
}

/// The id of a certificate: the SHA-256 of its DER in lower-case hexadecimal digits.
pub(crate) fn certificate_id(der: &[u8]) -> String {
    Sha256::digest(der).iter().fold(String::new(), |id, byte| id + &format!("{byte:02x}"))
}

/// What the authority says of itself. The same every time, so that key and certificate are all that need be kept.
fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name("Fleethand local authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = date_time_ymd(1975, 1, 1);
    params.not_after = date_time_ymd(2099, 12, 31);
    params
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    // X.520 allows 64 characters in a common name; a thing's name may have 128.
    let short: String = name.chars().take(64).collect();
    distinguished.push(DnType::CommonName, short);
    distinguished
}
