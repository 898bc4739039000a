//! What every room's HTTP side shares: problems, bodies, lists, ETags, the plain resource, the route table.

pub mod access;
pub mod ahead;
pub mod batch;
pub mod call;
pub mod connections;
pub mod constraints;
pub mod etag;
pub mod figures;
pub mod json;
pub mod list;
pub mod middleware;
pub mod mount;
pub mod problem;
pub mod resource;
pub mod routes;
pub mod stream;
