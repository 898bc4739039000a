//! Benchmark of a full price book: 1,000,000 contacts, 100,000 items, 1,000,000 price lines, and a
//! hundred audiences of 1,000,000, 500,000, 333,333 … accounts. It has to run alone:
//!
//! ```text
//! cargo test --profile dist --test api full_book -- --ignored --nocapture
//! ```

use std::time::Instant;

use diesel_async::SimpleAsyncConnection;
use kampanje::platform::db::pool::connect;
use reqwest::Client;
use serde_json::json;

use super::process::Serving;
use super::support::database::TestDatabase;
use super::support::wait::in_time;

/// Audiences are built from the drafts, so contacts are both drafts and facts. Items and lines are
/// facts only. The entries of campaign lines have no campaign number, so activation leaves them
/// alone.
const SEED: &str = "SET statement_timeout = 0;
    INSERT INTO contacts (id, number, type, name, customer_number)
        SELECT uuid_v7(), 'C' || lpad(n::text, 7, '0'),
            CASE WHEN n % 2 = 0 THEN 'COMPANY' ELSE 'PERSON' END,
            'Contact ' || n, CASE WHEN n % 4 = 0 THEN 'D' || n END
        FROM generate_series(1, 1000000) AS n;
    INSERT INTO items (id, number, list_price) VALUES (uuid_v7(), 'DESK', 100);
    INSERT INTO campaigns (id, number, starting_date) SELECT uuid_v7(), 'C' || n, '2031-01-01'
        FROM generate_series(1, 100) AS n;
    INSERT INTO segments (id, number, campaign_number, campaign_target)
        SELECT uuid_v7(), 'S' || n, 'C' || n, true FROM generate_series(1, 100) AS n;
    INSERT INTO segment_lines (id, segment_number, contact_number)
        SELECT gen_random_uuid(), 'S' || s, 'C' || lpad((n * s)::text, 7, '0')
        FROM generate_series(1, 100) AS s, generate_series(1, 1000000 / s) AS n ORDER BY s, n;
    INSERT INTO book_entries (kind, key, facts, from_version)
        SELECT 'CONTACT', number, jsonb_build_object('type', type, 'companyNumber', NULL,
            'currencyCode', NULL,
            'customer', CASE WHEN customer_number IS NOT NULL
                THEN jsonb_build_object('number', customer_number,
                'priceGroupCode', 'G' || ascii(right(number, 1)) % 10, 'discountGroupCode', NULL,
                'allowLineDiscount', true, 'pricesIncludeTax', false) END), 2
        FROM contacts;
    INSERT INTO book_entries (kind, key, facts, from_version)
        SELECT 'ITEM', 'I' || lpad(n::text, 6, '0'), jsonb_build_object(
            'listPrice', (100 + n % 900)::text,
            'priceIncludesTax', false, 'taxPercent', '25', 'itemDiscountGroupCode', 'G' || n % 50,
            'blocked', false,
            'baseUnitOfMeasureCode', 'PCS', 'unitCost', (50 + n % 400)::text, 'unitsOfMeasure',
            jsonb_build_array(jsonb_build_object('code', 'BOX', 'quantityPerUnit', '12')),
            'variants', '[]'::jsonb), 2
        FROM generate_series(1, 100000) AS n;
    INSERT INTO book_entries (kind, key, facts, from_version)
        SELECT 'PRICE_LINE', uuid_v7()::text, jsonb_build_object('source', CASE n % 2
                WHEN 0 THEN jsonb_build_object(
                    'type', 'CAMPAIGN', 'campaignNumber', 'C' || 1 + n % 100)
                ELSE jsonb_build_object('type', 'CUSTOMER_PRICE_GROUP', 'code', 'G' || n % 10) END,
            'itemNumber', 'I' || lpad((1 + n % 100000)::text, 6, '0'), 'variantCode', NULL,
            'unitOfMeasureCode', NULL,
            'currencyCode', NULL, 'minimumQuantity', (n % 5)::text, 'startingDate', NULL,
            'endingDate', NULL,
            'unitPrice', (90 + n % 900)::text || '.5', 'allowLineDiscount', true,
            'priceIncludesTax', false,
            'taxPercent', NULL), 2
        FROM generate_series(1, 1000000) AS n;
    UPDATE book SET version = 2;
    ANALYZE";

/// Prints the resources that a process has used so far. On a busy machine, processor time is more
/// reliable than elapsed time.
fn print_usage(what: &str, serving: &Serving) {
    let read = |name: &str| {
        std::fs::read_to_string(format!("/proc/{}/{name}", serving.child.id())).unwrap()
    };
    let (status, stat) = (read("status"), read("stat"));
    let mebibytes = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    };
    // User and system time in hundredths of a second.
    let times = stat.rsplit_once(") ").unwrap().1.split_whitespace().skip(11).take(2);
    let centiseconds: u64 = times.map(|time| time.parse::<u64>().unwrap()).sum();
    let (resident, most) = (mebibytes("VmRSS"), mebibytes("VmHWM"));
    println!(
        "{what}: processor {} ms, resident {resident} MiB, at most {most} MiB",
        centiseconds * 10
    );
}

async fn activate_all(client: &Client, serving: &Serving) {
    let began = Instant::now();
    for campaign in 1..=100 {
        let path = format!("{}/v1/campaigns/C{campaign}/activations", serving.url);
        let reply = client.post(path).json(&json!({"acknowledge": ["*"]})).send().await.unwrap();
        assert_eq!(reply.status(), 201, "{}", reply.text().await.unwrap());
    }
    println!("a hundred activations: {} ms", began.elapsed().as_millis());
}

async fn version(client: &Client, serving: &Serving) -> i64 {
    let path = format!("{}/v1/price-quotes?itemNumber=I000001", serving.url);
    let reply = client.get(path).send().await.unwrap();
    reply.headers()["publication-version"].to_str().unwrap().parse().unwrap()
}

/// Changes an item's price through one replica repeatedly, and waits after each change until the
/// other replica has it.
async fn measure_publications(client: &Client, one: &Serving, other: &Serving) {
    let (mut whole, mut elsewhere) = (Vec::new(), Vec::new());
    for price in 1..=500 {
        let began = Instant::now();
        let path = format!("{}/v1/items/DESK", one.url);
        let change = client
            .patch(path)
            .header("if-match", "*")
            .json(&json!({"listPrice": price.to_string()}));
        let reply = change.send().await.unwrap();
        let published: i64 =
            reply.headers()["publication-version"].to_str().unwrap().parse().unwrap();
        whole.push(began.elapsed());
        assert!(version(client, one).await >= published);
        // Without a pause, which would be part of the measured time.
        let seen = async { while version(client, other).await < published {} };
        in_time("the other replica has the version", seen).await;
        elsewhere.push(began.elapsed());
    }
    for (what, mut times) in
        [("answered, and seen here", whole), ("seen by another replica", elsewhere)]
    {
        times.sort();
        println!(
            "a change is {what} after: median {:?}, p99 {:?}",
            times[times.len() / 2],
            times[times.len() * 99 / 100]
        );
    }
}

#[actix_web::test]
#[ignore = "takes minutes; it measures"]
async fn full_book_is_read_kept_and_followed() {
    let database = TestDatabase::new().await;
    let copy = std::env::temp_dir().join(format!("kampanje-full-{}", std::process::id()));
    let copy_path = copy.to_str().unwrap().to_owned();
    let arguments =
        ["--snapshot-path", &copy_path, "--snapshot-seconds", "1", "--self-check-seconds", "5"];
    let client = Client::new();
    // The first start publishes the settings.
    Serving::start(&[], Some(&database.url())).signal("INT");
    connect(&database.url()).await.unwrap().batch_execute(SEED).await.unwrap();
    let mut serving = Serving::start(&[], Some(&database.url()));
    activate_all(&client, &serving).await;
    serving.signal("INT");
    serving.wait_for_exit();

    let mut serving = Serving::start(&arguments, Some(&database.url()));
    println!("{}", serving.logged_before("the price book was read from the database").unwrap());
    print_usage("read from the database", &serving);
    println!("{}", serving.wait_for_log("the price book was copied to disk"));
    print_usage("copied to disk", &serving);
    println!("{}", serving.wait_for_log("the price book in memory is that of the database"));
    print_usage("checked", &serving);
    serving.signal("INT");
    serving.wait_for_exit();

    let mut again = Serving::start(&arguments, Some(&database.url()));
    println!("{}", again.logged_before("the price book was read from its copy on disk").unwrap());
    print_usage("read from disk", &again);
    let other = Serving::start(&["--snapshot-path", &copy_path], Some(&database.url()));
    measure_publications(&client, &again, &other).await;
    print_usage("after 500 changes", &again);
    again.signal("INT");
    again.wait_for_exit();
    std::fs::remove_file(copy).unwrap();
}
