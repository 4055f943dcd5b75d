//! The log: to the journal where standard error is the journal, else to standard error, or to a file that is
//! opened again on SIGHUP. One of them, never two. What is worth a line is decided where the line is written;
//! here it is made sure that no line can be forged by what the cloud sends.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{Mode, OFlags};
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;

use crate::config::Logging;
use crate::worded::Worded;

/// Mode of a log file that is created: thing names and job ids are nobody else's business.
const LOG_FILE_MODE: Mode = Mode::from_raw_mode(0o600);

/// What can be done to the log after it has been started.
#[derive(Debug)]
pub(crate) struct Log {
    file: Option<LogFile>,
}

impl Log {
    /// Opens the log file again, after somebody has moved it away. If it cannot be opened the old one is kept.
    pub(crate) fn reopen(&self) {
        let Some(file) = &self.file else { return };
        match file.reopen() {
            Ok(()) => tracing::info!("Log file opened again"),
            Err(error) => {
                tracing::warn!(%error, path = %file.path.display(), "Cannot open the log file again");
            }
        }
    }
}

/// Starts the log, once per process, and has panics logged before they abort. A log file that cannot be opened
/// is no reason not to run: the log then goes where it would go without one, and says so.
pub(crate) fn start(logging: &Logging) -> Log {
    let opened = logging.file.as_ref().map(|path| LogFile::open(path).map_err(|error| (path, error)));
    let (file, failure) = match opened {
        Some(Ok(file)) => (Some(file), None),
        Some(Err(failure)) => (None, Some(failure)),
        None => (None, None),
    };
    let layers: Box<dyn Layer<tracing_subscriber::Registry> + Send + Sync> = match &file {
        Some(file) => Box::new(lines(file.clone())),
        None => journal().unwrap_or_else(|| Box::new(lines(io::stderr))),
    };
    let subscriber = tracing_subscriber::registry().with(layers.with_filter(logging.level));
    // The only other subscriber that could be there already is our own from an earlier call.
    drop(tracing::subscriber::set_global_default(subscriber));
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text =
            text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no text)");
        tracing::error!(%place, "A mistake in fleethand: {text}");
    }));
    if let Some((path, error)) = failure {
        tracing::warn!(%error, path = %path.display(), "Cannot open the log file; logging here instead");
    }
    Log { file }
}

/// What is logged before the configuration is known.
pub(crate) fn before_configuration() -> Logging {
    Logging { level: LevelFilter::INFO, file: None }
}

/// A layer for the journal, if that is where standard error goes.
fn journal() -> Option<Box<dyn Layer<tracing_subscriber::Registry> + Send + Sync>> {
    let stream = std::env::var("JOURNAL_STREAM").ok()?;
    let stderr = rustix::fs::fstat(io::stderr()).ok()?;
    if !is_stream(&stream, stderr.st_dev, stderr.st_ino) {
        return None;
    }
    let journal = tracing_journald::layer().ok()?.with_field_prefix(None);
    Some(Box::new(Worded::new(journal)))
}

/// Whether `device:inode`, as systemd writes it into `JOURNAL_STREAM`, is this file.
fn is_stream(text: &str, device: u64, inode: u64) -> bool {
    text.split_once(':').is_some_and(|(left, right)| left.parse() == Ok(device) && right.parse() == Ok(inode))
}

/// A layer that writes one line per event.
fn lines<S, W>(to: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Clone + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer().with_ansi(false).with_target(false).with_writer(OneLine(to))
}

/// Makes writers that let one event be one line.
#[derive(Clone)]
struct OneLine<W>(W);

impl<'w, W: MakeWriter<'w>> MakeWriter<'w> for OneLine<W> {
    type Writer = OneLineWriter<W::Writer>;
    fn make_writer(&'w self) -> Self::Writer {
        OneLineWriter(self.0.make_writer())
    }
}

/// Gets every event in one piece, its own line feed last.
struct OneLineWriter<W>(W);

impl<W: Write> Write for OneLineWriter<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.0.write_all(one_line(event).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Control characters inside an event made visible: what the cloud sent cannot look like a line of ours, nor
/// talk to the terminal on which the log is read.
pub(crate) fn one_line(event: &[u8]) -> String {
    let text = String::from_utf8_lossy(event);
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let mut out = String::with_capacity(line.len() + 1);
    for c in line.chars() {
        // Directional overrides reorder what is seen of a line.
        if c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out.push('\n');
    out
}

/// A file that is appended to and can be opened again.
#[derive(Debug, Clone)]
struct LogFile {
    path: Arc<PathBuf>,
    file: Arc<Mutex<File>>,
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: Arc::new(path.to_owned()), file: Arc::new(Mutex::new(append_to(path)?)) })
    }

    fn reopen(&self) -> io::Result<()> {
        let fresh = append_to(&self.path)?;
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}

impl MakeWriter<'_> for LogFile {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens for appending. Something else than a file (a pipe nobody reads) could block the daemon for good.
fn append_to(path: &Path) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, LOG_FILE_MODE)?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if metadata.nlink() == 0 {
        return Err(io::Error::other("it has been removed meanwhile"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_whatever_it_holds() {
        assert_eq!(one_line(b"job a\nERROR forged\x1b[2J\r\n"), "job a\\nERROR forged\\u{1b}[2J\\r\n");
        assert_eq!(one_line("gr\u{fc}n \u{202e}x\n".as_bytes()), "gr\u{fc}n \\u{202e}x\n");
        assert_eq!(one_line(b"\xff\n"), "\u{fffd}\n");
    }

    #[test]
    fn the_journal_is_used_only_if_standard_error_is_the_journal() {
        assert!(is_stream("8:42", 8, 42));
        for text in ["8:43", "9:42", "8", "", "8:42:1", "x:y"] {
            assert!(!is_stream(text, 8, 42), "{text}");
        }
    }

    #[test]
    fn a_log_file_that_was_moved_away_is_made_anew_on_reopening() {
        let directory = tempfile::tempdir().unwrap();
        let (path, moved) = (directory.path().join("log"), directory.path().join("log.1"));
        std::fs::write(&path, "before\n").unwrap();
        let mut log = LogFile::open(&path).unwrap();
        log.write_all(b"one\n").unwrap();
        std::fs::rename(&path, &moved).unwrap();
        log.write_all(b"two\n").unwrap();
        log.reopen().unwrap();
        log.write_all(b"three\n").unwrap();
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), "before\none\ntwo\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\n");
    }

    /// L9 of the Device Client: there a line takes a millisecond, and lines wait in a queue without a bound.
    #[test]
    fn a_line_is_in_the_file_when_the_call_returns() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let log = LogFile::open(&path).unwrap();
        let subscriber = tracing_subscriber::registry().with(lines(log));
        tracing::subscriber::with_default(subscriber, || {
            for number in 1..=200 {
                tracing::info!(number, "A line");
                assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), number);
            }
        });
    }

    #[test]
    fn a_log_that_is_no_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        assert!(LogFile::open(directory.path()).is_err());
        assert!(LogFile::open(Path::new("/dev/null")).is_err());
    }
}
