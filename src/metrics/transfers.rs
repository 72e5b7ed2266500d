//! Files sent and received.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// Transfers in one direction.
#[derive(Clone, Default)]
pub struct Transfers {
    active: Gauge,
    bytes: Counter,
}

/// A transfer. It counts as active until it is dropped.
pub struct Transfer(Transfers);

impl Transfers {
    /// Registers the transfers of `what`. The names begin with `name`.
    pub(super) fn register(registry: &mut Registry, name: &str, what: &str) -> Transfers {
        let transfers = Transfers::default();
        let help = format!("{what}: transfers in progress");
        registry.register(format!("{name}s_active"), help, transfers.active.clone());
        let help = format!("{what}: bytes transferred");
        registry.register_with_unit(name, help, Unit::Bytes, transfers.bytes.clone());
        transfers
    }

    /// Begins a transfer.
    pub fn begin(&self) -> Transfer {
        self.active.inc();
        Transfer(self.clone())
    }
}

impl Transfer {
    /// Counts transferred bytes.
    pub fn add(&self, bytes: usize) {
        self.0.bytes.inc_by(bytes as u64);
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.0.active.dec();
    }
}
