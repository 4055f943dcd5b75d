//! Why a task has not done what it should.

use std::error::Error;
use std::fmt;
use std::io;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

/// One variant per thing that whoever runs the task can look at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TaskError {
    /// The system did not let us.
    #[error("cannot {deed}")]
    Io {
        /// What was tried.
        deed: String,
        #[source]
        source: io::Error,
    },
    /// A program that is needed has failed; what it had to say stands above.
    #[error("{program} has failed ({status})")]
    Program { program: String, status: ExitStatus },
    /// cargo has built something else.
    #[error("cargo has built no program for {package}")]
    NoProgram { package: &'static str },
    /// A program ended that should run.
    #[error("{program} has ended unexpectedly ({status}); the end of its log:\n{log}")]
    Ended { program: &'static str, status: ExitStatus, log: String },
    /// Something did not come in time.
    #[error("{what}: not within {} s; the end of the daemon's log:\n{log}", after.as_secs())]
    Late { what: String, after: Duration, log: String },
    /// The service could not be asked.
    #[error("cannot ask the service: {request}")]
    Http {
        request: String,
        #[source]
        source: Box<ureq::Error>,
    },
    /// The service does not do what was asked.
    #[error("the service refuses {request}: {answer}")]
    Refused { request: String, answer: String },
    /// An answer, a file or a number is not what it should be.
    #[error("{what} is not as expected: {found}")]
    Strange { what: &'static str, found: String },
    /// The demo has come to another end than its table says.
    #[error("{count} of the sample documents did not end as they should")]
    Outcome { count: usize },
    /// A command of the tutorial, or its result, is not what the page says.
    #[error("docs/tutorial.md, line {line}: {problem}\n{output}")]
    Tutorial { line: usize, problem: String, output: String },
    /// Ctrl-C, or a polite request to end.
    #[error("interrupted")]
    Interrupted,
}

impl TaskError {
    /// For `map_err`: what was tried.
    pub(crate) fn io(deed: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let deed = deed.into();
        move |source| Self::Io { deed, source }
    }

    /// 1 for a task that has failed, 130 as shells say it for Ctrl-C.
    pub(crate) fn exit_code(&self) -> ExitCode {
        if matches!(self, Self::Interrupted) { ExitCode::from(130) } else { ExitCode::FAILURE }
    }
}

/// An error with everything that led to it.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
