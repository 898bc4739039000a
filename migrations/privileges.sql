-- The rights of the service's role, which `kampanje migrate --service-role` gives after the steps.
-- The role changes data and never the schema. What is append-only cannot be changed by it, so the
-- published history is safe from a service that was broken into.
--
-- A table that is not named here may be read, inserted into, updated and deleted from. A new
-- append-only table needs an entry.
DO $$
DECLARE
    service text := current_setting('kampanje.service_role');
    fewer_rights jsonb := jsonb_build_object(
        '__diesel_schema_migrations', 'SELECT',
        -- One row each, which is never deleted.
        'settings', 'SELECT, UPDATE',
        'book', 'SELECT, UPDATE',
        'event_counter', 'SELECT, UPDATE',
        -- The published history. A row that is no longer in force gets its end, once.
        'publications', 'SELECT, INSERT',
        'book_entries', 'SELECT, INSERT, UPDATE (to_version)',
        'book_audience', 'SELECT, INSERT, UPDATE (to_version)',
        -- Records of what happened. Those of a campaign go with it, by the owner's foreign keys.
        'events', 'SELECT, INSERT',
        'campaign_status_changes', 'SELECT, INSERT',
        -- Locks take the right to change rows; a trigger refuses to.
        'sales', 'SELECT, INSERT, UPDATE',
        'sales_attributions', 'SELECT, INSERT',
        -- Records that expire, in which erasures remove personal data; credentials that never
        -- change, and secrets that stay.
        'idempotency_records', 'SELECT, INSERT, UPDATE (body, headers), DELETE',
        'audit_entries', 'SELECT, INSERT, UPDATE (path), DELETE',
        'api_keys', 'SELECT, INSERT, UPDATE (last_used_at), DELETE',
        'service_secrets', 'SELECT, INSERT',
        'webhook_subscriptions', 'SELECT, INSERT, DELETE, UPDATE (url, types, description, enabled,
            disabled_reason, failing_since, secret, previous_secret, previous_secret_expires_at)',
        'webhook_deliveries', 'SELECT, INSERT, DELETE, UPDATE (state, attempts, next_attempt_at,
            attempted_at, response_status, duration_milliseconds, error)');
    relation record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = service) THEN
        RAISE EXCEPTION 'there is no role %: create it first (CREATE ROLE % LOGIN PASSWORD …)',
            quote_ident(service), quote_ident(service);
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), service);
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM %I', current_schema(), service);
    FOR relation IN
        SELECT relname, relkind FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v')
    LOOP
        EXECUTE format('GRANT %s ON %I.%I TO %I',
            CASE WHEN relation.relkind = 'v' THEN 'SELECT' ELSE
                coalesce(fewer_rights ->> relation.relname, 'SELECT, INSERT, UPDATE, DELETE') END,
            current_schema(), relation.relname, service);
    END LOOP;
    EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO %I', current_schema(), service);
    -- A superuser, the owner, or a member of another role that may do more.
    IF has_table_privilege(service, 'publications', 'UPDATE') THEN
        RAISE EXCEPTION 'the role % may change the published history by its memberships or its '
            'attributes: choose a role without them', quote_ident(service);
    END IF;
END
$$;
