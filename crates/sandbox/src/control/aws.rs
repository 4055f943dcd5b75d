//! The control plane through the AWS SDK: AWS itself with the credentials of the default chain, or whatever
//! `AWS_ENDPOINT_URL_IOT` names in its place.
//!
//! The SDK makes the request and judges the answer; what is shown is the answer's own text, as with plain HTTP.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_iot::Client;
use aws_sdk_iot::config::interceptors::AfterDeserializationInterceptorContextRef;
use aws_sdk_iot::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_iot::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_sdk_iot::types::{Configuration, EventType, JobStatus, TargetSelection};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use tokio::runtime::Runtime;

use super::{Call, ControlError};
use crate::json::{Json, harmless};

/// The page of a listing: the most that AWS gives at once.
const PAGE: i32 = 250;

/// A client, and the runtime it works in.
#[derive(Debug)]
pub(crate) struct Aws {
    runtime: Runtime,
    client: Client,
    /// Its name for people.
    service: String,
}

impl Aws {
    /// Finds out who we are as every AWS client does; nothing is called yet.
    pub(crate) fn new(region: Option<String>, service: String) -> Result<Self, ControlError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| ControlError::Setup { source })?;
        let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let mut loader = aws_config::defaults(BehaviorVersion::v2025_08_07()).http_client(http);
        if let Some(region) = region {
            loader = loader.region(Region::new(region));
        }
        let client = Client::new(&runtime.block_on(loader.load()));
        Ok(Self { runtime, client, service })
    }

    pub(crate) fn call(&self, call: &Call<'_>) -> Result<Json, ControlError> {
        self.runtime.block_on(self.send(call))
    }

    async fn send(&self, call: &Call<'_>) -> Result<Json, ControlError> {
        let Self { client, service, .. } = self;
        let heard = Heard::default();
        let answer = heard.clone();
        let operation = call.operation();
        // Each operation has types of its own, with the same methods.
        macro_rules! send {
            ($request:expr) => {
                outcome(operation, service, $request.customize().interceptor(heard).send().await, &answer)
            };
        }
        match *call {
            Call::DescribeThing { thing } => {
                let request = client.describe_thing().thing_name(thing.as_str());
                send!(request)
            }
            Call::CreateThing { thing } => {
                let request = client.create_thing().thing_name(thing.as_str());
                send!(request)
            }
            Call::CreateJob { job, target, document } => {
                let request = client
                    .create_job()
                    .job_id(job.as_str())
                    .targets(target)
                    .document(document)
                    .target_selection(TargetSelection::Snapshot);
                send!(request)
            }
            Call::CancelJob { job, force } => {
                let request = client.cancel_job().job_id(job.as_str()).force(force);
                send!(request)
            }
            Call::DeleteJob { job, force } => {
                let request = client.delete_job().job_id(job.as_str()).force(force);
                send!(request)
            }
            Call::ListJobs { status, next_token } => {
                let request = client
                    .list_jobs()
                    .max_results(PAGE)
                    .set_status(status.map(JobStatus::from))
                    .set_next_token(next_token.map(str::to_owned));
                send!(request)
            }
            Call::DescribeJobExecution { thing, job, number } => {
                let request = client
                    .describe_job_execution()
                    .thing_name(thing.as_str())
                    .job_id(job.as_str())
                    .set_execution_number(i64::try_from(number.get()).ok());
                send!(request)
            }
            Call::UpdateEventConfigurations => {
                let on = Configuration::builder().enabled(true).build();
                let request = client
                    .update_event_configurations()
                    .event_configurations(EventType::Job, on.clone())
                    .event_configurations(EventType::JobExecution, on);
                send!(request)
            }
        }
    }
}

fn outcome<T, E, R>(
    operation: &'static str,
    service: &str,
    sent: Result<T, SdkError<E, R>>,
    heard: &Heard,
) -> Result<Json, ControlError>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match sent {
        Ok(_) => Json::read(&heard.take()).map_err(|source| ControlError::Strange {
            operation,
            service: service.to_owned(),
            source,
        }),
        Err(SdkError::ServiceError(refused)) => {
            let error = refused.err();
            Err(ControlError::Refused {
                operation,
                code: error.code().map_or_else(|| "no code".to_owned(), harmless),
                message: error.message().map_or_else(|| "no reason given".to_owned(), harmless),
            })
        }
        Err(error) => {
            Err(ControlError::NotCalled { operation, service: service.to_owned(), source: Box::new(error) })
        }
    }
}

/// The text of the answer that the SDK has understood last.
#[derive(Debug, Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Intercept for Heard {
    fn name(&self) -> &'static str {
        "Heard"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let text = context.response().body().bytes().unwrap_or_default();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text.to_vec();
        Ok(())
    }
}
