//! Lanes: a bounded queue in which networks take turns, so that a crowd from one delays the others by one job each.
//!
//! Limits: who has many networks has many turns.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use crate::account::Network;

/// Whose turn it is; what no login asks for has a lane of its own.
pub(super) type Lane = Option<Network>;

pub(super) struct Lanes<T> {
    /// None of them is empty.
    waiting: HashMap<Lane, VecDeque<T>>,
    /// Each lane once.
    turns: VecDeque<Lane>,
    length: usize,
    capacity: usize,
}

impl<T> Lanes<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { waiting: HashMap::new(), turns: VecDeque::new(), length: 0, capacity }
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.length >= self.capacity
    }

    /// Lets it wait behind those of its lane. Gives what there is no room for: itself, or the newest of a lane in which
    /// more are waiting.
    pub(super) fn push(&mut self, lane: Lane, item: T) -> Option<T> {
        let mut turned_away = None;
        if self.is_full() {
            let own = self.waiting.get(&lane).map_or(0, VecDeque::len);
            let longest =
                self.waiting.values_mut().max_by_key(|items| items.len()).filter(|items| items.len() > own + 1);
            let Some(longest) = longest else { return Some(item) };
            turned_away = longest.pop_back();
            self.length -= 1;
        }
        match self.waiting.entry(lane) {
            Entry::Occupied(mut items) => items.get_mut().push_back(item),
            Entry::Vacant(vacant) => {
                vacant.insert(VecDeque::from([item]));
                self.turns.push_back(lane);
            }
        }
        self.length += 1;
        turned_away
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let lane = self.turns.pop_front()?;
        let Entry::Occupied(mut items) = self.waiting.entry(lane) else { return None };
        let item = items.get_mut().pop_front();
        self.length -= usize::from(item.is_some());
        if items.get().is_empty() {
            items.remove();
        } else {
            self.turns.push_back(lane);
        }
        item
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.waiting.retain(|_, items| {
            items.retain(&keep);
            !items.is_empty()
        });
        self.turns.retain(|lane| self.waiting.contains_key(lane));
        self.length = self.waiting.values().map(VecDeque::len).sum();
    }

    pub(super) fn clear(&mut self) {
        self.retain(|_| false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Origin;

    fn lane(uid: u32) -> Lane {
        Some(Network::of(Origin::Local(uid)))
    }

    #[test]
    fn lanes_take_turns() {
        let mut lanes = Lanes::new(10);
        for (uid, item) in [(1, "a1"), (1, "a2"), (1, "a3"), (2, "b1"), (3, "c1"), (2, "b2")] {
            assert_eq!(lanes.push(lane(uid), item), None);
        }
        let order: Vec<_> = std::iter::from_fn(|| lanes.pop()).collect();
        assert_eq!(order, ["a1", "b1", "c1", "a2", "b2", "a3"]);
        assert!(lanes.is_empty());
    }

    #[test]
    fn a_full_queue_has_room_for_who_has_less_in_it() {
        let mut lanes = Lanes::new(3);
        for item in ["a1", "a2", "a3"] {
            lanes.push(lane(1), item);
        }
        assert_eq!(lanes.push(lane(1), "a4"), Some("a4"), "of one's own nobody gives way");
        assert_eq!(lanes.push(lane(2), "b1"), Some("a3"));
        assert_eq!(lanes.push(lane(2), "b2"), Some("b2"), "it would have as many");
        assert_eq!(lanes.push(lane(3), "c1"), Some("a2"));
        assert_eq!(lanes.push(lane(4), "d1"), Some("d1"), "each has one");
        assert_eq!(lanes.len(), 3);
    }

    #[test]
    fn what_is_dropped_leaves_no_turn_behind() {
        let mut lanes = Lanes::new(3);
        for (uid, item) in [(1, 1), (2, 2), (3, 3)] {
            lanes.push(lane(uid), item);
        }
        lanes.retain(|item| *item != 2);
        assert_eq!((lanes.pop(), lanes.pop(), lanes.pop()), (Some(1), Some(3), None));
        lanes.push(lane(1), 4);
        lanes.clear();
        assert_eq!((lanes.len(), lanes.pop()), (0, None));
    }
}
