//! The master that Sentinel names.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::cmd;

use super::{Connected, RedisFailure, RedisServer, commands};
use crate::config::Login;

impl RedisServer {
    /// Connects to the master.
    pub(super) async fn connect_to_master(
        self: &Arc<Self>,
        name: &str,
        login: &Login,
    ) -> Result<Connected, RedisFailure> {
        let (host, port) = self.master(name, login).await?;
        let mut connected = self.connect_to(&host, port).await?;
        connected.check_role().await?;
        Ok(connected)
    }

    /// Requests the address of the master from all sentinels at once. Uses the first address received.
    pub(super) async fn master(&self, name: &str, login: &Login) -> Result<(String, u16), RedisFailure> {
        let asks = self.url.addresses.iter().map(|(host, port)| self.ask(host, *port, name, login));
        let (mut answers, mut failures) = (FuturesUnordered::from_iter(asks), Vec::new());
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(address) => return Ok(address),
                Err(failure) => failures.push(failure),
            }
        }
        Err(RedisFailure::of_all("no sentinel names a master", &failures))
    }

    async fn ask(&self, host: &str, port: u16, name: &str, login: &Login) -> Result<(String, u16), RedisFailure> {
        let client = self.client(host, port, login, 0)?;
        let mut sentinel = commands(&client).await.map_err(|error| RedisFailure::connecting(&client, &error))?;
        let address: Result<Option<_>, _> =
            cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(name).query_async(&mut sentinel).await;
        let address = address.map_err(|error| RedisFailure::at(&client, &error))?;
        address.ok_or_else(|| RedisFailure::new(format!("the sentinel at {host}:{port} knows no master {name}")))
    }
}
