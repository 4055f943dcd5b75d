//! When the service is told what a running handler says: at a bounded rate, and always the latest.

use std::time::Duration;

use jobs_protocol::StatusDetails;
use tracing::{debug, info};

use super::{Agent, Phase, Work};
use crate::{BootTime, Progress, RunId};

/// What the running handler has said, and how much of it has been told.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) latest: Progress,
    pub(super) untold: bool,
}

impl Agent {
    /// A handler has said something. The log has it at the same rate as the service, and whether there is a link or not;
    /// what is in between is for those who look closely.
    pub(super) fn reported(&mut self, run: &RunId, progress: Progress, now: BootTime) {
        let Work::Busy(execution) = &mut self.work else { return };
        let Phase::Running(running) = &mut execution.phase else { return };
        let news = &mut running.news;
        if running.run != *run || news.latest == progress {
            return;
        }
        if self.next_line_at.is_none_or(|earliest| now >= earliest) {
            self.next_line_at = Some(now.after(self.settings.progress_interval));
            info!(job = %run.execution, step = run.step + 1, %progress, "Progress");
        } else {
            debug!(job = %run.execution, step = run.step + 1, %progress, "Progress");
        }
        news.latest = progress;
        news.untold = true;
    }

    /// Owes the service what the handler has said, unless it is too early, or another update is on its way. Each such
    /// update sets the step timer anew.
    pub(super) fn keep_telling(&mut self, now: BootTime) {
        let can_tell = self.can_tell_progress();
        let Work::Busy(execution) = &mut self.work else { return };
        let Phase::Running(running) = &mut execution.phase else { return };
        let news = &mut running.news;
        if !can_tell || !news.untold || self.next_news_at.is_some_and(|earliest| now < earliest) {
            return;
        }
        news.untold = false;
        self.next_news_at = Some(now.after(self.settings.progress_interval));
        debug!(job = %execution.id, step = running.run.step + 1, progress = %news.latest, "Progress is told");
        let (step, details) = (running.run.step, news.latest.add_to(StatusDetails::default()));
        self.owe_sign_of_life(step, details, Duration::ZERO, now);
    }

    /// While the link is away the news grows old; what is told afterwards is the latest.
    pub(super) fn can_tell_progress(&self) -> bool {
        let free = matches!(&self.work, Work::Busy(execution) if execution.owed.is_none());
        self.link_up && !self.gap && free
    }
}
