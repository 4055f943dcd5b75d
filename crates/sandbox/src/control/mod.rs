//! The control plane: the few operations of `iot` that the commands need, and the ways to call them.

#[cfg(feature = "aws")]
mod aws;
mod http;

use std::error::Error;

use jobs_protocol::{ExecutionNumber, JobId, ThingName};

use crate::json::{Json, NotJson};
use crate::place::ControlPlace;
#[cfg(feature = "aws")]
use aws::Aws;
use http::Http;

/// An operation with its members.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Call<'a> {
    DescribeThing {
        thing: &'a ThingName,
    },
    CreateThing {
        thing: &'a ThingName,
    },
    CreateJob {
        job: &'a JobId,
        target: &'a str,
        document: &'a str,
    },
    CancelJob {
        job: &'a JobId,
        force: bool,
    },
    DeleteJob {
        job: &'a JobId,
        force: bool,
    },
    ListJobs {
        status: Option<&'a str>,
        next_token: Option<&'a str>,
    },
    DescribeJobExecution {
        thing: &'a ThingName,
        job: &'a JobId,
        number: ExecutionNumber,
    },
    /// Switches job and job execution events on.
    UpdateEventConfigurations,
}

impl Call<'_> {
    /// As AWS names it.
    pub(crate) fn operation(&self) -> &'static str {
        match self {
            Self::DescribeThing { .. } => "DescribeThing",
            Self::CreateThing { .. } => "CreateThing",
            Self::CreateJob { .. } => "CreateJob",
            Self::CancelJob { .. } => "CancelJob",
            Self::DeleteJob { .. } => "DeleteJob",
            Self::ListJobs { .. } => "ListJobs",
            Self::DescribeJobExecution { .. } => "DescribeJobExecution",
            Self::UpdateEventConfigurations => "UpdateEventConfigurations",
        }
    }
}

/// Why an operation has not been done, or may not have been.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    #[error("{operation}: no answer from {service}; check that it can be reached from here")]
    Unreachable { operation: &'static str, service: String, source: Box<dyn Error + Send + Sync> },
    #[error("{operation} was refused: {code}: {message}")]
    Refused { operation: &'static str, code: String, message: String },
    #[error("{operation}: the answer of {service} is no JSON; check that this is the service's HTTP address")]
    Strange { operation: &'static str, service: String, source: NotJson },
    #[cfg(feature = "aws")]
    #[error("the client for AWS cannot be set up")]
    Setup { source: std::io::Error },
    #[cfg(feature = "aws")]
    #[error("{operation}: {service} cannot be called; check region, credentials and network")]
    NotCalled { operation: &'static str, service: String, source: Box<dyn Error + Send + Sync> },
}

impl ControlError {
    /// Whether the service says that there is no such resource.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "ResourceNotFoundException")
    }
}

/// A way to the control plane.
#[derive(Debug)]
pub(crate) enum Control {
    /// Plain HTTP without signatures: the local service.
    Http(Http),
    /// The AWS SDK, with the credentials that it finds.
    #[cfg(feature = "aws")]
    Aws(Box<Aws>),
}

impl Control {
    /// Opens nothing yet.
    #[cfg_attr(
        not(feature = "aws"),
        expect(clippy::unnecessary_wraps, reason = "plain HTTP cannot fail here")
    )]
    pub(crate) fn new(place: &ControlPlace) -> Result<Self, ControlError> {
        match place {
            ControlPlace::Http(url) => Ok(Self::Http(Http::new(url))),
            #[cfg(feature = "aws")]
            ControlPlace::Aws { region, service } => {
                Ok(Self::Aws(Box::new(Aws::new(region.clone(), service.clone())?)))
            }
        }
    }

    /// Calls an operation and waits for its answer.
    pub(crate) fn call(&self, call: &Call<'_>) -> Result<Json, ControlError> {
        match self {
            Self::Http(http) => http.call(call),
            #[cfg(feature = "aws")]
            Self::Aws(aws) => aws.call(call),
        }
    }
}
