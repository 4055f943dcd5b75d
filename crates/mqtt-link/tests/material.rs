//! Certificates and keys as they lie on devices: every kind that works, and a plain word for every kind that
//! does not.
#![expect(clippy::unwrap_used, reason = "the helpers are part of the tests")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use mqtt_link::{TlsMaterial, TlsMaterialError};
use tempfile::TempDir;

#[test]
fn keys_in_each_of_the_three_usual_forms_are_taken() {
    let files = Files::new();
    for (certificate, key) in
        [("rsa.crt", "rsa-pkcs1.key"), ("ec.crt", "ec-sec1.key"), ("ec.crt", "ec-pkcs8.key")]
    {
        files.load(certificate, key).unwrap_or_else(|error| panic!("{key}: {error}"));
    }
}

#[test]
fn a_key_of_another_certificate_is_told_with_both_files() {
    let error = Files::new().load("ec.crt", "rsa-pkcs1.key").unwrap_err();
    assert!(matches!(error, TlsMaterialError::KeyOfAnotherCertificate { .. }), "{error}");
    assert!(error.to_string().contains("rsa-pkcs1.key") && error.to_string().contains("ec.crt"));
}

/// As an operator's own authority makes them with the commands of AWS's guide (`openssl x509 -req`, no extensions).
#[test]
fn a_certificate_of_x509_version_1_is_taken_with_its_key_and_no_other() {
    let files = Files::new();
    files.load("ec-version1.crt", "ec-sec1.key").unwrap();
    let error = files.load("ec-version1.crt", "rsa-pkcs1.key").unwrap_err();
    assert!(matches!(error, TlsMaterialError::KeyOfAnotherCertificate { .. }), "{error}");
}

#[test]
fn an_encrypted_key_is_refused_in_both_its_forms() {
    let files = Files::new();
    for (certificate, key) in [("ec.crt", "ec-encrypted.key"), ("rsa.crt", "rsa-encrypted.key")] {
        let error = files.load(certificate, key).unwrap_err();
        assert!(matches!(error, TlsMaterialError::EncryptedKey { .. }), "{key}: {error}");
    }
}

#[test]
fn a_key_that_others_can_read_is_refused_and_one_for_the_owner_or_a_group_is_taken() {
    let files = Files::new();
    for (mode, taken) in
        [(0o600, true), (0o400, true), (0o440, true), (0o604, false), (0o644, false), (0o620, false)]
    {
        let key = files.path("ec-sec1.key");
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let loaded = files.load("ec.crt", "ec-sec1.key");
        assert_eq!(loaded.is_ok(), taken, "mode {mode:o}");
        if let Err(error) = loaded {
            assert!(matches!(error, TlsMaterialError::KeyOpenToOthers { mode: found, .. } if found == mode));
        }
    }
}

#[test]
fn a_file_that_is_not_what_it_should_be_is_named() {
    let files = Files::new();
    files.write("der.crt", b"\x30\x82\x01\x0a");
    files.write("empty.key", b"");
    files.write("two.key", &[files.read("ec-pkcs8.key"), files.read("rsa-pkcs1.key")].concat());
    let mut cut = files.read("ec.crt");
    cut.truncate(200);
    files.write("cut.crt", &cut);
    let kind = |certificate: &str, key: &str| {
        let error = files.load(certificate, key).unwrap_err();
        let named = [certificate, key].iter().any(|name| error.to_string().contains(name));
        assert!(named, "{error} names no file");
        error
    };
    assert!(matches!(kind("missing.crt", "ec-sec1.key"), TlsMaterialError::Read { .. }));
    assert!(matches!(kind("ec.crt", "missing.key"), TlsMaterialError::Read { .. }));
    assert!(matches!(kind("der.crt", "ec-sec1.key"), TlsMaterialError::NotPem { .. }));
    assert!(matches!(kind("ec.crt", "empty.key"), TlsMaterialError::NotPem { .. }));
    assert!(matches!(kind("cut.crt", "ec-sec1.key"), TlsMaterialError::DamagedPem { .. }));
    assert!(matches!(kind("ec-pkcs8.key", "ec-sec1.key"), TlsMaterialError::NoCertificate { .. }));
    assert!(matches!(kind("ec.crt", "ec.crt"), TlsMaterialError::NoKey { .. }));
    assert!(matches!(kind("ec.crt", "two.key"), TlsMaterialError::SeveralKeys { .. }));
}

#[test]
fn a_root_ca_file_without_a_certificate_is_refused() {
    let files = Files::new();
    let path = |name| files.path(name);
    let error =
        TlsMaterial::load(Some(&path("ec-pkcs8.key")), &path("ec.crt"), &path("ec-sec1.key")).unwrap_err();
    assert!(matches!(error, TlsMaterialError::NoCertificate { .. }), "{error}");
}

#[test]
fn a_block_of_the_right_name_with_the_wrong_contents_is_told_from_a_damaged_one() {
    let files = Files::new();
    files.write("odd.crt", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    files.write("odd.key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    let error = files.load("odd.crt", "ec-sec1.key").unwrap_err();
    assert!(matches!(error, TlsMaterialError::BadCertificate { .. }), "{error}");
    let error = files.load("ec.crt", "odd.key").unwrap_err();
    assert!(matches!(error, TlsMaterialError::UnusableKey { .. }), "{error}");
    let path = |name| files.path(name);
    let error = TlsMaterial::load(Some(&path("odd.crt")), &path("ec.crt"), &path("ec-sec1.key")).unwrap_err();
    assert!(matches!(error, TlsMaterialError::BadCertificate { .. }), "{error}");
}

#[test]
fn a_file_without_an_end_is_not_read_to_the_end() {
    let files = Files::new();
    for (certificate, key) in [("/dev/zero", "ec-sec1.key"), ("ec.crt", "long.key")] {
        files.write("long.key", &vec![b'-'; 4 * 1024 * 1024 + 1]);
        let error = files.load(certificate, key).unwrap_err();
        assert!(matches!(error, TlsMaterialError::TooLong { .. }), "{error}");
    }
}

#[test]
fn every_refusal_names_the_file_and_the_mend() {
    let files = Files::new();
    files.write("der.crt", b"\x30\x82\x01\x0a");
    files.write("odd.key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    files.write("cut.crt", &files.read("ec.crt")[..200]);
    files.write("two.key", &[files.read("ec-pkcs8.key"), files.read("rsa-pkcs1.key")].concat());
    files.write("open.key", &files.read("ec-pkcs8.key"));
    fs::set_permissions(files.path("open.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let rows = [
        ("missing.crt", "ec-sec1.key", "cannot read DIR/missing.crt"),
        (
            "der.crt",
            "ec-sec1.key",
            "DIR/der.crt is not a PEM file (no `-----BEGIN`); convert a DER file with openssl",
        ),
        ("cut.crt", "ec-sec1.key", "DIR/cut.crt is a damaged PEM file; copy it again"),
        (
            "ec-pkcs8.key",
            "ec-sec1.key",
            "there is no certificate in DIR/ec-pkcs8.key; it must have a `BEGIN CERTIFICATE` block",
        ),
        (
            "ec.crt",
            "ec.crt",
            "there is no private key in DIR/ec.crt; it must have a `BEGIN ... PRIVATE KEY` block",
        ),
        (
            "ec.crt",
            "two.key",
            "there are several private keys in DIR/two.key; leave only the one of the certificate",
        ),
        (
            "ec.crt",
            "ec-encrypted.key",
            "the private key in DIR/ec-encrypted.key is encrypted; write one without a pass phrase (openssl pkey)",
        ),
        (
            "ec.crt",
            "odd.key",
            "the private key in DIR/odd.key is of a kind that cannot be used; use RSA or EC P-256",
        ),
        (
            "ec.crt",
            "open.key",
            "the private key DIR/open.key can be read or changed by others (mode 0644); chmod 600 it",
        ),
        (
            "ec.crt",
            "rsa-pkcs1.key",
            "the private key DIR/rsa-pkcs1.key does not belong to the certificate DIR/ec.crt",
        ),
    ];
    let directory = files.0.path().to_str().unwrap();
    for (certificate, key, text) in rows {
        let error = files.load(certificate, key).unwrap_err();
        assert_eq!(error.to_string().replace(directory, "DIR"), text);
    }
}

/// The fixtures with the modes that files of a device have.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")).unwrap() {
            let entry = entry.unwrap();
            files.write(entry.file_name().to_str().unwrap(), &fs::read(entry.path()).unwrap());
        }
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn load(&self, certificate: &str, key: &str) -> Result<TlsMaterial, TlsMaterialError> {
        TlsMaterial::load(Some(&self.path("ec.crt")), &self.path(certificate), &self.path(key))
    }
}
