//! Properties of MQTT 5 packets: which may stand where, and the few that mean something here.

use bytes::{BufMut, Bytes, BytesMut};

use super::Malformed;
use super::input::Input;

/// What of the properties of a packet means something here.
#[derive(Debug, Default)]
pub(super) struct Properties {
    pub(super) session_expiry: Option<u32>,
    pub(super) receive_maximum: Option<u16>,
    pub(super) maximum_packet: Option<u32>,
    pub(super) expiry: Option<u32>,
    pub(super) alias: Option<u16>,
    pub(super) identified: bool,
    /// Those that a subscriber gets with the message, as they were written.
    pub(super) forward: Bytes,
}

pub(super) const ON_CONNECT: &[u8] = &[0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x26, 0x27];
pub(super) const ON_PUBLISH: &[u8] = &[0x01, 0x02, 0x03, 0x08, 0x09, 0x0B, 0x23, 0x26];
pub(super) const ON_WILL: &[u8] = &[0x01, 0x02, 0x03, 0x08, 0x09, 0x18, 0x26];
pub(super) const ON_PUBACK: &[u8] = &[0x1F, 0x26];
pub(super) const ON_SUBSCRIBE: &[u8] = &[0x0B, 0x26];
pub(super) const ON_UNSUBSCRIBE: &[u8] = &[0x26];
pub(super) const ON_DISCONNECT: &[u8] = &[0x11, 0x1C, 0x1F, 0x26];
/// Properties of a PUBLISH that belong to the message and not to the connection it came by, and do not change.
const FORWARDED: &[u8] = &[0x01, 0x03, 0x08, 0x09, 0x26];

/// Section 2.2.2 of MQTT 5: a length, then identifiers each followed by a value of its own type.
pub(super) fn properties(input: &mut Input, allowed: &[u8]) -> Result<Properties, Malformed> {
    let length = input.variable()?;
    let mut input = Input(input.take(length)?);
    let mut found = Properties::default();
    let mut forward = BytesMut::new();
    while !input.0.is_empty() {
        let before = input.0.clone();
        let id = input.byte()?;
        if !allowed.contains(&id) {
            return Err(Malformed::Property(id));
        }
        match id {
            0x01 | 0x17 | 0x19 => {
                input.byte()?;
            }
            0x21 => found.receive_maximum = Some(input.packet_id()?),
            0x22 => {
                input.short()?;
            }
            0x23 => found.alias = Some(input.short()?),
            0x02 => found.expiry = Some(input.long()?),
            0x18 => {
                input.long()?;
            }
            0x11 => found.session_expiry = Some(input.long()?),
            0x27 => found.maximum_packet = Some(input.long()?),
            0x0B => {
                input.variable()?;
                found.identified = true;
            }
            0x03 | 0x08 | 0x15 | 0x1C | 0x1F => {
                input.text()?;
            }
            0x09 | 0x16 => {
                input.binary()?;
            }
            0x26 => {
                input.text()?;
                input.text()?;
            }
            other => return Err(Malformed::Property(other)),
        }
        if FORWARDED.contains(&id) {
            forward.put(before.slice(..before.len() - input.0.len()));
        }
    }
    found.forward = forward.freeze();
    Ok(found)
}
