//! Values: which names, quotas and fields an account may have.
//!
//! The fields of a login must fit into one reply of Dovecot's protocols, and must not say who somebody is.

use std::collections::BTreeMap;

use crate::change_password::Refused;

/// Longest name of a person, in bytes.
const NAME_LIMIT: usize = 256;
/// Longest key of a field, in bytes.
const KEY_LIMIT: usize = 64;
/// All keys and values together, in bytes: with tab escaping they stay below Dovecot's line of 8192.
const FIELDS_LIMIT: usize = 3072;
/// Decided by the login itself; a field of that name would make one mailbox another.
const RESERVED: [&str; 9] =
    ["user", "username", "domain", "password", "nopassword", "original_user", "auth_user", "userdb_user", "userdb_"];

pub(super) fn check_name(name: Option<&str>) -> Result<(), Refused> {
    match name {
        Some(name) if name.len() > NAME_LIMIT => invalid(format!("`name` is longer than {NAME_LIMIT} bytes")),
        Some(name) if name.chars().any(char::is_control) => invalid("`name` has a control character".to_owned()),
        _ => Ok(()),
    }
}

/// The store counts in 63 bits.
pub(super) fn check_quota(quota: Option<u64>) -> Result<(), Refused> {
    match quota {
        Some(bytes) if i64::try_from(bytes).is_err() => invalid(format!("a quota is at most {} bytes", i64::MAX)),
        _ => Ok(()),
    }
}

pub(super) fn check_fields(fields: &BTreeMap<String, String>) -> Result<(), Refused> {
    let mut total = 0_usize;
    for (key, value) in fields {
        let well_formed = !key.is_empty()
            && key.len() <= KEY_LIMIT
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./:+".contains(&byte));
        if !well_formed {
            return invalid(format!(
                "a field's name is 1 to {KEY_LIMIT} ASCII letters, digits and _-./:+ (as `userdb_home`)"
            ));
        }
        if RESERVED.contains(&key.to_ascii_lowercase().as_str()) {
            return invalid(format!("the field `{key}` is decided at each login and cannot be set"));
        }
        if value.chars().any(char::is_control) {
            return invalid(format!("the value of the field `{key}` has a control character"));
        }
        total = total.saturating_add(key.len()).saturating_add(value.len());
    }
    if total > FIELDS_LIMIT {
        return invalid(format!("the fields are {total} bytes together; at most {FIELDS_LIMIT} fit into a reply"));
    }
    Ok(())
}

fn invalid(text: String) -> Result<(), Refused> {
    Err(Refused::Invalid(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(key: &str, value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(key.to_owned(), value.to_owned())])
    }

    #[test]
    fn fields_of_dovecot_are_taken() {
        for (key, value) in [
            ("userdb_home", "/srv/mail/ann"),
            ("userdb_quota_rule", "*:storage=1G"),
            ("userdb_namespace/inbox/separator", "/"),
            ("userdb_namespace/inbox/inbox", "yes"),
            ("allow_nets", "192.0.2.0/24,2001:db8::/32"),
            ("nodelay", ""),
            ("reason", "Gesperrt wegen Überlänge"),
        ] {
            assert!(check_fields(&fields(key, value)).is_ok(), "{key}={value}");
        }
    }

    #[test]
    fn fields_that_would_forge_or_break_a_reply_are_refused() {
        let long = "x".repeat(FIELDS_LIMIT);
        for (key, value) in [
            ("user", "eve@example.org"),
            ("User", "eve@example.org"),
            ("userdb_user", "eve@example.org"),
            ("userdb_", "x"),
            ("", "x"),
            ("a=b", "x"),
            ("a\tb", "x"),
            ("reason", "one\ntwo"),
            ("reason", "one\ttwo"),
            ("reason", &long),
        ] {
            assert!(check_fields(&fields(key, value)).is_err(), "{key:?}={value:?}");
        }
    }

    #[test]
    fn a_quota_fits_the_store() {
        assert!(check_quota(None).is_ok());
        assert!(check_quota(Some(u64::try_from(i64::MAX).expect("positive"))).is_ok());
        assert!(check_quota(Some(u64::MAX)).is_err());
    }

    #[test]
    fn a_name_is_one_line_of_text() {
        assert!(check_name(Some("Ann O'Neil, Zürich")).is_ok());
        assert!(check_name(Some("Ann\r\nEve")).is_err());
        assert!(check_name(Some(&"x".repeat(257))).is_err());
    }
}
