//! Passwd-file: Dovecot's file of users, as Dovecot 2.3 reads it (2.3.19 `src/auth/db-passwd-file.c`,
//! `passdb-passwd-file.c`, `userdb-passwd-file.c`; 2.4 reads the same, but for the old form of a mail location).
//!
//! `user:password:uid:gid:gecos:home:shell:extra fields`, of which only the first column must be there. Every column is
//! kept: uid, gid and home as userdb fields, gecos as the owner's name, shell as a field that is sent to nobody.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{BufRead, Read as _};

use zeroize::Zeroizing;

use super::{LeftOut, Mailbox, Plan, PlanError, quota, require_no_twins, variables};
use crate::account::{DomainName, StoredHash, Username};

/// Longest line, in bytes.
const LINE_LIMIT: usize = 64 * 1024;
/// Most lines of one file that are about an account.
const ACCOUNT_LINE_LIMIT: usize = 1_000_000;
/// How much of a name that cannot be one is repeated.
const NAME_LIMIT: usize = 100;

/// What the file itself does not say.
#[derive(Clone, Debug)]
pub struct Reading<'a> {
    /// Completes names without `@`.
    pub default_domain: Option<DomainName>,
    /// Of passwords without a `{SCHEME}`: the `scheme=` of Dovecot's passdb.
    pub default_scheme: &'a str,
    /// The number of a user of this host.
    pub uid_of: fn(&str) -> Option<u32>,
    /// The number of a group of this host.
    pub gid_of: fn(&str) -> Option<u32>,
}

/// Reads the whole file.
///
/// # Errors
/// If it cannot be read, or if it has one name twice.
pub fn plan(mut input: impl BufRead, reading: &Reading<'_>) -> Result<Plan, PlanError> {
    let mut plan = Plan::default();
    let mut bytes = Zeroizing::new(Vec::new());
    for line in 1.. {
        bytes.clear();
        if input.by_ref().take(LINE_LIMIT as u64 + 1).read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        let is_whole = bytes.len() <= LINE_LIMIT || bytes.ends_with(b"\n");
        if !is_whole {
            skip_line(&mut input)?;
        }
        match entry(&bytes, is_whole, line, reading) {
            Ok(None) => {}
            Ok(Some(mailbox)) => plan.mailboxes.push(mailbox),
            Err(reason) => plan.left_out.push(LeftOut { line, name: name_in(&bytes), reason }),
        }
        if plan.mailboxes.len() + plan.left_out.len() > ACCOUNT_LINE_LIMIT {
            return Err(PlanError::TooMany(ACCOUNT_LINE_LIMIT));
        }
    }
    require_no_twins(plan, reading.default_domain.as_ref())
}

fn skip_line(input: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let passed = end.map_or(buffer.len(), |at| at + 1);
        let is_over = end.is_some() || buffer.is_empty();
        input.consume(passed);
        if is_over {
            return Ok(());
        }
    }
}

fn name_in(line: &[u8]) -> String {
    let name = line.split(|byte| b":\r\n".contains(byte)).next().unwrap_or_default();
    String::from_utf8_lossy(name).chars().take(NAME_LIMIT).collect()
}

/// `None` for a line that Dovecot takes no notice of.
fn entry(bytes: &[u8], is_whole: bool, line: u64, reading: &Reading<'_>) -> Result<Option<Mailbox>, String> {
    if bytes.first().is_some_and(|byte| b":#\r\n".contains(byte)) {
        return Ok(None);
    }
    if !is_whole {
        return Err(format!("is longer than {LINE_LIMIT} bytes"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    mailbox(text, line, reading).map(Some)
}

fn mailbox(text: &str, line: u64, reading: &Reading<'_>) -> Result<Mailbox, String> {
    let mut columns = text.splitn(8, ':');
    let mut column = || columns.next().filter(|text| !text.is_empty());
    let username = Username::parse(column().unwrap_or_default(), reading.default_domain.as_ref())
        .map_err(|error| error.to_string())?;
    let password = Password::read(column().unwrap_or_default(), reading.default_scheme)?;
    let mut fields = BTreeMap::new();
    for (key, id_of) in [("userdb_uid", reading.uid_of), ("userdb_gid", reading.gid_of)] {
        if let Some(written) = column() {
            fields.insert(key.to_owned(), number(written, id_of)?);
        }
    }
    let name = column().map(str::to_owned);
    for key in ["userdb_home", "shell"] {
        fields.extend(column().map(|text| (key.to_owned(), text.to_owned())));
    }
    add_extra_fields(&mut fields, column().unwrap_or_default(), &username)?;
    // What Dovecot says with the field, an account says by being disabled; the `reason` beside it stays.
    let is_barred = fields.remove("nologin").is_some();
    Ok(Mailbox {
        line,
        username,
        enabled: !password.is_locked && !is_barred,
        hash: password.hash,
        name,
        quota: quota::take(&mut fields),
        fields,
    })
}

/// Dovecot looks a name up when it reads the file, and takes neither root nor what nobody knows.
fn number(written: &str, id_of: fn(&str) -> Option<u32>) -> Result<String, String> {
    match written.parse().ok().or_else(|| id_of(written)) {
        Some(0) => Err("has the uid or gid 0, which Dovecot refuses".to_owned()),
        Some(u32::MAX) | None => Err("has a uid or gid that is no number, and no name on this host".to_owned()),
        Some(number) => Ok(number.to_string()),
    }
}

fn add_extra_fields(fields: &mut BTreeMap<String, String>, text: &str, username: &Username) -> Result<(), String> {
    // The form of Dovecot 1.0: an empty column, then a mail location. Elsewhere a colon is part of a value.
    let text = match text.strip_prefix(':') {
        Some("") => return Ok(()),
        Some(location) => Cow::from(format!("userdb_mail={location}")),
        None => text.into(),
    };
    for field in text.split(' ').filter(|field| !field.is_empty()) {
        let (key, value) = field.split_once('=').unwrap_or((field, ""));
        let value = variables::expand(value, username)
            .map_err(|variable| format!("has {key} with {variable}, which a name alone does not decide"))?;
        fields.insert(key.to_owned(), value);
    }
    Ok(())
}

/// What the second column comes to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Password {
    hash: Option<StoredHash>,
    /// Nobody can log in with it, as it stands.
    is_locked: bool,
}

impl Password {
    fn read(column: &str, default_scheme: &str) -> Result<Self, String> {
        let (scheme, text) = match Self::of_pwdfile(column)? {
            Some(known) => known,
            None => Self::with_scheme(column).unwrap_or((default_scheme, column)),
        };
        if !scheme.eq_ignore_ascii_case("CRYPT") {
            return Ok(Self { hash: Some(hash(scheme, text)), is_locked: false });
        }
        // crypt(3) makes no hash that begins so: `!` before one is how passwd -l locks it.
        let unlocked = text.trim_start_matches('!');
        let has_none = unlocked.is_empty()
            || unlocked.starts_with('*')
            || unlocked == "x"
            || unlocked.eq_ignore_ascii_case("nologin");
        let kept = (!has_none).then(|| hash(scheme, unlocked));
        Ok(Self { hash: kept, is_locked: has_none || unlocked.len() < text.len() })
    }

    /// `{SCHEME}…`, and `$1$…`, which is MD5-CRYPT whatever the default, up to its third part.
    fn with_scheme(column: &str) -> Option<(&str, &str)> {
        if let Some(salt_and_more) = column.strip_prefix("$1$") {
            let (salt, more) = salt_and_more.split_once('$')?;
            let checksum = more.split('$').next().unwrap_or_default();
            return Some(("MD5-CRYPT", column.get(..3 + salt.len() + 1 + checksum.len())?));
        }
        column.strip_prefix('{')?.split_once('}')
    }

    /// `…[13]`, `…[34]`, `…[56]`, as libpam-pwdfile marks its hashes.
    fn of_pwdfile(column: &str) -> Result<Option<(&'static str, &str)>, String> {
        let marked = column.strip_suffix(']').and_then(|rest| rest.split_at_checked(rest.len().checked_sub(3)?));
        match marked {
            Some((text, mark)) if mark.starts_with('[') && !text.is_empty() && !column.starts_with(['{', '$']) => {
                match mark {
                    "[34" => Ok(Some(("PLAIN-MD5", text))),
                    "[56" if text.len() == 32 => Ok(Some(("DIGEST-MD5", text))),
                    "[56" => Err("has a DIGEST-MD5 password that is not 32 digits long".to_owned()),
                    _ => Ok(Some(("CRYPT", text))),
                }
            }
            _ => Ok(None),
        }
    }
}

fn hash(scheme: &str, text: &str) -> StoredHash {
    StoredHash::new(format!("{{{scheme}}}{text}"))
}

#[cfg(test)]
mod tests;
