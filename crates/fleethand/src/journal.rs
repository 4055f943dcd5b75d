//! The journal of systemd, in its own protocol: a datagram for each event, with a field a line. What an operator reads
//! in `journalctl -u fleethand` is the message alone, so the fields of an event stand in it, as in every other log;
//! and each is a field of the journal as well, for `journalctl JOB=…`.

use std::fmt::{self, Write};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::telemetry::one_line;

/// Where systemd listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// A journal that is stuck must not hold up the daemon for good.
const PATIENCE: Duration = Duration::from_secs(1);

/// A layer that writes every event to the journal.
pub(crate) struct Journal {
    socket: UnixDatagram,
}

impl Journal {
    /// The journal of this machine.
    pub(crate) fn of_this_machine() -> io::Result<Self> {
        Self::at(Path::new(SOCKET))
    }

    fn at(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { socket })
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut words = Words::default();
        event.record(&mut words);
        let text = words.text();
        let mut datagram = Vec::new();
        put(&mut datagram, "MESSAGE", &text);
        put(&mut datagram, "PRIORITY", priority(*metadata.level()));
        put(&mut datagram, "SYSLOG_IDENTIFIER", "fleethand");
        put(&mut datagram, "TARGET", metadata.target());
        for (name, value) in &words.fields {
            put(&mut datagram, &field_name(name), value);
        }
        if let Err(error) = self.socket.send(&datagram) {
            // Standard error is the journal too, by another way; beyond that there is nobody to tell.
            let line = format!("{text} (not logged with its fields: {error})\n");
            let _ = io::Write::write_all(&mut io::stderr(), line.as_bytes());
        }
    }
}

/// What an event says.
#[derive(Default)]
struct Words {
    message: String,
    /// By name, as they are.
    fields: Vec<(&'static str, String)>,
    /// The same for the eye.
    shown: String,
}

impl Words {
    /// One line.
    fn text(&self) -> String {
        let line = one_line(format!("{}{}", self.message, self.shown).as_bytes());
        line.trim_end_matches('\n').to_owned()
    }

    fn add(&mut self, field: &Field, value: String, shown: &dyn fmt::Display) {
        if field.name() == "message" {
            self.message = value;
            return;
        }
        self.fields.push((field.name(), value));
        write!(self.shown, " {}={shown}", field.name()).expect("writing to a string does not fail");
    }
}

impl Visit for Words {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.to_owned(), &format_args!("{value:?}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}"), &format_args!("{value:?}"));
    }
}

/// As syslog counts.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        Level::DEBUG | Level::TRACE => "7",
    }
}

/// The journal takes capitals, digits and underscores, and keeps names that begin with an underscore to itself.
fn field_name(name: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    name.trim_start_matches(|c: char| !c.is_ascii_alphabetic()).chars().map(letter).collect()
}

/// A value with line feeds in it needs its length before it, or it could forge further fields.
fn put(datagram: &mut Vec<u8>, name: &str, value: &str) {
    datagram.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        datagram.push(b'\n');
        datagram.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        datagram.push(b'=');
    }
    datagram.extend_from_slice(value.as_bytes());
    datagram.push(b'\n');
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// What the journal gets of what is logged in `log`.
    fn received(log: impl FnOnce()) -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let journal = UnixDatagram::bind(&path).unwrap();
        let subscriber = tracing_subscriber::registry().with(Journal::at(&path).unwrap());
        tracing::subscriber::with_default(subscriber, log);
        let mut datagram = vec![0; 4096];
        let length = journal.recv(&mut datagram).unwrap();
        datagram.truncate(length);
        datagram
    }

    #[test]
    fn a_message_shows_its_fields_and_each_is_a_field_of_the_journal() {
        let sent = received(|| tracing::warn!(job = %"j#1", step = 2, name = "a b", "Step ended"));
        let expected = "MESSAGE=Step ended job=j#1 step=2 name=\"a b\"\nPRIORITY=4\nSYSLOG_IDENTIFIER=fleethand\n\
                        TARGET=fleethand::journal::tests\nJOB=j#1\nSTEP=2\nNAME=a b\n";
        assert_eq!(String::from_utf8(sent).unwrap(), expected);
    }

    #[test]
    fn what_the_cloud_sends_forges_no_field_and_no_line() {
        let sent = received(|| tracing::info!(reason = %"x\nPRIORITY=0\u{1b}[2J", "Refused"));
        let begin = b"MESSAGE=Refused reason=x\\nPRIORITY=0\\u{1b}[2J\nPRIORITY=6\n";
        assert!(sent.starts_with(begin), "{}", String::from_utf8_lossy(&sent));
        let end = b"REASON\n\x10\0\0\0\0\0\0\0x\nPRIORITY=0\x1b[2J\n";
        assert!(sent.ends_with(end), "{}", String::from_utf8_lossy(&sent));
    }

    #[test]
    fn a_name_is_one_that_the_journal_takes() {
        for (name, wanted) in [("job", "JOB"), ("retry_in", "RETRY_IN"), ("_a.b", "A_B"), ("2x", "X")] {
            assert_eq!(field_name(name), wanted);
        }
    }

    #[test]
    fn a_journal_that_is_not_there_is_an_error() {
        assert!(Journal::at(Path::new("/nowhere/socket")).is_err());
    }
}
