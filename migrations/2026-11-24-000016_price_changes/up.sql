-- An earlier publication of a campaign can be brought back.
ALTER TABLE publications DROP CONSTRAINT publications_kind;
ALTER TABLE publications ADD CONSTRAINT publications_kind
    CHECK (kind IN ('ACTIVATION', 'CHANGE', 'DEACTIVATION', 'ROLLBACK', 'BASE_DATA'));

-- What a campaign carried at any time, not only now.
DROP INDEX book_entries_of_campaign;
CREATE INDEX book_entries_of_campaign ON book_entries (campaign_number, from_version) WHERE campaign_number IS NOT NULL;

-- What was offered for an item at any time; without item: the discounts for groups and for all items.
CREATE INDEX book_entries_of_item ON book_entries ((facts ->> 'itemNumber')) WHERE kind IN ('PRICE_LINE', 'DISCOUNT_LINE');
