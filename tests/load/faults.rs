//! Whatever goes wrong beside the daemon, or with its time: logins go on, and nothing they are told is untrue.
//!
//! Each fault strikes a host of its own, under a crowd, and is mended. Then every counter and every receipt has to come
//! right without help. The table that is printed is for people.

use std::thread;
use std::time::Duration;

use gatepost_harness::dovecot::Version;
use gatepost_harness::gatepost::Gatepost;
use gatepost_harness::proxy::{Passage, Proxy};
use gatepost_harness::redis::Redis;
use gatepost_harness::site::Site;
use gatepost_harness::times;
use rustix::process::Signal;

use crate::books::{Books, Tally};
use crate::crowd::{self, Entrances};
use crate::settled::assert_settled;

struct Fault {
    what: &'static str,
    strike: fn(&mut Struck<'_>),
    mend: fn(&mut Struck<'_>),
    /// Whether anybody can be answered meanwhile.
    answers: bool,
}

/// What a fault can get at.
struct Struck<'a> {
    redis: &'a mut Redis,
    proxy: &'a Proxy,
    gatepost: &'a Gatepost,
    /// Of Redis, from before the first change.
    snapshot: Vec<u8>,
}

const fn fault(what: &'static str, strike: fn(&mut Struck<'_>), mend: fn(&mut Struck<'_>)) -> Fault {
    Fault { what, strike, mend, answers: true }
}

const FAULTS: [Fault; 11] = [
    fault("none", |_| {}, |_| {}),
    fault("Redis stopped", |struck| struck.redis.kill(), |struck| struck.redis.resume()),
    fault("Redis frozen", |struck| struck.redis.freeze(), |struck| struck.redis.thaw()),
    fault("Redis read-only", |struck| struck.redis.demote(), |struck| struck.redis.promote()),
    fault(
        "Redis out of memory",
        |struck| struck.redis.set_out_of_memory(true),
        |struck| struck.redis.set_out_of_memory(false),
    ),
    fault("Redis restarted empty", restart_redis_empty, |_| {}),
    fault("Redis from an old snapshot", restore_redis, |_| {}),
    fault("Dovecot's API down", |struck| struck.proxy.set(Passage::Closed), open_passage),
    fault("Dovecot's API slow", |struck| struck.proxy.set(Passage::Held), open_passage),
    fault("Dovecot's API refuses the key", |struck| struck.proxy.set(Passage::WrongKey), open_passage),
    Fault { what: "gatepost frozen for 10 s", strike: freeze_gatepost, mend: |_| {}, answers: false },
];

fn restart_redis_empty(struck: &mut Struck<'_>) {
    struck.redis.kill();
    struck.redis.resume();
}

fn restore_redis(struck: &mut Struck<'_>) {
    struck.redis.kill();
    struck.redis.restore(&struck.snapshot);
    struck.redis.resume();
}

fn open_passage(struck: &mut Struck<'_>) {
    struck.proxy.set(Passage::Open);
}

fn freeze_gatepost(struck: &mut Struck<'_>) {
    struck.gatepost.process().signal(Signal::STOP);
    // Nothing happens meanwhile: it is time itself that is waited for.
    thread::sleep(Duration::from_secs(10));
    struck.gatepost.process().signal(Signal::CONT);
}

#[test]
fn whatever_goes_wrong_nothing_untrue_is_said_and_all_is_delivered_in_the_end() {
    // First all of them, since what is left to be delivered takes the same 15 s for each.
    let struck: Vec<_> = FAULTS.iter().map(|fault| (fault, under(fault))).collect();
    println!("\n{HEAD}");
    for (fault, (site, books, during)) in struck {
        books.assert_nothing_untrue(fault.what);
        assert_settled(&site, &books, fault.what);
        let Tally { accepted, refused, not_now, acknowledged, .. } = during;
        println!("| {} | {accepted} | {refused} | {not_now} | {acknowledged} | none |", fault.what);
        assert!(!fault.answers || accepted > 20, "{}: logins did not go on: {during:?}", fault.what);
    }
}

/// What is told of each fault is of the time while it lasted.
const HEAD: &str = "| fault | logins accepted | refused | not now | changes acknowledged | untrue answers |\n\
                    |---|---|---|---|---|---|";

/// The host after the fault, and what was heard during it.
fn under(fault: &Fault) -> (Site, Books, Tally) {
    let mut site = Site::start(Version::V2_3, &[], crowd::SETTINGS);
    let books = Books::open(&site.gatepost, 10);
    let entrances = Entrances::of(&site.gatepost).and_imap_of(&site.dovecot);
    let snapshot = site.redis.snapshot();
    let (redis, proxy, gatepost) = (&mut site.redis, &site.proxy, &site.gatepost);
    let mut struck = Struck { redis, proxy, gatepost, snapshot };
    let during = crowd::run(16, &entrances, &books, || {
        books.let_be(20, Duration::from_millis(500));
        let from = books.recorder.now();
        (fault.strike)(&mut struck);
        books.let_be(if fault.answers { 20 } else { 0 }, Duration::from_secs(times(2, 20) as u64));
        let to = books.recorder.now();
        (fault.mend)(&mut struck);
        books.let_be(20, Duration::from_millis(500));
        (from, to)
    });
    books.audit(&site.gatepost);
    let tally = Tally::between(&books.recorder.history(), during);
    (site, books, tally)
}
