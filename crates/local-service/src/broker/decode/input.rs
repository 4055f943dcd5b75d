//! The fields that MQTT packets are made of, taken from the front of what is left of a packet.

use bytes::{Buf, Bytes};

use super::Malformed;

/// What is left of a packet.
pub(super) struct Input(pub(super) Bytes);

impl Input {
    pub(super) fn take(&mut self, length: usize) -> Result<Bytes, Malformed> {
        if length > self.0.len() { Err(Malformed::Short) } else { Ok(self.0.split_to(length)) }
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        self.0.try_get_u8().map_err(|_| Malformed::Short)
    }

    pub(super) fn short(&mut self) -> Result<u16, Malformed> {
        self.0.try_get_u16().map_err(|_| Malformed::Short)
    }

    pub(super) fn long(&mut self) -> Result<u32, Malformed> {
        self.0.try_get_u32().map_err(|_| Malformed::Short)
    }

    pub(super) fn packet_id(&mut self) -> Result<u16, Malformed> {
        match self.short()? {
            0 => Err(Malformed::PacketId),
            id => Ok(id),
        }
    }

    pub(super) fn binary(&mut self) -> Result<Bytes, Malformed> {
        let length = self.short()?;
        self.take(length.into())
    }

    pub(super) fn text(&mut self) -> Result<String, Malformed> {
        let text = String::from_utf8(self.binary()?.into()).map_err(|_| Malformed::Text)?;
        if text.contains('\0') { Err(Malformed::Text) } else { Ok(text) }
    }

    pub(super) fn variable(&mut self) -> Result<usize, Malformed> {
        let mut value = 0;
        for index in 0..4 {
            let byte = self.byte()?;
            value |= usize::from(byte & 0x7F) << (7 * index);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed::Length)
    }
}
