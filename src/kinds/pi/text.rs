//! Writes the digits as a text in a zip archive.

use std::io;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::files::TaskScratch;
use pi_digits::{PiValue, Series, StopCheck, WriteError};

/// Compression level. Digits need at least 0.415 bytes each. This is the first level with dynamic codes: 0.477 bytes. Higher levels
/// save at most 0.008.
const COMPRESSION_LEVEL: i64 = 2;

/// Size from which zip64 is used: a little below the limit of 4 GiB, because of the headers.
const ZIP64_SIZE: u64 = u32::MAX as u64 - (1 << 20);

/// A zip archive to write.
pub struct PiZip {
    /// Working files of the task.
    pub scratch: TaskScratch,
    /// Name of the working file.
    pub file: String,
    /// Name of the text in it.
    pub name: String,
}

impl PiZip {
    /// Writes `3.` and the digits of `value` as they are computed. Does not sync the file: staging does.
    pub fn write(self, series: Series, value: PiValue, stop: StopCheck<'_>) -> Result<(), WriteError> {
        let mut zip = ZipWriter::new(self.scratch.create(&self.file)?);
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(COMPRESSION_LEVEL))
            .large_file(u64::from(series.digits()) >= ZIP64_SIZE);
        zip.start_file(self.name, options).map_err(io::Error::from)?;
        value.write(series, &mut zip, stop)?;
        zip.finish().map_err(io::Error::from)?;
        Ok(())
    }
}
