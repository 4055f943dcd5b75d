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
        }
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
