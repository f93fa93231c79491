//! Azure LLM inference trace 2023: wall clock stamps, lengths, no tenants.

use super::{Clock, Context, Trace};
use crate::trace::field::Field;
use crate::trace::{TraceError, TraceRequest, Work, table, text::Text};

const COLUMNS: [&str; 3] = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"];

const NS_PER_S: u64 = 1_000_000_000;

/// Which of the two services a file is from; the rows do not say.
#[derive(Clone, Copy)]
pub(super) enum Service {
    Conversation,
    Code,
}

pub(super) fn read(text: &Text, service: Service, context: &mut Context<'_>) -> Result<Trace, TraceError> {
    let (name, tier) = match service {
        Service::Conversation => ("conv", 0),
        Service::Code => ("code", 1),
    };
    let mut requests = Vec::new();
    for row in table::rows(text, &COLUMNS)? {
        let [stamp, prompt, output] = row?;
        requests.push(TraceRequest {
            arrival_ns: wall_clock_ns(&stamp)?,
            tier,
            tenant: context.tenant_by_hash(&format!("azure/{name}/{}", stamp.text)),
            work: Work::Tokens { prompt: prompt.tokens()?, output: output.tokens()? },
        });
    }
    let summary = format!("{} requests, P{tier} and 16 tenants by our labels", requests.len());
    Ok(Trace { clock: Clock::Wall, requests, summary })
}

/// Nanoseconds since 1970 of a stamp as if it were UTC: the trace names no zone, only differences count.
fn wall_clock_ns(stamp: &Field<'_>) -> Result<u64, TraceError> {
    parse_stamp(&stamp.text).ok_or_else(|| stamp.is_not("a time like 2023-11-16 18:15:46.6805900"))
}

fn parse_stamp(text: &str) -> Option<u64> {
    let (date, time) = text.split_once(' ')?;
    let [year, month, day] = three_numbers(date, '-')?;
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let [hour, minute, second] = three_numbers(clock, ':')?;
    let plausible = (1970..2262).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !plausible {
        return None;
    }
    let days = days_before_year(year) + (1..month).map(|m| days_in_month(year, m)).sum::<u64>() + day - 1;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * NS_PER_S + fraction_ns(fraction)?)
}

fn three_numbers(text: &str, separator: char) -> Option<[u64; 3]> {
    let mut parts = text.split(separator).map(digits);
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Up to nine decimals of a second.
fn fraction_ns(decimals: &str) -> Option<u64> {
    if decimals.is_empty() {
        return Some(0);
    }
    let missing = 9_usize.checked_sub(decimals.len())?;
    Some(digits(decimals)? * 10_u64.pow(missing as u32))
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970 to the first of January.
fn days_before_year(year: u64) -> u64 {
    (1970..year).map(|y| if is_leap(y) { 366 } else { 365 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_count_from_1970() {
        assert_eq!(parse_stamp("1970-01-01 00:00:00"), Some(0));
        assert_eq!(parse_stamp("2023-11-16 18:15:46.6805900"), Some(1_700_158_546_680_590_000));
        assert_eq!(parse_stamp("2024-03-01 00:00:00.5"), Some(1_709_251_200_500_000_000));
        assert_eq!(parse_stamp("2000-02-29 23:59:59.999999999"), Some(951_868_799_999_999_999));
    }

    #[test]
    fn impossible_stamps_are_refused() {
        for wrong in [
            "2023-11-16",
            "2023-11-16T18:15:46",
            "2023-13-01 00:00:00",
            "2023-02-29 00:00:00",
            "2023-11-16 24:00:00",
            "2023-11-16 18:15:46.0000000001",
            "2023-11-16 18:15:46.-5",
            "1969-12-31 00:00:00",
            "2023-11-16 18:15",
            "2023-11-16-1 18:15:00",
        ] {
            assert_eq!(parse_stamp(wrong), None, "{wrong}");
        }
    }
}
