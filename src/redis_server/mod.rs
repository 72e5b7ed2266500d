//! Connections to Redis or Valkey: to one server, to the master that Sentinel names, or to a node of a Cluster.
//!
//! Redis is for promptness only. Its users continue without it.

mod buckets;
mod failure;
mod sentinel;
mod shared;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    RedisConnectionInfo, RedisError, TlsCertificates, Value, cmd,
};
use tokio::time::timeout;

pub use buckets::SharedBuckets;
pub use failure::RedisFailure;
pub use shared::SharedConnection;

use crate::config::{Login, RedisUrl, TlsFiles, Topology};

/// Maximum time to connect to a server, and to wait for an answer.
const LIMIT: Duration = Duration::from_secs(2);

/// Redis, as the settings say.
#[derive(Debug)]
pub struct RedisServer {
    url: RedisUrl,
    /// Number of times that a node has looked for the server. Connections of an earlier number are closed.
    generation: AtomicU64,
}

/// A server that was found, and a connection to it.
pub struct Connected {
    server: Arc<RedisServer>,
    client: Client,
    /// Sends commands. Clones share the connection.
    pub commands: MultiplexedConnection,
}

impl RedisServer {
    /// Checks the settings. Does not connect.
    ///
    /// # Errors
    /// If a file of the settings cannot be read or has no certificate or key.
    pub fn open(url: &RedisUrl) -> Result<RedisServer, RedisFailure> {
        let server = RedisServer { url: url.clone(), generation: AtomicU64::new(0) };
        let (host, port) = &url.addresses[0];
        server.client(host, *port, &url.login, url.database)?;
        Ok(server)
    }

    /// Looks for the server and connects.
    ///
    /// # Errors
    /// If no server answers, or none that may be used.
    pub async fn connect(self: &Arc<Self>) -> Result<Connected, RedisFailure> {
        match &self.url.topology {
            Topology::Single => {
                let (host, port) = &self.url.addresses[0];
                self.connect_to(host, *port).await
            }
            Topology::Sentinel { master, login } => self.connect_to_master(master, login).await,
            Topology::Cluster => self.connect_to_any().await,
        }
    }

    /// Connects to the server at that address.
    pub(super) async fn connect_to(self: &Arc<Self>, host: &str, port: u16) -> Result<Connected, RedisFailure> {
        let client = self.client(host, port, &self.url.login, self.url.database)?;
        let commands = commands(&client).await.map_err(|error| RedisFailure::connecting(&client, &error))?;
        Ok(Connected { server: Arc::clone(self), client, commands })
    }

    /// Connects to a node of the Cluster. Any will do: the nodes pass messages on to each other.
    async fn connect_to_any(self: &Arc<Self>) -> Result<Connected, RedisFailure> {
        let mut failures = Vec::new();
        for (host, port) in &self.url.addresses {
            match self.connect_to(host, *port).await {
                Ok(mut connected) => match connected.check().await {
                    Ok(()) => return Ok(connected),
                    Err(failure) => failures.push(failure),
                },
                Err(failure) => failures.push(failure),
            }
        }
        Err(RedisFailure::of_all("no node of the Redis Cluster may be used", &failures))
    }

    /// Makes shared connections look for the server again, if another one may have taken its place.
    pub fn replace_connections(&self) {
        if self.url.topology != Topology::Single {
            self.generation.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn client(&self, host: &str, port: u16, login: &Login, database: u16) -> Result<Client, RedisFailure> {
        let mut settings = RedisConnectionInfo::default().set_db(database.into());
        if let Some(user) = &login.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &login.password {
            settings = settings.set_password(password);
        }
        let refused = |error: RedisError| RedisFailure::new(format!("Redis at {host}:{port}: {error}"));
        let info = |addr: ConnectionAddr| {
            addr.into_connection_info().map(|info: ConnectionInfo| info.set_redis_settings(settings))
        };
        let Some(files) = &self.url.tls else {
            return info(ConnectionAddr::Tcp(host.to_owned(), port)).and_then(Client::open).map_err(refused);
        };
        let certificates = certificates(files)?;
        let encrypted = ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure: false, tls_params: None };
        info(encrypted).and_then(|info| Client::build_with_tls(info, certificates)).map_err(refused)
    }
}

impl Connected {
    /// Checks that this is still the server to use: the master that Sentinel names, or a node of a Cluster that works.
    ///
    /// # Errors
    /// If it is not.
    pub async fn check(&mut self) -> Result<(), RedisFailure> {
        match &self.server.url.topology {
            Topology::Single => Ok(()),
            Topology::Sentinel { master, login } => match timeout(LIMIT, self.server.master(master, login)).await {
                Ok(Ok((host, port))) if !self.is_at(&host, port) => {
                    Err(self.failed(&format!("the sentinels now name {host}:{port} as the master")))
                }
                // If no sentinel answers, the master is still the one that they named last.
                _ => Ok(()),
            },
            Topology::Cluster => match cmd("CLUSTER").arg("INFO").query_async::<String>(&mut self.commands).await {
                Ok(info) if info.contains("cluster_state:ok") => Ok(()),
                Ok(_) => Err(self.failed("this node has lost its Cluster: cluster_state is not ok")),
                Err(error) => Err(self.refused(&error)),
            },
        }
    }

    /// Subscribes to a channel, by a connection of its own.
    ///
    /// # Errors
    /// If the server refuses or does not answer.
    pub async fn subscribe(
        &self,
        channel: &str,
    ) -> Result<(redis::aio::PubSubSink, redis::aio::PubSubStream), RedisFailure> {
        // Not a connection that resubscribes without notice: it would hide what it missed.
        let subscribed = async {
            let (mut sink, stream) = self.client.get_async_pubsub().await?.split();
            sink.subscribe(channel).await?;
            Ok((sink, stream))
        };
        let subscribed: Result<_, RedisError> = timeout(LIMIT, subscribed).await.map_err(|_| self.silent())?;
        subscribed.map_err(|error| RedisFailure::at(&self.client, &error))
    }

    /// Returns the failure of this server, with its address.
    pub fn failed(&self, problem: &str) -> RedisFailure {
        RedisFailure::new(format!("Redis at {}: {problem}", self.client.get_connection_info().addr()))
    }

    /// Returns the failure of a command, with the address of this server.
    pub fn refused(&self, error: &RedisError) -> RedisFailure {
        RedisFailure::at(&self.client, error)
    }

    fn silent(&self) -> RedisFailure {
        self.failed(&format!("no answer within {LIMIT:?}"))
    }

    fn is_at(&self, host: &str, port: u16) -> bool {
        match self.client.get_connection_info().addr() {
            ConnectionAddr::Tcp(known, at) | ConnectionAddr::TcpTls { host: known, port: at, .. } => {
                known == host && *at == port
            }
            _ => false,
        }
    }

    /// Checks that the server takes writes: a replica would not pass messages on.
    async fn check_role(&mut self) -> Result<(), RedisFailure> {
        let role: Result<Vec<Value>, _> = cmd("ROLE").query_async(&mut self.commands).await;
        let role = role.map_err(|error| self.refused(&error))?;
        match role.first() {
            Some(Value::BulkString(name)) if name == b"master" => Ok(()),
            _ => Err(self.failed("the sentinels name it as the master, but its role is another one")),
        }
    }
}

/// Connects a client for commands.
async fn commands(client: &Client) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(LIMIT)).set_response_timeout(Some(LIMIT));
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// Reads the files of TLS: at each connection, as certificates are renewed.
fn certificates(files: &TlsFiles) -> Result<TlsCertificates, RedisFailure> {
    let root_cert = files.root.as_ref().map(|path| read_pem("sslrootcert", path, "CERTIFICATE")).transpose()?;
    let client_tls = match &files.client {
        Some((certificate, key)) => Some(ClientTlsConfig {
            client_cert: read_pem("sslcert", certificate, "CERTIFICATE")?,
            client_key: read_pem("sslkey", key, "PRIVATE KEY")?,
        }),
        None => None,
    };
    Ok(TlsCertificates { client_tls, root_cert })
}

/// Reads a file that contains `kind` in PEM.
fn read_pem(parameter: &str, path: &Path, kind: &str) -> Result<Vec<u8>, RedisFailure> {
    let failed = |problem: String| RedisFailure::new(format!("{parameter}={}: {problem}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    if !text.contains(&format!("{kind}-----")) {
        return Err(failed(format!("expected a PEM file with a {}", kind.to_lowercase())));
    }
    Ok(text.into_bytes())
}
