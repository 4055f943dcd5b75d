//! The configurations of a job that change how its executions are handed out and end: rollout, time-outs, retries,
//! abort, and the life of presigned URLs.

use serde_json::{Map, Value};

use crate::control::error::ControlError;
use crate::control::params::{Params, wrong};
use crate::job::{AbortCriterion, FailureType, Job, RetryCriterion};
use crate::rollout::{Criterion, Growth, Pace};

/// The members that they travel in.
pub(in crate::control) const NAMES: [&str; 5] = [
    "timeoutConfig",
    "jobExecutionsRetryConfig",
    "abortConfig",
    "jobExecutionsRolloutConfig",
    "presignedUrlConfig",
];

/// The configurations that jobs and templates show as empty objects if nobody has set them \[capture C 10-05\].
pub(in crate::control) fn unset() -> impl Iterator<Item = (String, Value)> {
    let names = ["presignedUrlConfig", "jobExecutionsRolloutConfig", "timeoutConfig"];
    names.into_iter().map(|name| (name.to_owned(), Value::Object(Map::new())))
}

/// Those that a request has.
#[derive(Debug, Default)]
pub(in crate::control) struct Configs {
    timeout: Option<u64>,
    pub(super) retry: Option<Vec<RetryCriterion>>,
    abort: Option<Vec<AbortCriterion>>,
    pace: Option<Pace>,
    lifetime: Option<u64>,
    shown: Map<String, Value>,
}

impl Configs {
    /// Reads and checks them.
    pub(in crate::control) fn read(params: &Params) -> Result<Self, ControlError> {
        let mut shown = Map::new();
        for name in NAMES {
            if let Some(config) = params.object(name)?.filter(|config| !config.is_empty()) {
                shown.insert(name.to_owned(), config.clone().into());
            }
        }
        Ok(Self {
            timeout: timeout(params)?,
            retry: retry(params)?,
            abort: abort(params)?,
            pace: pace(params)?,
            lifetime: lifetime(params)?,
            shown,
        })
    }

    /// Gives them to a job. Executions that are in progress keep the timer that they started with.
    pub(super) fn apply(self, job: &mut Job) {
        job.timeout = self.timeout.or(job.timeout);
        if let Some(retry) = self.retry {
            job.retry = retry;
        }
        if let Some(abort) = self.abort {
            job.abort = abort;
        }
        if let Some(pace) = self.pace {
            job.pace = pace;
        }
        job.document.lifetime = self.lifetime.or(job.document.lifetime);
        job.shown.extend(self.shown);
    }
}

fn timeout(params: &Params) -> Result<Option<u64>, ControlError> {
    let Some(config) = params.object("timeoutConfig")? else { return Ok(None) };
    only(config, "timeoutConfig", &["inProgressTimeoutInMinutes"])?;
    let Some(minutes) = config.get("inProgressTimeoutInMinutes") else { return Ok(None) };
    match minutes.as_u64() {
        Some(minutes @ 1..=10_080) => Ok(Some(minutes)),
        _ => Err(ControlError::invalid(format!(
            "Provide valid timeout value, inProgressTimeoutInMinutes cannot be {minutes}."
        ))),
    }
}

fn pace(params: &Params) -> Result<Option<Pace>, ControlError> {
    const NAME: &str = "jobExecutionsRolloutConfig";
    let Some(config) = params.object(NAME)?.filter(|config| !config.is_empty()) else { return Ok(None) };
    only(config, NAME, &["maximumPerMinute", "exponentialRate"])?;
    let maximum = number(config, NAME, "maximumPerMinute", 1..=1000)?;
    let growth = match config.get("exponentialRate").filter(|rate| !rate.is_null()) {
        None => None,
        Some(rate) => Some(growth(rate)?),
    };
    Ok(Some(Pace { maximum, growth }))
}

fn growth(rate: &Value) -> Result<Growth, ControlError> {
    const NAME: &str = "jobExecutionsRolloutConfig.exponentialRate";
    let rate = rate.as_object().ok_or_else(|| wrong(NAME, "an object"))?;
    only(rate, NAME, &["baseRatePerMinute", "incrementFactor", "rateIncreaseCriteria"])?;
    let base = number(rate, NAME, "baseRatePerMinute", 1..=1000)?;
    let base = base.ok_or_else(|| wrong(&format!("{NAME}.baseRatePerMinute"), "from 1 to 1000"))?;
    let factor = rate.get("incrementFactor").and_then(Value::as_f64);
    let tenths = |factor: f64| (factor * 10.0 - (factor * 10.0).round()).abs() < 1e-9;
    let factor = factor
        .filter(|factor| (1.1..=5.0).contains(factor) && tenths(*factor))
        .ok_or_else(|| wrong(&format!("{NAME}.incrementFactor"), "from 1.1 to 5 with at most one decimal"))?;
    let criteria = rate.get("rateIncreaseCriteria").and_then(Value::as_object);
    let name = format!("{NAME}.rateIncreaseCriteria");
    let either = || wrong(&name, "one of numberOfNotifiedThings and numberOfSucceededThings, at least 1");
    let criteria = criteria.ok_or_else(either)?;
    only(criteria, &name, &["numberOfNotifiedThings", "numberOfSucceededThings"])?;
    let notified = number(criteria, &name, "numberOfNotifiedThings", 1..=u64::MAX)?;
    let succeeded = number(criteria, &name, "numberOfSucceededThings", 1..=u64::MAX)?;
    let criterion = match (notified, succeeded) {
        (Some(count), None) => Criterion::Notified(count),
        (None, Some(count)) => Criterion::Succeeded(count),
        (None, None) | (Some(_), Some(_)) => return Err(either()),
    };
    Ok(Growth { base, factor, criterion })
}

/// The life of presigned URLs, in seconds.
fn lifetime(params: &Params) -> Result<Option<u64>, ControlError> {
    const NAME: &str = "presignedUrlConfig";
    let Some(config) = params.object(NAME)? else { return Ok(None) };
    only(config, NAME, &["roleArn", "expiresInSec"])?;
    number(config, NAME, "expiresInSec", 60..=3600)
}

fn number(
    config: &Map<String, Value>,
    name: &str,
    member: &str,
    range: std::ops::RangeInclusive<u64>,
) -> Result<Option<u64>, ControlError> {
    let Some(value) = config.get(member).filter(|value| !value.is_null()) else { return Ok(None) };
    let number = value.as_u64().filter(|number| range.contains(number));
    number.map(Some).ok_or_else(|| {
        wrong(&format!("{name}.{member}"), &format!("from {} to {}", range.start(), range.end()))
    })
}

fn retry(params: &Params) -> Result<Option<Vec<RetryCriterion>>, ControlError> {
    const NAME: &str = "jobExecutionsRetryConfig";
    let Some(list) = criteria(params, NAME)? else { return Ok(None) };
    let mut criteria = Vec::new();
    for entry in list {
        only(entry, NAME, &["failureType", "numberOfRetries"])?;
        let failure = match entry.get("failureType").and_then(Value::as_str) {
            Some("FAILED") => FailureType::Failed,
            Some("TIMED_OUT") => FailureType::TimedOut,
            Some("ALL") => FailureType::All,
            _ => {
                return Err(wrong(
                    "jobExecutionsRetryConfig.criteriaList.failureType",
                    "FAILED, TIMED_OUT or ALL",
                ));
            }
        };
        let retries = entry.get("numberOfRetries").and_then(Value::as_u64).filter(|retries| *retries <= 10);
        let retries = retries
            .ok_or_else(|| wrong("jobExecutionsRetryConfig.criteriaList.numberOfRetries", "from 0 to 10"))?;
        criteria.push(RetryCriterion { failure, retries });
    }
    let all = criteria.iter().any(|criterion| criterion.failure == FailureType::All);
    let twice = criteria.len() == 2 && criteria[0].failure == criteria[1].failure;
    if criteria.len() > 2 || twice || (all && criteria.len() > 1) {
        return Err(ControlError::invalid(
            "Retry criteria must be one for ALL, or one each for FAILED and TIMED_OUT.",
        ));
    }
    if criteria.iter().map(|criterion| criterion.retries).sum::<u64>() > 10 {
        return Err(ControlError::invalid("The numbers of retries add up to more than 10."));
    }
    Ok(Some(criteria))
}

fn abort(params: &Params) -> Result<Option<Vec<AbortCriterion>>, ControlError> {
    const NAME: &str = "abortConfig";
    let Some(list) = criteria(params, NAME)? else { return Ok(None) };
    let mut criteria = Vec::new();
    for entry in list {
        only(entry, NAME, &["failureType", "action", "thresholdPercentage", "minNumberOfExecutedThings"])?;
        let failure = match entry.get("failureType").and_then(Value::as_str) {
            Some("FAILED") => FailureType::Failed,
            Some("REJECTED") => FailureType::Rejected,
            Some("TIMED_OUT") => FailureType::TimedOut,
            Some("ALL") => FailureType::All,
            _ => {
                return Err(wrong(
                    "abortConfig.criteriaList.failureType",
                    "FAILED, REJECTED, TIMED_OUT or ALL",
                ));
            }
        };
        if entry.get("action").and_then(Value::as_str) != Some("CANCEL") {
            return Err(wrong("abortConfig.criteriaList.action", "CANCEL"));
        }
        let threshold = entry.get("thresholdPercentage").and_then(Value::as_f64);
        let threshold_percentage =
            threshold.filter(|percentage| *percentage > 0.0 && *percentage <= 100.0).ok_or_else(|| {
                wrong("abortConfig.criteriaList.thresholdPercentage", "above 0 and at most 100")
            })?;
        let least = entry.get("minNumberOfExecutedThings").and_then(Value::as_u64);
        let min_executed = least
            .filter(|least| *least >= 1)
            .ok_or_else(|| wrong("abortConfig.criteriaList.minNumberOfExecutedThings", "at least 1"))?;
        criteria.push(AbortCriterion { failure, threshold_percentage, min_executed });
    }
    Ok(Some(criteria))
}

type Entries<'a> = Vec<&'a Map<String, Value>>;

fn criteria<'a>(params: &'a Params, name: &str) -> Result<Option<Entries<'a>>, ControlError> {
    let Some(config) = params.object(name)?.filter(|config| !config.is_empty()) else { return Ok(None) };
    only(config, name, &["criteriaList"])?;
    let list = config.get("criteriaList").and_then(Value::as_array).filter(|list| !list.is_empty());
    let entries: Option<Entries<'a>> = list.and_then(|list| list.iter().map(Value::as_object).collect());
    entries
        .map(Some)
        .ok_or_else(|| wrong(&format!("{name}.criteriaList"), "a list of at least one criterion"))
}

/// A member of a configuration that is not known must not be passed over in silence.
pub(super) fn only(config: &Map<String, Value>, name: &str, known: &[&str]) -> Result<(), ControlError> {
    match config.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => {
            let key: String = key.chars().take(64).collect();
            Err(ControlError::invalid(format!("The option {name}.{key} is not supported by this service.")))
        }
    }
}
