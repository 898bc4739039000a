-- The whole schema: drafts that people edit, the price book that quotes are answered from, the
-- outbox of events, and records of the service itself.
--
-- Conventions:
-- * References are business keys. The API carries them, they never change, and a list needs no join
--   to show them.
-- * Key columns collate "C": their order is the order of bytes on every server, so list cursors
--   stay valid when an operating system changes its collation.
-- * Every constraint has a name. src/resource/constraints.rs maps the names to public errors.
--   `_pkey` is the identity, `_key` a business key that has to be unique, `_fkey` a reference.
-- * A deletion is refused while something refers to the row. ON DELETE CASCADE marks parts that
--   have no meaning without their owner.
-- * Amounts have 15 digits before the decimal point and 5 after it, percentages 3 and 5: the range
--   of the API (src/values/decimal.rs).

-- Exclusion constraints need an equality operator class of GiST for uuid.
CREATE EXTENSION IF NOT EXISTS btree_gist;

-- Returns a UUIDv7: the milliseconds since 1970, then random bits. For rows that one statement
-- creates in bulk; all other ids come from the service.
CREATE FUNCTION uuid_v7() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE
RETURN encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
    PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
    FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid;

-- =================================================================================================
-- Settings and currencies

-- The company's settings.
CREATE TABLE settings (
    -- A primary key with one possible value: there is never a second row.
    only_row boolean DEFAULT true CONSTRAINT settings_pkey PRIMARY KEY
        CONSTRAINT settings_only_row CHECK (only_row),
    -- The currency of every amount that names none. No foreign key: its currency may be deleted,
    -- and default precisions apply then.
    local_currency_code text COLLATE "C" NOT NULL DEFAULT 'EUR',
    -- Decides which day is today.
    time_zone text NOT NULL DEFAULT 'UTC',
    -- Which price and discount lines compete for a quote.
    price_policy text NOT NULL DEFAULT 'LOWEST_NET' CONSTRAINT settings_price_policy
        CHECK (price_policy IN ('LOWEST_NET', 'CAMPAIGN_FIRST', 'HIERARCHY')),
    price_hierarchy text[] NOT NULL DEFAULT ARRAY
        ['CONTACT', 'CUSTOMER_PRICE_GROUP', 'CUSTOMER_DISCOUNT_GROUP', 'ALL_CUSTOMERS', 'CAMPAIGN'],
    never_above_list_price boolean NOT NULL DEFAULT false,
    -- Guardrails of everything that is published: the lowest margin over the unit cost and the
    -- deepest net below the list price, in percent (null: no such bound), and what a violation does.
    margin_floor_percent numeric(8, 5)
        CONSTRAINT settings_margin_floor CHECK (margin_floor_percent BETWEEN 0 AND 100),
    max_discount_percent numeric(8, 5)
        CONSTRAINT settings_max_discount CHECK (max_discount_percent BETWEEN 0 AND 100),
    guardrail_mode text NOT NULL DEFAULT 'WARN'
        CONSTRAINT settings_guardrail_mode CHECK (guardrail_mode IN ('OFF', 'WARN', 'BLOCK')),
    -- Which publications of campaigns a second person has to approve: none, all, or those that
    -- violate a guardrail.
    approval_required text NOT NULL DEFAULT 'NEVER' CONSTRAINT settings_approval_required
        CHECK (approval_required IN ('NEVER', 'ALWAYS', 'BREACH')),
    -- Number series: the number that the next resource without one gets. A sequence would leave a
    -- gap whenever a transaction is rolled back.
    next_campaign_number text COLLATE "C" NOT NULL DEFAULT 'CP0001',
    next_segment_number text COLLATE "C" NOT NULL DEFAULT 'SM0001',
    next_contact_number text COLLATE "C" NOT NULL DEFAULT 'CT000001',
    next_opportunity_number text COLLATE "C" NOT NULL DEFAULT 'OP000001'
);

-- Currencies, and the steps that amounts in them are rounded to.
CREATE TABLE currencies (
    id uuid CONSTRAINT currencies_pkey PRIMARY KEY,
    code text COLLATE "C" NOT NULL CONSTRAINT currencies_code_key UNIQUE,
    description text NOT NULL DEFAULT '',
    -- Rounding divides by the step, so it cannot be zero.
    unit_amount_precision numeric(20, 5) NOT NULL DEFAULT 0.00001
        CONSTRAINT currencies_unit_amount_precision CHECK (unit_amount_precision > 0),
    amount_precision numeric(20, 5) NOT NULL DEFAULT 0.01
        CONSTRAINT currencies_amount_precision CHECK (amount_precision > 0)
);

-- Foreign units for one unit of local currency, each from its date until the next one.
CREATE TABLE exchange_rates (
    id uuid CONSTRAINT exchange_rates_pkey PRIMARY KEY,
    currency_code text COLLATE "C" NOT NULL
        CONSTRAINT exchange_rates_currency_fkey REFERENCES currencies (code),
    starting_date date NOT NULL,
    -- A rate of zero would make every converted price zero.
    rate numeric(25, 10) NOT NULL CONSTRAINT exchange_rates_rate CHECK (rate > 0),
    -- One rate a day; its index also finds the newest rate of a date.
    CONSTRAINT exchange_rates_currency_date_key UNIQUE (currency_code, starting_date)
);

-- A new company has settings, and its local currency as a resource.
INSERT INTO settings DEFAULT VALUES;
INSERT INTO currencies (id, code) SELECT uuid_v7(), local_currency_code FROM settings;

-- =================================================================================================
-- Items

-- What is sold, as the ERP knows it.
CREATE TABLE items (
    id uuid CONSTRAINT items_pkey PRIMARY KEY,
    -- The callers that created and last changed the row, and when that was.
    created_by text NOT NULL DEFAULT 'system',
    updated_by text NOT NULL DEFAULT 'system',
    updated_at timestamptz NOT NULL DEFAULT now(),
    number text COLLATE "C" NOT NULL CONSTRAINT items_number_key UNIQUE,
    description text NOT NULL DEFAULT '',
    -- The price per base unit in local currency; null: the item has no price of its own. A negative
    -- amount or tax is a mistake of the sender.
    list_price numeric(20, 5) CONSTRAINT items_list_price CHECK (list_price >= 0),
    price_includes_tax boolean NOT NULL DEFAULT false,
    tax_percent numeric(8, 5) NOT NULL DEFAULT 0
        CONSTRAINT items_tax_percent CHECK (tax_percent BETWEEN 0 AND 100),
    -- The cost per base unit in local currency, for margins; null: not known.
    unit_cost numeric(20, 5) CONSTRAINT items_unit_cost CHECK (unit_cost >= 0),
    -- A free code, by which one discount line covers many items.
    item_discount_group_code text COLLATE "C",
    blocked boolean NOT NULL DEFAULT false,
    base_unit_of_measure_code text COLLATE "C" NOT NULL DEFAULT 'PCS'
);
-- The words of a search.
CREATE INDEX items_words ON items USING gin (to_tsvector('simple', description));

-- Forms of an item, such as colours and sizes.
CREATE TABLE item_variants (
    item_number text COLLATE "C" NOT NULL
        CONSTRAINT item_variants_item_fkey REFERENCES items (number) ON DELETE CASCADE,
    code text COLLATE "C" NOT NULL,
    description text NOT NULL DEFAULT '',
    CONSTRAINT item_variants_pkey PRIMARY KEY (item_number, code)
);

-- Units of measure besides the base unit.
CREATE TABLE item_units_of_measure (
    item_number text COLLATE "C" NOT NULL
        CONSTRAINT item_units_item_fkey REFERENCES items (number) ON DELETE CASCADE,
    code text COLLATE "C" NOT NULL,
    -- In base units. Prices are converted by it, so it cannot be zero.
    quantity_per_unit numeric(20, 5) NOT NULL
        CONSTRAINT item_units_quantity CHECK (quantity_per_unit > 0),
    CONSTRAINT item_units_pkey PRIMARY KEY (item_number, code)
);

-- =================================================================================================
-- Salespeople and teams

-- Salespeople. What a block means is defined by the triggers at the end of this file.
CREATE TABLE salespeople (
    id uuid CONSTRAINT salespeople_pkey PRIMARY KEY,
    code text COLLATE "C" NOT NULL CONSTRAINT salespeople_code_key UNIQUE,
    name text NOT NULL DEFAULT '',
    email text NOT NULL DEFAULT '',
    blocked boolean NOT NULL DEFAULT false
);

-- Salespeople to whom a task can be given together.
CREATE TABLE teams (
    id uuid CONSTRAINT teams_pkey PRIMARY KEY,
    code text COLLATE "C" NOT NULL CONSTRAINT teams_code_key UNIQUE,
    name text NOT NULL DEFAULT ''
);

-- The members of a team. They are part of the team, and hold a salesperson who is one.
CREATE TABLE team_members (
    team_code text COLLATE "C" NOT NULL
        CONSTRAINT team_members_team_fkey REFERENCES teams (code) ON DELETE CASCADE,
    salesperson_code text COLLATE "C" NOT NULL
        CONSTRAINT team_members_salesperson_fkey REFERENCES salespeople (code),
    CONSTRAINT team_members_pkey PRIMARY KEY (team_code, salesperson_code)
);
-- The teams that keep a salesperson from being deleted.
CREATE INDEX team_members_salesperson ON team_members (salesperson_code);

-- =================================================================================================
-- Contacts

-- Companies and persons. Customers are companies and persons without company that have a customer
-- number.
CREATE TABLE contacts (
    id uuid CONSTRAINT contacts_pkey PRIMARY KEY,
    -- The callers that created and last changed the row, and when that was.
    created_by text NOT NULL DEFAULT 'system',
    updated_by text NOT NULL DEFAULT 'system',
    updated_at timestamptz NOT NULL DEFAULT now(),
    number text COLLATE "C" NOT NULL CONSTRAINT contacts_number_key UNIQUE,
    type text NOT NULL CONSTRAINT contacts_type CHECK (type IN ('COMPANY', 'PERSON')),
    name text NOT NULL,
    -- The company of a person: prices are granted to it, whoever of its persons orders.
    company_number text COLLATE "C",
    -- Where the contact is and how it is reached.
    address text NOT NULL DEFAULT '',
    address2 text NOT NULL DEFAULT '',
    post_code text NOT NULL DEFAULT '',
    city text NOT NULL DEFAULT '',
    county text NOT NULL DEFAULT '',
    country_code text COLLATE "C",
    phone text NOT NULL DEFAULT '',
    email text NOT NULL DEFAULT '',
    language_code text COLLATE "C",
    -- The currency of its quotes; null: the account's, else the local one.
    currency_code text COLLATE "C" CONSTRAINT contacts_currency_fkey REFERENCES currencies (code),
    salesperson_code text COLLATE "C"
        CONSTRAINT contacts_salesperson_fkey REFERENCES salespeople (code),
    territory_code text COLLATE "C",
    -- Free codes by which segments select contacts. Arrays: they are read and written as a whole.
    industry_groups text[] COLLATE "C" NOT NULL DEFAULT '{}',
    mailing_groups text[] COLLATE "C" NOT NULL DEFAULT '{}',
    job_responsibilities text[] COLLATE "C" NOT NULL DEFAULT '{}',
    business_relations text[] COLLATE "C" NOT NULL DEFAULT '{}',
    -- Why a contact is in no audience: the company's choice, or its own objection to marketing.
    exclude_from_segments boolean NOT NULL DEFAULT false,
    privacy_blocked boolean NOT NULL DEFAULT false,
    -- The customer that an account is. One customer is one account.
    customer_number text COLLATE "C" CONSTRAINT contacts_customer_number_key UNIQUE,
    customer_price_group_code text COLLATE "C",
    customer_discount_group_code text COLLATE "C",
    customer_allow_line_discount boolean NOT NULL DEFAULT true,
    customer_prices_include_tax boolean NOT NULL DEFAULT false,
    -- The target of contacts_company_fkey.
    CONSTRAINT contacts_number_type_key UNIQUE (number, type),
    -- Only persons belong to a company, and nobody who does is a customer: so an account is found in
    -- one step.
    CONSTRAINT contacts_person_company CHECK (company_number IS NULL OR type = 'PERSON'),
    CONSTRAINT contacts_customer_account CHECK (customer_number IS NULL OR company_number IS NULL),
    -- The company of a person has to be of type COMPANY. The constant second column lets the
    -- foreign key check that.
    company_type text GENERATED ALWAYS AS
        (CASE WHEN company_number IS NULL THEN NULL ELSE 'COMPANY' END) STORED,
    CONSTRAINT contacts_company_fkey FOREIGN KEY (company_number, company_type)
        REFERENCES contacts (number, type),
    -- A small number that is never given twice, for audiences (see book_audience). It is assigned
    -- on insertion; an upsert of an existing contact takes none (src/contacts/mod.rs), so that the
    -- numbers stay dense.
    ordinal integer NOT NULL CONSTRAINT contacts_ordinal_key UNIQUE
);
-- The words of a search.
CREATE INDEX contacts_words ON contacts USING gin (to_tsvector('simple', name));
-- From 0, as the ordinals of the first chunk do.
CREATE SEQUENCE contacts_ordinal AS integer MINVALUE 0 START 0 OWNED BY contacts.ordinal;
ALTER TABLE contacts ALTER COLUMN ordinal SET DEFAULT nextval('contacts_ordinal');
-- The persons of a company.
CREATE INDEX contacts_company ON contacts (company_number) WHERE company_number IS NOT NULL;
-- Lists of a million contacts by name, by e-mail address and by salesperson. Without these indexes
-- each such request reads the whole table.
CREATE INDEX contacts_name ON contacts (name, number);
CREATE INDEX contacts_email ON contacts (email);
CREATE INDEX contacts_salesperson ON contacts (salesperson_code, number)
    WHERE salesperson_code IS NOT NULL;

-- =================================================================================================
-- Campaigns

-- The phases of a campaign, in the user's words.
CREATE TABLE campaign_statuses (
    id uuid CONSTRAINT campaign_statuses_pkey PRIMARY KEY,
    code text COLLATE "C" NOT NULL CONSTRAINT campaign_statuses_code_key UNIQUE,
    description text NOT NULL DEFAULT '',
    -- The order of the phases.
    sequence integer NOT NULL,
    allows_activation boolean NOT NULL DEFAULT true,
    is_final boolean NOT NULL DEFAULT false
);

-- A plan to offer prices and discounts to certain customers for a time.
CREATE TABLE campaigns (
    id uuid CONSTRAINT campaigns_pkey PRIMARY KEY,
    -- The callers that created and last changed the row, and when that was.
    created_by text NOT NULL DEFAULT 'system',
    updated_by text NOT NULL DEFAULT 'system',
    updated_at timestamptz NOT NULL DEFAULT now(),
    number text COLLATE "C" NOT NULL CONSTRAINT campaigns_number_key UNIQUE,
    description text NOT NULL DEFAULT '',
    type text COLLATE "C",
    salesperson_code text COLLATE "C"
        CONSTRAINT campaigns_salesperson_fkey REFERENCES salespeople (code),
    status_code text COLLATE "C"
        CONSTRAINT campaigns_status_fkey REFERENCES campaign_statuses (code),
    -- Both days included; they are the dates of the campaign's lines.
    starting_date date,
    ending_date date,
    -- How changes of an active campaign reach the price book.
    publishing text NOT NULL DEFAULT 'AUTOMATIC'
        CONSTRAINT campaigns_publishing CHECK (publishing IN ('AUTOMATIC', 'MANUAL')),
    -- Whether its prices and discounts combine with those of other sources.
    combination text NOT NULL DEFAULT 'ANY'
        CONSTRAINT campaigns_combination CHECK (combination IN ('ANY', 'OWN')),
    -- Guardrails of the campaign's prices; null: those of the company.
    margin_floor_percent numeric(8, 5)
        CONSTRAINT campaigns_margin_floor CHECK (margin_floor_percent BETWEEN 0 AND 100),
    max_discount_percent numeric(8, 5)
        CONSTRAINT campaigns_max_discount CHECK (max_discount_percent BETWEEN 0 AND 100),
    guardrail_mode text
        CONSTRAINT campaigns_guardrail_mode CHECK (guardrail_mode IN ('OFF', 'WARN', 'BLOCK')),
    has_unpublished_changes boolean NOT NULL DEFAULT false,
    -- What the price book holds of an active campaign; all null while it is not active. A published
    -- campaign always has a starting date, its end may be open.
    publication_version bigint,
    published_starting_date date,
    published_ending_date date,
    CONSTRAINT campaigns_period CHECK (ending_date >= starting_date),
    CONSTRAINT campaigns_published
        CHECK ((publication_version IS NULL) = (published_starting_date IS NULL))
);
-- The words of a search.
CREATE INDEX campaigns_words ON campaigns USING gin (to_tsvector('simple', description));
-- The campaigns of a phase, which also keep a status from being deleted.
CREATE INDEX campaigns_status ON campaigns (status_code);

-- How a campaign moved from phase to phase. The statuses are no references: the history stays when
-- they are deleted.
CREATE TABLE campaign_status_changes (
    id uuid CONSTRAINT campaign_status_changes_pkey PRIMARY KEY,
    campaign_number text COLLATE "C" NOT NULL CONSTRAINT campaign_status_changes_campaign_fkey
        REFERENCES campaigns (number) ON DELETE CASCADE,
    from_status_code text COLLATE "C",
    to_status_code text COLLATE "C",
    changed_at timestamptz NOT NULL DEFAULT now(),
    changed_by text NOT NULL
);
-- The history of one campaign, in order.
CREATE INDEX campaign_status_changes_campaign
    ON campaign_status_changes (campaign_number, changed_at);

-- Callers that changed the drafts of a campaign since its last publication. They cannot approve it.
CREATE TABLE campaign_editors (
    campaign_number text COLLATE "C" NOT NULL CONSTRAINT campaign_editors_campaign_fkey
        REFERENCES campaigns (number) ON DELETE CASCADE,
    subject text NOT NULL,
    CONSTRAINT campaign_editors_pkey PRIMARY KEY (campaign_number, subject)
);

-- Requests for the approval of a plan, and their decisions.
CREATE TABLE approval_requests (
    id uuid CONSTRAINT approval_requests_pkey PRIMARY KEY,
    campaign_number text COLLATE "C" NOT NULL CONSTRAINT approval_requests_campaign_fkey
        REFERENCES campaigns (number) ON DELETE CASCADE,
    state text NOT NULL CONSTRAINT approval_requests_state
        CHECK (state IN ('PENDING', 'APPROVED', 'REJECTED', 'VOID')),
    plan_hash text NOT NULL,
    -- The version that a rollback restores; null for the publication of the drafts.
    restores_version bigint,
    comment text NOT NULL DEFAULT '',
    -- What the requester saw.
    findings jsonb NOT NULL,
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    decided_by text,
    decided_at timestamptz,
    decision_comment text NOT NULL DEFAULT '',
    -- The publication that used up the approval: each permits one.
    publication_version bigint,
    -- A decision has an author, who is not the one of the request.
    CONSTRAINT approval_requests_decision CHECK (
        (state IN ('APPROVED', 'REJECTED')) <= (decided_by IS NOT NULL AND decided_at IS NOT NULL)),
    CONSTRAINT approval_requests_second_person
        CHECK (state <> 'APPROVED' OR decided_by <> requested_by),
    CONSTRAINT approval_requests_use CHECK (publication_version IS NULL OR state = 'APPROVED')
);
CREATE INDEX approval_requests_campaign ON approval_requests (campaign_number, requested_at);
CREATE UNIQUE INDEX approval_requests_pending ON approval_requests (campaign_number)
    WHERE state = 'PENDING';

-- =================================================================================================
-- Segments

-- What a kind of interaction is called, costs (in local currency) and takes.
CREATE TABLE interaction_templates (
    id uuid CONSTRAINT interaction_templates_pkey PRIMARY KEY,
    code text COLLATE "C" NOT NULL CONSTRAINT interaction_templates_code_key UNIQUE,
    description text NOT NULL DEFAULT '',
    -- Both are copied to each interaction. The duration has the range of the API.
    cost numeric(20, 5) NOT NULL DEFAULT 0 CONSTRAINT interaction_templates_cost CHECK (cost >= 0),
    duration_minutes integer NOT NULL DEFAULT 0 CONSTRAINT interaction_templates_duration
        CHECK (duration_minutes BETWEEN 0 AND 1000000)
);

-- A list of contacts, made by hand or by criteria, for at most one campaign.
CREATE TABLE segments (
    id uuid CONSTRAINT segments_pkey PRIMARY KEY,
    -- The callers that created and last changed the row, and when that was.
    created_by text NOT NULL DEFAULT 'system',
    updated_by text NOT NULL DEFAULT 'system',
    updated_at timestamptz NOT NULL DEFAULT now(),
    number text COLLATE "C" NOT NULL CONSTRAINT segments_number_key UNIQUE,
    description text NOT NULL DEFAULT '',
    campaign_number text COLLATE "C"
        CONSTRAINT segments_campaign_fkey REFERENCES campaigns (number),
    -- What holds for every line that does not say otherwise.
    campaign_target boolean NOT NULL DEFAULT false,
    campaign_response boolean NOT NULL DEFAULT false,
    salesperson_code text COLLATE "C"
        CONSTRAINT segments_salesperson_fkey REFERENCES salespeople (code),
    subject text NOT NULL DEFAULT '',
    -- What is done with the contacts once the segment is logged.
    interaction_template_code text COLLATE "C"
        CONSTRAINT segments_interaction_template_fkey REFERENCES interaction_templates (code),
    -- RULE: the lines are the contacts that match the filter.
    membership text NOT NULL DEFAULT 'LIST'
        CONSTRAINT segments_membership CHECK (membership IN ('LIST', 'RULE')),
    filter text NOT NULL DEFAULT '',
    -- The day for which a rule that depends on the date was evaluated last.
    evaluated_on date,
    CONSTRAINT segments_filter CHECK (membership = 'RULE' OR filter = '')
);
-- The words of a search.
CREATE INDEX segments_words ON segments USING gin (to_tsvector('simple', description));
-- Every change of a contact reads all rules.
CREATE INDEX segments_rules ON segments (number) WHERE membership = 'RULE';
-- The segments of a campaign.
CREATE INDEX segments_campaign ON segments (campaign_number);

-- The contacts of a segment, each at most once.
CREATE TABLE segment_lines (
    id uuid CONSTRAINT segment_lines_pkey PRIMARY KEY,
    segment_number text COLLATE "C" NOT NULL
        CONSTRAINT segment_lines_segment_fkey REFERENCES segments (number) ON DELETE CASCADE,
    contact_number text COLLATE "C" NOT NULL
        CONSTRAINT segment_lines_contact_fkey REFERENCES contacts (number),
    -- The account that the line targets, even if its contact moves to another one; null: the account
    -- that the contact has at any time.
    account_number text COLLATE "C"
        CONSTRAINT segment_lines_account_fkey REFERENCES contacts (number),
    -- Null: as the segment.
    campaign_target boolean,
    campaign_response boolean,
    -- The criteria action that added the line; null: added by hand. No foreign key: an action is
    -- deleted only after its lines, and checking a million lines costs as much as inserting them.
    added_by uuid,
    CONSTRAINT segment_lines_contact_key UNIQUE (segment_number, contact_number)
);
-- The segments of a contact, which also keep a contact from being deleted.
CREATE INDEX segment_lines_contact ON segment_lines (contact_number);
CREATE INDEX segment_lines_account ON segment_lines (account_number)
    WHERE account_number IS NOT NULL;

-- How the lines of a segment were selected.
CREATE TABLE criteria_actions (
    id uuid CONSTRAINT criteria_actions_pkey PRIMARY KEY,
    segment_number text COLLATE "C" NOT NULL
        CONSTRAINT criteria_actions_segment_fkey REFERENCES segments (number) ON DELETE CASCADE,
    -- The place in the segment's history, from 1. Only the last action is ever undone.
    position integer NOT NULL,
    action text NOT NULL CONSTRAINT criteria_actions_action
        CHECK (action IN ('ADD', 'REDUCE', 'REFINE')),
    -- The request as it was made, so that it can be shown and replayed.
    filter text NOT NULL,
    allow_existing boolean NOT NULL,
    expand_companies boolean NOT NULL,
    related_companies boolean NOT NULL,
    entire_companies boolean NOT NULL,
    ignore_exclusion boolean NOT NULL,
    -- Its outcome.
    lines_added bigint NOT NULL DEFAULT 0,
    lines_existing bigint NOT NULL DEFAULT 0,
    lines_removed bigint NOT NULL DEFAULT 0,
    performed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    performed_by text NOT NULL,
    -- Two actions cannot take the same place; its index also reads the history in order.
    CONSTRAINT criteria_actions_position_key UNIQUE (segment_number, position)
);

-- The lines that an action removed, as they were, so that undoing the action restores them. A line
-- whose contact is deleted cannot be restored.
CREATE TABLE criteria_removed_lines (
    action_id uuid NOT NULL CONSTRAINT criteria_removed_lines_action_fkey
        REFERENCES criteria_actions (id) ON DELETE CASCADE,
    line_id uuid NOT NULL,
    contact_number text COLLATE "C" NOT NULL CONSTRAINT criteria_removed_lines_contact_fkey
        REFERENCES contacts (number) ON DELETE CASCADE,
    account_number text COLLATE "C" CONSTRAINT criteria_removed_lines_account_fkey
        REFERENCES contacts (number) ON DELETE CASCADE,
    campaign_target boolean,
    campaign_response boolean,
    added_by uuid,
    CONSTRAINT criteria_removed_lines_pkey PRIMARY KEY (action_id, line_id)
);
-- What the deletion of a contact takes along.
CREATE INDEX criteria_removed_lines_contact ON criteria_removed_lines (contact_number);
CREATE INDEX criteria_removed_lines_account ON criteria_removed_lines (account_number)
    WHERE account_number IS NOT NULL;

-- Criteria actions under a code, to be replayed in other segments.
CREATE TABLE saved_criteria (
    id uuid CONSTRAINT saved_criteria_pkey PRIMARY KEY,
    code text COLLATE "C" NOT NULL CONSTRAINT saved_criteria_code_key UNIQUE,
    description text NOT NULL DEFAULT '',
    -- The actions in order, in the form of the API: they are only read and written as a whole.
    actions jsonb NOT NULL
);

-- =================================================================================================
-- Interactions

-- Segments whose lines became interactions. With a campaign, a logged segment is also the
-- campaign's entry: one row, so that the two cannot differ.
CREATE TABLE logged_segments (
    id uuid CONSTRAINT logged_segments_pkey PRIMARY KEY,
    number text COLLATE "C" NOT NULL CONSTRAINT logged_segments_number_key UNIQUE,
    description text NOT NULL,
    campaign_number text COLLATE "C"
        CONSTRAINT logged_segments_campaign_fkey REFERENCES campaigns (number),
    campaign_target boolean NOT NULL,
    campaign_response boolean NOT NULL,
    salesperson_code text COLLATE "C"
        CONSTRAINT logged_segments_salesperson_fkey REFERENCES salespeople (code),
    subject text NOT NULL,
    interaction_template_code text COLLATE "C" NOT NULL
        CONSTRAINT logged_segments_interaction_template_fkey
        REFERENCES interaction_templates (code),
    date date NOT NULL,
    send_attachments boolean NOT NULL,
    canceled boolean NOT NULL DEFAULT false
);
-- The entries of a campaign, by date.
CREATE INDEX logged_segments_campaign ON logged_segments (campaign_number, date);

-- Refuses a segment with the number of a logged one, which names it for good. The trigger fires
-- after the insertion: only then does it see what was committed while the insertion waited for the
-- segment that is being logged.
CREATE FUNCTION refuse_logged_number() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM logged_segments WHERE number = NEW.number) THEN
        RAISE EXCEPTION 'segment % was logged', NEW.number
            USING ERRCODE = 'unique_violation', CONSTRAINT = 'segments_number_logged',
                TABLE = 'segments';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER segments_number_logged AFTER INSERT ON segments
    FOR EACH ROW EXECUTE FUNCTION refuse_logged_number();

-- What was done with a contact: a letter, a call, a visit, an answer.
CREATE TABLE interactions (
    id uuid CONSTRAINT interactions_pkey PRIMARY KEY,
    date date NOT NULL,
    -- Null once the contact was deleted: personal data can be erased, the figures stay.
    contact_number text COLLATE "C"
        CONSTRAINT interactions_contact_fkey REFERENCES contacts (number),
    -- The account that it targets, as on the segment's line; null: that of the contact.
    account_number text COLLATE "C"
        CONSTRAINT interactions_account_fkey REFERENCES contacts (number),
    campaign_number text COLLATE "C"
        CONSTRAINT interactions_campaign_fkey REFERENCES campaigns (number),
    -- The logged segment that it is part of; null for a single interaction.
    segment_number text COLLATE "C" CONSTRAINT interactions_segment_fkey
        REFERENCES logged_segments (number) ON DELETE CASCADE,
    interaction_template_code text COLLATE "C"
        CONSTRAINT interactions_interaction_template_fkey REFERENCES interaction_templates (code),
    salesperson_code text COLLATE "C"
        CONSTRAINT interactions_salesperson_fkey REFERENCES salespeople (code),
    campaign_target boolean NOT NULL,
    campaign_response boolean NOT NULL,
    -- Copies of the template's values: a later change of the template changes no history.
    cost numeric(20, 5) NOT NULL CONSTRAINT interactions_cost CHECK (cost >= 0),
    duration_minutes integer NOT NULL CONSTRAINT interactions_duration
        CHECK (duration_minutes BETWEEN 0 AND 1000000),
    description text NOT NULL,
    evaluation text CONSTRAINT interactions_evaluation CHECK (evaluation IN
        ('VERY_POSITIVE', 'POSITIVE', 'NEUTRAL', 'NEGATIVE', 'VERY_NEGATIVE')),
    canceled boolean NOT NULL DEFAULT false,
    -- True if the cancellation of its segment canceled it: then it is restored together with the
    -- segment.
    canceled_with_segment boolean NOT NULL DEFAULT false,
    -- Targets and responses are those of a campaign.
    CONSTRAINT interactions_flags
        CHECK (campaign_number IS NOT NULL OR NOT (campaign_target OR campaign_response)),
    CONSTRAINT interactions_canceled CHECK (canceled OR NOT canceled_with_segment)
);
-- Lists by date, of everything, of one contact and of one campaign.
CREATE INDEX interactions_date ON interactions (date, id);
CREATE INDEX interactions_contact ON interactions (contact_number)
    WHERE contact_number IS NOT NULL;
CREATE INDEX interactions_account ON interactions (account_number)
    WHERE account_number IS NOT NULL;
CREATE INDEX interactions_campaign ON interactions (campaign_number, date)
    WHERE campaign_number IS NOT NULL;
-- The sums of an entry, from the index alone.
CREATE INDEX interactions_segment ON interactions (segment_number)
    INCLUDE (canceled, cost, duration_minutes) WHERE segment_number IS NOT NULL;
-- The view logged_targets, by campaign and contact.
CREATE INDEX interactions_targets ON interactions (campaign_number, contact_number)
    WHERE segment_number IS NOT NULL AND campaign_target AND NOT canceled
        AND contact_number IS NOT NULL;

-- The interactions that put a contact into the audience of a campaign. One that targets an account
-- counts for the contact of the account. A union, so that each part has its index.
CREATE VIEW logged_targets AS
    SELECT id, campaign_number, contact_number FROM interactions
    WHERE segment_number IS NOT NULL AND campaign_target AND NOT canceled
        AND contact_number IS NOT NULL AND account_number IS NULL
    UNION ALL SELECT id, campaign_number, account_number FROM interactions
    WHERE segment_number IS NOT NULL AND campaign_target AND NOT canceled
        AND account_number IS NOT NULL;

-- The interactions that keep their contact from being deleted: those of an active campaign, unless
-- the contact objects to marketing and is in no audience.
CREATE VIEW held_targets AS
    SELECT logged_targets.id, contact_number FROM logged_targets
    JOIN campaigns ON campaigns.number = campaign_number AND publication_version IS NOT NULL
    JOIN contacts ON contacts.number = contact_number AND NOT privacy_blocked;

-- =================================================================================================
-- Price and discount lines
--
-- A line is granted by one source: a campaign, a contact, a group of customers (a free code) or all
-- customers. A line of a campaign has the dates of the campaign and none of its own.

-- Returns one value for everything that makes two lines alike, dates aside. Exclusion constraints
-- compare it to find overlapping duplicates, and batches find the line that a row means by it. Keys
-- contain no control characters such as the separator, so different lines never give the same text.
CREATE FUNCTION line_alike(source_type text, campaign_number text, contact_number text,
    group_code text, item_number text, item_discount_group_code text, variant_code text,
    unit_of_measure_code text, currency_code text, minimum_quantity numeric)
RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN md5(
    source_type || E'\x1f' || coalesce(campaign_number, contact_number, group_code, '')
    || E'\x1f' || coalesce(item_number, '') || E'\x1f' || coalesce(item_discount_group_code, '')
    || E'\x1f' || coalesce(variant_code, '') || E'\x1f' || coalesce(unit_of_measure_code, '')
    || E'\x1f' || coalesce(currency_code, '') || E'\x1f' || trim_scale(minimum_quantity)::text)::uuid;

-- Unit prices.
CREATE TABLE price_lines (
    id uuid CONSTRAINT price_lines_pkey PRIMARY KEY,
    -- The callers that created and last changed the row, and when that was.
    created_by text NOT NULL DEFAULT 'system',
    updated_by text NOT NULL DEFAULT 'system',
    updated_at timestamptz NOT NULL DEFAULT now(),
    -- Who grants the price: the type, and the one column that belongs to it.
    source_type text NOT NULL CONSTRAINT price_lines_source_type
        CHECK (source_type IN ('CAMPAIGN', 'CONTACT', 'CUSTOMER_PRICE_GROUP', 'ALL_CUSTOMERS')),
    campaign_number text COLLATE "C"
        CONSTRAINT price_lines_campaign_fkey REFERENCES campaigns (number) ON DELETE CASCADE,
    contact_number text COLLATE "C"
        CONSTRAINT price_lines_contact_fkey REFERENCES contacts (number),
    group_code text COLLATE "C",
    -- What it is for, and under which conditions. Null: any variant, unit or currency; no limit.
    item_number text COLLATE "C" NOT NULL
        CONSTRAINT price_lines_item_fkey REFERENCES items (number),
    variant_code text COLLATE "C",
    unit_of_measure_code text COLLATE "C",
    currency_code text COLLATE "C"
        CONSTRAINT price_lines_currency_fkey REFERENCES currencies (code),
    minimum_quantity numeric(20, 5) NOT NULL DEFAULT 0
        CONSTRAINT price_lines_minimum_quantity CHECK (minimum_quantity >= 0),
    starting_date date,
    ending_date date,
    -- The price. Zero is a price like any other, a negative one is a mistake.
    unit_price numeric(20, 5) NOT NULL CONSTRAINT price_lines_unit_price CHECK (unit_price >= 0),
    allow_line_discount boolean NOT NULL DEFAULT true,
    price_includes_tax boolean NOT NULL DEFAULT false,
    tax_percent numeric(8, 5)
        CONSTRAINT price_lines_tax_percent CHECK (tax_percent BETWEEN 0 AND 100),
    -- The variant and the unit have to be the item's own.
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
    -- Two lines alike may not overlap in their dates: a quote could not say which of them holds.
    -- The lines of a campaign have no dates here, so they always overlap.
    alike uuid GENERATED ALWAYS AS (line_alike(source_type, campaign_number, contact_number,
        group_code, item_number, NULL, variant_code, unit_of_measure_code, currency_code,
        minimum_quantity)) STORED,
    CONSTRAINT price_lines_duplicate EXCLUDE USING gist
        (alike WITH =, daterange(starting_date, ending_date, '[]') WITH &&)
);
-- The lines of a campaign, a contact, an item and a currency: for lists, and for what keeps these
-- from being deleted.
CREATE INDEX price_lines_campaign ON price_lines (campaign_number)
    WHERE campaign_number IS NOT NULL;
CREATE INDEX price_lines_contact ON price_lines (contact_number) WHERE contact_number IS NOT NULL;
CREATE INDEX price_lines_item ON price_lines (item_number);
CREATE INDEX price_lines_currency ON price_lines (currency_code) WHERE currency_code IS NOT NULL;

-- Line discounts in percent. Where a comment is missing, that of price_lines applies.
CREATE TABLE discount_lines (
    id uuid CONSTRAINT discount_lines_pkey PRIMARY KEY,
    -- The callers that created and last changed the row, and when that was.
    created_by text NOT NULL DEFAULT 'system',
    updated_by text NOT NULL DEFAULT 'system',
    updated_at timestamptz NOT NULL DEFAULT now(),
    source_type text NOT NULL CONSTRAINT discount_lines_source_type
        CHECK (source_type IN ('CAMPAIGN', 'CONTACT', 'CUSTOMER_DISCOUNT_GROUP', 'ALL_CUSTOMERS')),
    campaign_number text COLLATE "C"
        CONSTRAINT discount_lines_campaign_fkey REFERENCES campaigns (number) ON DELETE CASCADE,
    contact_number text COLLATE "C"
        CONSTRAINT discount_lines_contact_fkey REFERENCES contacts (number),
    group_code text COLLATE "C",
    -- What it is for: an item, the items of a group, or with neither of them all items.
    item_number text COLLATE "C" CONSTRAINT discount_lines_item_fkey REFERENCES items (number),
    item_discount_group_code text COLLATE "C",
    variant_code text COLLATE "C",
    unit_of_measure_code text COLLATE "C",
    currency_code text COLLATE "C"
        CONSTRAINT discount_lines_currency_fkey REFERENCES currencies (code),
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
    CONSTRAINT discount_lines_scope
        CHECK (item_number IS NULL OR item_discount_group_code IS NULL),
    -- A variant without its item means nothing, and the foreign key does not check it.
    CONSTRAINT discount_lines_variant_item CHECK (variant_code IS NULL OR item_number IS NOT NULL),
    CONSTRAINT discount_lines_source CHECK (
        (source_type = 'CAMPAIGN') = (campaign_number IS NOT NULL)
        AND (source_type = 'CONTACT') = (contact_number IS NOT NULL)
        AND (source_type = 'CUSTOMER_DISCOUNT_GROUP') = (group_code IS NOT NULL)
    ),
    CONSTRAINT discount_lines_period CHECK (ending_date >= starting_date),
    CONSTRAINT discount_lines_campaign_dates
        CHECK (source_type <> 'CAMPAIGN' OR (starting_date IS NULL AND ending_date IS NULL)),
    alike uuid GENERATED ALWAYS AS (line_alike(source_type, campaign_number, contact_number,
        group_code, item_number, item_discount_group_code, variant_code, unit_of_measure_code,
        currency_code, minimum_quantity)) STORED,
    CONSTRAINT discount_lines_duplicate EXCLUDE USING gist
        (alike WITH =, daterange(starting_date, ending_date, '[]') WITH &&)
);
-- As those of price_lines.
CREATE INDEX discount_lines_campaign ON discount_lines (campaign_number)
    WHERE campaign_number IS NOT NULL;
CREATE INDEX discount_lines_contact ON discount_lines (contact_number)
    WHERE contact_number IS NOT NULL;
CREATE INDEX discount_lines_item ON discount_lines (item_number) WHERE item_number IS NOT NULL;
CREATE INDEX discount_lines_currency ON discount_lines (currency_code)
    WHERE currency_code IS NOT NULL;

-- What a campaign's prices have to be: questions with the answers that are expected. An activation
-- that would answer otherwise is refused.
CREATE TABLE golden_quotes (
    id uuid CONSTRAINT golden_quotes_pkey PRIMARY KEY,
    campaign_number text COLLATE "C" NOT NULL
        CONSTRAINT golden_quotes_campaign_fkey REFERENCES campaigns (number) ON DELETE CASCADE,
    -- Who asks. With neither: somebody to whom only the prices of all customers apply.
    contact_number text COLLATE "C"
        CONSTRAINT golden_quotes_contact_fkey REFERENCES contacts (number),
    customer_number text COLLATE "C"
        CONSTRAINT golden_quotes_customer_fkey REFERENCES contacts (customer_number),
    -- The rest of the question.
    item_number text COLLATE "C" NOT NULL
        CONSTRAINT golden_quotes_item_fkey REFERENCES items (number),
    variant_code text COLLATE "C",
    unit_of_measure_code text COLLATE "C",
    quantity numeric(20, 5) NOT NULL CONSTRAINT golden_quotes_quantity CHECK (quantity > 0),
    date date,
    currency_code text COLLATE "C"
        CONSTRAINT golden_quotes_currency_fkey REFERENCES currencies (code),
    prices_include_tax boolean,
    -- The expected answer: at least one figure. A figure that is null is not compared.
    unit_price numeric(20, 5) CONSTRAINT golden_quotes_unit_price CHECK (unit_price >= 0),
    line_discount_percent numeric(8, 5) CONSTRAINT golden_quotes_line_discount_percent
        CHECK (line_discount_percent BETWEEN 0 AND 100),
    line_amount numeric(20, 5) CONSTRAINT golden_quotes_line_amount CHECK (line_amount >= 0),
    expected_campaign boolean,
    note text NOT NULL DEFAULT '',
    -- The variant and the unit have to be the item's own.
    CONSTRAINT golden_quotes_variant_fkey FOREIGN KEY (item_number, variant_code)
        REFERENCES item_variants (item_number, code),
    CONSTRAINT golden_quotes_unit_fkey FOREIGN KEY (item_number, unit_of_measure_code)
        REFERENCES item_units_of_measure (item_number, code),
    CONSTRAINT golden_quotes_asker CHECK (num_nonnulls(contact_number, customer_number) <= 1),
    CONSTRAINT golden_quotes_expected
        CHECK (num_nonnulls(unit_price, line_discount_percent, line_amount) > 0),
    -- A question has one expected answer. A column that is null is part of the question.
    CONSTRAINT golden_quotes_question UNIQUE NULLS NOT DISTINCT (campaign_number, item_number,
        variant_code, unit_of_measure_code, quantity, date, contact_number, customer_number,
        currency_code, prices_include_tax)
);
-- What keeps a contact, customer, item or currency from being deleted.
CREATE INDEX golden_quotes_contact ON golden_quotes (contact_number)
    WHERE contact_number IS NOT NULL;
CREATE INDEX golden_quotes_customer ON golden_quotes (customer_number)
    WHERE customer_number IS NOT NULL;
CREATE INDEX golden_quotes_item ON golden_quotes (item_number);
CREATE INDEX golden_quotes_currency ON golden_quotes (currency_code)
    WHERE currency_code IS NOT NULL;

-- =================================================================================================
-- Tasks and opportunities

-- Templates of dated tasks.
CREATE TABLE activities (
    id uuid CONSTRAINT activities_pkey PRIMARY KEY,
    code text COLLATE "C" NOT NULL CONSTRAINT activities_code_key UNIQUE,
    description text NOT NULL DEFAULT ''
);

-- The steps of an activity, in order.
CREATE TABLE activity_steps (
    activity_code text COLLATE "C" NOT NULL
        CONSTRAINT activity_steps_activity_fkey REFERENCES activities (code) ON DELETE CASCADE,
    position integer NOT NULL,
    type text COLLATE "C",
    description text NOT NULL,
    priority text NOT NULL CONSTRAINT activity_steps_priority
        CHECK (priority IN ('LOW', 'NORMAL', 'HIGH')),
    -- Days after the date that the activity is applied for; negative: before it.
    offset_days integer NOT NULL,
    CONSTRAINT activity_steps_pkey PRIMARY KEY (activity_code, position)
);

-- What has to be done for a campaign, by when and by whom.
CREATE TABLE tasks (
    id uuid CONSTRAINT tasks_pkey PRIMARY KEY,
    campaign_number text COLLATE "C" NOT NULL
        CONSTRAINT tasks_campaign_fkey REFERENCES campaigns (number),
    contact_number text COLLATE "C" CONSTRAINT tasks_contact_fkey REFERENCES contacts (number),
    -- The assignee: a salesperson or a team.
    salesperson_code text COLLATE "C"
        CONSTRAINT tasks_salesperson_fkey REFERENCES salespeople (code),
    team_code text COLLATE "C" CONSTRAINT tasks_team_fkey REFERENCES teams (code),
    type text COLLATE "C",
    description text NOT NULL DEFAULT '',
    date date NOT NULL,
    starting_time time,
    priority text NOT NULL CONSTRAINT tasks_priority CHECK (priority IN ('LOW', 'NORMAL', 'HIGH')),
    state text NOT NULL CONSTRAINT tasks_state CHECK
        (state IN ('NOT_STARTED', 'IN_PROGRESS', 'COMPLETED', 'WAITING', 'POSTPONED')),
    closed_at timestamptz,
    -- When the task recurs after it was closed: all three or none.
    recurrence_interval integer
        CONSTRAINT tasks_recurrence_interval CHECK (recurrence_interval > 0),
    recurrence_unit text CONSTRAINT tasks_recurrence_unit
        CHECK (recurrence_unit IN ('DAYS', 'WEEKS', 'MONTHS')),
    recurrence_from text CONSTRAINT tasks_recurrence_from
        CHECK (recurrence_from IN ('DUE_DATE', 'CLOSING_DATE')),
    -- The activity that the task was created from.
    activity_code text COLLATE "C" CONSTRAINT tasks_activity_fkey REFERENCES activities (code),
    -- The task that closing this one created. While it is set no second one is created, however
    -- often the task is reopened; after its deletion one can be.
    next_task_id uuid CONSTRAINT tasks_next_fkey REFERENCES tasks (id) ON DELETE SET NULL,
    CONSTRAINT tasks_assignee CHECK (num_nonnulls(salesperson_code, team_code) = 1),
    -- A task is COMPLETED exactly while it is closed.
    CONSTRAINT tasks_closed CHECK ((state = 'COMPLETED') = (closed_at IS NOT NULL)),
    CONSTRAINT tasks_recurrence
        CHECK (num_nonnulls(recurrence_interval, recurrence_unit, recurrence_from) IN (0, 3))
);
-- Lists by date, of everything and of a campaign, a salesperson and a team.
CREATE INDEX tasks_date ON tasks (date, id);
CREATE INDEX tasks_campaign ON tasks (campaign_number, date);
CREATE INDEX tasks_salesperson ON tasks (salesperson_code, date)
    WHERE salesperson_code IS NOT NULL;
CREATE INDEX tasks_team ON tasks (team_code, date) WHERE team_code IS NOT NULL;
-- What keeps a contact, an activity or a task from being deleted, or is changed by it.
CREATE INDEX tasks_contact ON tasks (contact_number) WHERE contact_number IS NOT NULL;
CREATE INDEX tasks_activity ON tasks (activity_code) WHERE activity_code IS NOT NULL;
CREATE INDEX tasks_next ON tasks (next_task_id) WHERE next_task_id IS NOT NULL;

-- What a contact may buy, what that is worth (in local currency) and how likely it is.
CREATE TABLE opportunities (
    id uuid CONSTRAINT opportunities_pkey PRIMARY KEY,
    number text COLLATE "C" NOT NULL CONSTRAINT opportunities_number_key UNIQUE,
    description text NOT NULL DEFAULT '',
    contact_number text COLLATE "C" NOT NULL
        CONSTRAINT opportunities_contact_fkey REFERENCES contacts (number),
    campaign_number text COLLATE "C"
        CONSTRAINT opportunities_campaign_fkey REFERENCES campaigns (number),
    salesperson_code text COLLATE "C"
        CONSTRAINT opportunities_salesperson_fkey REFERENCES salespeople (code),
    estimated_value numeric(20, 5) NOT NULL
        CONSTRAINT opportunities_estimated_value CHECK (estimated_value >= 0),
    chance_percent numeric(8, 5) NOT NULL
        CONSTRAINT opportunities_chance_percent CHECK (chance_percent BETWEEN 0 AND 100),
    stage text NOT NULL DEFAULT '',
    state text NOT NULL CONSTRAINT opportunities_state
        CHECK (state IN ('NOT_STARTED', 'IN_PROGRESS', 'WON', 'LOST')),
    creation_date date NOT NULL,
    closed_date date,
    -- An opportunity is closed exactly while it is won or lost.
    CONSTRAINT opportunities_closed
        CHECK ((state IN ('WON', 'LOST')) = (closed_date IS NOT NULL))
);
-- The opportunities of a contact, a campaign and a salesperson, which also keep these from being
-- deleted.
CREATE INDEX opportunities_contact ON opportunities (contact_number);
CREATE INDEX opportunities_campaign ON opportunities (campaign_number)
    WHERE campaign_number IS NOT NULL;
CREATE INDEX opportunities_salesperson ON opportunities (salesperson_code)
    WHERE salesperson_code IS NOT NULL;

-- =================================================================================================
-- Sales

-- Lines of posted documents, as the ERP sent them. They are never changed.
CREATE TABLE sales (
    id uuid CONSTRAINT sales_pkey PRIMARY KEY,
    -- The identity of the line in the ERP.
    document_type text NOT NULL CONSTRAINT sales_document_type
        CHECK (document_type IN ('INVOICE', 'CREDIT_MEMO')),
    document_number text COLLATE "C" NOT NULL,
    line_number integer NOT NULL CONSTRAINT sales_line_number CHECK (line_number > 0),
    posting_date date NOT NULL,
    -- Who bought, as the document says: one of the two. The customer is no reference: a company may
    -- get another customer number later.
    contact_number text COLLATE "C" CONSTRAINT sales_contact_fkey REFERENCES contacts (number),
    customer_number text COLLATE "C",
    -- The account of that contact or customer when the line was received.
    account_number text COLLATE "C" NOT NULL
        CONSTRAINT sales_account_fkey REFERENCES contacts (number),
    -- What was bought. Variant and unit were checked when the line was received; the item may lose
    -- them later, as no figure depends on them again.
    item_number text COLLATE "C" NOT NULL CONSTRAINT sales_item_fkey REFERENCES items (number),
    variant_code text COLLATE "C",
    unit_of_measure_code text COLLATE "C",
    -- Without sign, credit memos too: the document type gives it.
    quantity numeric(20, 5) NOT NULL CONSTRAINT sales_quantity CHECK (quantity > 0),
    -- In base units. A product of two or three numbers of 15 digits fits into no narrower column.
    base_quantity numeric NOT NULL,
    -- In local currency, without tax.
    line_amount numeric(20, 5) NOT NULL CONSTRAINT sales_line_amount CHECK (line_amount >= 0),
    discount_amount numeric(20, 5) NOT NULL
        CONSTRAINT sales_discount_amount CHECK (discount_amount >= 0),
    -- What the item cost when the line was received; null: not known.
    cost numeric,
    -- What the account would have paid without campaigns; null: there was no such price.
    baseline_amount numeric(20, 5),
    -- What leads to the campaign that the sale is owed to: the currency of the document, a campaign
    -- that the ERP names, or the lines and the version of a quote. No references to lines: they may
    -- be deleted, the price book keeps them.
    currency_code text COLLATE "C",
    campaign_number text COLLATE "C"
        CONSTRAINT sales_campaign_fkey REFERENCES campaigns (number),
    price_line_id uuid,
    discount_line_id uuid,
    publication_version bigint,
    -- A line that is sent twice is recognised by its identity.
    CONSTRAINT sales_line_key UNIQUE (document_number, document_type, line_number),
    CONSTRAINT sales_buyer CHECK (num_nonnulls(contact_number, customer_number) = 1),
    -- Lines mean something only in the version that they were quoted from.
    CONSTRAINT sales_quote CHECK
        (publication_version IS NOT NULL OR num_nonnulls(price_line_id, discount_line_id) = 0)
);
-- Lists by posting date, and the sales of a contact, an account, an item and a campaign.
CREATE INDEX sales_posting_date ON sales (posting_date, id);
CREATE INDEX sales_contact ON sales (contact_number) WHERE contact_number IS NOT NULL;
CREATE INDEX sales_account ON sales (account_number);
CREATE INDEX sales_item ON sales (item_number);
CREATE INDEX sales_campaign ON sales (campaign_number) WHERE campaign_number IS NOT NULL;

-- The campaigns that a sale is owed to: at most one for its price and one for its discount.
CREATE TABLE sales_attributions (
    sale_id uuid NOT NULL CONSTRAINT sales_attributions_sale_fkey REFERENCES sales (id),
    campaign_number text COLLATE "C" NOT NULL
        CONSTRAINT sales_attributions_campaign_fkey REFERENCES campaigns (number),
    basis text NOT NULL CONSTRAINT sales_attributions_basis
        CHECK (basis IN ('REFERENCE', 'STATED', 'REPLAY')),
    -- What the campaign granted of the line: at least one of the two.
    price boolean NOT NULL,
    discount boolean NOT NULL,
    CONSTRAINT sales_attributions_pkey PRIMARY KEY (sale_id, campaign_number),
    CONSTRAINT sales_attributions_part CHECK (price OR discount)
);
-- The sales of a campaign, for its statistics.
CREATE INDEX sales_attributions_campaign ON sales_attributions (campaign_number, sale_id);

-- =================================================================================================
-- Access.

-- Credentials of programs. A key never changes; it is revoked by its deletion. Only the hash of the
-- token is kept.
CREATE TABLE api_keys (
    id uuid CONSTRAINT api_keys_pkey PRIMARY KEY,
    name text NOT NULL CONSTRAINT api_keys_name_key UNIQUE,
    roles text[] NOT NULL,
    scopes text[] NOT NULL,
    expires_at timestamptz,
    -- The contact of the only account whose prices the key may see.
    restricted_to_contact_number text COLLATE "C"
        CONSTRAINT api_keys_contact_fkey REFERENCES contacts (number),
    requests_per_second integer
        CONSTRAINT api_keys_requests_per_second CHECK (requests_per_second > 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    last_used_at timestamptz,
    hash bytea NOT NULL CONSTRAINT api_keys_hash CHECK (octet_length(hash) = 32),
    CONSTRAINT api_keys_grant CHECK (cardinality(roles) + cardinality(scopes) > 0)
);
CREATE INDEX api_keys_contact ON api_keys (restricted_to_contact_number)
    WHERE restricted_to_contact_number IS NOT NULL;

-- =================================================================================================
-- The price book: append-only. A row is in force from `from_version` until before `to_version`;
-- null means that it is in force now. There are no references to the drafts: history outlives them.

-- The version counter. Its row lock is the last one that a publishing transaction takes, so
-- versions have no gap and are in the order of the commits.
CREATE TABLE book (
    only_row boolean DEFAULT true CONSTRAINT book_pkey PRIMARY KEY
        CONSTRAINT book_only_row CHECK (only_row),
    version bigint NOT NULL DEFAULT 0,
    -- The identity of the history. It is renewed when versions are used again, as after a restore.
    book_id uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO book DEFAULT VALUES;

-- The versions: who published what, and when.
CREATE TABLE publications (
    version bigint CONSTRAINT publications_pkey PRIMARY KEY,
    kind text NOT NULL CONSTRAINT publications_kind CHECK
        (kind IN ('ACTIVATION', 'CHANGE', 'DEACTIVATION', 'ROLLBACK', 'BASE_DATA')),
    campaign_number text COLLATE "C",
    author text NOT NULL,
    -- The time of the statement, not of the transaction: versions are in the order of the commits.
    published_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Numbers of entries and accounts.
    added bigint NOT NULL,
    changed bigint NOT NULL,
    removed bigint NOT NULL,
    content_hash text NOT NULL,
    -- Base data belongs to no campaign, everything else to one.
    CONSTRAINT publications_campaign CHECK ((kind = 'BASE_DATA') = (campaign_number IS NULL))
);
-- The publications of a campaign.
CREATE INDEX publications_of_campaign ON publications (campaign_number, version);
-- The version that was in force at an instant.
CREATE INDEX publications_published_at ON publications (published_at, version);

-- Everything that decides prices, as facts in JSON. One table for all kinds: a version, a
-- difference and the history of one key are then one query.
CREATE TABLE book_entries (
    kind text COLLATE "C" NOT NULL CONSTRAINT book_entries_kind CHECK (kind IN ('SETTINGS',
        'CURRENCY', 'EXCHANGE_RATE', 'ITEM', 'CONTACT', 'PRICE_LINE', 'DISCOUNT_LINE', 'CAMPAIGN')),
    key text COLLATE "C" NOT NULL,
    -- The campaign of a line or of a campaign's own entry; null for base data and standing lines.
    campaign_number text COLLATE "C",
    facts jsonb NOT NULL,
    from_version bigint NOT NULL,
    to_version bigint,
    CONSTRAINT book_entries_pkey PRIMARY KEY (kind, key, from_version),
    -- A row is in force for at least one version.
    CONSTRAINT book_entries_versions CHECK (to_version > from_version)
);
-- One row of a key is in force.
CREATE UNIQUE INDEX book_entries_in_force ON book_entries (kind, key) WHERE to_version IS NULL;
-- What a version added and what it ended.
CREATE INDEX book_entries_from ON book_entries (from_version);
CREATE INDEX book_entries_to ON book_entries (to_version) WHERE to_version IS NOT NULL;
-- What a campaign published at any time, and what it has in force. The second is no luxury: with
-- the first alone, each activation reads the lines of all earlier ones.
CREATE INDEX book_entries_of_campaign ON book_entries (campaign_number, from_version)
    WHERE campaign_number IS NOT NULL;
CREATE INDEX book_entries_of_campaign_in_force ON book_entries (campaign_number)
    WHERE campaign_number IS NOT NULL AND to_version IS NULL;
-- The price history of one item, without reading all lines. Lines of a group or of all items have
-- no item number.
CREATE INDEX book_entries_lines_of_item ON book_entries ((facts ->> 'itemNumber'))
    WHERE kind IN ('PRICE_LINE', 'DISCOUNT_LINE');
-- The contact that had an ordinal before it was deleted.
CREATE INDEX book_entries_ended_ordinal ON book_entries (((facts ->> 'ordinal')::integer))
    WHERE kind = 'CONTACT' AND to_version IS NOT NULL;

-- The audience of a campaign: its accounts, as arrays of ordinals in chunks of 512. A chunk ends
-- when an account joins or leaves, and its successor begins; an empty chunk has no row. A million
-- accounts are 1,954 rows instead of a million (docs/performance.md).
CREATE TABLE book_audience (
    campaign_number text COLLATE "C" NOT NULL,
    chunk integer NOT NULL,
    -- Ascending; `ordinal >> 9` is the chunk.
    ordinals integer[] NOT NULL
        CONSTRAINT book_audience_ordinals CHECK (cardinality(ordinals) BETWEEN 1 AND 512),
    from_version bigint NOT NULL,
    to_version bigint,
    CONSTRAINT book_audience_pkey PRIMARY KEY (campaign_number, chunk, from_version),
    CONSTRAINT book_audience_versions CHECK (to_version > from_version)
-- A full array has 2,072 bytes, more than PostgreSQL keeps in a row by default (2,032). The higher
-- target keeps it from being compressed or moved to another table.
) WITH (toast_tuple_target = 4080);
-- One row of a chunk is in force.
CREATE UNIQUE INDEX book_audience_in_force ON book_audience (campaign_number, chunk)
    WHERE to_version IS NULL;
-- What a version added and what it ended.
CREATE INDEX book_audience_from ON book_audience (from_version);
CREATE INDEX book_audience_to ON book_audience (to_version) WHERE to_version IS NOT NULL;

-- Returns the number of the contact with an ordinal, also of a deleted one.
CREATE FUNCTION contact_number_of(wanted integer)
RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(
    (SELECT number FROM contacts WHERE ordinal = wanted),
    (SELECT key FROM book_entries WHERE kind = 'CONTACT' AND to_version IS NOT NULL
        AND (facts ->> 'ordinal')::integer = wanted LIMIT 1));

-- Returns the version since which an account is in the audience without interruption; null if it is
-- not in it.
CREATE FUNCTION audience_member_since(campaign text, member integer)
RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
    SELECT max(held.from_version) FROM book_audience AS held
    WHERE held.campaign_number = campaign AND held.chunk = member >> 9
        AND member = ANY(held.ordinals)
        AND NOT EXISTS (
            SELECT FROM book_audience AS before
            WHERE before.campaign_number = campaign AND before.chunk = member >> 9
                AND before.to_version = held.from_version AND member = ANY(before.ordinals))
        AND EXISTS (
            SELECT FROM book_audience AS present
            WHERE present.campaign_number = campaign AND present.chunk = member >> 9
                AND present.to_version IS NULL AND member = ANY(present.ordinals)));

-- What each version changed, as one list. The indexes on `from_version` and `to_version` find the
-- rows of a version.
CREATE VIEW publication_changes AS
    SELECT version, kind || ':' || key AS id, change, kind, key, before, after FROM (
        SELECT came.from_version AS version,
            CASE WHEN went.key IS NULL THEN 'ADDED' ELSE 'CHANGED' END AS change,
            came.kind, came.key, went.facts AS before, came.facts AS after
        FROM book_entries AS came
        LEFT JOIN book_entries AS went
            ON went.kind = came.kind AND went.key = came.key AND went.to_version = came.from_version
        UNION ALL
        SELECT went.to_version, 'REMOVED', went.kind, went.key, went.facts, NULL
        FROM book_entries AS went
        WHERE went.to_version IS NOT NULL AND NOT EXISTS (
            SELECT FROM book_entries AS came
            WHERE came.kind = went.kind AND came.key = went.key
                AND came.from_version = went.to_version)
        UNION ALL
        SELECT from_version, 'ADDED', 'ACCOUNT',
            coalesce(number, contact_number_of(joined.ordinal)), NULL, NULL
        FROM book_audience AS came CROSS JOIN LATERAL (
            SELECT unnest(came.ordinals) EXCEPT
            SELECT unnest(went.ordinals) FROM book_audience AS went
            WHERE went.campaign_number = came.campaign_number AND went.chunk = came.chunk
                AND went.to_version = came.from_version) AS joined (ordinal)
        LEFT JOIN contacts ON contacts.ordinal = joined.ordinal
        UNION ALL
        SELECT to_version, 'REMOVED', 'ACCOUNT',
            coalesce(number, contact_number_of(gone.ordinal)), NULL, NULL
        FROM book_audience AS went CROSS JOIN LATERAL (
            SELECT unnest(went.ordinals) EXCEPT
            SELECT unnest(came.ordinals) FROM book_audience AS came
            WHERE came.campaign_number = went.campaign_number AND came.chunk = went.chunk
                AND came.from_version = went.to_version) AS gone (ordinal)
        LEFT JOIN contacts ON contacts.ordinal = gone.ordinal
        WHERE to_version IS NOT NULL
    ) AS changes;

-- What happened to a campaign, as one list: its publications and its changes of status.
CREATE VIEW campaign_history AS
    SELECT campaign_number, ('PUBLICATION:' || version) COLLATE "C" AS id, published_at AS at,
        author, kind AS event, version AS publication_version, NULL AS from_status_code,
        NULL AS to_status_code, added, changed, removed
    FROM publications WHERE campaign_number IS NOT NULL
    UNION ALL
    SELECT campaign_number, ('STATUS:' || id) COLLATE "C", changed_at, changed_by, 'STATUS_CHANGE',
        NULL, from_status_code, to_status_code, 0, 0, 0
    FROM campaign_status_changes;

-- =================================================================================================
-- The outbox

-- The sequence counter. Its row lock is the very last one of a transaction, so sequence numbers
-- have no gap and are in the order of the commits.
CREATE TABLE event_counter (
    only_row boolean DEFAULT true CONSTRAINT event_counter_pkey PRIMARY KEY
        CONSTRAINT event_counter_only_row CHECK (only_row),
    sequence bigint NOT NULL DEFAULT 0
);
INSERT INTO event_counter DEFAULT VALUES;

-- Events for other systems, each written in the transaction that it reports.
CREATE TABLE events (
    sequence bigint CONSTRAINT events_pkey PRIMARY KEY,
    id uuid NOT NULL CONSTRAINT events_id_key UNIQUE,
    type text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    data jsonb NOT NULL,
    -- Of a campaign that started or ended: the campaign and the dates by which it did. No foreign
    -- key: the event outlives the campaign. By id, as another campaign may get the number of a
    -- deleted one.
    campaign_id uuid,
    starting_date date,
    ending_date date,
    CONSTRAINT events_period CHECK (campaign_id IS NULL OR starting_date IS NOT NULL)
);
-- Events of a type or about a subject, in order.
CREATE INDEX events_type ON events (type, sequence);
CREATE INDEX events_subject ON events (subject, sequence);
-- The start and the end of a campaign are reported once, whichever replica is first. An open end
-- equals an open end.
CREATE UNIQUE INDEX events_once ON events (campaign_id, type, starting_date, ending_date)
    NULLS NOT DISTINCT WHERE campaign_id IS NOT NULL;

-- =================================================================================================
-- Webhooks

-- Systems that events are sent to. The service signs with the secret, so it is kept as it is.
CREATE TABLE webhook_subscriptions (
    id uuid CONSTRAINT webhook_subscriptions_pkey PRIMARY KEY,
    url text NOT NULL,
    -- The types of events to send; empty for all.
    types text[] NOT NULL,
    description text NOT NULL,
    enabled boolean NOT NULL,
    -- The reason for which the service disabled it.
    disabled_reason text CONSTRAINT webhook_subscriptions_disabled_reason
        CHECK (disabled_reason IN ('GONE', 'FAILING')),
    -- The first failed attempt since the last successful one.
    failing_since timestamptz,
    secret bytea NOT NULL
        CONSTRAINT webhook_subscriptions_secret CHECK (octet_length(secret) = 32),
    -- The secret before the rotation, with which messages are signed too for a while.
    previous_secret bytea
        CONSTRAINT webhook_subscriptions_previous_secret CHECK (octet_length(previous_secret) = 32),
    previous_secret_expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    CONSTRAINT webhook_subscriptions_disabled CHECK (NOT enabled OR disabled_reason IS NULL),
    CONSTRAINT webhook_subscriptions_rotation
        CHECK ((previous_secret IS NULL) = (previous_secret_expires_at IS NULL))
);

-- Events to send, and the results of sending them. The event is the content.
CREATE TABLE webhook_deliveries (
    id uuid CONSTRAINT webhook_deliveries_pkey PRIMARY KEY,
    subscription_id uuid NOT NULL CONSTRAINT webhook_deliveries_subscription_fkey
        REFERENCES webhook_subscriptions (id) ON DELETE CASCADE,
    event_sequence bigint NOT NULL
        CONSTRAINT webhook_deliveries_event_fkey REFERENCES events (sequence),
    state text NOT NULL DEFAULT 'PENDING' CONSTRAINT webhook_deliveries_state
        CHECK (state IN ('PENDING', 'SUCCEEDED', 'FAILED', 'CANCELED')),
    -- Number of finished attempts.
    attempts integer NOT NULL DEFAULT 0,
    -- The time of the next attempt. A replica that takes the delivery moves it to the end of its
    -- lease: if the replica dies, the delivery is due again then.
    next_attempt_at timestamptz,
    -- The latest attempt.
    attempted_at timestamptz,
    response_status smallint,
    duration_milliseconds integer,
    error text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT webhook_deliveries_key UNIQUE (subscription_id, event_sequence),
    CONSTRAINT webhook_deliveries_next_attempt
        CHECK ((state = 'PENDING') = (next_attempt_at IS NOT NULL))
);
-- The deliveries that are due.
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (subscription_id, next_attempt_at)
    WHERE state = 'PENDING';
-- The newest deliveries of a subscription.
CREATE INDEX webhook_deliveries_newest ON webhook_deliveries (subscription_id, created_at, id);
-- The deliveries that are due to be deleted.
CREATE INDEX webhook_deliveries_created ON webhook_deliveries (created_at);
-- References from events, which are checked when one is deleted.
CREATE INDEX webhook_deliveries_event ON webhook_deliveries (event_sequence);

-- Makes the deliveries of new events in the transaction that writes the events, so none is
-- forgotten, and a subscription starts at the present. A test concerns one subscription only.
--
-- The lock makes a concurrent deletion of a subscription wait; one that came first hides the row.
-- Without it the foreign key would refuse the event. An event locks the counter before, so a
-- transaction that deletes a subscription must not write events.
CREATE FUNCTION deliver_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO webhook_deliveries (id, subscription_id, event_sequence, next_attempt_at)
    SELECT uuid_v7(), subscriptions.id, new_events.sequence, new_events.occurred_at
    FROM new_events CROSS JOIN webhook_subscriptions AS subscriptions
    WHERE subscriptions.enabled AND CASE new_events.type
        WHEN 'kampanje.webhook.test'
            THEN new_events.subject = 'webhook-subscriptions/' || subscriptions.id
        ELSE cardinality(subscriptions.types) = 0 OR new_events.type = ANY (subscriptions.types)
        END
    FOR KEY SHARE OF subscriptions;
    PERFORM pg_notify('kampanje_events', max(sequence)::text) FROM new_events;
    RETURN NULL;
END
$$;
CREATE TRIGGER events_deliver AFTER INSERT ON events REFERENCING NEW TABLE AS new_events
    FOR EACH STATEMENT EXECUTE FUNCTION deliver_events();

-- =================================================================================================
-- Records of the service

-- Responses by idempotency key, each written in the transaction of its effect.
CREATE TABLE idempotency_records (
    -- The hash of the caller and its key: a key may contain personal data.
    key_hash bytea CONSTRAINT idempotency_records_pkey PRIMARY KEY,
    -- Recognises another request under the same key.
    request_hash bytea NOT NULL,
    status smallint NOT NULL,
    headers jsonb NOT NULL,
    -- Null once it was erased, because it contained personal data of a contact.
    body bytea,
    created_at timestamptz NOT NULL DEFAULT now()
);
-- The records that are due to be deleted.
CREATE INDEX idempotency_records_created ON idempotency_records (created_at);

-- The audit log: one row for each effect of a caller, written in its transaction, and one for each
-- request that was refused for want of a scope. Rows never change, except that an erasure removes
-- the personal data of a contact from a path; old ones are deleted.
CREATE TABLE audit_entries (
    id uuid CONSTRAINT audit_entries_pkey PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    subject text NOT NULL,
    operation_id text NOT NULL,
    path text NOT NULL,
    status smallint NOT NULL,
    trace_id text NOT NULL,
    -- The version that the effect published, if it published one.
    publication_version bigint
);
CREATE INDEX audit_entries_at ON audit_entries (at);

-- Imports: files whose rows are written by a worker, some thousand in each transaction.
CREATE TABLE imports (
    id uuid CONSTRAINT imports_pkey PRIMARY KEY,
    -- The collection below /v1, with the key of its parent: campaigns/SPRING/prices.
    resource text NOT NULL,
    -- The scope that reads the resource, which the import needs too.
    read_scope text NOT NULL,
    format text NOT NULL CONSTRAINT imports_format CHECK (format IN ('CSV', 'NDJSON', 'XLSX')),
    mode text NOT NULL CONSTRAINT imports_mode CHECK (mode IN ('MERGE', 'REPLACE')),
    atomic boolean NOT NULL,
    validate_only boolean NOT NULL,
    state text NOT NULL CONSTRAINT imports_state
        CHECK (state IN ('RECEIVING', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELED')),
    rows_read bigint NOT NULL DEFAULT 0,
    rows_written bigint NOT NULL DEFAULT 0,
    rows_unchanged bigint NOT NULL DEFAULT 0,
    rows_failed bigint NOT NULL DEFAULT 0,
    -- The reason of a failure.
    code text,
    detail text,
    -- The findings of its publications, up to 100.
    findings jsonb NOT NULL DEFAULT '[]',
    -- The last version that it published.
    publication_version bigint,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at timestamptz,
    -- When the file last grew or rows were last written. Decides whose turn it is, and when a
    -- file that stopped growing is given up.
    progressed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    CONSTRAINT imports_finished
        CHECK ((finished_at IS NULL) = (state IN ('RECEIVING', 'RUNNING'))),
    CONSTRAINT imports_rows CHECK (
        least(rows_written, rows_unchanged, rows_failed) >= 0
        AND rows_written + rows_unchanged + rows_failed <= rows_read)
);
-- The work that is left.
CREATE INDEX imports_unfinished ON imports (progressed_at) WHERE finished_at IS NULL;

-- The received rows that are not written yet. The transaction that writes them deletes them.
CREATE TABLE import_chunks (
    import_id uuid NOT NULL CONSTRAINT import_chunks_import_id_fkey
        REFERENCES imports ON DELETE CASCADE,
    number integer NOT NULL,
    -- Up to 1,000 rows: a JSON array as text, since the database never looks inside.
    rows text NOT NULL,
    CONSTRAINT import_chunks_pkey PRIMARY KEY (import_id, number)
);

-- The errors of rows, up to 10,000 of an import.
CREATE TABLE import_errors (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT import_errors_pkey PRIMARY KEY,
    import_id uuid NOT NULL CONSTRAINT import_errors_import_id_fkey
        REFERENCES imports ON DELETE CASCADE,
    -- The line of the file, or the row of the sheet; both count from 1.
    line bigint NOT NULL,
    -- Empty if the error concerns the whole row.
    column_name text NOT NULL,
    code text NOT NULL,
    detail text NOT NULL
);
CREATE INDEX import_errors_import ON import_errors (import_id, id);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % never change', TG_TABLE_NAME;
END
$$;
CREATE TRIGGER sales_append_only BEFORE UPDATE ON sales
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_entries_append_only BEFORE UPDATE OF
        id, at, subject, operation_id, status, trace_id, publication_version ON audit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
-- A new path shows where something was removed.
CREATE TRIGGER audit_entries_redacted BEFORE UPDATE OF path ON audit_entries
    FOR EACH ROW WHEN (NEW.path NOT LIKE '%***%') EXECUTE FUNCTION refuse_change();

-- Secrets that all replicas share and no client sees, such as the key that signs list cursors.
CREATE TABLE service_secrets (
    name text COLLATE "C" CONSTRAINT service_secrets_pkey PRIMARY KEY,
    secret bytea NOT NULL
);

-- =================================================================================================
-- Blocked salespeople

-- Refuses to give something new to a blocked salesperson; what was given before stays. No lock is
-- needed: an assignment that does not see a concurrent block came before it.
CREATE FUNCTION refuse_blocked_salesperson() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM salespeople WHERE code = NEW.salesperson_code AND blocked) THEN
        RAISE EXCEPTION 'salesperson % is blocked', NEW.salesperson_code
            USING ERRCODE = 'check_violation', CONSTRAINT = 'salesperson_blocked',
                TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END
$$;

-- The triggers fire after the write: only then is it known whether an upsert inserted or updated.
-- Triggers fire in the order of their names. The A puts these before those of the foreign keys
-- (RI_ConstraintTrigger_…), so that a block is reported even if other references are missing.
DO $$
DECLARE
    assigned text;
BEGIN
    FOREACH assigned IN ARRAY
        ARRAY['contacts', 'campaigns', 'segments', 'tasks', 'opportunities']
    LOOP
        EXECUTE format('CREATE TRIGGER %I AFTER INSERT ON %I FOR EACH ROW '
            'WHEN (NEW.salesperson_code IS NOT NULL) '
            'EXECUTE FUNCTION refuse_blocked_salesperson()',
            'A_' || assigned || '_salesperson_given', assigned);
        EXECUTE format('CREATE TRIGGER %I AFTER UPDATE ON %I FOR EACH ROW '
            'WHEN (NEW.salesperson_code IS NOT NULL '
            'AND NEW.salesperson_code IS DISTINCT FROM OLD.salesperson_code) '
            'EXECUTE FUNCTION refuse_blocked_salesperson()',
            'A_' || assigned || '_salesperson_changed', assigned);
    END LOOP;
END
$$;

-- =================================================================================================
-- Local currency

-- Clears the code of the local currency. An amount in it has no code: it is offered in every
-- currency by conversion, and two lines that differ in the code alone are duplicates. The triggers
-- fire before the row is written, so generated columns, constraints and foreign keys see the
-- cleared code, and no currency resource is needed.
CREATE FUNCTION clear_local_currency() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.currency_code = (SELECT local_currency_code FROM settings) THEN
        NEW.currency_code := NULL;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER contacts_local_currency BEFORE INSERT OR UPDATE OF currency_code ON contacts
    FOR EACH ROW WHEN (NEW.currency_code IS NOT NULL) EXECUTE FUNCTION clear_local_currency();
CREATE TRIGGER price_lines_local_currency BEFORE INSERT OR UPDATE OF currency_code ON price_lines
    FOR EACH ROW WHEN (NEW.currency_code IS NOT NULL) EXECUTE FUNCTION clear_local_currency();
CREATE TRIGGER discount_lines_local_currency
    BEFORE INSERT OR UPDATE OF currency_code ON discount_lines
    FOR EACH ROW WHEN (NEW.currency_code IS NOT NULL) EXECUTE FUNCTION clear_local_currency();
