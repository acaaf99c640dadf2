//! The key of the previous passwords' fingerprints: a file beside the store, never in it, made at the first start.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::password::fingerprint::{FingerprintKey, KEY_LENGTH};

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("cannot {doing} {}: {cause}; see `[previous_password] key_file`", path.display())]
    System { doing: &'static str, path: PathBuf, cause: io::Error },
    #[error(
        "{} does not hold {KEY_LENGTH} bytes; put the right file back, or remove it for a new key, \
         which knows none of the passwords replaced so far; see `[previous_password] key_file`",
        path.display()
    )]
    Damaged { path: PathBuf },
    #[error("{} may be read by others; `chmod 600` it, or name another with `[previous_password] key_file`", path.display())]
    Exposed { path: PathBuf },
}

/// The key in the file, which is made if it is not there.
pub(super) fn load_or_make(path: &Path) -> Result<FingerprintKey, KeyError> {
    let failed = |doing| move |cause| KeyError::System { doing, path: path.to_owned(), cause };
    match File::open(path) {
        Ok(file) => read(&file, path),
        Err(error) if error.kind() == ErrorKind::NotFound => make(path),
        Err(error) => Err(failed("open")(error)),
    }
}

fn read(mut file: &File, path: &Path) -> Result<FingerprintKey, KeyError> {
    let failed = |doing| move |cause| KeyError::System { doing, path: path.to_owned(), cause };
    let metadata = file.metadata().map_err(failed("look at"))?;
    if metadata.mode() & 0o077 != 0 {
        return Err(KeyError::Exposed { path: path.to_owned() });
    }
    if metadata.len() != KEY_LENGTH as u64 {
        return Err(KeyError::Damaged { path: path.to_owned() });
    }
    let mut key = Zeroizing::new([0; KEY_LENGTH]);
    file.read_exact(&mut *key).map_err(failed("read"))?;
    Ok(FingerprintKey::new(*key))
}

/// Under another name first, so that no start ever finds half a key.
fn make(path: &Path) -> Result<FingerprintKey, KeyError> {
    let failed = |doing| move |cause| KeyError::System { doing, path: path.to_owned(), cause };
    let mut key = Zeroizing::new([0; KEY_LENGTH]);
    getrandom::fill(&mut *key).map_err(|cause| failed("draw a key for")(io::Error::other(cause)))?;
    let unfinished = path.with_extension("new");
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(&*key)?;
        file.sync_all()?;
        std::fs::rename(&unfinished, path)
    };
    write().map_err(failed("make"))?;
    Ok(FingerprintKey::new(*key))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use gatepost_protocol::Secret;

    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone_and_found_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("fingerprint.key");
        let user = "ann@example.org".parse().expect("a valid name");
        let [made, found] =
            [(); 2].map(|()| load_or_make(&path).expect("a key").fingerprint(&user, &Secret::from("x")));
        assert_eq!(made, found);
        assert_eq!(fs::metadata(&path).expect("a file").mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_is_no_key_or_no_secret_is_named_and_left_as_it_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("fingerprint.key");
        fs::write(&path, [7; KEY_LENGTH - 1]).expect("written");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("set");
        assert!(matches!(load_or_make(&path), Err(KeyError::Damaged { .. })));
        fs::write(&path, [7; KEY_LENGTH]).expect("written");
        fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("set");
        assert!(matches!(load_or_make(&path), Err(KeyError::Exposed { .. })));
        assert_eq!(fs::read(&path).expect("still there"), [7; KEY_LENGTH]);
    }
}
