//! Every topic of the Jobs device API: built from typed parts, and recognised again.
//!
//! Greengrass's namespaced topics are not here: a customer's agent ignores them.

use std::fmt;

use crate::{JobId, ThingName};

/// Which execution a describe asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum JobSelector {
    /// `$next`: the first of the thing's pending list.
    Next,
    /// That job's newest execution, or one named in the request.
    Job(JobId),
}

/// A request that a device publishes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RequestTopic {
    /// GetPendingJobExecutions: `jobs/get`.
    GetPending,
    /// StartNextPendingJobExecution: `jobs/start-next`.
    StartNext,
    /// DescribeJobExecution: `jobs/{jobId}/get`, `jobs/$next/get`.
    Describe(JobSelector),
    /// UpdateJobExecution: `jobs/{jobId}/update`.
    Update(JobId),
}

/// Any topic below `$aws/things/{thingName}/jobs/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum JobsTopic {
    /// From the device.
    Request(RequestTopic),
    /// To the device that asked: it was done.
    Accepted(RequestTopic),
    /// To the device that asked: it was not, and why.
    Rejected(RequestTopic),
    /// To every subscriber: the set of pending executions has changed.
    Notify,
    /// To every subscriber: another execution is next.
    NotifyNext,
}

/// Why a topic is none of the Jobs device API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAJobsTopic {
    /// It does not begin with `$aws/things/{thingName}/jobs/`.
    #[error("the topic is not below $aws/things/<thing>/jobs/")]
    Elsewhere,
    /// It does, and names no operation of the API.
    #[error("the topic names no operation of the Jobs API")]
    NoSuchOperation,
}

const PREFIX: &str = "$aws/things/";
const NEXT: &str = "$next";

impl fmt::Display for JobSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Next => f.write_str(NEXT),
            Self::Job(id) => id.fmt(f),
        }
    }
}

/// The part after `$aws/things/{thingName}/jobs/`.
impl fmt::Display for RequestTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GetPending => f.write_str("get"),
            Self::StartNext => f.write_str("start-next"),
            Self::Describe(selector) => write!(f, "{selector}/get"),
            Self::Update(id) => write!(f, "{id}/update"),
        }
    }
}

/// The part after `$aws/things/{thingName}/jobs/`.
impl fmt::Display for JobsTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(request) => request.fmt(f),
            Self::Accepted(request) => write!(f, "{request}/accepted"),
            Self::Rejected(request) => write!(f, "{request}/rejected"),
            Self::Notify => f.write_str("notify"),
            Self::NotifyNext => f.write_str("notify-next"),
        }
    }
}

impl JobsTopic {
    /// The whole topic, for one thing.
    #[must_use]
    pub fn of(&self, thing: &ThingName) -> String {
        format!("{PREFIX}{thing}/jobs/{self}")
    }

    /// Recognises a topic: whose it is, and which.
    pub fn parse(topic: &str) -> Result<(ThingName, Self), NotAJobsTopic> {
        let (thing, rest) = topic
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once("/jobs/"))
            .ok_or(NotAJobsTopic::Elsewhere)?;
        let thing = ThingName::try_from(thing).map_err(|_| NotAJobsTopic::Elsewhere)?;
        let levels: Vec<&str> = rest.splitn(4, '/').collect();
        let parsed = match levels[..] {
            ["notify"] => Some(Self::Notify),
            ["notify-next"] => Some(Self::NotifyNext),
            ["get"] => Some(Self::Request(RequestTopic::GetPending)),
            ["start-next"] => Some(Self::Request(RequestTopic::StartNext)),
            ["get", end @ ("accepted" | "rejected")] => Some(reply(RequestTopic::GetPending, end)),
            ["start-next", end @ ("accepted" | "rejected")] => Some(reply(RequestTopic::StartNext, end)),
            [job, verb] => of_one_job(job, verb).map(Self::Request),
            [job, verb, end @ ("accepted" | "rejected")] => {
                of_one_job(job, verb).map(|request| reply(request, end))
            }
            _ => None,
        };
        parsed.map(|parsed| (thing, parsed)).ok_or(NotAJobsTopic::NoSuchOperation)
    }
}

fn of_one_job(job: &str, verb: &str) -> Option<RequestTopic> {
    match (job, verb) {
        (NEXT, "get") => Some(RequestTopic::Describe(JobSelector::Next)),
        (_, "get") => Some(RequestTopic::Describe(JobSelector::Job(JobId::try_from(job).ok()?))),
        (_, "update") => Some(RequestTopic::Update(JobId::try_from(job).ok()?)),
        _ => None,
    }
}

fn reply(request: RequestTopic, end: &str) -> JobsTopic {
    if end == "accepted" { JobsTopic::Accepted(request) } else { JobsTopic::Rejected(request) }
}

/// The filters that an agent subscribes to: notifications, and the replies to get, describe and update.
///
/// Five, so that they fit into one SUBSCRIBE packet, and no two of them match the same topic: an overlap may
/// deliver a message twice.
#[must_use]
pub fn agent_filters(thing: &ThingName) -> Vec<String> {
    ["notify", "notify-next", "get/+", "+/get/+", "+/update/+"]
        .map(|filter| format!("{PREFIX}{thing}/jobs/{filter}"))
        .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_is_recognised_again() {
        let thing = ThingName::try_from("Thing:1_a-b").unwrap();
        let job = || JobId::try_from("get").unwrap();
        let requests = [
            RequestTopic::GetPending,
            RequestTopic::StartNext,
            RequestTopic::Describe(JobSelector::Next),
            RequestTopic::Describe(JobSelector::Job(job())),
            RequestTopic::Update(job()),
        ];
        let mut all = vec![JobsTopic::Notify, JobsTopic::NotifyNext];
        for request in requests {
            all.push(JobsTopic::Request(request.clone()));
            all.push(JobsTopic::Accepted(request.clone()));
            all.push(JobsTopic::Rejected(request));
        }
        for topic in all {
            assert_eq!(JobsTopic::parse(&topic.of(&thing)), Ok((thing.clone(), topic)));
        }
    }

    #[test]
    fn the_reply_to_next_keeps_the_literal() {
        let (_, topic) = JobsTopic::parse("$aws/things/t1/jobs/$next/get/accepted").unwrap();
        assert_eq!(topic, JobsTopic::Accepted(RequestTopic::Describe(JobSelector::Next)));
    }

    #[test]
    fn what_is_not_of_the_api_is_told_apart() {
        for elsewhere in
            ["", "a/b", "$aws/things/t1/shadow/get", "$aws/things/t1/jobs", "$aws/things/a b/jobs/get"]
        {
            assert_eq!(JobsTopic::parse(elsewhere), Err(NotAJobsTopic::Elsewhere), "{elsewhere}");
        }
        for unknown in
            ["", "foo", "$next/update", "j/delete", "j/get/accepted/x", "j!/get", "get/else", "/get"]
        {
            let topic = format!("$aws/things/t1/jobs/{unknown}");
            assert_eq!(JobsTopic::parse(&topic), Err(NotAJobsTopic::NoSuchOperation), "{topic}");
        }
    }

    #[test]
    fn the_agents_filters_fit_one_packet() {
        let filters = agent_filters(&ThingName::try_from("t1").unwrap());
        assert!(filters.len() <= crate::limits::FILTERS_PER_SUBSCRIBE);
    }
}
