//! A Redis Cluster of three masters, one of which has a replica. Any of its nodes carries the events.

use super::limits;
use crate::chaos::events::control_works;
use crate::chaos::two_nodes::TwoNodes;
use crate::harness::redis::Redis;
use crate::metrics;
use crate::store::test_store::TestStore;

const ARGUMENTS: [&str; 10] = [
    "--save",
    "",
    "--requirepass",
    "open-sesame",
    "--masterauth",
    "open-sesame",
    "--cluster-enabled",
    "yes",
    "--cluster-node-timeout",
    "2000",
];

/// Starts a Cluster. The last server is a replica of the first one.
async fn cluster() -> Vec<Redis> {
    let mut servers = Vec::new();
    for _ in 0..4 {
        servers.push(Redis::with(&ARGUMENTS.map(str::to_owned)).await);
    }
    for (server, slots) in servers.iter().zip(["0 5460", "5461 10922", "10923 16383"]) {
        assert_eq!(server.command(&format!("CLUSTER ADDSLOTSRANGE {slots}")).await, "+OK\r\n");
    }
    for server in &servers[1..] {
        assert_eq!(server.command(&format!("CLUSTER MEET 127.0.0.1 {}", servers[0].port())).await, "+OK\r\n");
    }
    for server in &servers {
        server.until("CLUSTER INFO", "cluster_state:ok").await;
        server.until("CLUSTER INFO", "cluster_known_nodes:4").await;
    }
    let id = servers[0].command("CLUSTER MYID").await;
    let id = id.lines().nth(1).unwrap();
    servers[3].until(&format!("CLUSTER REPLICATE {id}"), "+OK").await;
    servers[3].until("INFO replication", "master_link_status:up").await;
    servers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_count_requests_together_at_the_node_of_the_cluster_that_has_the_buckets() {
    let servers = cluster().await;
    // Two of three are sent to another node.
    for server in &servers[..3] {
        let two = limits::nodes(&format!("redis+cluster://:open-sesame@{}", server.address())).await;
        limits::count_together(&two, "198.51.100.7").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_hear_each_other_through_different_nodes_of_a_cluster_and_outlive_one() {
    let mut servers = cluster().await;
    let addresses: Vec<_> = servers.iter().map(Redis::address).collect();
    let url = |order: [usize; 3]| {
        let order = order.map(|n| addresses[n].as_str());
        format!("redis+cluster://:open-sesame@{}", order.join(","))
    };
    let (of_a, of_b) = (url([0, 1, 2]), url([1, 2, 0]));
    let settings = |url| [("PAUSA_REDIS_URL", url), ("PAUSA_LEASE_SECONDS", "60")];
    let mut two = TwoNodes::differing(TestStore::postgres().await, &settings(&of_a), &settings(&of_b)).await;
    servers[0].until_heard_by(1).await;
    servers[1].until_heard_by(1).await;
    control_works(&mut two).await;

    servers[0].kill();
    control_works(&mut two).await;
    servers[1].until("CLUSTER INFO", "cluster_slots_pfail:0\r\ncluster_slots_fail:0").await;
    servers[1].until_heard_by(2).await;
    for node in [&two.a, &two.b] {
        metrics::until(node, "pausa_events_up", |up| up == 1.0).await;
    }
    control_works(&mut two).await;
}
