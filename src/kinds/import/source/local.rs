//! Finding the file: an upload, or one below the import folder and nowhere else.

use std::fs::File;
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::super::spec::{Identity, Source};
use super::input::Input;
use crate::files::Files;
use crate::runner::{BadInput, Failure};

/// The path of a file below `folder`, by the name that a client gave.
///
/// # Errors
/// Names that are absolute, that climb with `..`, or that lead out of the folder by a link; files that are not there.
pub fn below(folder: Option<&Path>, name: &str) -> Result<PathBuf, BadInput> {
    let refuse = |problem: &str| BadInput::new("source.path", format!("{name:?} {problem}"));
    let folder = folder.ok_or_else(|| refuse("cannot be read: this server has no import folder (PAUSA_IMPORT_DIR)"))?;
    let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    if name.is_empty() || !plain {
        return Err(refuse("must be a path below the import folder, without .. and not absolute"));
    }
    let path = folder.join(name).canonicalize().map_err(|_| refuse("is not in the import folder"))?;
    let root = folder.canonicalize().map_err(|_| refuse("cannot be read: the import folder is not there"))?;
    if !path.starts_with(&root) {
        return Err(refuse("leads out of the import folder"));
    }
    if !path.is_file() {
        return Err(refuse("is no file"));
    }
    Ok(path)
}

/// Opens the file and tells which one it is.
pub fn open(source: &Source, files: &Files, folder: Option<&Path>) -> Result<(Input, Identity), Failure> {
    let path = match source {
        Source::Upload(id) => files.upload(id),
        Source::Url(_) => return Err(Failure::internal("a URL is no file of this machine")),
        Source::Path(name) => below(folder, name).map_err(|error| Failure::input(error.message))?,
    };
    let lost = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::input("its file is gone: upload it again and start a new import"),
        _ => Failure::io("its file", &error),
    };
    let file = File::open(&path).map_err(lost)?;
    let known = file.metadata().map_err(lost)?;
    let modified = known.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let modified = modified.and_then(|age| i64::try_from(age.as_micros()).ok()).unwrap_or(0);
    let identity = Identity { size: known.len(), modified, version: None };
    Ok((Input::whole(file).map_err(lost)?, identity))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_below_the_folder_are_found() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("in");
        std::fs::create_dir_all(folder.join("deep")).unwrap();
        std::fs::write(root.path().join("secret.csv"), "a\n").unwrap();
        std::fs::write(folder.join("deep/ok.csv"), "a\n").unwrap();
        std::os::unix::fs::symlink(root.path().join("secret.csv"), folder.join("link.csv")).unwrap();

        assert!(below(Some(&folder), "deep/ok.csv").is_ok());
        for name in ["", "../secret.csv", "deep/../../secret.csv", "/etc/passwd", "link.csv", "deep", "none.csv"] {
            let error = below(Some(&folder), name).unwrap_err();
            assert_eq!(error.field, "source.path", "{name}");
        }
        assert!(below(None, "deep/ok.csv").unwrap_err().message.contains("PAUSA_IMPORT_DIR"));
    }
}
