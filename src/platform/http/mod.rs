//! The HTTP layer that all modules share: problems, bodies, lists, ETags, the plain resource, the
//! route table.

pub mod access;
pub mod batch;
pub mod call;
pub mod connections;
pub mod constraints;
pub mod etag;
pub mod json;
pub mod list;
pub mod middleware;
pub mod mount;
mod nearest_path;
pub mod problem;
pub mod resource;
pub mod route_metrics;
pub mod routes;
pub mod short_circuit;
pub mod stream;
