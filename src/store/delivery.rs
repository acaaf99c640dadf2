//! Delivery: what has become of a row that raised a generation, step by step, until all of it is done.
//!
//! A [`Step`] is stored as it is sent in a receipt, so its names are for the outside and never change.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::log::{ChangeKind, Row};
use crate::account::{CredentialName, Generation, RowNumber};

/// A row that raised a generation, and what of it has arrived where.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub row: Row,
    /// Nothing is left to be done.
    pub complete: bool,
    /// Empty before the first attempt, and of what was complete before there were receipts.
    pub steps: Vec<Step>,
}

impl Delivery {
    /// The generation that the row raised its subject to.
    #[must_use]
    pub fn generation(&self) -> Option<Generation> {
        self.row.kind.raises_generation().then_some(Generation(self.row.number.0))
    }
}

/// One thing that a change must bring about in one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Step {
    pub what: StepKind,
    /// The name of the place in the configuration.
    #[serde(rename = "where")]
    pub place: String,
    pub state: StepState,
    /// How many were ended, where that can be counted.
    pub count: Option<u64>,
    /// How long after the commit it was done, in milliseconds.
    pub ms: Option<u64>,
    /// Why it is not done yet, and what to do about it.
    pub note: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepKind {
    /// In the store, and so true for every login from here on.
    Stored,
    /// The counter that others compare with.
    Counter,
    /// What a Dovecot keeps of old verdicts.
    CacheFlush,
    /// Sessions that are open.
    Kick,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    Done,
    /// Will be tried again until it is done.
    Pending,
    /// Never will be done.
    Failed,
}

/// The newest row that raised the generation of an account, or of one of its passwords.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raised {
    /// A full address, or [`EVERYONE`](super::EVERYONE).
    pub subject: String,
    pub credential: Option<CredentialName>,
    pub generation: Generation,
    /// What raised it, and when.
    pub kind: ChangeKind,
    pub at: Timestamp,
}

/// The log as the outbox sees it: rows that raise a generation. Each is open from its commit until it is complete.
#[async_trait]
pub trait DeliveryStore {
    /// `None` for a row that raised nothing, or is not there.
    async fn delivery(&self, row: RowNumber) -> Result<Option<Delivery>, StoreError>;
    /// Those that are not complete, of rows with a higher number than `after`, oldest first.
    async fn undelivered(&self, after: RowNumber, limit: u32) -> Result<Vec<Delivery>, StoreError>;
    /// Keeps the steps, and whether they are complete: all of it in one write.
    async fn settle(&self, deliveries: &[Delivery]) -> Result<(), StoreError>;
    /// What was raised at `since` or later, in the order of subjects, of `subjects` many of them beginning after one.
    /// All of a subject comes together: its account's row first, then those of its application passwords.
    async fn raised_since(&self, since: Timestamp, after: &str, subjects: u32) -> Result<Vec<Raised>, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_written_in_the_words_of_a_receipt() {
        let step = Step {
            what: StepKind::CacheFlush,
            place: "imap1".to_owned(),
            state: StepState::Pending,
            count: None,
            ms: Some(3),
            note: Some("no answer".to_owned()),
        };
        let text = r#"{"what":"cache-flush","where":"imap1","state":"pending","count":null,"ms":3,"note":"no answer"}"#;
        assert_eq!(serde_json::to_string(&step).expect("a step"), text);
        assert_eq!(serde_json::from_str::<Step>(text).expect("a step"), step);
    }
}
