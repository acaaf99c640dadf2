//! Values: sizes, quotas, types and fields as they are written on the command line.

use crate::account::AccountType;

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
    fn a_field_ends_its_name_at_the_first_equals_sign() {
        let cases = [("a=b=c", Some(("a", "b=c"))), ("nologin=", Some(("nologin", ""))), ("nologin", None)];
        for (text, field) in cases {
            let field = field.map(|(key, value)| (key.to_owned(), value.to_owned()));
            assert_eq!(parse_field(text).ok(), field, "{text}");
        }
    }
}
