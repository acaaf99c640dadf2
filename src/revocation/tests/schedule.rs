//! Random schedules: one log, two nodes that follow it, a third that only writes; a checker looks on.
//!
//! Rows become visible late and out of order; messages are lost, doubled and late; readings of the log fail or take
//! their time; one node is frozen for ten seconds.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::follow::{Follower, Sweep};
use super::super::tail::FRESH;
use super::*;

const USERS: [&str; 2] = ["ann@example.org", "bob@example.org"];
const SUBJECTS: [&str; 4] = ["ann@example.org", "bob@example.org", "example.org", "*"];
const FREEZE: u64 = 10_000;
/// Following begins in the midst of what is going on.
const BEGINNING: u64 = 5_000;
/// Until then things happen; from [`QUIET`] on nothing is in the way of catching up.
const END: u64 = 45_000;
const QUIET: u64 = 60_000;
const LAST_LOOK: u64 = 70_000;

#[derive(Clone, Debug)]
struct Commit {
    subject: usize,
    kind: ChangeKind,
    /// When it takes its number, and when others see it.
    taken: u64,
    visible: u64,
    /// By the node that is never frozen, which learns of its end so much later; else by the third.
    own: Option<u64>,
    /// When its message reaches the nodes: never, once, or more often.
    messages: Vec<(usize, u64)>,
    number: u64,
}

/// A question to the store, as the node that asks it times it.
#[derive(Clone, Copy, Debug)]
struct Question {
    node: usize,
    sent: u64,
    /// On its way there, and on its way back.
    there: u64,
    back: u64,
    answered: bool,
}

#[derive(Debug)]
struct Schedule {
    commits: Vec<Commit>,
    readings: Vec<Question>,
    grants: Vec<(usize, Question)>,
    /// When the second node freezes.
    freezes: u64,
}

enum Event {
    Begin(usize),
    Enter(usize),
    Heard(usize, usize),
    SweepSent(usize),
    SweepAnswered(usize, u64, bool),
    Asked(usize),
    Granted(usize, u64),
    Check,
}

#[derive(Debug)]
struct Node {
    tail: Tail,
    follower: Follower,
    sweep: Option<Sweep>,
    /// Grants by the index of their question: first the position, then all of it.
    asked: BTreeMap<usize, Position>,
    grants: Vec<Grant>,
}

fn commits() -> impl Strategy<Value = Vec<Commit>> {
    let kinds = prop_oneof![Just(ChangeKind::PasswordSet), Just(ChangeKind::QuotaSet), Just(ChangeKind::Disabled)];
    let message = (0..2_usize, prop_oneof![4 => 0..50_u64, 1 => 0..8_000_u64]);
    let commit = (
        0..SUBJECTS.len(),
        kinds,
        0..END,
        prop_oneof![3 => 0..100_u64, 1 => 0..9_900_u64],
        proptest::option::of(0..500_u64),
        proptest::collection::vec(message, 0..4),
    );
    proptest::collection::vec(commit, 1..30).prop_map(|drawn| {
        let mut commits: Vec<Commit> = drawn
            .into_iter()
            .map(|(subject, kind, taken, takes, own, messages)| {
                let kind = if SUBJECTS[subject] == "*" { ChangeKind::EveryoneLoggedOut } else { kind };
                Commit { subject, kind, taken, visible: taken + takes, own, messages, number: 0 }
            })
            .collect();
        commits.sort_by_key(|commit| commit.taken);
        // Who writes to a subject waits for whoever does so already; everyone waits for all.
        for later in 1..commits.len() {
            let (before, rest) = commits.split_at_mut(later);
            let commit = &mut rest[0];
            let in_the_way =
                |other: &&Commit| other.subject == commit.subject || other.subject == 3 || commit.subject == 3;
            let free = before.iter().filter(in_the_way).map(|other| other.visible).max().unwrap_or(0);
            let waits = free.saturating_sub(commit.taken);
            commit.taken += waits;
            commit.visible += waits;
        }
        commits.sort_by_key(|commit| commit.taken);
        for (number, commit) in (1..).zip(&mut commits) {
            commit.number = number;
            for message in &mut commit.messages {
                message.1 += commit.visible;
            }
        }
        commits
    })
}

fn question(node: usize, sent: u64) -> impl Strategy<Value = Question> {
    let way = || prop_oneof![4 => 1..20_u64, 1 => 1..2_000_u64];
    (way(), way(), prop_oneof![6 => Just(true), 1 => Just(false)]).prop_map(move |(there, back, answered)| Question {
        node,
        sent,
        there,
        back,
        answered,
    })
}

fn reading(node: usize, sent: u64) -> BoxedStrategy<Question> {
    if sent < QUIET {
        question(node, sent).boxed()
    } else {
        Just(Question { node, sent, there: 5, back: 5, answered: true }).boxed()
    }
}

fn schedules() -> impl Strategy<Value = Schedule> {
    let readings: Vec<_> = (0..2)
        .flat_map(|node| (BEGINNING / 1_000..LAST_LOOK / 1_000).map(move |second| reading(node, second * 1_000)))
        .collect();
    let grant = (0..USERS.len(), 0..2_usize, BEGINNING..END)
        .prop_flat_map(|(user, node, sent)| (Just(user), question(node, sent)));
    let grants = proptest::collection::vec(grant, 1..20);
    (commits(), readings, grants, BEGINNING..END).prop_map(|(commits, readings, grants, freezes)| Schedule {
        commits,
        readings,
        grants,
        freezes,
    })
}

impl Schedule {
    /// What a node does at `at` it does after the freeze, if it is frozen then.
    fn thawed(&self, node: usize, at: u64) -> u64 {
        if node == 1 && (self.freezes..self.freezes + FREEZE).contains(&at) { self.freezes + FREEZE } else { at }
    }

    fn events(&self) -> Vec<(u64, Event)> {
        let mut events = Vec::new();
        for (index, commit) in self.commits.iter().enumerate() {
            if let Some(answer) = commit.own {
                events.push((commit.taken, Event::Begin(index)));
                events.push((commit.visible + answer, Event::Enter(index)));
            }
            for (node, at) in &commit.messages {
                events.push((self.thawed(*node, *at), Event::Heard(*node, index)));
            }
        }
        let mut free = [0; 2];
        for reading in &self.readings {
            let sent = self.thawed(reading.node, reading.sent);
            if sent < free[reading.node] {
                continue;
            }
            let answered = self.thawed(reading.node, sent + reading.there + reading.back);
            free[reading.node] = answered + 1;
            events.push((sent, Event::SweepSent(reading.node)));
            events.push((answered, Event::SweepAnswered(reading.node, sent + reading.there, reading.answered)));
        }
        for (index, (_, question)) in self.grants.iter().enumerate() {
            let sent = self.thawed(question.node, question.sent);
            let answered = self.thawed(question.node, sent + question.there + question.back);
            events.push((sent, Event::Asked(index)));
            events.push((answered, Event::Granted(index, sent + question.there)));
        }
        events.extend((BEGINNING..LAST_LOOK).step_by(500).map(|at| (at, Event::Check)));
        events.sort_by_key(|(at, _)| *at);
        events
    }

    fn seen(&self, at: u64) -> impl Iterator<Item = &Commit> {
        self.commits.iter().filter(move |commit| commit.visible <= at)
    }

    fn rows(&self, after: RowNumber, at: u64) -> Vec<Row> {
        let rows = self.seen(at).filter(|commit| commit.number > after.0);
        rows.map(|commit| row(commit.number, SUBJECTS[commit.subject], commit.kind)).collect()
    }

    /// What the store said at `at`.
    fn grant(&self, user: usize, at: u64, position: Position) -> Grant {
        let newest = |wanted: &dyn Fn(&Commit) -> bool| {
            self.seen(at).filter(|commit| wanted(commit)).map(|commit| commit.number).max().unwrap_or(0)
        };
        Grant {
            generation: Generation(newest(&|commit| {
                commit.kind.raises_generation() && [user, 3].contains(&commit.subject)
            })),
            changed: RowNumber(newest(&|commit| commit.subject == user)),
            domain_changed: RowNumber(newest(&|commit| commit.subject == 2)),
            ..grant(USERS[user], 0, position)
        }
    }

    fn run(&self) -> Result<(), TestCaseError> {
        let given = self.commits.iter().filter(|commit| commit.taken <= BEGINNING).count() as u64;
        let mut nodes: Vec<Node> = (0..2)
            .map(|_| {
                let mut tail = Tail::new(Sharing::Shared, bounds(100));
                tail.follow(at(BEGINNING));
                let follower = Follower::new(RowNumber(given), at(BEGINNING));
                Node { tail, follower, sweep: None, asked: BTreeMap::new(), grants: Vec::new() }
            })
            .collect();
        for (now, event) in self.events() {
            match event {
                Event::Begin(commit) => nodes[0].tail.begin(SUBJECTS[self.commits[commit].subject]),
                Event::Enter(commit) => {
                    let commit = &self.commits[commit];
                    let number = RowNumber(commit.number);
                    let raised = commit.kind.raises_generation().then_some(number);
                    nodes[0].tail.enter(SUBJECTS[commit.subject], CredentialName::Main, raised, number, at(now));
                }
                Event::Heard(node, commit) => {
                    let commit = &self.commits[commit];
                    if commit.kind.raises_generation() {
                        let generation = Generation(commit.number);
                        nodes[node].tail.heard(SUBJECTS[commit.subject], CredentialName::Main, generation, at(now));
                    }
                }
                Event::SweepSent(node) => nodes[node].sweep = Some(nodes[node].follower.sweep(at(now))),
                Event::SweepAnswered(node, read, answered) => {
                    let Node { tail, follower, sweep, .. } = &mut nodes[node];
                    let Some(mut sweep) = sweep.take().filter(|_| answered) else { continue };
                    let rows = self.rows(sweep.after(), read);
                    tail.read(&rows, at(now));
                    prop_assert!(sweep.page(&rows));
                    follower.complete(&sweep, at(now));
                    tail.complete(sweep.sent(), at(now));
                }
                Event::Asked(index) => {
                    let node = &mut nodes[self.grants[index].1.node];
                    node.asked.insert(index, node.tail.position());
                }
                Event::Granted(index, read) => {
                    let (user, question) = self.grants[index];
                    let node = &mut nodes[question.node];
                    node.grants.push(self.grant(user, read, node.asked[&index]));
                }
                Event::Check => {
                    for (index, node) in nodes.iter().enumerate() {
                        if self.thawed(index, now) == now {
                            self.check(index, node, now)?;
                        }
                    }
                }
            }
        }
        for node in &nodes {
            for user in 0..USERS.len() {
                let fresh = self.grant(user, u64::MAX, node.tail.position());
                prop_assert_eq!(node.tail.standing(&fresh, at(LAST_LOOK)), Standing::Current);
            }
        }
        Ok(())
    }

    /// No grant is honoured for more than three seconds after a commit that voids it, and not at all after an own one;
    /// and none is called outdated that the store would still honour.
    fn check(&self, index: usize, node: &Node, now: u64) -> Result<(), TestCaseError> {
        let fresh = FRESH.as_millis() as u64;
        for granted in &node.grants {
            let user = USERS.iter().position(|user| *user == granted.user.as_str()).unwrap_or_default();
            let voids = |commit: &&Commit| {
                let raised = commit.kind.raises_generation() && [user, 3].contains(&commit.subject);
                (raised && commit.number > granted.generation.0)
                    || (commit.subject == user && commit.number > granted.changed.0)
                    || (commit.subject == 2 && commit.number > granted.domain_changed.0)
            };
            match node.tail.standing(granted, at(now)) {
                Standing::Current => {
                    let old = self.seen(now.saturating_sub(fresh + 1)).find(voids);
                    prop_assert!(old.is_none(), "node {} at {}: {:?} honoured after {:?}", index, now, granted, old);
                    let committed = |commit: &&Commit| commit.own.is_some() && commit.visible < now;
                    let own = self.commits.iter().filter(committed).find(voids);
                    prop_assert!(index != 0 || own.is_none(), "at {}: {:?} honoured after own {:?}", now, granted, own);
                }
                Standing::Outdated => {
                    let newer = self.seen(now).find(voids);
                    prop_assert!(newer.is_some(), "node {} at {}: {:?} outdated by nothing", index, now, granted);
                }
                Standing::Stale | Standing::Unknown => {}
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_schedule_makes_two_nodes_honour_what_was_revoked_or_void_what_was_not(schedule in schedules()) {
        schedule.run()?;
    }
}
