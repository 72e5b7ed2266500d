//! Redis behind three sentinels. The nodes follow the master.

use std::fs;

use tempfile::TempDir;

use super::limits;
use crate::chaos::events::control_works;
use crate::chaos::two_nodes::TwoNodes;
use crate::harness::callers::{is_limited, until_refused};
use crate::harness::redis::Redis;
use crate::metrics;

const PASSWORD: [&str; 6] = ["--save", "", "--requirepass", "open-sesame", "--masterauth", "open-sesame"];

/// A master, its replica, and the sentinels that watch them.
struct Watched {
    master: Redis,
    replica: Redis,
    sentinels: Vec<Redis>,
    _files: TempDir,
}

impl Watched {
    async fn start() -> Watched {
        let master = Redis::with(&PASSWORD.map(str::to_owned)).await;
        let of_master = ["--replicaof".to_owned(), "127.0.0.1".to_owned(), master.port().to_string()];
        let replica = Redis::with(&[PASSWORD.map(str::to_owned).as_slice(), &of_master].concat()).await;
        let files = tempfile::tempdir().unwrap();
        let mut sentinels = Vec::new();
        for n in 0..3 {
            let file = files.path().join(format!("{n}.conf"));
            let monitored = format!(
                "sentinel monitor main 127.0.0.1 {} 2\nsentinel auth-pass main open-sesame\n\
                 sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 3000\n\
                 requirepass open-sesame\nsentinel sentinel-pass open-sesame\n",
                master.port()
            );
            fs::write(&file, monitored).unwrap();
            sentinels.push(Redis::with(&[file.display().to_string(), "--sentinel".to_owned()]).await);
        }
        let watched = Watched { master, replica, sentinels, _files: files };
        for sentinel in &watched.sentinels {
            sentinel.until("SENTINEL CKQUORUM main", "+OK 3 usable Sentinels").await;
            sentinel.until("SENTINEL REPLICAS main", "master-link-status\r\n$2\r\nok").await;
        }
        watched
    }

    /// Makes the replica a master, and the sentinels name it. As if they could not reach the old one while the nodes still do.
    async fn name_the_replica(&self) {
        for sentinel in &self.sentinels {
            sentinel.until("SENTINEL REMOVE main", "+OK").await;
        }
        assert_eq!(self.replica.command("REPLICAOF NO ONE").await, "+OK\r\n");
        for sentinel in &self.sentinels {
            let monitor = format!("SENTINEL MONITOR main 127.0.0.1 {} 2", self.replica.port());
            sentinel.until(&monitor, "+OK").await;
        }
    }

    fn url(&self) -> String {
        let sentinels: Vec<_> = self.sentinels.iter().map(Redis::address).collect();
        format!("redis+sentinel://:open-sesame@{}/main?sentinel_password=open-sesame", sentinels.join(","))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_follow_the_master_that_sentinel_names() {
    let mut watched = Watched::start().await;
    let url = watched.url();
    let mut two = TwoNodes::start(&[("PAUSA_REDIS_URL", &url), ("PAUSA_LEASE_SECONDS", "60")]).await;
    watched.master.until_heard_by(2).await;
    control_works(&mut two).await;

    // The master dies, and so does the sentinel that the nodes ask first.
    watched.sentinels[0].kill();
    watched.master.kill();
    control_works(&mut two).await;
    watched.replica.until_heard_by(2).await;
    control_works(&mut two).await;

    // It comes back as a replica, and becomes the master again while the other one is well.
    watched.master.restart().await;
    watched.sentinels[1].until("SENTINEL REPLICAS main", "master-link-status\r\n$2\r\nok").await;
    watched.sentinels[1].until("SENTINEL FAILOVER main", "+OK").await;
    watched.master.until_heard_by(2).await;
    for node in [&two.a, &two.b] {
        metrics::until(node, "pausa_events_up", |up| up == 1.0).await;
    }
    control_works(&mut two).await;
}

/// Its connections stay open, but it is the master no longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_leave_a_server_that_the_sentinels_name_no_longer() {
    let watched = Watched::start().await;
    let url = watched.url();
    let mut two = TwoNodes::start(&[("PAUSA_REDIS_URL", &url), ("PAUSA_LEASE_SECONDS", "60")]).await;
    watched.master.until_heard_by(2).await;
    watched.name_the_replica().await;
    watched.replica.until_heard_by(2).await;
    control_works(&mut two).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_count_requests_together_at_the_master_also_after_a_failover() {
    let mut watched = Watched::start().await;
    let two = limits::nodes(&watched.url()).await;
    watched.master.until_clients("evalsha", 2).await;
    limits::count_together(&two, "198.51.100.7").await;

    watched.sentinels[0].kill();
    watched.master.kill();
    // Until there is a master again, a node counts alone, and no request fails.
    let (admitted, refusal) = until_refused(&[&two.a], "198.51.100.8").await;
    assert!(admitted >= limits::BURST, "{admitted}");
    is_limited(refusal).await;
    watched.replica.until_clients("evalsha", 2).await;
    limits::count_together(&two, "198.51.100.9").await;
}

/// Its connections stay open, and it takes commands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_count_requests_at_the_master_that_the_sentinels_name_now() {
    let watched = Watched::start().await;
    let two = limits::nodes(&watched.url()).await;
    watched.master.until_clients("evalsha", 2).await;
    watched.name_the_replica().await;
    watched.replica.until_clients("evalsha", 2).await;
    limits::count_together(&two, "198.51.100.7").await;
}
