//! Transactions while they are being told.
//!
//! Fails:  a number that is not open, or open already, ends the session, as at Dovecot.
//! Limits: a transaction that grows past its bounds keeps nothing, and its commit fails.

use std::collections::BTreeMap;

use super::{super::ProtocolError, Change};

/// The open transactions of one connection.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    open: BTreeMap<u32, Transaction>,
    /// Of all keys and values in them.
    bytes: usize,
}

#[derive(Debug, Default)]
pub(super) struct Transaction {
    pub(super) user: String,
    pub(super) expire: u32,
    pub(super) changes: Vec<Change>,
    pub(super) too_large: bool,
    bytes: usize,
}

impl Transactions {
    const MAX_OPEN: usize = 256;
    const MAX_CHANGES: usize = 1024;
    const MAX_BYTES: usize = 1024 * 1024;

    pub(super) fn begin(&mut self, number: u32, user: String, expire: u32) -> Result<(), ProtocolError> {
        if self.open.contains_key(&number) {
            return Err(ProtocolError::Reused { command: "B", id: number });
        }
        if self.open.len() >= Self::MAX_OPEN {
            return Err(ProtocolError::TooMany { what: "transactions", limit: Self::MAX_OPEN });
        }
        self.open.insert(number, Transaction { user, expire, ..Transaction::default() });
        Ok(())
    }

    pub(super) fn change(&mut self, number: u32, change: Change) -> Result<(), ProtocolError> {
        let transaction = self.open.get_mut(&number).ok_or(ProtocolError::NoTransaction(number))?;
        let bytes = change.bytes();
        if transaction.changes.len() >= Self::MAX_CHANGES || self.bytes + bytes > Self::MAX_BYTES {
            transaction.too_large = true;
            transaction.changes = Vec::new();
            self.bytes -= std::mem::take(&mut transaction.bytes);
        }
        if !transaction.too_large {
            transaction.changes.push(change);
            transaction.bytes += bytes;
            self.bytes += bytes;
        }
        Ok(())
    }

    pub(super) fn check(&self, number: u32) -> Result<(), ProtocolError> {
        let known = self.open.contains_key(&number);
        if known { Ok(()) } else { Err(ProtocolError::NoTransaction(number)) }
    }

    pub(super) fn end(&mut self, number: u32) -> Result<Transaction, ProtocolError> {
        let transaction = self.open.remove(&number).ok_or(ProtocolError::NoTransaction(number))?;
        self.bytes -= transaction.bytes;
        Ok(transaction)
    }
}

impl Change {
    const fn bytes(&self) -> usize {
        match self {
            Self::Set { key, value } => key.len() + value.len(),
            Self::Unset { key } | Self::Add { key, .. } => key.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(bytes: usize) -> Change {
        Change::Set { key: "k".to_owned(), value: vec![b'x'; bytes - 1] }
    }

    #[test]
    fn transactions_may_interleave() {
        let mut transactions = Transactions::default();
        for number in [1, 7] {
            assert_eq!(transactions.begin(number, "ann".to_owned(), 0), Ok(()));
        }
        for (number, bytes) in [(1, 10), (7, 20), (1, 30)] {
            assert_eq!(transactions.change(number, set(bytes)), Ok(()));
        }
        assert_eq!(transactions.end(1).map(|ended| ended.changes), Ok(vec![set(10), set(30)]));
        assert_eq!(transactions.end(7).map(|ended| ended.changes), Ok(vec![set(20)]));
        assert_eq!(transactions.bytes, 0);
    }

    #[test]
    fn numbers_must_be_open_and_only_once() {
        let mut transactions = Transactions::default();
        assert_eq!(transactions.begin(1, String::new(), 0), Ok(()));
        let reused = ProtocolError::Reused { command: "B", id: 1 };
        assert_eq!(transactions.begin(1, String::new(), 0), Err(reused));
        assert_eq!(transactions.change(2, set(1)), Err(ProtocolError::NoTransaction(2)));
        assert_eq!(transactions.check(2), Err(ProtocolError::NoTransaction(2)));
        assert!(transactions.end(1).is_ok());
        assert!(transactions.end(1).is_err());
    }

    #[test]
    fn a_transaction_too_large_keeps_nothing_and_harms_no_other() {
        let mut transactions = Transactions::default();
        for number in [1, 2] {
            assert_eq!(transactions.begin(number, String::new(), 0), Ok(()));
        }
        assert_eq!(transactions.change(2, set(100)), Ok(()));
        for _ in 0..3 {
            assert_eq!(transactions.change(1, set(Transactions::MAX_BYTES / 2)), Ok(()));
        }
        assert_eq!(transactions.bytes, 100);
        assert_eq!(transactions.change(2, set(100)), Ok(()));
        let ended = transactions.end(1);
        assert!(ended.is_ok_and(|ended| ended.too_large && ended.changes.is_empty()));
        assert!(transactions.end(2).is_ok_and(|ended| !ended.too_large && ended.changes.len() == 2));
        assert_eq!(transactions.bytes, 0);
    }

    #[test]
    fn changes_and_transactions_are_counted() {
        let mut transactions = Transactions::default();
        for number in 0..256 {
            assert_eq!(transactions.begin(number, String::new(), 0), Ok(()));
        }
        assert!(matches!(transactions.begin(256, String::new(), 0), Err(ProtocolError::TooMany { .. })));
        for _ in 0..=Transactions::MAX_CHANGES {
            assert_eq!(transactions.change(0, set(1)), Ok(()));
        }
        assert!(transactions.end(0).is_ok_and(|ended| ended.too_large));
    }
}
