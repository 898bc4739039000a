//! The route table: one list from which both the actix app and the OpenAPI document are built.
//! Neither can contain a route that the other does not.

use std::collections::BTreeMap;
use std::rc::Rc;

use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::middleware::from_fn;
use actix_web::{
    FromRequest, Handler, HttpMessage as _, HttpRequest, HttpResponse, Responder, Route, web,
};
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{HttpMethod, Operation};
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{ComponentsBuilder, Info, OpenApi, PathItem, Paths, RefOr, Response};
use utoipa::{PartialSchema, ToSchema};

use super::access::Access;
use super::access::scope::Scope;
use super::middleware::{RequestLog, TABLE_TYPES, guard, method_not_allowed};
use super::nearest_path::nearest_path;
use super::problem::{Problem, ProblemCode};
use super::request_ids::OperationId;
use super::route_metrics::RouteMetrics;

/// An operation: its documentation and its handler.
struct RouteEntry {
    method: Method,
    path: String,
    operation: Operation,
    /// One route, or two for a GET, which answers HEAD too.
    routes: Vec<Route>,
    access: Access,
    log: RequestLog,
}

/// Operations that were just added, for declaring their exceptions.
pub struct Added<'a>(&'a mut [RouteEntry]);

impl Added<'_> {
    /// Logs requests of the operations at level debug only.
    pub fn quiet(self) -> Self {
        self.0.iter_mut().for_each(|entry| entry.log = RequestLog::Quiet);
        self
    }
}

/// All operations and the schemas to which they refer.
#[derive(Default)]
pub struct Routes {
    entries: Vec<RouteEntry>,
    schemas: Vec<(String, RefOr<Schema>)>,
}

impl Routes {
    /// Adds a handler that is documented by `#[utoipa::path]`, for callers with this access. The
    /// second argument is the item that the macro generates.
    pub fn add<P, F, A>(
        &mut self,
        access: impl Into<Access>,
        _documentation: P,
        handler: F,
    ) -> Added<'_>
    where
        P: utoipa::Path + utoipa::__dev::SchemaReferences + utoipa::__dev::Tags<'static>,
        F: Handler<A>,
        A: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        P::schemas(&mut self.schemas);
        let access = access.into();
        let first = self.entries.len();
        let mut operation = P::operation();
        operation.deprecated = None;
        operation.tags = Some(P::tags().into_iter().map(str::to_owned).collect());
        for method in P::methods() {
            self.operation(access, method, &P::path(), operation.clone(), handler.clone());
        }
        Added(self.entries.get_mut(first..).unwrap_or_default())
    }

    /// Adds a handler with documentation built by hand, for callers with this access.
    pub fn operation<F, A>(
        &mut self,
        access: impl Into<Access>,
        method: HttpMethod,
        path: &str,
        operation: Operation,
        handler: F,
    ) -> Added<'_>
    where
        F: Handler<A>,
        A: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let method = actix_method(&method);
        let mut routes = vec![web::method(method.clone()).to(handler.clone())];
        if method == Method::GET {
            routes.push(web::head().to(handler));
        }
        let (access, log) = (access.into(), RequestLog::default());
        let first = self.entries.len();
        self.entries.push(RouteEntry {
            method,
            path: path.to_owned(),
            operation,
            routes,
            access,
            log,
        });
        Added(self.entries.get_mut(first..).unwrap_or_default())
    }

    /// Adds a schema and the schemas to which it refers.
    pub fn schema<T: ToSchema>(&mut self) {
        self.schemas.push((T::name().into_owned(), <T as PartialSchema>::schema()));
        T::schemas(&mut self.schemas);
    }

    /// Adds a schema built by hand.
    pub fn named_schema(&mut self, name: &str, schema: RefOr<Schema>) {
        self.schemas.push((name.to_owned(), schema));
    }

    /// Mounts all operations with their declared access. A path with another method answers 405
    /// with `Allow`, every other path 404 with the nearest path that exists; both need credentials.
    pub fn configure(self, app: &mut web::ServiceConfig) {
        let mut paths: Vec<(String, Vec<RouteEntry>)> = Vec::new();
        for entry in self.entries {
            match paths.iter_mut().find(|(path, _)| *path == entry.path) {
                Some((_, operations)) => operations.push(entry),
                None => paths.push((entry.path.clone(), vec![entry])),
            }
        }
        // Paths without parameters come first, as they are compared without a regular expression. A
        // literal segment precedes a parameter at the same place: `/batch` is not a key.
        paths.sort_by_key(|(path, _)| (path.contains('{'), path.replace('{', "~")));
        let known: Rc<[_]> = paths.iter().map(|(path, _)| path.clone()).collect();
        for (path, operations) in paths {
            let declared: Rc<[Declared]> = operations.iter().map(Declared::of).collect();
            let mut allowed: Vec<Method> =
                declared.iter().map(|declared| declared.method.clone()).collect();
            if allowed.contains(&Method::GET) {
                allowed.push(Method::HEAD);
            }
            let quiet = operations.iter().all(|entry| entry.log == RequestLog::Quiet);
            let log = if quiet { RequestLog::Quiet } else { RequestLog::Normal };
            let mut resource =
                web::resource(path.as_str()).app_data(RouteMetrics::new(path)).app_data(log);
            for route in operations.into_iter().flat_map(|entry| entry.routes) {
                resource = resource.route(route);
            }
            let refuse = move || {
                let response = method_not_allowed(&allowed);
                async move { response }
            };
            let guarded = move |request: ServiceRequest, next| {
                let operation = find(&declared, request.method());
                if let Some(operation) = operation {
                    request.extensions_mut().insert(operation.id.clone());
                }
                let access = operation.map_or(Access::Authenticated, |operation| operation.access);
                let has_tables = operation.is_some_and(|operation| operation.has_tables);
                guard(access, log, has_tables, request, next)
            };
            app.service(resource.default_service(web::to(refuse)).wrap(from_fn(guarded)));
        }
        let guarded =
            |request, next| guard(Access::Authenticated, RequestLog::Normal, false, request, next);
        let not_found = web::to(move |request: HttpRequest| {
            let problem = no_path(request.path(), &known);
            async move { HttpResponse::from_error(problem) }
        });
        app.default_service(not_found.wrap(from_fn(guarded)));
    }

    /// Returns the access that an operation declares; `None` if there is no such operation.
    #[must_use]
    pub fn access(&self, method: &Method, path: &str) -> Option<Access> {
        let declared =
            self.entries.iter().find(|entry| entry.method == *method && entry.path == path);
        declared.map(|entry| entry.access)
    }

    /// Returns the method and path of every operation.
    #[must_use]
    pub fn served(&self) -> Vec<(String, String)> {
        self.entries.iter().map(|entry| (entry.method.to_string(), entry.path.clone())).collect()
    }

    /// Returns all schemas by name. A schema that several operations use occurs several times.
    #[must_use]
    pub fn schemas(&self) -> &[(String, RefOr<Schema>)] {
        &self.schemas
    }

    /// Builds the bare document: paths and schemas.
    #[must_use]
    pub fn document(&self, info: Info) -> OpenApi {
        let mut items: BTreeMap<String, PathItem> = BTreeMap::new();
        for entry in &self.entries {
            let item = items.entry(entry.path.clone()).or_default();
            let slot = match entry.method {
                Method::GET => &mut item.get,
                Method::PUT => &mut item.put,
                Method::POST => &mut item.post,
                Method::DELETE => &mut item.delete,
                _ => &mut item.patch,
            };
            let mut operation = entry.operation.clone();
            match entry.access {
                Access::Public => operation.security = Some(Vec::new()),
                Access::Authenticated => {}
                Access::Scope(scope) => declare_scope(&mut operation, scope),
            }
            *slot = Some(operation);
        }
        let mut paths = Paths::new();
        paths.paths.extend(items);
        let components =
            self.schemas.iter().fold(ComponentsBuilder::new(), |components, (name, schema)| {
                components.schema(name, schema.clone())
            });
        let mut document = OpenApi::new(info, paths);
        document.components = Some(components.build());
        document
    }
}

/// Adds the scope that an operation requires to its documentation.
fn declare_scope(operation: &mut Operation, scope: Scope) {
    let sentence = format!("Scope: `{scope}`.");
    operation.description = Some(match operation.description.take() {
        Some(description) => format!("{description}\n\n{sentence}"),
        None => sentence,
    });
    let extension = ExtensionsBuilder::new().add("x-required-scope", scope.text()).build();
    operation.extensions.get_or_insert_default().merge(extension);
}

/// Returns the problem of a path that does not exist. It names the nearest one that does.
fn no_path(path: &str, known: &[String]) -> Problem {
    let near = nearest_path(path, known);
    let detail = format!("nothing is at {path}; the nearest path is {near}");
    let mut problem = Problem::new(ProblemCode::NotFound, detail);
    problem.extensions.insert("nearest".to_owned(), near.into());
    problem
}

/// The part of a [`RouteEntry`] that requests need.
struct Declared {
    method: Method,
    access: Access,
    id: OperationId,
    /// True if the documentation has a response that is a table.
    has_tables: bool,
}

impl Declared {
    fn of(entry: &RouteEntry) -> Self {
        let id = entry.operation.operation_id.as_deref().unwrap_or_default();
        let is_table = |response: &RefOr<Response>| match response {
            RefOr::T(response) => {
                response.content.keys().any(|media| TABLE_TYPES.contains(&&**media))
            }
            RefOr::Ref(_) => false,
        };
        Self {
            method: entry.method.clone(),
            access: entry.access,
            id: OperationId::new(id),
            has_tables: entry.operation.responses.responses.values().any(is_table),
        }
    }
}

/// Returns the operation of a path for a method; HEAD counts as GET.
fn find<'a>(declared: &'a [Declared], method: &Method) -> Option<&'a Declared> {
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    declared.iter().find(|declared| declared.method == *method)
}

const fn actix_method(method: &HttpMethod) -> Method {
    match method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Delete => Method::DELETE,
        HttpMethod::Patch => Method::PATCH,
        HttpMethod::Options => Method::OPTIONS,
        HttpMethod::Head => Method::HEAD,
        HttpMethod::Trace => Method::TRACE,
    }
}
