//! Requests over HTTP, from headers to response.

use std::sync::Arc;

use async_graphql::{Executor, parser::types::OperationType};
use axum::{
    extract::{Request, State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    http::{Method, StatusCode, Uri, header},
    response::Response,
};
use futures_util::{StreamExt, future::ready, stream};

use super::{
    Transport,
    admission::Admitted,
    allow, codes,
    codes::Code,
    csrf,
    document::Documents,
    events, multipart,
    negotiate::{self, Accepted, Media, RequestOutcome},
    parts,
    refusal::Refusal,
    request::{self, BodyKind, Incoming},
    source,
    uploads::RequestUploads,
    ws,
};

/// Handles a POST.
pub async fn post<E: Executor>(State(transport): State<Arc<Transport<E>>>, request: Request) -> Response {
    let accepted = Accepted::from_headers(request.headers());
    let incoming = match read_post(&transport, accepted, request).await {
        Ok(incoming) => incoming,
        Err(refusal) => return refusal.answer(accepted.media()),
    };
    transport.answer(incoming, &Method::POST, accepted).await
}

/// Handles a GET: a query in the query string, or the handshake of a WebSocket.
pub async fn get<E: Executor>(
    State(transport): State<Arc<Transport<E>>>,
    uri: Uri,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: Request,
) -> Response {
    let accepted = Accepted::from_headers(request.headers());
    if let Ok(upgrade) = upgrade {
        let allowed = &transport.settings.allowed_origins;
        return match csrf::check_socket(request.headers(), &uri, allowed) {
            Ok(()) => ws::open(upgrade, &transport, request.extensions().get().cloned()),
            Err(refusal) => refusal.answer(Media::Json),
        };
    }
    if request.headers().contains_key(header::SEC_WEBSOCKET_KEY) {
        let text = "The WebSocket handshake is incomplete.";
        return Refusal::bad_request(text).answer(Media::Json);
    }
    if let Err(exceeded) = transport.executor.count(request.extensions().get()).await {
        return Refusal::too_many_requests(&exceeded).answer(accepted.media());
    }
    let request = match request::read_get(&mut request.into_parts().0, transport.executor.texts()).await {
        Ok(request) => request,
        Err(refusal) => return refusal.answer(accepted.media()),
    };
    let held = RequestUploads::new(Arc::clone(&transport.uploads));
    let incoming = Incoming { request, held };
    transport.answer(incoming, &Method::GET, accepted).await
}

async fn read_post<E: Executor>(
    transport: &Transport<E>,
    accepted: Accepted,
    request: Request,
) -> Result<Incoming, Refusal> {
    let (parts, body) = request.into_parts();
    let settings = &transport.settings;
    let counted = transport.executor.count(parts.extensions.get()).await;
    let checked = counted
        .map_err(|exceeded| Refusal::too_many_requests(&exceeded))
        .and_then(|()| check_post(&parts.headers, &parts.uri, accepted, settings));
    let held = RequestUploads::new(Arc::clone(&transport.uploads));
    match checked {
        Ok(BodyKind::Json) => {
            let request = request::read_json(body, settings, transport.executor.texts()).await?;
            Ok(Incoming { request, held })
        }
        Ok(BodyKind::Multipart(boundary)) => {
            multipart::read_multipart(body, boundary, held, settings, transport.executor.texts()).await
        }
        Err(refusal) => {
            source::drain(body.into_data_stream());
            Err(refusal)
        }
    }
}

/// Checks the headers of a POST before its body is read.
fn check_post(
    headers: &axum::http::HeaderMap,
    uri: &Uri,
    accepted: Accepted,
    settings: &super::Settings,
) -> Result<BodyKind, Refusal> {
    let kind = BodyKind::from_headers(headers)?;
    if matches!(kind, BodyKind::Multipart(_)) {
        csrf::check_multipart(headers, uri, &settings.allowed_origins)?;
    }
    if accepted.result.is_none() && !accepted.parts && !accepted.events {
        return Err(not_acceptable());
    }
    Ok(kind)
}

fn not_acceptable() -> Refusal {
    let text = "Responses are application/json or application/graphql-response+json; \
                subscriptions use WebSocket, multipart/mixed or text/event-stream.";
    Refusal::new(StatusCode::NOT_ACCEPTABLE, Code::BadUserInput, text)
}

impl<E: Executor> Transport<E> {
    async fn answer(&self, incoming: Incoming, method: &Method, accepted: Accepted) -> Response {
        let Incoming { request, held } = incoming;
        let written = (method == Method::GET).then(|| (request.query.clone(), request.operation_name.clone()));
        let admitted = match self.executor.admit(request) {
            Ok(admitted) => admitted,
            Err(errors) => {
                held.release().await;
                // A mutation by GET is refused as such, valid or not.
                let kind = written.and_then(|(query, name)| Documents::written_kind(&query, name.as_deref()));
                if kind.is_some_and(|kind| kind != OperationType::Query && !accepted.wants_events(kind)) {
                    return needs_post(accepted.media());
                }
                let response = async_graphql::Response::from_errors(errors);
                if accepted.wants_events(OperationType::Query) {
                    return events::answer(stream::once(ready(response)).boxed(), &self.settings);
                }
                return negotiate::answer(accepted.media(), RequestOutcome::RequestError, response);
            }
        };
        let kind = admitted.kind();
        if let Some(response) = unfit(kind, method, accepted, &held) {
            held.release().await;
            return response;
        }
        if accepted.wants_events(kind) {
            let results = match held.is_empty() {
                true => self.executor.stream(admitted),
                false => stream::once(ready(self.execute(admitted, held).await)).boxed(),
            };
            return events::answer(results, &self.settings);
        }
        if kind == OperationType::Subscription {
            let results = self.executor.stream(admitted);
            return parts::answer(results, accepted.media(), &self.settings);
        }
        let response = self.execute(admitted, held).await;
        let outcome =
            if codes::is_request_error(&response) { RequestOutcome::RequestError } else { RequestOutcome::Executed };
        negotiate::answer(accepted.media(), outcome, response)
    }

    /// Runs a query or mutation. One with files runs to its end even if the client disconnects: only then its uploads are
    /// released.
    async fn execute(&self, admitted: Admitted, held: RequestUploads) -> async_graphql::Response {
        if held.is_empty() {
            return self.executor.run(admitted).await;
        }
        let executor = self.executor.clone();
        let work = tokio::spawn(async move {
            let response = executor.run(admitted).await;
            held.release().await;
            response
        });
        work.await.unwrap_or_else(|error| async_graphql::Response::from_errors(vec![codes::internal(&error)]))
    }
}

/// Refuses a mutation or subscription by GET.
fn needs_post(media: Media) -> Response {
    let text = "Mutations and subscriptions require POST.";
    let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, Code::BadUserInput, text);
    allow("POST", refusal.answer(media))
}

/// Refuses an operation that does not match the method, the files or the Accept header.
fn unfit(kind: OperationType, method: &Method, accepted: Accepted, held: &RequestUploads) -> Option<Response> {
    let media = accepted.media();
    // EventSource of browsers sends only GET. Another origin cannot read its events.
    let by_events = kind == OperationType::Subscription && accepted.wants_events(kind);
    if kind != OperationType::Query && !by_events && method == Method::GET {
        return Some(needs_post(media));
    }
    if !held.is_empty() && kind != OperationType::Mutation {
        return Some(Refusal::bad_request("Only mutations accept files.").answer(media));
    }
    let readable = match kind {
        _ if accepted.wants_events(kind) => true,
        OperationType::Subscription => accepted.parts,
        _ => accepted.result.is_some(),
    };
    (!readable).then(|| not_acceptable().answer(media))
}
