-- What came of campaigns: the lines of posted documents, and which campaigns they are owed to.

CREATE TABLE sales (
    id uuid CONSTRAINT sales_pkey PRIMARY KEY,
    document_type text NOT NULL CONSTRAINT sales_document_type CHECK (document_type IN ('INVOICE', 'CREDIT_MEMO')),
    document_number text COLLATE "C" NOT NULL,
    line_number integer NOT NULL CONSTRAINT sales_line_number CHECK (line_number > 0),
    posting_date date NOT NULL,
    -- As the document says; one of the two.
    contact_number text COLLATE "C" CONSTRAINT sales_contact_fkey REFERENCES contacts (number),
    customer_number text COLLATE "C",
    -- The account of that contact or customer when the line came.
    account_number text COLLATE "C" NOT NULL CONSTRAINT sales_account_fkey REFERENCES contacts (number),
    -- Variant and unit existed when the line came. They may go from the item, as nothing is reckoned from them again.
    item_number text COLLATE "C" NOT NULL CONSTRAINT sales_item_fkey REFERENCES items (number),
    variant_code text COLLATE "C",
    unit_of_measure_code text COLLATE "C",
    quantity numeric(20, 5) NOT NULL CONSTRAINT sales_quantity CHECK (quantity > 0),
    -- In base units. Products of two or three numbers of 15 digits fit into no narrower column.
    base_quantity numeric NOT NULL,
    -- All in local currency.
    line_amount numeric(20, 5) NOT NULL CONSTRAINT sales_line_amount CHECK (line_amount >= 0),
    discount_amount numeric(20, 5) NOT NULL CONSTRAINT sales_discount_amount CHECK (discount_amount >= 0),
    -- What the item cost when the line came; null if nobody knew.
    cost numeric,
    currency_code text COLLATE "C",
    campaign_number text COLLATE "C" CONSTRAINT sales_campaign_fkey REFERENCES campaigns (number),
    price_line_id uuid,
    discount_line_id uuid,
    publication_version bigint,
    CONSTRAINT sales_line_key UNIQUE (document_number, document_type, line_number),
    CONSTRAINT sales_buyer CHECK (num_nonnulls(contact_number, customer_number) = 1),
    CONSTRAINT sales_quote CHECK (publication_version IS NOT NULL OR num_nonnulls(price_line_id, discount_line_id) = 0)
);
CREATE INDEX sales_posting_date ON sales (posting_date, id);
CREATE INDEX sales_contact ON sales (contact_number) WHERE contact_number IS NOT NULL;
CREATE INDEX sales_account ON sales (account_number);
CREATE INDEX sales_item ON sales (item_number);
CREATE INDEX sales_campaign ON sales (campaign_number) WHERE campaign_number IS NOT NULL;

CREATE TABLE sales_attributions (
    sale_id uuid NOT NULL CONSTRAINT sales_attributions_sale_fkey REFERENCES sales (id),
    campaign_number text COLLATE "C" NOT NULL
        CONSTRAINT sales_attributions_campaign_fkey REFERENCES campaigns (number),
    basis text NOT NULL CONSTRAINT sales_attributions_basis CHECK (basis IN ('REFERENCE', 'STATED', 'REPLAY')),
    -- What of the line came from the campaign: its price, its discount, or both.
    price boolean NOT NULL,
    discount boolean NOT NULL,
    CONSTRAINT sales_attributions_pkey PRIMARY KEY (sale_id, campaign_number),
    CONSTRAINT sales_attributions_part CHECK (price OR discount)
);
CREATE INDEX sales_attributions_campaign ON sales_attributions (campaign_number, sale_id);

-- Which version was in force on a day that is past.
CREATE INDEX publications_published_at ON publications (published_at, version);

-- What happened to a campaign, as one list.
CREATE VIEW campaign_history AS
    SELECT campaign_number, ('PUBLICATION:' || version) COLLATE "C" AS id, published_at AS at, author, kind AS event,
        version AS publication_version, NULL AS from_status_code, NULL AS to_status_code, added, changed, removed
    FROM publications WHERE campaign_number IS NOT NULL
    UNION ALL
    SELECT campaign_number, ('STATUS:' || id) COLLATE "C", changed_at, changed_by, 'STATUS_CHANGE',
        NULL, from_status_code, to_status_code, 0, 0, 0
    FROM campaign_status_changes;
