//! What a client has shown in the TLS handshake, and what that lets it do.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::identity::{self, IdentityError};
use super::policy::Permit;
use crate::engine::Event;
use crate::pki::certificate_id;

/// A certificate that was found valid, or none.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    certificate: Option<Arc<[u8]>>,
    /// Where the policies of `init`'s certificates are; `None`: they may do everything.
    policies: Option<Arc<Path>>,
}

impl Shown {
    pub(crate) fn new(certificate: Option<&[u8]>, policies: Option<Arc<Path>>) -> Self {
        Self { certificate: certificate.map(Into::into), policies }
    }

    /// The id of the certificate.
    pub(crate) fn principal(&self) -> Option<String> {
        self.certificate.as_ref().map(|certificate| certificate_id(certificate))
    }

    /// Whether there is a certificate.
    pub(crate) fn is_certificate(&self) -> bool {
        self.certificate.is_some()
    }

    /// What its holder may do as a client of this id (`None`: over HTTPS, where there is no such id); the answer `None`:
    /// everything. Of certificates that the service has given out the engine knows; those of `init` have their policies
    /// in a directory, if policies are on.
    pub(crate) async fn permit(
        &self,
        client_id: Option<&str>,
        events: &mpsc::Sender<Event>,
    ) -> Result<Option<Arc<Permit>>, IdentityError> {
        let certificate = self.certificate.as_ref().ok_or(IdentityError::NoCertificate)?;
        if let Some(certificate) = identity::issued(certificate) {
            let (answer, outcome) = oneshot::channel();
            let client_id = client_id.map(str::to_owned);
            let question = Event::Judge { certificate, client_id, answer };
            events.send(question).await.map_err(|_| IdentityError::Stopping)?;
            return outcome.await.map_err(|_| IdentityError::Stopping)?.map(Some);
        }
        let Some(policies) = &self.policies else { return Ok(None) };
        identity::permit(policies, certificate, client_id).map(Some)
    }
}
