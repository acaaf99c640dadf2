//! A store that is locked, full, gone, replaced or out of reach.

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;

use gatepost_harness::User;
use gatepost_harness::alone::Alone;
use gatepost_harness::directory_of;
use sqlx::{Connection as _, Executor as _};

use crate::doors::{Works, assert_answers, wait_until_mended};

#[test]
fn everybody_is_answered_when_all_is_well() {
    let alone = Alone::start("");
    assert_answers(&alone, Works::All, "nothing is wrong");
}

/// Readers do not wait for a writer in SQLite's write-ahead log, so logins go on.
#[test]
fn a_locked_store_is_read_and_not_written() {
    let alone = Alone::start("");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(alone.database());
    let mut other = runtime.block_on(sqlx::SqliteConnection::connect_with(&options)).expect("a second process");
    runtime.block_on(other.execute("BEGIN EXCLUSIVE")).expect("the lock");
    assert_answers(&alone, Works::ReadingOnly, "another process holds the lock");
    runtime.block_on(other.execute("ROLLBACK")).expect("the lock is given back");
    wait_until_mended(&alone);
}

#[test]
fn a_lost_store_is_not_now_until_it_is_back() {
    let alone = Alone::start("");
    let (database, away) = (alone.database(), alone.directory.path().join("away.db"));
    fs::rename(&database, &away).expect("taken away");
    assert_answers(&alone, Works::Nothing, "the file is gone");
    fs::rename(&away, &database).expect("put back");
    wait_until_mended(&alone);
}

/// A database put in the place of the one in use, say from a backup, counts only from the next start on.
#[test]
fn a_replaced_store_is_not_now_until_the_old_one_is_back() {
    let alone = Alone::start("");
    let (database, away) = (alone.database(), alone.directory.path().join("away.db"));
    fs::rename(&database, &away).expect("taken away");
    let other = Alone::start("");
    fs::copy(other.database(), &database).expect("replaced");
    let User { uid, gid } = User::named("gatepost");
    chown(&database, Some(uid), Some(gid)).expect("given to the daemon");
    assert_answers(&alone, Works::Nothing, "the file is another one");
    fs::rename(&away, &database).expect("put back");
    wait_until_mended(&alone);
}

#[test]
fn a_store_out_of_reach_is_not_now_until_it_is_within() {
    let alone = Alone::start("");
    let home = alone.directory.path().join("gatepost");
    let set_mode = |mode| fs::set_permissions(&home, Permissions::from_mode(mode)).expect("changed");
    set_mode(0o000);
    assert_answers(&alone, Works::Nothing, "its directory may not be entered");
    set_mode(0o700);
    wait_until_mended(&alone);
}

#[test]
fn a_store_that_may_not_be_opened_is_not_now_until_it_may() {
    let alone = Alone::start("");
    let set_mode = |mode| fs::set_permissions(alone.database(), Permissions::from_mode(mode)).expect("changed");
    for mode in [0o000, 0o400] {
        set_mode(mode);
        assert_answers(&alone, Works::Nothing, "the file has lost its permissions");
        set_mode(0o600);
        wait_until_mended(&alone);
    }
}

/// Set for this program when it runs itself in a mount namespace of its own.
const OWN_MOUNTS: &str = "GATEPOST_TEST_OWN_MOUNTS";

#[test]
fn a_full_disk_is_read_and_not_written_until_there_is_room() {
    if std::env::var_os(OWN_MOUNTS).is_none() {
        let program = std::env::current_exe().expect("this program");
        let this_test = "store::a_full_disk_is_read_and_not_written_until_there_is_room";
        let mut child = Command::new("unshare");
        child.args(["--mount", "--propagation", "private"]).arg(program);
        child.args(["--exact", this_test, "--nocapture"]).env(OWN_MOUNTS, "1");
        let status = child.status().expect("unshare runs");
        assert!(status.success(), "in a mount namespace of its own: {status}");
        return;
    }
    let directory = gatepost_harness::short_directory();
    let home = directory.path().join("gatepost");
    directory_of(&home, User::named("gatepost"), 0o700);
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(&home).status();
    assert!(mounted.expect("mount runs").success());

    let alone = Alone::start_in(directory, "");
    let filler = home.join("filler");
    fill(&filler);
    // What the log has room for already may still be written.
    while alone.gatepost.command(&["account", "set", "alice@example.org", "--name", "Alice"], "").status.success() {}
    assert_answers(&alone, Works::ReadingOnly, "the disk is full");
    fs::remove_file(&filler).expect("there is room again");
    wait_until_mended(&alone);

    // A directory in use as a mount point could not be removed.
    let Alone { gatepost, directory: _directory } = alone;
    drop(gatepost);
    assert!(Command::new("umount").arg(&home).status().expect("umount runs").success());
}

fn fill(path: &Path) {
    let mut file = File::create(path).expect("a file");
    while file.write_all(&[0; 4096]).is_ok() {}
}
