//! The digits as a text in a zip.

use std::fs::File;
use std::io;
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::digits::{self, Pi, WriteError};
use super::name;
use crate::runner::{Failure, Stop};
use crate::task::TaskId;

/// Digits hardly compress: more effort than the least gains nothing.
const LEVEL: i64 = 1;

/// Past this many bytes a zip needs its 64-bit form; a little less, as it has a head.
const LARGE: u64 = u32::MAX as u64 - (1 << 20);

/// Writes `3.` and the digits of `value` into a zip at `path`, on disk for good.
pub fn write(path: &Path, id: TaskId, value: Pi, stop: digits::Stop<'_>) -> Result<(), Stop> {
    zipped(path, id, value, stop).map_err(|error| match error {
        WriteError::Stopped => Stop::Interrupted,
        WriteError::Io(error) => Failure::io("the zip file", &error).into(),
    })
}

fn zipped(path: &Path, id: TaskId, value: Pi, stop: digits::Stop<'_>) -> Result<(), WriteError> {
    let mut zip = ZipWriter::new(File::create(path)?);
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(LEVEL))
        .large_file(u64::from(value.digits()) >= LARGE);
    zip.start_file(format!("{}.txt", name(id)), options).map_err(io::Error::from)?;
    value.write(&mut zip, stop)?;
    zip.finish().map_err(io::Error::from)?.sync_all()?;
    Ok(())
}
