//! The executions of one job on one thing, by their numbers. There is one, or a few after retries: a short list takes a
//! tenth of the memory that a tree takes.

use jobs_protocol::ExecutionNumber;
use serde::{Deserialize, Serialize};

use crate::execution::Execution;

/// In ascending order of their numbers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Runs(Vec<(ExecutionNumber, Execution)>);

impl Runs {
    pub(crate) fn get(&self, number: ExecutionNumber) -> Option<&Execution> {
        self.iter().find(|(known, _)| **known == number).map(|(_, execution)| execution)
    }

    pub(crate) fn get_mut(&mut self, number: ExecutionNumber) -> Option<&mut Execution> {
        self.0.iter_mut().find(|(known, _)| *known == number).map(|(_, execution)| execution)
    }

    /// The one with the highest number.
    pub(crate) fn newest(&self) -> Option<(ExecutionNumber, &Execution)> {
        self.0.last().map(|(number, execution)| (*number, execution))
    }

    /// Adds one whose number is higher than all others.
    pub(crate) fn push(&mut self, number: ExecutionNumber, execution: Execution) {
        debug_assert!(self.newest().is_none_or(|(newest, _)| newest < number), "numbers grow");
        self.0.reserve_exact(1);
        self.0.push((number, execution));
    }

    pub(crate) fn remove(&mut self, number: ExecutionNumber) -> Option<Execution> {
        let place = self.0.iter().position(|(known, _)| *known == number)?;
        Some(self.0.remove(place).1)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&ExecutionNumber, &Execution)> {
        self.0.iter().map(|(number, execution)| (number, execution))
    }
}
