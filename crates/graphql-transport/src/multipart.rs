//! GraphQL multipart requests: `operations`, then `map`, then the files, each streamed into the
//! sink as it arrives.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_graphql::{Value, Variables};
use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream::BoxStream};
use multer::{Constraints, Field, Multipart, SizeLimit};

use super::{
    refusal::Refusal,
    request::{Incoming, Operation},
    settings::Settings,
    source::{DRAIN, Source, is_silent},
    uploads::{Held, UploadError},
};

/// Which variables each file is for, by the name of its part.
type FileMap = BTreeMap<String, Vec<String>>;

/// Reads a multipart request and stores its files. Where it is refused midway, the files stored
/// so far are released.
pub async fn read(body: Body, boundary: String, mut held: Held, settings: &Settings) -> Result<Incoming, Refusal> {
    let source = Source::new(body, settings.read_timeout);
    let limit = settings.max_json_bytes as u64;
    let sizes = SizeLimit::new().for_field("operations", limit).for_field("map", limit);
    let constraints = Constraints::new().size_limit(sizes);
    let unused = source.unused();
    let mut parts = Parts { parts: Multipart::with_constraints(source, boundary, constraints), unused };
    match read_parts(&mut parts, &mut held, settings).await {
        Ok(operation) => operation_with(operation, held).await,
        Err(refusal) => {
            held.release().await;
            parts.drain();
            Err(refusal)
        }
    }
}

async fn operation_with(operation: Operation, held: Held) -> Result<Incoming, Refusal> {
    match operation.into_request() {
        Ok(request) => Ok(Incoming { request, held }),
        Err(refusal) => {
            held.release().await;
            Err(refusal)
        }
    }
}

async fn read_parts(parts: &mut Parts, held: &mut Held, settings: &Settings) -> Result<Operation, Refusal> {
    let operations = parts.text("operations").await?;
    let mut operation = Operation::from_json(&operations)?;
    let map = parts.text("map").await?;
    let mut map = file_map(&map, &operation.variables, settings)?;
    while let Some(field) = parts.next().await? {
        let name = field.name().unwrap_or_default().to_owned();
        let Some(paths) = map.remove(&name) else {
            let text = format!("The part \"{name}\" is not in the map, or comes twice.");
            return Err(Refusal::bad_request(text));
        };
        let id = store(field, &parts.unused, held).await?;
        for path in &paths {
            if let Some(slot) = slot(&mut operation.variables, path) {
                *slot = Value::String(id.clone());
            }
        }
    }
    match map.keys().next() {
        None => Ok(operation),
        Some(name) => {
            Err(Refusal::bad_request(format!("The request ends without the file \"{name}\" that its map names.")))
        }
    }
}

/// Reads `map` and checks that each path leads to a variable that is null, and to one alone.
fn file_map(json: &[u8], variables: &Variables, settings: &Settings) -> Result<FileMap, Refusal> {
    let map: FileMap = serde_json::from_slice(json)
        .map_err(|error| Refusal::bad_request(format!("The map is not as expected: {error}.")))?;
    if map.len() > settings.max_files {
        let text = format!("At most {} files go into one request.", settings.max_files);
        return Err(Refusal::bad_request(text));
    }
    let mut variables = variables.clone();
    for path in map.values().flatten() {
        let free = slot(&mut variables, path).filter(|value| **value == Value::Null);
        let Some(value) = free else {
            let text = format!("The map's \"{path}\" is no variable that is null.");
            return Err(Refusal::bad_request(text));
        };
        *value = Value::Boolean(true);
    }
    Ok(map)
}

/// The place in the variables that a path such as `variables.files.0` leads to.
fn slot<'a>(variables: &'a mut Variables, path: &str) -> Option<&'a mut Value> {
    let mut steps = path.strip_prefix("variables.")?.split('.');
    let first = variables.get_mut(steps.next()?)?;
    steps.try_fold(first, |value, step| match value {
        Value::List(items) => items.get_mut(step.parse::<usize>().ok()?),
        Value::Object(fields) => fields.get_mut(step),
        _ => None,
    })
}

/// Streams one file into the sink and tells its id.
async fn store(field: Field<'static>, unused: &Arc<AtomicUsize>, held: &mut Held) -> Result<String, Refusal> {
    let file_name = field.file_name().map(str::to_owned);
    let broken = Arc::new(AtomicBool::new(false));
    let body = file_body(field, Arc::clone(unused), Arc::clone(&broken));
    let id = held.sink().store(file_name, body).await.map_err(unstored)?;
    held.push(id.clone());
    if broken.load(Ordering::Relaxed) {
        return Err(unstored(UploadError::CutOff));
    }
    Ok(id)
}

/// A file's bytes; `broken` is set where they end before the file does.
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

/// The parts of a request, in their order.
struct Parts {
    parts: Multipart<'static>,
    unused: Arc<AtomicUsize>,
}

impl Parts {
    async fn next(&mut self) -> Result<Option<Field<'static>>, Refusal> {
        let field = self.parts.next_field().await.map_err(unread)?;
        self.unused.store(0, Ordering::Relaxed);
        Ok(field)
    }

    /// The text of the part that must come next.
    async fn text(&mut self, name: &str) -> Result<Bytes, Refusal> {
        match self.next().await? {
            Some(field) if field.name() == Some(name) => field.bytes().await.map_err(unread),
            _ => Err(Refusal::bad_request(format!(
                "The part \"{name}\" is missing: `operations` comes first, `map` second, then the files."
            ))),
        }
    }

    /// Reads on for a short while, so that a client that is still sending sees the answer.
    fn drain(mut self) {
        tokio::spawn(async move {
            let rest = async {
                while let Ok(Some(mut field)) = self.next().await {
                    while let Ok(Some(_)) = field.chunk().await {
                        self.unused.store(0, Ordering::Relaxed);
                    }
                }
            };
            let _ = tokio::time::timeout(DRAIN, rest).await;
        });
    }
}

fn unread(error: multer::Error) -> Refusal {
    match error {
        multer::Error::FieldSizeExceeded { limit, .. } => {
            Refusal::too_large(format!("The part is larger than {limit} bytes."))
        }
        error if is_silent(&error) => Refusal::timeout("No byte of the request came for too long."),
        error => Refusal::bad_request(format!("The parts of the request cannot be read: {error}.")),
    }
}
