//! Exit codes, by cause. What systemd does after an end is decided by these numbers alone (`Restart=` and
//! `RestartPreventExitStatus=` of the unit), so they stand in one place. Which error has which cause is
//! said beside each error; here is only the table.

use std::process::ExitCode;

/// Why the process ends, when it does not end well. The numbers are those of `sysexits.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 64: the command line is not understood. Starting again will not help.
    Usage,
    /// 70: a mistake of ours. (A panic aborts instead: the kernel reports SIGABRT.)
    Software,
    /// 74: the state could not be read or written. Nothing has been sent or started on account of what was
    /// not saved; after a restart the journal says where to go on.
    Storage,
    /// 75: something that passes: another instance holds the state directory, the system is out of processes.
    Temporary,
    /// 77: the state directory is there and may not be used.
    Permission,
    /// 78: the configuration cannot be believed. Starting again will not help.
    Config,
}

impl Exit {
    /// The number the parent process sees.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Usage => 64,
            Self::Software => 70,
            Self::Storage => 74,
            Self::Temporary => 75,
            Self::Permission => 77,
            Self::Config => 78,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}
