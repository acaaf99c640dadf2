//! The daemon killed at any moment of a change.

use std::time::Duration;

use gatepost_harness::alone::Alone;
use gatepost_harness::times;

use crate::books::Books;
use crate::crowd::{self, Entrances};

#[test]
fn whatever_was_acknowledged_is_there_after_a_kill_and_nothing_is_half_there() {
    let mut alone = Alone::start(crowd::SETTINGS);
    let books = Books::open(&alone.gatepost, 10);
    let entrances = Entrances::of(&alone.gatepost);
    for kill in 0..times(20, 500) {
        crowd::run(16, &entrances, &books, || {
            books.let_be(kill % 7, Duration::ZERO);
            alone.gatepost.kill();
            alone.gatepost.resume();
        });
        books.audit(&alone.gatepost);
    }
    let tally = books.assert_nothing_untrue("killed again and again");
    println!("{tally:?}");
    assert!(tally.unheard > 10, "{tally:?}: no kill came during a change");
}
