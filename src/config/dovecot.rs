//! `[dovecot.NAME]`: the Dovecots whose sessions a change ends.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use super::raw;
use super::values::Password;
use crate::sessions::kick::Settings;

/// Every request to a Dovecot that is gone takes so long, and it is tried again for ever.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(30);

/// What is wrong with it goes to `found`, by key.
pub(super) fn resolve(name: &str, written: &raw::Dovecot, found: &mut Vec<(&'static str, String)>) -> Option<Settings> {
    if written.timeout.0.is_zero() || written.timeout.0 > LONGEST_TIMEOUT {
        found.push(("timeout", format!("is not between nothing and {LONGEST_TIMEOUT:?}")));
    }
    let endpoint = written.url.clone().or_else(|| {
        let text = "needs `url`: where its doveadm answers over HTTP, like \"unix:/run/dovecot/http\"";
        found.push(("url", text.to_owned()));
        None
    })?;
    let key = match key(written) {
        Ok(key) => key,
        Err((setting, text)) => {
            found.push((setting, text));
            return None;
        }
    };
    if let Some(Err(error)) = written.ca_file.as_ref().map(File::open) {
        found.push(("ca_file", format!("cannot be read: {error}")));
    }
    Some(Settings {
        name: name.to_owned(),
        endpoint,
        key,
        authorities: written.ca_file.clone(),
        flush_cache: written.flush_cache,
        timeout: written.timeout.0,
    })
}

fn key(written: &raw::Dovecot) -> Result<Password, (&'static str, String)> {
    let (setting, key) = match (&written.api_key, &written.api_key_file) {
        (Some(key), None) => ("api_key", key.clone()),
        (None, Some(file)) => ("api_key_file", read_key(file).map_err(|text| ("api_key_file", text))?),
        (None, None) => {
            return Err((
                "api_key",
                "needs `api_key` or `api_key_file`: the value of its `doveadm_api_key`".to_owned(),
            ));
        }
        (Some(_), Some(_)) => return Err(("api_key", "is set beside `api_key_file`; leave one out".to_owned())),
    };
    if key.expose().is_empty() {
        return Err((setting, "is empty; Dovecot accepts no such key".to_owned()));
    }
    Ok(key)
}

/// The first line.
fn read_key(file: &Path) -> Result<Password, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    Ok(Password::from(text.lines().next().unwrap_or_default()))
}
