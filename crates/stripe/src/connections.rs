//! Connections to the provider.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::{header::HeaderMap, redirect};

/// Connections that are kept until one of them fails, and then all replaced.
///
/// A function is frozen between its invocations, and kept connections may die meanwhile without
/// notice. A request on one of them times out, and so would its repetition on the next.
#[derive(Clone)]
pub(crate) struct Connections {
    current: Arc<Mutex<Generation>>,
    headers: HeaderMap,
    attempt_timeout: Duration,
}

#[derive(Clone)]
pub(crate) struct Generation {
    pub(crate) number: u64,
    pub(crate) http: reqwest::Client,
}

impl Connections {
    /// Connections whose requests have these headers and this timeout.
    pub(crate) fn new(
        headers: HeaderMap,
        attempt_timeout: Duration,
    ) -> Result<Self, reqwest::Error> {
        let http = open(&headers, attempt_timeout)?;
        let current = Arc::new(Mutex::new(Generation { number: 0, http }));
        Ok(Self { current, headers, attempt_timeout })
    }

    pub(crate) fn current(&self) -> Generation {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the connections of a generation, unless that has happened.
    pub(crate) fn replace(&self, failed: u64) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.number == failed
            && let Ok(http) = open(&self.headers, self.attempt_timeout)
        {
            *current = Generation { number: failed + 1, http };
        }
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connections")
    }
}

fn open(headers: &HeaderMap, attempt_timeout: Duration) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .default_headers(headers.clone())
        .user_agent(concat!("amelie-payment/", env!("CARGO_PKG_VERSION")))
        .timeout(attempt_timeout)
        // The key must not leave for another host.
        .redirect(redirect::Policy::none())
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_replaced_once_for_all_who_saw_them_fail() {
        let connections = Connections::new(HeaderMap::new(), Duration::from_secs(1)).unwrap();
        let failed = connections.current().number;
        connections.replace(failed);
        connections.replace(failed);
        assert_eq!(connections.current().number, failed + 1);
    }
}
