//! Signals that end this process.

use tokio::signal::unix::{SignalKind, signal};

/// Waits for Ctrl-C, for the terminal to close, or for a request to terminate.
pub(crate) async fn interrupted() {
    let signals = [SignalKind::interrupt(), SignalKind::hangup(), SignalKind::terminate()].map(
        |kind| async move {
            match signal(kind) {
                Ok(mut signal) => signal.recv().await,
                // Without a handler, the signal ends the process at once.
                Err(_) => std::future::pending().await,
            };
        },
    );
    futures::future::select_all(signals.map(Box::pin)).await;
}
