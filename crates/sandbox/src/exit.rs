//! Exit codes besides 0 and 1; 2 is clap's, for a command line that is wrong.

/// The configuration or its files are wrong. As `sysexits.h` has it, and as the agent ends for the same cause.
pub(crate) const WRONG_CONFIGURATION: u8 = 78;
