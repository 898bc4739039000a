//! The binary: reads the command line, sets up the log and runs the command. An error is printed as
//! one line.

use std::io::{IsTerminal, Read, Write, stderr};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use kampanje::config::{Cli, Command, LogFormat, from_here};
use kampanje::{serve, transfer};
use tracing_subscriber::EnvFilter;

/// mimalloc is faster than the system's allocator at many small values on many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The target of the log line of each request.
const REQUESTS: &str = "kampanje::platform::http";
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
    let is_demo = matches!(cli.command, Command::Demo(_));
    let show_requests = start_log(&cli.log, cli.log_format, is_demo)?;
    match cli.command {
        Command::Serve(settings) => {
            actix_web::rt::System::new().block_on(serve::serve(settings, None))
        }
        Command::Demo(settings) => {
            actix_web::rt::System::new().block_on(serve::serve(settings, Some(show_requests)))
        }
        Command::Migrate(settings) => {
            actix_web::rt::System::new().block_on(serve::migrate(&settings))
        }
        Command::NewHistory(settings) => {
            let book_id = actix_web::rt::System::new().block_on(serve::new_history(&settings))?;
            println!("{book_id}");
            Ok(())
        }
        Command::Import(settings) => {
            actix_web::rt::System::new().block_on(transfer::import(&settings))
        }
        Command::Export(settings) => {
            actix_web::rt::System::new().block_on(transfer::export(&settings))
        }
        Command::Healthcheck(listen) => check_health(listen.address),
    }
}

/// Sets up the log on standard error; standard output is for the output of commands. The requests
/// of the demo are not logged until the returned function is called, as they would hide its output.
fn start_log(filter: &str, format: LogFormat, is_demo: bool) -> anyhow::Result<Box<dyn FnOnce()>> {
    let parse = |filter: &str| {
        // The HTTP library logs malformed requests as errors and without bound. The service logs
        // them itself. A filter that names the library still applies.
        EnvFilter::try_new(format!("actix_http=off,{filter}"))
            .with_context(|| format!("{filter:?} is no log filter"))
    };
    let wanted = parse(filter)?;
    let first = if is_demo { parse(&format!("{filter},{REQUESTS}=warn"))? } else { parse(filter)? };
    let log = tracing_subscriber::fmt().with_env_filter(first).with_writer(stderr);
    Ok(match format {
        LogFormat::Text => {
            let log = log.with_ansi(stderr().is_terminal()).with_filter_reloading();
            let handle = log.reload_handle();
            log.init();
            Box::new(move || drop(handle.reload(wanted)))
        }
        LogFormat::Json => {
            let log = log.json().flatten_event(true).with_span_list(false).with_filter_reloading();
            let handle = log.reload_handle();
            log.init();
            Box::new(move || drop(handle.reload(wanted)))
        }
    })
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
