//! The services that are measured, each as a process of its own: where they are, and how a client gets in.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::error::TaskError;
use crate::interrupt::Interrupt;
use crate::process::Process;
use crate::scene;

/// How long a service may take until it is up.
const START: Duration = Duration::from_secs(120);

/// A running service.
pub(super) struct Subject {
    pub(super) name: String,
    pub(super) mqtt: SocketAddr,
    pub(super) tls: Arc<ClientConfig>,
    account: &'static str,
    http: String,
    agent: ureq::Agent,
    /// Attached to every thing that is made.
    principal: Option<String>,
    process: Process,
    _directory: TempDir,
}

impl Subject {
    /// `fleethand-local`, in memory.
    pub(super) fn local(program: &Path, interrupt: &Interrupt) -> Result<Self, TaskError> {
        let directory = directory()?;
        let init = Command::new(program)
            .args(["--log-level", "warn", "init"])
            .arg(directory.path())
            .stdout(Stdio::null())
            .status()
            .map_err(TaskError::io("start fleethand-local"))?;
        if !init.success() {
            return Err(TaskError::Program { program: "fleethand-local init".into(), status: init });
        }
        let mut process = Process::start(
            "fleethand-local",
            Command::new(program)
                .args(["--log-level", "warn", "serve", "--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0"])
                .arg(directory.path())
                .stdout(Stdio::piped()),
            &directory.path().join("service.log"),
        )?;
        let (port, http) = scene::addresses(&mut process, interrupt)?;
        let read = |name: &str| read(&directory.path().join(name));
        let tls = tls(&read("ca.pem")?, &read("agent/device.pem")?, &read("agent/device.key")?)?;
        Ok(Self {
            name: "fleethand-local".to_owned(),
            mqtt: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            tls,
            account: "123456789012",
            http,
            agent: agent(),
            principal: None,
            process,
            _directory: directory,
        })
    }

    /// MiniStack with its listener for mutual TLS. It takes no port 0.
    pub(super) fn ministack(program: &Path, interrupt: &Interrupt) -> Result<Self, TaskError> {
        let directory = directory()?;
        let [http_port, mqtt_port] = free_ports()?;
        let mut process = Process::start(
            "ministack",
            Command::new(program)
                .current_dir(directory.path())
                .env("HOME", directory.path())
                .env("TMPDIR", directory.path())
                .env("BIND_HOST", "127.0.0.1")
                .env("GATEWAY_PORT", http_port.to_string())
                .env("IOT_MTLS_PORT", mqtt_port.to_string())
                .env("SERVICES", "iot,iot-data,iot-jobs-data,sts")
                .env("LOG_LEVEL", "WARNING")
                .stdout(Stdio::null()),
            &directory.path().join("service.log"),
        )?;
        let http = format!("http://127.0.0.1:{http_port}");
        let agent = agent();
        let mqtt = SocketAddr::from((Ipv4Addr::LOCALHOST, mqtt_port));
        let up = interrupt.until(START, || {
            process.check()?;
            let authority = agent.get(format!("{http}/_ministack/iot/ca.pem")).call();
            let authority = authority.ok().filter(|answer| answer.status() == 200);
            let listening = std::net::TcpStream::connect(mqtt).is_ok();
            Ok(authority.filter(|_| listening).and_then(|mut answer| answer.body_mut().read_to_string().ok()))
        })?;
        let Some(authority) = up else {
            return Err(TaskError::Late { what: "ministack".into(), after: START, log: process.log_tail() });
        };
        let mut subject = Self {
            name: "MiniStack".to_owned(),
            mqtt,
            // Replaced below, once there is a certificate.
            tls: without_certificate(&authority)?,
            account: "000000000000",
            http,
            agent,
            principal: None,
            process,
            _directory: directory,
        };
        let made = subject.call("POST", "/keys-and-certificate?setAsActive=true", &json!({}))?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let policy =
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}"#;
        subject.call("POST", "/policies/everything", &json!({ "policyDocument": policy }))?;
        subject.call("PUT", "/target-policies/everything", &json!({"target": made["certificateArn"]}))?;
        subject.tls = tls(&authority, &text(&made["certificatePem"]), &text(&made["keyPair"]["PrivateKey"]))?;
        subject.principal = Some(text(&made["certificateArn"]));
        Ok(subject)
    }

    /// Makes a thing.
    pub(super) fn create_thing(&self, thing: &str) -> Result<(), TaskError> {
        self.call("POST", &format!("/things/{thing}"), &json!({}))?;
        if let Some(principal) = &self.principal {
            let path = format!("/things/{thing}/principals");
            let request = self.agent.put(format!("{}{path}", self.http));
            let request =
                request.header("authorization", AUTHORIZATION).header("x-amzn-principal", principal);
            answered(&path, request.send_empty())?;
        }
        Ok(())
    }

    /// Creates a job for a thing.
    pub(super) fn create_job(&self, job: &str, thing: &str) -> Result<(), TaskError> {
        let target = format!("arn:aws:iot:us-east-1:{}:thing/{thing}", self.account);
        let document = r#"{"operation":"greeting.sh","args":["bench"]}"#;
        self.call("PUT", &format!("/jobs/{job}"), &json!({"targets": [target], "document": document}))
            .map(drop)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value, TaskError> {
        let url = format!("{}{path}", self.http);
        let request = if method == "PUT" { self.agent.put(url) } else { self.agent.post(url) };
        let request =
            request.header("authorization", AUTHORIZATION).header("content-type", "application/json");
        answered(path, request.send(body.to_string()))
    }

    /// Resident memory of the process and its children, in bytes.
    pub(super) fn resident(&mut self) -> Result<u64, TaskError> {
        self.process.check()?;
        let own = self.process.id();
        let mut total = 0;
        for entry in fs::read_dir("/proc").map_err(TaskError::io("look at processes"))?.flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            // It may end while it is looked at.
            let Ok(status) = fs::read_to_string(entry.path().join("status")) else { continue };
            if id == own || field(&status, "PPid:") == Some(u64::from(own)) {
                total += field(&status, "VmRSS:").unwrap_or(0) * 1024;
            }
        }
        Ok(total)
    }

    /// Processor time that the process has used, in seconds.
    pub(super) fn processor(&self) -> f64 {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap_or_default();
        let after = text.rsplit_once(')').map_or("", |(_, after)| after);
        let ticks = |n: usize| after.split_whitespace().nth(n).and_then(|field| field.parse::<f64>().ok());
        let hertz = 100.0;
        (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / hertz
    }
}

fn answered(
    path: &str,
    answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<Value, TaskError> {
    let failed = |source| TaskError::Http { request: path.to_owned(), source: Box::new(source) };
    let mut answer = answer.map_err(failed)?;
    let text = answer.body_mut().read_to_string().map_err(failed)?;
    if answer.status() != 200 {
        let answer = format!("{} {text}", answer.status());
        return Err(TaskError::Refused { request: path.to_owned(), answer });
    }
    Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
}

/// Of a signature only the scope matters to a service at a desk.
const AUTHORIZATION: &str =
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/iot/aws4_request, SignedHeaders=host, Signature=0";

fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(120)))
        .proxy(None)
        .build();
    config.into()
}

fn directory() -> Result<TempDir, TaskError> {
    let builder = tempfile::Builder::new().prefix("fleethand-").tempdir();
    builder.map_err(TaskError::io("make a temporary directory"))
}

fn read(path: &Path) -> Result<String, TaskError> {
    fs::read_to_string(path).map_err(TaskError::io(format!("read {}", path.display())))
}

/// Ports that nobody has at the moment.
fn free_ports() -> Result<[u16; 2], TaskError> {
    let failed = || TaskError::io("find a free port");
    let listeners = [0; 2].map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
    let mut ports = [0; 2];
    for (port, listener) in ports.iter_mut().zip(listeners) {
        *port = listener.and_then(|listener| listener.local_addr()).map_err(failed())?.port();
    }
    Ok(ports)
}

fn roots(authority: &str) -> Result<RootCertStore, TaskError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
        roots.add(certificate.map_err(strange)?).map_err(strange)?;
    }
    Ok(roots)
}

fn without_certificate(authority: &str) -> Result<Arc<ClientConfig>, TaskError> {
    let config = builder()?.with_root_certificates(roots(authority)?);
    Ok(Arc::new(config.with_no_client_auth()))
}

fn tls(authority: &str, certificate: &str, key: &str) -> Result<Arc<ClientConfig>, TaskError> {
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(strange)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(strange)?;
    let config = builder()?.with_root_certificates(roots(authority)?);
    Ok(Arc::new(config.with_client_auth_cert(chain, key).map_err(strange)?))
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, TaskError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(strange)
}

fn strange(error: impl std::fmt::Display) -> TaskError {
    TaskError::Strange { what: "a certificate", found: error.to_string() }
}
