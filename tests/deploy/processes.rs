//! The commands of README.md for two plain processes: an API node and a worker.

use std::path::Path;
use std::process::Stdio;

use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use super::manifests::{file, text};
use crate::chaos::folder::same_cells;
use crate::chaos::two_nodes::runner;
use crate::harness::csv;
use crate::harness::postgres::free_address;
use crate::harness::redis::Redis;
use crate::harness::s3::Bucket;
use crate::harness::server::{PATIENCE, Server};
use crate::store::test_store::TestStore;

/// The block of README.md, with the services of a story in place of those that it assumes.
struct Commands {
    /// Lines that each shell runs first.
    exports: String,
    api: String,
    worker: String,
    client: String,
    folder: TempDir,
}

impl Commands {
    fn read(replacements: &[(&str, &str)]) -> Commands {
        let readme = text("README.md");
        let section = readme.split("## Many nodes").nth(1).unwrap();
        let mut block = section.split("```sh\n").nth(1).unwrap().split("```").next().unwrap().to_owned();
        for (from, to) in replacements {
            assert!(block.contains(from), "{from} in {block}");
            block = block.replace(from, to);
        }
        let line = |beginning: &str| block.lines().find(|line| line.starts_with(beginning)).unwrap().to_owned();
        let exports: Vec<_> = block.lines().filter(|line| line.starts_with("export ")).collect();
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(file("client-examples"), folder.path().join("client-examples")).unwrap();
        Commands {
            exports: exports.join("\n"),
            api: line("PAUSA_ROLE=api "),
            worker: line("PAUSA_ROLE=worker "),
            client: line("client-examples/"),
            folder,
        }
    }

    /// Runs a line in a shell of its own.
    fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("bash");
        command.args(["-c", &format!("set -eu\n{}\n{line}", self.exports)]);
        command.current_dir(self.folder.path()).env("PAUSA_LOG", "warn").stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Starts a node, and waits until it is ready at its address.
    async fn node(&self, line: &str) -> Server {
        let (_, address) = line.split_once("PAUSA_LISTEN=").unwrap();
        let url = format!("http://{}", address.split(' ').next().unwrap());
        // Without `exec`, the shell would stay between the story and the node.
        let program = format!("exec {}", env!("CARGO_BIN_EXE_pausa"));
        let child = self.shell(&line.replace("target/release/pausa", &program)).stdout(Stdio::null()).spawn().unwrap();
        let node = Server::reached_at(child, &url);
        let ready = async {
            while !node.client().get(format!("{url}/readyz")).send().await.is_ok_and(|answer| answer.status() == 200) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, ready).await.unwrap_or_else(|_| panic!("not ready: {line}"));
        node
    }

    fn has_folder(&self, name: &Path) -> bool {
        self.folder.path().join(name).is_dir()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_of_the_readme_start_an_api_node_and_a_worker_that_share_everything() {
    let (store, redis, bucket) = (TestStore::postgres().await, Redis::start().await, Bucket::create().await);
    let own = bucket.settings();
    let [files, endpoint, region, key, secret] = &own[..] else { panic!("{own:?}") };
    let (api_address, worker_address) = (free_address().to_string(), free_address().to_string());
    let commands = Commands::read(&[
        ("postgres://pausa:PASSWORD@127.0.0.1:5432/pausa", &format!("'{}'", store.url)),
        ("redis://127.0.0.1:6379/0", &redis.url()),
        ("s3://pausa/files", &files.1),
        ("http://127.0.0.1:9000", &endpoint.1),
        ("us-east-1", &region.1),
        ("=KEY", &format!("={}", key.1)),
        ("=SECRET", &format!("={}", secret.1)),
        ("127.0.0.1:8080", &api_address),
        ("127.0.0.1:8081", &worker_address),
    ]);
    let (mut api, mut worker) = (commands.node(&commands.api).await, commands.node(&commands.worker).await);
    redis.until_heard_by(2).await;
    let nodes = api.data("{ serverNodes { name role } }", json!({})).await;
    let expected = json!([{ "name": "api-1", "role": "api" }, { "name": "worker-1", "role": "worker" }]);
    assert_eq!(nodes["serverNodes"], expected);
    assert!(["api-1", "worker-1"].iter().all(|name| commands.has_folder(Path::new(name))));

    let toured = tokio::time::timeout(PATIENCE, commands.shell(&commands.client).output()).await.unwrap().unwrap();
    assert!(toured.status.success(), "{toured:?}");
    let people = csv::people(2_000);
    let upload = api.upload(&*people).await;
    let import = api.import(&upload, json!({ "dataset": "people" })).await;
    api.until(&import, "COMPLETED").await;
    assert_eq!(runner(&api.task(&import).await), "node worker-1");
    same_cells(&api.exported("people").await, &people);
    for node in [&mut api, &mut worker] {
        assert_eq!(node.terminate().await, Some(0));
    }
}
