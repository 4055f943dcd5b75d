//! State on disk: the real program, killed at any moment, has lost nothing that it had acknowledged.

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{Client, tls};
use local_service::pki::Identity;
use rumqttc::{MqttOptions, QoS, TlsConfiguration, Transport};
use serde_json::{Value, json};

const ROUNDS: usize = 6;
const CALLERS: usize = 3;

/// The running program on a data directory.
struct Program {
    child: Child,
    mqtt: SocketAddr,
    http: SocketAddr,
}

impl Program {
    fn start(desk: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_fleethand-local"))
            .args([
                "--log-level",
                "off",
                "serve",
                "--mqtt",
                "127.0.0.1:0",
                "--http",
                "127.0.0.1:0",
                "--data-dir",
            ])
            .arg(desk.join("data"))
            .arg(desk)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        let out = child.stdout.take().expect("it has a standard output");
        BufReader::new(out).read_line(&mut line).expect("it tells its addresses");
        let told: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("it has not started: {line}"));
        let address = |name: &str| {
            let text = told[name].as_str().expect("an address").trim_start_matches("http://");
            text.parse().expect("an address")
        };
        Self { mqtt: address("mqtt"), http: address("http"), child }
    }

    fn kill(mut self) {
        self.child.kill().expect("it is still there");
        self.child.wait().expect("it has ended");
    }
}

/// One request; `None` if there was no whole answer.
fn call(http: SocketAddr, method: &str, path: &str, body: &str) -> Option<(u16, Value)> {
    let mut socket = TcpStream::connect(http).ok()?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    socket.write_all(request.as_bytes()).ok()?;
    let mut text = String::new();
    socket.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, serde_json::from_str(body).ok()?))
}

fn init(desk: &Path) {
    let made = Command::new(env!("CARGO_BIN_EXE_fleethand-local"))
        .arg("init")
        .arg(desk)
        .args(["--thing", "t1"])
        .output();
    assert!(made.expect("init runs").status.success());
}

/// A number that is different each time, below a bound.
fn any(below: u64) -> u64 {
    use std::hash::BuildHasher;
    std::hash::RandomState::new().hash_one(0) % below
}

#[test]
fn nothing_that_was_acknowledged_is_lost_by_a_kill_at_any_moment() {
    let desk = tempfile::tempdir().expect("a directory");
    init(desk.path());
    let created = Arc::new(Mutex::new(BTreeSet::new()));
    let canceled = Arc::new(Mutex::new(BTreeSet::new()));
    for round in 0..ROUNDS {
        let program = Program::start(desk.path());
        let http = program.http;
        check(http, &created.lock().expect("no caller panics"), &canceled.lock().expect("no caller panics"));
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (created, canceled) = (created.clone(), canceled.clone());
                let acknowledged = acknowledged.clone();
                std::thread::spawn(move || {
                    for n in 0.. {
                        let id = format!("j-{round}-{caller}-{n}");
                        let body = json!({"targets": ["arn:aws:iot:us-east-1:123456789012:thing/t1"], "document": "{}"});
                        let Some((status, _)) = call(http, "PUT", &format!("/jobs/{id}"), &body.to_string()) else { return };
                        assert_eq!(status, 200);
                        created.lock().expect("no caller panics").insert(id.clone());
                        acknowledged.fetch_add(1, Ordering::SeqCst);
                        if n % 2 == 0 {
                            let Some((status, _)) = call(http, "PUT", &format!("/jobs/{id}/cancel"), "{}") else { return };
                            assert_eq!(status, 200);
                            canceled.lock().expect("no caller panics").insert(id);
                        }
                    }
                })
            })
            .collect();
        // The kill comes between or inside any two of the calls, after some of them.
        let wanted = 1 + usize::try_from(any(40)).expect("a small number");
        let begin = Instant::now();
        while acknowledged.load(Ordering::SeqCst) < wanted && begin.elapsed() < Duration::from_secs(60) {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_micros(any(3000)));
        program.kill();
        for caller in callers {
            caller.join().expect("every answer was as it should be");
        }
    }
    let program = Program::start(desk.path());
    let created = created.lock().expect("no caller panics");
    assert!(created.len() >= ROUNDS, "{} jobs", created.len());
    check(program.http, &created, &canceled.lock().expect("no caller panics"));
    program.kill();
}

fn check(http: SocketAddr, created: &BTreeSet<String>, canceled: &BTreeSet<String>) {
    for id in created {
        let (status, body) = call(http, "GET", &format!("/things/t1/jobs/{id}"), "").expect("an answer");
        assert_eq!(status, 200, "{id} was acknowledged and is lost");
        if canceled.contains(id) {
            assert_eq!(body["execution"]["status"], "CANCELED", "the cancellation of {id} was acknowledged");
        }
    }
}

#[tokio::test]
async fn a_persistent_session_and_what_waits_for_it_outlive_a_kill() {
    let desk = tempfile::tempdir().expect("a directory");
    init(desk.path());
    let read = |name: &str| std::fs::read_to_string(desk.path().join(name)).expect("init has made it");
    let identity = Identity { certificate: read("agent/device.pem"), key: read("agent/device.key") };
    let authority = read("ca.pem");
    let options = |mqtt: SocketAddr| {
        let mut options = MqttOptions::new("t1", "127.0.0.1", mqtt.port());
        let tls = TlsConfiguration::Rustls(Arc::new(tls(&authority, &identity)));
        options.set_transport(Transport::tls_with_config(tls));
        options.set_clean_session(false);
        options
    };
    let program = Program::start(desk.path());
    let mut device = Client::start(options(program.mqtt));
    assert!(!device.session_present().await);
    device.subscribe("$aws/things/t1/jobs/notify-next", QoS::AtLeastOnce).await;
    // Two kills: one while it is connected, and one while its notification waits.
    program.kill();
    drop(device);
    let program = Program::start(desk.path());
    let body =
        json!({"targets": ["arn:aws:iot:us-east-1:123456789012:thing/t1"], "document": "{}"}).to_string();
    assert_eq!(call(program.http, "PUT", "/jobs/j1", &body).expect("an answer").0, 200);
    program.kill();
    let program = Program::start(desk.path());
    let mut device = Client::start(options(program.mqtt));
    assert!(device.session_present().await, "the session is still there");
    assert_eq!(device.hear().await.json()["execution"]["jobId"], "j1");
    device.publish("$aws/things/t1/jobs/start-next", QoS::AtLeastOnce, "{}").await;
    assert_eq!(device.hear().await.json()["execution"]["status"], "IN_PROGRESS");
    program.kill();
    let program = Program::start(desk.path());
    let (_, execution) = call(program.http, "GET", "/things/t1/jobs/j1", "").expect("an answer");
    assert_eq!(execution["execution"]["status"], "IN_PROGRESS", "the device was told so");
    program.kill();
}

#[test]
fn a_directory_is_for_one_process_and_damage_is_told() {
    let desk = tempfile::tempdir().expect("a directory");
    init(desk.path());
    let first = Program::start(desk.path());
    let refused = |part: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_fleethand-local"))
            .args(["serve", "--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data-dir"])
            .arg(desk.path().join("data"))
            .arg(desk.path())
            .output()
            .expect("the program runs");
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(part), "{said}");
    };
    refused("in use by another");
    first.kill();
    std::fs::write(desk.path().join("data/snapshot.json"), "{}").expect("it can be written");
    refused("not a state of this version");
}

#[tokio::test]
async fn a_virtual_clock_goes_on_where_it_was() {
    let data = tempfile::tempdir().expect("a directory");
    let mut desk = common::Desk::with(|options| {
        (options.data, options.virtual_clock) = (Some(data.path().to_owned()), true);
    })
    .await;
    let clock = async |desk: &common::Desk| {
        desk.ok("GET", "/_fleethand/clock", json!({})).await["milliseconds"].clone()
    };
    desk.ok("POST", "/_fleethand/clock", json!({"advanceSeconds": 86_400})).await;
    let before = clock(&desk).await;
    // The directory is free when the first has ended.
    let in_memory = local_service::Options { data: None, ..desk.options.clone() };
    let other = local_service::start(in_memory).await.expect("it starts");
    std::mem::replace(&mut desk.running, other).stop().await;
    desk.running = local_service::start(desk.options.clone()).await.expect("it starts again");
    assert_eq!(clock(&desk).await, before);
}
