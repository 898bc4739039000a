DROP VIEW publication_changes;
DROP FUNCTION contact_number_of, audience_member_since;
CREATE TABLE book_audience_rows (
    campaign_number text COLLATE "C" NOT NULL,
    account_number text COLLATE "C" NOT NULL,
    from_version bigint NOT NULL,
    to_version bigint
);
-- An account is there from the first of the neighbouring versions of its chunk that hold it.
INSERT INTO book_audience_rows
SELECT campaign_number, key, min(from_version), CASE WHEN bool_or(to_version IS NULL) THEN NULL ELSE max(to_version) END
FROM (
    SELECT held.*, sum(CASE WHEN before = from_version THEN 0 ELSE 1 END)
        OVER (PARTITION BY campaign_number, ordinal ORDER BY from_version) AS stretch
    FROM (
        SELECT campaign_number, ordinal, from_version, to_version,
            lag(to_version) OVER (PARTITION BY campaign_number, ordinal ORDER BY from_version) AS before
        FROM book_audience, unnest(ordinals) AS ordinal
    ) AS held
) AS stretches
JOIN (SELECT DISTINCT key, (facts ->> 'ordinal')::integer AS ordinal FROM book_entries WHERE kind = 'CONTACT')
    AS numbered USING (ordinal)
GROUP BY campaign_number, key, stretch;
DROP TABLE book_audience;
ALTER TABLE book_audience_rows RENAME TO book_audience;
ALTER TABLE book_audience ADD CONSTRAINT book_audience_pkey PRIMARY KEY (campaign_number, account_number, from_version),
    ADD CONSTRAINT book_audience_versions CHECK (to_version > from_version);
CREATE INDEX book_audience_from ON book_audience (from_version);
CREATE INDEX book_audience_to ON book_audience (to_version) WHERE to_version IS NOT NULL;
DROP INDEX book_entries_ended_ordinal;
UPDATE book_entries SET facts = facts - 'ordinal' WHERE kind = 'CONTACT';
ALTER TABLE contacts DROP COLUMN ordinal;
CREATE VIEW publication_changes AS
    SELECT version, kind || ':' || key AS id, change, kind, key, before, after FROM (
        SELECT came.from_version AS version, CASE WHEN went.key IS NULL THEN 'ADDED' ELSE 'CHANGED' END AS change,
            came.kind, came.key, went.facts AS before, came.facts AS after
        FROM book_entries AS came
        LEFT JOIN book_entries AS went
            ON went.kind = came.kind AND went.key = came.key AND went.to_version = came.from_version
        UNION ALL
        SELECT went.to_version, 'REMOVED', went.kind, went.key, went.facts, NULL
        FROM book_entries AS went
        WHERE went.to_version IS NOT NULL AND NOT EXISTS (
            SELECT FROM book_entries AS came
            WHERE came.kind = went.kind AND came.key = went.key AND came.from_version = went.to_version)
        UNION ALL
        SELECT from_version, 'ADDED', 'ACCOUNT', account_number, NULL, NULL FROM book_audience
        UNION ALL
        SELECT to_version, 'REMOVED', 'ACCOUNT', account_number, NULL, NULL FROM book_audience WHERE to_version IS NOT NULL
    ) AS changes;
