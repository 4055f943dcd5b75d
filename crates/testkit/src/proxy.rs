//! A network between daemon and service that a test has in its hands: bytes only, whatever they mean. It can cut
//! connections, let them fall silent without a word, hold or delay what is under way, break off in the middle of a
//! packet, and refuse.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::desk::Desk;
use crate::figures::figure;

/// What can be under way in one direction.
const CHUNK: usize = 16 * 1024;

/// A network path to a service. It is cut with the value.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    state: watch::Sender<State>,
    connections: Arc<AtomicUsize>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// Connections of an earlier number are closed.
    cut: u64,
    /// Connections of an earlier number carry nothing any more.
    abandoned: u64,
    refuses: bool,
    frozen: bool,
    delay: Duration,
    /// Each new connection breaks off after so many bytes.
    breaks_after: Option<usize>,
}

impl Proxy {
    /// Lays a path to this service, which must live as long as the path is used.
    #[must_use]
    pub fn to(desk: &Desk) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        listener.set_nonblocking(true).expect("it is our socket");
        let port = listener.local_addr().expect("it is bound").port();
        let (state, states) = watch::channel(State::default());
        let connections = Arc::new(AtomicUsize::new(0));
        desk.spawn(accept(listener, desk.mqtt(), states, Arc::clone(&connections)));
        Self { port, state, connections }
    }

    /// Where the daemon has to connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections were asked for so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Closes the connections that there are.
    pub fn cut(&self) {
        self.inflict(|state| state.cut += 1);
    }

    /// The connections that there are carry nothing any more, in neither direction, and nobody is told: as behind a
    /// router that has forgotten them. New ones are carried.
    pub fn abandon(&self) {
        self.inflict(|state| state.abandoned += 1);
    }

    /// Whether new connections are closed at once; those that there are live on.
    pub fn refuse(&self, refuses: bool) {
        self.change(refuses, |state| state.refuses = refuses);
    }

    /// Holds everything that is sent, until it is told to go on.
    pub fn freeze(&self, frozen: bool) {
        self.change(frozen, |state| state.frozen = frozen);
    }

    /// What is sent comes so much later.
    pub fn delay(&self, delay: Duration) {
        self.change(!delay.is_zero(), |state| state.delay = delay);
    }

    /// New connections break off when the service has sent so many bytes, in the middle of whatever that is.
    pub fn break_after(&self, bytes: Option<usize>) {
        self.change(bytes.is_some(), |state| state.breaks_after = bytes);
    }

    fn change(&self, for_the_worse: bool, change: impl FnOnce(&mut State)) {
        if for_the_worse {
            self.inflict(change);
        } else {
            self.state.send_modify(change);
        }
    }

    fn inflict(&self, fault: impl FnOnce(&mut State)) {
        figure("faults of the link", 1);
        self.state.send_modify(fault);
    }
}

async fn accept(
    listener: std::net::TcpListener,
    service: SocketAddr,
    states: watch::Receiver<State>,
    connections: Arc<AtomicUsize>,
) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    while let Ok((device, _)) = listener.accept().await {
        connections.fetch_add(1, Ordering::SeqCst);
        let states = states.clone();
        let at_first = *states.borrow();
        if at_first.refuses {
            continue;
        }
        tokio::spawn(async move {
            // How a connection ends is what the test is about; the daemon's log tells its side.
            let _ = carry(device, service, at_first, states).await;
        });
    }
}

async fn carry(
    device: TcpStream,
    service: SocketAddr,
    at_first: State,
    mut states: watch::Receiver<State>,
) -> io::Result<()> {
    device.set_nodelay(true)?;
    let service = TcpStream::connect(service).await?;
    service.set_nodelay(true)?;
    let (from_device, to_device) = device.into_split();
    let (from_service, to_service) = service.into_split();
    let (up, down) = (states.clone(), states.clone());
    tokio::select! {
        // First of all: what was sent after the cut must not pass, however late this task gets to know of both. An
        // error says that the path itself is gone, which cuts it as well.
        biased;
        _ = states.wait_for(|state| state.cut != at_first.cut) => Ok(()),
        ended = pump(from_device, to_service, at_first, up, None) => ended,
        ended = pump(from_service, to_device, at_first, down, at_first.breaks_after) => ended,
    }
}

/// Carries bytes in one direction until that ends, or so many have been carried.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    at_first: State,
    mut states: watch::Receiver<State>,
    mut left: Option<usize>,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = from.read(&mut buffer).await?;
        let may_pass = |state: &State| !state.frozen && state.abandoned == at_first.abandoned;
        let now = *states.wait_for(may_pass).await.map_err(io::Error::other)?;
        tokio::time::sleep(now.delay).await;
        let carried = left.map_or(read, |left| read.min(left));
        to.write_all(&buffer[..carried]).await?;
        left = left.map(|left| left - carried);
        if read == 0 || left == Some(0) {
            return Ok(());
        }
    }
}
