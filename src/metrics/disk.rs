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
        let help = "Free bytes on the disk of the data folder";
        registry.register_with_unit("data_disk_free", help, Unit::Bytes, disk.free.clone());
        let help = "Total bytes of the disk of the data folder";
        registry.register_with_unit("data_disk_size", help, Unit::Bytes, disk.size.clone());
        disk
    }

    /// Sets the free and the total bytes.
    pub fn set(&self, free: u64, size: u64) {
        self.free.set(i64::try_from(free).unwrap_or(i64::MAX));
        self.size.set(i64::try_from(size).unwrap_or(i64::MAX));
    }
}
