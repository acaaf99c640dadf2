//! Quota: what Dovecot's quota settings come to in bytes.

use std::collections::BTreeMap;

const RULE: &str = "userdb_quota_rule";
const STORAGE_SIZE: &str = "userdb_quota_storage_size";

/// The quota that the fields set. A field that says nothing else is taken out: the account's quota says it from now on.
/// One that says more stays, so that nothing of it is lost, and goes before the account's quota.
pub(super) fn take(fields: &mut BTreeMap<String, String>) -> Option<u64> {
    if let (Some(_), Some(_)) = (fields.get(RULE), fields.get(STORAGE_SIZE)) {
        return of_rule(fields.get(RULE)?).map(|(bytes, _)| bytes);
    }
    if let Some((bytes, is_all)) = fields.get(RULE).and_then(|rule| of_rule(rule)) {
        if is_all {
            fields.remove(RULE);
        }
        return Some(bytes);
    }
    let bytes = of_storage_size(fields.get(STORAGE_SIZE)?)?;
    fields.remove(STORAGE_SIZE);
    Some(bytes)
}

/// `*:storage=1G`, `*:bytes=1000:messages=5`, in bytes, and whether that is all it says
/// (Dovecot 2.3.19 `src/plugins/quota/quota-util.c`: `storage` counts in KiB, `bytes` in bytes, unless a unit follows).
fn of_rule(rule: &str) -> Option<(u64, bool)> {
    let mut bytes = None;
    let mut is_all = true;
    for limit in rule.strip_prefix("*:")?.split(':') {
        match limit.split_once('=') {
            Some(("storage", size)) => bytes = Some(size_in_bytes(size, 1 << 10)?),
            Some(("bytes", size)) => bytes = Some(size_in_bytes(size, 1)?),
            _ => is_all = false,
        }
    }
    bytes.map(|bytes| (bytes, is_all))
}

/// 2.4's setting: a size, or `unlimited`.
fn of_storage_size(size: &str) -> Option<u64> {
    if size.eq_ignore_ascii_case("unlimited") { Some(0) } else { size_in_bytes(size, 1) }
}

fn size_in_bytes(text: &str, default_unit: u64) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let unit = match unit.bytes().next().map(|byte| byte.to_ascii_uppercase()) {
        None => default_unit,
        Some(b'B') => 1,
        Some(b'K') => 1 << 10,
        Some(b'M') => 1 << 20,
        Some(b'G') => 1 << 30,
        Some(b'T') => 1 << 40,
        Some(_) => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_taken_and_nothing_is_lost() {
        let rule = |rule: &'static str| vec![(RULE, rule)];
        let cases = [
            (rule("*:storage=1G"), Some(1 << 30), vec![]),
            (rule("*:storage=100"), Some(100 << 10), vec![]),
            (rule("*:bytes=100"), Some(100), vec![]),
            (rule("*:bytes=5m"), Some(5 << 20), vec![]),
            (rule("*:storage=0"), Some(0), vec![]),
            (rule("*:storage=1G:messages=9"), Some(1 << 30), rule("*:storage=1G:messages=9")),
            (rule("*:messages=9"), None, rule("*:messages=9")),
            (rule("Trash:storage=+10%"), None, rule("Trash:storage=+10%")),
            (rule("*:storage=10%"), None, rule("*:storage=10%")),
            (rule("*:storage=-1"), None, rule("*:storage=-1")),
            (rule("*:storage=99999999T"), None, rule("*:storage=99999999T")),
            (rule("*:ignore"), None, rule("*:ignore")),
            (rule("?:storage=1G"), None, rule("?:storage=1G")),
            (vec![(STORAGE_SIZE, "2G")], Some(2 << 30), vec![]),
            (vec![(STORAGE_SIZE, "1000")], Some(1000), vec![]),
            (vec![(STORAGE_SIZE, "unlimited")], Some(0), vec![]),
            (vec![(STORAGE_SIZE, "much")], None, vec![(STORAGE_SIZE, "much")]),
            (vec![(RULE, "*:bytes=1"), (STORAGE_SIZE, "2")], Some(1), vec![(RULE, "*:bytes=1"), (STORAGE_SIZE, "2")]),
        ];
        let map = |fields: &[(&str, &str)]| {
            fields.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
        };
        for (written, quota, left) in cases {
            let mut fields = map(&written);
            assert_eq!(take(&mut fields), quota, "{written:?}");
            assert_eq!(fields, map(&left), "{written:?}");
        }
    }
}
