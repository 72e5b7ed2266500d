//! What /metrics says of a running server, checked by Prometheus's own tool.

mod deploy;
mod families;
mod outages;
mod promtool;

use std::collections::{BTreeMap, BTreeSet};

use crate::harness::server::{PATIENCE, Server};

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

/// Scrapes until the sample is `wanted`, which it must be before long.
pub async fn until(server: &Server, sample: &str, wanted: impl Fn(f64) -> bool) -> Scrape {
    let seen = async {
        loop {
            let seen = scrape(server).await;
            if wanted(seen.value(sample)) {
                return seen;
            }
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.unwrap_or_else(|_| panic!("{sample} is not as it should be"))
}

impl Scrape {
    /// The value of a sample; 0 if there is none.
    pub fn value(&self, sample: &str) -> f64 {
        self.samples.get(sample).copied().unwrap_or(0.0)
    }

    /// Each sample has that value.
    pub fn is(&self, expected: &[(&str, f64)]) {
        for (sample, value) in expected {
            assert!(self.value(sample) == *value, "{sample} is {}, not {value}, in\n{}", self.value(sample), self.text);
        }
    }

    /// The sample is there.
    pub fn has(&self, sample: &str) -> bool {
        self.samples.contains_key(sample)
    }

    /// The names of all samples, without their labels.
    pub fn names(&self) -> BTreeSet<&str> {
        self.samples.keys().map(|sample| sample.split('{').next().unwrap()).collect()
    }
}
