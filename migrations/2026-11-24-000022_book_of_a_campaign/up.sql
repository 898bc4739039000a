-- What a campaign carries now, without what it ever carried: an index of the whole history makes each activation of a campaign read
-- the lines of all its activations before.
CREATE INDEX book_entries_of_campaign_in_force ON book_entries (campaign_number)
    WHERE campaign_number IS NOT NULL AND to_version IS NULL;
