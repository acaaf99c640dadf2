//! Promises about tokens.

use gatepost::account::RowNumber;
use gatepost::store::{Change, ChangeKind, CommitError, Conflict, Role, Store, Token, TokenDigest};

use crate::sample::{at, commit, try_commit};

fn token(name: &str, role: Role, domains: &[&str]) -> Token {
    let domains = domains.iter().map(|domain| domain.parse().expect("a valid domain")).collect();
    Token { name: name.to_owned(), role, domains, created: at(7) }
}

fn digest(byte: u8) -> TokenDigest {
    TokenDigest::new([byte; 32])
}

async fn found(store: &dyn Store, byte: u8) -> Option<Token> {
    store.token(&digest(byte)).await.expect("a store")
}

pub(crate) async fn a_token_is_found_by_its_digest_alone(store: &dyn Store) {
    let webmail = token("roundcube", Role::Webmail, &["example.org", "xn--bcher-kva.example"]);
    let admin = token("admin", Role::Admin, &[]);
    let login = token("gitea", Role::Login, &["example.org"]);
    for (byte, token) in [(1, &webmail), (2, &admin), (3, &login)] {
        commit(store, Change::AddToken(token.clone(), digest(byte))).await;
    }
    assert_eq!(found(store, 1).await.as_ref(), Some(&webmail));
    assert_eq!(found(store, 2).await.as_ref(), Some(&admin));
    assert_eq!(found(store, 0).await, None);
    let mut nearly = [1; 32];
    nearly[31] = 0;
    assert_eq!(store.token(&TokenDigest::new(nearly)).await.expect("a store"), None);
    assert_eq!(store.tokens().await.expect("a store"), [admin, login, webmail]);
}

pub(crate) async fn a_revoked_token_is_gone_and_its_name_free(store: &dyn Store) {
    let token = |role| token("roundcube", role, &[]);
    commit(store, Change::AddToken(token(Role::Webmail), digest(1))).await;
    let another = Token { name: "another".to_owned(), ..token(Role::Webmail) };
    for (taken, byte) in [(token(Role::Admin), 2), (another, 1)] {
        let result = try_commit(store, Change::AddToken(taken, digest(byte))).await;
        assert!(matches!(result, Err(CommitError::Conflict(Conflict::TokenExists))), "{result:?}");
    }
    assert_eq!(found(store, 1).await, Some(token(Role::Webmail)));

    let revoke = || Change::RevokeToken { name: "roundcube".to_owned() };
    commit(store, revoke()).await;
    assert_eq!(found(store, 1).await, None);
    assert_eq!(store.tokens().await.expect("a store"), []);
    let twice = try_commit(store, revoke()).await;
    assert!(matches!(twice, Err(CommitError::Conflict(Conflict::NoToken))), "{twice:?}");

    commit(store, Change::AddToken(token(Role::Admin), digest(2))).await;
    assert_eq!((found(store, 1).await, found(store, 2).await), (None, Some(token(Role::Admin))));
}

pub(crate) async fn tokens_come_and_go_by_rows_that_raise_nothing(store: &dyn Store) {
    let token = token("roundcube", Role::Webmail, &[]);
    let changes = [
        (Change::AddToken(token, digest(1)), ChangeKind::TokenAdded),
        (Change::RevokeToken { name: "roundcube".to_owned() }, ChangeKind::TokenRevoked),
    ];
    for (change, kind) in changes {
        let committed = commit(store, change).await;
        assert_eq!((committed.raised, committed.generation), (None, None), "{kind}");
        let before = RowNumber(committed.row.0 - 1);
        let row = store.changes_since(before, 1).await.expect("a store").pop().expect("its row");
        assert_eq!((row.kind, row.subject.as_str()), (kind, "token:roundcube"));
    }
    assert!(store.undelivered(RowNumber(0), 10).await.expect("a store").is_empty());
}
