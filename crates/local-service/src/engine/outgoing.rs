//! What leaves the engine, and what is saved before it does.

use super::{Engine, Out};
use crate::broker::hub::ConnectionId;
use crate::broker::outlet::NotTaken;
use crate::broker::packet::Sent;
use crate::jobs::JobsTap;
use crate::store::{Entry, StoreError};

impl<T: JobsTap> Engine<T> {
    /// Notes what changes the state, if state is kept.
    pub(super) fn keep(&mut self, entry: impl FnOnce() -> Entry) {
        if self.store.is_some() {
            self.unsaved.push(entry());
        }
    }

    /// Saves what has changed.
    fn save(&mut self) -> Result<(), StoreError> {
        let Some(store) = &mut self.store else { return Ok(()) };
        self.unsaved.extend(self.hub.take_kept().into_iter().map(Entry::Session));
        if self.unsaved.is_empty() {
            return Ok(());
        }
        store.append(&self.unsaved)?;
        self.unsaved.clear();
        if store.wants_snapshot() {
            store.replace(self.clock.now(), self.jobs.save()?, self.hub.save())?;
        }
        Ok(())
    }

    /// Saves what has changed, and lets go out what follows from it.
    pub(crate) fn flush(&mut self) -> Result<(), StoreError> {
        loop {
            self.save()?;
            if self.outbox.is_empty() {
                return Ok(());
            }
            for out in std::mem::take(&mut self.outbox) {
                match out {
                    Out::Packet(connection, packet) => self.send(connection, packet),
                    Out::Close(connection) => {
                        self.peers.remove(&connection);
                    }
                    Out::Cut(connection) => self.drop_peer(connection),
                    Out::Answer(answer, outcome) => {
                        if answer.send(outcome).is_err() {
                            tracing::debug!("A caller went away before the answer");
                        }
                    }
                }
            }
        }
    }

    fn send(&mut self, to: ConnectionId, packet: Sent) {
        let Some(peer) = self.peers.get(&to) else { return };
        match peer.out.send(packet) {
            Ok(()) | Err(NotTaken::Ended) => {}
            Err(NotTaken::Full) => {
                tracing::warn!(connection = to.0, "A client that does not read is dropped");
                self.drop_peer(to);
                let now = self.clock.now();
                let effects = self.hub.on_gone(to, now);
                self.perform(effects, now);
            }
        }
    }

    fn drop_peer(&mut self, connection: ConnectionId) {
        if let Some(peer) = self.peers.remove(&connection)
            && peer.cut.send(()).is_err()
        {
            tracing::debug!(connection = connection.0, "It was gone already");
        }
    }
}
