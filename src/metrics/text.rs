//! The two text formats: OpenMetrics, and the older format of Prometheus, which more tools can read.

use std::fmt::Write;

use prometheus_client::encoding::text::encode as openmetrics;
use prometheus_client::registry::Registry;

/// A text format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// The text format of Prometheus, version 0.0.4.
    Prometheus,
}

impl Format {
    /// Returns the format for a client that sends this Accept header.
    pub fn accepted(accept: &str) -> Format {
        if accept.contains("application/openmetrics-text") { Format::OpenMetrics } else { Format::Prometheus }
    }

    /// Returns the media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Returns all families of `registry` in that format.
pub fn encode(registry: &Registry, format: Format) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = openmetrics(&mut text, registry);
    match format {
        Format::OpenMetrics => text,
        Format::Prometheus => classic(&text),
    }
}

/// Converts from OpenMetrics. There the name of a counter in HELP and TYPE has no `_total`, and the unit and the end
/// have lines.
fn classic(text: &str) -> String {
    let mut classic = String::with_capacity(text.len());
    let mut help = None;
    for line in text.lines() {
        match line.strip_prefix("# ").and_then(|comment| comment.split_once(' ')) {
            Some(("HELP", rest)) => help = rest.split_once(' '),
            Some(("TYPE", rest)) => describe(&mut classic, help.take(), rest),
            Some(_) => {}
            None if line.starts_with('#') => {}
            None => {
                classic.push_str(line);
                classic.push('\n');
            }
        }
    }
    classic
}

fn describe(classic: &mut String, help: Option<(&str, &str)>, rest: &str) {
    let Some((name, kind)) = rest.split_once(' ') else { return };
    let suffix = if kind == "counter" { "_total" } else { "" };
    if let Some((_, help)) = help {
        let _ = writeln!(classic, "# HELP {name}{suffix} {help}");
    }
    let _ = writeln!(classic, "# TYPE {name}{suffix} {kind}");
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::registry::Unit;

    use super::*;

    #[test]
    fn counters_have_their_full_name_in_the_older_format() {
        let (mut registry, counter) = (Registry::default(), Counter::<u64>::default());
        registry.register_with_unit("read", "Bytes read", Unit::Bytes, counter.clone());
        counter.inc_by(7);
        let classic = "# HELP read_bytes_total Bytes read.\n# TYPE read_bytes_total counter\nread_bytes_total 7\n";
        assert_eq!(encode(&registry, Format::Prometheus), classic);
        assert!(encode(&registry, Format::OpenMetrics).ends_with("# EOF\n"));
    }

    #[test]
    fn the_format_is_negotiated() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        assert_eq!(Format::accepted("*/*"), Format::Prometheus);
        assert_eq!(Format::accepted(""), Format::Prometheus);
    }
}
