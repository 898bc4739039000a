//! The fields by which contacts can be filtered, in their list and in segment criteria.

use values::enums::ContactType;

use crate::platform::http::list::{Field, FieldKind};

/// The fields by which contacts can be filtered. The expressions refer to the table `contacts`, so
/// a query must not alias it.
///
/// A person's industry groups and business relations include the company's
/// (`docs/api-conventions.md` section 6). The subquery reads the company by number, only for
/// persons that the rest of the filter has not excluded. Contacts without company skip it.
///
/// `hasCustomer` and the group codes are those of the contact's account. The last fields are
/// derived: from interactions that are not canceled, from the items on posted invoices of the
/// account, and from the amounts of its invoices less those of its credit memos.
pub const FIELDS: &[Field] = &[
    Field::new("id", FieldKind::Uuid, "contacts.id").not_null(),
    Field::new("number", FieldKind::Key, "contacts.number").not_null(),
    Field::new("type", FieldKind::Enum(ContactType::TEXTS), "contacts.type").not_null(),
    Field::new("name", FieldKind::Text, "contacts.name").not_null(),
    Field::new("companyNumber", FieldKind::Key, "contacts.company_number"),
    Field::new("address", FieldKind::Text, "contacts.address").not_null(),
    Field::new("address2", FieldKind::Text, "contacts.address2").not_null(),
    Field::new("postCode", FieldKind::Text, "contacts.post_code").not_null(),
    Field::new("city", FieldKind::Text, "contacts.city").not_null(),
    Field::new("county", FieldKind::Text, "contacts.county").not_null(),
    Field::new("countryCode", FieldKind::Key, "contacts.country_code"),
    Field::new("phone", FieldKind::Text, "contacts.phone").not_null(),
    Field::new("email", FieldKind::Text, "contacts.email").not_null(),
    Field::new("languageCode", FieldKind::Key, "contacts.language_code"),
    Field::new("currencyCode", FieldKind::Key, "contacts.currency_code"),
    Field::new("salespersonCode", FieldKind::Key, "contacts.salesperson_code"),
    Field::new("territoryCode", FieldKind::Key, "contacts.territory_code"),
    Field::new(
        "industryGroups",
        FieldKind::KeyList,
        "CASE WHEN contacts.company_number IS NULL THEN contacts.industry_groups \
         ELSE contacts.industry_groups || \
         (SELECT company.industry_groups FROM contacts AS company \
             WHERE company.number = contacts.company_number) END",
    )
    .not_null(),
    Field::new("mailingGroups", FieldKind::KeyList, "contacts.mailing_groups").not_null(),
    Field::new("jobResponsibilities", FieldKind::KeyList, "contacts.job_responsibilities")
        .not_null(),
    Field::new(
        "businessRelations",
        FieldKind::KeyList,
        "CASE WHEN contacts.company_number IS NULL THEN contacts.business_relations \
         ELSE contacts.business_relations || \
         (SELECT company.business_relations FROM contacts AS company \
             WHERE company.number = contacts.company_number) END",
    )
    .not_null(),
    Field::new("excludeFromSegments", FieldKind::Boolean, "contacts.exclude_from_segments")
        .not_null(),
    Field::new("privacyBlocked", FieldKind::Boolean, "contacts.privacy_blocked").not_null(),
    Field::new("customer.number", FieldKind::Key, "contacts.customer_number"),
    Field::new("customer.priceGroupCode", FieldKind::Key, "contacts.customer_price_group_code"),
    Field::new(
        "customer.discountGroupCode",
        FieldKind::Key,
        "contacts.customer_discount_group_code",
    ),
    // The columns are never null, but have no meaning for a contact that is not a customer.
    Field::new(
        "customer.allowLineDiscount",
        FieldKind::Boolean,
        "CASE WHEN contacts.customer_number IS NOT NULL THEN contacts.customer_allow_line_discount \
         END",
    ),
    Field::new(
        "customer.pricesIncludeTax",
        FieldKind::Boolean,
        "CASE WHEN contacts.customer_number IS NOT NULL THEN contacts.customer_prices_include_tax \
         END",
    ),
    Field::new(
        "hasCustomer",
        FieldKind::Boolean,
        "CASE WHEN contacts.company_number IS NULL THEN contacts.customer_number IS NOT NULL \
         ELSE EXISTS (SELECT FROM contacts AS company \
             WHERE company.number = contacts.company_number \
             AND company.customer_number IS NOT NULL) END",
    )
    .not_null()
    .filter_only(),
    Field::new(
        "priceGroupCode",
        FieldKind::Key,
        "CASE WHEN contacts.company_number IS NULL THEN contacts.customer_price_group_code \
         ELSE (SELECT company.customer_price_group_code FROM contacts AS company \
             WHERE company.number = contacts.company_number) END",
    )
    .filter_only(),
    Field::new(
        "discountGroupCode",
        FieldKind::Key,
        "CASE WHEN contacts.company_number IS NULL THEN contacts.customer_discount_group_code \
         ELSE (SELECT company.customer_discount_group_code FROM contacts AS company \
             WHERE company.number = contacts.company_number) END",
    )
    .filter_only(),
    Field::new(
        "interactionCampaigns",
        FieldKind::KeyList,
        "ARRAY(SELECT interactions.campaign_number FROM interactions \
         WHERE interactions.contact_number = contacts.number \
         AND NOT interactions.canceled AND interactions.campaign_number IS NOT NULL)",
    )
    .not_null(),
    Field::new(
        "respondedCampaigns",
        FieldKind::KeyList,
        "ARRAY(SELECT interactions.campaign_number FROM interactions \
         WHERE interactions.contact_number = contacts.number \
         AND NOT interactions.canceled AND interactions.campaign_response)",
    )
    .not_null(),
    Field::new(
        "interactionTemplates",
        FieldKind::KeyList,
        "ARRAY(SELECT interactions.interaction_template_code FROM interactions \
         WHERE interactions.contact_number = contacts.number AND NOT interactions.canceled \
         AND interactions.interaction_template_code IS NOT NULL)",
    )
    .not_null(),
    Field::new(
        "loggedSegments",
        FieldKind::KeyList,
        "ARRAY(SELECT interactions.segment_number FROM interactions \
         WHERE interactions.contact_number = contacts.number \
         AND NOT interactions.canceled AND interactions.segment_number IS NOT NULL)",
    )
    .not_null(),
    Field::new(
        "itemsBought",
        FieldKind::KeyList,
        "ARRAY(SELECT sales.item_number FROM sales WHERE sales.document_type = 'INVOICE' \
         AND sales.account_number = coalesce(contacts.company_number, contacts.number))",
    )
    .not_null(),
    Field::new(
        "itemsBoughtIn12Months",
        FieldKind::KeyList,
        "ARRAY(SELECT sales.item_number FROM sales WHERE sales.document_type = 'INVOICE' \
         AND sales.account_number = coalesce(contacts.company_number, contacts.number) \
             AND sales.posting_date > {today} - interval '12 months' \
             AND sales.posting_date <= {today})",
    )
    .not_null(),
    Field::new(
        "itemsBoughtIn30Days",
        FieldKind::KeyList,
        "ARRAY(SELECT sales.item_number FROM sales WHERE sales.document_type = 'INVOICE' \
         AND sales.account_number = coalesce(contacts.company_number, contacts.number) \
             AND sales.posting_date > {today} - 30 AND sales.posting_date <= {today})",
    )
    .not_null(),
    Field::new(
        "salesAmount",
        FieldKind::Decimal,
        "SELECT coalesce(sum(CASE sales.document_type WHEN 'INVOICE' THEN sales.line_amount \
             ELSE -sales.line_amount END), 0) FROM sales \
         WHERE sales.account_number = coalesce(contacts.company_number, contacts.number) \
             AND sales.posting_date > {today} - make_interval(months => {argument}::integer) \
             AND sales.posting_date <= {today}",
    )
    .not_null()
    .of("months", 1, 120),
];
