-- Removes the whole schema with all data. Views and functions depend on tables, so they go first.
DROP VIEW campaign_history, publication_changes, held_targets, logged_targets;
DROP FUNCTION audience_member_since, contact_number_of;
DROP TABLE import_errors, import_chunks, imports,
    service_secrets, audit_entries, idempotency_records,
    webhook_deliveries, webhook_subscriptions, events, event_counter, api_keys,
    book_audience, book_entries, publications, book,
    sales_attributions, sales,
    opportunities, tasks, activity_steps, activities,
    golden_quotes, discount_lines, price_lines,
    interactions, logged_segments,
    saved_criteria, criteria_removed_lines, criteria_actions, segment_lines, segments,
    interaction_templates,
    approval_requests, campaign_editors, campaign_status_changes, campaigns, campaign_statuses,
    contacts, team_members, teams, salespeople,
    item_units_of_measure, item_variants, items,
    exchange_rates, currencies, settings;
DROP FUNCTION deliver_events,
    refuse_change, clear_local_currency, refuse_blocked_salesperson, refuse_logged_number, line_alike, uuid_v7;
DROP EXTENSION btree_gist;
