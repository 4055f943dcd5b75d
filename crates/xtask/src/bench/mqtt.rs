//! As much of MQTT 3.1.1 as it takes to find the packets in a stream and to read a PUBLISH (sections 2.2 and 3.3 of
//! the standard).

/// A packet that is complete in the buffer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packet {
    /// Its length in bytes, header included.
    pub(super) length: usize,
    /// What it publishes, if it is a PUBLISH.
    pub(super) publish: Option<Publish>,
}

/// The content of a PUBLISH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Publish {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
}

/// The bytes cannot be MQTT.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotMqtt;

/// The first packet in the buffer; None while it is not all there.
pub(super) fn first(buffer: &[u8]) -> Result<Option<Packet>, NotMqtt> {
    let Some((&kind, rest)) = buffer.split_first() else { return Ok(None) };
    let mut remaining = 0;
    for (index, &byte) in rest.iter().take(4).enumerate() {
        remaining |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let body = &rest[index + 1..];
            let Some(body) = body.get(..remaining) else { return Ok(None) };
            let publish = if kind >> 4 == 3 { Some(publish(kind, body).ok_or(NotMqtt)?) } else { None };
            return Ok(Some(Packet { length: 2 + index + remaining, publish }));
        }
    }
    if rest.len() < 4 { Ok(None) } else { Err(NotMqtt) }
}

fn publish(kind: u8, body: &[u8]) -> Option<Publish> {
    let (length, rest) = body.split_first_chunk::<2>()?;
    let (topic, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    // With QoS 0 there is no packet identifier.
    let payload = if kind & 0x06 == 0 { rest } else { rest.get(2..)? };
    Some(Publish { topic: String::from_utf8(topic.to_vec()).ok()?, payload: payload.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISH_AT_QOS_1: &[u8] = b"\x32\x07\0\x01t\0\x2ahi";

    #[test]
    fn a_publish_is_read_as_soon_as_it_is_complete() {
        for end in 0..PUBLISH_AT_QOS_1.len() {
            assert_eq!(first(&PUBLISH_AT_QOS_1[..end]), Ok(None), "{end}");
        }
        let publish = Publish { topic: "t".into(), payload: b"hi".to_vec() };
        let packet = Packet { length: 9, publish: Some(publish) };
        assert_eq!(first(&[PUBLISH_AT_QOS_1, b"\xc0\0"].concat()), Ok(Some(packet)));
    }

    #[test]
    fn other_packets_are_only_measured() {
        assert_eq!(first(b"\xc0\0"), Ok(Some(Packet { length: 2, publish: None })));
        let long = [b"\x10\x80\x01".as_slice(), &[0; 128]].concat();
        assert_eq!(first(&long), Ok(Some(Packet { length: 131, publish: None })));
    }

    #[test]
    fn what_cannot_be_mqtt_is_told_apart_from_what_is_incomplete() {
        assert_eq!(first(b"\x30\xff\xff\xff\xff\x01"), Err(NotMqtt));
        assert_eq!(first(b"\x30\x02\0\x09"), Err(NotMqtt));
    }
}
