//! What is asked of this very service and not of AWS: faults on request, and a clock that tests may move.

use std::time::Duration;

use serde_json::{Value, json};
use service_core::S3Object;

use super::Engine;
use crate::clock::Millis;
use crate::faults::{FaultPlan, Faults};
use crate::jobs::{JobsTap, Refusal};

/// Longest step of the clock: a year.
const LONGEST_STEP: Duration = Duration::from_secs(366 * 86_400);

/// A request about the service itself.
#[derive(Debug)]
pub(crate) enum Management {
    /// The rules, and how often they have acted.
    ShowFaults,
    /// Other rules from now on; what has been put off already still comes.
    SetFaults(FaultPlan),
    ShowClock,
    /// The file behind a URL that was handed out in the place of a presigned placeholder: is it still good?
    Fetch {
        object: S3Object,
        query: String,
    },
    /// Moves the virtual clock. Clients count as alive on the way, as they would have sent their pings, unless they are
    /// to be `silent`.
    Advance {
        span: Duration,
        silent: bool,
    },
}

impl<T: JobsTap> Engine<T> {
    pub(super) fn manage(&mut self, what: Management) -> Result<Value, Refusal> {
        match what {
            Management::ShowFaults => Ok(self.faults.report()),
            Management::SetFaults(plan) => {
                let faults = Faults::new(plan);
                self.faults = faults
                    .map_err(|error| Refusal::new(400, "InvalidRequestException", error.to_string()))?;
                Ok(self.faults.report())
            }
            Management::ShowClock => Ok(self.clock_report()),
            Management::Fetch { object, query } => {
                if self.jobs.may_fetch(&object, &query, self.clock.now()) {
                    Ok(Value::Null)
                } else {
                    Err(Refusal::new(403, "AccessDenied", "The URL was not given out, or its time is over."))
                }
            }
            Management::Advance { span, .. } if span > LONGEST_STEP => {
                Err(Refusal::new(400, "InvalidRequestException", "A step of the clock is at most a year."))
            }
            Management::Advance { span, silent } if self.clock.is_held() => {
                self.advance(Millis::of(span), silent);
                Ok(self.clock_report())
            }
            Management::Advance { .. } => Err(Refusal::new(
                400,
                "InvalidRequestException",
                "The clock is the machine's; start the service with --virtual-clock to move it.",
            )),
        }
    }

    fn clock_report(&self) -> Value {
        json!({"milliseconds": self.clock.now().0, "virtual": self.clock.is_held()})
    }
}
