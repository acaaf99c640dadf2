//! The daemon stopped, killed and started again, under those who log in.

use std::num::NonZeroUsize;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use gatepost_harness::alone::Alone;
use gatepost_harness::mailhost::ALICE;
use gatepost_harness::raw::{Connection, auth, hello};
use gatepost_harness::times;
use rustix::process::Signal;

use crate::doors::{Works, assert_answers};

/// From TERM to listening again takes under 5 s on an idle machine; a busy one may take twice that.
const RESTART: Duration = Duration::from_secs(10);

const SLOW: &str = "slow@example.org";
/// Each login is hashed, though all of them try the same password.
const FORGETFUL: &str = "[cache]\nentries = 0\n";

/// A hash of Alice's password that takes about half a second: several logins at once cannot all be decided in time.
fn add_slow_account(alone: &Alone) {
    let hash = xcrypt::crypt(ALICE.password, "$6$rounds=700000$saltsalt").expect("libxcrypt hashes");
    let input = format!("{{SHA512-CRYPT}}{hash}\n");
    alone.gatepost.must(&["account", "add", SLOW, "--hash-stdin"], &input);
}

#[test]
fn what_is_decided_is_told_and_the_rest_is_not_now() {
    let mut alone = Alone::start(FORGETFUL);
    add_slow_account(&alone);
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let logins = 20 * threads as u32;
    let mut dovecot = alone.auth_client("login");
    let right = |id| auth(id, "", SLOW, ALICE.password);
    dovecot.send((1..=logins).map(right).collect::<String>());
    // Refused already, and waiting for its time to be told so.
    let mut refused = alone.auth_client("auth");
    refused.send(auth(1, "", ALICE.user, "wrong"));
    let mut answers = vec![dovecot.line()];
    // The last in the queue.
    let mut mta = Connection::to_auth(alone.gatepost.path_of("auth"), 0);
    mta.send(auth(1, "\tnologin", SLOW, ALICE.password));
    assert!(answers[0].ends_with("\tuser=slow@example.org"), "{answers:?}");

    let begun = Instant::now();
    let status = alone.gatepost.stop().expect("it was running");
    assert!(status.success(), "{status}");
    alone.gatepost.resume();
    assert!(begun.elapsed() < RESTART, "{:?} from TERM to listening", begun.elapsed());

    answers.extend(dovecot.rest().lines().map(str::to_owned));
    let mut ids: Vec<u32> = Vec::new();
    let mut put_off = 0;
    for answer in &answers {
        let fields: Vec<_> = answer.split('\t').collect();
        let told = fields[0] == "OK" && fields[2] == "user=slow@example.org";
        let later = fields[0] == "FAIL" && fields[2..] == ["code=temp_fail"];
        assert!(told || later, "{answer:?}");
        put_off += usize::from(later);
        ids.push(fields[1].parse().expect("an id"));
    }
    ids.sort_unstable();
    assert_eq!(ids, (1..=logins).collect::<Vec<_>>(), "each is answered once");
    assert!(put_off > 0, "all {logins} logins were decided in time, so nothing was tried here");
    let mta = mta.rest();
    assert!(mta.is_empty() || mta.starts_with("OK\t"), "an MTA takes every FAIL for a wrong password: {mta}");
    let refused = refused.rest();
    assert!(refused == "FAIL\t1\tuser=alice@example.org\n" || refused == "FAIL\t1\tcode=temp_fail\n", "{refused:?}");
    assert_answers(&alone, Works::All, "started again");
}

/// Dovecot 2.3 tells its user of a wrong password when the connection closes on a request.
#[test]
fn what_comes_while_it_stops_is_not_now() {
    let mut alone = Alone::start(FORGETFUL);
    add_slow_account(&alone);
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let undecided = 20 * threads as u32;
    let mut dovecot = alone.auth_client("login");
    dovecot.send((1..=undecided).map(|id| auth(id, "", SLOW, ALICE.password)).collect::<String>());
    dovecot.line();
    let process = alone.gatepost.process();
    let mark = process.mark();
    process.signal(Signal::TERM);
    process.wait_for_log("stopping", mark);
    let late = undecided + 1;
    dovecot.send(auth(late, "", ALICE.user, ALICE.password));
    let rest = dovecot.rest();
    assert!(rest.lines().any(|line| line == format!("FAIL\t{late}\tcode=temp_fail")), "{rest}");
    alone.gatepost.stop();
}

/// Dovecot 2.3 takes a closed connection for a wrong password, also where the login had not been looked at yet.
#[test]
fn what_was_sent_before_the_end_is_answered() {
    let alone = Alone::start("");
    let mut clients: Vec<_> = (0..32).map(|_| alone.auth_client("login")).collect();
    let process = alone.gatepost.process();
    process.signal(Signal::STOP);
    clients.iter_mut().for_each(|client| client.send(auth(1, "", ALICE.user, ALICE.password)));
    process.signal(Signal::TERM);
    process.signal(Signal::CONT);
    for client in &mut clients {
        let heard = client.rest();
        assert!(["OK\t1\tuser=alice@example.org\n", "FAIL\t1\tcode=temp_fail\n"].contains(&&*heard), "{heard:?}");
    }
}

#[test]
fn nobody_is_refused_while_it_is_away() {
    let mut alone = Alone::start("");
    for away in ["stopped", "killed"] {
        if away == "stopped" {
            alone.gatepost.stop();
        } else {
            alone.gatepost.kill();
        }
        let login = hello(2) + &auth(1, "", ALICE.user, ALICE.password);
        let mut waiting: Vec<_> =
            ["auth", "login"].iter().cycle().take(20).map(|socket| alone.connect(socket)).collect();
        waiting.iter_mut().for_each(|client| client.send(&login));
        let mut lmtp = alone.connect("userdb");
        lmtp.send("VERSION\t1\t0\nUSER\t1\talice@example.org\tservice=lmtp\n");
        let mut web = Connection::to_address(alone.gatepost.status);
        web.send("GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        alone.gatepost.resume();
        for client in &mut waiting {
            while client.line() != "DONE" {}
            assert_eq!(client.line(), "OK\t1\tuser=alice@example.org", "{away}");
        }
        while !lmtp.line().starts_with("USER\t1\talice@example.org\t") {}
        assert!(web.rest().starts_with("HTTP/1.1 200 "), "{away}");
    }
}

/// A client that logs in without pause hears "yes", "not now", or loses its connection; a right password is never wrong.
#[test]
fn a_right_password_is_never_called_wrong_across_restarts() {
    let mut alone = Alone::start("");
    let socket = alone.gatepost.path_of("login").to_owned();
    let (stop, stopped) = mpsc::channel::<()>();
    let client = thread::spawn(move || {
        let mut accepted = 0;
        while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
            let mut client = Connection::to(&socket);
            client.send(hello(2) + &auth(1, "", ALICE.user, ALICE.password));
            let heard = client.line_after("DONE");
            match heard.as_str() {
                "OK\t1\tuser=alice@example.org" => accepted += 1,
                "" | "FAIL\t1\tcode=temp_fail" => {}
                other => panic!("heard {other:?}"),
            }
        }
        accepted
    });
    for restart in 0..times(10, 100) {
        alone.assert_others_log_in("between two restarts");
        if restart % 2 == 0 {
            let status = alone.gatepost.stop().expect("it was running");
            assert!(status.success(), "{status}");
        } else {
            alone.gatepost.kill();
        }
        alone.gatepost.resume();
    }
    stop.send(()).expect("the client goes on until it is told");
    assert!(client.join().expect("the client heard nothing wrong") > 0);
}

#[test]
fn a_password_that_was_acknowledged_is_the_password_after_a_kill() {
    let mut alone = Alone::start("");
    for kill in 0..times(5, 100) {
        let password = move |number: usize| format!("Secret-{kill}-{number}a");
        let mut api = alone.connect("admin");
        let (acknowledge, acknowledged) = mpsc::channel();
        let setter = thread::spawn(move || {
            for number in 1.. {
                let body = format!(r#"{{"new": "{}"}}"#, password(number));
                let head = "PUT /api/v1/accounts/alice@example.org/password HTTP/1.1\r\nhost: x\r\n\
                            content-type: application/json\r\n";
                api.send(format!("{head}content-length: {}\r\n\r\n{body}", body.len()));
                let heard = api.heard_up_to("}}");
                if heard.is_empty() {
                    return number - 1;
                }
                assert!(heard.starts_with("HTTP/1.1 200 "), "{heard}");
                if !heard.ends_with("}}") {
                    return number;
                }
                // Whoever waits for these has heard enough before the last of them.
                let _ = acknowledge.send(());
            }
            0
        });
        for _ in 0..=kill * 3 % 20 {
            acknowledged.recv().expect("passwords are set until the kill");
        }
        alone.gatepost.kill();
        drop(acknowledged);
        let last = setter.join().expect("every answer was a yes");
        alone.gatepost.resume();
        let works = |number| alone.log_in(ALICE.user, &password(number)).starts_with("OK\t");
        // The one that was not acknowledged may have been kept all the same.
        assert_ne!(works(last), works(last + 1), "of {last} acknowledged passwords, kill {kill}");
    }
}
