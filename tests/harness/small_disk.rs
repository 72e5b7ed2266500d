//! A small disk in memory that a story can fill. Mounting it needs root, as in CI and in containers.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// A mounted disk. Dropping it unmounts it.
pub struct SmallDisk(TempDir);

impl SmallDisk {
    /// Mounts a disk of this size.
    pub fn of_mebibytes(size: usize) -> SmallDisk {
        let folder = tempfile::Builder::new().prefix("pausa-disk-").tempdir().unwrap();
        let size = format!("size={size}m");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).status();
        assert!(mount.unwrap().success(), "a disk cannot be mounted: run the tests as root");
        SmallDisk(folder)
    }

    /// The folder of the disk.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Fills the disk until `free` bytes are left.
    pub fn fill(&self, free: u64) {
        let disk = rustix::fs::statvfs(self.path()).unwrap();
        let length = (disk.f_bavail * disk.f_frsize).saturating_sub(free);
        let written = fs::write(self.path().join("ballast"), vec![0; usize::try_from(length).unwrap()]);
        // A server that writes at the same time may take some of the space: then the disk is full all the same.
        assert!(written.is_ok() || written.is_err_and(|error| error.kind() == ErrorKind::StorageFull));
    }

    /// Frees what [`SmallDisk::fill`] took.
    pub fn free(&self) {
        fs::remove_file(self.path().join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Open files keep a lazily unmounted disk until they are closed.
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}
