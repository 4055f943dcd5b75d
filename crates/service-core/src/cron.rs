//! When a maintenance window begins: `cron(MINUTES HOURS DAY-OF-MONTH MONTH DAY-OF-WEEK YEAR)`, in UTC, as AWS writes it.
//!
//! Days of the week are 1 to 7 from Sunday. One of the two day fields is `?`, the other tells the day. `L`, `W` and `#`,
//! which AWS has as well, are not here; an expression with one of them is none.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::EpochMillis;
use crate::calendar::{self, Date};

const MINUTE: u64 = 60_000;
const MINUTES_OF_A_DAY: u64 = 24 * 60;
const YEARS: RangeInclusive<u64> = 1970..=2199;
const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// A text that is no such expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not of the form cron(minutes hours day-of-month month day-of-week year) with one of the days as `?`"
)]
pub(crate) struct NotCron;

/// The minutes at which something begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Cron {
    text: String,
    minutes: BTreeSet<u64>,
    hours: BTreeSet<u64>,
    days: Days,
    months: BTreeSet<u64>,
    years: BTreeSet<u64>,
}

/// The field of the two that is not `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Days {
    OfMonth(BTreeSet<u64>),
    OfWeek(BTreeSet<u64>),
}

impl TryFrom<String> for Cron {
    type Error = NotCron;
    fn try_from(text: String) -> Result<Self, NotCron> {
        Self::read(&text).ok_or(NotCron)
    }
}

impl From<Cron> for String {
    fn from(cron: Cron) -> Self {
        cron.text
    }
}

impl Cron {
    fn read(text: &str) -> Option<Self> {
        let fields: Vec<&str> =
            text.trim().strip_prefix("cron(")?.strip_suffix(')')?.split_whitespace().collect();
        let [minutes, hours, day, month, weekday, year] = fields[..] else { return None };
        let days = match (day, weekday) {
            (day, "?") if day != "?" => Days::OfMonth(field(day, &(1..=31), &[])?),
            ("?", weekday) if weekday != "?" => Days::OfWeek(field(weekday, &(1..=7), &WEEKDAYS)?),
            _ => return None,
        };
        Some(Self {
            text: text.to_owned(),
            minutes: field(minutes, &(0..=59), &[])?,
            hours: field(hours, &(0..=23), &[])?,
            days,
            months: field(month, &(1..=12), &MONTHS)?,
            years: field(year, &YEARS, &[])?,
        })
    }

    /// The first of its moments that is not before `from`.
    pub(crate) fn next(&self, from: EpochMillis) -> Option<EpochMillis> {
        let first = from.0.div_ceil(MINUTE);
        for day in first / MINUTES_OF_A_DAY.. {
            let date = calendar::date(day);
            if date.year > *YEARS.end() {
                return None;
            }
            if !self.is_on(&date) {
                continue;
            }
            let moments = self.hours.iter().flat_map(|hour| {
                self.minutes.iter().map(move |minute| day * MINUTES_OF_A_DAY + hour * 60 + minute)
            });
            if let Some(moment) = moments.into_iter().find(|moment| *moment >= first) {
                return Some(EpochMillis(moment * MINUTE));
            }
        }
        None
    }

    fn is_on(&self, date: &Date) -> bool {
        let day = match &self.days {
            Days::OfMonth(days) => days.contains(&date.day),
            Days::OfWeek(days) => days.contains(&date.weekday),
        };
        day && self.months.contains(&date.month) && self.years.contains(&date.year)
    }
}

/// The values of a field: `*`, numbers or names, ranges, lists, and steps such as `0/15`.
fn field(text: &str, range: &RangeInclusive<u64>, names: &[&str]) -> Option<BTreeSet<u64>> {
    let value = |text: &str| {
        let word = names.iter().zip(*range.start()..).find(|(name, _)| name.eq_ignore_ascii_case(text));
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number =
            word.map(|(_, number)| number).or_else(|| digits.then(|| text.parse().ok()).flatten())?;
        range.contains(&number).then_some(number)
    };
    let mut values = BTreeSet::new();
    for part in text.split(',') {
        let (span, step) = match part.split_once('/') {
            Some((span, step)) => (span, Some(step.parse().ok().filter(|step: &usize| *step > 0)?)),
            None => (part, None),
        };
        let span = match span.split_once('-') {
            _ if span == "*" => range.clone(),
            Some((first, last)) => value(first)?..=value(last)?,
            None if step.is_some() => value(span)?..=*range.end(),
            None => value(span)?..=value(span)?,
        };
        if span.is_empty() {
            return None;
        }
        values.extend(span.step_by(step.unwrap_or(1)));
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cron(text: &str) -> Cron {
        Cron::try_from(text.to_owned()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn next(text: &str, from: &str) -> Option<String> {
        cron(text).next(calendar::parse(from).unwrap()).map(calendar::write)
    }

    #[test]
    fn the_next_moment_is_found() {
        // 2024-07-03 is a Wednesday.
        for (text, from, wanted) in [
            ("cron(0 18 ? * MON *)", "2024-07-03T10:00", "2024-07-08T18:00"),
            ("cron(0 18 ? * MON *)", "2024-07-08T18:00", "2024-07-08T18:00"),
            ("cron(0 18 ? * MON *)", "2024-07-08T18:01", "2024-07-15T18:00"),
            ("cron(0 18 ? * 2-6 *)", "2024-07-05T18:01", "2024-07-08T18:00"),
            ("cron(30 2,14 * * ? *)", "2024-07-03T10:00", "2024-07-03T14:30"),
            ("cron(0/15 * * * ? *)", "2024-07-03T10:46", "2024-07-03T11:00"),
            ("cron(0 0 1 1 ? *)", "2024-07-03T10:46", "2025-01-01T00:00"),
            ("cron(0 0 29 feb ? *)", "2025-01-01T00:00", "2028-02-29T00:00"),
            ("cron(5 3 ? DEC sat,sun *)", "2024-07-03T10:46", "2024-12-01T03:05"),
            ("cron(59 23 31 12 ? 2199)", "2024-07-03T10:46", "2199-12-31T23:59"),
            ("cron(0 8-10/2 ? * * *)", "2024-07-03T09:00", "2024-07-03T10:00"),
        ] {
            assert_eq!(next(text, from).as_deref(), Some(wanted), "{text} from {from}");
        }
        for text in ["cron(0 0 31 2 ? *)", "cron(0 0 * * ? 2023)"] {
            assert_eq!(next(text, "2024-07-03T10:46"), None, "{text}");
        }
    }

    #[test]
    fn a_begun_minute_is_not_to_come() {
        let minute = calendar::parse("2024-07-03T10:00").unwrap();
        let every = cron("cron(* * * * ? *)");
        assert_eq!(every.next(minute), Some(minute));
        assert_eq!(every.next(EpochMillis(minute.0 + 1)), Some(minute.plus_minutes(1)));
    }

    #[test]
    fn what_is_no_expression_is_not_guessed() {
        for text in [
            "",
            "0 18 ? * MON *",
            "cron()",
            "cron(0 18 ? * MON)",
            "cron(0 18 ? * MON * *)",
            "cron(0 18 * * * *)",
            "cron(0 18 ? * ? *)",
            "cron(60 18 ? * MON *)",
            "cron(0 24 ? * MON *)",
            "cron(0 18 ? * 0 *)",
            "cron(0 18 ? * 8 *)",
            "cron(0 18 0 * ? *)",
            "cron(0 18 32 * ? *)",
            "cron(0 18 ? 13 MON *)",
            "cron(0 18 ? * MON 1969)",
            "cron(0 18 L * ? *)",
            "cron(0 18 ? * 2#1 *)",
            "cron(0 18 5W * ? *)",
            "cron(0/0 18 ? * MON *)",
            "cron(+5 18 ? * MON *)",
            "cron(5- 18 ? * MON *)",
            "cron(9-5 18 ? * MON *)",
            "cron(? 18 ? * MON *)",
            "cron(, 18 ? * MON *)",
            "rate(1 day)",
        ] {
            assert_eq!(Cron::try_from(text.to_owned()), Err(NotCron), "{text}");
        }
    }
}
