//! Certificates for a desk: an authority, the server's certificate and one for every device.
//!
//! [`Authority`] makes them in memory, which is what tests want; [`init`] lays them down as files next to an agent
//! configuration that uses them. None of this is meant to protect anything but a loopback address.

mod authority;
mod directory;

pub use authority::{Authority, Identity, PkiError, Validity};
pub(crate) use authority::{ISSUED_NAME, certificate_id};
pub use directory::{Found, InitError, InitOptions, Report, init};
pub(crate) use directory::{server_files, things};
