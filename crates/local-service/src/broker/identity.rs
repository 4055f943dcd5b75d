//! Whose certificate it is, and which policy goes with it.
//!
//! The thing is the certificate's common name, which is what `init` writes. Its policy is `DIR/THING.json`, else
//! `DIR/default.json`; it is read when a client connects, so that a change holds from the next connection on.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jobs_protocol::ThingName;

use super::policy::{Permit, Policy};
use crate::pki::{ISSUED_NAME, certificate_id};

/// Why a client is not let in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    #[error("it has shown no certificate")]
    NoCertificate,
    #[error("the certificate names no thing")]
    Nameless,
    #[error("there is no policy for {thing}: neither {thing}.json nor default.json in {}", directory.display())]
    NoPolicy { thing: ThingName, directory: PathBuf },
    #[error("cannot read the policy {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is no policy that can be judged here", path.display())]
    Parse { path: PathBuf, source: serde_json::Error },
    #[error("the certificate {id} is not ACTIVE, or not known")]
    Inactive { id: String },
    #[error("the service is stopping")]
    Stopping,
}

/// The id of a certificate, if it is one that the service gives out: who holds it the Jobs service knows.
pub(crate) fn issued(certificate: &[u8]) -> Option<String> {
    (common_name(certificate)? == ISSUED_NAME).then(|| certificate_id(certificate))
}

/// What a certificate allows to a client of this id; `None`: over HTTPS, where there is no such id.
pub(crate) fn permit(
    directory: &Path,
    certificate: &[u8],
    client_id: Option<&str>,
) -> Result<Arc<Permit>, IdentityError> {
    let name = common_name(certificate).ok_or(IdentityError::Nameless)?;
    let thing = ThingName::try_from(name).map_err(|_| IdentityError::Nameless)?;
    for name in [thing.as_str(), "default"] {
        let path = directory.join(format!("{name}.json"));
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(IdentityError::Read { path, source }),
        };
        let policy: Policy =
            serde_json::from_slice(&text).map_err(|source| IdentityError::Parse { path, source })?;
        return Ok(Arc::new(Permit::new(policy, thing.to_string(), client_id.map(str::to_owned))));
    }
    Err(IdentityError::NoPolicy { thing, directory: directory.to_owned() })
}

/// The common name of the subject of a certificate that was found valid. Only as much of X.509 is read as leads there.
fn common_name(certificate: &[u8]) -> Option<&str> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xA0;
    const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
    let (_, certificate, _) = element(certificate)?;
    let (_, mut rest, _) = element(certificate)?;
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.2;
    }
    // Serial number, algorithm, issuer and validity stand before the subject.
    for _ in 0..4 {
        rest = element(rest)?.2;
    }
    let (kind, mut names, _) = element(rest)?;
    if kind != SEQUENCE {
        return None;
    }
    while !names.is_empty() {
        let (_, set, others) = element(names)?;
        let (_, pair, _) = element(set)?;
        let (_, kind, value) = element(pair)?;
        if kind == COMMON_NAME {
            return std::str::from_utf8(element(value)?.1).ok();
        }
        names = others;
    }
    None
}

/// One element of DER: its tag, its content, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        let count = usize::from(first & 0x7F);
        if !(1..=3).contains(&count) {
            return None;
        }
        let (digits, behind) = rest.split_at_checked(count)?;
        length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
        rest = behind;
    }
    let (content, behind) = rest.split_at_checked(length)?;
    Some((tag, content, behind))
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    use super::*;
    use crate::pki::{Authority, Validity};

    fn certificate(thing: &str) -> Vec<u8> {
        let device = Authority::new().unwrap().device(thing, Validity::Long).unwrap();
        CertificateDer::from_pem_slice(device.certificate.as_bytes()).unwrap().to_vec()
    }

    #[test]
    fn a_certificate_names_its_thing() {
        for thing in ["t1", "Gateway:17_a-b"] {
            assert_eq!(common_name(&certificate(thing)), Some(thing));
        }
    }

    #[test]
    fn no_bytes_lead_astray() {
        let whole = certificate("t1");
        for cut in 0..whole.len() {
            let _ = common_name(&whole[..cut]);
            let mut bent = whole.clone();
            bent[cut] ^= 0xFF;
            let _ = common_name(&bent);
        }
    }

    #[test]
    fn the_things_own_policy_comes_first_and_one_that_cannot_be_judged_lets_nobody_in() {
        let directory = tempfile::tempdir().unwrap();
        let der = certificate("t1");
        let connect = super::super::policy::Deed::Connect { persistent: false, will: false };
        let attempt = || permit(directory.path(), &der, Some("t1"));
        assert!(matches!(attempt(), Err(IdentityError::NoPolicy { .. })));
        let all = r#"{"Statement":{"Effect":"Allow","Action":"iot:*","Resource":"*"}}"#;
        fs::write(directory.path().join("default.json"), all).unwrap();
        assert!(attempt().unwrap().allows(connect));
        fs::write(directory.path().join("t1.json"), r#"{"Statement":[]}"#).unwrap();
        assert!(!attempt().unwrap().allows(connect));
        fs::write(directory.path().join("t1.json"), "{").unwrap();
        assert!(matches!(attempt(), Err(IdentityError::Parse { .. })));
    }
}
