//! Users and groups of this host: names as written, numbers as the kernel knows them.

use nix::unistd::{Group, User};
use rustix::process::geteuid;

use super::values::Id;

pub(super) fn own_uid() -> u32 {
    geteuid().as_raw()
}

pub(super) fn uid(id: &Id) -> Result<u32, String> {
    let name = match id {
        Id::Number(number) => return Ok(*number),
        Id::Name(name) => name,
    };
    match User::from_name(name) {
        Ok(Some(user)) => Ok(user.uid.as_raw()),
        Ok(None) => Err(format!("there is no user {name:?} on this host; create it, or name another")),
        Err(error) => Err(format!("cannot look up the user {name:?}: {}; write its number instead", error.desc())),
    }
}

pub(super) fn gid(id: &Id) -> Result<u32, String> {
    let name = match id {
        Id::Number(number) => return Ok(*number),
        Id::Name(name) => name,
    };
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => Err(format!("there is no group {name:?} on this host; create it, or name another")),
        Err(error) => Err(format!("cannot look up the group {name:?}: {}; write its number instead", error.desc())),
    }
}

/// The uids of those names that exist, and our own.
pub(super) fn existing(names: &[&str]) -> Vec<u32> {
    let found = names.iter().filter_map(|name| uid(&Id::Name((*name).to_owned())).ok());
    found.chain([own_uid()]).collect()
}
