//! The statement that computes the figures. Each kind of record is aggregated by group key, and the
//! aggregates are joined by key. Without grouping there is one group.

use super::GroupBy;

/// The SQL that assigns records to groups: key expressions and the joins that they need.
struct Grouping {
    interaction: &'static str,
    task: &'static str,
    opportunity: &'static str,
    sale: &'static str,
    join_task: &'static str,
    join_opportunity: &'static str,
    join_sale: &'static str,
    keys: &'static str,
}

const ALL_KEYS: &str = "SELECT key FROM acts UNION SELECT key FROM work \
    UNION SELECT key FROM deals UNION SELECT key FROM trade";

const UNGROUPED: Grouping = Grouping {
    interaction: "NULL",
    task: "NULL",
    opportunity: "NULL",
    sale: "NULL",
    join_task: "",
    join_opportunity: "",
    join_sale: "",
    // One row even for a campaign without records.
    keys: "SELECT '' AS key",
};

const MONTH: Grouping = Grouping {
    interaction: "to_char(interactions.date, 'YYYY-MM')",
    task: "to_char(tasks.date, 'YYYY-MM')",
    opportunity: "to_char(opportunities.creation_date, 'YYYY-MM')",
    sale: "to_char(sales.posting_date, 'YYYY-MM')",
    keys: ALL_KEYS,
    ..UNGROUPED
};

const SEGMENT: Grouping = Grouping {
    interaction: "interactions.segment_number",
    task: "of_account.segment",
    opportunity: "of_account.segment",
    sale: "of_account.segment",
    join_task: "LEFT JOIN contacts ON contacts.number = tasks.contact_number \
        LEFT JOIN of_account ON of_account.account = \
            coalesce(contacts.company_number, contacts.number)",
    join_opportunity: "JOIN contacts ON contacts.number = opportunities.contact_number \
        LEFT JOIN of_account ON of_account.account = \
            coalesce(contacts.company_number, contacts.number)",
    join_sale: "LEFT JOIN of_account ON of_account.account = sales.account_number",
    keys: ALL_KEYS,
};

const SALESPERSON: Grouping = Grouping {
    interaction: "interactions.salesperson_code",
    task: "tasks.salesperson_code",
    opportunity: "opportunities.salesperson_code",
    sale: "contacts.salesperson_code",
    join_sale: "JOIN contacts ON contacts.number = sales.account_number",
    keys: ALL_KEYS,
    ..UNGROUPED
};

/// Common table expressions for the segment of each account: that through which the account first
/// joined the campaign.
const ACCOUNTS: &str = "ways AS (
        SELECT coalesce(contacts.company_number, contacts.number) AS account,
            segment_number AS segment, false AS is_open, date
        FROM interactions JOIN contacts ON contacts.number = contact_number
        WHERE campaign_number = $1 AND campaign_target AND NOT canceled
            AND segment_number IS NOT NULL
        UNION ALL
        SELECT coalesce(contacts.company_number, contacts.number), segments.number, true, NULL
        FROM segments JOIN segment_lines ON segment_number = segments.number
        JOIN contacts ON contacts.number = contact_number
        WHERE segments.campaign_number = $1
            AND coalesce(segment_lines.campaign_target, segments.campaign_target)
    ), of_account AS (
        SELECT DISTINCT ON (account) account, segment
        FROM ways ORDER BY account, is_open, date, segment
    )";

/// Common table expressions for the amounts and the buyers of the attributed sales lines (`sold`).
const TRADE: &str = "trade AS (
        SELECT key, count(*) AS lines, sum(sign * line_amount) AS amount,
            sum(sign * given) AS discount,
            count(cost) AS lines_with_cost, sum(sign * (line_amount - cost)) AS margin
        FROM sold GROUP BY key
    ), buyers AS (
        SELECT key, count(DISTINCT account_number) AS number
        FROM (SELECT key, account_number FROM sold
            GROUP BY key, account_number, item_number
            HAVING sum(sign * base_quantity) > 0) AS kept
        GROUP BY key
    )";

/// Returns the SQL of the reduction of a sales line that a campaign gave: the difference to what the
/// account would have paid without campaigns. If one campaign granted the price and another the
/// discount, each gets its part. Without a price to compare with, only the discount is known.
pub(super) fn given(campaign: &str) -> String {
    format!(
        "CASE
        WHEN baseline_amount IS NULL
            THEN CASE WHEN sales_attributions.discount THEN discount_amount ELSE 0 END
        WHEN NOT EXISTS (SELECT FROM sales_attributions AS other
            WHERE other.sale_id = sales.id AND other.campaign_number <> {campaign})
            THEN baseline_amount - line_amount
        WHEN NOT sales_attributions.price THEN discount_amount
        ELSE baseline_amount - line_amount - discount_amount END"
    )
}

/// The final `SELECT`, which joins the aggregates by group key.
const SELECT_FIGURES: &str = "SELECT nullif(key, '') AS key,
        coalesce(targeted, 0) AS contacts_targeted,
        coalesce(responded, 0) AS contacts_responded,
        coalesce(distinct_targeted, 0) AS distinct_contacts_targeted,
        coalesce(distinct_responded, 0) AS distinct_contacts_responded,
        trim_scale(round(100.0 * responded / nullif(targeted, 0), 1))::text AS response_rate,
        trim_scale(coalesce(acts.cost, 0))::text AS cost,
        coalesce(acts.duration, 0) AS duration,
        trim_scale(round(acts.cost / nullif(responded, 0), 2))::text AS cost_per_response,
        coalesce(work.open, 0) AS tasks_open, coalesce(work.closed, 0) AS tasks_closed,
        coalesce(deals.number, 0) AS number,
        trim_scale(coalesce(estimated, 0))::text AS estimated_value,
        trim_scale(round(coalesce(weighted, 0), 5))::text AS weighted_value,
        coalesce(lines, 0) AS sales_lines, trim_scale(coalesce(amount, 0))::text AS sales_amount,
        trim_scale(coalesce(discount, 0))::text AS discount_given,
        coalesce(buyers.number, 0) AS customers_who_bought,
        coalesce(lines_with_cost, 0) AS sales_lines_with_cost,
        trim_scale(margin)::text AS margin,
        trim_scale(round(100 * (margin - acts.cost) / nullif(acts.cost, 0), 1))::text
            AS return_on_cost
    FROM keys LEFT JOIN acts USING (key) LEFT JOIN work USING (key) LEFT JOIN deals USING (key)
    LEFT JOIN trade USING (key) LEFT JOIN buyers USING (key)
    ORDER BY key COLLATE \"C\" LIMIT 10000";

/// Returns the statement; `$1` is the campaign's number. A group key is never an empty text, so an
/// empty text represents records without key.
pub(super) fn figures(group_by: Option<GroupBy>) -> String {
    let Grouping {
        interaction,
        task,
        opportunity,
        sale,
        join_task,
        join_opportunity,
        join_sale,
        keys,
    } = match group_by {
        None => UNGROUPED,
        Some(GroupBy::Month) => MONTH,
        Some(GroupBy::Segment) => SEGMENT,
        Some(GroupBy::Salesperson) => SALESPERSON,
    };
    let given = given("$1");
    format!(
        "WITH {ACCOUNTS}, acts AS (
            SELECT key, count(*) FILTER (WHERE campaign_target) AS targeted,
                count(*) FILTER (WHERE campaign_response) AS responded,
                count(DISTINCT contact_number) FILTER (WHERE campaign_target)
                    AS distinct_targeted,
                count(DISTINCT contact_number) FILTER (WHERE campaign_response)
                    AS distinct_responded,
                sum(cost) AS cost, sum(duration_minutes) AS duration
            FROM (SELECT coalesce({interaction}, '') AS key, campaign_target, campaign_response,
                    contact_number, cost, duration_minutes
                FROM interactions WHERE campaign_number = $1 AND NOT canceled) AS counted
            GROUP BY key
        ), work AS (
            SELECT key, count(*) FILTER (WHERE closed_at IS NULL) AS open,
                count(closed_at) AS closed
            FROM (SELECT coalesce({task}, '') AS key, closed_at FROM tasks {join_task}
                WHERE tasks.campaign_number = $1) AS counted
            GROUP BY key
        ), deals AS (
            SELECT key, count(*) AS number, sum(estimated_value) AS estimated,
                sum(estimated_value * chance / 100) AS weighted
            FROM (SELECT coalesce({opportunity}, '') AS key, estimated_value,
                    CASE state WHEN 'WON' THEN 100 WHEN 'LOST' THEN 0 ELSE chance_percent END
                        AS chance
                FROM opportunities {join_opportunity}
                WHERE opportunities.campaign_number = $1) AS counted
            GROUP BY key
        ), sold AS (
            SELECT coalesce({sale}, '') AS key, account_number, item_number, line_amount,
                {given} AS given, sales.cost, base_quantity,
                CASE document_type WHEN 'INVOICE' THEN 1 ELSE -1 END AS sign
            FROM sales_attributions JOIN sales ON sales.id = sale_id {join_sale}
            WHERE sales_attributions.campaign_number = $1
        ), {TRADE}, keys AS ({keys}) {SELECT_FIGURES}"
    )
}
