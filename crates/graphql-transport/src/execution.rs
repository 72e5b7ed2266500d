//! Requests over HTTP, from headers to response.

use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use axum::{
    body::Body,
    extract::{Request, State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    http::{Method, StatusCode, header, request::Parts},
    response::Response,
};
use futures_util::{StreamExt, future::ready, stream};

use super::{
    Transport,
    admission::Admitted,
    allow,
    client::{Client, Clients},
    codes,
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
pub async fn post<C: Clients>(State(transport): State<Arc<Transport<C>>>, request: Request) -> Response {
    let accepted = Accepted::from_headers(request.headers());
    let (parts, body) = request.into_parts();
    let client = transport.clients.of_request(&parts);
    let incoming = match read_post(&transport, &client, accepted, &parts, body).await {
        Ok(incoming) => incoming,
        Err(refusal) => return refusal.answer(accepted.media()),
    };
    transport.answer(&client, incoming, &Method::POST, accepted).await
}

/// Handles a GET: a query in the query string, or the handshake of a WebSocket.
pub async fn get<C: Clients>(
    State(transport): State<Arc<Transport<C>>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: Request,
) -> Response {
    let accepted = Accepted::from_headers(request.headers());
    let (mut parts, _) = request.into_parts();
    if let Ok(upgrade) = upgrade {
        let allowed = &transport.settings.allowed_origins;
        return match csrf::check_socket(&parts.headers, &parts.uri, allowed) {
            Ok(()) => ws::open(upgrade, transport, parts),
            Err(refusal) => refusal.answer(Media::Json),
        };
    }
    if parts.headers.contains_key(header::SEC_WEBSOCKET_KEY) {
        let text = "The WebSocket handshake is incomplete.";
        return Refusal::bad_request(text).answer(Media::Json);
    }
    let client = transport.clients.of_request(&parts);
    if let Err(exceeded) = transport.admission.count(&client).await {
        return Refusal::too_many_requests(&exceeded).answer(accepted.media());
    }
    let request = match request::read_get(&mut parts, transport.admission.texts()).await {
        Ok(request) => request,
        Err(refusal) => return refusal.answer(accepted.media()),
    };
    let uploads = RequestUploads::new(Arc::clone(&client.uploads));
    transport.answer(&client, Incoming { request, uploads }, &Method::GET, accepted).await
}

async fn read_post<C: Clients>(
    transport: &Transport<C>,
    client: &Client<C::Executor>,
    accepted: Accepted,
    parts: &Parts,
    body: Body,
) -> Result<Incoming, Refusal> {
    let (settings, texts) = (&transport.settings, transport.admission.texts());
    let counted = transport.admission.count(client).await;
    let checked = counted
        .map_err(|exceeded| Refusal::too_many_requests(&exceeded))
        .and_then(|()| check_post(&parts.headers, &parts.uri, accepted, settings));
    let uploads = RequestUploads::new(Arc::clone(&client.uploads));
    match checked {
        Ok(BodyKind::Json) => {
            let request = request::read_json(body, settings, texts).await?;
            Ok(Incoming { request, uploads })
        }
        Ok(BodyKind::Multipart(boundary)) => multipart::read_multipart(body, boundary, uploads, settings, texts).await,
        Err(refusal) => {
            source::drain(body.into_data_stream(), settings.drain_timeout);
            Err(refusal)
        }
    }
}

/// Checks the headers of a POST before its body is read.
fn check_post(
    headers: &axum::http::HeaderMap,
    uri: &axum::http::Uri,
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

impl<C: Clients> Transport<C> {
    async fn answer(
        &self,
        client: &Client<C::Executor>,
        incoming: Incoming,
        method: &Method,
        accepted: Accepted,
    ) -> Response {
        let Incoming { request, uploads } = incoming;
        let written = (method == Method::GET).then(|| (request.query.clone(), request.operation_name.clone()));
        let admitted = match self.admission.admit(request) {
            Ok(admitted) => admitted,
            Err(errors) => {
                uploads.release().await;
                // A mutation by GET is refused as such, valid or not.
                let max_nesting = self.settings.max_nesting;
                let kind =
                    written.and_then(|(query, name)| Documents::written_kind(&query, name.as_deref(), max_nesting));
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
        if let Some(response) = unfit(kind, method, accepted, &uploads) {
            uploads.release().await;
            return response;
        }
        if accepted.wants_events(kind) {
            let results = match uploads.is_empty() {
                true => self.admission.stream(&client.executor, admitted),
                false => stream::once(ready(self.execute(&client.executor, admitted, uploads).await)).boxed(),
            };
            return events::answer(results, &self.settings);
        }
        if kind == OperationType::Subscription {
            let results = self.admission.stream(&client.executor, admitted);
            return parts::answer(results, accepted.media(), &self.settings);
        }
        let response = self.execute(&client.executor, admitted, uploads).await;
        let outcome =
            if codes::is_request_error(&response) { RequestOutcome::RequestError } else { RequestOutcome::Executed };
        negotiate::answer(accepted.media(), outcome, response)
    }

    /// Runs a query or mutation. One with files runs to its end even if the client disconnects: only then its uploads are
    /// released.
    async fn execute(
        &self,
        executor: &C::Executor,
        admitted: Admitted,
        uploads: RequestUploads,
    ) -> async_graphql::Response {
        if uploads.is_empty() {
            return self.admission.run(executor, admitted).await;
        }
        let (admission, executor) = (self.admission.clone(), executor.clone());
        let work = tokio::spawn(async move {
            let response = admission.run(&executor, admitted).await;
            uploads.release().await;
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
fn unfit(kind: OperationType, method: &Method, accepted: Accepted, uploads: &RequestUploads) -> Option<Response> {
    let media = accepted.media();
    // EventSource of browsers sends only GET. Another origin cannot read its events.
    let by_events = kind == OperationType::Subscription && accepted.wants_events(kind);
    if kind != OperationType::Query && !by_events && method == Method::GET {
        return Some(needs_post(media));
    }
    if !uploads.is_empty() && kind != OperationType::Mutation {
        return Some(Refusal::bad_request("Only mutations accept files.").answer(media));
    }
    let readable = match kind {
        _ if accepted.wants_events(kind) => true,
        OperationType::Subscription => accepted.parts,
        _ => accepted.result.is_some(),
    };
    (!readable).then(|| not_acceptable().answer(media))
}
