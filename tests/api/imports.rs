//! Imports: every format, mode and outcome; refused rows and files; cancellation; processes that
//! are killed in the middle.

use std::io::{Cursor, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;
use kampanje::imports::worker::Worker;
use kampanje::platform::clock::Calendar;
use reqwest::Method;
use rust_xlsxwriter::Workbook;
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::process::{Serving, kampanje};
use super::support::app::{Reply, TestApp};
use super::support::database::TestDatabase;
use super::support::make;
use super::support::wait::{TEST_TIMEOUT, eventually, in_time};

const CSV: &str = "text/csv";
const NDJSON: &str = "application/x-ndjson";
const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

fn worker(app: &TestApp) -> Worker {
    Worker::new(app.units_of_work.clone(), Calendar::system(), app.book.clone())
}

/// Sends a file.
async fn send(app: &TestApp, query: &str, media: &str, body: impl Into<Vec<u8>>) -> Reply {
    let request = app.request(Method::POST, &format!("/v1/imports?{query}"));
    Reply::to(request.header("content-type", media).body(body.into())).await
}

/// Imports a file, and returns the import when it is finished.
async fn import(app: &TestApp, query: &str, media: &str, body: impl Into<Vec<u8>>) -> Value {
    let reply = send(app, query, media, body).await;
    let place = reply.header("location").to_owned();
    let begun = reply.expect(201);
    assert_eq!(place, format!("/v1/imports/{}", begun["id"].as_str().unwrap()));
    assert_eq!(begun["state"], "RUNNING");
    finish(app, &place).await
}

async fn finish(app: &TestApp, place: &str) -> Value {
    let worker = worker(app);
    let finished = async {
        loop {
            worker.turn().await.unwrap();
            let import = app.get(place).await.expect(200);
            if !import["finishedAt"].is_null() {
                return import;
            }
        }
    };
    in_time("the import is finished", finished).await
}

/// Returns the state and the counts: read, written, unchanged, failed.
fn outcome(import: &Value) -> (&str, [i64; 4]) {
    let counts = ["rowsRead", "rowsWritten", "rowsUnchanged", "rowsFailed"];
    (import["state"].as_str().unwrap(), counts.map(|name| import[name].as_i64().unwrap()))
}

async fn errors(app: &TestApp, import: &Value) -> Vec<(i64, String, String)> {
    let path = format!("/v1/imports/{}/errors", import["id"].as_str().unwrap());
    let reply = app.get(&path).await;
    assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, NDJSON));
    let text = |error: &Value, name: &str| error[name].as_str().unwrap().to_owned();
    reply
        .text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .map(|error: Value| {
            (error["line"].as_i64().unwrap(), text(&error, "column"), text(&error, "code"))
        })
        .collect()
}

/// Returns the errors in the form of [`errors`].
fn expected(errors: &[(i64, &str, &str)]) -> Vec<(i64, String, String)> {
    let error = |(line, column, code): &(i64, &str, &str)| {
        (*line, (*column).to_owned(), (*code).to_owned())
    };
    errors.iter().map(error).collect()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Returns rows of texts in each format.
fn file(media: &str, rows: &[&[&str]]) -> Vec<u8> {
    match media {
        CSV => rows.iter().map(|row| row.join(",") + "\n").collect::<String>().into_bytes(),
        NDJSON => {
            let object = |row: &&[&str]| {
                let fields = rows[0].iter().zip(*row).filter(|(_, value)| !value.is_empty());
                let object: serde_json::Map<String, Value> =
                    fields.map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
                Value::from(object).to_string() + "\n"
            };
            rows[1..].iter().map(object).collect::<String>().into_bytes()
        }
        _ => {
            let mut workbook = Workbook::new();
            let sheet = workbook.add_worksheet();
            for (at, row) in (0..).zip(rows) {
                for (column, value) in (0..).zip(*row) {
                    match value.parse::<f64>() {
                        Ok(number) => sheet.write_number(at, column, number).unwrap(),
                        Err(_) => sheet.write_string(at, column, *value).unwrap(),
                    };
                }
            }
            workbook.save_to_buffer().unwrap()
        }
    }
}

async fn rows(app: &TestApp, path: &str) -> Vec<Value> {
    let page = app.get(&format!("{path}?top=1000")).await.expect(200);
    page["value"].as_array().unwrap().clone()
}

#[actix_web::test]
async fn every_format_mode_and_atomicity() {
    for media in [CSV, NDJSON, XLSX] {
        let app = TestApp::new().await;
        for mode in ["MERGE", "REPLACE"] {
            for atomic in [true, false] {
                let changed = json!({"description": "Old", "listPrice": "1", "unitCost": "7"});
                app.put("/v1/items/CHANGED", &changed).await;
                app.put("/v1/items/SAME", &json!({"description": "Same", "listPrice": "2.5"}))
                    .await;
                app.delete("/v1/items/NEW").await;
                let body = file(
                    media,
                    &[
                        &["number", "description", "listPrice"],
                        &["CHANGED", "Changed", "12.5"],
                        &["SAME", "Same", "2.5"],
                        &["NEW", "New", "3"],
                    ],
                );
                let query = format!("resource=items&mode={mode}&atomic={atomic}");
                let import = import(&app, &query, media, body).await;
                let place = format!("{media} {query} {import}");
                // A replacement without units has no base unit either, so it is written.
                let counts = if mode == "MERGE" { [3, 2, 1, 0] } else { [3, 3, 0, 0] };
                assert_eq!(outcome(&import), ("SUCCEEDED", counts), "{place}");
                let item = app.get("/v1/items/CHANGED").await.expect(200);
                assert_eq!(
                    (&item["description"], &item["listPrice"]),
                    (&json!("Changed"), &json!("12.5"))
                );
                let cost = if mode == "MERGE" { json!("7") } else { Value::Null };
                assert_eq!(item["unitCost"], cost, "{place}");
                assert_eq!(app.get("/v1/items/NEW").await.expect(200)["listPrice"], "3");
                let version = import["publicationVersion"].as_i64().unwrap();
                let newest = app.get("/v1/publications?top=1").await.expect(200);
                assert_eq!(newest["value"][0]["version"], version, "one version: {place}");
            }
        }
    }
}

#[actix_web::test]
async fn refused_rows_are_named_with_line_and_column() {
    let app = TestApp::new().await;
    let csv = "number;listPrice;unitsOfMeasure[0].code;unitsOfMeasure[0].quantityPerUnit\n\
        A;1,5;BOX;10\n\
        \"B\";x;BOX;0\n\
        C;1\n\
        ;;;\n\
        a;2;;\n";
    let found =
        expected(&[(3, "listPrice", "INVALID_DECIMAL"), (4, "", "SYNTAX"), (6, "", "DUPLICATE")]);
    let refused = import(&app, "resource=items&atomic=true", CSV, csv).await;
    assert_eq!(outcome(&refused), ("FAILED", [4, 0, 0, 3]), "{refused}");
    assert_eq!(
        (&refused["code"], &refused["publicationVersion"]),
        (&json!("VALIDATION_FAILED"), &Value::Null)
    );
    let of_atomic = errors(&app, &refused).await;
    assert!(found.iter().all(|error| of_atomic.contains(error)), "{of_atomic:?}");
    assert_eq!(rows(&app, "/v1/items").await.len(), 0);

    let partial = import(&app, "resource=items", CSV, csv).await;
    assert_eq!(outcome(&partial), ("SUCCEEDED", [4, 1, 0, 3]), "{partial}");
    assert_eq!(errors(&app, &partial).await, of_atomic);
    assert_eq!(app.get("/v1/items/A").await.expect(200)["listPrice"], "1.5");
    assert_eq!(rows(&app, "/v1/items").await.len(), 1);
    let path = format!("/v1/imports/{}/errors", partial["id"].as_str().unwrap());
    let table = app.send(Method::GET, &path, &[("accept", CSV)], None).await;
    assert!(table.text.starts_with("line,column,code,detail\r\n"), "{table:?}");
    assert_eq!(table.text.lines().count(), of_atomic.len() + 1);

    let lines = "{\"number\": \"D\"}\n{\"number\": \"E\", \"x\": 1}\n[]\n{\n{\"number\": \"d\"}\n";
    let partial = import(&app, "resource=items", NDJSON, lines).await;
    assert_eq!(outcome(&partial), ("SUCCEEDED", [5, 1, 0, 4]), "{partial}");
    let found = errors(&app, &partial).await;
    let at: Vec<i64> = found.iter().map(|error| error.0).collect();
    assert_eq!(at, [4, 5, 2, 3], "the errors of the file are found first: {found:?}");
    assert_eq!(found[2], (2, "x".to_owned(), "UNKNOWN_FIELD".to_owned()));
}

#[actix_web::test]
async fn rows_of_a_file_are_as_strict_as_those_of_a_batch() {
    let app = TestApp::new().await;
    make::item(&app, "DESK", "100").await;
    let csv = "itemNumber,unitPrice,source.type\nDESK,1,ALL_CUSTOMERS\n\
        NONE,1,ALL_CUSTOMERS\nDESK,-1,ALL_CUSTOMERS\n";
    let import = import(&app, "resource=prices", CSV, csv).await;
    assert_eq!(outcome(&import), ("SUCCEEDED", [3, 1, 0, 2]), "{import}");
    let found = errors(&app, &import).await;
    assert!(
        found.contains(&(3, "itemNumber".to_owned(), "REFERENCE_NOT_FOUND".to_owned())),
        "{found:?}"
    );
    assert!(found.iter().any(|error| error.0 == 4 && error.1 == "unitPrice"), "{found:?}");
}

#[actix_web::test]
async fn validation_changes_nothing() {
    let app = TestApp::new().await;
    let versions =
        async || app.get("/v1/publications?count=true").await.expect(200)["count"].clone();
    let before = versions().await;
    for atomic in [true, false] {
        let query = format!("resource=items&validateOnly=true&atomic={atomic}");
        let valid = import(&app, &query, CSV, "number,listPrice\nA,1\nB,2\n").await;
        assert_eq!(outcome(&valid), ("SUCCEEDED", [2, 2, 0, 0]), "{valid}");
        assert_eq!(valid["publicationVersion"], Value::Null);
        let invalid = import(&app, &query, CSV, "number,listPrice\nA,1\nB,x\n").await;
        let expected = if atomic { ("FAILED", [2, 0, 0, 1]) } else { ("SUCCEEDED", [2, 1, 0, 1]) };
        assert_eq!(outcome(&invalid), expected);
    }
    assert_eq!(rows(&app, "/v1/items").await.len(), 0);
    assert_eq!(versions().await, before);
}

#[actix_web::test]
async fn large_files_make_few_versions_and_repeat_nothing() {
    let app = TestApp::new().await;
    let lines = |count: usize| {
        (0..count).map(|at| format!("{{\"number\":\"N{at:05}\"}}\n")).collect::<String>()
    };
    let version = async || {
        app.get("/v1/publications?top=1").await.expect(200)["value"][0]["version"].as_i64().unwrap()
    };
    for (atomic, count) in [(true, 2_500), (false, 2_500 + 2_000)] {
        let before = version().await;
        let body = lines(count) + "{\"number\":\"n00000\"}\n";
        let query = format!("resource=items&atomic={atomic}");
        if atomic {
            let refused = import(&app, &query, NDJSON, body).await;
            assert_eq!(outcome(&refused), ("FAILED", [2_501, 0, 0, 1]));
            assert_eq!(errors(&app, &refused).await, expected(&[(2_501, "", "DUPLICATE")]));
            assert_eq!(version().await, before);
            let done = import(&app, &query, NDJSON, lines(count)).await;
            assert_eq!(outcome(&done), ("SUCCEEDED", [2_500, 2_500, 0, 0]));
        } else {
            let done = import(&app, &query, NDJSON, body).await;
            assert_eq!(outcome(&done), ("SUCCEEDED", [4_501, 2_000, 2_500, 1]));
        }
        assert_eq!(version().await, before + 1);
    }
}

#[actix_web::test]
async fn compressed_and_encoded_files() {
    let app = TestApp::new().await;
    let csv = "number;description;listPrice\nA;Sm\u{f8}rbr\u{f8}d;1,25\n";
    let latin: Vec<u8> = csv.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    for (query, body) in [
        ("", csv.as_bytes().to_vec()),
        ("", format!("\u{feff}{csv}").into_bytes()),
        ("", latin.clone()),
        ("&encoding=WINDOWS-1252&separator=SEMICOLON&decimalMark=COMMA", latin),
    ] {
        app.delete("/v1/items/A").await;
        let request = app
            .request(Method::POST, &format!("/v1/imports?resource=items{query}"))
            .header("content-type", CSV)
            .header("content-encoding", "gzip")
            .body(packed(&body));
        let begun = Reply::to(request).await;
        let import = finish(&app, begun.header("location")).await;
        assert_eq!(outcome(&import), ("SUCCEEDED", [1, 1, 0, 0]), "{query}");
        let item = app.get("/v1/items/A").await.expect(200);
        assert_eq!(
            (&item["description"], &item["listPrice"]),
            (&json!("Sm\u{f8}rbr\u{f8}d"), &json!("1.25"))
        );
    }
}

#[actix_web::test]
async fn hostile_files_are_refused() {
    let app = TestApp::new().await;
    let zip = |name: &str, content: &[u8]| {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        archive.start_file(name, SimpleFileOptions::default()).unwrap();
        archive.write_all(content).unwrap();
        archive.finish().unwrap().into_inner()
    };
    let query = "resource=items";
    let long = "x".repeat(1_000_000);
    let mut broken = file(XLSX, &[&["number"], &["A"]]);
    broken.truncate(broken.len() / 2);
    for (media, body, status, code) in [
        (CSV, b"".to_vec(), 400, "INVALID_REQUEST"),
        (CSV, b"nummer\nA\n".to_vec(), 400, "INVALID_REQUEST"),
        (CSV, b"number,number\nA,B\n".to_vec(), 400, "INVALID_REQUEST"),
        (CSV, format!("number{}\n", ",x".repeat(2_000)).into_bytes(), 400, "INVALID_REQUEST"),
        (CSV, format!("number\n\"{long}").into_bytes(), 400, "INVALID_REQUEST"),
        (CSV, format!("number\n{long}\n").into_bytes(), 400, "INVALID_REQUEST"),
        (CSV, b"\xff\xfen\0".to_vec(), 400, "MALFORMED_REQUEST"),
        (CSV, b"number\n\xc3\xa5\n\xe5\n".to_vec(), 400, "MALFORMED_REQUEST"),
        (NDJSON, long.into_bytes(), 400, "INVALID_REQUEST"),
        (XLSX, b"no workbook".to_vec(), 400, "MALFORMED_REQUEST"),
        (XLSX, broken, 400, "MALFORMED_REQUEST"),
        (XLSX, zip("other.xml", b"<a/>"), 400, "MALFORMED_REQUEST"),
        (XLSX, zip("xl/worksheets/sheet1.xml", &vec![b' '; 3_000_000]), 413, "PAYLOAD_TOO_LARGE"),
        ("application/json", b"{}".to_vec(), 415, "UNSUPPORTED_MEDIA_TYPE"),
    ] {
        let size = body.len();
        let reply = send(&app, query, media, body).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (status, code),
            "{media} {size}"
        );
    }
    let long_rows = format!("{}\n", "x".repeat(200_000)).repeat(100);
    let bomb = app
        .request(Method::POST, "/v1/imports?resource=items")
        .header("content-type", CSV)
        .header("content-encoding", "gzip")
        .body(packed(format!("number\n{}", long_rows).as_bytes()));
    assert_eq!(Reply::to(bomb).await.code(), "PAYLOAD_TOO_LARGE");
    for (query, pointer) in [
        ("", "?resource"),
        ("resource=nothing", "?resource"),
        ("resource=items&mode=X", "?mode"),
        ("resource=items&atomic=1", "?atomic"),
        ("resource=items&separator=X", "?separator"),
        ("resource=items&encoding=UTF-16", "?encoding"),
        ("resource=sales&mode=MERGE", "?mode"),
        ("resource=items&x=1", "?x"),
    ] {
        let reply = send(&app, query, CSV, "number\n").await;
        assert!(matches!(reply.status.as_u16(), 400 | 422), "{query}: {reply:?}");
        assert_eq!(reply.errors()[0].0, pointer, "{query}");
    }
    assert_eq!(send(&app, "resource=campaigns/NONE/prices", CSV, "x").await.status, 404);
    let listed = rows(&app, "/v1/imports").await;
    assert!(
        listed.len() > 10 && listed.iter().all(|import| import["state"] == "FAILED"),
        "{listed:?}"
    );
    assert_eq!(rows(&app, "/v1/items").await.len(), 0);
}

#[actix_web::test]
async fn canceled_import_writes_nothing_more() {
    let app = TestApp::new().await;
    let begun = send(&app, "resource=items", CSV, "number\nA\n").await.expect(201);
    let path = format!("/v1/imports/{}", begun["id"].as_str().unwrap());
    app.send(Method::DELETE, &path, &[], None).await.expect(204);
    worker(&app).turn().await.unwrap();
    let import = app.get(&path).await.expect(200);
    assert_eq!(outcome(&import), ("CANCELED", [1, 0, 0, 0]));
    assert!(!import["finishedAt"].is_null());
    assert_eq!(app.get("/v1/items/A").await.status, 404);
    assert_eq!(app.send(Method::DELETE, &path, &[], None).await.code(), "CONFLICT");
    let nothing = "/v1/imports/0190b5c2-7d5e-7000-8000-000000000001";
    assert_eq!(app.send(Method::DELETE, nothing, &[], None).await.status, 404);
    assert_eq!(app.get("/v1/imports/nothing").await.status, 404);
}

#[actix_web::test]
async fn scopes_of_the_resource_apply() {
    let app = TestApp::new().await;
    let begun = send(&app, "resource=items", CSV, "number\nA\n").await.expect(201);
    let path = format!("/v1/imports/{}", begun["id"].as_str().unwrap());
    let app = app.with_scopes(&["catalog:read", "contacts:write"]).await;
    let refused = send(&app, "resource=items", CSV, "number\nA\n").await;
    assert_eq!((refused.status.as_u16(), &refused.json()["scope"]), (403, &json!("catalog:write")));
    send(&app, "resource=contacts", CSV, "number,type,name\nC,COMPANY,C\n").await.expect(201);
    assert_eq!(app.get(&path).await.status, 200);
    assert_eq!(app.send(Method::DELETE, &path, &[], None).await.status, 403);
    let listed = rows(&app, "/v1/imports").await;
    let resources: Vec<&str> =
        listed.iter().map(|import| import["resource"].as_str().unwrap()).collect();
    assert_eq!(resources, ["items"], "without the scope that reads contacts");
}

#[actix_web::test]
async fn repeated_request_imports_once() {
    let app = TestApp::new().await;
    let send = async |body: &'static str| {
        let request = app
            .request(Method::POST, "/v1/imports?resource=interactions")
            .header("content-type", CSV)
            .header("idempotency-key", "once");
        Reply::to(request.body(body)).await
    };
    let first = send("description\nCall\n").await;
    let again = send("description\nCall\n").await;
    assert_eq!((again.header("idempotency-replayed"), &again.text), ("true", &first.text));
    assert_eq!(send("description\nMail\n").await.code(), "IDEMPOTENCY_KEY_REUSED");
    let listed = rows(&app, "/v1/imports").await;
    let running = listed.iter().filter(|import| import["state"] == "RUNNING").count();
    assert_eq!((listed.len(), running), (2, 1), "{listed:?}");
}

#[actix_web::test]
async fn workers_of_several_replicas_share_the_work() {
    let app = TestApp::new().await;
    let replica = app.replica().await;
    let lines: String = (0..3_500).map(|at| format!("N{at}\n")).collect();
    let mut places = Vec::new();
    for query in ["resource=items", "resource=items&atomic=true", "resource=salespeople"] {
        let name = if query.ends_with("people") { "code" } else { "number" };
        let reply = send(&app, query, CSV, format!("{name}\n{lines}")).await;
        places.push(reply.header("location").to_owned());
        reply.expect(201);
    }
    let (first, second) = (worker(&app), worker(&replica));
    let work = async {
        loop {
            // A lock that the other one holds in the meantime is no failure.
            let _ = tokio::join!(first.turn(), second.turn());
            let unfinished = app.get("/v1/imports?filter=finishedAt+eq+null").await.expect(200);
            if unfinished["value"].as_array().unwrap().is_empty() {
                return;
            }
        }
    };
    in_time("all imports are finished", work).await;
    let mut written = 0;
    for place in places {
        let import = app.get(&place).await.expect(200);
        let (state, [read, changed, unchanged, failed]) = outcome(&import);
        assert_eq!(
            (state, read, changed + unchanged, failed),
            ("SUCCEEDED", 3_500, 3_500, 0),
            "{import}"
        );
        written += changed;
    }
    assert_eq!(written, 7_000, "each row once");
}

/// Waits until an import of a process is finished.
async fn finished(client: &reqwest::Client, url: &str) -> Value {
    let mut import = Value::Null;
    eventually("the import is finished", async || {
        if let Ok(reply) = client.get(url).send().await {
            import = reply.json().await.unwrap();
        }
        !import["finishedAt"].is_null()
    })
    .await;
    import
}

#[actix_web::test]
async fn killed_process_loses_and_repeats_no_row() {
    const ROWS: usize = 12_000;
    let database = TestDatabase::new().await;
    let client = reqwest::Client::new();
    // Rows without identity: a repetition would create them twice.
    let lines: String =
        (0..ROWS).map(|at| format!("{{\"description\":\"Call {at}\"}}\n")).collect();
    let serving = Serving::start(&[], Some(&database.url()));
    let template = client.put(format!("{}/v1/contacts/BUYER", serving.url));
    let template = template.json(&json!({"type": "COMPANY", "name": "Buyer"}));
    assert_eq!(template.send().await.unwrap().status(), 201);
    let lines = lines.replace("{\"d", "{\"contactNumber\":\"BUYER\",\"date\":\"2031-05-02\",\"d");
    let request = client
        .post(format!("{}/v1/imports?resource=interactions", serving.url))
        .header("content-type", NDJSON)
        .body(lines);
    let begun: Value = request.send().await.unwrap().json().await.unwrap();
    let place = format!("/v1/imports/{}", begun["id"].as_str().unwrap());
    drop(serving);
    let mut serving = Serving::start(&[], Some(&database.url()));
    // Killed after the first transaction, in the middle of the second.
    eventually("a part is written", async || {
        let reply = client.get(format!("{}{place}", serving.url)).send().await.unwrap();
        reply.json::<Value>().await.unwrap()["rowsWritten"].as_i64().unwrap() > 0
    })
    .await;
    serving.signal("KILL");
    serving.wait_for_exit();
    let serving = Serving::start(&[], Some(&database.url()));
    let import = finished(&client, &format!("{}{place}", serving.url)).await;
    let count = i64::try_from(ROWS).unwrap();
    assert_eq!(outcome(&import), ("SUCCEEDED", [count, count, 0, 0]), "{import}");
    let listed = format!("{}/v1/interactions?top=1&count=true", serving.url);
    let listed: Value = client.get(listed).send().await.unwrap().json().await.unwrap();
    assert_eq!(listed["count"], count);
}

#[actix_web::test]
#[ignore = "takes minutes; it measures"]
async fn memory_does_not_grow_with_the_file() {
    let database = TestDatabase::new().await;
    let serving = Serving::start(&[], Some(&database.url()));
    let peak_kilobytes = || {
        let status = format!("/proc/{}/status", serving.child.id());
        let status = std::fs::read_to_string(status).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let before = peak_kilobytes();
    // 150 MB of lines without a row, so that the file alone is measured.
    let piece = actix_web::web::Bytes::from(vec![b'\n'; 1_000_000]);
    let pieces =
        futures_util::stream::iter((0..150).map(move |_| std::io::Result::Ok(piece.clone())));
    let client = reqwest::Client::builder().timeout(TEST_TIMEOUT).build().unwrap();
    let request = client
        .post(format!("{}/v1/imports?resource=items", serving.url))
        .header("content-type", NDJSON)
        .body(reqwest::Body::wrap_stream(pieces));
    let begun: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(begun["rowsRead"], 0, "{begun}");
    let grown = peak_kilobytes() - before;
    assert!(grown < 60_000, "{grown} kB");
}

#[actix_web::test]
async fn commands_import_and_export() {
    let database = TestDatabase::new().await;
    let serving = Serving::start(&[], Some(&database.url()));
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("items.csv"), "number,listPrice\nA,1\nB,2\n").unwrap();
    std::fs::write(path("wrong.csv"), "number,listPrice\nC,x\n").unwrap();
    let run = |arguments: &[&str]| {
        let mut command = kampanje(arguments);
        command.args(["--url", &serving.url]).output().unwrap()
    };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let done = run(&["import", &path("items.csv"), "--resource", "items"]);
    assert!(done.status.success(), "{done:?}");
    assert!(text(&done.stdout).contains("SUCCEEDED: 2 rows read, 2 written"), "{done:?}");
    let wrong = run(&["import", &path("wrong.csv"), "--resource", "items", "--atomic"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).contains("line 2 listPrice: INVALID_DECIMAL"), "{wrong:?}");
    let printed = run(&["export", "items", "--orderby", "number desc"]);
    let printed = text(&printed.stdout);
    assert!(printed.starts_with("number,") && printed.contains("\r\nB,"), "{printed}");
    for name in ["items-2.csv", "items.xlsx"] {
        assert!(run(&["export", "items", "--output", &path(name)]).status.success());
        let again = run(&["import", &path(name), "--resource", "items", "--mode", "REPLACE"]);
        assert!(text(&again.stdout).contains("0 written, 2 unchanged"), "{name}: {again:?}");
    }
    for refused in [
        &["import", "none.csv", "--resource", "items"][..],
        &["import", "items.pdf", "--resource", "items"],
        &["export", "nothing"],
    ] {
        assert_eq!(run(refused).status.code(), Some(1), "{refused:?}");
    }
}
