//! Values: sizes, quotas, types, roles, times and fields as they are written on the command line.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::account::AccountType;
use crate::store::Role;

/// A quota of the account's own, or the domain's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quota(pub(super) Option<u64>);

/// Bytes, or a number of units of 1024: what panels call a GB is 2^30.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.char_indices().next_back() {
        Some((end, 'K' | 'k')) => (text.get(..end), 10),
        Some((end, 'M' | 'm')) => (text.get(..end), 20),
        Some((end, 'G' | 'g')) => (text.get(..end), 30),
        Some((end, 'T' | 't')) => (text.get(..end), 40),
        _ => (Some(text), 0),
    };
    digits
        .and_then(|digits| digits.parse::<u64>().ok())
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| "a size is a number of bytes, or one with K, M, G or T behind it".to_owned())
}

pub(super) fn parse_quota(text: &str) -> Result<Quota, String> {
    if text == "default" { Ok(Quota(None)) } else { parse_size(text).map(|bytes| Quota(Some(bytes))) }
}

pub(super) fn parse_type(text: &str) -> Result<AccountType, String> {
    serde_json::from_value(text.into()).map_err(|_| "a type is person, shared or service".to_owned())
}

pub(super) fn parse_role(text: &str) -> Result<Role, String> {
    Role::parse(text).ok_or_else(|| "a role is admin, webmail or login".to_owned())
}

/// A time as the API writes it, or a day, which begins at midnight UTC.
pub(super) fn parse_time(text: &str) -> Result<Timestamp, String> {
    let midnight = |day: Date| TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok();
    text.parse().ok().or_else(|| text.parse().ok().and_then(midnight)).ok_or_else(|| {
        "a time is written 2026-01-31T12:00:00Z, or 2026-01-31 for the midnight (UTC) it begins with".to_owned()
    })
}

pub(super) fn parse_field(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a field is written KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [("0", 0), ("17", 17), ("1K", 1024), ("5g", 5 << 30), ("1T", 1 << 40)] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "G", "-1", "1.5G", "1GB", "16777216T", "1 G", "ß"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_day_is_its_first_moment() {
        for (text, time) in [
            ("2026-01-31", Some("2026-01-31T00:00:00Z")),
            ("2026-01-31T12:00:00.5+01:00", Some("2026-01-31T11:00:00.5Z")),
            ("2026-02-30", None),
            ("yesterday", None),
        ] {
            assert_eq!(parse_time(text).ok().map(|time| time.to_string()).as_deref(), time, "{text}");
        }
    }

    #[test]
    fn a_field_ends_its_name_at_the_first_equals_sign() {
        let cases = [("a=b=c", Some(("a", "b=c"))), ("nologin=", Some(("nologin", ""))), ("nologin", None)];
        for (text, field) in cases {
            let field = field.map(|(key, value)| (key.to_owned(), value.to_owned()));
            assert_eq!(parse_field(text).ok(), field, "{text}");
        }
    }
}
