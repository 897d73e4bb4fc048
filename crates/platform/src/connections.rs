//! The HTTP connections of the AWS clients.
//!
//! A function is frozen between its invocations, and kept connections may die meanwhile. If the
//! peer says so, the next call notices at once and opens another. If nobody says so, because a
//! gateway on the way has forgotten the connection, the next call waits for an answer until it
//! times out, and so would its retry on the next kept connection. Therefore one failure ends all of
//! them.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        connector_metadata::ConnectorMetadata,
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings,
            SharedHttpClient, SharedHttpConnector,
        },
        orchestrator::HttpRequest,
        runtime_components::{RuntimeComponents, RuntimeComponentsBuilder},
    },
};
use aws_smithy_types::config_bag::ConfigBag;

const TLS: Provider = Provider::Rustls(CryptoMode::AwsLc);

/// A client that keeps its connections until a call fails or is abandoned, and then starts anew.
#[must_use]
pub fn kept() -> SharedHttpClient {
    SharedHttpClient::new(Kept(Pool::new(|| Builder::new().tls_provider(TLS).build_https())))
}

/// A client that opens a connection for each call: for calls that cannot be repeated when a
/// connection turns out to be dead.
#[must_use]
pub fn unshared() -> SharedHttpClient {
    Builder::new().pool_max_idle_per_host(0).tls_provider(TLS).build_https()
}

/// A client with its connections, which is replaced when one of them fails.
struct Pool<C> {
    current: Mutex<Generation<C>>,
    open: fn() -> C,
}

#[derive(Clone)]
struct Generation<C> {
    number: u64,
    client: C,
}

impl<C: Clone> Pool<C> {
    fn new(open: fn() -> C) -> Arc<Self> {
        Arc::new(Self { current: Mutex::new(Generation { number: 0, client: open() }), open })
    }

    fn current(&self) -> Generation<C> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces a generation, unless that has happened: calls that were made at once also fail at
    /// once.
    fn replace(&self, failed: u64) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.number == failed {
            *current = Generation { number: failed + 1, client: (self.open)() };
        }
    }
}

/// A call on connections of a generation. They are replaced unless it is answered.
struct Call<C: Clone> {
    pool: Arc<Pool<C>>,
    generation: u64,
    is_answered: bool,
}

impl<C: Clone> Drop for Call<C> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.pool.replace(self.generation);
        }
    }
}

struct Kept(Arc<Pool<SharedHttpClient>>);

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept")
    }
}

impl HttpClient for Kept {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let Generation { number, client } = self.0.current();
        SharedHttpConnector::new(Connector {
            pool: self.0.clone(),
            generation: number,
            connector: client.http_connector(settings, components),
        })
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.current().client.validate_base_client_config(components, config)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.0.current().client.connector_metadata()
    }
}

/// What makes one attempt of a call: the SDK asks for another connector for the next attempt.
struct Connector {
    pool: Arc<Pool<SharedHttpClient>>,
    generation: u64,
    connector: SharedHttpConnector,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("generation", &self.generation).finish_non_exhaustive()
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (pool, generation) = (self.pool.clone(), self.generation);
        let answer = self.connector.call(request);
        HttpConnectorFuture::new(async move {
            // An attempt that times out is dropped here.
            let mut call = Call { pool, generation, is_answered: false };
            let answer = answer.await;
            call.is_answered = answer.is_ok();
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn call(pool: &Arc<Pool<u32>>) -> Call<u32> {
        Call { pool: pool.clone(), generation: pool.current().number, is_answered: false }
    }

    #[test]
    fn connections_are_kept_while_calls_are_answered_and_replaced_once_when_some_are_not() {
        static OPENED: AtomicU32 = AtomicU32::new(0);
        let pool = Pool::new(|| OPENED.fetch_add(1, Ordering::Relaxed));
        let mut answered = call(&pool);
        answered.is_answered = true;
        drop(answered);
        assert_eq!(pool.current().client, 0);

        let failed = [call(&pool), call(&pool)];
        drop(failed);
        assert_eq!((pool.current().client, OPENED.load(Ordering::Relaxed)), (1, 2));

        drop(call(&pool));
        assert_eq!(pool.current().client, 2);
    }
}
