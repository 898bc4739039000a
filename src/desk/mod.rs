//! The desk: the web front end, embedded in the program and served below `/desk/`.
//!
//! The files are those of `web/dist`, which is checked in, so that building the service needs Rust
//! alone. They are compressed once. Their paths contain the hash of the build, so caches keep them
//! for ever; `index.html` is revalidated each time and names the current paths. `sign-in.json` has
//! the settings of the sign-in. Every other path below `/desk/` is a page of the desk and answers
//! with `index.html`.

use std::io::Write as _;
use std::sync::LazyLock;

use actix_web::http::header::{
    self, AcceptEncoding, Encoding, Header as _, HeaderName, HeaderValue,
};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, Resource, web};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::Url;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::platform::http::etag::{self, Condition};
use crate::platform::http::middleware::RequestLog;
use crate::platform::http::problem::{Problem, ProblemCode};
use crate::platform::http::route_metrics::RouteMetrics;

// `FILES`: the path and the bytes of each file of the build.
include!(concat!(env!("CARGO_MANIFEST_DIR"), "/web/dist/files.rs"));

/// The path of the first page.
pub const HOME: &str = "/desk/";
/// The route of all pages and files.
const PATTERN: &str = "/desk/{path:.*}";
/// The start of the paths of files, below [`HOME`]. The hash of the build follows.
const ASSETS: &str = "a/";
/// The file with the pages.
const INDEX: &str = "index.html";
/// The settings of the sign-in, which pages read when the service demands credentials.
const SIGN_IN: &str = "sign-in.json";
/// Files without a smaller compressed form.
const COMPRESSED_TYPES: [&str; 2] = ["woff2", "png"];

/// Restricts pages to the desk's own files and API. The hash is that of the empty text: the
/// component library creates empty style elements and fills them through the object model. `{}` is
/// the origin of the issuer, whose tokens the sign-in requests.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; \
     style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='; img-src 'self'; \
     font-src 'self'; connect-src 'self'{}; form-action 'none'; base-uri 'none'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// Headers of every page and file.
const SECURITY_HEADERS: [(HeaderName, &str); 4] = [
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The client of the desk at an OpenID Connect issuer, for the authorization code flow with PKCE.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OidcClient {
    /// The URL of the issuer.
    pub issuer: String,
    /// The identifier of the client, which has no secret.
    pub client_id: String,
    /// The scopes that the sign-in requests, separated by spaces.
    pub scope: String,
}

/// The configuration of the desk.
#[derive(Debug, Clone)]
pub struct Desk {
    content_security_policy: HeaderValue,
    sign_in: Bytes,
}

impl Desk {
    /// Creates the configuration. Without a client, users sign in with API keys.
    ///
    /// # Errors
    /// If the issuer is not a URL.
    pub fn new(client: Option<&OidcClient>) -> anyhow::Result<Self> {
        let origin = match client {
            Some(client) => {
                format!(" {}", Url::parse(&client.issuer)?.origin().ascii_serialization())
            }
            None => String::new(),
        };
        let policy = CONTENT_SECURITY_POLICY.replacen("{}", &origin, 1);
        Ok(Self {
            content_security_policy: HeaderValue::try_from(policy)?,
            sign_in: json!({ "oidc": client }).to_string().into(),
        })
    }
}

static BUILD: LazyLock<Build> = LazyLock::new(|| Build::new(FILES));

/// The files, ready to be served.
struct Build {
    hash: String,
    files: Vec<File>,
}

/// A file with its representations.
struct File {
    path: &'static str,
    content_type: &'static str,
    etag: String,
    bytes: Bytes,
    /// `None` if the compressed form is not smaller.
    gzip: Option<Bytes>,
}

impl Build {
    fn new(sources: &[(&'static str, &'static [u8])]) -> Self {
        let mut digest = Sha256::new();
        for (path, bytes) in sources {
            digest.update(path);
            digest.update(Sha256::digest(bytes));
        }
        let digest = digest.finalize();
        let hash = URL_SAFE_NO_PAD.encode(digest.split_at(12).0);
        let files = sources.iter().map(|(path, bytes)| File::new(path, bytes, &hash)).collect();
        Self { hash, files }
    }

    /// Returns the file of a path below [`HOME`] and its `Cache-Control`. `None` if the path is one
    /// of another build.
    fn find(&self, path: &str) -> Option<(&File, &'static str)> {
        let (name, caching) = match path.strip_prefix(ASSETS) {
            Some(asset) => {
                let name = asset.strip_prefix(self.hash.as_str())?.strip_prefix('/')?;
                (name, "public, max-age=31536000, immutable")
            }
            None => (INDEX, "no-cache"),
        };
        self.files.iter().find(|file| file.path == name).map(|file| (file, caching))
    }
}

impl File {
    fn new(path: &'static str, bytes: &'static [u8], hash: &str) -> Self {
        let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
        let bytes = if path == INDEX {
            let from_here = format!("\"{HOME}{ASSETS}{hash}/");
            String::from_utf8_lossy(bytes).replace("\"./", &from_here).into()
        } else {
            Bytes::from_static(bytes)
        };
        Self {
            path,
            content_type: content_type(extension),
            etag: etag::of(&bytes),
            gzip: (!COMPRESSED_TYPES.contains(&extension)).then(|| gzip(&bytes)).flatten(),
            bytes,
        }
    }
}

fn content_type(extension: &str) -> &'static str {
    match extension {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "woff2" => "font/woff2",
        "json" => "application/json",
        _ => "application/octet-stream",
    }
}

/// Returns the compressed bytes if they are fewer.
fn gzip(bytes: &Bytes) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).ok()?;
    let compressed = encoder.finish().ok()?;
    (compressed.len() < bytes.len()).then(|| compressed.into())
}

/// Returns the resource of all pages and files. They are the same in every installation, so they
/// need no credentials.
#[must_use]
pub fn resource() -> Resource {
    web::resource(PATTERN)
        .app_data(RouteMetrics::new(PATTERN.to_owned()))
        .app_data(RequestLog::Quiet)
        .route(web::get().to(serve))
        .route(web::head().to(serve))
}

async fn serve(
    request: HttpRequest,
    path: web::Path<String>,
    desk: web::Data<Desk>,
) -> Result<HttpResponse, Problem> {
    if *path == SIGN_IN {
        let mut response = HttpResponse::Ok();
        response
            .insert_header((header::CACHE_CONTROL, "no-cache"))
            .insert_header((header::CONTENT_TYPE, content_type("json")));
        return Ok(response.body(desk.sign_in.clone()));
    }
    let Some((file, caching)) = BUILD.find(&path) else {
        let detail = format!("{} is not part of this version of the desk", request.path());
        return Err(Problem::new(ProblemCode::NotFound, detail));
    };
    let gzip = file.gzip.as_ref().filter(|_| accepts_gzip(&request));
    // Representations differ in their strong ETags.
    let etag = match gzip {
        Some(_) => file.etag.replacen('"', "\"gzip-", 1),
        None => file.etag.clone(),
    };
    let condition = Condition::read(request.headers(), header::IF_NONE_MATCH)?;
    let is_known = match condition {
        Some(Condition::Any) => true,
        Some(Condition::OneOf(tags)) => tags.contains(&etag),
        None => false,
    };
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    for (name, value) in SECURITY_HEADERS {
        response.insert_header((name, HeaderValue::from_static(value)));
    }
    response
        .insert_header((header::CONTENT_SECURITY_POLICY, desk.content_security_policy.clone()))
        .insert_header((header::CACHE_CONTROL, caching))
        .insert_header((header::ETAG, etag))
        .insert_header((header::VARY, "accept-encoding"));
    if is_known {
        return Ok(response.finish());
    }
    response.insert_header((header::CONTENT_TYPE, file.content_type));
    if gzip.is_some() {
        response.insert_header((header::CONTENT_ENCODING, "gzip"));
    }
    Ok(response.body(gzip.unwrap_or(&file.bytes).clone()))
}

fn accepts_gzip(request: &HttpRequest) -> bool {
    let choices = [Encoding::gzip(), Encoding::identity()];
    AcceptEncoding::parse(request)
        .is_ok_and(|accepted| accepted.negotiate(choices.iter()) == Some(Encoding::gzip()))
}
