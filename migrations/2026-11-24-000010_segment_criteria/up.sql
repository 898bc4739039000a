-- How the lines of a segment were selected: its criteria actions, what they removed, and actions that are kept under a code.

-- A UUIDv7, for rows that a statement makes by the million: the milliseconds since 1970, then randomness.
CREATE FUNCTION uuid_v7() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE
RETURN encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
    PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
    52, 1), 53, 1), 'hex')::uuid;

CREATE TABLE criteria_actions (
    id uuid CONSTRAINT criteria_actions_pkey PRIMARY KEY,
    segment_number text COLLATE "C" NOT NULL
        CONSTRAINT criteria_actions_segment_fkey REFERENCES segments (number) ON DELETE CASCADE,
    -- The place in the segment's history, from 1. Only the last one is ever taken away.
    position integer NOT NULL,
    action text NOT NULL CONSTRAINT criteria_actions_action CHECK (action IN ('ADD', 'REDUCE', 'REFINE')),
    filter text NOT NULL,
    allow_existing boolean NOT NULL,
    expand_companies boolean NOT NULL,
    related_companies boolean NOT NULL,
    entire_companies boolean NOT NULL,
    ignore_exclusion boolean NOT NULL,
    lines_added bigint NOT NULL DEFAULT 0,
    lines_existing bigint NOT NULL DEFAULT 0,
    lines_removed bigint NOT NULL DEFAULT 0,
    performed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    performed_by text NOT NULL,
    CONSTRAINT criteria_actions_position_key UNIQUE (segment_number, position)
);

-- The action that added a line; null: it was added by hand. No foreign key: an action goes only after its lines, and a million
-- checks would cost as much as the insertion.
ALTER TABLE segment_lines ADD COLUMN added_by uuid;

-- The lines that an action removed, as they were. One whose contact is deleted cannot come back.
CREATE TABLE criteria_removed_lines (
    action_id uuid NOT NULL
        CONSTRAINT criteria_removed_lines_action_fkey REFERENCES criteria_actions (id) ON DELETE CASCADE,
    line_id uuid NOT NULL,
    contact_number text COLLATE "C" NOT NULL
        CONSTRAINT criteria_removed_lines_contact_fkey REFERENCES contacts (number) ON DELETE CASCADE,
    campaign_target boolean,
    campaign_response boolean,
    added_by uuid,
    CONSTRAINT criteria_removed_lines_pkey PRIMARY KEY (action_id, line_id)
);
CREATE INDEX criteria_removed_lines_contact ON criteria_removed_lines (contact_number);

CREATE TABLE saved_criteria (
    id uuid CONSTRAINT saved_criteria_pkey PRIMARY KEY,
    code text COLLATE "C" NOT NULL CONSTRAINT saved_criteria_code_key UNIQUE,
    description text NOT NULL DEFAULT '',
    -- The actions in their order, as clients send them: they are only ever read and written as a whole.
    actions jsonb NOT NULL
);
