//! The database's file: made for its owner alone, locked against a second daemon, and looked at before each use.
//!
//! Limits: SQLite keeps its own descriptors; what is looked at is whether the next start would find the same file and
//!         could use it. Nothing here opens the file while SQLite has it: closing it would drop SQLite's locks.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::OpenError;

/// The file that was opened, wherever its name points meanwhile.
#[derive(Debug)]
pub(super) struct DatabaseFile {
    path: PathBuf,
    identity: (u64, u64),
    /// Held as long as the store.
    _lock: File,
}

impl DatabaseFile {
    /// Finds or makes the file, and locks it.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        // Whoever may use a socket below it must get past; the store's own files are nobody else's to read.
        DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(directory)
            .map_err(failed("create the store's directory", directory))?;
        let path = without_links(path, directory).map_err(failed("find the store", path))?;
        let lock = lock(&path)?;
        // SQLite would open a file that may only be read, and leave journals beside it that may only be read too.
        owners_own().open(&path).map_err(failed("open the store", &path))?;
        // A new name must be on disk before anything in the file counts as kept.
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(failed("sync the store's directory", directory))?;
        let identity = identity(&path).map_err(failed("look at the store", &path))?;
        Ok(Self { path, identity, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What is written to a file that the next start does not find, or cannot use, would be lost to it.
    pub(super) fn require_usable(&self) -> Result<(), String> {
        let path = self.path.display();
        match identity(&self.path) {
            Ok(identity) if identity == self.identity => {}
            Ok(_) => return Err(format!("{path} was replaced while in use; put it back or restart gatepost")),
            Err(cause) => return Err(format!("{path}: {cause}; put it back")),
        }
        access(&self.path, Access::READ_OK | Access::WRITE_OK)
            .map_err(|cause| format!("{path} may not be read and written: {cause}; check its owner and mode"))
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    move |cause| OpenError::File { doing, path, cause }
}

/// Two names of one file must come to one lock.
fn without_links(path: &Path, directory: &Path) -> io::Result<PathBuf> {
    match path.canonicalize() {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
            Ok(directory.canonicalize()?.join(name))
        }
        found => found,
    }
}

/// Device and inode: what makes a file at a path the same one.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

fn owners_own() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options
}

/// The lock file stays behind when the daemon ends: removing it would let two daemons lock two files of one name.
fn lock(path: &Path) -> Result<File, OpenError> {
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    let lock_path = Path::new(&lock_path);
    let mut file = owners_own().open(lock_path).map_err(failed("lock", lock_path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::Held { path: path.to_owned(), pid: pid_in(&file) }),
        Err(TryLockError::Error(cause)) => return Err(failed("lock", lock_path)(cause)),
    }
    // Only for the message above, so a full disk is no reason to stay away.
    let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}

fn pid_in(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
