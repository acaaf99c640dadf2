//! A store that the gatepost of before has left, and what today's makes of it.

use std::path::Path;

use gatepost::account::{CredentialName, Fingerprints, Generation, StoredHash};
use gatepost::store::sqlite::SqliteStore;
use gatepost::store::{
    AuditFilter, Author, Change, ChangeKind, DeliveryStore, Door, LogStore, RowNumber, Store, TokenStore,
};
use jiff::Timestamp;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Executor, SqlSafeStr, SqliteConnection};
use tempfile::tempdir;

use crate::{ann, foreign_connection, open};

const BEFORE: [(i64, &str, &str); 3] = [
    (1, "accounts", include_str!("../../src/store/migrations/sqlite/0001_accounts.sql")),
    (2, "dict", include_str!("../../src/store/migrations/sqlite/0002_dict.sql")),
    (3, "clients", include_str!("../../src/store/migrations/sqlite/0003_clients.sql")),
];

/// Ann was given a quota after her password; Bob is gone; a number was passed by.
const LEFT: &str = "
    INSERT INTO domain (name, profile, default_quota) VALUES ('example.org', 'nist', 5), ('example.net', 'default', NULL);
    INSERT INTO account (username, domain, quota, enabled, account_type, main_password_for_mail, fields, generation)
        VALUES ('ann@example.org', 'example.org', 7, 1, 'person', 1, '{\"userdb_uid\":\"5000\"}', 5);
    INSERT INTO credential (username, number, hash) VALUES ('ann@example.org', 0, '{PLAIN}second');
    INSERT INTO change_log (number, subject, credential, kind, who, door, origin, at) VALUES
        (1, 'example.org', NULL, 'domain-added', 'uid:0', 'command', NULL, 1000000),
        (2, 'example.net', NULL, 'domain-added', 'uid:0', 'command', NULL, 2000000),
        (3, 'ann@example.org', NULL, 'account-added', 'uid:0', 'import', 'local:0', 3000000),
        (4, 'bob@example.org', NULL, 'account-added', 'uid:0', 'api', '192.0.2.9', 4000000),
        (5, 'ann@example.org', NULL, 'password-set', 'ann@example.org', 'api', '192.0.2.9', 5000000),
        (6, 'example.org', NULL, 'domain-set', 'uid:0', 'command', NULL, 6000000),
        (7, 'ann@example.org', NULL, 'quota-set', 'uid:0', 'command', NULL, 7000000),
        (8, 'bob@example.org', NULL, 'account-removed', 'uid:0', 'command', NULL, 8000000);
    UPDATE sqlite_sequence SET seq = 9 WHERE name = 'change_log';
    INSERT INTO client (username, kind, origin, first_seen, last_seen, logins)
        VALUES ('ann@example.org', 'imap', '192.0.2.9', 5000000, 6000000, 3);
    INSERT INTO login (username, at, outcome, service, origin)
        VALUES ('ann@example.org', 5000000, 'refused', 'imap', '192.0.2.9');
";

async fn leave(path: &Path) {
    std::fs::write(path, "").expect("a new file");
    let mut connection: SqliteConnection = foreign_connection(path).await;
    let migrations = BEFORE.map(|(version, description, sql)| {
        Migration::new(version, description.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.into()).run(&mut connection).await.expect("the tables of before");
    connection.execute(LEFT).await.expect("what they held");
    sqlx::Connection::close(connection).await.expect("a close");
}

#[tokio::test]
async fn a_store_of_the_version_before_opens_with_everything_there() {
    let directory = tempdir().expect("a directory");
    let path = directory.path().join("gatepost.sqlite");
    leave(&path).await;
    let store = open(&path).await;

    let record = store.login_record(&ann()).await.expect("a store").expect("Ann");
    assert_eq!((record.account.quota, record.account.generation), (Some(7), Generation(5)));
    assert_eq!(record.account.changed, RowNumber(7), "the newest row of any kind");
    assert_eq!((record.domain.profile.as_str(), record.domain.changed), ("nist", RowNumber(6)));
    assert_eq!(record.credentials[0].hash, StoredHash::new("{PLAIN}second".to_owned()));
    assert_eq!(record.credentials[0].known, Fingerprints::default());
    let changed: Vec<_> = store.domains().await.expect("a store").iter().map(|domain| domain.changed).collect();
    assert_eq!(changed, [RowNumber(2), RowNumber(6)]);
    assert_eq!(store.logins(&ann(), 10).await.expect("a store").len(), 1);
    assert_eq!(gatepost::store::ClientStore::clients(&store, &ann()).await.expect("a store").len(), 1);
    assert_eq!(store.tokens().await.expect("a store"), []);
}

#[tokio::test]
async fn rows_of_before_wait_for_no_delivery_and_are_read_like_new_ones() {
    let directory = tempdir().expect("a directory");
    let path = directory.path().join("gatepost.sqlite");
    leave(&path).await;
    let store = open(&path).await;

    assert!(store.undelivered(RowNumber(0), 10).await.expect("a store").is_empty());
    for (row, raises) in [(1, false), (3, true), (4, true), (5, true), (6, false), (7, false), (8, true)] {
        let delivery = store.delivery(RowNumber(row)).await.expect("a store");
        let found = delivery.map(|delivery| (delivery.generation(), delivery.complete, delivery.steps.len()));
        assert_eq!(found, raises.then_some((Some(Generation(row)), true, 0)), "row {row}");
    }
    let raised = raised(&store, "", 10).await;
    assert_eq!(raised, [("ann@example.org".to_owned(), None, 5), ("bob@example.org".to_owned(), None, 8)]);
    let filter = AuditFilter { domain: "example.org".parse().ok(), limit: 10, ..AuditFilter::default() };
    let audit = store.audit(&filter).await.expect("a store");
    assert_eq!(audit.iter().map(|row| row.number.0).collect::<Vec<_>>(), [8, 7, 6, 5, 4, 3, 1]);

    assert_eq!(store.newest_row().await.expect("a store"), RowNumber(9));
    let author = Author { who: "uid:0".to_owned(), door: Door::Command, origin: None };
    let next = store.commit(&[Change::LogOut { user: ann() }], &author, Timestamp::UNIX_EPOCH).await.expect("it fits");
    assert_eq!(next.row, RowNumber(10));
    let open = store.undelivered(RowNumber(0), 10).await.expect("a store");
    assert_eq!(open.iter().map(|delivery| delivery.row.kind).collect::<Vec<_>>(), [ChangeKind::LoggedOut]);
}

/// No change raises an application password by itself yet; the log has room for it.
#[tokio::test]
async fn an_application_password_is_raised_beside_its_account() {
    let directory = tempdir().expect("a directory");
    let path = directory.path().join("gatepost.sqlite");
    leave(&path).await;
    let store = open(&path).await;
    let mut connection = foreign_connection(&path).await;
    let rows = "INSERT INTO change_log (subject, credential, kind, who, door, at, raises, open) VALUES
        ('ann@example.org', 2, 'logged-out', 'uid:0', 'command', 9000000, 1, 1),
        ('ann@example.org', 1, 'logged-out', 'uid:0', 'command', 9000000, 1, 1),
        ('ann@example.org', 2, 'logged-out', 'uid:0', 'command', 9000000, 1, 1)";
    connection.execute(rows).await.expect("three rows");

    let application = |number| Some(CredentialName::Application(number));
    let whole = [(None, 5), (application(1), 11), (application(2), 12)];
    let whole = whole.map(|(credential, row)| (ann().to_string(), credential, row));
    assert_eq!(raised(&store, "", 1).await, whole, "one subject with all of its own");
    assert_eq!(raised(&store, "ann@example.org", 1).await, [("bob@example.org".to_owned(), None, 8)]);
}

async fn raised(store: &SqliteStore, after: &str, subjects: u32) -> Vec<(String, Option<CredentialName>, u64)> {
    let raised = store.raised_since(Timestamp::UNIX_EPOCH, after, subjects).await.expect("a store");
    raised.into_iter().map(|raised| (raised.subject, raised.credential, raised.generation.0)).collect()
}
