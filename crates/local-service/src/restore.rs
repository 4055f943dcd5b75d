//! Going on with what is on disk: the snapshot, and everything that has come since, done again.

use std::path::Path;

use crate::broker::hub::Hub;
use crate::clock::Millis;
use crate::jobs::JobsTap;
use crate::service::Jobs;
use crate::store::{Entry, Found, Store, StoreError};

/// The service as it was.
pub(crate) struct Restored {
    pub(crate) jobs: Jobs,
    pub(crate) hub: Hub,
    /// `None`: state is in memory only.
    pub(crate) store: Option<Store>,
    /// When the last thing happened to it.
    pub(crate) latest: Millis,
}

/// Opens a directory with state, or begins one. `objects`: what the URLs of presigned placeholders begin with.
/// `strict_details`: as for [`Jobs::new`].
pub(crate) fn restore(
    directory: &Path,
    objects: String,
    strict_details: bool,
) -> Result<Restored, StoreError> {
    let Found { mut store, snapshot, entries } = Store::open(directory)?;
    let mut hub = Hub::kept();
    let mut latest = Millis::default();
    let mut jobs = if let Some(snapshot) = snapshot {
        latest = snapshot.now;
        for entry in snapshot.sessions {
            hub.replay(entry);
        }
        Jobs::restore(objects, strict_details, &snapshot.service)
            .map_err(|source| StoreError::Service { path: directory.to_owned(), source })?
    } else {
        let jobs = Jobs::new(objects, strict_details);
        // The seed of its ids is part of it.
        store.replace(latest, jobs.save()?, Vec::new())?;
        jobs
    };
    let count = entries.len();
    for entry in entries {
        latest = latest.max(replay(&mut jobs, &mut hub, entry));
    }
    hub.all_away(Millis::now().max(latest));
    tracing::info!(directory = %directory.display(), entries = count, "Going on with the state on disk");
    Ok(Restored { jobs, hub, store: Some(store), latest })
}

/// Does again what an entry tells; what followed from it then has long gone out. Tells when that was.
fn replay(jobs: &mut Jobs, hub: &mut Hub, entry: Entry) -> Millis {
    match entry {
        Entry::Request { now, topic, payload } => {
            jobs.device_message(&topic, payload.as_bytes(), now);
            now
        }
        Entry::Call { now, plane, operation, params, document } => {
            jobs.call(plane, &operation, params, document, now);
            now
        }
        Entry::Deadline { now } => {
            jobs.on_deadline(now);
            now
        }
        Entry::Session(entry) => {
            hub.replay(entry);
            Millis(0)
        }
    }
}
