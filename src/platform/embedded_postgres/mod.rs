//! A private PostgreSQL server as a child process.
