//! A TCP proxy in front of a server. It passes bytes, delays or stalls them, drops them without a reset, or cuts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

/// Bytes that are read at once.
const PIECE: usize = 16 << 10;

/// Treatment of bytes by the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Passes them at once.
    Pass,
    /// Passes each piece after a delay.
    Delay(Duration),
    /// Keeps them until another mode is set, as a server does that is frozen.
    Stall,
    /// Loses them, and every later byte of these connections, as a network does that forgot them: neither side learns
    /// that the other one closed. Connections that are made later work again once another mode is set.
    Drop,
}

/// The server behind a proxy.
#[derive(Clone)]
pub enum Upstream {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A proxy on a port of its own. Dropping it closes all connections.
pub struct Proxy {
    address: SocketAddr,
    upstream: Upstream,
    traffic: watch::Sender<(Traffic, usize)>,
    made: watch::Sender<usize>,
    accepting: Option<AbortHandle>,
}

impl Proxy {
    /// Starts a proxy that passes bytes.
    pub async fn start(upstream: Upstream) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (traffic, made) = (watch::Sender::new((Traffic::Pass, 0)), watch::Sender::new(0));
        let mut proxy = Proxy { address, upstream, traffic, made, accepting: None };
        proxy.accept(listener);
        proxy
    }

    /// Returns its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the number of connections that clients have made so far.
    pub fn made(&self) -> usize {
        *self.made.borrow()
    }

    /// Waits until clients have made more connections than `known`.
    pub async fn until_made_more_than(&self, known: usize) {
        let mut made = self.made.subscribe();
        let more = tokio::time::timeout(super::server::PATIENCE, made.wait_for(|made| *made > known)).await;
        more.expect("no new connection").unwrap();
    }

    /// Sets what happens to bytes from now on.
    pub fn set(&self, traffic: Traffic) {
        self.traffic.send_modify(|(now, drops)| {
            *drops += usize::from(traffic == Traffic::Drop);
            *now = traffic;
        });
    }

    /// Closes all connections and refuses new ones, as a server does that is not running.
    pub fn cut(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
        }
    }

    /// Accepts connections again, after [`Proxy::cut`].
    pub async fn listen(&mut self) {
        let bound = async {
            loop {
                // The port is free once the aborted task has dropped its listener.
                let socket = TcpSocket::new_v4().unwrap();
                socket.set_reuseaddr(true).unwrap();
                match socket.bind(self.address) {
                    Ok(()) => return socket.listen(1024).unwrap(),
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        let listener = tokio::time::timeout(super::server::PATIENCE, bound).await.unwrap();
        self.accept(listener);
    }

    fn accept(&mut self, listener: TcpListener) {
        let (upstream, traffic, made) = (self.upstream.clone(), self.traffic.subscribe(), self.made.clone());
        let accepting = tokio::spawn(async move {
            // Dropping the set closes the connections.
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                made.send_modify(|made| *made += 1);
                connections.spawn(connect(client, upstream.clone(), traffic.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        self.accepting = Some(accepting.abort_handle());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
    }
}

async fn connect(client: TcpStream, upstream: Upstream, mut traffic: watch::Receiver<(Traffic, usize)>) {
    client.set_nodelay(true).unwrap();
    let (now, drops) = *traffic.borrow_and_update();
    let life = Life { traffic, drops: if now == Traffic::Drop { usize::MAX } else { drops } };
    match upstream {
        Upstream::Tcp(address) => {
            let Ok(server) = TcpStream::connect(address).await else { return };
            server.set_nodelay(true).unwrap();
            life.pass(client.into_split(), server.into_split()).await;
        }
        Upstream::Unix(path) => {
            let Ok(server) = UnixStream::connect(path).await else { return };
            life.pass(client.into_split(), server.into_split()).await;
        }
    }
}

/// A connection through the proxy.
#[derive(Clone)]
struct Life {
    traffic: watch::Receiver<(Traffic, usize)>,
    /// Number of times that bytes had been dropped when the connection was made.
    drops: usize,
}

impl Life {
    /// Passes bytes both ways until one side closes. If the connection is lost, keeps both sides open.
    async fn pass<R1, W1, R2, W2>(self, client: (R1, W1), server: (R2, W2))
    where
        R1: AsyncRead + Unpin,
        W1: AsyncWrite + Unpin,
        R2: AsyncRead + Unpin,
        W2: AsyncWrite + Unpin,
    {
        let (up, down) = (self.clone(), self.clone());
        tokio::select! {
            () = up.forward(client.0, server.1) => {}
            () = down.forward(server.0, client.1) => {}
        }
    }

    async fn forward(mut self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
        let mut piece = vec![0; PIECE];
        loop {
            let read = from.read(&mut piece).await.unwrap_or(0);
            if self.is_lost().await {
                if read == 0 {
                    std::future::pending::<()>().await;
                }
                continue;
            }
            if read == 0 || to.write_all(&piece[..read]).await.is_err() {
                return;
            }
        }
    }

    /// Waits as the mode says. Returns true if the bytes are lost.
    async fn is_lost(&mut self) -> bool {
        let (traffic, _) = *self.traffic.borrow();
        if let Traffic::Delay(delay) = traffic {
            tokio::time::sleep(delay).await;
        }
        let ready = self.traffic.wait_for(|(traffic, _)| *traffic != Traffic::Stall).await;
        ready.is_ok_and(|now| now.1 != self.drops)
    }
}

#[tokio::test]
async fn the_proxy_passes_stalls_drops_and_cuts() {
    let echo = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = Upstream::Tcp(echo.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = echo.accept().await {
            let (mut read, mut write) = stream.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut read, &mut write).await });
        }
    });
    let mut proxy = Proxy::start(upstream).await;
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(echoed(&mut client, b"one").await, b"one");
    proxy.set(Traffic::Delay(Duration::from_millis(1)));
    assert_eq!(echoed(&mut client, b"two").await, b"two");

    proxy.set(Traffic::Stall);
    client.write_all(b"later").await.unwrap();
    proxy.set(Traffic::Pass);
    let mut answer = [0; 5];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"later", "stalled bytes arrive");

    proxy.set(Traffic::Drop);
    proxy.set(Traffic::Pass);
    client.write_all(b"lost").await.unwrap();
    let mut fresh = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(echoed(&mut fresh, b"new").await, b"new", "new connections work");
    assert_eq!(client.try_read(&mut answer).unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "it stays half-open");

    proxy.cut();
    assert!(matches!(fresh.read(&mut answer).await, Ok(0) | Err(_)), "closed");
    proxy.listen().await;
    let mut again = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(echoed(&mut again, b"again").await, b"again");
    assert_eq!(proxy.made(), 3);
}

#[cfg(test)]
async fn echoed(stream: &mut TcpStream, bytes: &[u8]) -> Vec<u8> {
    stream.write_all(bytes).await.unwrap();
    let mut answer = vec![0; bytes.len()];
    stream.read_exact(&mut answer).await.unwrap();
    answer
}
