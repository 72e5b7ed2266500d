//! The disk that holds the data folder.

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// The disk that holds the data folder.
#[derive(Clone, Default)]
pub struct Disk {
    free: Gauge,
    size: Gauge,
}

impl Disk {
    pub(super) fn register(registry: &mut Registry) -> Disk {
        let disk = Disk::default();
        let help = "Bytes that are free on the disk of the data folder";
        registry.register_with_unit("data_disk_free", help, Unit::Bytes, disk.free.clone());
        let help = "Bytes that the disk of the data folder holds in all";
        registry.register_with_unit("data_disk_size", help, Unit::Bytes, disk.size.clone());
        disk
    }

    /// Sets what is free, and the whole, in bytes.
    pub fn set(&self, free: u64, size: u64) {
        self.free.set(i64::try_from(free).unwrap_or(i64::MAX));
        self.size.set(i64::try_from(size).unwrap_or(i64::MAX));
    }
}
