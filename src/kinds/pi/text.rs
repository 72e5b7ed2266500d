//! The digits as a text in a zip.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use pi_digits::{Pi, Series, Stop, WriteError};

/// Digits hardly compress: 0.415 of a byte each is the best there is. This is the first level that makes codes for what it
/// finds, and takes 0.477; more effort gains at most 0.008.
const LEVEL: i64 = 2;

/// Past this many bytes a zip needs its 64-bit form; a little less, as it has a head.
const LARGE: u64 = u32::MAX as u64 - (1 << 20);

/// A zip to be.
pub struct Zip {
    /// Where it is made.
    pub path: PathBuf,
    /// The name of the text in it.
    pub name: String,
}

impl Zip {
    /// Writes `3.` and the digits of `value` as they are computed. Sealing the file syncs it.
    pub fn write(self, series: Series, value: Pi, stop: Stop<'_>) -> Result<(), WriteError> {
        let mut zip = ZipWriter::new(File::create(self.path)?);
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(LEVEL))
            .large_file(u64::from(series.digits()) >= LARGE);
        zip.start_file(self.name, options).map_err(io::Error::from)?;
        value.write(series, &mut zip, stop)?;
        zip.finish().map_err(io::Error::from)?;
        Ok(())
    }
}
