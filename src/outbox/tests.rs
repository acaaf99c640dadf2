//! Which rows are worked on, and that none is forgotten. What is done at a real place is tested there.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::timeout;

use super::*;
use crate::account::{AccountType, StoredHash};
use crate::config::Password;
use crate::revocation::{Recorded, Sharing};
use crate::sessions::kick::Settings;
use crate::store::testing::{Point, StagedStore};
use crate::store::{Author, Change, Door, NewAccount, StepState};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

struct House {
    staged: Arc<StagedStore>,
    store: Arc<dyn Store>,
    revocation: Arc<Revocation>,
    stop: CancellationToken,
}

impl House {
    /// With a domain, and no outbox yet.
    async fn new() -> Self {
        let staged = StagedStore::new().await;
        let store: Arc<dyn Store> = staged.clone();
        let revocation = Arc::new(Revocation::new(Arc::clone(&store), Sharing::Sole));
        let house = Self { staged, store, revocation, stop: CancellationToken::new() };
        let domain = "example.org".parse().expect("a domain");
        house.commit(Change::AddDomain { domain, profile: "default".to_owned(), default_quota: None }).await;
        house
    }

    /// An outbox with this much room, and a Dovecot that is away if one is wanted.
    fn outbox(&self, room: usize, dovecot: Option<&str>) -> Outbox {
        self.outbox_to("unix:/nowhere/http", room, dovecot)
    }

    fn outbox_to(&self, endpoint: &str, room: usize, dovecot: Option<&str>) -> Outbox {
        let kicker = dovecot.map(|name| {
            let settings = Settings {
                name: name.to_owned(),
                endpoint: endpoint.parse().expect("a place"),
                key: Password::from("key"),
                authorities: None,
                flush_cache: false,
                timeout: Duration::from_secs(1),
            };
            Arc::new(Kicker::new(settings).expect("it is not asked yet"))
        });
        let errands = Errands {
            store: Arc::clone(&self.store),
            revocation: Arc::clone(&self.revocation),
            counter: None,
            kickers: kicker.into_iter().collect(),
            claims: Arc::new(Live::new(std::time::Instant::now())),
        };
        Outbox { room, ..Outbox::new(errands) }
    }

    fn start(&self, outbox: Outbox) -> tokio::task::JoinHandle<()> {
        tokio::spawn(outbox.run(self.stop.child_token()))
    }

    async fn commit(&self, change: Change) -> Recorded {
        let author = Author { who: "uid:0".to_owned(), door: Door::Command, origin: None };
        self.revocation.commit(vec![change], &author, Timestamp::now()).await.expect("a change")
    }

    async fn add(&self, user: &Username) {
        let hash = StoredHash::new("{PLAIN}secret".to_owned());
        let account = NewAccount {
            username: user.clone(),
            hash,
            fingerprint: None,
            name: None,
            quota: None,
            enabled: true,
            account_type: AccountType::Person,
            main_password_for_mail: true,
            fields: [].into(),
        };
        self.commit(Change::AddAccount(account)).await;
    }

    /// The receipt that whoever did it is answered with.
    async fn log_out(&self, user: &Username) -> Delivery {
        let recorded = self.commit(Change::LogOut { user: user.clone() }).await;
        self.revocation.receipt(recorded).await
    }

    async fn open(&self) -> Vec<Delivery> {
        self.store.undelivered(RowNumber::default(), 1_000).await.expect("the store answers")
    }

    async fn nothing_is_open(&self) {
        let emptied = async {
            while !self.open().await.is_empty() {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, emptied).await.expect("everything is delivered in time");
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn user(name: &str) -> Username {
    Username::parse(&format!("{name}@example.org"), None).expect("a name")
}

/// The state of the Dovecot's step, and what is said of it.
fn kick(delivery: &Delivery) -> Option<(StepState, String)> {
    let step = delivery.steps.iter().find(|step| step.what == crate::store::StepKind::Kick)?;
    Some((step.state, step.note.clone().unwrap_or_default()))
}

#[tokio::test]
async fn where_there_is_nobody_to_tell_what_is_stored_is_delivered() {
    let house = House::new().await;
    house.start(house.outbox(ROWS, None));
    house.add(&user("ann")).await;
    let receipt = house.log_out(&user("ann")).await;
    assert!(receipt.complete && receipt.steps.len() == 1, "{receipt:?}");
    house.nothing_is_open().await;
}

#[tokio::test]
async fn changes_of_one_account_wait_together_and_each_says_for_what() {
    let house = House::new().await;
    house.start(house.outbox(ROWS, Some("mail1")));
    house.add(&user("ann")).await;
    let (first, second) = (house.log_out(&user("ann")).await, house.log_out(&user("ann")).await);
    for receipt in [&first, &second] {
        let (state, note) = kick(receipt).expect("a step");
        assert_eq!(state, StepState::Pending);
        assert!(note.contains("[dovecot.mail1] url"), "{note}");
    }
    let open: Vec<_> = house.open().await.iter().map(|delivery| delivery.row.number).collect();
    assert_eq!(open, [first.row.number, second.row.number], "the new account itself is done");
}

#[tokio::test]
async fn what_is_open_at_the_end_is_taken_up_at_the_next_start() {
    let house = House::new().await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(house.outbox(ROWS, Some("mail1")).run(stop.clone()));
    house.add(&user("ann")).await;
    let receipt = house.log_out(&user("ann")).await;
    stop.cancel();
    timeout(PATIENCE, running).await.expect("it ends at once").expect("it ends well");
    assert_eq!(house.open().await.len(), 1);

    house.start(house.outbox(ROWS, Some("mail2")));
    let again = house.log_out(&user("ann")).await;
    let taken_up = house.store.delivery(receipt.row.number).await.expect("it is there").expect("it is there");
    let places: Vec<_> = taken_up.steps.iter().map(|step| (step.place.as_str(), step.state)).collect();
    let failed = ("mail1", StepState::Failed);
    assert_eq!(places, [("store", StepState::Done), ("mail2", StepState::Pending), failed]);
    assert!(kick(&again).is_some());
}

#[tokio::test]
async fn without_room_the_longest_tried_wait_in_the_store_and_none_is_forgotten() {
    let house = House::new().await;
    let names: Vec<_> = (0..20).map(|number| user(&format!("u{number}"))).collect();
    for name in &names {
        house.add(name).await;
    }
    let stop = CancellationToken::new();
    let running = tokio::spawn(house.outbox(8, Some("mail1")).run(stop.clone()));
    for name in &names {
        let receipt = house.log_out(name).await;
        assert!(kick(&receipt).is_some(), "{name} was tried at once, whoever waits: {receipt:?}");
    }
    assert_eq!(house.open().await.len(), 20);
    stop.cancel();
    timeout(PATIENCE, running).await.expect("it ends at once").expect("it ends well");

    // Nobody is to be told any more, and the room is still small.
    house.start(house.outbox(8, None));
    house.nothing_is_open().await;
}

#[tokio::test]
async fn a_crowd_of_changes_is_kept_in_a_few_writes() {
    let house = House::new().await;
    for number in 0..100 {
        house.add(&user(&format!("u{number}"))).await;
    }
    house.start(house.outbox(ROWS, None));
    house.nothing_is_open().await;
    let writes = house.staged.passed(Point::Settling);
    assert!(writes <= 10, "100 changes of 100 accounts in {writes} writes");
}

#[tokio::test]
async fn what_is_known_of_a_row_is_written_when_it_is_news_and_not_with_each_later_row() {
    let house = House::new().await;
    house.start(house.outbox(ROWS, Some("mail1")));
    house.add(&user("ann")).await;
    let mut first = None;
    for _ in 0..20 {
        let receipt = house.log_out(&user("ann")).await;
        assert!(kick(&receipt).is_some_and(|(_, note)| !note.is_empty()), "{receipt:?}");
        first.get_or_insert(receipt.row.number);
    }
    let written = house.staged.settled().into_iter().filter(|row| Some(*row) == first).count();
    assert!(written <= 2, "the first of 20 rows was written {written} times");
}

#[tokio::test]
async fn what_the_store_would_not_keep_is_kept_later() {
    let house = House::new().await;
    house.add(&user("ann")).await;
    house.staged.fail(Point::Settling);
    house.start(house.outbox(ROWS, None));
    house.nothing_is_open().await;
    assert_eq!(house.staged.passed(Point::Settling), 2);
}

#[tokio::test]
async fn while_the_store_keeps_nothing_dovecot_is_asked_again_all_the_same() {
    let house = House::new().await;
    house.add(&user("ann")).await;
    house.commit(Change::LogOut { user: user("ann") }).await;
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("http");
    let dovecot = tokio::net::UnixListener::bind(&socket).expect("a socket");
    let mut settling = house.staged.stop(Point::Settling);
    house.start(house.outbox_to(&format!("unix:{}", socket.display()), ROWS, Some("mail1")));
    settling.reached().await;
    for _ in 0..3 {
        // Hung up on at once, it is asked again.
        timeout(PATIENCE, dovecot.accept()).await.expect("it is asked again").expect("a connection");
    }
}
