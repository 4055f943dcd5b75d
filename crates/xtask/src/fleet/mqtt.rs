//! As much of MQTT 3.1.1 as a device of the bench says.

/// A CONNECT with a clean session and the longest keep-alive, so that no ping falls into the time that is measured.
pub(super) fn connect(id: &str) -> Vec<u8> {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0x04, 0xB0];
    text(&mut body, id);
    packet(0x10, &body)
}

/// One SUBSCRIBE at QoS 1.
pub(super) fn subscribe(filters: &[String]) -> Vec<u8> {
    let mut body = vec![0, 1];
    for filter in filters {
        text(&mut body, filter);
        body.push(1);
    }
    packet(0x82, &body)
}

/// A PUBLISH at QoS 1.
pub(super) fn publish(topic: &str, payload: &str) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, topic);
    body.extend([0, 2]);
    body.extend(payload.as_bytes());
    packet(0x32, &body)
}

pub(super) fn puback(id: [u8; 2]) -> Vec<u8> {
    packet(0x40, &id)
}

/// A packet of the service, as far as the bench looks at it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Publish {
        topic: String,
        payload: Vec<u8>,
        id: Option<[u8; 2]>,
    },
    /// Its first byte, and what follows.
    Other(u8, Vec<u8>),
}

/// Takes the first packet out of the buffer, if it is all there.
pub(super) fn take(buffer: &mut Vec<u8>) -> Option<Heard> {
    let mut length = 0;
    let mut header = 1;
    loop {
        let byte = *buffer.get(header)?;
        length |= usize::from(byte & 0x7F) << (7 * (header - 1));
        header += 1;
        if byte & 0x80 == 0 || header > 4 {
            break;
        }
    }
    if buffer.len() < header + length {
        return None;
    }
    let packet: Vec<u8> = buffer.drain(..header + length).collect();
    let (first, body) = (packet[0], &packet[header..]);
    published(first, body).or_else(|| Some(Heard::Other(first, body.to_vec())))
}

fn published(first: u8, body: &[u8]) -> Option<Heard> {
    if first >> 4 != 3 {
        return None;
    }
    let (length, rest) = body.split_first_chunk::<2>()?;
    let (topic, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let topic = String::from_utf8(topic.to_vec()).ok()?;
    if first & 0b110 == 0 {
        return Some(Heard::Publish { topic, payload: rest.to_vec(), id: None });
    }
    let (id, payload) = rest.split_first_chunk::<2>()?;
    Some(Heard::Publish { topic, payload: payload.to_vec(), id: Some(*id) })
}

fn text(body: &mut Vec<u8>, text: &str) {
    body.extend(u16::try_from(text.len()).expect("names and topics of the bench are short").to_be_bytes());
    body.extend(text.as_bytes());
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut length = body.len();
    loop {
        let low = u8::try_from(length & 0x7F).expect("seven bits");
        length >>= 7;
        packet.push(if length == 0 { low } else { low | 0x80 });
        if length == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_taken_when_they_are_whole() {
        let publish = publish("a/notify", &"x".repeat(300));
        let mut buffer = Vec::new();
        for &byte in &publish[..publish.len() - 1] {
            buffer.push(byte);
            assert_eq!(take(&mut buffer), None);
        }
        buffer.extend(&publish[publish.len() - 1..]);
        buffer.extend([0xD0, 0]);
        let Some(Heard::Publish { topic, payload, id }) = take(&mut buffer) else { panic!("a PUBLISH") };
        assert_eq!((topic.as_str(), payload.len(), id), ("a/notify", 300, Some([0, 2])));
        assert_eq!(take(&mut buffer), Some(Heard::Other(0xD0, Vec::new())));
        assert!(buffer.is_empty());
    }

    #[test]
    fn a_connect_is_that_of_the_standard() {
        assert_eq!(connect("d"), b"\x10\x0D\0\x04MQTT\x04\x02\x04\xB0\0\x01d");
        assert_eq!(subscribe(&["a/+".to_owned()]), b"\x82\x08\0\x01\0\x03a/+\x01");
    }
}
