//! GraphQL multipart requests: `operations`, then `map`, then the files. Each file is streamed into the sink as it arrives.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_graphql::{Value, Variables};
use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream::BoxStream};
use multer::{Constraints, Field, Multipart, SizeLimit};

use super::{
    persisted::Texts,
    refusal::Refusal,
    request::{Incoming, Operation},
    settings::Settings,
    source::{MultipartSource, is_silent},
    uploads::{RequestUploads, UploadError},
};

/// The variables of each file, by the name of its part.
type FileMap = BTreeMap<String, Vec<String>>;

/// Reads a multipart request and stores its files. If it is refused midway, releases the files stored so far.
pub async fn read_multipart(
    body: Body,
    boundary: String,
    mut uploads: RequestUploads,
    settings: &Settings,
    texts: &Texts,
) -> Result<Incoming, Refusal> {
    let source = MultipartSource::new(body, settings);
    let limit = settings.max_json_bytes as u64;
    let sizes = SizeLimit::new().for_field("operations", limit).for_field("map", limit);
    let constraints = Constraints::new().size_limit(sizes);
    let unused = source.unused();
    let mut parts = RequestParts { parts: Multipart::with_constraints(source, boundary, constraints), unused };
    match read_parts(&mut parts, &mut uploads, settings).await {
        Ok(operation) => operation_with(operation, uploads, texts).await,
        Err(refusal) => {
            uploads.release().await;
            parts.drain(settings.drain_timeout);
            Err(refusal)
        }
    }
}

async fn operation_with(operation: Operation, uploads: RequestUploads, texts: &Texts) -> Result<Incoming, Refusal> {
    match operation.into_request(texts) {
        Ok(request) => Ok(Incoming { request, uploads }),
        Err(refusal) => {
            uploads.release().await;
            Err(refusal)
        }
    }
}

async fn read_parts(
    parts: &mut RequestParts,
    uploads: &mut RequestUploads,
    settings: &Settings,
) -> Result<Operation, Refusal> {
    let operations = parts.text("operations").await?;
    let mut operation = Operation::from_json(&operations)?;
    let map = parts.text("map").await?;
    let mut map = file_map(&map, &operation.variables, settings)?;
    while let Some(field) = parts.next().await? {
        let name = field.name().unwrap_or_default().to_owned();
        let Some(paths) = map.remove(&name) else {
            let text = format!("The part \"{name}\" is not in the map, or occurs twice.");
            return Err(Refusal::bad_request(text));
        };
        let id = store(field, &parts.unused, uploads).await?;
        for path in &paths {
            if let Some(slot) = slot(&mut operation.variables, path) {
                *slot = Value::String(id.clone());
            }
        }
    }
    match map.keys().next() {
        None => Ok(operation),
        Some(name) => Err(Refusal::bad_request(format!("The file \"{name}\" of the map is missing."))),
    }
}

/// Reads `map` and checks that each path leads to a variable of its own that is null.
fn file_map(json: &[u8], variables: &Variables, settings: &Settings) -> Result<FileMap, Refusal> {
    let map: FileMap =
        serde_json::from_slice(json).map_err(|error| Refusal::bad_request(format!("Invalid map: {error}.")))?;
    if map.len() > settings.max_files {
        let text = format!("A request may contain at most {} files.", settings.max_files);
        return Err(Refusal::bad_request(text));
    }
    let mut variables = variables.clone();
    for path in map.values().flatten() {
        let free = slot(&mut variables, path).filter(|value| **value == Value::Null);
        let Some(value) = free else {
            let text = format!("The path \"{path}\" of the map does not lead to a variable that is null.");
            return Err(Refusal::bad_request(text));
        };
        *value = Value::Boolean(true);
    }
    Ok(map)
}

/// Returns the variable at a path such as `variables.files.0`.
fn slot<'a>(variables: &'a mut Variables, path: &str) -> Option<&'a mut Value> {
    let mut steps = path.strip_prefix("variables.")?.split('.');
    let first = variables.get_mut(steps.next()?)?;
    steps.try_fold(first, |value, step| match value {
        Value::List(items) => items.get_mut(step.parse::<usize>().ok()?),
        Value::Object(fields) => fields.get_mut(step),
        _ => None,
    })
}

/// Streams one file into the sink. Returns its ID.
async fn store(
    field: Field<'static>,
    unused: &Arc<AtomicUsize>,
    uploads: &mut RequestUploads,
) -> Result<String, Refusal> {
    let file_name = field.file_name().map(str::to_owned);
    let broken = Arc::new(AtomicBool::new(false));
    let body = file_body(field, Arc::clone(unused), Arc::clone(&broken));
    let id = uploads.sink().store(file_name, body).await.map_err(unstored)?;
    uploads.push(id.clone());
    if broken.load(Ordering::Relaxed) {
        return Err(unstored(UploadError::CutOff));
    }
    Ok(id)
}

/// Returns the bytes of a file. Sets `broken` if they end before the file does.
fn file_body(
    field: Field<'static>,
    unused: Arc<AtomicUsize>,
    broken: Arc<AtomicBool>,
) -> BoxStream<'static, io::Result<Bytes>> {
    field
        .map(move |chunk| {
            unused.store(0, Ordering::Relaxed);
            chunk.map_err(|error| {
                broken.store(true, Ordering::Relaxed);
                io::Error::new(io::ErrorKind::UnexpectedEof, error)
            })
        })
        .boxed()
}

fn unstored(error: UploadError) -> Refusal {
    match error {
        UploadError::TooLarge { .. } => Refusal::too_large(error.to_string()),
        UploadError::CutOff | UploadError::Name(_) => Refusal::bad_request(error.to_string()),
        UploadError::Silent => Refusal::timeout(error.to_string()),
        UploadError::Failed(cause) => Refusal::internal(&format!("upload: {cause}")),
    }
}

/// The parts of a request, in order.
struct RequestParts {
    parts: Multipart<'static>,
    unused: Arc<AtomicUsize>,
}

impl RequestParts {
    async fn next(&mut self) -> Result<Option<Field<'static>>, Refusal> {
        let field = self.parts.next_field().await.map_err(unread)?;
        self.unused.store(0, Ordering::Relaxed);
        Ok(field)
    }

    /// Returns the text of the next part, which must have this name.
    async fn text(&mut self, name: &str) -> Result<Bytes, Refusal> {
        match self.next().await? {
            Some(field) if field.name() == Some(name) => field.bytes().await.map_err(unread),
            _ => Err(Refusal::bad_request(format!(
                "The part \"{name}\" is missing: `operations` comes first, `map` second, then the files."
            ))),
        }
    }

    /// Reads on for at most `limit`, so that a client that is still sending sees the response.
    fn drain(mut self, limit: Duration) {
        tokio::spawn(async move {
            let rest = async {
                while let Ok(Some(mut field)) = self.next().await {
                    while let Ok(Some(_)) = field.chunk().await {
                        self.unused.store(0, Ordering::Relaxed);
                    }
                }
            };
            let _ = tokio::time::timeout(limit, rest).await;
        });
    }
}

fn unread(error: multer::Error) -> Refusal {
    match error {
        multer::Error::FieldSizeExceeded { limit, .. } => {
            Refusal::too_large(format!("The part exceeds {limit} bytes."))
        }
        error if is_silent(&error) => Refusal::timeout("Timed out waiting for data of the request."),
        error => Refusal::bad_request(format!("Invalid multipart request: {error}.")),
    }
}
