//! What a hash costs: what new ones shall cost, and what a stored one may cost at most.
//!
//! Trusts: nothing. Whoever can write a hash (an import, an admin of one domain) could otherwise ask for 4 GiB or 2^31
//!         rounds; the demand is read from the text and judged before anything is computed.
//! Limits: time is estimated from the rounds and what each took on one core of an AMD EPYC; a slow machine takes longer.

use std::time::Duration;

use argon2::Params;

use super::{Scheme, VerifyError};

/// How much a new Argon2id hash costs the one who makes it, and everyone who guesses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost(Params);

/// A cost that Argon2 itself rules out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Argon2 needs at least one pass, one lane and 8 KiB of memory for each lane")]
pub struct CostError;

impl Cost {
    /// `memory_kib` of memory, gone over `iterations` times, in `lanes`.
    ///
    /// # Errors
    /// When Argon2 knows no such parameters.
    pub fn new(memory_kib: u32, iterations: u32, lanes: u32) -> Result<Self, CostError> {
        Params::new(memory_kib, iterations, lanes, None).map(Self).map_err(|_| CostError)
    }

    #[must_use]
    pub fn memory_kib(&self) -> u32 {
        self.0.m_cost()
    }

    #[must_use]
    pub fn iterations(&self) -> u32 {
        self.0.t_cost()
    }

    #[must_use]
    pub fn lanes(&self) -> u32 {
        self.0.p_cost()
    }

    pub(super) fn params(&self) -> &Params {
        &self.0
    }
}

impl Default for Cost {
    /// 19 MiB, two passes, one lane: the first choice of OWASP's Password Storage Cheat Sheet.
    fn default() -> Self {
        Self(Params::DEFAULT)
    }
}

/// The most that verifying one stored hash may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ceilings {
    pub memory_kib: u64,
    pub time: Duration,
}

impl Ceilings {
    /// Whether hashes of this cost could be verified again; a configuration in which they could not locks everyone out.
    #[must_use]
    pub fn allow(&self, cost: &Cost) -> bool {
        self.admit(Scheme::Argon2id, super::argon2::load(cost.params())).is_ok()
    }

    pub(super) fn admit(&self, scheme: Scheme, load: Load) -> Result<(), VerifyError> {
        if load.memory_kib > self.memory_kib {
            return Err(VerifyError::TooMuchMemory {
                scheme,
                asked_kib: load.memory_kib,
                ceiling_kib: self.memory_kib,
            });
        }
        let asked = Duration::from_nanos(load.nanoseconds);
        if asked > self.time {
            return Err(VerifyError::TooMuchTime { scheme, asked, ceiling: self.time });
        }
        Ok(())
    }
}

impl Default for Ceilings {
    /// 256 MiB, which `doveadm pw -s ARGON2ID -r 3` asks for, and two of the four seconds a login may take.
    fn default() -> Self {
        Self { memory_kib: 256 * 1024, time: Duration::from_secs(2) }
    }
}

/// What a stored hash asks for, read from its text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) memory_kib: u64,
    pub(super) nanoseconds: u64,
}

impl Load {
    /// A hash that only takes time: so many steps of so many nanoseconds.
    pub(super) fn steps(steps: u64, nanoseconds_each: u64) -> Self {
        Self { memory_kib: 0, nanoseconds: steps.saturating_mul(nanoseconds_each) }
    }

    pub(super) fn with_memory_kib(self, memory_kib: u64) -> Self {
        Self { memory_kib, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_argon2_does_not_know_is_refused() {
        for (memory_kib, iterations, lanes) in [(7, 1, 1), (19_456, 0, 1), (19_456, 2, 0), (64, 1, 9)] {
            assert_eq!(Cost::new(memory_kib, iterations, lanes), Err(CostError), "{memory_kib} {iterations} {lanes}");
        }
    }

    #[test]
    fn the_default_ceilings_allow_the_default_cost() {
        assert!(Ceilings::default().allow(&Cost::default()));
    }

    #[test]
    fn a_cost_above_a_ceiling_is_not_allowed() {
        let ceilings = Ceilings { memory_kib: 65_536, time: Duration::from_secs(1) };
        assert!(ceilings.allow(&Cost::new(65_536, 3, 1).unwrap()));
        assert!(!ceilings.allow(&Cost::new(65_537, 3, 1).unwrap()));
        assert!(!ceilings.allow(&Cost::new(65_536, 100, 1).unwrap()));
    }

    #[test]
    fn a_demand_beyond_all_numbers_is_too_much_and_not_little() {
        assert_eq!(Load::steps(u64::MAX, 7).nanoseconds, u64::MAX);
    }
}
