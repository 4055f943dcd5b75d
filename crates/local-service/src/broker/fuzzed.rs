//! Bytes of any content as a client of the local broker might send them: packets or an error, and never a wait for
//! more than was announced.
//!
//! The first byte says which version was agreed on before: none (`0`), 3.1.1 (`4`) or 5. The fuzzer (`fuzz/`) calls
//! [`run`] with whatever it likes.

use bytes::BytesMut;

use super::decode::decode;
use super::packet::{MAX_PACKET, Version};

pub(crate) fn run(data: &[u8]) {
    let Some((version, bytes)) = data.split_first() else { return };
    let version = match version {
        b'0' => None,
        b'4' => Some(Version::V311),
        _ => Some(Version::V5),
    };
    let mut buffer = BytesMut::from(bytes);
    loop {
        let before = buffer.len();
        match decode(&mut buffer, version) {
            Ok(Some(_)) => assert!(buffer.len() < before, "a packet takes up bytes"),
            Ok(None) => {
                assert!(buffer.len() < MAX_PACKET + 5, "whoever waits for more takes no end");
                assert!(buffer.capacity() < 4 * MAX_PACKET, "and keeps no room for what did not come");
                break;
            }
            Err(_) => break,
        }
    }
}

#[cfg(test)]
#[path = "../../../../fuzz/kept.rs"]
mod kept;

#[test]
fn every_kept_input_passes() {
    kept::replay("packets", run);
}
