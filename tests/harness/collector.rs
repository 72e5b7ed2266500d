//! A trace collector on loopback that stores the spans it receives by OTLP/HTTP.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::server::PATIENCE;

/// A span with the resource attributes of the process that sent it.
#[derive(Clone, Debug)]
pub struct Traced {
    pub span: Span,
    pub resource: Vec<KeyValue>,
}

/// The collector. It stops at the end of the test.
pub struct Collector {
    /// Base URL, without a path.
    pub url: String,
    spans: watch::Sender<Vec<Traced>>,
}

impl Collector {
    pub async fn start() -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let spans = watch::Sender::new(Vec::new());
        let routes = Router::new().route("/v1/traces", post(receive)).with_state(Arc::new(spans.clone()));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Collector { url, spans }
    }

    /// Waits for the first span that matches `wanted`.
    pub async fn until(&self, wanted: impl Fn(&Traced) -> bool) -> Traced {
        let mut spans = self.spans.subscribe();
        let found = spans.wait_for(|spans| spans.iter().any(&wanted));
        let spans = tokio::time::timeout(PATIENCE, found).await.expect("no such span in time").unwrap();
        spans.iter().find(|traced| wanted(traced)).unwrap().clone()
    }

    /// Returns all spans received so far.
    pub fn spans(&self) -> Vec<Traced> {
        self.spans.borrow().clone()
    }
}

async fn receive(State(spans): State<Arc<watch::Sender<Vec<Traced>>>>, body: Bytes) {
    let sent = ExportTraceServiceRequest::decode(body).unwrap();
    spans.send_modify(|spans| {
        for of_process in sent.resource_spans {
            let resource = of_process.resource.unwrap().attributes;
            let found = of_process.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.extend(found.map(|span| Traced { span, resource: resource.clone() }));
        }
    });
}

/// Returns the text or number of an attribute.
pub fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let value = attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()?;
    match value {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{key}: {other:?}"),
    }
}
