DROP VIEW publication_changes;
DROP TABLE service_secrets, idempotency_records, book_audience, book_entries, publications, book, discount_lines,
    price_lines, segment_lines, segments, campaign_status_changes, campaigns, contacts, campaign_statuses, salespeople,
    item_units_of_measure, item_variants, items, exchange_rates, currencies, settings;
DROP FUNCTION line_alike;
DROP EXTENSION btree_gist;
