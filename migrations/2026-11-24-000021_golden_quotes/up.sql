-- What a campaign's prices have to come to: questions with the answers that are expected of them.

CREATE TABLE golden_quotes (
    id uuid CONSTRAINT golden_quotes_pkey PRIMARY KEY,
    campaign_number text COLLATE "C" NOT NULL
        CONSTRAINT golden_quotes_campaign_fkey REFERENCES campaigns (number) ON DELETE CASCADE,
    -- Who asks; neither: nobody in particular.
    contact_number text COLLATE "C" CONSTRAINT golden_quotes_contact_fkey REFERENCES contacts (number),
    customer_number text COLLATE "C" CONSTRAINT golden_quotes_customer_fkey REFERENCES contacts (customer_number),
    item_number text COLLATE "C" NOT NULL CONSTRAINT golden_quotes_item_fkey REFERENCES items (number),
    variant_code text COLLATE "C",
    unit_of_measure_code text COLLATE "C",
    quantity numeric(20, 5) NOT NULL CONSTRAINT golden_quotes_quantity CHECK (quantity > 0),
    date date,
    currency_code text COLLATE "C" CONSTRAINT golden_quotes_currency_fkey REFERENCES currencies (code),
    prices_include_tax boolean,
    unit_price numeric(20, 5) CONSTRAINT golden_quotes_unit_price CHECK (unit_price >= 0),
    line_discount_percent numeric(8, 5)
        CONSTRAINT golden_quotes_line_discount_percent CHECK (line_discount_percent BETWEEN 0 AND 100),
    line_amount numeric(20, 5) CONSTRAINT golden_quotes_line_amount CHECK (line_amount >= 0),
    expected_campaign boolean,
    note text NOT NULL DEFAULT '',
    CONSTRAINT golden_quotes_variant_fkey FOREIGN KEY (item_number, variant_code)
        REFERENCES item_variants (item_number, code),
    CONSTRAINT golden_quotes_unit_fkey FOREIGN KEY (item_number, unit_of_measure_code)
        REFERENCES item_units_of_measure (item_number, code),
    CONSTRAINT golden_quotes_asker CHECK (num_nonnulls(contact_number, customer_number) <= 1),
    CONSTRAINT golden_quotes_expected CHECK (num_nonnulls(unit_price, line_discount_percent, line_amount) > 0),
    -- One answer to a question.
    CONSTRAINT golden_quotes_question UNIQUE NULLS NOT DISTINCT (campaign_number, item_number, variant_code,
        unit_of_measure_code, quantity, date, contact_number, customer_number, currency_code, prices_include_tax)
);
CREATE INDEX golden_quotes_contact ON golden_quotes (contact_number) WHERE contact_number IS NOT NULL;
CREATE INDEX golden_quotes_customer ON golden_quotes (customer_number) WHERE customer_number IS NOT NULL;
CREATE INDEX golden_quotes_item ON golden_quotes (item_number);
CREATE INDEX golden_quotes_currency ON golden_quotes (currency_code) WHERE currency_code IS NOT NULL;
