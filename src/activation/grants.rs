//! The price that a campaign grants an account over HTTP, or the reasons why it grants none. The
//! answer combines price book, resolver and audience, and repeats none of their rules.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use chrono::NaiveDate;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use price_book::quote::answer::{
    AnswerSource, DiscountTrace, LineProblem, LineReference, PriceTrace, PricedLine, QuoteLine,
    Trace,
};
use price_book::quote::request::{QuoteParty, QuoteRequest, Visibility};
use price_book::quote::{campaign_obstacles, quote};
use price_book::snapshot::Snapshot;
use pricing::verdict::Verdict;
use serde::Serialize;
use utoipa::ToSchema;
use values::{Amount, CurrencyCode, Key, Percent, Quantity, Shown, text_enum};

use super::audience::{AudienceMembership, AudienceVerdict, membership};
use super::golden::grants;
use crate::campaigns::OfCampaign;
use crate::live_book::LiveBook;
use crate::platform::clock::Calendar;
use crate::platform::http::access::scope::Area;
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::list::QueryParams;
use crate::platform::http::problem::{FieldCode, FieldError, Problem};
use crate::platform::http::routes::Routes;
use crate::quotes::request::read_query;
use crate::resource::Scope;
use crate::schema::contacts;
use crate::unit_of_work::Database;

/// The parameters that are only allowed together with an item.
const ITEM_PARAMETERS: [&str; 3] = ["variantCode", "unitOfMeasureCode", "quantity"];

/// Adds the operation.
pub(super) fn mount(routes: &mut Routes) {
    routes.add(Area::Campaigns.read(), __path_get_campaign_grant, get_campaign_grant);
}

text_enum! {
    /// The reason why a campaign grants nothing.
    GrantReasonCode {
        /// The campaign is not in the price book.
        NotPublished = "NOT_PUBLISHED",
        /// The day is outside the published dates of the campaign.
        OutsideDates = "OUTSIDE_DATES",
        /// The published audience does not contain the account. Further reasons explain it.
        NotInAudience = "NOT_IN_AUDIENCE",
        /// The drafts target the account, so the next activation adds it to the audience.
        WaitsForPublication = "WAITS_FOR_PUBLICATION",
        /// No contact of the account is on a segment of the campaign.
        NotOnSegment = "NOT_ON_SEGMENT",
        /// A contact of the account is on a line that is not a target itself.
        LineNoTarget = "LINE_NO_TARGET",
        /// A contact of the account is on a segment that is not a target.
        SegmentNoTarget = "SEGMENT_NO_TARGET",
        /// A contact of the account was a target, but the interaction is canceled.
        Canceled = "CANCELED",
        /// A contact of the account is targeted, but excluded from segments.
        Excluded = "EXCLUDED",
        /// A contact of the account is targeted, but privacy blocked.
        PrivacyBlocked = "PRIVACY_BLOCKED",
        /// The request cannot be priced; `problem` has the reason.
        NotPriced = "NOT_PRICED",
        /// The published campaign has no line for the item.
        NoLineForItem = "NO_LINE_FOR_ITEM",
        /// The campaign's discount is the best one, but the winning price does not allow a
        /// discount.
        LineDiscountNotAllowed = "LINE_DISCOUNT_NOT_ALLOWED",
        /// Other lines won; the verdicts of the campaign's lines have the reasons.
        NoLineWins = "NO_LINE_WINS",
    }
}

/// A reason why a campaign grants nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrantReason {
    /// The code of the reason.
    #[schema(example = "NOT_IN_AUDIENCE")]
    pub code: GrantReasonCode,
    /// The reason in words.
    #[schema(
        max_length = 4000,
        example = "the published audience of SPRING does not hold CT000001"
    )]
    pub detail: String,
}

/// The price and the discount that the account gets.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrantWinner<'a> {
    /// The source of the price; `LIST_PRICE` if no line won.
    pub source: AnswerSource<'a>,
    /// The price of one unit of measure before the line discount.
    #[schema(
        value_type = String,
        max_length = 21,
        pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,5})?$",
        example = "57"
    )]
    pub unit_price: Amount,
    /// The line discount in percent.
    #[schema(
        value_type = String,
        max_length = 9,
        pattern = r"^(0|[1-9][0-9]?|100)(\.[0-9]{1,5})?$",
        example = "4"
    )]
    pub line_discount_percent: Percent,
    /// The net unit price by which the line was chosen; null for the list price, which does not
    /// compete.
    #[schema(
        value_type = Option<String>,
        max_length = 28,
        pattern = r"^(0|[1-9][0-9]{0,14})(\.[0-9]{1,12})?$",
        example = "54.72"
    )]
    pub net_unit_price: Option<Shown<12>>,
    /// The line that provides the price; null for the list price.
    pub price_line: Option<LineReference<'a>>,
    /// The line that provides the discount; null without one.
    pub discount_line: Option<LineReference<'a>>,
}

/// The result of the question whether a campaign grants an account its price.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CampaignGrant<'a> {
    /// The number of the campaign.
    #[schema(max_length = 50, example = "CP0001")]
    pub campaign_number: String,
    /// The requested day.
    #[schema(example = "2031-05-15")]
    pub date: NaiveDate,
    /// The version of the price book that was used.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 418)]
    pub publication_version: i64,
    /// With an item, true if the price or the discount comes from the campaign. Without one, true
    /// if the campaign's prices apply to the account on the day.
    #[schema(example = false)]
    pub granted: bool,
    /// All reasons why nothing is granted: those of the campaign first, then of the audience, then
    /// of the item. Empty if the price is granted.
    #[schema(max_items = 20)]
    pub reasons: Vec<GrantReason>,
    /// The account, and the lines that decide its membership in the audience.
    pub audience: AudienceMembership,
    /// The campaign's price lines for the item with their verdicts, ordered by id.
    #[schema(max_items = 1_000_000)]
    pub prices: Vec<PriceTrace<'a>>,
    /// The campaign's discount lines for the item with their verdicts, ordered by id.
    #[schema(max_items = 1_000_000)]
    pub discounts: Vec<DiscountTrace<'a>>,
    /// The price and discount for the item; null without an item, or if there is no price.
    pub winner: Option<GrantWinner<'a>>,
    /// The reason why the item has no price; null if it has one, or without an item.
    pub problem: Option<LineProblem>,
}

/// Explain whether a campaign grants an account its price
///
/// Checks the published campaign and the account's place in its audience. With an item it also
/// checks every line of the campaign and the lines that win, by the rules of price quotes. If
/// nothing is granted, `reasons` lists all obstacles together.
#[utoipa::path(
    get,
    path = "/v1/campaigns/{campaign}/grants",
    operation_id = "get_campaign_grant",
    tag = "Price quotes",
    params(
        ("campaign" = String, Path, description = "The campaign's id or number.", min_length = 1,
            max_length = 50, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$"),
        ("contactNumber" = Option<Key>, Query,
            description = "The contact; persons get their company's prices."),
        ("customerNumber" = Option<Key>, Query,
            description = "The customer. One of the two numbers is required."),
        ("itemNumber" = Option<Key>, Query,
            description = "The item. Without it only campaign and audience are checked."),
        ("variantCode" = Option<Key>, Query, description = "The variant, if any."),
        ("unitOfMeasureCode" = Option<Key>, Query,
            description = "The unit of measure. Default: the item's base unit."),
        ("quantity" = Option<Quantity>, Query, description = "The quantity. Default: 1."),
        ("date" = Option<Date>, Query,
            description = "The date in the company's time zone. Default: today."),
        ("currencyCode" = Option<CurrencyCode>, Query,
            description = "The currency. Default: the contact's, else the account's, else local."),
    ),
    responses(
        (status = 200, description = "The result and its reasons.", body = CampaignGrant<'_>),
        (status = 304, description = "The caller has the current representation."),
    )
)]
async fn get_campaign_grant(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
    book: web::Data<LiveBook>,
) -> Result<ApiResponse, Problem> {
    let params = request.query(&[
        "contactNumber",
        "customerNumber",
        "itemNumber",
        "variantCode",
        "unitOfMeasureCode",
        "quantity",
        "date",
        "currencyCode",
    ])?;
    let asked = read_request(&params, calendar.today())?;
    let mut conn = database.read().await?;
    let campaign = OfCampaign::find(&http_request, &mut conn).await?.number;
    let (contact, account) = account(&mut conn, &asked.party).await?;
    let audience = membership(&mut conn, campaign.as_str(), contact.clone(), account).await?;
    let snapshot = book.snapshot().clone();
    let asked = QuoteRequest {
        party: QuoteParty::Contact(contact.into()),
        explain: Some(Visibility::All),
        ..asked
    };
    let named = QuoteRequest { campaign_number: Some(campaign.as_str().into()), ..asked.clone() };
    let grant = grant(&snapshot, &campaign, &asked, &named, audience)?;
    Ok(ApiResponse::resource(StatusCode::OK, &grant)?
        .not_modified_if_known(request.if_none_match.as_ref()))
}

/// Reads the query: that of a quote, but the item is optional, and a contact or customer is
/// required.
fn read_request<'a>(
    params: &'a QueryParams<'_>,
    today: NaiveDate,
) -> Result<QuoteRequest<'a>, Problem> {
    let mut errors = Vec::new();
    if params.get("contactNumber").or_else(|| params.get("customerNumber")).is_none() {
        let detail = "contactNumber or customerNumber must be given";
        errors.push(FieldError::new("?contactNumber", FieldCode::Missing, detail));
    }
    if params.get("itemNumber").is_none() {
        errors.extend(ITEM_PARAMETERS.into_iter().filter(|name| params.get(name).is_some()).map(
            |name| {
                let detail = format!(
                    "{name} says something about an item; itemNumber has to be given with it"
                );
                FieldError::new(format!("?{name}"), FieldCode::NotAllowed, detail)
            },
        ));
    }
    match read_query(params, || today, false) {
        Ok(asked) if errors.is_empty() => Ok(asked),
        asked => Err(Problem::from_errors(
            errors.into_iter().chain(asked.err().into_iter().flatten()).collect(),
        )),
    }
}

/// Returns the requested contact and its account.
async fn account(
    conn: &mut AsyncPgConnection,
    party: &QuoteParty<'_>,
) -> Result<(String, String), Problem> {
    let (parameter, number) = match party {
        QuoteParty::Contact(number) => ("contactNumber", number),
        QuoteParty::Customer(number) => ("customerNumber", number),
        QuoteParty::Anybody => {
            return Err(Problem::internal("a question about a grant names nobody"));
        }
    };
    let mut query =
        contacts::table.select((contacts::number, contacts::company_number)).into_boxed();
    query = match party {
        QuoteParty::Customer(_) => query.filter(contacts::customer_number.eq(number)),
        _ => query.filter(contacts::number.eq(number)),
    };
    let found: Option<(String, Option<String>)> = query.first(conn).await.optional()?;
    let (contact, company) = found.ok_or_else(|| {
        let detail = format!("there is no {} {number}", parameter.trim_end_matches("Number"));
        Problem::rule(format!("?{parameter}"), FieldCode::ReferenceNotFound, detail)
    })?;
    let account = company.unwrap_or_else(|| contact.clone());
    Ok((contact, account))
}

/// Builds the result. `named` is the same request as `asked`, with the campaign named.
fn grant<'a>(
    snapshot: &'a Snapshot,
    campaign: &Key,
    asked: &'a QuoteRequest<'_>,
    named: &QuoteRequest<'_>,
    audience: AudienceMembership,
) -> Result<CampaignGrant<'a>, Problem> {
    // The database knows the contact, but the in-memory book may not have it yet.
    let retry_later = |_| Problem::concurrent_change();
    let against = campaign_obstacles(snapshot, named).map_err(retry_later)?;
    let mut reasons = campaign_reasons(campaign, asked.date, &against, &audience);
    let line = quote(snapshot, asked).map_err(retry_later)?.lines.pop();
    let mut grant = CampaignGrant {
        campaign_number: campaign.to_string(),
        date: asked.date,
        publication_version: snapshot.version(),
        granted: against.is_empty(),
        reasons: Vec::new(),
        audience,
        prices: Vec::new(),
        discounts: Vec::new(),
        winner: None,
        problem: None,
    };
    let trace = match line {
        None => None,
        Some(QuoteLine::Priced(mut line)) => {
            let trace = line.trace.take();
            grant.granted = grants(campaign.as_str(), &line);
            grant.winner = Some(winner(&line, trace.as_deref()));
            trace
        }
        Some(QuoteLine::Unpriced(line)) => {
            grant.granted = false;
            reasons.push(reason(GrantReasonCode::NotPriced, line.problem.detail.clone()));
            grant.problem = Some(line.problem);
            line.trace
        }
    };
    if let Some(trace) = trace {
        grant.prices =
            trace.prices.into_iter().filter(|price| is_from(campaign, price.line.source)).collect();
        grant.discounts = trace
            .discounts
            .into_iter()
            .filter(|line| is_from(campaign, line.line.source))
            .collect();
        if against.is_empty() && !grant.granted && grant.problem.is_none() {
            reasons.push(line_reason(&grant, asked));
        }
    }
    if !grant.granted {
        grant.reasons = reasons;
    }
    Ok(grant)
}

fn reason(code: GrantReasonCode, detail: impl Into<String>) -> GrantReason {
    GrantReason { code, detail: detail.into() }
}

/// Returns the reasons of the campaign and of the account's place in its audience.
fn campaign_reasons(
    campaign: &Key,
    date: NaiveDate,
    against: &[Verdict],
    audience: &AudienceMembership,
) -> Vec<GrantReason> {
    let mut reasons = Vec::new();
    let is_published = !against.contains(&Verdict::NotPublished);
    if !is_published {
        reasons.push(reason(GrantReasonCode::NotPublished, format!("{campaign} is not published")));
    }
    if against.contains(&Verdict::OutsideDates) {
        let detail = format!("{date} is outside the dates of {campaign} as published");
        reasons.push(reason(GrantReasonCode::OutsideDates, detail));
    }
    let account = &audience.account_number;
    if against.contains(&Verdict::NotInAudience) {
        let detail = format!("the published audience of {campaign} does not hold {account}");
        reasons.push(reason(GrantReasonCode::NotInAudience, detail));
    } else if is_published {
        return reasons;
    }
    if audience.in_draft {
        let detail =
            format!("{account} is targeted; the next activation of {campaign} brings it in");
        reasons.push(reason(GrantReasonCode::WaitsForPublication, detail));
    } else if audience.reasons.is_empty() {
        let detail = format!("no contact of {account} is on a segment of {campaign}");
        reasons.push(reason(GrantReasonCode::NotOnSegment, detail));
    }
    for line in &audience.reasons {
        let code = match line.verdict {
            AudienceVerdict::Target => continue,
            AudienceVerdict::LineNoTarget => GrantReasonCode::LineNoTarget,
            AudienceVerdict::SegmentNoTarget => GrantReasonCode::SegmentNoTarget,
            AudienceVerdict::Canceled => GrantReasonCode::Canceled,
            AudienceVerdict::Excluded => GrantReasonCode::Excluded,
            AudienceVerdict::PrivacyBlocked => GrantReasonCode::PrivacyBlocked,
        };
        // One target is enough, so other lines are no obstacle for a drafted account. One reason of
        // each kind suffices, because `audience` lists all lines.
        if !audience.in_draft && !reasons.iter().any(|known| known.code == code) {
            reasons.push(reason(code, line.detail.clone()));
        }
    }
    reasons
}

/// Returns the reason why no line wins although the campaign's prices apply to the account.
fn line_reason(grant: &CampaignGrant<'_>, asked: &QuoteRequest<'_>) -> GrantReason {
    let campaign = &grant.campaign_number;
    let item =
        asked.lines.as_slice().first().map(|line| line.item_number.as_ref()).unwrap_or_default();
    let lines = grant.prices.len().saturating_add(grant.discounts.len());
    if lines == 0 {
        return reason(
            GrantReasonCode::NoLineForItem,
            format!("{campaign} as published has no line for {item}"),
        );
    }
    let forbidden = Verdict::LineDiscountNotAllowed;
    if grant.discounts.iter().any(|line| line.verdict == forbidden) {
        let detail = format!("the price that was taken for {item} allows no line discount");
        return reason(GrantReasonCode::LineDiscountNotAllowed, detail);
    }
    reason(
        GrantReasonCode::NoLineWins,
        format!("none of the {lines} lines that {campaign} has for {item} won"),
    )
}

fn winner<'a>(line: &PricedLine<'a>, trace: Option<&Trace<'a>>) -> GrantWinner<'a> {
    let prices = trace.map(|trace| trace.prices.as_slice()).unwrap_or_default();
    let chosen =
        line.price_line.and_then(|used| prices.iter().find(|price| price.line.id == used.id));
    GrantWinner {
        source: line.source,
        unit_price: line.unit_price,
        line_discount_percent: line.line_discount_percent,
        net_unit_price: chosen.and_then(|price| price.net_unit_price),
        price_line: line.price_line,
        discount_line: line.discount_line,
    }
}

fn is_from(campaign: &Key, source: AnswerSource<'_>) -> bool {
    matches!(
        source,
        AnswerSource::Campaign { campaign_number } if campaign_number == campaign.as_str()
    )
}
