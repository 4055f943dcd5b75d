//! Another client of the broker, which publishes what it likes where it likes. The local service lets it, as a policy
//! that is too wide would.

use std::sync::Arc;
use std::time::Duration;

use rumqttc::{Client, Event, MqttOptions, Packet, QoS, TlsConfiguration, Transport};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::desk::Desk;

/// A connected client.
#[derive(Debug)]
pub struct Intruder {
    options: MqttOptions,
}

impl Intruder {
    /// A client with a certificate of its own from the authority of this service.
    #[must_use]
    pub fn new(desk: &Desk) -> Self {
        let identity = desk.device("intruder");
        let pem = |text: &str| CertificateDer::from_pem_slice(text.as_bytes()).expect("we made it");
        let mut roots = rustls::RootCertStore::empty();
        roots.add(pem(desk.authority().certificate())).expect("we made it");
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("we made it");
        let tls =
            rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("the provider has the default versions")
                .with_root_certificates(roots)
                .with_client_auth_cert(vec![pem(&identity.certificate)], key)
                .expect("certificate and key belong together");
        let mut options = MqttOptions::new("intruder", "localhost", desk.mqtt().port());
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(tls))));
        options.set_keep_alive(Duration::from_secs(60));
        options.set_max_packet_size(200_000, 200_000);
        Self { options }
    }

    /// Publishes all of it at QoS 1 and returns when the broker has taken the last one.
    pub fn publish(&self, messages: &[(String, Vec<u8>)]) {
        let (client, mut connection) = Client::new(self.options.clone(), messages.len() + 1);
        for (topic, payload) in messages {
            client
                .publish(topic, QoS::AtLeastOnce, false, payload.clone())
                .expect("the queue is as long as the messages are many");
        }
        let mut missing = messages.len();
        for event in connection.iter() {
            if let Event::Incoming(Packet::PubAck(_)) = event.expect("the broker serves the client") {
                missing -= 1;
            }
            if missing == 0 {
                return;
            }
        }
    }
}
