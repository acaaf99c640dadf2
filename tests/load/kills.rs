//! The daemon killed at any moment of a change, with a Redis and a Dovecot that changes have to reach.

use std::time::Duration;

use gatepost_harness::dovecot::Version;
use gatepost_harness::site::Site;
use gatepost_harness::times;

use crate::books::Books;
use crate::crowd::{self, Entrances};
use crate::settled::assert_settled;

#[test]
fn whatever_was_acknowledged_is_there_after_a_kill_and_arrives_and_nothing_is_half_there() {
    let mut site = Site::start(Version::V2_3, &[], crowd::SETTINGS);
    let books = Books::open(&site.gatepost, 10);
    let entrances = Entrances::of(&site.gatepost);
    for kill in 0..times(20, 500) {
        crowd::run(16, &entrances, &books, || {
            books.let_be(kill % 7, Duration::ZERO);
            site.gatepost.kill();
            site.gatepost.resume();
        });
        books.audit(&site.gatepost);
    }
    let tally = books.assert_nothing_untrue("killed again and again");
    println!("{tally:?}");
    assert!(tally.unheard > 10, "{tally:?}: no kill came during a change");
    assert_settled(&site, &books, "killed again and again");
}
