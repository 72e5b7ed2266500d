//! Opens an upload, or a file in the import folder and nowhere else.

use std::fs::File;
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::super::spec::{FileIdentity, FileSource};
use super::growing::GrowingFile;
use super::ranged_blob;
use crate::files::BlobName;
use crate::runner::{BadInput, Context, Failure};

/// Returns the path of a file in `folder`, by the name that a client gave.
///
/// # Errors
/// Absolute names, names with `..`, links that lead out of the folder, and files that do not exist.
pub fn below(folder: Option<&Path>, name: &str) -> Result<PathBuf, BadInput> {
    let refuse = |problem: &str| BadInput::new("source.path", format!("{name:?} {problem}."));
    let folder = folder.ok_or_else(|| refuse("cannot be read: this server has no import folder (PAUSA_IMPORT_DIR)"))?;
    let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    if name.is_empty() || !plain {
        return Err(refuse("must be a relative path in the import folder, without \"..\""));
    }
    let path = folder.join(name).canonicalize().map_err(|_| refuse("is not in the import folder"))?;
    let root = folder.canonicalize().map_err(|_| refuse("cannot be read: the import folder does not exist"))?;
    if !path.starts_with(&root) {
        return Err(refuse("leads out of the import folder"));
    }
    if !path.is_file() {
        return Err(refuse("is not a file"));
    }
    Ok(path)
}

/// Opens the file and returns its identity.
pub async fn open(
    context: &Context,
    source: &FileSource,
    folder: Option<PathBuf>,
) -> Result<(GrowingFile, FileIdentity), Failure> {
    match source {
        FileSource::Upload(id) => {
            let name = BlobName::Upload(id.clone());
            if !context.files().is_one_folder() {
                return ranged_blob::open(context.files().blobs.as_ref(), &name).await.map_err(lost);
            }
            let file = context.files().blobs.open_file(&name, &context.scratch()).await.map_err(lost)?;
            context.blocking(move || identify(file)).await?
        }
        FileSource::Path(name) => {
            let name = name.clone();
            let path = move || below(folder.as_deref(), &name).map_err(|error| Failure::input(error.message));
            context.blocking(move || identify(File::open(path()?).map_err(lost)?)).await?
        }
        FileSource::Url(_) => Err(Failure::internal("A URL is not a local file.")),
    }
}

fn lost(error: std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            Failure::input("The file no longer exists. Upload it again and start a new import.")
        }
        _ => Failure::io("the file", &error),
    }
}

fn identify(file: File) -> Result<(GrowingFile, FileIdentity), Failure> {
    let known = file.metadata().map_err(lost)?;
    let modified = known.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let modified = modified.and_then(|age| i64::try_from(age.as_micros()).ok()).unwrap_or(0);
    let identity = FileIdentity { size: known.len(), modified, version: None };
    Ok((GrowingFile::complete(file).map_err(lost)?, identity))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_in_the_folder_are_found() {
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
