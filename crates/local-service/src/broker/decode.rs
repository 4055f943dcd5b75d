//! From bytes to [`Received`]: framing, MQTT 3.1.1 and MQTT 5, nothing else.
//!
//! Bytes come from anybody who holds a certificate: every length is checked before it is used, and nothing is
//! allocated for bytes that have not arrived. Sections named below are those of the OASIS standards.

mod input;
mod properties;

use bytes::{Buf, BytesMut};

use self::input::Input;
use self::properties::{
    ON_CONNECT, ON_DISCONNECT, ON_PUBACK, ON_PUBLISH, ON_SUBSCRIBE, ON_UNSUBSCRIBE, ON_WILL, Properties,
    properties,
};

use super::packet::{
    Connect, Disconnect, MAX_PACKET, Publish, Qos, Received, Subscribe, Unsubscribe, Version,
};

/// Why bytes are no packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("the packet is larger than {MAX_PACKET} bytes")]
    TooLarge,
    #[error("the packet ends inside a field")]
    Short,
    #[error("the packet has bytes behind its last field")]
    Long,
    #[error("a length is not a valid variable byte integer")]
    Length,
    #[error("a string is not UTF-8, or holds a null character")]
    Text,
    #[error("the first byte {0:#04x} is none of a client's packets")]
    Kind(u8),
    #[error("the protocol is not MQTT 3.1.1 or 5")]
    Protocol,
    #[error("a reserved flag is set, or flags contradict each other")]
    Flags,
    #[error("the packet id is 0")]
    PacketId,
    #[error("no filter in the packet")]
    NoFilter,
    #[error("{0:#04x} is no property, or not of this packet")]
    Property(u8),
}

/// Takes the next whole packet out of `buffer`; `None` if it has not arrived to its end.
///
/// `version` is that of the connection's CONNECT; before it, only a CONNECT is understood.
pub(crate) fn decode(buffer: &mut BytesMut, version: Option<Version>) -> Result<Option<Received>, Malformed> {
    let Some(&first) = buffer.first() else { return Ok(None) };
    if version.is_none() && first != 0x10 {
        // Whoever speaks another protocol is not waited for.
        return Err(Malformed::Kind(first));
    }
    let Some((header, length)) = frame(buffer)? else { return Ok(None) };
    if buffer.len() < header + length {
        buffer.reserve(header + length - buffer.len());
        return Ok(None);
    }
    let mut packet = buffer.split_to(header + length).freeze();
    packet.advance(header);
    let mut input = Input(packet);
    let received = match (first >> 4, version) {
        (1, None) => Received::Connect(connect(&mut input)?),
        (3, Some(version)) => Received::Publish(publish(first, &mut input, version)?),
        (4, Some(version)) => Received::PubAck(puback(&mut input, version)?),
        (8, Some(version)) => Received::Subscribe(subscribe(first, &mut input, version)?),
        (10, Some(version)) => Received::Unsubscribe(unsubscribe(first, &mut input, version)?),
        (12, Some(_)) => Received::PingReq,
        (14, Some(version)) => Received::Disconnect(disconnect(&mut input, version)?),
        _ => return Err(Malformed::Kind(first)),
    };
    if input.0.is_empty() { Ok(Some(received)) } else { Err(Malformed::Long) }
}

/// Length of the fixed header and of what follows it; `None` if the header is not complete.
fn frame(buffer: &BytesMut) -> Result<Option<(usize, usize)>, Malformed> {
    let mut length = 0;
    for index in 0..4 {
        let Some(&byte) = buffer.get(1 + index) else { return Ok(None) };
        length |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return if length > MAX_PACKET {
                Err(Malformed::TooLarge)
            } else {
                Ok(Some((2 + index, length)))
            };
        }
    }
    Err(Malformed::Length)
}

/// Section 3.1.
fn connect(input: &mut Input) -> Result<Connect, Malformed> {
    if input.text()? != "MQTT" {
        return Err(Malformed::Protocol);
    }
    let version = match input.byte()? {
        4 => Version::V311,
        5 => Version::V5,
        _ => return Err(Malformed::Protocol),
    };
    let flags = input.byte()?;
    let will_flags = flags & 0b0011_1000;
    if flags & 1 != 0 || (flags & 0b100 == 0 && will_flags != 0) {
        return Err(Malformed::Flags);
    }
    let keep_alive = input.short()?;
    let session = if version == Version::V5 { properties(input, ON_CONNECT)? } else { Properties::default() };
    let client_id = input.text()?;
    let will = if flags & 0b100 == 0 {
        None
    } else {
        let about = if version == Version::V5 { properties(input, ON_WILL)? } else { Properties::default() };
        Some(Publish {
            topic: input.text()?,
            payload: input.binary()?,
            qos: qos((flags >> 3) & 0b11)?,
            retain: flags & 0b10_0000 != 0,
            packet_id: 0,
            properties: about.forward,
            expiry: about.expiry,
            alias: None,
        })
    };
    if flags & 0b1000_0000 != 0 {
        // SDKs put their name and metadata into the user name. The certificate is the identity.
        input.text()?;
    }
    if flags & 0b0100_0000 != 0 {
        input.binary()?;
    }
    Ok(Connect {
        version,
        client_id,
        clean: flags & 0b10 != 0,
        keep_alive,
        session_expiry: session.session_expiry,
        receive_maximum: session.receive_maximum.unwrap_or(u16::MAX),
        maximum_packet: session.maximum_packet.unwrap_or(u32::MAX),
        will,
    })
}

/// Section 3.3.
fn publish(first: u8, input: &mut Input, version: Version) -> Result<Publish, Malformed> {
    let qos = qos((first >> 1) & 0b11)?;
    let topic = input.text()?;
    let packet_id = if qos == Qos::AtMostOnce { 0 } else { input.packet_id()? };
    let properties =
        if version == Version::V5 { properties(input, ON_PUBLISH)? } else { Properties::default() };
    let payload = std::mem::take(&mut input.0);
    Ok(Publish {
        topic,
        payload,
        qos,
        retain: first & 1 != 0,
        packet_id,
        properties: properties.forward,
        expiry: properties.expiry,
        alias: properties.alias,
    })
}

/// Section 3.4. Reason and properties may be left out and are not needed.
fn puback(input: &mut Input, version: Version) -> Result<u16, Malformed> {
    let packet_id = input.packet_id()?;
    if version == Version::V5 && !input.0.is_empty() {
        input.byte()?;
        if !input.0.is_empty() {
            properties(input, ON_PUBACK)?;
        }
    }
    Ok(packet_id)
}

/// Section 3.8.
fn subscribe(first: u8, input: &mut Input, version: Version) -> Result<Subscribe, Malformed> {
    if first & 0x0F != 0b0010 {
        return Err(Malformed::Flags);
    }
    let packet_id = input.packet_id()?;
    let properties =
        if version == Version::V5 { properties(input, ON_SUBSCRIBE)? } else { Properties::default() };
    let mut filters = Vec::new();
    while !input.0.is_empty() {
        let filter = input.text()?;
        let options = input.byte()?;
        // MQTT 5 has further options here (No Local and what to do with retained messages); AWS ignores No Local.
        let reserved = if version == Version::V311 { !0b11 } else { 0b1100_0000 };
        if options & reserved != 0 || options & 0b0011_0000 == 0b0011_0000 {
            return Err(Malformed::Flags);
        }
        filters.push((filter, qos(options & 0b11)?));
    }
    if filters.is_empty() {
        return Err(Malformed::NoFilter);
    }
    Ok(Subscribe { packet_id, filters, identified: properties.identified })
}

/// Section 3.10.
fn unsubscribe(first: u8, input: &mut Input, version: Version) -> Result<Unsubscribe, Malformed> {
    if first & 0x0F != 0b0010 {
        return Err(Malformed::Flags);
    }
    let packet_id = input.packet_id()?;
    if version == Version::V5 {
        properties(input, ON_UNSUBSCRIBE)?;
    }
    let mut filters = Vec::new();
    while !input.0.is_empty() {
        filters.push(input.text()?);
    }
    if filters.is_empty() { Err(Malformed::NoFilter) } else { Ok(Unsubscribe { packet_id, filters }) }
}

/// Section 3.14. `E0 00` is complete in both versions.
fn disconnect(input: &mut Input, version: Version) -> Result<Disconnect, Malformed> {
    let mut with_will = false;
    let mut session_expiry = None;
    if version == Version::V5 && !input.0.is_empty() {
        with_will = input.byte()? == 0x04;
        if !input.0.is_empty() {
            session_expiry = properties(input, ON_DISCONNECT)?.session_expiry;
        }
    }
    Ok(Disconnect { with_will, session_expiry })
}

fn qos(bits: u8) -> Result<Qos, Malformed> {
    match bits {
        0 => Ok(Qos::AtMostOnce),
        1 => Ok(Qos::AtLeastOnce),
        2 => Ok(Qos::ExactlyOnce),
        _ => Err(Malformed::Flags),
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;
    use rumqttc::mqttbytes::v4;
    use rumqttc::v5::mqttbytes::v5;

    use super::*;

    #[test]
    fn a_connect_names_its_version_and_what_the_session_shall_be() {
        let bytes = written_by_3(&v4::Packet::Connect(v4::Connect {
            keep_alive: 7,
            clean_session: false,
            ..v4::Connect::new("dev")
        }));
        let old = expect_connect(decode_all(&bytes, None));
        assert_eq!((old.version, old.clean, old.keep_alive), (Version::V311, false, 7));
        assert_eq!(old.client_id, "dev");

        let properties = v5::ConnectProperties {
            session_expiry_interval: Some(60),
            receive_maximum: Some(5),
            ..v5::ConnectProperties::new()
        };
        let connect = v5::Connect {
            keep_alive: 9,
            client_id: "dev5".into(),
            clean_start: true,
            properties: Some(properties),
        };
        let will = v5::LastWill::new("gone", "x", rumqttc::v5::mqttbytes::QoS::AtLeastOnce, false, None);
        let login = v5::Login::new("?SDK=some&Platform=any", "");
        let new = expect_connect(decode_all(
            &written_by_5(&v5::Packet::Connect(connect, Some(will), Some(login))),
            None,
        ));
        assert_eq!((new.version, new.session_expiry, new.receive_maximum), (Version::V5, Some(60), 5));
        assert_eq!(new.will.map(|will| will.topic), Some("gone".into()));
    }

    #[test]
    fn a_will_has_a_qos_and_may_be_retained() {
        for (flags, expected) in [
            (0b0000_0100_u8, Ok((Qos::AtMostOnce, false))),
            (0b0010_0100, Ok((Qos::AtMostOnce, true))),
            (0b0010_1100, Ok((Qos::AtLeastOnce, true))),
            (0b0001_0100, Ok((Qos::ExactlyOnce, false))),
            (0b0001_1100, Err(Malformed::Flags)),
            (0b0000_1000, Err(Malformed::Flags)),
            (0b0010_0000, Err(Malformed::Flags)),
        ] {
            let mut bytes = b"\x10\x15\x00\x04MQTT\x04\x02\x00\x3c\x00\x01c\x00\x01w\x00\x03bye".to_vec();
            bytes[9] |= flags;
            let will = decode_all(&bytes, None).map(|connect| {
                let Some(Received::Connect(Connect { will: Some(will), .. })) = connect else { panic!() };
                (will.qos, will.retain)
            });
            assert_eq!(will, expected, "{flags:#010b}");
        }
    }

    #[test]
    fn a_packet_is_taken_only_when_it_is_whole() {
        let mut publish = v4::Publish::new("a/b", rumqttc::QoS::AtLeastOnce, vec![1; 300]);
        publish.pkid = 3;
        let bytes = written_by_3(&v4::Packet::Publish(publish));
        for cut in 0..bytes.len() {
            let mut part = BytesMut::from(&bytes[..cut]);
            assert_eq!(decode(&mut part, Some(Version::V311)), Ok(None), "cut at {cut}");
            assert_eq!(part.len(), cut);
        }
        assert!(decode_all(&bytes, Some(Version::V311)).is_ok());
    }

    #[test]
    fn the_short_goodbye_is_understood_in_both_versions() {
        for version in [Version::V311, Version::V5] {
            let goodbye = Received::Disconnect(Disconnect { with_will: false, session_expiry: None });
            assert_eq!(decode_all(&[0xE0, 0x00], Some(version)), Ok(Some(goodbye)));
        }
    }

    #[test]
    fn properties_that_belong_to_the_message_are_kept_for_the_subscriber() {
        let properties = v5::PublishProperties {
            content_type: Some("text".into()),
            message_expiry_interval: Some(60),
            topic_alias: Some(1),
            user_properties: vec![("k".into(), "v".into())],
            ..v5::PublishProperties::default()
        };
        let publish =
            v5::Publish::new("t", rumqttc::v5::mqttbytes::QoS::AtMostOnce, "payload", Some(properties));
        let bytes = written_by_5(&v5::Packet::Publish(publish));
        let Ok(Some(Received::Publish(publish))) = decode_all(&bytes, Some(Version::V5)) else {
            panic!("no publication")
        };
        assert_eq!(publish.alias, Some(1));
        assert_eq!(publish.expiry, Some(60));
        assert_eq!(&publish.payload[..], b"payload");
        let mut kept: Vec<u8> = publish.properties.to_vec();
        kept.sort_unstable();
        let mut wanted = b"\x03\x00\x04text\x26\x00\x01k\x00\x01v".to_vec();
        wanted.sort_unstable();
        assert_eq!(kept, wanted);
    }

    #[test]
    fn what_is_not_a_clients_packet_is_refused() {
        let now = Some(Version::V5);
        assert_eq!(decode_all(&[0x20, 0x00], now), Err(Malformed::Kind(0x20)));
        assert_eq!(decode_all(&[0xF0, 0x00], now), Err(Malformed::Kind(0xF0)));
        assert_eq!(decode_all(&[0xC0, 0x00], None), Err(Malformed::Kind(0xC0)));
        assert_eq!(decode_all(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F], now), Err(Malformed::TooLarge));
        assert_eq!(decode_all(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], now), Err(Malformed::Length));
        assert_eq!(decode_all(&[0x30, 0x02, 0x00, 0x05], now), Err(Malformed::Short));
        assert_eq!(decode_all(&[0x40, 0x02, 0x00, 0x00], now), Err(Malformed::PacketId));
        assert_eq!(decode_all(&[0x82, 0x03, 0x00, 0x01, 0x00], now), Err(Malformed::NoFilter));
        assert_eq!(decode_all(&[0xC0, 0x01, 0x00], now), Err(Malformed::Long));
        for options in [0b0011_0000, 0b0100_0000, 0b1000_0000] {
            let packet = [0x82, 0x07, 0x00, 0x01, 0x00, 0x00, 0x01, b'a', options];
            assert_eq!(decode_all(&packet, now), Err(Malformed::Flags), "{options:#010b}");
        }
    }

    #[test]
    fn no_bytes_make_the_decoder_panic() {
        // A small generator of our own: the same bytes in every run, so that a failure can be looked at.
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        for round in 0..60_000_u32 {
            let mut bytes = BytesMut::new();
            bytes.put_u8([0x10, 0x32, 0x40, 0x82, 0xA2, 0xE0, 0x30, 0x34][round as usize % 8]);
            let mut body = Vec::new();
            for _ in 0..round % 40 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let low = state.to_le_bytes();
                body.push(if low[1] < 150 { low[0] % 8 } else { low[0] });
            }
            bytes.put_u8(u8::try_from(body.len()).unwrap());
            bytes.put_slice(&body);
            for version in [None, Some(Version::V311), Some(Version::V5)] {
                let whole = decode(&mut bytes.clone(), version);
                assert_ne!(whole, Ok(None), "a whole packet is either taken or refused");
            }
        }
    }

    fn decode_all(bytes: &[u8], version: Option<Version>) -> Result<Option<Received>, Malformed> {
        decode(&mut BytesMut::from(bytes), version)
    }

    fn expect_connect(outcome: Result<Option<Received>, Malformed>) -> Connect {
        match outcome {
            Ok(Some(Received::Connect(connect))) => connect,
            other => panic!("no CONNECT: {other:?}"),
        }
    }

    fn written_by_3(packet: &v4::Packet) -> BytesMut {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, usize::MAX).unwrap();
        bytes
    }

    fn written_by_5(packet: &v5::Packet) -> BytesMut {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, None).unwrap();
        bytes
    }
}
