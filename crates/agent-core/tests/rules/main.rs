//! The agent's rules, one test each, in virtual time and against a peer that is played by hand.
//!
//! A test whose doc comment begins with a letter and a number holds a defect that the AWS IoT Device Client is known
//! for, and that must not come back here: C for crashes, R for wrong results, L for hanging.

mod agreeing;
mod bad_input;
mod bench;
mod details;
mod offers;
mod progress;
mod reboot;
mod recovery;
mod reports;
mod session;
mod stopping;
mod verdicts;
