//! The log, and traces if the settings name a collector.

mod collector;

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Metadata;
use tracing::subscriber::Interest;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, registry};

use self::collector::Collector;
use crate::config::Config;
use crate::spawn::spawn_blocking;
use crate::{database, files, spans};

/// Targets of the spans that are always exported and never logged.
const TARGETS: [&str; 2] = [spans::TARGET, graphql_transport::SPAN_TARGET];

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Exporter of traces. Stopped at the end of the program.
#[must_use]
pub struct Telemetry(Option<SdkTracerProvider>);

/// Starts the log on stderr, and the export of traces if `config` names a collector. `node` names this node in traces.
///
/// # Errors
/// An invalid log filter or endpoint.
pub fn start(config: &Config, node: &str) -> Result<Telemetry, String> {
    let mut layers = vec![log(config)?];
    let provider = config.otlp_endpoint.as_deref().map(|endpoint| provider(endpoint, node)).transpose()?;
    layers.extend(provider.as_ref().map(traces));
    registry().with(layers).init();
    Ok(Telemetry(provider))
}

impl Telemetry {
    /// Sends the remaining traces. Waits at most `patience`.
    pub async fn stop(self, patience: Duration) {
        let Some(provider) = self.0 else { return };
        let stopped = spawn_blocking(move || provider.shutdown_with_timeout(patience));
        if let Ok(Err(error)) = stopped.await {
            tracing::warn!(%error, "could not send the last traces");
        }
    }
}

fn log(config: &Config) -> Result<BoxedLayer, String> {
    let unreadable = |error| format!("setting log = {:?}: {error}", config.log);
    let filter = EnvFilter::try_new(&config.log).map_err(unreadable)?;
    // Excludes the spans of traces from the log, whatever its filter is.
    let hide = |filter: EnvFilter, target: &str| {
        let directive = format!("{target}=off").parse().map_err(|error| format!("log filter for {target}: {error}"))?;
        Ok::<_, String>(filter.add_directive(directive))
    };
    let filter = TARGETS.into_iter().try_fold(filter, hide)?;
    // Lost connections and failed requests belong to an outage, which has its own lines. A filter that names the library shows them.
    let quiet = database::QUIET_TARGETS
        .into_iter()
        .map(|target| ("sqlx", target))
        .chain([("object_store", files::QUIET_TARGET)]);
    let mut quiet = quiet.filter(|(library, _)| !config.log.contains(library));
    let filter = quiet.try_fold(filter, |filter, (_, target)| hide(filter, target))?;
    let log = fmt::layer().with_writer(stderr);
    Ok(if config.log_json {
        log.json().flatten_event(true).with_current_span(false).with_span_list(false).with_filter(filter).boxed()
    } else {
        log.with_ansi(use_colours()).with_filter(filter).boxed()
    })
}

/// Returns true if stderr is a terminal and NO_COLOR is not set (<https://no-color.org>).
fn use_colours() -> bool {
    stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Returns a provider that exports spans by OTLP from its own thread.
fn provider(endpoint: &str, node: &str) -> Result<SdkTracerProvider, String> {
    let refused = |error: &dyn std::fmt::Display| format!("setting otlp_endpoint: {error}");
    let collector = Collector::new().map_err(|error| refused(&error))?;
    let exporter = SpanExporter::builder().with_http().with_http_client(collector).with_endpoint(endpoint);
    let exporter = exporter.with_protocol(Protocol::HttpBinary).build().map_err(|error| refused(&error))?;
    let resource = Resource::builder().with_service_name("pausa").with_attributes([
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", node.to_owned()),
    ]);
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build())
}

fn traces(provider: &SdkTracerProvider) -> BoxedLayer {
    let layer = tracing_opentelemetry::layer().with_location(false).with_threads(false).with_target(false);
    let layer = layer.with_tracked_inactivity(false).with_tracer(provider.tracer("pausa"));
    let exported = dynamic_filter_fn(|span: &Metadata<'_>, context| match span.target() {
        spans::STORE => context.lookup_current().is_some(),
        target => TARGETS.contains(&target),
    });
    let exported =
        exported.with_callsite_filter(|span| match span.target() == spans::STORE || TARGETS.contains(&span.target()) {
            true => Interest::sometimes(),
            false => Interest::never(),
        });
    layer.with_filter(exported).boxed()
}
