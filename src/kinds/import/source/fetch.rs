//! A file that is fetched from a URL into the task's folder, and taken up again where it broke off.
//!
//! By RFC 9110: the rest is asked for by Range, and If-Range with the strong ETag or the Last-Modified of what is there,
//! so that only the same version is gone on with. From a server that gives no such name or no parts, the file comes again
//! from its beginning, and what is there must be the same byte for byte.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::super::Import;
use super::super::spec::{Cursor, Identity};
use super::input::Input;
use super::reply::{self, Start};
use super::spool::{self, BATCH, Spool};
use crate::runner::{Context, Failure, Stop};
use outbound::{CheckedUrl, Outbound, Reply, RequestError};

/// Tries in a row without a new byte, and the wait before the second one; it doubles with each.
const TRIES: u32 = 6;
const BACKOFF: Duration = Duration::from_millis(250);

/// The longest wait that a server may ask for.
const LONGEST: Duration = Duration::from_secs(30);

/// How long bytes may wait for others before they go to disk.
const GATHER: Duration = Duration::from_millis(50);

/// Where it is kept which version is fetched.
const VERSION: &str = "version";

/// A file on its way here.
pub struct Fetch {
    outbound: Outbound,
    address: CheckedUrl,
    identity: Identity,
    spool: Spool,
    start: Option<Start>,
    limit: u64,
}

/// Why a transfer ended before the file did.
pub enum Broken {
    /// Another try may go well, after so long where the server said so.
    Again(String, Option<Duration>),
    /// No try would.
    Failed(Failure),
}

impl Fetch {
    /// Goes on with what an earlier run fetched, or begins. None of the last where the whole file is here.
    ///
    /// # Errors
    /// What may not be asked or is not there; a server that is away for too long.
    pub async fn open(
        import: &Import,
        context: &Context,
        url: &str,
        begun: Option<&Cursor>,
    ) -> Result<(Input, Identity, Option<Fetch>), Stop> {
        let outbound = import.outbound.clone();
        let address = outbound.check_url(url).map_err(|refused| Failure::input(refused.to_string()))?;
        let (folder, limit) = (context.work().await?, import.limit);
        let known = match begun {
            Some(cursor) => Some(cursor.file.clone()),
            None => stored(context, &folder).await?,
        };
        if let Some(identity) = known {
            let spool = open(context, &folder, &identity, limit).await?;
            let whole = spool.input().size().is_some();
            let mut fetch = Fetch { outbound, address, identity, spool, start: None, limit };
            if begun.is_none() && !whole {
                fetch = fetch.begin(context, &folder).await?;
            }
            return Ok((fetch.spool.input().clone(), fetch.identity.clone(), (!whole).then_some(fetch)));
        }
        let identity = Identity { size: 0, modified: 0, version: None };
        let spool = open(context, &folder, &identity, limit).await?;
        let fetch = Fetch { outbound, address, identity, spool, start: None, limit };
        let fetch = fetch.begin(context, &folder).await?;
        Ok((fetch.spool.input().clone(), fetch.identity.clone(), Some(fetch)))
    }

    /// Asks before a row is read: a version of which no row is used yet may give way to a newer one.
    async fn begin(mut self, context: &Context, folder: &Path) -> Result<Fetch, Stop> {
        let mut tries = 0;
        let start = loop {
            let asked = tokio::select! {
                biased;
                stop = context.stopped() => return Err(stop),
                asked = self.ask() => asked,
            };
            match asked {
                Ok(start) => break start,
                Err(broken) => wait(context, broken, &mut tries).await?,
            }
        };
        if self.spool.synced() == 0 || !start.proves(&self.identity, self.spool.synced()) {
            self.identity = start.identity();
            let (folder, identity, limit) = (folder.to_owned(), self.identity.clone(), self.limit);
            self.spool = context.blocking(move || anew(&folder, &identity, limit)).await??;
        }
        self.start = Some(start);
        Ok(self)
    }

    /// Fills the file. What goes wrong, its readers are told.
    pub async fn run(mut self, context: &Context) {
        let input = self.spool.input().clone();
        let mut tries = 0;
        loop {
            let before = self.spool.synced();
            let broken = match self.transfer(context).await {
                Ok(None) => return,
                Ok(Some((fetch, broken))) => {
                    self = fetch;
                    broken
                }
                Err(failure) => return input.fail(failure),
            };
            if self.spool.synced() > before {
                tries = 0;
            }
            match wait(context, broken, &mut tries).await {
                Ok(()) => {}
                Err(Stop::Failed(failure)) => return input.fail(failure),
                // The run hears of it by itself.
                Err(_) => return,
            }
        }
    }

    /// Fetches until the file is whole (none), or broke off.
    async fn transfer(mut self, context: &Context) -> Result<Option<(Fetch, Broken)>, Failure> {
        let asked = match self.start.take() {
            Some(start) => Ok(start),
            None => self.ask().await,
        };
        let start = match asked {
            Ok(start) => start,
            Err(broken) => return Ok(Some((self, broken))),
        };
        let known = start.proves(&self.identity, self.spool.synced());
        let Start::Body { mut reply, from, size, .. } = start else {
            let mut spool = self.spool;
            return context.blocking(move || spool.finish()).await?.map(|()| None);
        };
        self.spool.go_on_at(from);
        let (mut batch, mut end) = gather(&mut reply).await;
        loop {
            let more = end.is_none();
            let mut spool = self.spool;
            let write = context.blocking(move || write(&mut spool, &batch, known, size, !more).map(|()| spool));
            let gathered = async { if more { gather(&mut reply).await } else { (Vec::new(), None) } };
            let (written, next) = tokio::join!(write, gathered);
            self.spool = written??;
            match end {
                Some(Ok(())) => {
                    let mut spool = self.spool;
                    return context.blocking(move || spool.finish()).await?.map(|()| None);
                }
                Some(Err(failed)) => return Ok(Some((self, failed.into()))),
                None => (batch, end) = next,
            }
        }
    }

    async fn ask(&self) -> Result<Start, Broken> {
        let at = self.spool.synced();
        reply::ask(&self.outbound, &self.address, &self.identity, at, self.limit).await
    }
}

/// The next bytes of the body, as many as come soon; and how it ended, if it did.
async fn gather(reply: &mut Reply) -> (Vec<u8>, Option<Result<(), RequestError>>) {
    let mut batch = Vec::new();
    let mut due = None;
    while batch.len() < BATCH {
        let chunk = match due {
            None => reply.chunk().await,
            Some(due) => match timeout_at(due, reply.chunk()).await {
                Ok(chunk) => chunk,
                Err(_) => break,
            },
        };
        match chunk {
            Ok(Some(bytes)) => batch.extend_from_slice(&bytes),
            Ok(None) => return (batch, Some(Ok(()))),
            Err(failed) => return (batch, Some(Err(failed))),
        }
        due = due.or_else(|| Some(Instant::now() + GATHER));
    }
    (batch, None)
}

/// Bytes of a version that is `known` to be the same are; others must be where they are here already.
fn write(spool: &mut Spool, batch: &[u8], known: bool, size: Option<u64>, last: bool) -> Result<(), Failure> {
    if !known && spool.differs(batch)? {
        return Err(reply::changed());
    }
    spool.push(batch, size)?;
    // What came slowly is read at once, too.
    if last || batch.len() < BATCH { spool.flush(size) } else { Ok(()) }
}

/// Waits before another try, unless there were enough.
async fn wait(context: &Context, broken: Broken, tries: &mut u32) -> Result<(), Stop> {
    let (text, after) = match broken {
        Broken::Failed(failure) => return Err(failure.into()),
        Broken::Again(text, after) => (text, after),
    };
    *tries += 1;
    if *tries >= TRIES {
        return Err(Failure::unavailable(format!("the server of its URL: {text}")).into());
    }
    tracing::warn!(task = %context.id(), error = text, attempt = *tries, "download failed; retrying");
    let backoff = after.map_or(BACKOFF * 2u32.pow(*tries - 1), |after| after.min(LONGEST));
    tokio::select! {
        stop = context.stopped() => Err(stop),
        () = tokio::time::sleep(backoff) => Ok(()),
    }
}

async fn open(context: &Context, folder: &Path, identity: &Identity, limit: u64) -> Result<Spool, Failure> {
    let (folder, identity) = (folder.to_owned(), identity.clone());
    context.blocking(move || Spool::open(&folder, "source", &identity, limit)).await?
}

/// The version that an earlier run began to fetch.
async fn stored(context: &Context, folder: &Path) -> Result<Option<Identity>, Failure> {
    let path = folder.join(VERSION);
    context.blocking(move || serde_json::from_slice(&fs::read(path).ok()?).ok()).await
}

/// Begins with another version: what is here of others goes.
fn anew(folder: &Path, identity: &Identity, limit: u64) -> Result<Spool, Failure> {
    for path in copies(folder).map_err(|error| spool::lost(&error))? {
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(spool::lost(&error)),
            _ => {}
        }
    }
    spool::put(&folder.join(VERSION), identity).map_err(|error| spool::lost(&error))?;
    Spool::open(folder, "source", identity, limit)
}

fn copies(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("source-") || name.starts_with("plain-") {
            found.push(path);
        }
    }
    Ok(found)
}

impl From<RequestError> for Broken {
    fn from(failed: RequestError) -> Broken {
        match failed {
            RequestError::Url(refused) => Broken::Failed(Failure::input(refused.to_string())),
            RequestError::Connect(text) | RequestError::Broken(text) => Broken::Again(text, None),
        }
    }
}
