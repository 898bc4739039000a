//! The HTTP layer that all modules share: problems, bodies, lists, ETags, the route table.

pub mod access;
pub mod call;
pub mod connections;
mod database_error;
pub mod etag;
pub mod framing;
pub mod json;
pub mod list;
pub mod middleware;
mod nearest_path;
pub mod operations;
pub mod problem;
pub mod request_ids;
pub mod route_metrics;
pub mod routes;
pub mod short_circuit;
pub mod stream;
