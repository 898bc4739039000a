//! Liveness, readiness and metrics, for probes and operators.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use metrics::Unit;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde::Serialize;
use utoipa::ToSchema;
use values::text_enum;

use crate::live_book::LiveBook;
use crate::live_book::check::SELF_CHECKS_TOTAL;
use crate::platform::http::access::Access;
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::problem::{Problem, ProblemCode};
use crate::platform::http::route_metrics::{REQUEST_SECONDS, REQUESTS_TOTAL};
use crate::platform::http::routes::Routes;
use crate::webhooks::sender::{ATTEMPTS_TOTAL, DISABLED_TOTAL, LAG_SECONDS, PENDING};

/// Gauge of the price book's version.
const BOOK_VERSION: &str = "kampanje_book_version";
/// Gauge of the price book's age in seconds.
const BOOK_AGE_SECONDS: &str = "kampanje_book_age_seconds";
/// Gauge of the database: 1 if it answers, else 0.
const DATABASE_UP: &str = "kampanje_database_up";
/// Upper bounds of the histogram of request times, in seconds. A quote takes less than a
/// millisecond, a batch seconds.
const REQUEST_BUCKETS: [f64; 14] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Interval of the recorder's upkeep, which merges its samples.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

static METRICS: OnceLock<anyhow::Result<PrometheusHandle>> = OnceLock::new();

/// Adds the operations to the route table.
pub fn mount(routes: &mut Routes) {
    routes.add(Access::Public, __path_livez, livez).quiet();
    routes.add(Access::Public, __path_readyz, readyz).quiet();
    routes.add(Access::Public, __path_metrics, metrics).quiet();
}

/// The readiness of the service. Cloning shares it.
#[derive(Clone)]
pub struct Readiness {
    book: LiveBook,
    stopping: Arc<AtomicBool>,
}

impl Readiness {
    /// Creates the readiness of a service that answers quotes from `book`. It is ready once the
    /// book is loaded, until [`Readiness::stop`] is called.
    #[must_use]
    pub fn new(book: LiveBook) -> Self {
        Self { book, stopping: Arc::default() }
    }

    /// Marks the service as not ready, because it is about to stop.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Returns the readiness. It sends no query, so a probe is never delayed.
    ///
    /// # Errors
    /// 503 while no price book is loaded, and when the service is about to stop.
    fn check(&self) -> Result<ReadinessView, Problem> {
        if AtomicBool::load(&self.stopping, Ordering::Relaxed) {
            return Err(Problem::new(ProblemCode::Unavailable, "the service is stopping")
                .header(header::RETRY_AFTER, HeaderValue::from_static("1")));
        }
        let book = &self.book;
        let version = book.loaded()?.version();
        let stale = book.is_stale();
        // A stale book means that the refresher's query does not return, so the database does not
        // answer.
        let answers = book.database_answers() && !stale;
        let last_check = book.last_check().map(|check| SelfCheckView {
            version: check.version,
            checked_at: check.at,
            agrees: check.agrees,
        });
        let book = BookCheck {
            version,
            age_seconds: book.age_seconds(),
            stale,
            last_self_check: last_check,
        };
        let database = DatabaseCheck {
            status: if answers { PartStatus::Ok } else { PartStatus::Unreachable },
        };
        let status = if answers { ServiceStatus::Ok } else { ServiceStatus::Degraded };
        Ok(ReadinessView { status, checks: Checks { book, database } })
    }
}

text_enum! {
    /// The overall status of the service.
    ServiceStatus {
        /// All operations are available.
        Ok = "OK",
        /// Only quotes are available, from the last version of the price book in memory. The
        /// database does not answer, and every other operation needs it.
        Degraded = "DEGRADED",
    }
}

text_enum! {
    /// The status of one dependency.
    PartStatus {
        /// The dependency answers.
        Ok = "OK",
        /// The dependency did not answer the last request.
        Unreachable = "OUT_OF_REACH",
    }
}

/// The readiness of the service and of its parts.
#[derive(Serialize, ToSchema)]
#[schema(as = Readiness)]
struct ReadinessView {
    /// The overall status of the service.
    #[schema(example = "OK")]
    status: ServiceStatus,
    /// The checks of the parts.
    checks: Checks,
}

/// The checks of which readiness consists.
#[derive(Serialize, ToSchema)]
#[schema(as = ReadinessChecks)]
struct Checks {
    /// The in-memory price book from which quotes are answered.
    book: BookCheck,
    /// The database.
    database: DatabaseCheck,
}

/// The check of the in-memory price book.
#[derive(Serialize, ToSchema)]
#[schema(as = ReadinessOfBook)]
#[serde(rename_all = "camelCase")]
struct BookCheck {
    /// The version of the book.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 417)]
    version: i64,
    /// Seconds since the book was last known to be the newest version.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 0)]
    age_seconds: i64,
    /// True if the book may have missed versions.
    #[schema(example = false)]
    stale: bool,
    /// The last comparison with the database; null if there was none since the start.
    last_self_check: Option<SelfCheckView>,
}

/// A comparison of the in-memory price book with the database.
#[derive(Serialize, ToSchema)]
#[schema(as = ReadinessOfSelfCheck)]
#[serde(rename_all = "camelCase")]
struct SelfCheckView {
    /// The compared version.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 417)]
    version: i64,
    /// The time of the comparison.
    #[schema(example = "2031-05-01T12:00:00Z")]
    checked_at: DateTime<Utc>,
    /// True if both were equal. A book that differed was read again.
    #[schema(example = true)]
    agrees: bool,
}

/// The check of the database.
#[derive(Serialize, ToSchema)]
#[schema(as = ReadinessOfDatabase)]
struct DatabaseCheck {
    /// The status of the database. Quotes do not need it.
    #[schema(example = "OK")]
    status: PartStatus,
}

/// The response of a live process.
#[derive(Serialize, ToSchema)]
struct Health {
    /// Always `OK`.
    #[schema(max_length = 2, example = "OK")]
    status: &'static str,
}

/// Check liveness
///
/// Answers 200 as long as the process runs; depends on nothing else. Restart the process when this
/// fails.
#[utoipa::path(
    get, path = "/livez", operation_id = "get_liveness", tag = "Service",
    responses((status = 200, description = "The process is alive.", body = Health))
)]
async fn livez(request: ApiRequest) -> Result<ApiResponse, Problem> {
    request.expect_empty()?;
    ApiResponse::json(StatusCode::OK, &Health { status: "OK" })
}

/// Check readiness
///
/// Answers 200 if a price book is loaded and the service is not stopping. Send requests elsewhere
/// while this fails. While the database is unavailable it still answers 200, because quotes do not
/// need the database; the status is `DEGRADED`, and every other operation answers 503.
#[utoipa::path(
    get, path = "/readyz", operation_id = "get_readiness", tag = "Service",
    responses((status = 200, description = "The service can serve.", body = ReadinessView))
)]
async fn readyz(
    request: ApiRequest,
    readiness: web::Data<Readiness>,
) -> Result<ApiResponse, Problem> {
    request.expect_empty()?;
    ApiResponse::json(StatusCode::OK, &readiness.check()?)
}

/// The metrics in the text format of Prometheus.
#[derive(ToSchema)]
#[schema(value_type = String, max_length = 10_000_000)]
#[allow(dead_code, reason = "only its schema is used")]
struct Metrics(String);

/// Get metrics
///
/// Returns the metrics of this process in the text format of Prometheus.
#[utoipa::path(
    get, path = "/metrics", operation_id = "get_metrics", tag = "Service",
    responses((
        status = 200, description = "The metrics.", content_type = "text/plain", body = Metrics,
        example = "kampanje_http_requests_total{method=\"GET\",route=\"/livez\",status=\"200\"} 1"
    ))
)]
async fn metrics(request: ApiRequest, book: web::Data<LiveBook>) -> Result<HttpResponse, Problem> {
    request.expect_empty()?;
    metrics::gauge!(BOOK_VERSION).set(gauge_value(book.snapshot().version()));
    if book.is_loaded() {
        metrics::gauge!(BOOK_AGE_SECONDS).set(gauge_value(book.age_seconds()));
    }
    metrics::gauge!(DATABASE_UP).set(if book.database_answers() { 1.0 } else { 0.0 });
    let text = recorder().map(PrometheusHandle::render).unwrap_or_default();
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text))
}

/// Converts a number for a gauge. Larger numbers than 2^32 − 1 do not occur.
fn gauge_value(number: i64) -> f64 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX).into()
}

/// Installs the recorder of metrics. Repeated calls in one process have no effect.
///
/// # Errors
/// When another recorder is installed, which is a defect.
pub fn record_metrics() -> anyhow::Result<()> {
    METRICS
        .get_or_init(install_recorder)
        .as_ref()
        .map(drop)
        .map_err(|error| anyhow::anyhow!("{error:#}"))
}

fn install_recorder() -> anyhow::Result<PrometheusHandle> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(REQUEST_SECONDS.to_owned()), &REQUEST_BUCKETS)?
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder)
        .map_err(|_| anyhow::anyhow!("the metrics have a recorder already"))?;
    metrics::describe_counter!(
        REQUESTS_TOTAL,
        Unit::Count,
        "Requests answered, by method, route and status."
    );
    metrics::describe_histogram!(
        REQUEST_SECONDS,
        Unit::Seconds,
        "How long requests took, by method, route and status."
    );
    metrics::describe_gauge!(
        BOOK_VERSION,
        Unit::Count,
        "The version of the price book that quotes are answered from."
    );
    metrics::describe_gauge!(
        BOOK_AGE_SECONDS,
        Unit::Seconds,
        "How long ago it was last known to be the newest."
    );
    metrics::describe_gauge!(DATABASE_UP, Unit::Count, "Whether the database answers.");
    metrics::describe_counter!(
        ATTEMPTS_TOTAL,
        Unit::Count,
        "Attempts to deliver events to webhooks: success, failure."
    );
    metrics::describe_counter!(
        DISABLED_TOTAL,
        Unit::Count,
        "Webhook subscriptions that the service disabled, by reason: GONE, FAILING."
    );
    metrics::describe_gauge!(PENDING, Unit::Count, "Deliveries to webhooks that are pending.");
    metrics::describe_gauge!(
        LAG_SECONDS,
        Unit::Seconds,
        "How late the oldest due delivery to a webhook is."
    );
    metrics::describe_counter!(
        SELF_CHECKS_TOTAL,
        Unit::Count,
        "Comparisons of the price book in memory with the database: same, different, failed."
    );
    Ok(handle)
}

fn recorder() -> Option<&'static PrometheusHandle> {
    METRICS.get().and_then(|handle| handle.as_ref().ok())
}

/// Runs the recorder's upkeep for as long as the process lives.
pub async fn keep_metrics() {
    let mut tick = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        tick.tick().await;
        if let Some(handle) = recorder() {
            handle.run_upkeep();
        }
    }
}
