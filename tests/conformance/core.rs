//! The service's core in virtual time, without a transport.
//!
//! Of the broker only so much is here as the scenarios about Jobs need: a reply reaches the client that asked, a
//! publication every connected client with a filter that covers it, once.

use serde_json::{Value, json};
use service_core::{ControlError, ControlOutcome, EpochMillis, Message, Service, Settings};

use crate::filter::covers;
use crate::world::{Answer, Connect, Failure, Received, Subject};

/// What is done to the service's publications on their way, to see that the scenarios notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Notifications are lost.
    Mute,
    /// Notifications come twice.
    Echo,
}

struct Client {
    name: String,
    id: String,
    connected: bool,
    filters: Vec<String>,
    inbox: Vec<Message>,
}

pub(crate) struct Core {
    service: Service,
    now: EpochMillis,
    clients: Vec<Client>,
    fault: Fault,
}

/// When every scenario begins.
const START: u64 = 1_720_000_000_000;
/// What a step takes: the clock never stands still between two steps.
const STEP: u64 = 7;

impl Core {
    pub(crate) fn new(fault: Fault) -> Self {
        let service = Service::new(Settings::default());
        Self { service, now: EpochMillis(START), clients: Vec::new(), fault }
    }

    fn client(&mut self, name: &str) -> Result<&mut Client, Failure> {
        let connected = self.clients.iter_mut().find(|client| client.name == name && client.connected);
        connected.ok_or_else(|| format!("no client {name}"))
    }

    fn deliver(&mut self, publications: Vec<Message>) {
        let copies = match self.fault {
            Fault::None => 1,
            Fault::Mute => 0,
            Fault::Echo => 2,
        };
        for publication in publications {
            let covered = |client: &&mut Client| {
                client.connected && client.filters.iter().any(|filter| covers(filter, &publication.topic))
            };
            for client in self.clients.iter_mut().filter(covered) {
                client.inbox.extend((0..copies).map(|_| publication.clone()));
            }
        }
    }
}

impl Subject for Core {
    fn now(&self) -> u64 {
        self.now.0
    }

    fn next_step(&mut self) {
        self.now.0 += STEP;
    }

    fn call(&mut self, data: bool, operation: &str, params: Value) -> Result<Answer, Failure> {
        let ControlOutcome { result, publications } = if data {
            self.service.data_plane(operation, params, self.now)
        } else {
            self.service.control(operation, params, self.now)
        };
        self.deliver(publications);
        Ok(match result {
            Ok(body) => Answer { status: 200, error: Value::Null, body },
            Err(ControlError { name, status, message, .. }) => {
                Answer { status, error: json!(name), body: json!({"message": message}) }
            }
        })
    }

    fn connect(&mut self, connect: &Connect<'_>) -> Result<bool, Failure> {
        let (name, id) = (connect.name.to_owned(), connect.id.to_owned());
        self.clients.iter_mut().filter(|client| client.id == id).for_each(|client| client.connected = false);
        self.clients.push(Client { name, id, connected: true, filters: Vec::new(), inbox: Vec::new() });
        Ok(false)
    }

    fn subscribe(&mut self, client: &str, filters: Vec<String>, _qos: u8) -> Result<bool, Failure> {
        self.client(client)?.filters.extend(filters);
        Ok(true)
    }

    fn publish(&mut self, client: &str, topic: &str, payload: &[u8], _qos: u8) -> Result<(), Failure> {
        let outcome = self.service.device_message(topic, payload, self.now);
        self.client(client)?.inbox.extend(outcome.reply);
        self.deliver(outcome.publications);
        Ok(())
    }

    fn advance(&mut self, seconds: u64) -> Result<(), Failure> {
        let end = EpochMillis(self.now.0 + 1000 * seconds);
        while let Some(deadline) = self.service.deadline().filter(|deadline| *deadline <= end) {
            self.now = deadline.max(self.now);
            let publications = self.service.on_deadline(self.now);
            self.deliver(publications);
        }
        self.now = end;
        Ok(())
    }

    fn received(&mut self) -> Result<Vec<Received>, Failure> {
        let mut all = Vec::new();
        for client in &mut self.clients {
            let name = client.name.clone();
            let inbox = client.inbox.drain(..);
            all.extend(inbox.map(|Message { topic, payload }| Received {
                client: name.clone(),
                topic,
                payload,
            }));
        }
        Ok(all)
    }

    fn disconnect(&mut self, client: &str) -> Result<(), Failure> {
        self.client(client)?.connected = false;
        Ok(())
    }

    fn expect_disconnect(&mut self, _client: &str, _reason: Option<u64>) -> Result<(), Failure> {
        Err("the core closes no connections".to_owned())
    }

    fn expect_connected(&mut self, client: &str) -> Result<(), Failure> {
        self.client(client).map(drop)
    }
}
