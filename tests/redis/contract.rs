//! What a webmail, or any other program, may rely on.

use std::time::Duration;

use gatepost::account::{CredentialName, Generation};
use gatepost::config::Password;
use gatepost::revocation::redis::{Event, Login, Revoked, Settings};
use gatepost_harness::redis::Redis;
use gatepost_harness::{times, wait_until};

use crate::node::{Node, kept, raised, revoked, settings, user};

#[tokio::test]
async fn a_number_is_raised_and_told_once_however_often_it_is_delivered() {
    let redis = Redis::start();
    let mut outsider = redis.subscribe("gatepost:revoked");
    let mut node = Node::connected(settings(&redis)).await;
    let change = revoked("ann@example.org", 7);
    assert_eq!(node.counter.raise(&change).await.expect("raised"), raised(7));
    assert_eq!(node.counter.raise(&change).await.expect("known"), kept(7));
    assert_eq!(node.counter.raise(&revoked("ann@example.org", 6)).await.expect("known"), kept(7));
    assert_eq!(redis.value("gatepost:generation:ann@example.org"), "7");
    assert_eq!(
        outsider.messages(&redis),
        [
            r#"{"user":"ann@example.org","credential":null,"generation":7,"reason":"password-set","at":"2026-11-24T14:15:00Z"}"#
        ]
    );
    assert_eq!(node.next_event().await, Event::Message(change));
}

#[tokio::test]
async fn numbers_are_compared_by_value_at_every_length() {
    let redis = Redis::start();
    let node = Node::connected(settings(&redis)).await;
    // 2^53 and its neighbour are one number to Lua, and 10 comes before 9 in a dictionary.
    let ascending = [
        0,
        9,
        10,
        99,
        100,
        9_007_199_254_740_992,
        9_007_199_254_740_993,
        999_999_999_999_999_998,
        999_999_999_999_999_999,
    ];
    for (index, number) in ascending.into_iter().enumerate() {
        assert_eq!(node.counter.raise(&revoked("ann@example.org", number)).await.expect("raised"), raised(number));
        for lower in ascending.into_iter().take(index) {
            let answer = node.counter.raise(&revoked("ann@example.org", lower)).await.expect("known");
            assert_eq!(answer, kept(number), "{lower} after {number}");
        }
        let held = node.counter.ask(&user("ann@example.org"), CredentialName::Main).await.expect("asked");
        assert_eq!(held, Some(Generation(number)));
    }
}

#[tokio::test]
async fn an_application_password_has_a_number_of_its_own() {
    let redis = Redis::start();
    let mut outsider = redis.subscribe("gatepost:revoked");
    let node = Node::connected(settings(&redis)).await;
    let application = CredentialName::Application(3);
    let change = Revoked { credential: application, ..revoked("ann@example.org", 12) };
    assert_eq!(node.counter.raise(&change).await.expect("raised"), raised(12));
    assert_eq!(redis.value("gatepost:generation:ann@example.org/3"), "12");
    assert_eq!(node.counter.ask(&change.user, application).await.expect("asked"), Some(Generation(12)));
    assert_eq!(node.counter.ask(&change.user, CredentialName::Main).await.expect("asked"), None);
    assert!(outsider.next_message().contains(r#""credential":3,"#));
}

#[tokio::test]
async fn what_is_no_number_is_replaced_and_never_believed() {
    let redis = Redis::start();
    let mut outsider = redis.subscribe("gatepost:revoked");
    let node = Node::connected(settings(&redis)).await;
    let foreign =
        ["", "x", "-1", "1.5", "1e9", "007", "00", " 7", "7 ", "0x7", "1000000000000000000", "99999999999999999999999"];
    for (index, foreign) in foreign.into_iter().enumerate() {
        let name = format!("user{index}@example.org");
        redis.must(&["SET", &format!("gatepost:generation:{name}"), foreign]);
        assert_eq!(node.counter.ask(&user(&name), CredentialName::Main).await.expect("asked"), None, "{foreign:?}");
        assert_eq!(node.counter.raise(&revoked(&name, 5)).await.expect("raised"), raised(5), "{foreign:?}");
        assert_eq!(redis.value(&format!("gatepost:generation:{name}")), "5");
        assert!(outsider.next_message().contains(&name));
    }
    redis.must(&["RPUSH", "gatepost:generation:list@example.org", "7"]);
    assert!(node.counter.ask(&user("list@example.org"), CredentialName::Main).await.is_err(), "a list is no answer");
    assert_eq!(node.counter.raise(&revoked("list@example.org", 5)).await.expect("raised"), raised(5));
    assert!(node.counter.is_connected(), "what stands in a key is no fault of the connection");
}

#[tokio::test]
async fn every_gatepost_on_the_same_redis_hears_of_it() {
    let redis = Redis::start();
    let (one, mut other) = (Node::connected(settings(&redis)).await, Node::connected(settings(&redis)).await);
    let change = revoked("ann@example.org", 7);
    one.counter.raise(&change).await.expect("raised");
    assert_eq!(other.next_event().await, Event::Message(change.clone()));
    let answer = other.counter.raise(&revoked("ann@example.org", 3)).await.expect("known");
    assert_eq!(answer, kept(7), "whoever asks for less hears that there is more");
    assert_eq!(other.counter.ask(&change.user, CredentialName::Main).await.expect("asked"), Some(Generation(7)));
}

#[tokio::test]
async fn prefix_and_database_keep_two_installations_apart() {
    let redis = Redis::start();
    let mine = Node::connected(Settings { prefix: "a".to_owned(), ..settings(&redis) }).await;
    let mut theirs = Node::connected(Settings { prefix: "b".to_owned(), database: 5, ..settings(&redis) }).await;
    mine.counter.raise(&revoked("ann@example.org", 9)).await.expect("raised");
    theirs.counter.raise(&revoked("ann@example.org", 4)).await.expect("raised");
    assert_eq!(redis.value("a:generation:ann@example.org"), "9");
    assert_eq!(redis.must(&["-n", "5", "GET", "b:generation:ann@example.org"]), "4");
    assert_eq!(theirs.next_event().await, Event::Message(revoked("ann@example.org", 4)));
}

#[tokio::test]
async fn words_that_are_no_message_are_skipped() {
    let redis = Redis::start();
    let mut node = Node::connected(settings(&redis)).await;
    let long = "x".repeat(100_000);
    for word in ["", "{}", "null", "[1]", r#"{"user":"*"}"#, "\u{fffd}", &long] {
        redis.must(&["PUBLISH", "gatepost:revoked", word]);
    }
    let change = revoked("ann@example.org", 7);
    node.counter.raise(&change).await.expect("raised");
    assert_eq!(node.next_event().await, Event::Message(change));
}

#[tokio::test]
async fn ten_thousand_at_once_are_all_raised_and_all_told() {
    let redis = Redis::start();
    let mut node = Node::connected(settings(&redis)).await;
    let count = times(10_000, 100_000);
    let changes: Vec<_> = (1..=count).map(|number| revoked(&format!("u{number}@example.org"), number as u64)).collect();
    let counter = node.counter.clone();
    let expected: Vec<_> = changes.iter().map(|change| raised(change.generation.0)).collect();
    let raising = tokio::spawn(async move { (counter.raise_all(&changes).await, changes) });
    let mut heard = Vec::new();
    while heard.len() < count {
        match node.next_event().await {
            Event::Message(message) => heard.push(message),
            other => panic!("{other:?} after {} messages", heard.len()),
        }
    }
    let (answers, changes) = raising.await.expect("not cancelled");
    assert_eq!(answers.expect("raised"), expected);
    assert_eq!(heard, changes, "in order, each once");
    assert_eq!(redis.must(&["DBSIZE"]), count.to_string());
}

#[tokio::test]
async fn a_crowd_of_single_questions_waits_its_turn_on_one_connection() {
    let redis = Redis::start();
    let node = Node::connected(settings(&redis)).await;
    let crowd: Vec<_> = (1..=2_000)
        .map(|number| {
            let counter = node.counter.clone();
            tokio::spawn(async move { counter.raise(&revoked(&format!("u{number}@example.org"), number)).await })
        })
        .collect();
    for (index, answer) in crowd.into_iter().enumerate() {
        assert_eq!(answer.await.expect("not cancelled").expect("raised"), raised(index as u64 + 1));
    }
    assert!(node.counter.is_connected());
}

#[tokio::test]
async fn who_does_not_listen_hears_that_something_was_missed() {
    let redis = Redis::start();
    let mut node = Node::connected(settings(&redis)).await;
    let changes: Vec<_> = (1..=5_000).map(|number| revoked("ann@example.org", number)).collect();
    node.counter.raise_all(&changes).await.expect("raised");
    let mut heard = node.events_until(&Event::Lagged).await;
    let last = heard.pop().expect("what was in time was kept");
    assert_eq!(heard.first(), Some(&Event::Message(changes[0].clone())));
    assert!(last != Event::Message(changes[4_999].clone()), "nothing was missed after all");
    node.counter.raise(&revoked("ann@example.org", 6_000)).await.expect("raised");
    assert_eq!(node.next_event().await, Event::Message(revoked("ann@example.org", 6_000)), "and goes on listening");
}

#[tokio::test]
async fn a_user_of_redis_with_only_these_rights_is_enough() {
    let redis = Redis::start();
    redis.must(&[
        "ACL",
        "SETUSER",
        "gatepost",
        "on",
        ">s3cret",
        "resetchannels",
        "&gatepost:revoked",
        "~gatepost:generation:*",
        "-@all",
        "+get",
        "+set",
        "+publish",
        "+subscribe",
        "+role",
        "+evalsha",
        "+script|load",
    ]);
    redis.must(&["ACL", "SETUSER", "default", "off"]);
    let login = Login { username: Some("gatepost".to_owned()), password: Some(Password::from("s3cret")) };
    let mut node = Node::connected(Settings { login, ..settings(&redis) }).await;
    let change = revoked("ann@example.org", 7);
    assert_eq!(node.counter.raise(&change).await.expect("raised"), raised(7));
    assert_eq!(node.next_event().await, Event::Message(change.clone()));
    assert_eq!(node.counter.ask(&change.user, CredentialName::Main).await.expect("asked"), Some(Generation(7)));
}

#[tokio::test]
async fn it_ends_when_it_is_told_to_and_lets_go_of_the_connection() {
    let redis = Redis::start();
    let Node { counter, task, stop, .. } = Node::connected(settings(&redis)).await;
    drop(stop);
    tokio::time::timeout(Duration::from_secs(5), task).await.expect("it ends").expect("without a panic");
    assert!(!counter.is_connected());
    assert!(counter.raise(&revoked("ann@example.org", 1)).await.is_err());
    wait_until("nobody is subscribed", || redis.must(&["PUBSUB", "NUMSUB", "gatepost:revoked"]).ends_with('0'));
}
