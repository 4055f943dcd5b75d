//! Moments as the API writes them in schedules: `YYYY-MM-DDThh:mm`, UTC, without seconds.

use crate::EpochMillis;

/// Reads a moment. A space may stand for the `T`, as the API's reference has it.
pub(crate) fn parse(text: &str) -> Option<EpochMillis> {
    let bytes = text.as_bytes();
    let shape = bytes.len() == 16
        && [(4, b'-'), (7, b'-'), (13, b':')].iter().all(|&(at, sign)| bytes[at] == sign)
        && matches!(bytes[10], b'T' | b' ');
    if !shape {
        return None;
    }
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))?;
        digits.parse::<u64>().ok()
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute) = (number(11, 13)?, number(14, 16)?);
    let valid = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_of(year, month)).contains(&day)
        && hour < 24
        && minute < 60;
    if !valid {
        return None;
    }
    let years: u64 = (1970..year).map(|year| 365 + u64::from(leap(year))).sum();
    let months: u64 = (1..month).map(|month| days_of(year, month)).sum();
    let minutes = ((years + months + day - 1) * 24 + hour) * 60 + minute;
    Some(EpochMillis(minutes * 60_000))
}

/// Writes a moment in the form that [`parse`] reads.
pub(crate) fn write(moment: EpochMillis) -> String {
    let minutes = moment.0 / 60_000;
    let Date { year, month, day, .. } = date(minutes / (24 * 60));
    let (hour, minute) = (minutes / 60 % 24, minutes % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}")
}

/// A day of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Date {
    pub(crate) year: u64,
    /// From 1.
    pub(crate) month: u64,
    /// From 1.
    pub(crate) day: u64,
    /// 1 is Sunday, 7 Saturday.
    pub(crate) weekday: u64,
}

/// The day that so many days follow 1970-01-01, which was a Thursday.
pub(crate) const fn date(days: u64) -> Date {
    // Counted from the 1st of March of the year 0, the leap day is the last of its year, and 400 years are always as long.
    let since = days + 719_468;
    let (era, of_era) = (since / 146_097, since % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + if month <= 2 { 1 } else { 0 };
    Date { year, month, day, weekday: (days + 4) % 7 + 1 }
}

const fn leap(year: u64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_of(year: u64, month: u64) -> u64 {
    match month {
        2 if leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_of_the_calendar() {
        for (text, seconds) in [
            ("1970-01-01T00:00", 0),
            ("2000-02-29T00:00", 951_782_400),
            ("2000-03-01 00:00", 951_868_800),
            ("2024-07-03T10:46", 1_720_003_560),
            ("2023-12-31T23:59", 1_704_067_140),
        ] {
            assert_eq!(parse(text), Some(EpochMillis(seconds * 1000)), "{text}");
            assert_eq!(write(EpochMillis(seconds * 1000 + 59_999)), text.replace(' ', "T"));
        }
    }

    #[test]
    fn every_day_follows_the_one_before_it() {
        let mut before = date(0);
        assert_eq!(before, Date { year: 1970, month: 1, day: 1, weekday: 5 });
        for days in 1..84_000 {
            let Date { year, month, day, weekday } = date(days);
            let (last, december) = (before.day == days_of(before.year, before.month), before.month == 12);
            let wanted = match (last, december) {
                (false, _) => (before.year, before.month, before.day + 1),
                (true, false) => (before.year, before.month + 1, 1),
                (true, true) => (before.year + 1, 1, 1),
            };
            assert_eq!((year, month, day, weekday), (wanted.0, wanted.1, wanted.2, before.weekday % 7 + 1));
            before = date(days);
        }
        assert_eq!(before.year, 2199);
    }

    #[test]
    fn what_is_no_moment_is_not_guessed() {
        for text in [
            "",
            "2024-07-03",
            "2024-07-03T10:46:00",
            "2024-07-03T10:46Z",
            "2024-7-03T10:46",
            "2023-02-29T00:00",
            "2024-13-01T00:00",
            "2024-00-01T00:00",
            "2024-01-01T24:00",
            "2024-01-01T00:60",
            "+024-01-01T00:00",
            "2024-01-01x00:00",
            "1969-12-31T23:59",
            "２０２４-01-01",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
