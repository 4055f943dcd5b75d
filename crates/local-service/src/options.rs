//! What the service is started with.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use jobs_protocol::ThingName;

use crate::faults::FaultPlan;
use crate::pki::{self, Identity, InitError};

/// What the service is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Certificate of the authority that signed the devices' certificates, in PEM.
    pub authority: String,
    /// Its private key, in PEM; without it CreateKeysAndCertificate is refused.
    pub authority_key: Option<String>,
    /// The server's certificate and key.
    pub server: Identity,
    /// Things that are registered from the beginning.
    pub things: Vec<ThingName>,
    /// Where MQTT over TLS is served; port 0 takes a free one.
    pub mqtt: SocketAddr,
    /// Where else, for clients that know one port only.
    pub also_mqtt: Vec<SocketAddr>,
    /// Where HTTP is served; port 0 takes a free one.
    pub http: SocketAddr,
    /// Where state is kept; `None`: in memory.
    pub data: Option<PathBuf>,
    /// The directory that stands in for S3.
    pub documents: Option<PathBuf>,
    /// A directory of IoT policies, one for each thing; `None`: every certificate may do everything.
    pub policies: Option<PathBuf>,
    /// A clock that stands still until it is moved: for tests that must not wait for minutes.
    pub virtual_clock: bool,
    /// Whether line ends and tabs in status details are refused, as the published pattern of the API has it.
    pub strict_details: bool,
    /// Faults from the beginning.
    pub faults: FaultPlan,
}

impl Options {
    /// On free ports of the loopback address, without anything that has to be asked for.
    #[must_use]
    pub fn new(authority: String, server: Identity, things: Vec<ThingName>) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            authority,
            authority_key: None,
            server,
            things,
            mqtt: any,
            also_mqtt: Vec::new(),
            http: any,
            data: None,
            documents: None,
            policies: None,
            virtual_clock: false,
            strict_details: false,
            faults: FaultPlan::default(),
        }
    }

    /// Options for a directory that `init` has made, with all the things in it.
    pub fn of_directory(directory: &Path) -> Result<Self, InitError> {
        let files = pki::server_files(directory)?;
        let things = pki::things(directory)?;
        let server = Identity { certificate: files.certificate, key: files.key };
        Ok(Self { authority_key: files.authority_key, ..Self::new(files.authority, server, things) })
    }
}
