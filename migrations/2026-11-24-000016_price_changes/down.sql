DROP INDEX book_entries_of_item;
DROP INDEX book_entries_of_campaign;
CREATE INDEX book_entries_of_campaign ON book_entries (campaign_number)
    WHERE campaign_number IS NOT NULL AND to_version IS NULL;
-- A rollback publishes a campaign, which an activation does too.
UPDATE publications SET kind = 'ACTIVATION' WHERE kind = 'ROLLBACK';
ALTER TABLE publications DROP CONSTRAINT publications_kind;
ALTER TABLE publications ADD CONSTRAINT publications_kind
    CHECK (kind IN ('ACTIVATION', 'CHANGE', 'DEACTIVATION', 'BASE_DATA'));
