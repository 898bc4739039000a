//! The check of the server's certificate by `sslmode`.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use diesel_async::RunQueryDsl;
use kampanje::platform::db::pool::connect;

use super::servers::{Directory, OWNER, Server, give};

fn openssl(directory: &Directory, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(&directory.0).output();
    let output = output.expect("openssl is installed");
    assert!(output.status.success(), "{output:?}");
}

/// Makes a root, and a certificate of it for `localhost`.
fn certificates() -> Directory {
    let directory = Directory::new();
    directory.write("extensions", "subjectAltName = DNS:localhost\n");
    let new_key = ["-newkey", "rsa:2048", "-nodes", "-keyout"];
    let root = ["req", "-x509", "-days", "2", "-subj", "/CN=Test root", "-out", "root.pem"];
    openssl(&directory, &[&root[..], &new_key, &["root.key"]].concat());
    let request = ["req", "-subj", "/CN=localhost", "-out", "server.csr"];
    openssl(&directory, &[&request[..], &new_key, &["server.key"]].concat());
    let sign = ["x509", "-req", "-in", "server.csr", "-CA", "root.pem", "-CAkey", "root.key"];
    let with = ["-CAcreateserial", "-days", "2", "-extfile", "extensions", "-out", "server.pem"];
    openssl(&directory, &[&sign[..], &with].concat());
    let key = directory.0.join("server.key");
    std::fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    give(&key);
    directory
}

#[tokio::test]
async fn certificate_check_by_mode() {
    let certificates = certificates();
    let file = |name: &str| certificates.0.join(name).display().to_string();
    let (certificate, key) = (
        format!("ssl_cert_file={}", file("server.pem")),
        format!("ssl_key_file={}", file("server.key")),
    );
    let server = Server::new(&["ssl=on", &certificate, &key]).await;
    let url = |host: &str| format!("postgres://{OWNER}@{host}:{}/postgres", server.port);
    let (url, other_name, root) = (url("localhost"), url("127.0.0.1"), file("root.pem"));
    for (url, encrypted) in [
        (format!("{url}?sslmode=disable"), Some(false)),
        (format!("{url}?sslmode=prefer"), Some(true)),
        (format!("{url}?sslmode=verify-full&sslrootcert={root}"), Some(true)),
        (format!("{url}?sslmode=require"), None),
        (format!("{other_name}?sslmode=verify-full&sslrootcert={root}"), None),
    ] {
        match (connect(&url).await, encrypted) {
            (Ok(mut conn), Some(expected)) => {
                let query = diesel::dsl::sql::<diesel::sql_types::Bool>(
                    "(SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid())",
                );
                let ssl: bool = diesel::select(query).get_result(&mut conn).await.unwrap();
                assert_eq!(ssl, expected, "{url}");
            }
            (Err(error), None) => assert!(error.to_string().contains("certificate"), "{error}"),
            (result, _) => panic!("{url}: {:?}", result.err()),
        }
    }
}
