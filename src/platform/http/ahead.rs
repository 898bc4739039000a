//! A service in front of the app. What it can answer at once never meets the router, an extractor or a future on the heap; all
//! else goes on to the app as if nothing stood before it.

use std::future::{Ready, ready};
use std::rc::Rc;

use actix_http::{Request, Response};
use actix_web::Error;
use actix_web::body::BoxBody;
use actix_web::dev::{AppConfig, Service, ServiceFactory, ServiceResponse};
use futures_util::future::{Either, LocalBoxFuture, MapOk};
use futures_util::{FutureExt, TryFutureExt};

/// Answers requests that need no waiting.
pub trait AtOnce {
    /// The whole response, or nothing: then the app answers.
    fn answer(&self, request: &Request) -> Option<Response<BoxBody>>;
}

/// An app and what stands before it.
pub struct Ahead<S, A> {
    app: A,
    at_once: Rc<S>,
}

impl<S, A> Ahead<S, A> {
    /// Puts one before an app: its factory as it is built, its service as it runs.
    pub fn of(at_once: S, app: A) -> Self {
        Self { app, at_once: Rc::new(at_once) }
    }
}

impl<S, A> ServiceFactory<Request> for Ahead<S, A>
where
    S: AtOnce + 'static,
    A: ServiceFactory<Request, Config = AppConfig, Response = ServiceResponse<BoxBody>, Error = Error>,
    A::Future: 'static,
    A::InitError: 'static,
{
    type Response = Response<BoxBody>;
    type Error = Error;
    type Config = AppConfig;
    type Service = Ahead<S, A::Service>;
    type InitError = A::InitError;
    type Future = LocalBoxFuture<'static, Result<Self::Service, Self::InitError>>;

    fn new_service(&self, config: AppConfig) -> Self::Future {
        let at_once = Rc::clone(&self.at_once);
        self.app.new_service(config).map_ok(|app| Ahead { app, at_once }).boxed_local()
    }
}

impl<S, A> Service<Request> for Ahead<S, A>
where
    S: AtOnce,
    A: Service<Request, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    type Response = Response<BoxBody>;
    type Error = Error;
    type Future =
        Either<Ready<Result<Response<BoxBody>, Error>>, MapOk<A::Future, fn(A::Response) -> Response<BoxBody>>>;

    actix_web::dev::forward_ready!(app);

    fn call(&self, request: Request) -> Self::Future {
        match self.at_once.answer(&request) {
            Some(response) => Either::Left(ready(Ok(response))),
            None => Either::Right(self.app.call(request).map_ok(Response::from)),
        }
    }
}
