//! `watch`: the executions of the thing as they change, whoever changes them.
//!
//! The service tells a device when the set of its pending executions changes, and no more: not that one was taken to
//! IN_PROGRESS, nor that its details have changed, nor how it ended. So every notification, and a few seconds without
//! one, are a reason to look at the list; what has changed in it is then described by the control plane.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use jobs_protocol::message::{GetPendingAccepted, JobExecutionSummary};
use jobs_protocol::topic::RequestTopic;
use jobs_protocol::{ExecutionNumber, ExecutionStatus, JobId};
use serde::Deserialize;
use serde_json::{Map, json};

use crate::chain::Chain;
use crate::control::Call;
use crate::device::{DeviceError, News};
use crate::json::Json;
use crate::screen::Screen;
use crate::session::{CommandError, Session, understood};

/// How long the list is believed to be as it was.
const LOOK: Duration = Duration::from_secs(3);
/// How soon a watch in the background notices that it shall end.
const PAUSE: Duration = Duration::from_millis(200);

/// An execution of the thing.
type Key = (JobId, ExecutionNumber);

/// Watches until the process is interrupted, or nobody reads any more.
pub(crate) fn watch(session: &Session) -> Result<(), CommandError> {
    let news = session.hear();
    session.device()?.settle()?;
    session.screen.note(&format!("Watching {}; Ctrl-C ends it.", session.thing()?));
    follow(session, &news, &AtomicBool::new(false))
}

/// A watch beside a session. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Watching {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watching {
    /// Begins in the background.
    pub(crate) fn start(session: &Arc<Session>) -> Result<Self, CommandError> {
        session.device()?.settle()?;
        let news = session.hear();
        let stop = Arc::new(AtomicBool::new(false));
        let (session, stopped) = (Arc::clone(session), Arc::clone(&stop));
        let thread = std::thread::Builder::new().name("watch".to_owned()).spawn(move || {
            if let Err(error) = follow(&session, &news, &stopped) {
                session.screen.by_the_way(&format!("No longer watching: {}", Chain(&error)));
            }
        });
        Ok(Self { stop, thread: Some(thread.map_err(CommandError::Thread)?) })
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

fn follow(session: &Session, news: &Receiver<News>, stop: &AtomicBool) -> Result<(), CommandError> {
    let mut list = List::default();
    let over = || stop.load(Ordering::Relaxed) || session.screen.is_lost();
    while !over() {
        match session.ask(RequestTopic::GetPending, Map::new()) {
            Ok(json) => {
                let pending: GetPendingAccepted = understood("GetPendingJobExecutions", &json)?;
                for (key, seen) in list.update(&pending) {
                    show(session, &mut list, &key, seen)?;
                }
            }
            // The link tries again by itself, and a lost answer is asked for again.
            Err(CommandError::Device(
                DeviceError::NotConnected { .. } | DeviceError::Lost { .. } | DeviceError::NoAnswer { .. },
            )) => {}
            Err(error) => return Err(error),
        }
        wait(session, news, &over);
    }
    Ok(())
}

/// Until there is a reason to look again.
fn wait(session: &Session, news: &Receiver<News>, over: &impl Fn() -> bool) {
    let mut waited = Duration::ZERO;
    while waited < LOOK && !over() {
        match news.recv_timeout(PAUSE) {
            Ok(told) => {
                let reason = matches!(told, News::Event(..) | News::Connected);
                session.screen.overheard(&told);
                if reason {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) => waited += PAUSE,
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// What the list says of an execution that has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// It is in the list, new or with another version.
    Pending(ExecutionStatus),
    /// It is no longer in the list.
    Gone,
}

/// The list as it was, and what has been shown of each execution.
#[derive(Debug, Default)]
struct List {
    versions: BTreeMap<Key, u64>,
    shown: BTreeMap<Key, String>,
}

impl List {
    /// Takes the list as it is now; returns what is different, in the order of the list, and what has gone last.
    fn update(&mut self, pending: &GetPendingAccepted) -> Vec<(Key, Seen)> {
        let entries = |jobs: &[JobExecutionSummary], status| -> Vec<(Key, u64, ExecutionStatus)> {
            jobs.iter()
                .map(|job| ((job.job_id.clone(), job.execution_number), job.version_number.get(), status))
                .collect()
        };
        let mut now = entries(&pending.in_progress_jobs, ExecutionStatus::InProgress);
        now.extend(entries(&pending.queued_jobs, ExecutionStatus::Queued));
        let mut changes = Vec::new();
        let mut versions = BTreeMap::new();
        for (key, version, status) in now {
            if self.versions.remove(&key) != Some(version) {
                changes.push((key.clone(), Seen::Pending(status)));
            }
            versions.insert(key, version);
        }
        changes
            .extend(std::mem::replace(&mut self.versions, versions).into_keys().map(|key| (key, Seen::Gone)));
        changes
    }

    /// Whether this is not what was shown of the execution last.
    fn is_news(&mut self, key: &Key, text: &str, seen: Seen) -> bool {
        let before = if seen == Seen::Gone {
            self.shown.remove(key)
        } else {
            self.shown.insert(key.clone(), text.to_owned())
        };
        before.as_deref() != Some(text)
    }
}

/// The control plane's answer to DescribeJobExecution.
#[derive(Deserialize)]
struct Described {
    execution: Execution,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Execution {
    status: ExecutionStatus,
    #[serde(default)]
    status_details: Details,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    #[serde(default)]
    details_map: jobs_protocol::DetailsMap,
}

fn show(session: &Session, list: &mut List, key: &Key, seen: Seen) -> Result<(), CommandError> {
    let (job, number) = key;
    let thing = session.thing()?;
    let described = session.control(&Call::DescribeJobExecution { thing, job, number: *number });
    let (status, details) = match described {
        Ok(json) => {
            let Described { execution } = understood("DescribeJobExecution", &json)?;
            (execution.status.to_string(), execution.status_details.details_map)
        }
        // Without a control plane, or where the execution has been deleted, there is only what the list says.
        Err(CommandError::Control(error)) if error.is_not_found() => ("DELETED".to_owned(), <_>::default()),
        Err(CommandError::Place(_) | CommandError::Control(_)) => match seen {
            Seen::Pending(status) => (status.to_string(), <_>::default()),
            Seen::Gone => ("ENDED".to_owned(), <_>::default()),
        },
        Err(error) => return Err(error),
    };
    let change =
        json!({ "jobId": job, "executionNumber": number, "status": status, "statusDetails": details });
    if list.is_news(key, &change.to_string(), seen) {
        let details = if details.is_empty() { String::new() } else { format!(" {}", json!(details)) };
        let text = format!("{job} (execution {}): {status}{details}", number.get());
        show_change(&session.screen, &Json::of(&change), &text);
    }
    Ok(())
}

fn show_change(screen: &Screen, json: &Json, text: &str) {
    screen.change(json, &crate::json::harmless(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_changed_or_gone_is_told_once() {
        let mut list = List::default();
        assert_eq!(told(&mut list, &[], &[("a", 1), ("b", 1)]), ["a QUEUED", "b QUEUED"]);
        assert_eq!(told(&mut list, &[], &[("a", 1), ("b", 1)]), [""; 0]);
        assert_eq!(told(&mut list, &[("a", 2)], &[("b", 1)]), ["a IN_PROGRESS"]);
        assert_eq!(told(&mut list, &[("a", 3)], &[("b", 1), ("c", 1)]), ["a IN_PROGRESS", "c QUEUED"]);
        assert_eq!(told(&mut list, &[], &[("b", 1), ("c", 1)]), ["a gone"]);
        assert_eq!(told(&mut list, &[], &[]), ["b gone", "c gone"]);
    }

    #[test]
    fn the_same_state_is_shown_once_and_a_new_execution_of_the_same_number_again() {
        let mut list = List::default();
        let key = (JobId::try_from("a").unwrap(), ExecutionNumber::new(1));
        let pending = Seen::Pending(ExecutionStatus::Queued);
        assert!(list.is_news(&key, "QUEUED", pending));
        assert!(!list.is_news(&key, "QUEUED", pending));
        assert!(list.is_news(&key, "SUCCEEDED", pending), "it ended between the list and the look");
        assert!(!list.is_news(&key, "SUCCEEDED", Seen::Gone));
        assert!(list.is_news(&key, "QUEUED", pending), "the id was given out again");
    }

    fn told(list: &mut List, in_progress: &[(&str, u64)], queued: &[(&str, u64)]) -> Vec<String> {
        let entries = |jobs: &[(&str, u64)]| -> serde_json::Value {
            let entry = |(id, version): &(&str, u64)| json!({"jobId": id, "executionNumber": 1, "versionNumber": version});
            jobs.iter().map(entry).collect()
        };
        let list_now = json!({ "inProgressJobs": entries(in_progress), "queuedJobs": entries(queued) });
        let pending: GetPendingAccepted = serde_json::from_value(list_now).unwrap();
        let word = |(key, seen): (Key, Seen)| match seen {
            Seen::Pending(status) => format!("{} {status}", key.0),
            Seen::Gone => format!("{} gone", key.0),
        };
        list.update(&pending).into_iter().map(word).collect()
    }
}
