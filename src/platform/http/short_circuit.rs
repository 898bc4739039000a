//! A service in front of the app. What it can answer at once never meets the router or an
//! extractor; all else goes on to the app as if nothing stood before it.

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

/// Answers requests that need no waiting.
pub trait FastPath {
    /// The whole response to a request without a body, or nothing: then the app answers.
    fn answer(&self, request: &Request) -> Option<Response<BoxBody>>;

    /// Whether the request may be one that can be answered once its body is there.
    fn wants_body(&self, request: &Request) -> bool;

    /// The whole response to a request with a body that was wanted, or nothing: then the app
    /// answers.
    fn answer_with_body(&self, request: &Request, body: &[u8]) -> Option<Response<BoxBody>>;
}

/// An app and what stands before it.
pub struct ShortCircuit<S, A> {
    app: Rc<A>,
    fast_path: Rc<S>,
}

impl<S, A> ShortCircuit<S, A> {
    /// Puts one before an app: its factory as it is built, its service as it runs.
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

/// The response future: immediate, or after the body was looked at or the app has answered.
type Responding = Either<
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
    type Future = Responding;

    actix_web::dev::forward_ready!(app);

    fn call(&self, request: Request) -> Self::Future {
        let (app, fast_path) = (Rc::clone(&self.app), Rc::clone(&self.fast_path));
        if self.fast_path.wants_body(&request) {
            return Either::Right(with_body(app, fast_path, request).boxed_local());
        }
        match self.fast_path.answer(&request) {
            Some(response) => {
                answered(&request);
                Either::Left(ready(Ok(response)))
            }
            None => Either::Right(from_app(app, request).boxed_local()),
        }
    }
}

/// Lets the app answer.
async fn from_app<A>(app: Rc<A>, mut request: Request) -> Result<Response<BoxBody>, Error>
where
    A: Service<Request, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    let exchange = Exchange::begin(&mut request);
    let response = app.call(request).await?;
    Ok(exchange.end(Response::from(response)))
}

/// Answers a request as soon as its body is there; lets the app answer it if that may take longer,
/// or cannot be done.
async fn with_body<S, A>(
    app: Rc<A>,
    fast_path: Rc<S>,
    mut request: Request,
) -> Result<Response<BoxBody>, Error>
where
    S: FastPath,
    A: Service<Request, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    let body = arriving(&mut request).await;
    let response = body
        .as_ref()
        .filter(|body| is_whole(&request, body))
        .and_then(|body| fast_path.answer_with_body(&request, body));
    if let Some(response) = response {
        answered(&request);
        return Ok(response);
    }
    if let (Some(body), Payload::H1 { payload }) = (body, request.payload()) {
        payload.unread_data(body);
    }
    from_app(app, request).await
}

/// What there is of a body now, or with the next packet. Longer waiting is the app's, which knows
/// how long.
async fn arriving(request: &mut Request) -> Option<Bytes> {
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

/// Whether the bytes are as many as the request says.
fn is_whole(request: &Request, body: &[u8]) -> bool {
    let declared = request.head().headers().get(header::CONTENT_LENGTH);
    declared.and_then(|length| length.to_str().ok()?.parse::<usize>().ok()) == Some(body.len())
}
