-- Audiences as arrays of small numbers instead of a row per account: a million accounts are 1,954 rows of 2 kB, written in a
-- ninth of the time and ended in a hundredth (docs/performance.md).

-- Every contact gets a number of its own, never given twice. The first free one is taken when the contact comes into being; an
-- upsert of a contact that exists takes none (src/contacts/mod.rs), so that the numbers stay dense.
CREATE SEQUENCE contacts_ordinal AS integer MINVALUE 0 START 0;
ALTER TABLE contacts ADD COLUMN ordinal integer NOT NULL DEFAULT nextval('contacts_ordinal');
ALTER SEQUENCE contacts_ordinal OWNED BY contacts.ordinal;
ALTER TABLE contacts ADD CONSTRAINT contacts_ordinal_key UNIQUE (ordinal);

-- The book says the number with the contact, also of contacts that are deleted since.
UPDATE book_entries SET facts = facts || jsonb_build_object('ordinal', numbered.ordinal)
    FROM (
        SELECT known.key, coalesce(contacts.ordinal, nextval('contacts_ordinal')) AS ordinal
        FROM (SELECT DISTINCT key FROM book_entries WHERE kind = 'CONTACT') AS known
        LEFT JOIN contacts ON contacts.number = known.key
    ) AS numbered
    WHERE kind = 'CONTACT' AND book_entries.key = numbered.key;

-- The contact of a number, if no contact bears it any more.
CREATE INDEX book_entries_ended_ordinal ON book_entries (((facts ->> 'ordinal')::integer))
    WHERE kind = 'CONTACT' AND to_version IS NOT NULL;

DROP VIEW publication_changes;
ALTER TABLE book_audience RENAME TO book_audience_rows;
ALTER TABLE book_audience_rows RENAME CONSTRAINT book_audience_pkey TO book_audience_rows_pkey;
ALTER INDEX book_audience_from RENAME TO book_audience_rows_from;
ALTER INDEX book_audience_to RENAME TO book_audience_rows_to;

-- The accounts of a campaign whose numbers lie in one chunk of 512. A chunk in which somebody comes or goes ends, and its
-- successor begins; one that would be empty has none.
CREATE TABLE book_audience (
    campaign_number text COLLATE "C" NOT NULL,
    chunk integer NOT NULL,
    -- Ascending; `ordinal >> 9` is the chunk.
    ordinals integer[] NOT NULL CONSTRAINT book_audience_ordinals CHECK (cardinality(ordinals) BETWEEN 1 AND 512),
    from_version bigint NOT NULL,
    to_version bigint,
    CONSTRAINT book_audience_pkey PRIMARY KEY (campaign_number, chunk, from_version),
    CONSTRAINT book_audience_versions CHECK (to_version > from_version)
) WITH (toast_tuple_target = 4080);
CREATE UNIQUE INDEX book_audience_in_force ON book_audience (campaign_number, chunk) WHERE to_version IS NULL;
CREATE INDEX book_audience_from ON book_audience (from_version);
CREATE INDEX book_audience_to ON book_audience (to_version) WHERE to_version IS NOT NULL;

-- The history so far: wherever a row of a chunk came or went, the chunk as it was from then on.
WITH members AS MATERIALIZED (
    SELECT campaign_number, numbered.ordinal, numbered.ordinal >> 9 AS chunk, from_version, to_version
    FROM book_audience_rows
    JOIN (SELECT DISTINCT key, (facts ->> 'ordinal')::integer AS ordinal FROM book_entries WHERE kind = 'CONTACT')
        AS numbered ON numbered.key = account_number
),
edges AS (
    SELECT campaign_number, chunk, version,
        lead(version) OVER (PARTITION BY campaign_number, chunk ORDER BY version) AS next
    FROM (
        SELECT campaign_number, chunk, from_version AS version FROM members
        UNION SELECT campaign_number, chunk, to_version FROM members WHERE to_version IS NOT NULL
    ) AS versions
)
INSERT INTO book_audience (campaign_number, chunk, ordinals, from_version, to_version)
SELECT campaign_number, chunk, array_agg(ordinal ORDER BY ordinal), version, next
FROM edges JOIN members USING (campaign_number, chunk)
WHERE from_version <= version AND (to_version IS NULL OR to_version > version)
GROUP BY campaign_number, chunk, version, next;

DROP TABLE book_audience_rows;


-- The number of the contact with an ordinal, deleted or not.
CREATE FUNCTION contact_number_of(wanted integer) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(
    (SELECT number FROM contacts WHERE ordinal = wanted),
    (SELECT key FROM book_entries
        WHERE kind = 'CONTACT' AND to_version IS NOT NULL AND (facts ->> 'ordinal')::integer = wanted LIMIT 1));

-- The version with which an account came to the audience that holds it now; null if that does not.
CREATE FUNCTION audience_member_since(campaign text, member integer) RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
    SELECT max(held.from_version) FROM book_audience AS held
    WHERE held.campaign_number = campaign AND held.chunk = member >> 9 AND member = ANY(held.ordinals)
        AND NOT EXISTS (
            SELECT FROM book_audience AS before
            WHERE before.campaign_number = campaign AND before.chunk = member >> 9
                AND before.to_version = held.from_version AND member = ANY(before.ordinals))
        AND EXISTS (
            SELECT FROM book_audience AS present
            WHERE present.campaign_number = campaign AND present.chunk = member >> 9
                AND present.to_version IS NULL AND member = ANY(present.ordinals)));

-- What each version changed. The rows of a version are found by the indexes on `from_version` and `to_version`.
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
        SELECT from_version, 'ADDED', 'ACCOUNT', coalesce(number, contact_number_of(joined.ordinal)), NULL, NULL
        FROM book_audience AS came CROSS JOIN LATERAL (
            SELECT unnest(came.ordinals) EXCEPT SELECT unnest(went.ordinals) FROM book_audience AS went
            WHERE went.campaign_number = came.campaign_number AND went.chunk = came.chunk
                AND went.to_version = came.from_version) AS joined (ordinal)
        LEFT JOIN contacts ON contacts.ordinal = joined.ordinal
        UNION ALL
        SELECT to_version, 'REMOVED', 'ACCOUNT', coalesce(number, contact_number_of(gone.ordinal)), NULL, NULL
        FROM book_audience AS went CROSS JOIN LATERAL (
            SELECT unnest(went.ordinals) EXCEPT SELECT unnest(came.ordinals) FROM book_audience AS came
            WHERE came.campaign_number = went.campaign_number AND came.chunk = went.chunk
                AND came.from_version = went.to_version) AS gone (ordinal)
        LEFT JOIN contacts ON contacts.ordinal = gone.ordinal
        WHERE to_version IS NOT NULL
    ) AS changes;
