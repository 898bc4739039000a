//! Tasks on the source tree: `cargo xtask --help` lists them.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod layers;
mod openapi;
mod sdks;

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

/// Tasks on the source tree.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Generate openapi/*.json, docs/errors.md, and the models and resources of the SDKs.
    Openapi {
        /// Fail if a file is not current, instead of writing it.
        #[arg(long)]
        check: bool,
    },
    /// Check that modules import only from lower layers.
    CheckLayers,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().task {
        Task::Openapi { check: true } => openapi::check_files(&root()),
        Task::Openapi { check: false } => openapi::write_files(&root()),
        Task::CheckLayers => layers::check(&root()),
    }
}

/// The root of the source tree.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_files_are_current() {
        openapi::check_files(&root()).unwrap();
    }

    #[test]
    fn modules_import_from_lower_layers_only() {
        layers::check(&root()).unwrap();
    }

    #[test]
    fn command_line_is_valid() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
