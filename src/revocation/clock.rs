//! The clock that freshness is measured by: it goes on while the machine sleeps or the process is stopped.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A moment since this machine was started (`CLOCK_BOOTTIME`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootTime(pub Duration);

impl BootTime {
    #[must_use]
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::Boottime);
        let (seconds, nanoseconds) = (u64::try_from(now.tv_sec), u32::try_from(now.tv_nsec));
        Self(Duration::new(seconds.unwrap_or_default(), nanoseconds.unwrap_or_default()))
    }

    /// Nothing if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_and_never_back() {
        let earlier = BootTime::now();
        let later = BootTime::now();
        assert!(earlier > BootTime::default() && later >= earlier);
        assert_eq!(earlier.since(BootTime(later.0 + Duration::from_secs(1))), Duration::ZERO);
    }
}
