//! The sample file says exactly what is built in, and leaves out nothing.

use super::*;

const SAMPLE: &str = include_str!("../../config/gatepost.toml");

/// Every table, with a name where the operator chooses one.
const TABLES: &[&str] = &[
    "",
    "store",
    "listen.auth",
    "hash",
    "cache",
    "throttle",
    "previous_password",
    "redis",
    "userdb",
    "dict",
    "dovecot.imap1",
    "socketmap",
    "policy.default",
    "log",
];

#[test]
fn the_sample_is_the_built_in_default() {
    let config = Config::parse(SAMPLE, Path::new("config/gatepost.toml")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config, Config::embedded());
}

#[test]
fn the_sample_names_every_key() {
    for table in TABLES {
        for key in keys_of(table) {
            assert!(is_named(table, &key), "[{table}] {key} is not in config/gatepost.toml");
        }
    }
}

#[test]
fn what_the_sample_leaves_out_could_be_put_in() {
    let uncommented: Vec<&str> = SAMPLE.lines().map(|line| settings_line(line).unwrap_or(line)).collect();
    let document = uncommented.join("\n");
    toml::from_str::<raw::File>(&document).unwrap_or_else(|error| panic!("{error}"));
    assert!(!document.contains("# uid"), "nothing was uncommented");
}

/// What serde knows, as it says itself when a key is unknown.
fn keys_of(table: &str) -> Vec<String> {
    let header = if table.is_empty() { String::new() } else { format!("[{table}]\n") };
    let error = toml::from_str::<raw::File>(&format!("{header}no_such_key = 1\n")).expect_err("an unknown key");
    let (_, expected) = error.message().split_once("expected").expect("a list of keys");
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn is_named(table: &str, key: &str) -> bool {
    let inner = if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
    let uncommented = || SAMPLE.lines().map(|line| settings_line(line).unwrap_or(line));
    if uncommented().any(|line| line.strip_prefix('[').is_some_and(|rest| rest.starts_with(&inner))) {
        return true;
    }
    let header = format!("[{table}]");
    let mut lines = uncommented().skip_while(|line| !table.is_empty() && !line.starts_with(&header));
    lines
        .by_ref()
        .skip(usize::from(!table.is_empty()))
        .take_while(|line| !line.starts_with('['))
        .any(|line| line.split_once(" = ").is_some_and(|(name, _)| name == key))
}

/// `# key = value` or `# [table]` without its mark.
fn settings_line(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("# ")?;
    if rest.starts_with('[') && rest.ends_with(']') {
        return Some(rest);
    }
    let (key, _) = rest.split_once(" = ")?;
    key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_').then_some(rest)
}
