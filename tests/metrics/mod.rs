//! The metrics of a running server at /metrics, checked by Prometheus's own tool.

mod deploy;
mod families;
mod outages;
mod promtool;

use std::collections::{BTreeMap, BTreeSet};

use crate::harness::server::{PATIENCE, Server};

/// The samples of one scrape: `name{labels}` as in the text, and the value.
pub struct Scrape {
    /// The complete text.
    pub text: String,
    samples: BTreeMap<String, f64>,
}

/// Reads /metrics without an Accept header, as tools do.
pub async fn scrape(server: &Server) -> Scrape {
    let answer = server.get("/metrics").await;
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = answer.text().await.unwrap();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let samples = samples.filter_map(|line| line.rsplit_once(' '));
    let samples = samples.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect();
    Scrape { text, samples }
}

/// Scrapes until the sample matches `wanted`.
pub async fn until(server: &Server, sample: &str, wanted: impl Fn(f64) -> bool) -> Scrape {
    let seen = async {
        loop {
            let seen = scrape(server).await;
            if wanted(seen.value(sample)) {
                return seen;
            }
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.unwrap_or_else(|_| panic!("{sample} did not reach the expected value"))
}

impl Scrape {
    /// Returns the value of a sample. 0 if there is none.
    pub fn value(&self, sample: &str) -> f64 {
        self.samples.get(sample).copied().unwrap_or(0.0)
    }

    /// Asserts that each sample has the given value.
    pub fn is(&self, expected: &[(&str, f64)]) {
        for (sample, value) in expected {
            assert!(self.value(sample) == *value, "{sample} is {}, not {value}, in\n{}", self.value(sample), self.text);
        }
    }

    /// Returns true if the sample exists.
    pub fn has(&self, sample: &str) -> bool {
        self.samples.contains_key(sample)
    }

    /// Returns the names of all samples, without their labels.
    pub fn names(&self) -> BTreeSet<&str> {
        self.samples.keys().map(|sample| sample.split('{').next().unwrap()).collect()
    }
}
