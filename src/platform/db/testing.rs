//! A throwaway database server for one test, stopped when the value is dropped.

use embedded_postgres::{Durability, EmbeddedPostgres, Settings};

pub(super) struct Server(EmbeddedPostgres);

impl Server {
    pub(super) fn start(name: &str) -> Self {
        let data_dir = std::env::temp_dir().join(format!("kampanje-{name}-{}", std::process::id()));
        Self(EmbeddedPostgres::start(Settings::new(data_dir, Durability::Throwaway)).unwrap())
    }

    /// Returns the URL of an empty database.
    pub(super) fn url(&self) -> String {
        self.0.create_database_if_missing("empty").unwrap();
        self.0.url("empty")
    }
}
