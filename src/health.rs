//! What operators ask: is the process alive, can it serve, what are its figures.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, web};
use diesel::prelude::*;
use diesel::sql_types::Integer;
use diesel_async::RunQueryDsl;
use metrics::Unit;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde::Serialize;
use utoipa::ToSchema;

use crate::platform::effect::Database;
use crate::platform::http::call::{Answer, Call};
use crate::platform::http::figures::{REQUEST_SECONDS, REQUESTS_TOTAL};
use crate::platform::http::problem::{Problem, ProblemCode};
use crate::platform::http::routes::Routes;

/// How long the database may take to answer before the service counts as not ready.
const DATABASE_PATIENCE: Duration = Duration::from_secs(2);
/// The upper bounds of the histogram of request times, in seconds: quotes take less than a millisecond, batches seconds.
const REQUEST_BUCKETS: [f64; 14] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// How often the recorder puts its samples in order.
const UPKEEP: Duration = Duration::from_secs(5);

static METRICS: OnceLock<anyhow::Result<PrometheusHandle>> = OnceLock::new();

/// Adds the operations.
pub fn mount(routes: &mut Routes) {
    routes.add(__path_livez, livez);
    routes.add(__path_readyz, readyz);
    routes.add(__path_metrics, metrics);
}

/// Whether requests should be sent here; cloning shares it.
#[derive(Clone)]
pub struct Readiness {
    database: Database,
    stopping: Arc<AtomicBool>,
}

impl Readiness {
    /// Ready as long as the database is in reach and [`Readiness::stop`] has not been called.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database, stopping: Arc::default() }
    }

    /// From now on the service is not ready: it is about to stop.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Asks every part that has to be there before a request makes sense.
    ///
    /// # Errors
    /// 503 with the part that is missing.
    pub async fn check(&self) -> Result<(), Problem> {
        if AtomicBool::load(&self.stopping, Ordering::Relaxed) {
            return Err(Problem::new(ProblemCode::Unavailable, "the service is stopping")
                .header(header::RETRY_AFTER, HeaderValue::from_static("1")));
        }
        tokio::time::timeout(DATABASE_PATIENCE, self.database_answers())
            .await
            .unwrap_or_else(|_| Err(Problem::unavailable("the database does not answer in time")))
    }

    async fn database_answers(&self) -> Result<(), Problem> {
        let mut conn = self.database.read().await?;
        let one = diesel::select(1.into_sql::<Integer>()).get_result::<i32>(&mut conn).await;
        one.map(drop).map_err(Problem::unavailable)
    }
}

/// The answer of a health check that went well.
#[derive(Serialize, ToSchema)]
struct Health {
    /// Always `OK`; what is not well is a problem.
    #[schema(max_length = 2, example = "OK")]
    status: &'static str,
}

/// Whether the process is alive
///
/// Depends on nothing. Restart the process when this fails.
#[utoipa::path(
    get, path = "/livez", operation_id = "get_liveness", tag = "Service",
    responses((status = 200, description = "The process is alive.", body = Health))
)]
async fn livez(call: Call) -> Result<Answer, Problem> {
    call.expect_nothing()?;
    Answer::json(StatusCode::OK, &Health { status: "OK" })
}

/// Whether the service can serve
///
/// The database is in reach and the service is not stopping. Send requests elsewhere while this fails.
#[utoipa::path(
    get, path = "/readyz", operation_id = "get_readiness", tag = "Service",
    responses((status = 200, description = "The service can serve.", body = Health))
)]
async fn readyz(call: Call, readiness: web::Data<Readiness>) -> Result<Answer, Problem> {
    call.expect_nothing()?;
    readiness.check().await?;
    Answer::json(StatusCode::OK, &Health { status: "OK" })
}

/// The figures in the text format of Prometheus.
#[derive(ToSchema)]
#[schema(value_type = String, max_length = 10_000_000)]
#[allow(dead_code, reason = "only its schema is used")]
struct Metrics(String);

/// The figures of this process
///
/// In the text format of Prometheus.
#[utoipa::path(
    get, path = "/metrics", operation_id = "get_metrics", tag = "Service",
    responses((status = 200, description = "The figures.", content_type = "text/plain", body = Metrics,
        example = "kampanje_http_requests_total{method=\"GET\",route=\"/livez\",status=\"200\"} 1"))
)]
async fn metrics(call: Call) -> Result<HttpResponse, Problem> {
    call.expect_nothing()?;
    let text = recorded().map(PrometheusHandle::render).unwrap_or_default();
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text))
}

/// Begins to count. Once per process; doing it again changes nothing.
///
/// # Errors
/// When somebody else has installed a recorder, which is a defect.
pub fn record_metrics() -> anyhow::Result<()> {
    METRICS.get_or_init(install_recorder).as_ref().map(drop).map_err(|error| anyhow::anyhow!("{error:#}"))
}

fn install_recorder() -> anyhow::Result<PrometheusHandle> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(REQUEST_SECONDS.to_owned()), &REQUEST_BUCKETS)?
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|_| anyhow::anyhow!("the metrics have a recorder already"))?;
    metrics::describe_counter!(REQUESTS_TOTAL, Unit::Count, "Requests answered, by method, route and status.");
    metrics::describe_histogram!(
        REQUEST_SECONDS,
        Unit::Seconds,
        "How long requests took, by method, route and status."
    );
    Ok(handle)
}

fn recorded() -> Option<&'static PrometheusHandle> {
    METRICS.get().and_then(|handle| handle.as_ref().ok())
}

/// Keeps the recorder's samples in order, for as long as the process lives.
pub async fn keep_metrics() {
    let mut tick = tokio::time::interval(UPKEEP);
    loop {
        tick.tick().await;
        if let Some(handle) = recorded() {
            handle.run_upkeep();
        }
    }
}
