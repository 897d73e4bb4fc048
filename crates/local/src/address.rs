//! Where the parts of a host listen.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The URLs of a host's parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The URL of every AWS service.
    pub endpoint: String,
    /// The URL of the payment sandbox.
    pub sandbox_url: String,
}

impl Address {
    /// The same parts as a container on this machine reaches them: by Docker Desktop's name for the
    /// host, which `--add-host` provides elsewhere.
    pub(crate) fn in_container(&self) -> Self {
        let in_container = |url: &str| {
            let port = url.rsplit(':').next().unwrap_or_default();
            format!("http://host.docker.internal:{port}")
        };
        Self {
            endpoint: in_container(&self.endpoint),
            sandbox_url: in_container(&self.sandbox_url),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "embedded AWS on {}, payment sandbox on {}", self.endpoint, self.sandbox_url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_reaches_the_same_ports_by_another_host_name() {
        let address = Address {
            endpoint: "http://127.0.0.1:4566".to_owned(),
            sandbox_url: "http://127.0.0.1:4567".to_owned(),
        };
        let reached = address.in_container();
        assert_eq!(reached.endpoint, "http://host.docker.internal:4566");
        assert_eq!(reached.sandbox_url, "http://host.docker.internal:4567");
    }
}
