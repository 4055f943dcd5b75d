//! `schedulingConfig`: when a job begins and ends, and in which windows it is handed out.

use serde_json::Value;

use super::config::only;
use crate::control::error::ControlError;
use crate::control::params::{Params, wrong};
use crate::cron::Cron;
use crate::maintenance::Window;
use crate::rollout::{AtEnd, Schedule};
use crate::{EpochMillis, calendar};

const NAME: &str = "schedulingConfig";
/// A start is at least so far ahead, and an end at least so long after it.
const LEAST_MINUTES: u64 = 30;
const YEAR_MINUTES: u64 = 366 * 24 * 60;
/// Longest window, in minutes, and longest expression for its beginning, in characters (service model).
const LONGEST_WINDOW: u64 = 1430;
const EXPRESSION: usize = 256;

/// Reads and checks it; the default is to begin at once and never to end.
pub(super) fn read(params: &Params, continuous: bool, now: EpochMillis) -> Result<Schedule, ControlError> {
    let Some(config) = params.object(NAME)? else { return Ok(Schedule::default()) };
    only(config, NAME, &["startTime", "endTime", "endBehavior", "maintenanceWindows"])?;
    let start = moment(config.get("startTime"), "startTime")?;
    let end = moment(config.get("endTime"), "endTime")?;
    if start.is_some_and(|start| start < now.plus_minutes(LEAST_MINUTES)) {
        return Err(wrong("schedulingConfig.startTime", "at least 30 minutes in the future"));
    }
    if start.is_some_and(|start| start > now.plus_minutes(YEAR_MINUTES)) {
        return Err(wrong("schedulingConfig.startTime", "at most a year in the future"));
    }
    if end.is_some_and(|end| end < start.unwrap_or(now).plus_minutes(LEAST_MINUTES)) {
        return Err(wrong("schedulingConfig.endTime", "at least 30 minutes after the start"));
    }
    if end.is_some_and(|end| end > now.plus_minutes(2 * YEAR_MINUTES)) {
        return Err(wrong("schedulingConfig.endTime", "at most two years in the future"));
    }
    let at_end = match config.get("endBehavior").filter(|value| !value.is_null()) {
        None => AtEnd::default(),
        Some(value) => match value.as_str() {
            Some("STOP_ROLLOUT") => AtEnd::StopRollout,
            Some("CANCEL") => AtEnd::Cancel,
            Some("FORCE_CANCEL") => AtEnd::ForceCancel,
            _ => return Err(wrong("schedulingConfig.endBehavior", "STOP_ROLLOUT, CANCEL or FORCE_CANCEL")),
        },
    };
    let windows = windows(config.get("maintenanceWindows"))?;
    let schedule = Schedule { start, end, at_end, windows };
    if schedule.has_windows() && !continuous {
        return Err(ControlError::invalid("Maintenance windows are for jobs that are CONTINUOUS."));
    }
    if schedule.has_windows() && schedule.first_opening(now).is_none() {
        return Err(wrong("schedulingConfig.maintenanceWindows", "open at least once within the schedule"));
    }
    Ok(schedule)
}

/// The `maintenanceWindows` of a schedule or a template.
pub(in crate::control) fn windows(value: Option<&Value>) -> Result<Vec<Window>, ControlError> {
    const NAME: &str = "maintenanceWindows";
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(Vec::new()) };
    let list = value.as_array().ok_or_else(|| wrong(NAME, "a list"))?;
    let window = |value: &Value| {
        let window = value.as_object().ok_or_else(|| wrong(NAME, "a list of objects"))?;
        only(window, NAME, &["startTime", "durationInMinutes"])?;
        let start = window.get("startTime").and_then(Value::as_str).filter(|text| text.len() <= EXPRESSION);
        let start = start.ok_or_else(|| wrong("maintenanceWindows.startTime", "of 1 to 256 characters"))?;
        let start = Cron::try_from(start.to_owned()).map_err(|fault| {
            let shown = start.escape_debug();
            ControlError::invalid(format!("The startTime {shown} of a maintenance window is {fault}."))
        })?;
        let minutes = window.get("durationInMinutes").and_then(Value::as_u64);
        let minutes = minutes.filter(|minutes| (1..=LONGEST_WINDOW).contains(minutes));
        let minutes =
            minutes.ok_or_else(|| wrong("maintenanceWindows.durationInMinutes", "from 1 to 1430"))?;
        Ok(Window { start, minutes })
    };
    list.iter().map(window).collect()
}

fn moment(value: Option<&Value>, name: &str) -> Result<Option<EpochMillis>, ControlError> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(None) };
    let text = value.as_str().ok_or_else(|| wrong(&format!("{NAME}.{name}"), "a string"))?;
    let shown: String = text.chars().take(64).collect();
    // The service's own words [capture N 09-19].
    let message = format!(
        "1 validation error detected: Provided time {shown} UTC must follow the format YYYY-MM-DDThh:mm."
    );
    calendar::parse(text).map(Some).ok_or_else(|| ControlError::invalid(message))
}
