//! The way from the engine to one connection: a queue of packets that never makes the engine wait.
//!
//! It is bounded by bytes and not by packets, so that a client that reads is not taken for one that does not because much
//! happens at once: a job for a thousand things is two thousand notifications to somebody who watches them all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use super::packet::Sent;

/// Bytes that may wait for a connection. A client with more than that waiting has stopped reading.
pub(crate) const MAX_WAITING: usize = 16 * 1024 * 1024;
/// What a packet costs besides its text, in bytes.
const OVERHEAD: usize = 128;

/// Why a packet was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// The connection has ended; its own end is on its way to the engine as an event.
    Ended,
    /// Too much is waiting.
    Full,
}

/// The engine's end. Dropping it closes the connection, once what waits is written.
#[derive(Debug)]
pub(crate) struct Outlet {
    packets: mpsc::UnboundedSender<Sent>,
    waiting: Arc<AtomicUsize>,
    most: usize,
}

/// The connection's end.
#[derive(Debug)]
pub(crate) struct Outgoing {
    packets: mpsc::UnboundedReceiver<Sent>,
    waiting: Arc<AtomicUsize>,
}

/// A queue for so many bytes.
pub(crate) fn outlet(most: usize) -> (Outlet, Outgoing) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    (Outlet { packets: sender, waiting: waiting.clone(), most }, Outgoing { packets: receiver, waiting })
}

impl Outlet {
    /// Takes a packet, if it is not too much.
    pub(crate) fn send(&self, packet: Sent) -> Result<(), NotTaken> {
        let weight = weight(&packet);
        let before = self.waiting.fetch_add(weight, Ordering::Relaxed);
        if before + weight > self.most {
            return Err(NotTaken::Full);
        }
        self.packets.send(packet).map_err(|_| NotTaken::Ended)
    }
}

impl Outgoing {
    /// The next packet; `None` when the engine has let go and everything is taken.
    pub(crate) async fn recv(&mut self) -> Option<Sent> {
        let packet = self.packets.recv().await?;
        Some(self.taken(packet))
    }

    /// The next packet, if there is one already.
    pub(crate) fn try_recv(&mut self) -> Option<Sent> {
        let packet = self.packets.try_recv().ok()?;
        Some(self.taken(packet))
    }

    fn taken(&self, packet: Sent) -> Sent {
        self.waiting.fetch_sub(weight(&packet), Ordering::Relaxed);
        packet
    }
}

fn weight(packet: &Sent) -> usize {
    OVERHEAD
        + match packet {
            Sent::Publish(publish) => publish.topic.len() + publish.properties.len() + publish.payload.len(),
            Sent::ConnAck(_)
            | Sent::PubAck { .. }
            | Sent::SubAck { .. }
            | Sent::UnsubAck { .. }
            | Sent::PingResp
            | Sent::Disconnect(_) => 0,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_bounded_and_what_is_taken_makes_room() {
        let (outlet, mut outgoing) = outlet(3 * OVERHEAD);
        for _ in 0..3 {
            assert_eq!(outlet.send(Sent::PingResp), Ok(()));
        }
        assert!(outgoing.try_recv().is_some());
        assert_eq!(outlet.send(Sent::PingResp), Ok(()));
        assert_eq!(outlet.send(Sent::PingResp), Err(NotTaken::Full));
    }

    #[test]
    fn what_was_taken_still_comes_when_the_engine_has_let_go() {
        let (outlet, mut outgoing) = outlet(MAX_WAITING);
        assert_eq!(outlet.send(Sent::PingResp), Ok(()));
        drop(outlet);
        assert_eq!(outgoing.try_recv(), Some(Sent::PingResp));
        assert_eq!(outgoing.try_recv(), None);
    }

    #[test]
    fn a_connection_that_has_ended_takes_nothing() {
        let (outlet, outgoing) = outlet(MAX_WAITING);
        drop(outgoing);
        assert_eq!(outlet.send(Sent::PingResp), Err(NotTaken::Ended));
    }
}
