//! The yardstick of `bench/over_http.py`: an actix server that does nothing but answer bodies of given sizes, after reading what was sent.
//!
//! `bare PORT SIZE SIZE`: GET /one answers the first size, POST /hundred reads the body as JSON and answers the second.

use actix_web::{App, HttpResponse, HttpServer, web};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let numbers: Vec<usize> = std::env::args().skip(1).map(|argument| argument.parse()).collect::<Result<_, _>>()?;
    let [port, one, hundred] = numbers.as_slice() else { anyhow::bail!("bare PORT SIZE SIZE") };
    let (one, hundred) = (web::Bytes::from(vec![b' '; *one]), web::Bytes::from(vec![b' '; *hundred]));
    let answer = |body: web::Bytes| HttpResponse::Ok().content_type("application/json").body(body);
    HttpServer::new(move || {
        let (one, hundred) = (one.clone(), hundred.clone());
        App::new().route("/one", web::get().to(move || std::future::ready(answer(one.clone())))).route(
            "/hundred",
            web::post().to(move |body: web::Bytes| {
                let read = serde_json::from_slice::<serde_json::Value>(&body).is_ok();
                std::future::ready(if read { answer(hundred.clone()) } else { HttpResponse::BadRequest().finish() })
            }),
        )
    })
    .bind(("127.0.0.1", u16::try_from(*port)?))?
    .run()
    .await?;
    Ok(())
}
