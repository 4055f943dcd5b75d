//! A run in hand: what is waited for with it, its end and the reports of its handler.

use std::collections::BTreeMap;
use std::io;
use std::task::{Context, Poll};
use std::thread;

use agent_core::{Progress, RunId};
use handler_runner::Run;

use crate::chain::Chain;
use crate::readiness::Readiness;

/// A run that has not ended as far as we know.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) id: RunId,
    pub(super) run: Run,
    /// None if it cannot be watched for the moment.
    pidfd: Option<Readiness>,
    reports: Reports,
    /// The facts that the core has heard.
    known: BTreeMap<String, String>,
}

/// How the reports of a handler are heard of.
#[derive(Debug)]
enum Reports {
    /// Not yet.
    Unwatched,
    /// `unread`: there may be something new.
    Watched { watch: Watch, unread: bool },
    /// Not at all, on this system: the last ones come with the end.
    Unheard,
}

/// The kernel's word that there are new reports.
#[derive(Debug)]
struct Watch(Option<Readiness>);

impl Watch {
    fn begin(run: &Run) -> io::Result<Self> {
        run.watch_reports().and_then(Readiness::watch).map(|watch| Self(Some(watch)))
    }

    fn poll_read(&self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.0.as_ref().map_or(Poll::Pending, |watch| watch.poll_read(context, &mut [0; 4096]))
    }
}

/// The kernel waits up to 20 ms before it lets go of an inotify descriptor, and the result of a job must not wait with it:
/// a passing thread does. Where there is no thread to be had, it is closed here.
impl Drop for Watch {
    fn drop(&mut self) {
        let watch = self.0.take();
        // An error has closed it.
        let _ = thread::Builder::new().spawn(move || drop(watch));
    }
}

/// What has happened to a run.
#[derive(Debug)]
pub(super) enum Happened {
    /// Its keeper is gone.
    Ended,
    /// Its handler has reported something; that has been read, unless it is an error.
    Reported(io::Result<usize>),
}

impl Held {
    pub(super) fn new(id: RunId, run: Run) -> Self {
        Self { id, run, pidfd: None, reports: Reports::Unwatched, known: BTreeMap::new() }
    }

    /// Whether its end can be waited for.
    pub(super) fn is_watched(&self) -> bool {
        self.pidfd.is_some()
    }

    /// Begins to watch what is not watched yet.
    pub(super) fn watch(&mut self) {
        if self.pidfd.is_none() {
            match self.run.pidfd().and_then(Readiness::watch) {
                Ok(pidfd) => self.pidfd = Some(pidfd),
                Err(error) => {
                    tracing::warn!(run = %self.id, %error, "A run cannot be watched for the moment");
                }
            }
        }
        if matches!(self.reports, Reports::Unwatched) {
            self.reports = match Watch::begin(&self.run) {
                // There may have been reports before, in an earlier life of ours.
                Ok(watch) => Reports::Watched { watch, unread: true },
                Err(error) => {
                    tracing::warn!(run = %self.id, %error, "What the handler reports is heard at its end only");
                    Reports::Unheard
                }
            };
        }
    }

    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<Happened> {
        if self.pidfd.as_ref().is_some_and(|pidfd| pidfd.poll_readable(context).is_ready()) {
            return Poll::Ready(Happened::Ended);
        }
        match &self.reports {
            // Nothing here waits for a report alone: the end may come first.
            Reports::Watched { watch, .. } => watch.poll_read(context).map(Happened::Reported),
            Reports::Unwatched | Reports::Unheard => Poll::Pending,
        }
    }

    /// Takes note that the handler has reported.
    pub(super) fn take_note(&mut self, read: io::Result<usize>) {
        let Reports::Watched { unread, .. } = &mut self.reports else { return };
        match read {
            Ok(_) => *unread = true,
            Err(error) => {
                tracing::warn!(run = %self.id, %error, "What the handler reports is heard at its end only");
                self.reports = Reports::Unheard;
            }
        }
    }

    /// What the handler has reported, if that is news.
    pub(super) fn news(&mut self) -> Option<Progress> {
        let Reports::Watched { unread, .. } = &mut self.reports else { return None };
        if !std::mem::take(unread) {
            return None;
        }
        let reported = match self.run.reported() {
            Ok(reported) => reported?,
            Err(error) => {
                tracing::warn!(run = %self.id, "A report of the handler cannot be read: {}", Chain(&error));
                return None;
            }
        };
        if reported.facts == self.known {
            return None;
        }
        self.known.clone_from(&reported.facts);
        Some(Progress { facts: reported.facts })
    }
}
