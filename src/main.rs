//! The binary: reads the command line, sets up the log and runs the command. An error is printed as
//! one line.

use std::io::{IsTerminal, Read, Write, stderr};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use kampanje::config::{Cli, Command, LogFormat, from_here};
use kampanje::serve;
use tracing_subscriber::EnvFilter;

/// mimalloc is faster than the system's allocator at many small values on many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Timeout of a health check.
const HEALTHCHECK_TIMEOUT: Duration = Duration::from_secs(4);

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!(
                "kampanje: {}",
                format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ")
            );
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    start_log(&cli.log, cli.log_format)?;
    match cli.command {
        Command::Serve(settings) => {
            actix_web::rt::System::new().block_on(serve::serve(settings, false))
        }
        Command::Demo(settings) => {
            actix_web::rt::System::new().block_on(serve::serve(settings, true))
        }
        Command::Healthcheck(listen) => check_health(listen.address),
    }
}

/// Sets up the log on standard error; standard output is for the output of commands.
fn start_log(filter: &str, format: LogFormat) -> anyhow::Result<()> {
    let filter =
        EnvFilter::try_new(filter).with_context(|| format!("{filter:?} is no log filter"))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    match format {
        LogFormat::Text => log.with_ansi(stderr().is_terminal()).init(),
        LogFormat::Json => log.json().flatten_event(true).with_span_list(false).init(),
    }
    Ok(())
}

/// Queries the readiness of a service on this machine.
fn check_health(listens: SocketAddr) -> anyhow::Result<()> {
    let address = from_here(listens);
    let request = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, HEALTHCHECK_TIMEOUT)?;
        stream.set_read_timeout(Some(HEALTHCHECK_TIMEOUT))?;
        write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.take(4_096).read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = request().with_context(|| format!("{address} does not answer"))?;
    let status = answer.lines().next().unwrap_or_default();
    anyhow::ensure!(status.starts_with("HTTP/1.1 200 "), "the service is not ready: {status}");
    Ok(())
}
