//! Lines as they stand in real files, and what becomes of them.

use super::*;

fn reading() -> Reading<'static> {
    let id = |name: &str| match name {
        "vmail" => Some(5000),
        "root" => Some(0),
        _ => None,
    };
    Reading { default_domain: "example.org".parse().ok(), default_scheme: "CRYPT", uid_of: id, gid_of: id }
}

fn plan_of(text: &str) -> Plan {
    plan(text.as_bytes(), &reading()).expect("a plan")
}

fn only(line: &str) -> Mailbox {
    let plan = plan_of(line);
    assert_eq!(plan.left_out, [], "{line}");
    let [mailbox] = plan.mailboxes.as_slice() else { panic!("{line}: {} mailboxes", plan.mailboxes.len()) };
    mailbox.clone()
}

fn fields(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn every_column_is_kept() {
    let ann = only(
        "Ann@Example.org:{SHA512-CRYPT}$6$salt$hash:5000:vmail:Ann Önning,,,:/srv/mail/ann:/bin/false:\
         userdb_quota_rule=*:storage=1G  userdb_mail=maildir:/srv/%d/%n:INDEX=/idx allow_nets=192.0.2.0/24 nodelay\r\n",
    );
    assert_eq!(ann.line, 1);
    assert_eq!(ann.username.as_str(), "ann@example.org");
    assert_eq!(ann.hash, Some(StoredHash::new("{SHA512-CRYPT}$6$salt$hash".to_owned())));
    assert!(ann.enabled);
    assert_eq!(ann.name.as_deref(), Some("Ann Önning,,,"));
    assert_eq!(ann.quota, Some(1 << 30));
    let expected = fields(&[
        ("userdb_uid", "5000"),
        ("userdb_gid", "5000"),
        ("userdb_home", "/srv/mail/ann"),
        ("shell", "/bin/false"),
        ("userdb_mail", "maildir:/srv/example.org/ann:INDEX=/idx"),
        ("allow_nets", "192.0.2.0/24"),
        ("nodelay", ""),
    ]);
    assert_eq!(ann.fields, expected);
}

#[test]
fn columns_may_be_missing_or_empty() {
    let cases: [(&str, &[(&str, &str)]); 7] = [
        ("ann:{PLAIN}a", &[]),
        ("ann:{PLAIN}a:", &[]),
        ("ann:{PLAIN}a:::::", &[]),
        ("ann:{PLAIN}a:::::::", &[]),
        ("ann:{PLAIN}a::::/home/ann", &[("userdb_home", "/home/ann")]),
        ("ann:{PLAIN}a::::::userdb_mail=mbox:~/mail", &[("userdb_mail", "mbox:~/mail")]),
        ("ann:{PLAIN}a:::::::maildir:~/Maildir", &[("userdb_mail", "maildir:~/Maildir")]),
    ];
    for (line, expected) in cases {
        let ann = only(line);
        assert_eq!(ann.username.as_str(), "ann@example.org");
        assert_eq!((ann.name, ann.quota, ann.enabled), (None, None, true), "{line}");
        assert_eq!(ann.fields, fields(expected), "{line}");
    }
}

#[test]
fn an_extra_field_goes_before_its_column() {
    let ann = only("ann:{PLAIN}a:1:2::/old::userdb_home=/new userdb_uid=3 userdb_uid=4");
    assert_eq!(ann.fields, fields(&[("userdb_uid", "4"), ("userdb_gid", "2"), ("userdb_home", "/new")]));
}

#[test]
fn passwords_are_read_as_dovecot_reads_them() {
    let md5 = "0123456789abcdef0123456789abcdef";
    let cases = [
        ("{SSHA}abc=".to_owned(), Some("{SSHA}abc=".to_owned()), true),
        ("{ssha256.hex}00".to_owned(), Some("{ssha256.hex}00".to_owned()), true),
        ("$6$salt$hash".to_owned(), Some("{CRYPT}$6$salt$hash".to_owned()), true),
        ("ab01FAX.bQRSU".to_owned(), Some("{CRYPT}ab01FAX.bQRSU".to_owned()), true),
        ("$1$salt$hash".to_owned(), Some("{MD5-CRYPT}$1$salt$hash".to_owned()), true),
        ("$1$salt$hash$ignored".to_owned(), Some("{MD5-CRYPT}$1$salt$hash".to_owned()), true),
        ("ab01FAX.bQRSU[13]".to_owned(), Some("{CRYPT}ab01FAX.bQRSU".to_owned()), true),
        (format!("{md5}[34]"), Some(format!("{{PLAIN-MD5}}{md5}")), true),
        (format!("{md5}[56]"), Some(format!("{{DIGEST-MD5}}{md5}")), true),
        ("{PLAIN}not[34]".to_owned(), Some("{PLAIN}not[34]".to_owned()), true),
        ("{PLAIN}!*x".to_owned(), Some("{PLAIN}!*x".to_owned()), true),
        ("{PLAIN}".to_owned(), Some("{PLAIN}".to_owned()), true),
        ("!$6$salt$hash".to_owned(), Some("{CRYPT}$6$salt$hash".to_owned()), false),
        ("{CRYPT}!$6$salt$hash".to_owned(), Some("{CRYPT}$6$salt$hash".to_owned()), false),
        ("*".to_owned(), None, false),
        ("!!".to_owned(), None, false),
        ("*LK*".to_owned(), None, false),
        ("{CRYPT}*".to_owned(), None, false),
        ("x".to_owned(), None, false),
        ("NOLOGIN".to_owned(), None, false),
        (String::new(), None, false),
    ];
    for (written, hash, enabled) in cases {
        let ann = only(&format!("ann:{written}:1:1::/home"));
        assert_eq!(ann.hash.as_ref().map(StoredHash::as_str), hash.as_deref(), "{written}");
        assert_eq!(ann.enabled, enabled, "{written}");
    }
    assert_eq!(only("ann").hash, None);
}

#[test]
fn the_default_scheme_is_for_passwords_without_one() {
    let reading = Reading { default_scheme: "PLAIN", ..reading() };
    for (written, expected) in [("*", "{PLAIN}*"), ("{SHA}x", "{SHA}x"), ("$1$s$h", "{MD5-CRYPT}$1$s$h")] {
        let plan = plan(format!("ann:{written}").as_bytes(), &reading).expect("a plan");
        assert_eq!(plan.mailboxes[0].hash.as_ref().map(StoredHash::as_str), Some(expected), "{written}");
    }
}

#[test]
fn who_may_not_log_in_is_disabled() {
    let ann = only("ann:{PLAIN}a::::::nologin reason=Moved userdb_x=y");
    assert!(!ann.enabled);
    assert_eq!(ann.hash, Some(StoredHash::new("{PLAIN}a".to_owned())));
    assert_eq!(ann.fields, fields(&[("reason", "Moved"), ("userdb_x", "y")]));
}

#[test]
fn what_dovecot_ignores_is_ignored() {
    let plan = plan_of("# comment\n\n\r\n:no name\nann:{PLAIN}a\n#bob:{PLAIN}b");
    assert_eq!(plan.mailboxes.len(), 1);
    assert_eq!(plan.mailboxes[0].line, 5);
    assert_eq!(plan.left_out, []);
}

#[test]
fn what_cannot_be_an_account_is_left_out_with_its_reason() {
    let long = format!("long:{}", "x".repeat(LINE_LIMIT));
    let cases: [(&[u8], &str, &str); 11] = [
        (b"a b@example.org:{PLAIN}a", "a b@example.org", "character"),
        ("änn@example.org:{PLAIN}a".as_bytes(), "änn@example.org", "character"),
        (b"ann@exa_mple:{PLAIN}a", "ann@exa_mple", "domain"),
        (b"ann\xff:{PLAIN}a", "ann\u{fffd}", "UTF-8"),
        (b"ann:{PLAIN}a:0:1", "ann", "uid or gid 0"),
        (b"ann:{PLAIN}a:1:root", "ann", "uid or gid 0"),
        (b"ann:{PLAIN}a:nobody-knows:1", "ann", "no name on this host"),
        (b"ann:{PLAIN}a:4294967295:1", "ann", "no name on this host"),
        (b"ann:short[56]", "ann", "DIGEST-MD5"),
        (b"ann:{PLAIN}a::::::userdb_mail=maildir:/srv/%r", "ann", "userdb_mail with %r"),
        (long.as_bytes(), "long", "longer than"),
    ];
    for (line, name, reason) in cases {
        let text = [line, b"\nbob:{PLAIN}b\n"].concat();
        let plan = plan(text.as_slice(), &reading()).expect("a plan");
        let [left_out] = plan.left_out.as_slice() else { panic!("{name}: {:?}", plan.left_out) };
        assert_eq!((left_out.line, left_out.name.as_str()), (1, name));
        assert!(left_out.reason.contains(reason), "{name}: {}", left_out.reason);
        let [bob] = plan.mailboxes.as_slice() else { panic!("{name}: the next line is read") };
        assert_eq!((bob.line, bob.username.as_str()), (2, "bob@example.org"));
    }
}

#[test]
fn one_name_twice_stops_the_import() {
    // The last would be left out for itself; which of the two has the mailbox is still not ours to say.
    for second in ["ann:{PLAIN}b", "ANN:{PLAIN}b", "ann@Example.ORG:{PLAIN}b", "Ann:{NOSUCH}b::::::userdb_x=%{nosuch}"]
    {
        let text = format!("ann:{{PLAIN}}a\n# comment\n{second}\n");
        match plan(text.as_bytes(), &reading()) {
            Err(PlanError::Twins(twins)) => {
                assert_eq!(
                    twins.iter().map(ToString::to_string).collect::<Vec<_>>(),
                    ["lines 1 and 3 are both ann@example.org"]
                );
            }
            other => panic!("{second}: {other:?}"),
        }
    }
}
