//! The service on several PostgreSQL servers, through poolers and proxies, and over TLS.
//!
//! These tests need programs that `./test` does not need, so `.ci/failover` runs them: PgBouncer
//! and OpenSSL.
//!
//! ```text
//! servers.rs   PostgreSQL servers with a port: a primary, its standby, one with TLS
//! proxy.rs     a proxy that stops forwarding without closing its connections
//! service.rs   the service as a process
//! failover.rs  the primary is frozen or vanishes, and its standby is promoted
//! pooler.rs    PgBouncer in session mode and in transaction mode
//! tls.rs       the check of the server's certificate by `sslmode`
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::float_arithmetic
)]

mod failover;
mod pooler;
mod proxy;
mod servers;
mod service;
mod tls;
