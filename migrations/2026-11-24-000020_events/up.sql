-- The outbox: what happened, for others to hear of, in the order of the commits and without a gap.

CREATE TABLE event_counter (
    only_row boolean PRIMARY KEY DEFAULT true CONSTRAINT event_counter_only_row CHECK (only_row),
    sequence bigint NOT NULL DEFAULT 0
);
INSERT INTO event_counter DEFAULT VALUES;

CREATE TABLE events (
    sequence bigint CONSTRAINT events_pkey PRIMARY KEY,
    id uuid NOT NULL CONSTRAINT events_id_key UNIQUE,
    type text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    data jsonb NOT NULL,
    -- Of a campaign that began or ended: which one, and the dates under which it did. No foreign key: the event outlives the
    -- campaign. By id, as another campaign may get the number of one that was deleted.
    campaign_id uuid,
    starting_date date,
    ending_date date,
    CONSTRAINT events_period CHECK (campaign_id IS NULL OR starting_date IS NOT NULL)
);
CREATE INDEX events_type ON events (type, sequence);
CREATE INDEX events_subject ON events (subject, sequence);
-- Once for a campaign and its dates, whichever replica says so. An open end is an end like any other.
CREATE UNIQUE INDEX events_once ON events (campaign_id, type, starting_date, ending_date) NULLS NOT DISTINCT
    WHERE campaign_id IS NOT NULL;
