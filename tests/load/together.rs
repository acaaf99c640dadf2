//! Nothing is wrong but that everybody comes at once.

use std::time::Duration;

use gatepost_harness::alone::Alone;
use gatepost_harness::times;

use crate::books::Books;
use crate::crowd::{self, Entrances};

#[test]
fn many_who_change_and_log_in_at_once_hear_nothing_untrue() {
    let alone = Alone::start(crowd::SETTINGS);
    let books = Books::open(&alone.gatepost, times(10, 20));
    let period = Duration::from_secs(times(10, 60) as u64);
    crowd::run(times(40, 200), &Entrances::of(&alone.gatepost), &books, || books.let_be(20, period));
    books.audit(&alone.gatepost);
    let tally = books.assert_nothing_untrue("nothing is wrong");
    println!("{tally:?}");
    assert!(tally.accepted > 100 && tally.refused > 100 && tally.acknowledged > 20, "{tally:?}");
}
