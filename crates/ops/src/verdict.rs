//! The result of a command, for its exit status.

/// Whether a command has found something that needs attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing needs attention.
    Healthy,
    /// Something does, and the command has printed it.
    Unhealthy,
}

impl Verdict {
    /// Healthy if the condition holds.
    pub(crate) fn healthy_if(healthy: bool) -> Self {
        if healthy { Self::Healthy } else { Self::Unhealthy }
    }
}
