//! What /metrics says of a running server, checked by Prometheus's own tool.

mod families;
mod promtool;

use std::collections::BTreeMap;

use crate::harness::server::Server;

/// The samples of one scrape: `name{labels}` as it stands in the text, and the value.
pub struct Scrape {
    /// The whole text.
    pub text: String,
    samples: BTreeMap<String, f64>,
}

/// Reads /metrics, as tools do that name no format.
pub async fn scrape(server: &Server) -> Scrape {
    let answer = server.get("/metrics").await;
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = answer.text().await.unwrap();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let samples = samples.filter_map(|line| line.rsplit_once(' '));
    let samples = samples.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect();
    Scrape { text, samples }
}

impl Scrape {
    /// The value of a sample; 0 if there is none.
    pub fn value(&self, sample: &str) -> f64 {
        self.samples.get(sample).copied().unwrap_or(0.0)
    }

    /// The sample is there.
    pub fn has(&self, sample: &str) -> bool {
        self.samples.contains_key(sample)
    }
}
