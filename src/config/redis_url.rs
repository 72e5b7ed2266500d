//! The URL of Redis or Valkey: one server, the master that Sentinel names, or a Cluster.

use std::fmt;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;

/// Forms of the URL.
pub(super) const FORMS: &str = "redis://USER:PASSWORD@HOST:PORT/DATABASE, redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/MASTER/DATABASE \
     or redis+cluster://USER:PASSWORD@HOST:PORT,HOST:PORT, or rediss… for TLS";

/// Address and credentials of Redis. Passwords are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    /// Role of the servers at the addresses.
    pub topology: Topology,
    /// Host and port of each server, at least one.
    pub addresses: Vec<(String, u16)>,
    /// User and password at Redis.
    pub login: Login,
    /// Number of the database.
    pub database: u16,
    /// Settings of TLS. None: connections are not encrypted.
    pub tls: Option<TlsFiles>,
}

/// Role of the servers at the addresses of a [`RedisUrl`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// The server itself.
    Single,
    /// Sentinels that know the address of the master.
    Sentinel {
        /// Name of the master.
        master: String,
        /// User and password at the sentinels.
        login: Login,
    },
    /// Some nodes of a Cluster.
    Cluster,
}

/// A user and a password. None: the server's default user, or no password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// Name of the user.
    pub user: Option<String>,
    /// Password.
    pub password: Option<String>,
}

/// PEM files of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Root certificates that are trusted. None: those of the system.
    pub root: Option<PathBuf>,
    /// Certificate and key of this client.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl RedisUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// Expected value.
    pub fn parse(text: &str) -> Result<RedisUrl, String> {
        let Some((scheme, rest)) = text.split_once("://") else { return Err(FORMS.to_owned()) };
        if rest.contains('#') {
            return Err(format!("{FORMS}; without \"#\", which is %23 in a password"));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (protocol, form) = scheme.split_once('+').unwrap_or((scheme, ""));
        let mut parameters = Parameters::parse(query)?;
        let (topology, database, port) = match form {
            "" if !scheme.contains('+') => (Topology::Single, path, 6379),
            "cluster" => (Topology::Cluster, path, 6379),
            "sentinel" => {
                let (master, database) = path.split_once('/').unwrap_or((path, ""));
                let login =
                    Login { user: parameters.take("sentinel_user"), password: parameters.take("sentinel_password") };
                (Topology::Sentinel { master: named(master)?, login }, database, 26379)
            }
            _ => return Err(FORMS.to_owned()),
        };
        let tls = match protocol {
            "redis" => None,
            "rediss" => Some(parameters.tls()?),
            _ => return Err(FORMS.to_owned()),
        };
        parameters.end()?;
        let addresses: Option<Vec<_>> = hosts.split(',').map(|host| address(host, port)).collect();
        let addresses = addresses.ok_or(FORMS)?;
        if topology == Topology::Single && addresses.len() > 1 {
            return Err(
                "one HOST:PORT after redis://, or redis+sentinel://… or redis+cluster://… for several".to_owned()
            );
        }
        let database = if database.is_empty() { Some(0) } else { database.parse().ok() };
        match database {
            Some(database) if database == 0 || topology != Topology::Cluster => {
                Ok(RedisUrl { topology, addresses, login: Login::parse(login)?, database, tls })
            }
            Some(_) => Err("no database after the addresses: a Cluster has only database 0".to_owned()),
            None => Err("the number of a database at the end".to_owned()),
        }
    }
}

/// Returns the name of a master.
fn named(master: &str) -> Result<String, String> {
    let expected = "the name of the master after the addresses: redis+sentinel://HOST:PORT/MASTER";
    decoded(master).filter(|name| !name.is_empty()).ok_or_else(|| expected.to_owned())
}

fn decoded(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(|text| text.into_owned())
}

/// Reads `HOST` or `HOST:PORT`. An IPv6 address is in brackets.
fn address(text: &str, default: u16) -> Option<(String, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (text, default),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let known = bare.map_or_else(|| !host.is_empty() && !host.contains([':', '[', ']', ' ']), |ip| ip.contains(':'));
    (known && port > 0).then(|| (bare.unwrap_or(host).to_owned(), port))
}

impl Login {
    fn parse(text: &str) -> Result<Login, String> {
        let (user, password) = text.split_once(':').map_or((text, None), |(user, password)| (user, Some(password)));
        let read =
            |text: &str| decoded(text).ok_or_else(|| "a user and a password that are percent-encoded UTF-8".to_owned());
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        Ok(Login { user: some(read(user)?), password: password.map(read).transpose()?.and_then(some) })
    }
}

/// Parameters after the question mark.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn parse(query: &str) -> Result<Parameters, String> {
        let mut read = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(value).filter(|value| !value.is_empty());
            read.push((name.to_owned(), value.ok_or_else(|| format!("a value for the parameter {name}"))?));
        }
        Ok(Parameters(read))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(at).1)
    }

    fn tls(&mut self) -> Result<TlsFiles, String> {
        let root = self.take("sslrootcert").map(PathBuf::from);
        match (self.take("sslcert"), self.take("sslkey")) {
            (Some(certificate), Some(key)) => Ok(TlsFiles { root, client: Some((certificate.into(), key.into())) }),
            (None, None) => Ok(TlsFiles { root, client: None }),
            _ => Err("both sslcert and sslkey, or neither".to_owned()),
        }
    }

    /// Refuses parameters that no field used.
    fn end(self) -> Result<(), String> {
        let Some((name, _)) = self.0.first() else { return Ok(()) };
        Err(match name.as_str() {
            "sslrootcert" | "sslcert" | "sslkey" => format!("rediss… for TLS, or no parameter {name}"),
            "sentinel_user" | "sentinel_password" => format!("redis+sentinel://…, or no parameter {name}"),
            _ => format!(
                "no parameter {name}: those of TLS are sslrootcert, sslcert and sslkey, \
                 those of Sentinel sentinel_user and sentinel_password"
            ),
        })
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (host, port)) in self.addresses.iter().enumerate() {
            let comma = if n > 0 { "," } else { "" };
            let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
            write!(f, "{comma}{open}{host}{close}:{port}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redis at {self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn single(host: &str, port: u16) -> RedisUrl {
        RedisUrl {
            topology: Topology::Single,
            addresses: vec![(host.to_owned(), port)],
            login: Login::default(),
            database: 0,
            tls: None,
        }
    }

    fn login(user: &str, password: &str) -> Login {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Login { user: some(user), password: some(password) }
    }

    #[test]
    fn a_server_a_sentinel_and_a_cluster_are_read() {
        for (text, expected) in [
            ("redis://db", single("db", 6379)),
            ("redis://db:7000/3", RedisUrl { database: 3, ..single("db", 7000) }),
            ("redis://[::1]:7000/", single("::1", 7000)),
            ("redis://:p%40s%2Fs@db", RedisUrl { login: login("", "p@s/s"), ..single("db", 6379) }),
            ("redis://me:secret@db/0", RedisUrl { login: login("me", "secret"), ..single("db", 6379) }),
            ("rediss://db", RedisUrl { tls: Some(TlsFiles::default()), ..single("db", 6379) }),
            (
                "rediss://db?sslrootcert=/a%20b.pem&sslcert=c.pem&sslkey=c.key",
                RedisUrl {
                    tls: Some(TlsFiles {
                        root: Some("/a b.pem".into()),
                        client: Some(("c.pem".into(), "c.key".into())),
                    }),
                    ..single("db", 6379)
                },
            ),
            (
                "redis+sentinel://:p@a,[::2]:7/main/1?sentinel_user=u&sentinel_password=s",
                RedisUrl {
                    topology: Topology::Sentinel { master: "main".to_owned(), login: login("u", "s") },
                    addresses: vec![("a".to_owned(), 26379), ("::2".to_owned(), 7)],
                    login: login("", "p"),
                    database: 1,
                    tls: None,
                },
            ),
            (
                "rediss+cluster://a:1,b:2",
                RedisUrl {
                    topology: Topology::Cluster,
                    addresses: vec![("a".to_owned(), 1), ("b".to_owned(), 2)],
                    tls: Some(TlsFiles::default()),
                    ..single("", 0)
                },
            ),
        ] {
            assert_eq!(RedisUrl::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_what_to_write() {
        for (text, expected) in [
            ("db:6379", "redis://USER"),
            ("http://db", "redis://USER"),
            ("redis+://db", "redis://USER"),
            ("redis+replica://db", "redis://USER"),
            ("redis://", "redis://USER"),
            ("redis://db:port", "redis://USER"),
            ("redis://::1", "redis://USER"),
            ("redis://db:0", "redis://USER"),
            ("redis://db/x", "the number of a database"),
            ("redis://db#insecure", "without \"#\""),
            ("redis://a,b", "redis+sentinel://"),
            ("redis://%ff@db", "percent-encoded"),
            ("redis+sentinel://a:1", "the name of the master"),
            ("redis+cluster://a/1", "only database 0"),
            ("redis://db?sslrootcert=a", "rediss"),
            ("redis://db?sentinel_user=a", "redis+sentinel"),
            ("rediss://db?sslcert=a", "both sslcert and sslkey"),
            ("rediss://db?sslrootcert=", "a value for the parameter sslrootcert"),
            ("rediss://db?sslmode=require", "no parameter sslmode"),
        ] {
            let error = RedisUrl::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn passwords_are_never_shown() {
        let url = RedisUrl::parse("redis+sentinel://me:hunter2@a,[::2]:7/main?sentinel_password=hunter3").unwrap();
        assert_eq!(format!("{url:?} {url} {:?}", url.login), "Redis at a:26379,[::2]:7 a:26379,[::2]:7 …");
    }
}
