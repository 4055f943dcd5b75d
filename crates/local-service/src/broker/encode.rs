//! From [`Sent`] to bytes, for MQTT 3.1.1 and MQTT 5.
//!
//! The broker writes only packets that it has made or checked itself, so writing cannot fail. Sections named below
//! are those of the OASIS standards.

use bytes::{BufMut, BytesMut};

use super::packet::{ConnAck, MAX_ALIASES, MAX_PACKET, Publish, RECEIVE_MAXIMUM, Reason, Sent, Version};

/// Bytes of the message expiry property.
const EXPIRY_SIZE: usize = 5;

/// Appends `packet` to `out` in the form of `version`.
pub(crate) fn encode(packet: &Sent, version: Version, out: &mut BytesMut) {
    let five = version == Version::V5;
    let mut body = BytesMut::new();
    let first = match packet {
        Sent::ConnAck(answer) => {
            connack(answer, version, &mut body);
            0x20
        }
        Sent::Publish(message) => {
            put_text(&mut body, &message.topic);
            if message.packet_id != 0 {
                body.put_u16(message.packet_id);
            }
            if five {
                let expiry = message.expiry.map_or(0, |_| EXPIRY_SIZE);
                put_length(&mut body, message.properties.len() + expiry);
                body.put_slice(&message.properties);
                if let Some(seconds) = message.expiry {
                    body.put_u8(0x02);
                    body.put_u32(seconds);
                }
            }
            body.put_slice(&message.payload);
            0x30 | (message.qos.bits() << 1) | u8::from(message.retain)
        }
        Sent::PubAck { packet_id, reason } => {
            body.put_u16(*packet_id);
            if five && *reason != Reason::Success {
                body.put_u8(reason.code());
                body.put_u8(0);
            }
            0x40
        }
        Sent::SubAck { packet_id, grants } => {
            body.put_u16(*packet_id);
            if five {
                body.put_u8(0);
            }
            body.extend(grants.iter().map(|grant| match grant {
                Ok(qos) => qos.bits(),
                Err(reason) if five => reason.code(),
                Err(_) => 0x80,
            }));
            0x90
        }
        Sent::UnsubAck { packet_id, found } => {
            body.put_u16(*packet_id);
            if five {
                body.put_u8(0);
                body.extend(found.iter().map(|&found| if found { 0x00_u8 } else { 0x11 }));
            }
            0xB0
        }
        Sent::PingResp => 0xD0,
        Sent::Disconnect(reason) if five => {
            body.put_u8(reason.code());
            body.put_u8(0);
            0xE0
        }
        Sent::Disconnect(_) => return,
    };
    out.reserve(5 + body.len());
    out.put_u8(first);
    put_length(out, body.len());
    out.put_slice(&body);
}

/// An upper bound for the size of a publication on the wire, in bytes; what a client's Maximum Packet Size is
/// compared with.
pub(crate) fn size(message: &Publish) -> usize {
    5 + 2 + message.topic.len() + 2 + 4 + message.properties.len() + EXPIRY_SIZE + message.payload.len()
}

/// Section 3.2. The limits are those of AWS IoT Core; what it does not offer is said to be absent.
fn connack(answer: &ConnAck, version: Version, body: &mut BytesMut) {
    body.put_u8(u8::from(answer.session_present));
    match version {
        // 3.1.1 has codes of its own; a client id that is not accepted is the only refusal that is answered.
        Version::V311 => body.put_u8(if answer.reason == Reason::Success { 0 } else { 2 }),
        Version::V5 => {
            body.put_u8(answer.reason.code());
            let mut properties = BytesMut::new();
            if answer.reason == Reason::Success {
                properties.put_u8(0x21);
                properties.put_u16(RECEIVE_MAXIMUM);
                properties.put_u8(0x22);
                properties.put_u16(MAX_ALIASES);
                properties.put_u8(0x24);
                properties.put_u8(1);
                properties.put_u8(0x27);
                properties.put_u32(u32::try_from(MAX_PACKET).expect("the limit is far below 4 GB"));
                // No subscription identifiers.
                properties.put_u8(0x29);
                properties.put_u8(0);
                if let Some(seconds) = answer.session_expiry {
                    properties.put_u8(0x11);
                    properties.put_u32(seconds);
                }
                if let Some(seconds) = answer.server_keep_alive {
                    properties.put_u8(0x13);
                    properties.put_u16(seconds);
                }
                if let Some(id) = &answer.assigned_client_id {
                    properties.put_u8(0x12);
                    put_text(&mut properties, id);
                }
            }
            put_length(body, properties.len());
            body.put_slice(&properties);
        }
    }
}

/// A string with its length in two bytes. Topics and client ids are at most 256 bytes long.
fn put_text(out: &mut BytesMut, text: &str) {
    out.put_u16(u16::try_from(text.len()).expect("topics and client ids are checked when they arrive"));
    out.put_slice(text.as_bytes());
}

/// A variable byte integer.
fn put_length(out: &mut BytesMut, mut length: usize) {
    loop {
        let [low, ..] = (length & 0x7F).to_le_bytes();
        length >>= 7;
        if length == 0 {
            out.put_u8(low);
            return;
        }
        out.put_u8(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rumqttc::mqttbytes::v4;
    use rumqttc::v5::mqttbytes::v5;

    use super::*;
    use crate::broker::packet::Qos;

    #[test]
    fn a_3_1_1_client_reads_what_is_written() {
        let connack = ConnAck {
            session_present: true,
            reason: Reason::Success,
            server_keep_alive: Some(30),
            session_expiry: None,
            assigned_client_id: None,
        };
        let v4::Packet::ConnAck(answer) = read_3(&Sent::ConnAck(connack)) else { panic!() };
        assert!(answer.session_present);

        let v4::Packet::Publish(message) = read_3(&Sent::Publish(message(300))) else { panic!() };
        assert_eq!((message.pkid, message.payload.len(), message.dup), (7, 300, false));

        let grants = vec![Ok(Qos::AtLeastOnce), Err(Reason::TopicFilterInvalid)];
        let v4::Packet::SubAck(answer) = read_3(&Sent::SubAck { packet_id: 3, grants }) else { panic!() };
        assert_eq!(
            answer.return_codes,
            [v4::SubscribeReasonCode::Success(rumqttc::QoS::AtLeastOnce), v4::SubscribeReasonCode::Failure]
        );
        assert!(matches!(
            read_3(&Sent::UnsubAck { packet_id: 4, found: vec![true] }),
            v4::Packet::UnsubAck(_)
        ));
        assert_eq!(read_3(&Sent::PingResp), v4::Packet::PingResp);
    }

    #[test]
    fn a_goodbye_is_not_written_to_a_3_1_1_client() {
        let mut out = BytesMut::new();
        encode(&Sent::Disconnect(Reason::SessionTakenOver), Version::V311, &mut out);
        assert!(out.is_empty());
    }

    #[test]
    fn an_mqtt_5_client_reads_what_is_written() {
        let connack = ConnAck {
            session_present: false,
            reason: Reason::Success,
            server_keep_alive: Some(1200),
            session_expiry: Some(3600),
            assigned_client_id: Some("made-up".into()),
        };
        let v5::Packet::ConnAck(answer) = read_5(&Sent::ConnAck(connack)) else { panic!() };
        let properties = answer.properties.unwrap();
        assert_eq!(properties.max_qos, Some(1));
        assert_eq!(properties.server_keep_alive, Some(1200));
        assert_eq!(properties.assigned_client_identifier.as_deref(), Some("made-up"));

        let v5::Packet::Publish(message) = read_5(&Sent::Publish(message(20_000))) else { panic!() };
        assert_eq!(message.payload.len(), 20_000);
        let properties = message.properties.unwrap();
        assert_eq!(properties.content_type.as_deref(), Some("text"));
        assert_eq!(properties.message_expiry_interval, Some(60));

        let refusal = Sent::PubAck { packet_id: 9, reason: Reason::TopicNameInvalid };
        let v5::Packet::PubAck(answer) = read_5(&refusal) else { panic!() };
        assert_eq!(answer.reason, v5::PubAckReason::TopicNameInvalid);

        let v5::Packet::Disconnect(goodbye) = read_5(&Sent::Disconnect(Reason::SessionTakenOver)) else {
            panic!()
        };
        assert_eq!(goodbye.reason_code, v5::DisconnectReasonCode::SessionTakenOver);
    }

    #[test]
    fn the_size_of_a_message_is_not_underestimated() {
        for length in [0, 200, 20_000] {
            let mut out = BytesMut::new();
            encode(&Sent::Publish(message(length)), Version::V5, &mut out);
            assert!(out.len() <= size(&message(length)));
        }
    }

    fn message(length: usize) -> Publish {
        Publish {
            topic: "a/b".into(),
            payload: vec![b'x'; length].into(),
            qos: Qos::AtLeastOnce,
            retain: false,
            packet_id: 7,
            properties: Bytes::from_static(b"\x03\x00\x04text"),
            expiry: Some(60),
            alias: None,
        }
    }

    fn read_3(packet: &Sent) -> v4::Packet {
        let mut out = BytesMut::new();
        encode(packet, Version::V311, &mut out);
        v4::Packet::read(&mut out, usize::MAX).unwrap()
    }

    fn read_5(packet: &Sent) -> v5::Packet {
        let mut out = BytesMut::new();
        encode(packet, Version::V5, &mut out);
        v5::Packet::read(&mut out, None).unwrap()
    }
}
