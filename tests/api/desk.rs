//! The desk: its files, their caching and compression, and the headers that protect it.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use kampanje::desk::OidcClient;
use reqwest::Method;
use reqwest::redirect::Policy;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::support::app::{Reply, TestApp};

/// The sources of the front end, relative to the repository. Folders are read with all they
/// contain. `web/vite.config.ts` has the same list.
const SOURCES: [&str; 5] = [
    "sdks/typescript/src",
    "web/index.html",
    "web/package-lock.json",
    "web/src",
    "web/vite.config.ts",
];

/// Returns the paths that the page refers to.
fn references(page: &str) -> BTreeSet<String> {
    let parts = page.split('"').filter(|text| text.starts_with("/desk/a/"));
    parts.map(str::to_owned).collect()
}

async fn get(app: &TestApp, path: &str, headers: &[(&str, &str)]) -> Reply {
    app.send(Method::GET, path, headers, None).await
}

#[actix_web::test]
async fn every_page_is_served_without_credentials_and_names_files_that_exist() {
    let app = TestApp::with_key(Some("the desk needs no key, but its data needs one")).await;
    let home = app.get("/desk/").await;
    assert_eq!(
        (home.status.as_u16(), home.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
    assert!(home.text.contains("<title>Kampanje</title>"), "{}", home.text);
    let pages = ["/desk/campaigns", "/desk/campaigns/A%2FB-100", "/desk/price-check?item=TENT-2"];
    for page in pages {
        assert_eq!(app.get(page).await.text, home.text, "{page}");
    }
    assert_eq!(app.get("/desk").await.text, home.text, "redirected");
    let files = references(&home.text);
    assert!(files.len() >= 2, "{files:?}");
    for path in &files {
        let file = app.get(path).await;
        assert_eq!(file.status, 200, "{path}");
        assert_eq!(file.header("cache-control"), "public, max-age=31536000, immutable");
        let extension = path.rsplit('.').next().unwrap();
        let expected = ["js", "css", "svg"].contains(&extension);
        assert!(expected && !file.header("content-type").contains("octet"), "{path}");
    }
    assert_eq!(app.get("/v1/campaigns").await.status, 401);
}

#[actix_web::test]
async fn files_of_another_build_are_not_found() {
    let app = TestApp::new().await;
    let page = app.get("/desk/").await.text;
    let file = references(&page).into_iter().next().unwrap();
    let build = file.split('/').nth(3).unwrap();
    for path in [
        file.replace(build, "0000000000000000"),
        format!("/desk/a/{build}/assets/nothing.js"),
        format!("/desk/a/{build}"),
        format!("/desk/a/{build}/../index.html"),
    ] {
        let reply = get(&app, &path, &[]).await;
        let is_page = reply.status == 200 && reply.header("cache-control") == "no-cache";
        assert!(reply.status == 404 || is_page, "{path}: {reply:?}");
    }
    let post = app.send(Method::POST, "/desk/", &[], None).await;
    assert!([404, 405].contains(&post.status.as_u16()), "{post:?}");
}

#[actix_web::test]
async fn pages_are_revalidated_and_files_compressed() {
    let app = TestApp::new().await;
    let page = app.get("/desk/").await;
    assert_eq!(page.header("cache-control"), "no-cache");
    let mut paths: Vec<String> = references(&page.text).into_iter().collect();
    paths.push("/desk/campaigns".to_owned());
    for path in paths {
        let plain = get(&app, &path, &[("accept-encoding", "gzip;q=0")]).await;
        assert_eq!(plain.header("content-encoding"), "", "{path}");
        let tag = plain.header("etag").to_owned();
        assert!(tag.starts_with('"') && tag.len() > 10, "{tag}");
        let same = get(&app, &path, &[("if-none-match", &tag)]).await;
        assert_eq!((same.status.as_u16(), same.text.as_str()), (304, ""), "{path}");
        assert_eq!((same.header("etag"), same.header("vary")), (tag.as_str(), "accept-encoding"));
        let other = get(&app, &path, &[("if-none-match", "\"other\"")]).await;
        assert_eq!(other.status, 200, "{path}");

        let accept = [("accept-encoding", "br, gzip")];
        let url = format!("http://{}{path}", app.address);
        let client = reqwest::Client::new();
        let small = client.get(&url).header("accept-encoding", accept[0].1).send().await.unwrap();
        assert_eq!(small.headers()["content-encoding"], "gzip", "{path}");
        assert_ne!(small.headers()["etag"], tag.as_str(), "{path}");
        let small = small.bytes().await.unwrap();
        let mut text = String::new();
        GzDecoder::new(small.as_ref()).read_to_string(&mut text).unwrap();
        assert!(text == plain.text && small.len() < text.len(), "{path}");
        let head = app.send(Method::HEAD, &path, &[], None).await;
        assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""), "{path}");
    }
}

#[actix_web::test]
async fn pages_run_only_code_of_the_desk() {
    let app = TestApp::new().await;
    let page = app.get("/desk/").await;
    let policy = page.header("content-security-policy");
    for part in [
        "default-src 'none'",
        "script-src 'self';",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(policy.contains(part), "{part}: {policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(page.header(name), value, "{name}");
    }
    // The policy would refuse them.
    assert!(!page.text.contains("<style") && !page.text.contains(" style="), "{}", page.text);
    for script in page.text.split("<script").skip(1) {
        assert!(script.contains(" src="), "{script}");
    }
}

#[actix_web::test]
async fn pages_know_where_users_sign_in_and_may_connect_to_it() {
    let app = TestApp::new().await;
    let settings = app.get("/desk/sign-in.json").await;
    assert_eq!(settings.header("content-type"), "application/json");
    assert_eq!(settings.expect(200)["oidc"], Value::Null);

    let app = TestApp::with_desk_client(OidcClient {
        issuer: "https://id.example:8443/realms/shop".to_owned(),
        client_id: "desk".to_owned(),
        scope: "openid prices".to_owned(),
    })
    .await;
    let client = json!({
        "issuer": "https://id.example:8443/realms/shop",
        "clientId": "desk",
        "scope": "openid prices",
    });
    assert_eq!(app.get("/desk/sign-in.json").await.expect(200), json!({ "oidc": client }));
    let page = app.get("/desk/").await;
    let policy = page.header("content-security-policy");
    assert!(policy.contains("connect-src 'self' https://id.example:8443;"), "{policy}");
    assert!(policy.contains("script-src 'self';"), "{policy}");
}

#[actix_web::test]
async fn the_root_leads_browsers_to_the_desk_and_programs_to_the_index() {
    let app = TestApp::new().await;
    let browser = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    let client = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
    let root = client.get(format!("http://{}/", app.address)).header("accept", browser[0].1);
    let led = root.send().await.unwrap();
    assert_eq!(
        (led.status().as_u16(), led.headers()["location"].as_bytes()),
        (303, &b"/desk/"[..])
    );
    for accept in ["application/json", "*/*"] {
        let reply = get(&app, "/", &[("accept", accept)]).await;
        assert_eq!(reply.header("vary"), "accept");
        assert_eq!(reply.expect(200)["name"], "Kampanje");
    }
    let index = get(&app, "/v1", &browser).await;
    assert_eq!(index.expect(200)["name"], "Kampanje");
}

/// Adds the files below a path, by their path in the repository.
fn collect(root: &Path, path: PathBuf, files: &mut BTreeSet<String>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(&path).unwrap() {
            collect(root, entry.unwrap().path(), files);
        }
    } else if path.exists() {
        files.insert(path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/"));
    }
}

#[test]
fn the_build_is_that_of_the_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = BTreeSet::new();
    for source in SOURCES {
        collect(root, root.join(source), &mut files);
    }
    assert!(files.len() > 10, "{files:?}");
    let mut digest = Sha256::new();
    for file in &files {
        let content = std::fs::read(root.join(file)).unwrap();
        digest.update(format!("{file}\0{}\0", content.len()));
        digest.update(content);
    }
    let hash: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let kept = std::fs::read_to_string(root.join("web/dist/sources.sha256")).unwrap();
    assert_eq!(kept.trim(), hash, "web/dist is outdated: run `npm run build` in web/");
}
