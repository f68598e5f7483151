//! One kind of request: at most one of it on its way, a deadline for it, a growing wait after
//! failures.

use crate::config::Config;
use crate::port::{Class, RequestId};

/// Hands out request ids.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ids(u64);

impl Ids {
    pub(crate) fn next(&mut self) -> RequestId {
        self.0 += 1;
        RequestId(self.0)
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Retry {
    on_its_way: Option<(RequestId, u64)>,
    failures: u32,
    not_before_ms: u64,
}

impl Retry {
    /// Whether the request may be made now; one that is too late has failed.
    pub(crate) fn due(&mut self, now_ms: u64, config: &Config) -> bool {
        if self.on_its_way.is_some_and(|(_, deadline_ms)| now_ms >= deadline_ms) {
            self.fail(now_ms, config, Class::Temporary);
        }
        self.on_its_way.is_none() && now_ms >= self.not_before_ms
    }

    pub(crate) fn begin(&mut self, id: RequestId, now_ms: u64, config: &Config) {
        self.on_its_way = Some((id, now_ms.saturating_add(config.request_timeout_ms)));
    }

    pub(crate) fn is(&self, id: RequestId) -> bool {
        self.on_its_way.is_some_and(|(ours, _)| ours == id)
    }

    /// It was answered; the next one not before `wait_ms` from now.
    pub(crate) fn succeed(&mut self, now_ms: u64, wait_ms: u64) {
        *self = Self { not_before_ms: now_ms.saturating_add(wait_ms), ..Self::default() };
    }

    pub(crate) fn fail(&mut self, now_ms: u64, config: &Config, class: Class) {
        self.on_its_way = None;
        self.failures = self.failures.saturating_add(1);
        let doubled = config.retry_ms_min.saturating_mul(1 << (self.failures - 1).min(20));
        let wait_ms = match class {
            Class::Temporary => doubled.min(config.retry_ms_max),
            Class::Critical | Class::Reset => config.retry_ms_max,
        };
        self.not_before_ms = now_ms.saturating_add(wait_ms);
    }

    /// Lets the next one go at once, unless failures say otherwise.
    pub(crate) fn hurry(&mut self) {
        if self.failures == 0 {
            self.not_before_ms = 0;
        }
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// When something is to be done about it.
    pub(crate) fn deadline_ms(&self) -> u64 {
        self.on_its_way.map_or(self.not_before_ms, |(_, deadline_ms)| deadline_ms)
    }
}
