-- Three ways to keep an audience of a million accounts: a row each, arrays of 512 numbers, a string of bits for each 4,096 numbers. For
-- each: the time to write it, the log that this takes, the room it takes, the time to end it with a version, and to read it.
--
--     psql -X -q [-v accounts=1000000] -f bench/audience_forms.sql
--
-- Makes and drops tables of its own; run it in a database that nobody else uses meanwhile.

\if :{?accounts}
\else
    \set accounts 1000000
\endif
\pset footer off
SET client_min_messages = warning;
SET jit = off;

CREATE TABLE form_rows (campaign text COLLATE "C", account text COLLATE "C", from_version bigint, to_version bigint,
    PRIMARY KEY (campaign, account, from_version));
CREATE TABLE form_arrays (campaign text COLLATE "C", chunk integer, ordinals integer[], from_version bigint, to_version bigint,
    PRIMARY KEY (campaign, chunk, from_version)) WITH (toast_tuple_target = 4080);
CREATE TABLE form_bits (campaign text COLLATE "C", chunk integer, bits bit(4096), from_version bigint, to_version bigint,
    PRIMARY KEY (campaign, chunk, from_version));
CREATE TABLE form_contacts AS
    SELECT n AS ordinal, 'C' || to_char(n, 'FM0000000') AS number FROM generate_series(0, :accounts - 1) AS n;
CREATE TABLE form_times (form text, round integer, step text, ms numeric, log_bytes numeric);
VACUUM ANALYZE form_contacts;

-- Each statement commits before its time is taken, so the flush of the log is part of it.
CREATE PROCEDURE form_step(which text, number integer, name text, statement text) LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz := clock_timestamp();
    log pg_lsn := pg_current_wal_insert_lsn();
BEGIN
    EXECUTE statement;
    COMMIT;
    INSERT INTO form_times VALUES (which, number, name, extract(epoch FROM clock_timestamp() - began) * 1000,
        pg_wal_lsn_diff(pg_current_wal_insert_lsn(), log));
    COMMIT;
END $$;

DO $$
BEGIN
    FOR number IN 1..5 LOOP
        TRUNCATE form_rows, form_arrays, form_bits;
        COMMIT;
        CALL form_step('rows', number, 'write',
            'INSERT INTO form_rows SELECT ''SPRING'', number, 1 FROM form_contacts ORDER BY number');
        CALL form_step('rows', number, 'end', 'UPDATE form_rows SET to_version = 2');
        CALL form_step('rows', number, 'read', 'SELECT count(*) FROM form_rows');
        CALL form_step('arrays of 512', number, 'write',
            'INSERT INTO form_arrays SELECT ''SPRING'', ordinal >> 9, array_agg(ordinal ORDER BY ordinal), 1
                FROM form_contacts GROUP BY ordinal >> 9 ORDER BY ordinal >> 9');
        CALL form_step('arrays of 512', number, 'end', 'UPDATE form_arrays SET to_version = 2');
        CALL form_step('arrays of 512', number, 'read', 'SELECT sum(cardinality(ordinals)) FROM form_arrays');
        CALL form_step('bits for 4,096', number, 'write',
            'INSERT INTO form_bits SELECT ''SPRING'', ordinal >> 12, bit_or(set_bit(0::bit(4096), ordinal & 4095, 1)), 1
                FROM form_contacts GROUP BY ordinal >> 12 ORDER BY ordinal >> 12');
        CALL form_step('bits for 4,096', number, 'end', 'UPDATE form_bits SET to_version = 2');
        CALL form_step('bits for 4,096', number, 'read', 'SELECT sum(bit_count(bits)) FROM form_bits');
    END LOOP;
END $$;

SELECT form, step, round(percentile_cont(0.5) WITHIN GROUP (ORDER BY ms)::numeric, 1) AS median_ms,
    round(max(ms), 1) AS most_ms, pg_size_pretty(percentile_cont(0.5) WITHIN GROUP (ORDER BY log_bytes)::bigint) AS log
FROM form_times GROUP BY form, step ORDER BY form, step DESC;

DROP TABLE form_rows, form_arrays, form_bits, form_contacts, form_times;
DROP PROCEDURE form_step(text, integer, text, text);
