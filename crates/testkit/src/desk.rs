//! The local Jobs service, in the background of the test, and the operator who creates and looks at jobs.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use jobs_protocol::ThingName;
use local_service::pki::{Authority, Identity, Validity};
use local_service::{FaultPlan, Options, Refusal, Running, start};
use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;

use crate::patience::eventually;

/// A Jobs service with an authority of its own, on a free port of the loopback address. It ends with the value.
#[derive(Debug)]
pub struct Desk {
    runtime: Runtime,
    running: Option<Running>,
    options: Options,
    authority: Authority,
    /// Bound to the port of MQTT and never listening: nobody else is given the port while the service is away.
    _port: TcpSocket,
}

/// An execution, as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// Such as `QUEUED`.
    pub status: String,
    /// `statusDetails.detailsMap`.
    pub details: BTreeMap<String, String>,
}

impl Execution {
    /// Whether the status is a final one.
    #[must_use]
    pub fn is_over(&self) -> bool {
        !matches!(&*self.status, "QUEUED" | "IN_PROGRESS")
    }

    /// A value of the details; empty if it was not reported.
    #[must_use]
    pub fn detail(&self, name: &str) -> &str {
        self.details.get(name).map_or("", String::as_str)
    }
}

impl Desk {
    /// Starts a service that knows these things and is reached as `localhost`.
    #[must_use]
    pub fn start(things: &[&str]) -> Self {
        Self::start_with(things, &["localhost"], Validity::Long)
    }

    /// Starts a service that refuses line ends and tabs in status details, as the published pattern has it.
    #[must_use]
    pub fn start_strict(things: &[&str]) -> Self {
        Self::start_as(things, &["localhost"], Validity::Long, |options| options.strict_details = true)
    }

    /// Starts a service whose certificate is for these hosts and as valid as asked for.
    #[must_use]
    pub fn start_with(things: &[&str], hosts: &[&str], validity: Validity) -> Self {
        Self::start_as(things, hosts, validity, |_| ())
    }

    fn start_as(
        things: &[&str],
        hosts: &[&str],
        validity: Validity,
        change: impl FnOnce(&mut Options),
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime can be built");
        let authority = Authority::new().expect("an authority can be made");
        let things =
            things.iter().map(|name| ThingName::try_from(*name).expect("the test names a thing")).collect();
        let server = authority.server(hosts, validity).expect("a certificate can be made");
        let mut options = Options::new(authority.certificate().to_owned(), server, things);
        change(&mut options);
        // Each life of the service is to be found in the same place.
        let (port, mqtt) = runtime.block_on(async { reserve() }).expect("a port is free");
        options.mqtt = mqtt;
        let running = runtime.block_on(start(options.clone())).expect("the service starts");
        Self { runtime, running: Some(running), options, authority, _port: port }
    }

    /// Who signs for this service and its devices.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// A certificate for a device of this service.
    #[must_use]
    pub fn device(&self, thing: &str) -> Identity {
        self.authority.device(thing, Validity::Long).expect("a certificate can be made")
    }

    /// Where MQTT is served, or was before [`Desk::stop`].
    #[must_use]
    pub fn mqtt(&self) -> SocketAddr {
        self.options.mqtt
    }

    /// The URL of the AWS API.
    #[must_use]
    pub fn http(&self) -> String {
        format!("http://{}", self.running.as_ref().expect("the test has not stopped the service").http)
    }

    /// Runs something beside the service.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    /// Ends the service; its jobs are gone.
    pub fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            self.runtime.block_on(running.stop());
        }
    }

    /// Ends the service and starts another one in its place: same address, same certificates, no jobs.
    pub fn restart(&mut self) {
        self.stop();
        let running = self.runtime.block_on(start(self.options.clone()));
        self.running = Some(running.expect("the service starts again"));
    }

    /// Has the service follow these rules for faults from now on, and no others.
    pub fn set_faults(&self, plan: Value) {
        let plan: FaultPlan = serde_json::from_value(plan).expect("the test writes rules for faults");
        self.runtime.block_on(self.up().set_faults(plan)).expect("the rules can be followed");
    }

    /// The rules for faults, with how often each was met (`matched`) and has acted (`acted`).
    #[must_use]
    pub fn faults(&self) -> Value {
        self.runtime.block_on(self.up().faults()).expect("the service tells its rules")
    }

    fn up(&self) -> &Running {
        self.running.as_ref().expect("the test has not stopped the service")
    }

    /// Calls an operation of the control plane.
    pub fn call(&self, operation: &str, members: Value) -> Result<Value, Refusal> {
        self.runtime.block_on(self.up().control(operation, members))
    }

    /// Registers another thing.
    pub fn add_thing(&self, thing: &str) {
        self.call("CreateThing", json!({ "thingName": thing })).expect("the service registers the thing");
    }

    /// Creates a job for one thing. The document is any text, as it is for the service.
    pub fn create_job(&self, thing: &str, job: &str, document: &str) {
        let target = format!("arn:aws:iot:us-east-1:123456789012:thing/{thing}");
        let members = json!({ "jobId": job, "targets": [target], "document": document });
        self.call("CreateJob", members).expect("the service creates the job");
    }

    /// Cancels a job, running executions included.
    pub fn cancel_by_force(&self, job: &str) {
        self.call("CancelJob", json!({ "jobId": job, "force": true })).expect("the service cancels the job");
    }

    /// The execution of a job on a thing.
    #[must_use]
    pub fn execution(&self, thing: &str, job: &str) -> Execution {
        let answer = self
            .call("DescribeJobExecution", json!({ "thingName": thing, "jobId": job }))
            .expect("the service knows the execution");
        let execution = &answer["execution"];
        let details = execution["statusDetails"]["detailsMap"].as_object();
        let text = |value: &Value| value.as_str().expect("a detail is a string").to_owned();
        Execution {
            status: text(&execution["status"]),
            details: details.into_iter().flatten().map(|(name, value)| (name.clone(), text(value))).collect(),
        }
    }

    /// Waits until an execution has this status.
    pub fn wait_for(&self, thing: &str, job: &str, status: &str) -> Execution {
        self.wait(thing, job, status, |execution| execution.status == status)
    }

    /// Waits until an execution is over, however it ended.
    pub fn wait_until_over(&self, thing: &str, job: &str) -> Execution {
        self.wait(thing, job, "over", Execution::is_over)
    }

    fn wait(&self, thing: &str, job: &str, what: &str, good: impl Fn(&Execution) -> bool) -> Execution {
        eventually(
            &format!("job {job} on {thing} is {what}"),
            || format!("{:?}", self.execution(thing, job)),
            || Some(self.execution(thing, job)).filter(&good),
        )
    }
}

/// A port of the loopback address that only a listener can have which, as this socket does, lets others use its address.
fn reserve() -> std::io::Result<(TcpSocket, SocketAddr)> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}
