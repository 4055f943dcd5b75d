//! One request that is repeated until it is answered.

use std::time::Duration;

use jobs_protocol::ClientToken;

use crate::BootTime;
use crate::backoff::Dice;

/// How long an answer is waited for at first; after each failure as much longer. A link that takes longer than that
/// must not make every answer come too late for ever.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// No answer is waited for longer than so many times that.
const MOST_PATIENCE: u32 = 6;

/// A question to the service, and where it stands.
#[derive(Debug, Default)]
pub(crate) struct Inquiry {
    stand: Stand,
    /// How often in a row it has failed, or has got no answer or one of no use.
    failures: u32,
}

#[derive(Debug, Default)]
enum Stand {
    #[default]
    Quiet,
    Due(BootTime),
    Asked {
        token: ClientToken,
        until: BootTime,
    },
}

impl Inquiry {
    /// Asks at that moment, or at the earlier one that is set already. One that is under way stays so.
    pub(crate) fn due_at(&mut self, at: BootTime) {
        match self.stand {
            Stand::Quiet => self.stand = Stand::Due(at),
            Stand::Due(already) => self.stand = Stand::Due(at.min(already)),
            Stand::Asked { .. } => {}
        }
    }

    /// Asks at that moment, if nothing is set yet.
    pub(crate) fn due_unless_set(&mut self, at: BootTime) {
        if matches!(self.stand, Stand::Quiet) {
            self.stand = Stand::Due(at);
        }
    }

    /// An answer that is under way was given before something that is known by now: it is asked for anew.
    pub(crate) fn outdated(&mut self, now: BootTime) {
        if matches!(self.stand, Stand::Asked { .. }) {
            self.stand = Stand::Due(now);
        }
    }

    /// Asks anew at that moment, whatever stands: an answer that is under way is no longer wanted.
    pub(crate) fn restart_at(&mut self, at: BootTime) {
        self.stand = Stand::Due(at);
    }

    /// Asks only at that moment: the answer has come without asking. One that is under way stays so.
    pub(crate) fn put_off(&mut self, at: BootTime) {
        if !matches!(self.stand, Stand::Asked { .. }) {
            self.stand = Stand::Due(at);
        }
    }

    /// Nothing is to be asked any more.
    pub(crate) fn drop_it(&mut self) {
        *self = Self::default();
    }

    /// The link is gone, and with it any answer.
    pub(crate) fn link_lost(&mut self, now: BootTime) {
        self.outdated(now);
    }

    /// Whether this is the answer that is waited for. Then the question is settled, and [`Self::satisfied`] if the
    /// answer is of use.
    pub(crate) fn settles(&mut self, token: Option<&ClientToken>) -> bool {
        let mine = self.is_mine(token);
        if mine {
            self.stand = Stand::Quiet;
        }
        mine
    }

    /// The answer was of use: the next question is the first of its kind. Without that the delays go on growing, as
    /// an answer of no use is asked for again like one that has not come.
    pub(crate) fn satisfied(&mut self) {
        self.failures = 0;
    }

    /// Whether it is still to be asked, or to be answered.
    pub(crate) fn is_open(&self) -> bool {
        !matches!(self.stand, Stand::Quiet)
    }

    /// Whether this is the token of the question under way.
    pub(crate) fn is_mine(&self, token: Option<&ClientToken>) -> bool {
        matches!(&self.stand, Stand::Asked { token: asked, .. } if Some(asked) == token)
    }

    /// Was refused for now: asks again later.
    pub(crate) fn postpone(&mut self, now: BootTime, dice: &mut Dice) {
        self.failures = self.failures.saturating_add(1);
        self.stand = Stand::Due(now.after(dice.delay_after(self.failures)));
    }

    /// The token to ask with, if it is time to ask. `token` is taken, or a fresh one.
    pub(crate) fn poll(
        &mut self,
        now: BootTime,
        dice: &mut Dice,
        token: Option<ClientToken>,
    ) -> Option<ClientToken> {
        if let Stand::Asked { until, .. } = self.stand {
            if now >= until {
                self.postpone(now, dice);
            }
        }
        match self.stand {
            Stand::Due(at) if now >= at => {
                let token = token.unwrap_or_else(|| dice.token());
                let patience = ANSWER_WITHIN * self.failures.saturating_add(1).min(MOST_PATIENCE);
                self.stand = Stand::Asked { token: token.clone(), until: now.after(patience) };
                Some(token)
            }
            Stand::Quiet | Stand::Due(_) | Stand::Asked { .. } => None,
        }
    }

    /// When it wants to be polled. What is due waits for the link.
    pub(crate) fn deadline(&self) -> Option<BootTime> {
        match self.stand {
            Stand::Quiet => None,
            Stand::Due(at) => Some(at),
            Stand::Asked { until, .. } => Some(until),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> BootTime {
        BootTime::from_millis(seconds * 1000)
    }

    #[test]
    fn a_question_without_an_answer_is_asked_again() {
        let (mut inquiry, mut dice) = (Inquiry::default(), Dice::new(3));
        inquiry.due_at(at(0));
        let first = inquiry.poll(at(0), &mut dice, None).expect("it is due");
        assert_eq!(inquiry.poll(at(9), &mut dice, None), None, "an answer is waited for");
        assert_eq!(inquiry.deadline(), Some(at(10)));
        let again = inquiry.poll(at(10), &mut dice, None).or_else(|| inquiry.poll(at(12), &mut dice, None));
        let again = again.expect("asked again within the first back-off");
        assert_ne!(first, again, "the answer to the first is no longer wanted");
        assert!(!inquiry.settles(Some(&first)));
        assert!(inquiry.settles(Some(&again)));
        assert_eq!(inquiry.deadline(), None);
    }

    #[test]
    fn the_earlier_of_two_moments_counts() {
        let mut inquiry = Inquiry::default();
        inquiry.due_at(at(5));
        inquiry.due_at(at(9));
        assert_eq!(inquiry.deadline(), Some(at(5)));
        inquiry.due_at(at(2));
        assert_eq!(inquiry.deadline(), Some(at(2)));
    }
}
