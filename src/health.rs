//! What operators ask: is the process alive, can it serve, what are its figures.

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

use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::problem::{Problem, ProblemCode};
use crate::platform::http::route_metrics::{REQUEST_SECONDS, REQUESTS_TOTAL};
use crate::platform::http::routes::Routes;
use crate::publication::check::SELF_CHECKS_TOTAL;
use crate::publication::live::LiveBook;
use crate::values::wire::text_enum;

/// The gauge of the price book's version.
const BOOK_VERSION: &str = "kampanje_book_version";
/// The gauge of the price book's age, in seconds.
const BOOK_AGE_SECONDS: &str = "kampanje_book_age_seconds";
/// The gauge of whether the database answers, 0 or 1.
const DATABASE_UP: &str = "kampanje_database_up";
/// The upper bounds of the histogram of request times, in seconds: quotes take less than a
/// millisecond, batches seconds.
const REQUEST_BUCKETS: [f64; 14] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// How often the recorder puts its samples in order.
const UPKEEP: Duration = Duration::from_secs(5);

static METRICS: OnceLock<anyhow::Result<PrometheusHandle>> = OnceLock::new();

/// Adds the operations.
pub fn mount(routes: &mut Routes) {
    routes.add(__path_livez, livez).public().quiet();
    routes.add(__path_readyz, readyz).public().quiet();
    routes.add(__path_metrics, metrics).public().quiet();
}

/// Whether requests should be sent here; cloning shares it.
#[derive(Clone)]
pub struct Readiness {
    book: LiveBook,
    stopping: Arc<AtomicBool>,
}

impl Readiness {
    /// Ready as soon as there is a price book to quote from, and until [`Readiness::stop`] is
    /// called.
    #[must_use]
    pub fn new(book: LiveBook) -> Self {
        Self { book, stopping: Arc::default() }
    }

    /// From now on the service is not ready: it is about to stop.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// What the service is ready for. It asks nobody, so it is as fast as a probe wants it.
    ///
    /// # Errors
    /// 503 while there is no price book, and when the service is about to stop.
    fn check(&self) -> Result<ReadinessView, Problem> {
        if AtomicBool::load(&self.stopping, Ordering::Relaxed) {
            return Err(Problem::new(ProblemCode::Unavailable, "the service is stopping")
                .header(header::RETRY_AFTER, HeaderValue::from_static("1")));
        }
        let book = &self.book;
        let version = book.loaded()?.version();
        let stale = book.is_stale();
        // A question that hangs is no answer either.
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
        let database =
            DatabaseCheck { status: if answers { PartStatus::Ok } else { PartStatus::OutOfReach } };
        let status = if answers { ServiceStatus::Ok } else { ServiceStatus::Degraded };
        Ok(ReadinessView { status, checks: Checks { book, database } })
    }
}

text_enum! {
    /// What the service is ready for.
    ServiceStatus {
        /// Everything.
        Ok = "OK",
        /// Quotes from the last copy of the price book; the database does not answer, so nothing
        /// else can be done.
        Degraded = "DEGRADED",
    }
}

text_enum! {
    /// How a part of the service is.
    PartStatus {
        /// It answers.
        Ok = "OK",
        /// It did not answer when it was last asked.
        OutOfReach = "OUT_OF_REACH",
    }
}

/// That the service is ready, and for what.
#[derive(Serialize, ToSchema)]
#[schema(as = Readiness)]
struct ReadinessView {
    /// What the service is ready for.
    #[schema(example = "OK")]
    status: ServiceStatus,
    /// The parts.
    checks: Checks,
}

/// The parts that readiness is made of.
#[derive(Serialize, ToSchema)]
#[schema(as = ReadinessChecks)]
struct Checks {
    /// The copy of the price book that quotes are answered from.
    book: BookCheck,
    /// The database.
    database: DatabaseCheck,
}

/// The copy of the price book.
#[derive(Serialize, ToSchema)]
#[schema(as = ReadinessOfBook)]
#[serde(rename_all = "camelCase")]
struct BookCheck {
    /// The version.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 417)]
    version: i64,
    /// How many seconds ago the copy was last known to be the newest.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 0)]
    age_seconds: i64,
    /// Whether it may have missed versions.
    #[schema(example = false)]
    stale: bool,
    /// The last comparison with the database; null: there was none since the start.
    last_self_check: Option<SelfCheckView>,
}

/// A comparison of the copy of the price book with the database.
#[derive(Serialize, ToSchema)]
#[schema(as = ReadinessOfSelfCheck)]
#[serde(rename_all = "camelCase")]
struct SelfCheckView {
    /// The version that was compared.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 417)]
    version: i64,
    /// When.
    #[schema(example = "2031-05-01T12:00:00Z")]
    checked_at: DateTime<Utc>,
    /// Whether both held the same. A copy that differed was read anew.
    #[schema(example = true)]
    agrees: bool,
}

/// The database.
#[derive(Serialize, ToSchema)]
#[schema(as = ReadinessOfDatabase)]
struct DatabaseCheck {
    /// Whether it answers; quotes do not need it.
    #[schema(example = "OK")]
    status: PartStatus,
}

/// The answer of a process that is alive.
#[derive(Serialize, ToSchema)]
struct Health {
    /// Always `OK`.
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
async fn livez(call: ApiRequest) -> Result<ApiResponse, Problem> {
    call.expect_nothing()?;
    ApiResponse::json(StatusCode::OK, &Health { status: "OK" })
}

/// Whether the service can serve
///
/// There is a price book to quote from, and the service is not stopping: send requests elsewhere
/// while this fails. It does not fail while the database is out of reach, as quotes go on then; the
/// status is `DEGRADED`, and what needs the database answers 503.
#[utoipa::path(
    get, path = "/readyz", operation_id = "get_readiness", tag = "Service",
    responses((status = 200, description = "The service can serve.", body = ReadinessView))
)]
async fn readyz(call: ApiRequest, readiness: web::Data<Readiness>) -> Result<ApiResponse, Problem> {
    call.expect_nothing()?;
    ApiResponse::json(StatusCode::OK, &readiness.check()?)
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
async fn metrics(call: ApiRequest, book: web::Data<LiveBook>) -> Result<HttpResponse, Problem> {
    call.expect_nothing()?;
    metrics::gauge!(BOOK_VERSION).set(figure(book.snapshot().version()));
    if book.is_loaded() {
        metrics::gauge!(BOOK_AGE_SECONDS).set(figure(book.age_seconds()));
    }
    metrics::gauge!(DATABASE_UP).set(if book.database_answers() { 1.0 } else { 0.0 });
    let text = recorded().map(PrometheusHandle::render).unwrap_or_default();
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text))
}

/// A number as the recorder takes it; four thousand million are more than any of ours.
fn figure(number: i64) -> f64 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX).into()
}

/// Begins to count. Once per process; doing it again changes nothing.
///
/// # Errors
/// When somebody else has installed a recorder, which is a defect.
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
        SELF_CHECKS_TOTAL,
        Unit::Count,
        "Comparisons of the price book in memory with the database: same, different, failed."
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
