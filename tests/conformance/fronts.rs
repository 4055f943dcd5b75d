//! The real service as its clients meet it: HTTP as the AWS API has it, MQTT over TLS with a client certificate, and a
//! virtual clock. Its clients are written for this suite, byte by byte, so that nothing of ours is on both ends.

mod http;
mod mqtt;

use std::sync::OnceLock;
use std::time::Duration;

use local_service::pki::{Authority, Identity, Validity};
use local_service::{Options, Running, start};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::world::{Answer, Connect, Failure, Received, Subject};
use mqtt::{Client, Version};

/// Longer than a loaded machine takes; only a failing scenario waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What one scenario runs against.
pub(crate) struct Fronts {
    runtime: Runtime,
    running: Option<Running>,
    version: Version,
    tls: mqtt::Tls,
    clients: Vec<(String, bool, Client)>,
}

/// Keys are costly to make; all scenarios share these.
struct Keys {
    authority: Authority,
    server: Identity,
    device: Identity,
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let authority = Authority::new().expect("an authority can be made");
        let server = authority.server(&["localhost"], Validity::Long).expect("a certificate can be made");
        let device = authority.device("t1", Validity::Long).expect("a certificate can be made");
        Keys { authority, server, device }
    })
}

impl Fronts {
    /// A service of its own, spoken to by MQTT 3.1.1.
    pub(crate) fn v3() -> Self {
        Self::new(Version::Three)
    }

    /// And by MQTT 5.
    pub(crate) fn v5() -> Self {
        Self::new(Version::Five)
    }

    fn new(version: Version) -> Self {
        let keys = keys();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime can be built");
        let authority = keys.authority.certificate().to_owned();
        let options = Options {
            virtual_clock: true,
            ..Options::new(authority.clone(), keys.server.clone(), Vec::new())
        };
        let running = runtime.block_on(start(options)).expect("the service starts");
        let tls = mqtt::tls(&authority, &keys.device);
        Self { runtime, running: Some(running), version, tls, clients: Vec::new() }
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("it runs until it is dropped")
    }

    fn client(&mut self, name: &str) -> Result<&mut Client, Failure> {
        let found = self.clients.iter_mut().rev().find(|(known, ..)| known == name);
        found.map(|(.., client)| client).ok_or_else(|| format!("no client {name}"))
    }
}

impl Drop for Fronts {
    fn drop(&mut self) {
        self.clients.clear();
        if let Some(running) = self.running.take() {
            self.runtime.block_on(running.stop());
        }
    }
}

impl Subject for Fronts {
    fn now(&self) -> u64 {
        let clock = http::exchange(self.running().http, "GET", "/_fleethand/clock", "", "")
            .expect("it tells the time");
        clock.body["milliseconds"].as_u64().expect("a number")
    }

    fn call(&mut self, data: bool, operation: &str, params: Value) -> Result<Answer, Failure> {
        http::call(self.running().http, data, operation, params)
    }

    fn connect(&mut self, connect: &Connect<'_>) -> Result<bool, Failure> {
        let (client, present) = Client::connect(self.running().mqtt, &self.tls, self.version, connect)?;
        self.clients.push((connect.name.to_owned(), connect.silent, client));
        Ok(present)
    }

    fn subscribe(&mut self, client: &str, filters: Vec<String>, qos: u8) -> Result<bool, Failure> {
        self.client(client)?.subscribe(&filters, qos)
    }

    fn publish(&mut self, client: &str, topic: &str, payload: &[u8], qos: u8) -> Result<(), Failure> {
        self.client(client)?.publish(topic, payload, qos)
    }

    fn advance(&mut self, seconds: u64) -> Result<(), Failure> {
        let silent = self.clients.iter().any(|(_, silent, _)| *silent);
        let body = json!({"advanceSeconds": seconds, "silent": silent}).to_string();
        let answer = http::exchange(self.running().http, "POST", "/_fleethand/clock", "", &body)?;
        if answer.status == 200 { Ok(()) } else { Err(format!("the clock: {}", answer.body)) }
    }

    fn received(&mut self) -> Result<Vec<Received>, Failure> {
        let mut all = Vec::new();
        for (name, _, client) in &mut self.clients {
            for (topic, payload) in client.received()? {
                all.push(Received { client: name.clone(), topic, payload });
            }
        }
        Ok(all)
    }

    fn disconnect(&mut self, client: &str) -> Result<(), Failure> {
        self.client(client)?.disconnect()
    }

    fn expect_disconnect(&mut self, client: &str, reason: Option<u64>) -> Result<(), Failure> {
        self.client(client)?.expect_end(reason)
    }

    fn expect_connected(&mut self, client: &str) -> Result<(), Failure> {
        self.client(client)?.ping()
    }
}
