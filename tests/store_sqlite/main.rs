//! What SQLite in particular must withstand: a kill, a full disk, a lock, a file that is not there or not ours.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod before;

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gatepost::account::{AccountType, StoredHash, Username};
use gatepost::store::sqlite::{OpenError, SqliteOptions, SqliteStore};
use gatepost::store::{Author, Change, CommitError, Door, LogStore, NewAccount, RowNumber, Store, StoreError};
use jiff::Timestamp;
use sqlx::{ConnectOptions, Connection, Executor};
use tempfile::tempdir;

/// Set for the child process that a test makes of its own program: where the child's database is.
const CHILD: &str = "GATEPOST_TEST_CHILD";

fn ann() -> Username {
    "ann@example.org".parse().expect("a valid name")
}

async fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, &SqliteOptions::default()).await.expect("a store")
}

async fn commit(store: &SqliteStore, change: Change, second: i64) -> Result<RowNumber, CommitError> {
    let author = Author { who: "uid:0".to_owned(), door: Door::Command, origin: None };
    let now = Timestamp::from_second(second).expect("a time");
    store.commit(&[change], &author, now).await.map(|committed| committed.row)
}

async fn add_ann(store: &SqliteStore) {
    let domain = ann().domain();
    let domain = Change::AddDomain { domain, profile: "default".to_owned(), default_quota: None };
    commit(store, domain, 0).await.expect("a new domain");
    let account = NewAccount {
        username: ann(),
        hash: StoredHash::new("{PLAIN}first".to_owned()),
        fingerprint: None,
        name: None,
        quota: None,
        enabled: true,
        account_type: AccountType::Person,
        main_password_for_mail: true,
        fields: [].into(),
    };
    commit(store, Change::AddAccount(account), 0).await.expect("a new account");
}

/// Ann is given the number as her name, at that second.
async fn rename(store: &SqliteStore, number: i64) -> Result<RowNumber, CommitError> {
    commit(store, Change::SetName { user: ann(), name: Some(number.to_string()) }, number).await
}

async fn name(store: &SqliteStore) -> Result<Option<String>, StoreError> {
    Ok(store.account(&ann()).await?.expect("Ann").name)
}

fn text_of<T: std::fmt::Debug>(result: Result<T, CommitError>) -> String {
    match result {
        Err(CommitError::Store(error)) => error.to_string(),
        other => panic!("{other:?} instead of a store error"),
    }
}

async fn foreign_connection(path: &Path) -> sqlx::SqliteConnection {
    sqlx::sqlite::SqliteConnectOptions::new().filename(path).connect().await.expect("a second connection")
}

#[tokio::test]
async fn a_new_store_is_for_its_owner_alone() {
    let directory = tempdir().expect("a directory");
    let path = directory.path().join("new/gatepost.sqlite");
    let _store = open(&path).await;
    let mode = |path: &Path| fs::metadata(path).expect("a file").permissions().mode() & 0o7777;
    assert_eq!(mode(&directory.path().join("new")), 0o711);
    for entry in fs::read_dir(directory.path().join("new")).expect("a directory") {
        let path = entry.expect("an entry").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn a_second_daemon_on_one_file_is_refused() {
    let directory = tempdir().expect("a directory");
    let path = directory.path().join("gatepost.sqlite");
    let other_name = directory.path().join("link.sqlite");
    let first = open(&path).await;
    symlink(&path, &other_name).expect("a link");
    for path in [&path, &other_name] {
        let error = SqliteStore::open(path, &SqliteOptions::default()).await.expect_err("it is held");
        assert!(matches!(error, OpenError::Held { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("pid {}", std::process::id())), "{text}");
        assert!(text.contains("`[store] path`"), "{text}");
    }
    drop(first);
    open(&path).await.check().await.expect("the next one may");
}

#[tokio::test]
async fn a_store_of_a_newer_gatepost_is_refused() {
    let directory = tempdir().expect("a directory");
    let path = directory.path().join("gatepost.sqlite");
    add_ann(&open(&path).await).await;
    let mut connection = foreign_connection(&path).await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9999, 'flux', TRUE, x'00', 0)";
    connection.execute(newer).await.expect("an insert");
    connection.close().await.expect("a close");
    let error = SqliteStore::open(&path, &SqliteOptions::default()).await.expect_err("it is newer");
    assert!(matches!(error, OpenError::Newer { version: 9999, .. }), "{error}");
}

#[tokio::test]
async fn what_is_no_database_is_left_alone() {
    let directory = tempdir().expect("a directory");
    let path = directory.path().join("letter.txt");
    let letter = "Dear Ann,\n".repeat(1000);
    fs::write(&path, &letter).expect("a letter");
    let error = SqliteStore::open(&path, &SqliteOptions::default()).await.expect_err("a letter");
    assert!(error.to_string().contains("letter.txt"), "{error}");
    assert_eq!(fs::read_to_string(&path).expect("a letter"), letter);
}

#[tokio::test]
async fn a_locked_store_says_so_in_time_and_goes_on_when_it_is_free() {
    let directory = tempdir().expect("a directory");
    let path = directory.path().join("gatepost.sqlite");
    let store = open(&path).await;
    add_ann(&store).await;
    rename(&store, 1).await.expect("nobody holds it");
    let mut other = foreign_connection(&path).await;
    other.execute("BEGIN EXCLUSIVE").await.expect("the lock");

    let asked = Instant::now();
    let (first, second) = tokio::join!(rename(&store, 2), rename(&store, 3));
    assert!(asked.elapsed() < Duration::from_millis(2500), "{:?}", asked.elapsed());
    assert!(text_of(first).contains("locked"));
    text_of(second);
    assert!(store.check().await.is_err());
    assert_eq!(name(&store).await.expect("reading goes on").as_deref(), Some("1"));

    other.execute("ROLLBACK").await.expect("the lock is given back");
    rename(&store, 4).await.expect("nobody holds it any more");
    assert_eq!(name(&store).await.expect("a store").as_deref(), Some("4"));
}

#[tokio::test]
async fn a_file_put_elsewhere_is_missed_until_it_is_back() {
    let directory = tempdir().expect("a directory");
    let path = directory.path().join("gatepost.sqlite");
    let elsewhere = directory.path().join("elsewhere.sqlite");
    let store = open(&path).await;
    add_ann(&store).await;
    fs::rename(&path, &elsewhere).expect("a move");
    assert!(text_of(rename(&store, 1).await).contains("put it back"));
    assert!(name(&store).await.is_err());

    fs::write(&path, "").expect("another file");
    assert!(text_of(rename(&store, 1).await).contains("replaced"));
    assert!(store.check().await.is_err());

    fs::rename(&elsewhere, &path).expect("a move");
    rename(&store, 2).await.expect("it is back");
    assert_eq!(name(&store).await.expect("a store").as_deref(), Some("2"));
}

/// Runs on a thread that has given up being root, and so do the threads that it starts.
#[test]
fn an_unreadable_or_read_only_file_is_an_error_until_it_is_mended() {
    let directory = tempdir().expect("a directory");
    fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).expect("a mode");
    let path = directory.path().join("gatepost.sqlite");
    let set_mode = |mode| fs::set_permissions(&path, Permissions::from_mode(mode)).expect("a mode");
    let work = async {
        let store = open(&path).await;
        add_ann(&store).await;
        for mode in [0o000, 0o400] {
            set_mode(mode);
            assert!(text_of(rename(&store, 1).await).contains("check its owner and mode"));
            assert!(name(&store).await.is_err());
            set_mode(0o600);
            rename(&store, i64::from(mode)).await.expect("it is mended");
        }
        store.close().await;
        drop(store);
        for mode in [0o000, 0o400] {
            set_mode(mode);
            let error = SqliteStore::open(&path, &SqliteOptions::default()).await.expect_err("not ours to write");
            assert!(error.to_string().contains("gatepost.sqlite"), "{error}");
            set_mode(0o600);
            let store = open(&path).await;
            store.check().await.expect("it is mended");
            // A connection that is still open would lend its file to the next.
            store.close().await;
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            if rustix::process::geteuid().is_root() {
                let nobody = rustix::process::Uid::from_raw(65534);
                rustix::thread::set_thread_res_uid(nobody, nobody, nobody).expect("to become nobody");
            }
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work);
        });
    });
}

/// This program again, running one of its tests as a child.
fn this_program(launcher: &[&str], test: &str, path: &Path) -> Command {
    let program = std::env::current_exe().expect("this program");
    let words = launcher.iter().map(Into::into).chain([program.into_os_string()]);
    let words: Vec<std::ffi::OsString> = words.collect();
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).args(["--exact", test, "--nocapture"]).env(CHILD, path);
    command
}

#[tokio::test]
async fn a_full_disk_is_an_error_until_there_is_room() {
    let Some(directory) = std::env::var_os(CHILD) else {
        let directory = tempdir().expect("a directory");
        let own_mounts = ["unshare", "--mount", "--propagation", "private"];
        let test = "a_full_disk_is_an_error_until_there_is_room";
        let status = this_program(&own_mounts, test, directory.path()).status().expect("unshare");
        assert!(status.success(), "in a mount namespace of its own, which takes root: {status}");
        return;
    };
    let directory = Path::new(&directory);
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(directory).status();
    assert!(mounted.expect("mount").success());

    let store = open(&directory.join("gatepost.sqlite")).await;
    add_ann(&store).await;
    let filler = directory.join("filler");
    let mut file = fs::File::create(&filler).expect("a file");
    while file.write_all(&[0; 4096]).is_ok() {}
    let mut acknowledged = 0;
    let refused = loop {
        match rename(&store, acknowledged + 1).await {
            Ok(_) => acknowledged += 1,
            refused => break refused,
        }
    };
    assert!(text_of(refused).contains("full"));
    assert!(store.check().await.is_err());
    text_of(rename(&store, 0).await);
    let expected = (acknowledged > 0).then(|| acknowledged.to_string());
    assert_eq!(name(&store).await.expect("reading goes on"), expected);

    fs::remove_file(&filler).expect("room");
    drop(file);
    rename(&store, 99).await.expect("there is room again");
    store.check().await.expect("there is room again");
    assert_eq!(name(&store).await.expect("a store").as_deref(), Some("99"));
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    const TEST: &str = "what_was_acknowledged_survives_a_kill";
    if let Some(path) = std::env::var_os(CHILD) {
        return write_until_killed(Path::new(&path)).await;
    }
    let kills = gatepost_harness::times(20, 500);
    let directory = tempdir().expect("a directory");
    let path = directory.path().join("gatepost.sqlite");
    add_ann(&open(&path).await).await;
    for kill in 0..kills {
        let mut child = this_program(&[], TEST, &path).stdout(Stdio::piped()).spawn().expect("a child");
        let stdout = BufReader::new(child.stdout.take().expect("its output"));
        let mut acknowledged = stdout.lines().map_while(Result::ok).filter_map(|line| number_in(&line));
        // At a different line each time; what the child has written beyond it was acknowledged too.
        let mut last = acknowledged.by_ref().take(1 + kill * 7 % 40).last();
        child.kill().expect("a kill");
        child.wait().expect("its end");
        last = acknowledged.last().or(last);

        let store = open(&path).await;
        let last = last.expect("at least one acknowledged change");
        let rows = store.changes_since(RowNumber(last - 1), 1000).await.expect("a store");
        assert_eq!(rows.first().map(|row| row.number.0), Some(last), "kill {kill}");
        let newest = rows.last().map(|row| row.at.as_second().to_string());
        assert_eq!(name(&store).await.expect("a store"), newest, "row and account go together, kill {kill}");
    }
}

fn number_in(line: &str) -> Option<u64> {
    line.split_once("acknowledged ")?.1.parse().ok()
}

async fn write_until_killed(path: &Path) {
    let store = open(path).await;
    let mut number = 0;
    loop {
        number += 1;
        let row = rename(&store, number).await.expect("a store");
        // A closed pipe is a parent that has gone.
        if writeln!(std::io::stdout(), "acknowledged {}", row.0).is_err() {
            return;
        }
    }
}
