//! `kampanje import` and `kampanje export`: clients of a running service, with a progress bar.

use std::path::Path;
use std::time::Duration;

use actix_web::web::Bytes;
use anyhow::{Context as _, Error, bail, ensure};
use futures_util::stream;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::{Body, Client, RequestBuilder, Response, Url};
use serde_json::Value;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::config::{ExportSettings, ImportSettings, ServiceSettings};
use crate::imports::targets;
use crate::platform::http::call::IMPORTS_PATH;
use crate::platform::http::list::encode;
use crate::platform::tls;
use crate::tabular::{CSV, NDJSON, XLSX};

/// Interval between two reads of an import.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Timeout for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout for the next bytes of a response.
const READ_TIMEOUT: Duration = Duration::from_secs(300);
/// Time after which the command no longer waits for an import.
const MAX_WAIT: Duration = Duration::from_secs(86_400);
/// Maximum number of errors that are printed.
const MAX_PRINTED_ERRORS: usize = 20;
/// Size of the pieces of a file.
const PIECE_BYTES: usize = 65_536;

/// The service that a command uses.
struct Service {
    url: Url,
    api_key: Option<String>,
    client: Client,
}

impl Service {
    fn new(settings: &ServiceSettings) -> anyhow::Result<Self> {
        let url =
            Url::parse(&settings.url).with_context(|| format!("{:?} is no URL", settings.url))?;
        let tls = tls::platform_verifier().and_then(tls::client_config).map_err(Error::msg)?;
        let client = Client::builder()
            .use_preconfigured_tls(tls)
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .build()?;
        Ok(Self { url, api_key: settings.api_key()?, client })
    }

    fn url(&self, path: &str) -> anyhow::Result<Url> {
        Ok(self.url.join(path)?)
    }

    async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let request = match &self.api_key {
            Some(key) => request.bearer_auth(key),
            None => request,
        };
        let response = request.send().await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = response.text().await?;
        let problem: Value = serde_json::from_str(&text).unwrap_or_default();
        bail!("{}", describe(&problem).unwrap_or_else(|| format!("the service answered {status}")))
    }

    async fn json(&self, request: RequestBuilder) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.send(request).await?.text().await?)?)
    }
}

/// Returns the details of a problem and its errors.
fn describe(problem: &Value) -> Option<String> {
    let detail = problem.get("detail").and_then(Value::as_str)?;
    let errors = problem.get("errors").and_then(Value::as_array).into_iter().flatten();
    let lines = errors.take(MAX_PRINTED_ERRORS).filter_map(|error| {
        Some(format!("{}: {}", error.get("pointer")?.as_str()?, error.get("detail")?.as_str()?))
    });
    Some(std::iter::once(detail.to_owned()).chain(lines).collect::<Vec<_>>().join("; "))
}

fn progress(length: u64, unit: &str) -> anyhow::Result<ProgressBar> {
    let amount = if unit == "bytes" { "{bytes}/{total_bytes}" } else { "{pos}/{len} rows" };
    let template = format!("{{wide_bar}} {amount} {{elapsed}}");
    Ok(ProgressBar::new(length).with_style(ProgressStyle::with_template(&template)?))
}

/// Returns the media type of a file by its name, and whether it is compressed.
fn media_type(file: &Path) -> anyhow::Result<(&'static str, bool)> {
    let name = file.to_string_lossy().to_lowercase();
    let (name, is_gzip) = match name.strip_suffix(".gz") {
        Some(name) => (name, true),
        None => (name.as_str(), false),
    };
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension {
        "csv" | "tsv" | "txt" => Ok((CSV, is_gzip)),
        "ndjson" | "jsonl" => Ok((NDJSON, is_gzip)),
        "xlsx" => Ok((XLSX, is_gzip)),
        _ => bail!("{} is no .csv, .ndjson or .xlsx, with or without .gz", file.display()),
    }
}

fn number(import: &Value, name: &str) -> u64 {
    import.get(name).and_then(Value::as_u64).unwrap_or_default()
}

fn text<'a>(import: &'a Value, name: &str) -> &'a str {
    import.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Imports a file, and waits until its rows are written.
///
/// # Errors
/// When the service refuses the file or one of its rows.
pub async fn import(settings: &ImportSettings) -> anyhow::Result<()> {
    let service = Service::new(&settings.service)?;
    let (media_type, is_gzip) = media_type(&settings.file)?;
    let place = || format!("{} cannot be read", settings.file.display());
    let file = File::open(&settings.file).await.with_context(place)?;
    let length = file.metadata().await.with_context(place)?.len();
    let mut query = vec![("resource", settings.resource.as_str())];
    let options = [
        ("mode", &settings.mode),
        ("encoding", &settings.encoding),
        ("separator", &settings.separator),
        ("decimalMark", &settings.decimal_mark),
    ];
    query.extend(options.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))));
    let flags = [("atomic", settings.atomic), ("validateOnly", settings.validate_only)];
    query.extend(flags.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| (name, "true")));
    let bar = progress(length, "bytes")?;
    let sent = bar.clone();
    let pieces = stream::try_unfold(file, move |mut file| {
        let sent = sent.clone();
        async move {
            let mut piece = vec![0; PIECE_BYTES];
            let read = file.read(&mut piece).await?;
            piece.truncate(read);
            sent.inc(u64::try_from(read).unwrap_or_default());
            let next = (read > 0).then(|| (Bytes::from(piece), file));
            std::io::Result::Ok(next)
        }
    });
    let mut request = service
        .client
        .post(service.url(IMPORTS_PATH)?)
        .query(&query)
        .header(CONTENT_TYPE, media_type)
        .body(Body::wrap_stream(pieces));
    if is_gzip {
        request = request.header(CONTENT_ENCODING, "gzip");
    }
    let import = service.json(request).await;
    bar.finish_and_clear();
    let import = wait(&service, import?).await?;
    report(&service, &import).await
}

/// Waits until an import is finished.
async fn wait(service: &Service, mut import: Value) -> anyhow::Result<Value> {
    let url = service.url(&format!("{IMPORTS_PATH}/{}", text(&import, "id")))?;
    let bar = progress(number(&import, "rowsRead"), "rows")?;
    let waited = async {
        while import.get("finishedAt").is_none_or(Value::is_null) {
            tokio::time::sleep(POLL_INTERVAL).await;
            import = service.json(service.client.get(url.clone())).await?;
            let done = ["rowsWritten", "rowsUnchanged", "rowsFailed"];
            bar.set_position(done.iter().map(|name| number(&import, name)).sum());
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(MAX_WAIT, waited).await.context("the import takes too long")??;
    bar.finish_and_clear();
    Ok(import)
}

/// Prints the result of an import, and its first errors.
async fn report(service: &Service, import: &Value) -> anyhow::Result<()> {
    println!(
        "import {} {}: {} rows read, {} written, {} unchanged, {} refused",
        text(import, "id"),
        text(import, "state"),
        number(import, "rowsRead"),
        number(import, "rowsWritten"),
        number(import, "rowsUnchanged"),
        number(import, "rowsFailed"),
    );
    let refused = number(import, "rowsFailed");
    if refused > 0 {
        let path = format!("{IMPORTS_PATH}/{}/errors", text(import, "id"));
        let request = service.client.get(service.url(&path)?).header(ACCEPT, NDJSON);
        let errors = service.send(request).await?.text().await?;
        for error in errors.lines().take(MAX_PRINTED_ERRORS) {
            let error: Value = serde_json::from_str(error)?;
            eprintln!(
                "line {} {}: {} {}",
                number(&error, "line"),
                text(&error, "column"),
                text(&error, "code"),
                text(&error, "detail"),
            );
        }
    }
    ensure!(text(import, "state") == "SUCCEEDED", "{}", text(import, "detail"));
    ensure!(refused == 0, "{refused} rows are refused");
    Ok(())
}

/// Exports all rows of a resource.
///
/// # Errors
/// When the service refuses, or the file cannot be written.
pub async fn export(settings: &ExportSettings) -> anyhow::Result<()> {
    let service = Service::new(&settings.service)?;
    let (target, parent) =
        targets::find(&settings.resource).map_err(|problem| anyhow::anyhow!(problem.detail))?;
    let path = match (target.names.path.split_once('{'), parent) {
        (Some((before, rest)), Some(parent)) => {
            let after = rest.split_once('}').map_or("", |(_, after)| after);
            format!("{before}{}{after}", encode(parent))
        }
        _ => target.names.path.to_owned(),
    };
    let media_type = match &settings.output {
        Some(output) => match media_type(output)? {
            (CSV, false) => CSV,
            (XLSX, false) => XLSX,
            _ => bail!("{} is no .csv or .xlsx", output.display()),
        },
        None => CSV,
    };
    let options = [("filter", &settings.filter), ("orderby", &settings.orderby)];
    let query: Vec<(&str, &str)> =
        options.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    let request = service.client.get(service.url(&path)?).query(&query).header(ACCEPT, media_type);
    let response = service.send(request).await?;
    let bar = ProgressBar::new_spinner()
        .with_style(ProgressStyle::with_template("{spinner} {bytes} {elapsed}")?);
    match &settings.output {
        Some(output) => {
            let place = || format!("{} cannot be written", output.display());
            let mut file = File::create(output).await.with_context(place)?;
            save(response, &mut file, &bar).await?;
            file.sync_all().await.with_context(place)?;
        }
        None => save(response, &mut tokio::io::stdout(), &bar).await?,
    }
    bar.finish_and_clear();
    Ok(())
}

/// Writes the body of a response. A body that ends early is an error.
async fn save(
    mut response: Response,
    file: &mut (impl AsyncWrite + Unpin),
    bar: &ProgressBar,
) -> anyhow::Result<()> {
    while let Some(piece) = response.chunk().await.context("the export is incomplete")? {
        file.write_all(&piece).await?;
        bar.inc(u64::try_from(piece.len()).unwrap_or_default());
    }
    Ok(file.flush().await?)
}
