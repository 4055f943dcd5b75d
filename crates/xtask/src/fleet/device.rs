//! The devices: connections of one runtime, on a thread of its own, that tell when they hear something.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::mqtt::{self, Heard};
use crate::error::TaskError;

/// How many connect at the same time.
const AT_ONCE: usize = 32;

/// What the bench is told.
#[derive(Debug)]
pub(super) enum Told {
    /// A device is connected and subscribed.
    Up,
    /// A `notify` has arrived.
    Notified(Instant),
    /// A device has worked off a job in this time.
    Worked(Duration),
    Failed(String),
}

/// What a device is asked.
#[derive(Debug)]
enum Order {
    /// Start the next job and report its success.
    Work,
}

/// All devices.
pub(super) struct Fleet {
    pub(super) told: Receiver<Told>,
    tell: Sender<Told>,
    runtime: tokio::runtime::Handle,
    /// Ends the runtime's thread when it is dropped.
    _running: tokio::sync::oneshot::Sender<()>,
    gate: Arc<Semaphore>,
    orders: Vec<mpsc::UnboundedSender<Order>>,
    address: SocketAddr,
    tls: Arc<ClientConfig>,
}

impl Fleet {
    pub(super) fn new(address: SocketAddr, tls: Arc<ClientConfig>) -> Result<Self, TaskError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(TaskError::io("start a runtime"))?;
        let handle = runtime.handle().clone();
        let (running, ended) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            // An error says that the fleet was dropped.
            let _ = runtime.block_on(ended);
        });
        let (tell, told) = channel();
        Ok(Self {
            told,
            tell,
            runtime: handle,
            _running: running,
            gate: Arc::new(Semaphore::new(AT_ONCE)),
            orders: Vec::new(),
            address,
            tls,
        })
    }

    /// Lets the device of a thing connect.
    pub(super) fn connect(&mut self, thing: String) {
        let (orders, ordered) = mpsc::unbounded_channel();
        self.orders.push(orders);
        let (address, tls, tell) = (self.address, Arc::clone(&self.tls), self.tell.clone());
        let gate = Arc::clone(&self.gate);
        self.runtime.spawn(async move {
            if let Err(error) = live(address, tls, &thing, &gate, ordered, &tell).await {
                // The bench may have ended.
                let _ = tell.send(Told::Failed(format!("{thing}: {error}")));
            }
        });
    }

    /// Lets a device work off a job.
    pub(super) fn work(&self, device: usize) {
        if let Some(orders) = self.orders.get(device) {
            // A device that has failed has said so.
            let _ = orders.send(Order::Work);
        }
    }
}

type Stream = TlsStream<TcpStream>;

async fn live(
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    thing: &str,
    gate: &Semaphore,
    mut ordered: mpsc::UnboundedReceiver<Order>,
    tell: &Sender<Told>,
) -> io::Result<()> {
    let place = gate.acquire().await.map_err(io::Error::other)?;
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let name = ServerName::IpAddress(address.ip().into());
    let mut stream = TlsConnector::from(tls).connect(name, socket).await?;
    let mut buffer = Vec::new();
    stream.write_all(&mqtt::connect(thing)).await?;
    expect(&mut stream, &mut buffer, 0x20).await?;
    let filters = ["notify", "notify-next", "get/+", "+/get/+", "+/update/+"]
        .map(|filter| format!("$aws/things/{thing}/jobs/{filter}"));
    stream.write_all(&mqtt::subscribe(&filters)).await?;
    expect(&mut stream, &mut buffer, 0x90).await?;
    drop(place);
    // The bench may have ended; so do the devices then.
    let _ = tell.send(Told::Up);
    let mut working: Option<Instant> = None;
    loop {
        tokio::select! {
            heard = next(&mut stream, &mut buffer) => {
                let Heard::Publish { topic, payload, id } = heard? else { continue };
                if let Some(id) = id {
                    stream.write_all(&mqtt::puback(id)).await?;
                }
                if topic.ends_with("/jobs/notify") {
                    let _ = tell.send(Told::Notified(Instant::now()));
                } else if topic.ends_with("/$next/get/accepted") {
                    let answer: Value = serde_json::from_slice(&payload)?;
                    let job = answer["execution"]["jobId"].as_str().unwrap_or_default().to_owned();
                    let update = format!("$aws/things/{thing}/jobs/{job}/update");
                    stream.write_all(&mqtt::publish(&update, r#"{"status":"SUCCEEDED"}"#)).await?;
                } else if topic.ends_with("/update/accepted")
                    && let Some(begin) = working.take()
                {
                    let _ = tell.send(Told::Worked(begin.elapsed()));
                } else if topic.ends_with("/rejected") {
                    return Err(io::Error::other(String::from_utf8_lossy(&payload).into_owned()));
                }
            }
            order = ordered.recv() => match order {
                Some(Order::Work) => {
                    working = Some(Instant::now());
                    let topic = format!("$aws/things/{thing}/jobs/$next/get");
                    stream.write_all(&mqtt::publish(&topic, "{}")).await?;
                }
                None => return Ok(()),
            },
        }
    }
}

async fn expect(stream: &mut Stream, buffer: &mut Vec<u8>, wanted: u8) -> io::Result<()> {
    let heard = next(stream, buffer).await?;
    let granted = |body: &[u8]| body.last().is_some_and(|code| *code < 0x80);
    if matches!(&heard, Heard::Other(first, body) if *first == wanted && granted(body)) {
        Ok(())
    } else {
        Err(io::Error::other(format!("not granted: {heard:?}")))
    }
}

/// The next packet. Nothing is lost if it is not waited for to the end.
async fn next(stream: &mut Stream, buffer: &mut Vec<u8>) -> io::Result<Heard> {
    loop {
        if let Some(heard) = mqtt::take(buffer) {
            return Ok(heard);
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
