//! A small MQTT client for one scenario: it blocks, it acknowledges what it gets, and a ping is how it knows that nothing
//! more is on its way, as the service works off everything in order.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use local_service::pki::Identity;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::PATIENCE;
use crate::world::{Connect, Failure};

pub(super) type Tls = Arc<ClientConfig>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Three,
    Five,
}

/// TLS with a device's certificate.
pub(super) fn tls(authority: &str, device: &Identity) -> Tls {
    let certificate = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(certificate(authority)).expect("an authority");
    let key = PrivateKeyDer::from_pem_slice(device.key.as_bytes()).expect("a key");
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate(&device.certificate)], key);
    Arc::new(config.expect("certificate and key go together"))
}

/// A packet: the first byte, and what follows the length.
type Packet = (u8, Vec<u8>);

pub(super) struct Client {
    stream: StreamOwned<ClientConnection, TcpStream>,
    version: Version,
    inbox: Vec<(String, Vec<u8>)>,
    packet_id: u16,
    /// The service has ended the connection.
    ended: bool,
    /// Why, as MQTT 5 tells.
    reason: Option<u8>,
}

impl Client {
    /// Connects; tells whether there was a session.
    pub(super) fn connect(
        address: SocketAddr,
        tls: &Tls,
        version: Version,
        connect: &Connect<'_>,
    ) -> Result<(Self, bool), Failure> {
        let failed = |error: std::io::Error| format!("cannot connect: {error}");
        let socket = TcpStream::connect(address).map_err(failed)?;
        socket.set_nodelay(true).map_err(failed)?;
        socket.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        let name = ServerName::try_from("localhost").map_err(|error| error.to_string())?;
        let connection = ClientConnection::new(Arc::clone(tls), name).map_err(|error| error.to_string())?;
        let stream = StreamOwned::new(connection, socket);
        let mut client =
            Self { stream, version, inbox: Vec::new(), packet_id: 0, ended: false, reason: None };
        let level = if version == Version::Five { 5 } else { 4 };
        let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', level, if connect.clean { 2 } else { 0 }];
        body.extend(connect.keep_alive.to_be_bytes());
        if version == Version::Five {
            // A session that shall outlive its connection has to say so: an hour.
            body.extend(if connect.clean { &[0][..] } else { &[5, 0x11, 0, 0, 0x0E, 0x10] });
        }
        put_text(&mut body, connect.id);
        client.send(0x10, &body)?;
        match client.packet()? {
            Some((0x20, body)) if body.get(1) == Some(&0) => Ok((client, body[0] & 1 == 1)),
            other => Err(format!("no CONNACK: {other:02X?}")),
        }
    }

    /// One SUBSCRIBE; tells whether all of it was granted. The connection may be closed instead.
    pub(super) fn subscribe(&mut self, filters: &[String], qos: u8) -> Result<bool, Failure> {
        let mut body = self.next_id().to_be_bytes().to_vec();
        if self.version == Version::Five {
            body.push(0);
        }
        for filter in filters {
            put_text(&mut body, filter);
            body.push(qos);
        }
        self.send(0x82, &body)?;
        let Some((_, answer)) = self.until(0x90)? else { return Ok(false) };
        let codes = answer.get(if self.version == Version::Five { 3 } else { 2 }..).unwrap_or_default();
        if codes.len() != filters.len() {
            return Err(format!("a SUBACK for {} filters has {} codes", filters.len(), codes.len()));
        }
        Ok(codes.iter().all(|code| *code == qos))
    }

    pub(super) fn publish(&mut self, topic: &str, payload: &[u8], qos: u8) -> Result<(), Failure> {
        let mut body = Vec::new();
        put_text(&mut body, topic);
        if qos > 0 {
            body.extend(self.next_id().to_be_bytes());
        }
        if self.version == Version::Five {
            body.push(0);
        }
        body.extend(payload);
        self.send(0x30 | qos << 1, &body)?;
        if qos > 0 && self.until(0x40)?.is_none() {
            return Err("closed instead of a PUBACK".to_owned());
        }
        Ok(())
    }

    /// What has been received since the last call.
    pub(super) fn received(&mut self) -> Result<Vec<(String, Vec<u8>)>, Failure> {
        if !self.ended {
            self.send(0xC0, &[])?;
            self.until(0xD0)?;
        }
        Ok(std::mem::take(&mut self.inbox))
    }

    pub(super) fn ping(&mut self) -> Result<(), Failure> {
        self.send(0xC0, &[])?;
        self.until(0xD0)?.map(drop).ok_or_else(|| "the connection has been closed".to_owned())
    }

    /// Says goodbye and waits until the service has closed.
    pub(super) fn disconnect(&mut self) -> Result<(), Failure> {
        self.send(0xE0, &[])?;
        while self.packet()?.is_some() {}
        Ok(())
    }

    /// Waits for the end of the connection.
    pub(super) fn expect_end(&mut self, reason: Option<u64>) -> Result<(), Failure> {
        while !self.ended {
            self.packet()?;
        }
        let found = self.reason.map(u64::from);
        if self.version == Version::Five && reason.is_some() && found != reason {
            return Err(format!("closed with reason {found:?}, wanted {reason:?}"));
        }
        Ok(())
    }

    /// The next packet that is no publication, which has to be of this kind; `None` if the connection ends before it.
    fn until(&mut self, kind: u8) -> Result<Option<Packet>, Failure> {
        match self.packet()? {
            Some((first, body)) if first & 0xF0 == kind => Ok(Some((first, body))),
            Some((first, body)) => Err(format!("not a packet of kind {kind:02X}: {first:02X} {body:02X?}")),
            None => Ok(None),
        }
    }

    /// The next packet that is no publication; those are taken in. `None` at the end of the connection.
    fn packet(&mut self) -> Result<Option<Packet>, Failure> {
        loop {
            let Some(first) = self.byte()? else {
                self.ended = true;
                return Ok(None);
            };
            let mut length = 0;
            for shift in [0, 7, 14, 21] {
                let byte = self.byte()?.ok_or("the connection ends inside a packet")?;
                length |= usize::from(byte & 0x7F) << shift;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            let mut body = vec![0; length];
            self.stream.read_exact(&mut body).map_err(|error| format!("inside a packet: {error}"))?;
            match first >> 4 {
                3 => self.take_in(first, &body)?,
                14 => self.reason = body.first().copied(),
                _ => return Ok(Some((first, body))),
            }
        }
    }

    fn take_in(&mut self, first: u8, body: &[u8]) -> Result<(), Failure> {
        let short = || "a PUBLISH that is too short".to_owned();
        let length = usize::from(u16::from_be_bytes([
            *body.first().ok_or_else(short)?,
            *body.get(1).ok_or_else(short)?,
        ]));
        let topic = body.get(2..2 + length).ok_or_else(short)?;
        let mut rest = &body[2 + length..];
        let mut id = None;
        if first & 0b110 != 0 {
            let (two, behind) = rest.split_at_checked(2).ok_or_else(short)?;
            (id, rest) = (Some(two.to_vec()), behind);
        }
        if self.version == Version::Five {
            let properties = usize::from(*rest.first().ok_or_else(short)?);
            rest = rest.get(1 + properties..).ok_or_else(short)?;
        }
        let topic = String::from_utf8(topic.to_vec()).map_err(|error| error.to_string())?;
        if first & 1 == 1 {
            return Err(format!("{topic} was retained"));
        }
        self.inbox.push((topic, rest.to_vec()));
        match id {
            Some(id) => self.send(0x40, &id),
            None => Ok(()),
        }
    }

    fn byte(&mut self) -> Result<Option<u8>, Failure> {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(byte[0])),
            // Closed without a word, or cut: both are an end.
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(format!("waiting for a packet: {error}")),
        }
    }

    fn send(&mut self, first: u8, body: &[u8]) -> Result<(), Failure> {
        let mut packet = vec![first];
        let mut length = body.len();
        loop {
            let low = u8::try_from(length & 0x7F).map_err(|error| error.to_string())?;
            length >>= 7;
            packet.push(if length == 0 { low } else { low | 0x80 });
            if length == 0 {
                break;
            }
        }
        packet.extend(body);
        self.stream.write_all(&packet).map_err(|error| format!("cannot send: {error}"))
    }

    fn next_id(&mut self) -> u16 {
        self.packet_id += 1;
        self.packet_id
    }
}

fn put_text(body: &mut Vec<u8>, text: &str) {
    body.extend(u16::try_from(text.len()).expect("the vectors have short texts").to_be_bytes());
    body.extend(text.as_bytes());
}
