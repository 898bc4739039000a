//! A service in front of the app. Requests that its fast path answers skip routing and extraction.
//! All others reach the app unchanged.

use std::future::{Ready, poll_fn, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use actix_http::{Payload, Request, Response};
use actix_web::Error;
use actix_web::body::BoxBody;
use actix_web::dev::{AppConfig, Service, ServiceFactory, ServiceResponse};
use actix_web::http::header;
use actix_web::web::Bytes;
use futures_util::future::{Either, LocalBoxFuture};
use futures_util::{FutureExt, Stream, TryFutureExt};

use super::connections::{Exchange, answered};
use super::framing;

/// A fast path: answers requests without waiting.
pub trait FastPath {
    /// Returns the response to a request without body, or `None` to leave it to the app.
    fn answer(&self, request: &Request) -> Option<Response<BoxBody>>;

    /// Returns whether the request may be answered once its body has arrived.
    fn wants_body(&self, request: &Request) -> bool;

    /// Returns the response to a request whose body was wanted, or `None` to leave it to the app.
    fn answer_with_body(&self, request: &Request, body: &[u8]) -> Option<Response<BoxBody>>;
}

/// An app behind a fast path.
pub struct ShortCircuit<S, A> {
    app: Rc<A>,
    fast_path: Rc<S>,
}

impl<S, A> ShortCircuit<S, A> {
    /// Puts a fast path in front of an app: of its factory when it is built, of its service when it
    /// runs.
    pub fn of(fast_path: S, app: A) -> Self {
        Self { app: Rc::new(app), fast_path: Rc::new(fast_path) }
    }
}

impl<S, A> ServiceFactory<Request> for ShortCircuit<S, A>
where
    S: FastPath + 'static,
    A: ServiceFactory<
            Request,
            Config = AppConfig,
            Response = ServiceResponse<BoxBody>,
            Error = Error,
        >,
    A::Future: 'static,
    A::InitError: 'static,
    A::Service: 'static,
{
    type Response = Response<BoxBody>;
    type Error = Error;
    type Config = AppConfig;
    type Service = ShortCircuit<S, A::Service>;
    type InitError = A::InitError;
    type Future = LocalBoxFuture<'static, Result<Self::Service, Self::InitError>>;

    fn new_service(&self, config: AppConfig) -> Self::Future {
        let fast_path = Rc::clone(&self.fast_path);
        self.app
            .new_service(config)
            .map_ok(|app| ShortCircuit { app: Rc::new(app), fast_path })
            .boxed_local()
    }
}

/// The response future: immediate, or after buffering the body or delegating to the app.
type ResponseFuture = Either<
    Ready<Result<Response<BoxBody>, Error>>,
    LocalBoxFuture<'static, Result<Response<BoxBody>, Error>>,
>;

impl<S, A> Service<Request> for ShortCircuit<S, A>
where
    S: FastPath + 'static,
    A: Service<Request, Response = ServiceResponse<BoxBody>, Error = Error> + 'static,
{
    type Response = Response<BoxBody>;
    type Error = Error;
    type Future = ResponseFuture;

    actix_web::dev::forward_ready!(app);

    fn call(&self, mut request: Request) -> Self::Future {
        if let Err(problem) = framing::check(&request) {
            let exchange = Exchange::begin(&mut request);
            let response = framing::refusal(&request, &problem);
            return Either::Left(ready(Ok(exchange.end(response))));
        }
        let (app, fast_path) = (Rc::clone(&self.app), Rc::clone(&self.fast_path));
        if self.fast_path.wants_body(&request) {
            return Either::Right(with_body(app, fast_path, request).boxed_local());
        }
        match self.fast_path.answer(&request) {
            Some(response) => {
                answered(&request);
                Either::Left(ready(Ok(response)))
            }
            None => Either::Right(delegate(app, request).boxed_local()),
        }
    }
}

/// Delegates a request to the app.
async fn delegate<A>(app: Rc<A>, mut request: Request) -> Result<Response<BoxBody>, Error>
where
    A: Service<Request, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    let exchange = Exchange::begin(&mut request);
    let response = app.call(request).await?;
    Ok(exchange.end(Response::from(response)))
}

/// Answers a request once its body has arrived. Delegates it to the app if that takes longer than
/// one packet, or if the fast path cannot answer.
async fn with_body<S, A>(
    app: Rc<A>,
    fast_path: Rc<S>,
    mut request: Request,
) -> Result<Response<BoxBody>, Error>
where
    S: FastPath,
    A: Service<Request, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    let body = first_chunk(&mut request).await;
    let response = body
        .as_ref()
        .filter(|body| is_complete(&request, body))
        .and_then(|body| fast_path.answer_with_body(&request, body));
    if let Some(response) = response {
        answered(&request);
        return Ok(response);
    }
    if let (Some(body), Payload::H1 { payload }) = (body, request.payload()) {
        payload.unread_data(body);
    }
    delegate(app, request).await
}

/// Returns the part of the body that has arrived or arrives with the next packet. Longer waits are
/// left to the app, which has the timeout.
async fn first_chunk(request: &mut Request) -> Option<Bytes> {
    let Payload::H1 { payload } = request.payload() else { return None };
    let mut waited = false;
    poll_fn(|context| match Pin::new(&mut *payload).poll_next(context) {
        Poll::Ready(chunk) => Poll::Ready(chunk.and_then(Result::ok)),
        Poll::Pending if !waited => {
            waited = true;
            Poll::Pending
        }
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Returns whether the body has the length that the request declares.
fn is_complete(request: &Request, body: &[u8]) -> bool {
    let declared = request.head().headers().get(header::CONTENT_LENGTH);
    declared.and_then(|length| length.to_str().ok()?.parse::<usize>().ok()) == Some(body.len())
}
