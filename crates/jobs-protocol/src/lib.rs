//! What goes over the wire between a device and AWS IoT Jobs.
//!
//! Names, topics, messages, job documents and their limits as types that hold no invalid value. What comes from
//! the service is heard generously (members and statuses that are new do no harm); what a device says is only what
//! the service accepts. Pure: no sockets, no clock, no files.
//!
//! Sources of the facts: the AWS IoT developer guide and captures of the live service; each item names its own.

pub mod details;
pub mod document;
pub mod limits;
pub mod message;
mod name;
pub mod status;
pub mod topic;

pub use details::{DetailsMap, InvalidDetails, StatusDetails};
pub use name::{ClientToken, EpochSeconds, ExecutionNumber, InvalidName, JobId, ThingName, VersionNumber};
pub use status::{ExecutionStatus, ReportedStatus};
