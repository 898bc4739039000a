//! The index of the API, and the nearest path of one that does not exist.

use reqwest::Method;

use super::support::app::TestApp;

#[actix_web::test]
async fn the_index_links_to_documentation_and_resources() {
    let app = TestApp::with_key(Some("an index needs no key, and the rest does")).await;
    let index = app.get("/v1").await.expect(200);
    assert_eq!(app.get("/").await.expect(200), index);
    for link in ["documentation", "openapi", "readiness"] {
        let path = index[link].as_str().unwrap();
        assert!(app.get(path).await.status.is_success(), "{path}");
    }
    let resources = index["resources"].as_array().unwrap();
    let has = |name: &str, path: &str| {
        resources.iter().any(|resource| resource["name"] == name && resource["path"] == path)
    };
    assert!(
        has("campaigns", "/v1/campaigns") && has("price-quotes", "/v1/price-quotes"),
        "{index}"
    );
    let headers = [("authorization", "Bearer an index needs no key, and the rest does")];
    for resource in resources {
        let path = resource["path"].as_str().unwrap();
        let reply = app.send(Method::GET, path, &headers, None).await;
        assert!(![404, 405].contains(&reply.status.as_u16()), "{path}: {reply:?}");
        assert_eq!(app.get(path).await.status, 401, "{path}");
    }
    assert_eq!(app.get("/v1?x=1").await.code(), "INVALID_REQUEST");
    assert_eq!(app.send(Method::POST, "/", &headers, None).await.header("allow"), "GET, HEAD");
}

#[actix_web::test]
async fn an_unknown_path_names_the_nearest_one() {
    let app = TestApp::new().await;
    for (path, near) in [
        ("/v1/item", "/v1/items"),
        ("/v1/items/", "/v1/items"),
        ("/v1/campaign/SPRING/price", "/v1/campaigns/SPRING/prices"),
        ("/v1/price-quote", "/v1/price-quotes"),
        ("/campaigns", "/v1/campaigns"),
        ("/nothing/like/it", "/v1"),
    ] {
        let reply = app.get(path).await;
        assert_eq!((reply.status.as_u16(), reply.code()), (404, "NOT_FOUND".to_owned()));
        let body = reply.json();
        assert_eq!(body["nearest"], near, "{path}");
        assert!(body["detail"].as_str().unwrap().contains(near), "{body}");
    }
    // A resource that does not exist has a path that does.
    let reply = app.get("/v1/items/NOTHING").await;
    assert_eq!((reply.status.as_u16(), reply.json().get("nearest")), (404, None));
}
