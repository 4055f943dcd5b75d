//! `create-job`.

use std::str::FromStr;

use clap::Args;
use jobs_protocol::JobId;
use serde_json::value::RawValue;

use super::call;
use crate::control::Call;
use crate::session::{CommandError, Session};

/// Creates a job for the thing; the thing too, if there is none.
#[derive(Debug, Args)]
pub(crate) struct CreateJob {
    /// The job's id.
    job_id: JobId,
    /// The job document, as JSON.
    document: Document,
}

/// A text that is JSON; whether it makes sense is for the device to say.
#[derive(Debug, Clone)]
struct Document(String);

impl FromStr for Document {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match serde_json::from_str::<&RawValue>(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(format!("the document is not JSON: {error}")),
        }
    }
}

impl CreateJob {
    pub(super) fn run(self, session: &Session) -> Result<(), CommandError> {
        let target = session.thing_arn()?;
        call(session, &Call::CreateJob { job: &self.job_id, target, document: &self.document.0 })
    }
}
