-- The drafts (what people edit), the price book (what counts) and the records of idempotency.
--
-- References are business keys: they are what the wire carries, they never change once given, and a list needs no join to
-- show them. Key columns collate "C", so that their order is the order of bytes on every server.
-- Every constraint has a name of its own; src/platform/http/constraints.rs says what each means to a client.

CREATE EXTENSION IF NOT EXISTS btree_gist;

-- ---------------------------------------------------------------------------------------------------------------------
-- Reference data

CREATE TABLE settings (
    only_row boolean PRIMARY KEY DEFAULT true CONSTRAINT settings_only_row CHECK (only_row),
    local_currency_code text COLLATE "C" NOT NULL DEFAULT 'EUR',
    time_zone text NOT NULL DEFAULT 'UTC',
    price_policy text NOT NULL DEFAULT 'LOWEST_NET'
        CONSTRAINT settings_price_policy CHECK (price_policy IN ('LOWEST_NET', 'CAMPAIGN_FIRST', 'HIERARCHY')),
    price_hierarchy text[] NOT NULL
        DEFAULT ARRAY['CONTACT', 'CUSTOMER_PRICE_GROUP', 'CUSTOMER_DISCOUNT_GROUP', 'ALL_CUSTOMERS', 'CAMPAIGN'],
    never_above_list_price boolean NOT NULL DEFAULT false,
    -- The number that the next resource without one gets, by kind.
    next_campaign_number text COLLATE "C" NOT NULL DEFAULT 'CP0001',
    next_segment_number text COLLATE "C" NOT NULL DEFAULT 'SM0001',
    next_contact_number text COLLATE "C" NOT NULL DEFAULT 'CT000001'
);
INSERT INTO settings DEFAULT VALUES;

CREATE TABLE currencies (
    id uuid CONSTRAINT currencies_pkey PRIMARY KEY,
    code text COLLATE "C" NOT NULL CONSTRAINT currencies_code_key UNIQUE,
    description text NOT NULL DEFAULT '',
    unit_amount_precision numeric(20, 5) NOT NULL DEFAULT 0.00001
        CONSTRAINT currencies_unit_amount_precision CHECK (unit_amount_precision > 0),
    amount_precision numeric(20, 5) NOT NULL DEFAULT 0.01
        CONSTRAINT currencies_amount_precision CHECK (amount_precision > 0)
);

CREATE TABLE exchange_rates (
    id uuid CONSTRAINT exchange_rates_pkey PRIMARY KEY,
    currency_code text COLLATE "C" NOT NULL
        CONSTRAINT exchange_rates_currency_fkey REFERENCES currencies (code),
    starting_date date NOT NULL,
    rate numeric(25, 10) NOT NULL CONSTRAINT exchange_rates_rate CHECK (rate > 0),
    CONSTRAINT exchange_rates_currency_date_key UNIQUE (currency_code, starting_date)
);

CREATE TABLE items (
    id uuid CONSTRAINT items_pkey PRIMARY KEY,
    number text COLLATE "C" NOT NULL CONSTRAINT items_number_key UNIQUE,
    description text NOT NULL DEFAULT '',
    list_price numeric(20, 5) CONSTRAINT items_list_price CHECK (list_price >= 0),
    price_includes_tax boolean NOT NULL DEFAULT false,
    tax_percent numeric(8, 5) NOT NULL DEFAULT 0 CONSTRAINT items_tax_percent CHECK (tax_percent BETWEEN 0 AND 100),
    unit_cost numeric(20, 5) CONSTRAINT items_unit_cost CHECK (unit_cost >= 0),
    item_discount_group_code text COLLATE "C",
    blocked boolean NOT NULL DEFAULT false,
    base_unit_of_measure_code text COLLATE "C" NOT NULL DEFAULT 'PCS'
);

CREATE TABLE item_variants (
    item_number text COLLATE "C" NOT NULL
        CONSTRAINT item_variants_item_fkey REFERENCES items (number) ON DELETE CASCADE,
    code text COLLATE "C" NOT NULL,
    description text NOT NULL DEFAULT '',
    CONSTRAINT item_variants_pkey PRIMARY KEY (item_number, code)
);

CREATE TABLE item_units_of_measure (
    item_number text COLLATE "C" NOT NULL
        CONSTRAINT item_units_item_fkey REFERENCES items (number) ON DELETE CASCADE,
    code text COLLATE "C" NOT NULL,
    quantity_per_unit numeric(20, 5) NOT NULL CONSTRAINT item_units_quantity CHECK (quantity_per_unit > 0),
    CONSTRAINT item_units_pkey PRIMARY KEY (item_number, code)
);

CREATE TABLE salespeople (
    id uuid CONSTRAINT salespeople_pkey PRIMARY KEY,
    code text COLLATE "C" NOT NULL CONSTRAINT salespeople_code_key UNIQUE,
    name text NOT NULL DEFAULT '',
    email text NOT NULL DEFAULT '',
    blocked boolean NOT NULL DEFAULT false
);

CREATE TABLE campaign_statuses (
    id uuid CONSTRAINT campaign_statuses_pkey PRIMARY KEY,
    code text COLLATE "C" NOT NULL CONSTRAINT campaign_statuses_code_key UNIQUE,
    description text NOT NULL DEFAULT '',
    sequence integer NOT NULL,
    allows_activation boolean NOT NULL DEFAULT true,
    is_final boolean NOT NULL DEFAULT false
);

-- ---------------------------------------------------------------------------------------------------------------------
-- Contacts, campaigns, segments

CREATE TABLE contacts (
    id uuid CONSTRAINT contacts_pkey PRIMARY KEY,
    number text COLLATE "C" NOT NULL CONSTRAINT contacts_number_key UNIQUE,
    type text NOT NULL CONSTRAINT contacts_type CHECK (type IN ('COMPANY', 'PERSON')),
    name text NOT NULL,
    company_number text COLLATE "C",
    address text NOT NULL DEFAULT '',
    address2 text NOT NULL DEFAULT '',
    post_code text NOT NULL DEFAULT '',
    city text NOT NULL DEFAULT '',
    county text NOT NULL DEFAULT '',
    country_code text COLLATE "C",
    phone text NOT NULL DEFAULT '',
    email text NOT NULL DEFAULT '',
    language_code text COLLATE "C",
    currency_code text COLLATE "C" CONSTRAINT contacts_currency_fkey REFERENCES currencies (code),
    salesperson_code text COLLATE "C" CONSTRAINT contacts_salesperson_fkey REFERENCES salespeople (code),
    territory_code text COLLATE "C",
    industry_groups text[] COLLATE "C" NOT NULL DEFAULT '{}',
    mailing_groups text[] COLLATE "C" NOT NULL DEFAULT '{}',
    job_responsibilities text[] COLLATE "C" NOT NULL DEFAULT '{}',
    business_relations text[] COLLATE "C" NOT NULL DEFAULT '{}',
    exclude_from_segments boolean NOT NULL DEFAULT false,
    privacy_blocked boolean NOT NULL DEFAULT false,
    customer_number text COLLATE "C" CONSTRAINT contacts_customer_number_key UNIQUE,
    customer_price_group_code text COLLATE "C",
    customer_discount_group_code text COLLATE "C",
    customer_allow_line_discount boolean NOT NULL DEFAULT true,
    customer_prices_include_tax boolean NOT NULL DEFAULT false,
    CONSTRAINT contacts_number_type_key UNIQUE (number, type),
    CONSTRAINT contacts_person_company CHECK (company_number IS NULL OR type = 'PERSON'),
    CONSTRAINT contacts_customer_company CHECK (customer_number IS NULL OR type = 'COMPANY'),
    -- A person's company must be a COMPANY: the constant second column makes the foreign key say so.
    company_type text GENERATED ALWAYS AS (CASE WHEN company_number IS NULL THEN NULL ELSE 'COMPANY' END) STORED,
    CONSTRAINT contacts_company_fkey FOREIGN KEY (company_number, company_type) REFERENCES contacts (number, type)
);
CREATE INDEX contacts_company ON contacts (company_number) WHERE company_number IS NOT NULL;

CREATE TABLE campaigns (
    id uuid CONSTRAINT campaigns_pkey PRIMARY KEY,
    number text COLLATE "C" NOT NULL CONSTRAINT campaigns_number_key UNIQUE,
    description text NOT NULL DEFAULT '',
    type text COLLATE "C",
    salesperson_code text COLLATE "C" CONSTRAINT campaigns_salesperson_fkey REFERENCES salespeople (code),
    status_code text COLLATE "C" CONSTRAINT campaigns_status_fkey REFERENCES campaign_statuses (code),
    starting_date date,
    ending_date date,
    publishing text NOT NULL DEFAULT 'AUTOMATIC'
        CONSTRAINT campaigns_publishing CHECK (publishing IN ('AUTOMATIC', 'MANUAL')),
    has_unpublished_changes boolean NOT NULL DEFAULT false,
    -- Set while the campaign is active: what the book carries of it.
    publication_version bigint,
    published_starting_date date,
    published_ending_date date,
    CONSTRAINT campaigns_period CHECK (ending_date >= starting_date),
    CONSTRAINT campaigns_published CHECK ((publication_version IS NULL) = (published_starting_date IS NULL))
);
CREATE INDEX campaigns_status ON campaigns (status_code);

CREATE TABLE campaign_status_changes (
    id uuid CONSTRAINT campaign_status_changes_pkey PRIMARY KEY,
    campaign_number text COLLATE "C" NOT NULL
        CONSTRAINT campaign_status_changes_campaign_fkey REFERENCES campaigns (number) ON DELETE CASCADE,
    from_status_code text COLLATE "C",
    to_status_code text COLLATE "C",
    changed_at timestamptz NOT NULL DEFAULT now(),
    changed_by text NOT NULL
);
CREATE INDEX campaign_status_changes_campaign ON campaign_status_changes (campaign_number, changed_at);

CREATE TABLE segments (
    id uuid CONSTRAINT segments_pkey PRIMARY KEY,
    number text COLLATE "C" NOT NULL CONSTRAINT segments_number_key UNIQUE,
    description text NOT NULL DEFAULT '',
    campaign_number text COLLATE "C" CONSTRAINT segments_campaign_fkey REFERENCES campaigns (number),
    campaign_target boolean NOT NULL DEFAULT false,
    campaign_response boolean NOT NULL DEFAULT false,
    salesperson_code text COLLATE "C" CONSTRAINT segments_salesperson_fkey REFERENCES salespeople (code),
    subject text NOT NULL DEFAULT ''
);
CREATE INDEX segments_campaign ON segments (campaign_number);

CREATE TABLE segment_lines (
    id uuid CONSTRAINT segment_lines_pkey PRIMARY KEY,
    segment_number text COLLATE "C" NOT NULL
        CONSTRAINT segment_lines_segment_fkey REFERENCES segments (number) ON DELETE CASCADE,
    contact_number text COLLATE "C" NOT NULL CONSTRAINT segment_lines_contact_fkey REFERENCES contacts (number),
    campaign_target boolean,
    campaign_response boolean,
    CONSTRAINT segment_lines_contact_key UNIQUE (segment_number, contact_number)
);
CREATE INDEX segment_lines_contact ON segment_lines (contact_number);

-- ---------------------------------------------------------------------------------------------------------------------
-- What is offered. A source is one of: a campaign, a contact, a group (a free code), everybody.
-- `alike` folds what makes two lines alike into one value, for the exclusion of overlapping duplicates and for batches, which
-- find the line that a row means by it: a campaign's lines all have the campaign's dates, so they overlap whatever these are.

-- Keys hold no '|', so the text has one reading.
CREATE FUNCTION line_alike(source_type text, campaign_number text, contact_number text, group_code text, item_number text,
    item_discount_group_code text, variant_code text, unit_of_measure_code text, currency_code text,
    minimum_quantity numeric) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN md5(
    source_type || '|' || coalesce(campaign_number, contact_number, group_code, '')
    || '|' || coalesce(item_number, '') || '|' || coalesce(item_discount_group_code, '')
    || '|' || coalesce(variant_code, '') || '|' || coalesce(unit_of_measure_code, '')
    || '|' || coalesce(currency_code, '') || '|' || trim_scale(minimum_quantity)::text)::uuid;

CREATE TABLE price_lines (
    id uuid CONSTRAINT price_lines_pkey PRIMARY KEY,
    source_type text NOT NULL
        CONSTRAINT price_lines_source_type
        CHECK (source_type IN ('CAMPAIGN', 'CONTACT', 'CUSTOMER_PRICE_GROUP', 'ALL_CUSTOMERS')),
    campaign_number text COLLATE "C"
        CONSTRAINT price_lines_campaign_fkey REFERENCES campaigns (number) ON DELETE CASCADE,
    contact_number text COLLATE "C" CONSTRAINT price_lines_contact_fkey REFERENCES contacts (number),
    group_code text COLLATE "C",
    item_number text COLLATE "C" NOT NULL CONSTRAINT price_lines_item_fkey REFERENCES items (number),
    variant_code text COLLATE "C",
    unit_of_measure_code text COLLATE "C",
    currency_code text COLLATE "C" CONSTRAINT price_lines_currency_fkey REFERENCES currencies (code),
    minimum_quantity numeric(20, 5) NOT NULL DEFAULT 0
        CONSTRAINT price_lines_minimum_quantity CHECK (minimum_quantity >= 0),
    starting_date date,
    ending_date date,
    unit_price numeric(20, 5) NOT NULL CONSTRAINT price_lines_unit_price CHECK (unit_price >= 0),
    allow_line_discount boolean NOT NULL DEFAULT true,
    price_includes_tax boolean NOT NULL DEFAULT false,
    tax_percent numeric(8, 5) CONSTRAINT price_lines_tax_percent CHECK (tax_percent BETWEEN 0 AND 100),
    CONSTRAINT price_lines_variant_fkey FOREIGN KEY (item_number, variant_code)
        REFERENCES item_variants (item_number, code),
    CONSTRAINT price_lines_unit_fkey FOREIGN KEY (item_number, unit_of_measure_code)
        REFERENCES item_units_of_measure (item_number, code),
    CONSTRAINT price_lines_source CHECK (
        (source_type = 'CAMPAIGN') = (campaign_number IS NOT NULL)
        AND (source_type = 'CONTACT') = (contact_number IS NOT NULL)
        AND (source_type = 'CUSTOMER_PRICE_GROUP') = (group_code IS NOT NULL)
    ),
    CONSTRAINT price_lines_period CHECK (ending_date >= starting_date),
    CONSTRAINT price_lines_campaign_dates
        CHECK (source_type <> 'CAMPAIGN' OR (starting_date IS NULL AND ending_date IS NULL)),
    alike uuid GENERATED ALWAYS AS (line_alike(source_type, campaign_number, contact_number, group_code, item_number, NULL,
        variant_code, unit_of_measure_code, currency_code, minimum_quantity)) STORED,
    CONSTRAINT price_lines_duplicate EXCLUDE USING gist
        (alike WITH =, daterange(starting_date, ending_date, '[]') WITH &&)
);
CREATE INDEX price_lines_campaign ON price_lines (campaign_number) WHERE campaign_number IS NOT NULL;
CREATE INDEX price_lines_contact ON price_lines (contact_number) WHERE contact_number IS NOT NULL;
CREATE INDEX price_lines_item ON price_lines (item_number);
CREATE INDEX price_lines_currency ON price_lines (currency_code) WHERE currency_code IS NOT NULL;

CREATE TABLE discount_lines (
    id uuid CONSTRAINT discount_lines_pkey PRIMARY KEY,
    source_type text NOT NULL
        CONSTRAINT discount_lines_source_type
        CHECK (source_type IN ('CAMPAIGN', 'CONTACT', 'CUSTOMER_DISCOUNT_GROUP', 'ALL_CUSTOMERS')),
    campaign_number text COLLATE "C"
        CONSTRAINT discount_lines_campaign_fkey REFERENCES campaigns (number) ON DELETE CASCADE,
    contact_number text COLLATE "C" CONSTRAINT discount_lines_contact_fkey REFERENCES contacts (number),
    group_code text COLLATE "C",
    item_number text COLLATE "C" CONSTRAINT discount_lines_item_fkey REFERENCES items (number),
    item_discount_group_code text COLLATE "C",
    variant_code text COLLATE "C",
    unit_of_measure_code text COLLATE "C",
    currency_code text COLLATE "C" CONSTRAINT discount_lines_currency_fkey REFERENCES currencies (code),
    minimum_quantity numeric(20, 5) NOT NULL DEFAULT 0
        CONSTRAINT discount_lines_minimum_quantity CHECK (minimum_quantity >= 0),
    starting_date date,
    ending_date date,
    line_discount_percent numeric(8, 5) NOT NULL
        CONSTRAINT discount_lines_percent CHECK (line_discount_percent BETWEEN 0 AND 100),
    CONSTRAINT discount_lines_variant_fkey FOREIGN KEY (item_number, variant_code)
        REFERENCES item_variants (item_number, code),
    CONSTRAINT discount_lines_unit_fkey FOREIGN KEY (item_number, unit_of_measure_code)
        REFERENCES item_units_of_measure (item_number, code),
    CONSTRAINT discount_lines_scope CHECK (item_number IS NULL OR item_discount_group_code IS NULL),
    CONSTRAINT discount_lines_variant_item CHECK (variant_code IS NULL OR item_number IS NOT NULL),
    CONSTRAINT discount_lines_source CHECK (
        (source_type = 'CAMPAIGN') = (campaign_number IS NOT NULL)
        AND (source_type = 'CONTACT') = (contact_number IS NOT NULL)
        AND (source_type = 'CUSTOMER_DISCOUNT_GROUP') = (group_code IS NOT NULL)
    ),
    CONSTRAINT discount_lines_period CHECK (ending_date >= starting_date),
    CONSTRAINT discount_lines_campaign_dates
        CHECK (source_type <> 'CAMPAIGN' OR (starting_date IS NULL AND ending_date IS NULL)),
    alike uuid GENERATED ALWAYS AS (line_alike(source_type, campaign_number, contact_number, group_code, item_number,
        item_discount_group_code, variant_code, unit_of_measure_code, currency_code, minimum_quantity)) STORED,
    CONSTRAINT discount_lines_duplicate EXCLUDE USING gist
        (alike WITH =, daterange(starting_date, ending_date, '[]') WITH &&)
);
CREATE INDEX discount_lines_campaign ON discount_lines (campaign_number) WHERE campaign_number IS NOT NULL;
CREATE INDEX discount_lines_contact ON discount_lines (contact_number) WHERE contact_number IS NOT NULL;
CREATE INDEX discount_lines_item ON discount_lines (item_number) WHERE item_number IS NOT NULL;
CREATE INDEX discount_lines_currency ON discount_lines (currency_code) WHERE currency_code IS NOT NULL;

-- ---------------------------------------------------------------------------------------------------------------------
-- The price book: append-only. A row holds from `from_version` until before `to_version`; null is "in force".
-- The single row of `book` is the counter, and the last lock a publishing transaction takes: so versions have no gap and
-- are in the order of commits. No foreign keys to the drafts: history outlives them.

CREATE TABLE book (
    only_row boolean PRIMARY KEY DEFAULT true CONSTRAINT book_only_row CHECK (only_row),
    version bigint NOT NULL DEFAULT 0
);
INSERT INTO book DEFAULT VALUES;

CREATE TABLE publications (
    version bigint CONSTRAINT publications_pkey PRIMARY KEY,
    kind text NOT NULL CONSTRAINT publications_kind
        CHECK (kind IN ('ACTIVATION', 'CHANGE', 'DEACTIVATION', 'BASE_DATA')),
    campaign_number text COLLATE "C",
    author text NOT NULL,
    published_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Entries and accounts that came, were replaced, went.
    added bigint NOT NULL,
    changed bigint NOT NULL,
    removed bigint NOT NULL,
    content_hash text NOT NULL,
    CONSTRAINT publications_campaign CHECK ((kind = 'BASE_DATA') = (campaign_number IS NULL))
);
CREATE INDEX publications_of_campaign ON publications (campaign_number, version);

CREATE TABLE book_entries (
    kind text COLLATE "C" NOT NULL CONSTRAINT book_entries_kind CHECK (kind IN
        ('SETTINGS', 'CURRENCY', 'EXCHANGE_RATE', 'ITEM', 'CONTACT', 'PRICE_LINE', 'DISCOUNT_LINE', 'CAMPAIGN')),
    key text COLLATE "C" NOT NULL,
    -- The campaign that a line or campaign entry belongs to; null for base data and standing lines.
    campaign_number text COLLATE "C",
    facts jsonb NOT NULL,
    from_version bigint NOT NULL,
    to_version bigint,
    CONSTRAINT book_entries_pkey PRIMARY KEY (kind, key, from_version),
    CONSTRAINT book_entries_versions CHECK (to_version > from_version)
);
CREATE UNIQUE INDEX book_entries_in_force ON book_entries (kind, key) WHERE to_version IS NULL;
CREATE INDEX book_entries_from ON book_entries (from_version);
CREATE INDEX book_entries_to ON book_entries (to_version) WHERE to_version IS NOT NULL;
CREATE INDEX book_entries_of_campaign ON book_entries (campaign_number)
    WHERE campaign_number IS NOT NULL AND to_version IS NULL;

CREATE TABLE book_audience (
    campaign_number text COLLATE "C" NOT NULL,
    account_number text COLLATE "C" NOT NULL,
    from_version bigint NOT NULL,
    to_version bigint,
    CONSTRAINT book_audience_pkey PRIMARY KEY (campaign_number, account_number, from_version),
    CONSTRAINT book_audience_versions CHECK (to_version > from_version)
);
CREATE INDEX book_audience_from ON book_audience (from_version);
CREATE INDEX book_audience_to ON book_audience (to_version) WHERE to_version IS NOT NULL;

-- What each version changed. The rows of a version are found by the indexes on `from_version` and `to_version`.
CREATE VIEW publication_changes AS
    SELECT version, kind || ':' || key AS id, change, kind, key, before, after FROM (
        SELECT came.from_version AS version, CASE WHEN went.key IS NULL THEN 'ADDED' ELSE 'CHANGED' END AS change,
            came.kind, came.key, went.facts AS before, came.facts AS after
        FROM book_entries AS came
        LEFT JOIN book_entries AS went
            ON went.kind = came.kind AND went.key = came.key AND went.to_version = came.from_version
        UNION ALL
        SELECT went.to_version, 'REMOVED', went.kind, went.key, went.facts, NULL
        FROM book_entries AS went
        WHERE went.to_version IS NOT NULL AND NOT EXISTS (
            SELECT FROM book_entries AS came
            WHERE came.kind = went.kind AND came.key = went.key AND came.from_version = went.to_version)
        UNION ALL
        SELECT from_version, 'ADDED', 'ACCOUNT', account_number, NULL, NULL FROM book_audience
        UNION ALL
        SELECT to_version, 'REMOVED', 'ACCOUNT', account_number, NULL, NULL FROM book_audience WHERE to_version IS NOT NULL
    ) AS changes;

-- ---------------------------------------------------------------------------------------------------------------------
-- Idempotency: the answer is written in the effect's own transaction.

CREATE TABLE idempotency_records (
    key text COLLATE "C" CONSTRAINT idempotency_records_pkey PRIMARY KEY,
    request_hash bytea NOT NULL,
    status smallint NOT NULL,
    headers jsonb NOT NULL,
    body bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idempotency_records_created ON idempotency_records (created_at);

-- ---------------------------------------------------------------------------------------------------------------------
-- Secrets that all replicas share and no client ever sees, such as the one that list cursors are signed with.

CREATE TABLE service_secrets (
    name text COLLATE "C" CONSTRAINT service_secrets_pkey PRIMARY KEY,
    secret bytea NOT NULL
);
